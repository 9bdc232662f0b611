"""How many runners an app has, which of them takes a call, and how long they stay."""

import time
from pathlib import Path

import anyio
import pytest

from server.deploy.local.crew import Backoff
from server.deploy.local.fleet import Held, surplus, wanted
from tests.local_apps import ended, machine, release_of
from tools.deploy_records import AppSettings

QUEUE = "/queue/local/kitchen"


@pytest.mark.parametrize(
    ("settings", "busy", "pending", "expected"),
    [
        (AppSettings(), 0, 0, 0),
        (AppSettings(), 0, 1, 1),
        (AppSettings(), 1, 5, 2),
        (AppSettings(max_concurrency=10), 1, 5, 6),
        (AppSettings(max_concurrency=10, max_multiplexing=4), 1, 5, 3),
        (AppSettings(max_concurrency=10, min_concurrency=3), 1, 0, 3),
        (AppSettings(max_concurrency=10, concurrency_buffer=2), 3, 0, 5),
        (AppSettings(max_concurrency=10, concurrency_buffer_perc=50), 5, 0, 8),
        (AppSettings(max_concurrency=1, min_concurrency=2), 0, 9, 2),
    ],
    ids=[
        "nothing to do", "one call", "two at the most where nothing is said", "one a call",
        "four calls in one", "a minimum", "a buffer on top of the busy",
        "or a share of them", "the minimum wins",
    ],
)  # fmt: skip
def test_so_many_runners_are_wanted(
    settings: AppSettings, busy: int, pending: int, expected: int
) -> None:
    assert wanted(settings, busy=busy, pending=pending) == expected


def test_runners_that_start_are_not_ended_and_backoff_doubles_up_to_ten_minutes() -> None:
    starting = [Held("app", "1", 1, is_proven=True) for _ in range(3)]
    assert surplus(starting, AppSettings(), time.monotonic() + 1e6)[0] == []
    assert [Backoff().after(failures) for failures in (0, 1, 2, 9)] == [30, 60, 120, 600]


@pytest.mark.proof
async def test_calls_share_a_runner_as_far_as_multiplexing_says(tmp_path: Path) -> None:
    async with machine(tmp_path) as here:
        await here.deploy(await release_of(tmp_path, max_concurrency=1, max_multiplexing=8))

        async def together() -> float:
            asked = {"prompt": "x", "sleep": 0.3}
            begun = time.monotonic()
            rows = [
                (await here.client.post(f"{QUEUE}/waiting", json=asked)).json() for _ in range(8)
            ]
            for row in rows:
                assert "error" not in await ended(here.client, row)
            return time.monotonic() - begun

        with anyio.fail_after(60):
            shared = await together()
            await here.target.scale("kitchen", {"max_multiplexing": 1}, here.tell)
            one_by_one = await together()
        assert one_by_one >= 2.4
        assert shared < one_by_one / 2


@pytest.mark.proof
async def test_first_come_is_first_served_and_busy_runners_are_filled_first(
    tmp_path: Path,
) -> None:
    async with machine(tmp_path) as here:
        await here.deploy(
            await release_of(tmp_path, max_concurrency=2, min_concurrency=2, max_multiplexing=2)
        )
        with anyio.fail_after(60):
            while (await here.target.apps("kitchen"))[0].runners != {"IDLE": 2}:
                await anyio.sleep(0.05)
            asked = {"prompt": "x", "sleep": 0.5}
            rows = [
                (await here.client.post(f"{QUEUE}/waiting", json=asked)).json() for _ in range(4)
            ]
            made: list[str] = []
            for row in rows:
                await ended(here.client, row)
                made.append((await here.client.get(row["response_url"])).json()["runner"])
        assert made[0] == made[1]
        assert made[2] == made[3]
        assert made[0] != made[2]


@pytest.mark.proof
async def test_a_scaling_delay_lets_calls_wait_for_the_runner_that_is_there(
    tmp_path: Path,
) -> None:
    async with machine(tmp_path) as here:
        await here.deploy(await release_of(tmp_path, max_concurrency=2, scaling_delay=30))
        asked = {"prompt": "x", "sleep": 0.4}
        with anyio.fail_after(60):
            rows = [(await here.client.post(QUEUE, json=asked)).json() for _ in range(4)]
            made: set[str] = set()
            for row in rows:
                await ended(here.client, row)
                made.add((await here.client.get(row["response_url"])).json()["runner"])
        assert len(made) == 1


@pytest.mark.proof
async def test_the_slot_of_a_cancelled_call_stays_taken_until_it_really_ends(
    tmp_path: Path,
) -> None:
    async with machine(tmp_path) as here:
        await here.deploy(await release_of(tmp_path, max_concurrency=1))
        asked = {"prompt": "x", "sleep": 1.5}
        with anyio.fail_after(60):
            first = (await here.client.post(QUEUE, json=asked)).json()
            while (await here.client.get(first["status_url"])).json()["status"] == "IN_QUEUE":
                await anyio.sleep(0.01)
            begun = time.monotonic()
            assert (await here.client.put(first["cancel_url"])).status_code == 202
            assert (await ended(here.client, first))["error_type"] == "client_cancelled"
            assert time.monotonic() - begun < 0.5
            second = (await here.client.post(QUEUE, json={"prompt": "y"})).json()
            await ended(here.client, second)
        assert time.monotonic() - begun > 1.0
