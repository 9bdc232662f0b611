"""What the platform tries again by itself, and what the headers of a request change about it."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.emulated import FLUX, SMALL, emulated, over, submitted
from tests.test_emulator_processes import FILM, children


def fault(kind: str, attempts: int | None = None) -> dict[str, str]:
    return {"x-emulator-fault": kind if attempts is None else f"{kind}={attempts}"}


def attempts(status: dict[str, Any]) -> int:
    """How many attempts a finished request took, as its log has it."""
    return 1 + sum("trying again" in log["message"] for log in status["logs"])


async def ended(client: httpx.AsyncClient, **headers: str) -> tuple[dict[str, Any], httpx.Response]:
    told = await submitted(client, **headers)
    status = await over(client, told["status_url"])
    return status, await client.get(told["response_url"])


@pytest.mark.parametrize("kind", ["runner_502", "runner_503", "runner_504", "runner_lost"])
async def test_a_runner_that_cannot_answer_is_tried_again_until_it_can(
    tmp_path: Path, kind: str
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            status, result = await ended(client, **fault(kind, 2))
            assert attempts(status) == 3
            assert "error" not in status
            assert result.status_code == 200
            assert (await client.get("/_emulator/counts")).json()["submits"] == {FLUX: 1}


async def test_it_is_tried_ten_times_in_all(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            status, result = await ended(client, **fault("runner_503"))
            assert attempts(status) == 10
            assert status["error_type"] == "runner_scheduling_failure"
            assert result.status_code == 503
            assert result.headers["x-fal-needs-retry"] == "1"


@pytest.mark.parametrize(
    ("kind", "tries"), [("runner_500", 1), ("moderation", 1), ("runner_needs_retry", 10)]
)
async def test_a_failure_of_the_application_is_final_unless_it_asks_for_another_attempt(
    tmp_path: Path, kind: str, tries: int
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            status, result = await ended(client, **fault(kind))
            assert attempts(status) == tries
            assert ("x-fal-needs-retry" in result.headers) == (tries > 1)
            assert result.headers["x-fal-retryable"] == ("true" if tries > 1 else "false")


@pytest.mark.parametrize("word", ["1", "true", "YES"])
async def test_a_caller_may_forbid_it(tmp_path: Path, word: str) -> None:
    config = json.dumps({"server_error": {"retries": 5}})
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            headers = {"x-fal-no-retry": word, "x-fal-retry-config": config}
            status, result = await ended(client, **fault("runner_503"), **headers)
            assert (attempts(status), result.status_code) == (1, 503)


@pytest.mark.parametrize(
    ("config", "kind", "tries"),
    [
        ('{"server_error": {"retries": 2}}', "runner_503", 3),
        ('{"server_error": {"retries": 2}}', "runner_504", 10),
        ('{"timeout": {"retries": 0}}', "runner_504", 1),
        ('{"connection_error": {"retries": 1}}', "runner_lost", 2),
        ('{"server_error": {"retries": 50}}', "runner_503", 10),
        ("{", "runner_503", 10),
        ('{"server_error": {"retries": -1}, "timeout": 3}', "runner_503", 10),
        ("[]", "runner_503", 10),
    ],
)
async def test_a_caller_may_say_how_often_for_each_kind_of_trouble(
    tmp_path: Path, config: str, kind: str, tries: int
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            status, _ = await ended(client, **fault(kind), **{"x-fal-retry-config": config})
            assert attempts(status) == tries


async def test_a_direct_call_gets_one_attempt(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            answer = await client.post(f"/run/{FLUX}", json=SMALL, headers=fault("runner_503", 1))
            assert answer.status_code == 503
            assert answer.headers["x-fal-error-type"] == "runner_scheduling_failure"


async def test_between_attempts_it_waits_in_the_queue_ever_longer_and_the_deadline_holds(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path, speed=5) as client:
            headers = {**fault("runner_503"), "x-fal-request-timeout": "1.5"}
            told = await submitted(client, **headers)
            waiting = 0
            status: dict[str, Any] = {"status": ""}
            while status["status"] != "COMPLETED":
                status = (await client.get(told["status_url"], params={"logs": "1"})).json()
                waiting += status["status"] == "IN_QUEUE"
            assert waiting > 3
            assert status["error_type"] == "startup_timeout"
            assert 2 <= attempts(status) < 10
            result = await client.get(told["response_url"])
            assert result.headers["x-fal-request-timeout-type"] == "user"
            assert "x-fal-needs-retry" not in result.headers


@pytest.mark.proof
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_a_request_whose_drawing_process_dies_is_drawn_again(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with emulated(tmp_path) as client:
            told = await submitted(client, FILM, {"prompt": "x", "duration": "10"})
            while not (
                workers := [
                    pid
                    for pid in children(os.getpid())
                    if b"emulator.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
                ]
            ):
                await anyio.sleep(0.01)
            os.kill(workers[0], signal.SIGKILL)
            status = await over(client, told["status_url"])
            assert "error" not in status
            assert attempts(status) == 2


GOOD = "team=a.b, cost_center=42,x-1="


@pytest.mark.parametrize(
    "tags",
    [
        "team",
        "Team=a",
        "fal.team=a",
        "=a",
        f"{'k' * 65}=a",
        f"a={'v' * 257}",
        ",".join(f"k{number}=v" for number in range(11)),
        ",".join(f"k{number}={'v' * 200}" for number in range(6)),
    ],
    ids=["no value", "capitals", "reserved", "no key", "long key", "long value", "many", "large"],
)
async def test_tags_keep_to_the_rules(tmp_path: Path, tags: str) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            answer = await client.post(f"/queue/{FLUX}", json=SMALL, headers={"x-fal-tags": tags})
            assert (answer.status_code, answer.json()["error_type"]) == (400, "bad_request")
            assert answer.json()["detail"].startswith("X-Fal-Tags: ")
            assert (await client.get("/_emulator/counts")).json()["submits"] == {}
            fine = {"x-fal-tags": GOOD, "x-app-fal-disable-fallback": "true"}
            assert (await submitted(client, body={}, **fine))["request_id"]
