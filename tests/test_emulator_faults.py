import sqlite3
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.emulated import FLUX, SMALL, emulated, over, submitted


async def ask_for(client: httpx.AsyncClient, **fault: Any) -> None:
    answer = await client.post("/_emulator/faults", json=fault)
    assert answer.status_code == 200, answer.text


async def submits(client: httpx.AsyncClient) -> int:
    return (await client.get("/_emulator/counts")).json()["submits"].get(FLUX, 0)


@pytest.mark.parametrize(
    ("fault", "status", "error_type", "accepted"),
    [
        ("429", 429, "concurrent_requests_limit", 0),
        ("500", 500, "internal_error", 0),
        ("503", 503, "runner_scheduling_failure", 0),
        ("locked", 403, None, 0),
    ],
)
async def test_a_failure_of_the_platform_strikes_as_often_as_asked(
    tmp_path: Path, fault: str, status: int, error_type: str | None, accepted: int
) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            await ask_for(client, fault=fault, times=2)
            for _ in range(2):
                answer = await client.post(f"/queue/{FLUX}", json={})
                assert answer.status_code == status
                assert answer.json().get("error_type") == error_type
                assert "x-fal-request-id" in answer.headers
                assert "retry-after" not in answer.headers
            assert await submits(client) == accepted
            assert (await client.post(f"/queue/{FLUX}", json={})).status_code == 200


async def test_429_may_say_when_to_come_back(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            await ask_for(client, fault="429", seconds=2)
            answer = await client.post(f"/queue/{FLUX}", json={})
            assert answer.headers["retry-after"] == "2"


async def test_a_lost_answer_belongs_to_a_request_that_was_accepted(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            await ask_for(client, fault="drop")
            with pytest.raises(httpx.RemoteProtocolError):
                await client.post(f"/queue/{FLUX}", json={"prompt": "lost"})
            assert await submits(client) == 1
            await ask_for(client, fault="drop_before")
            with pytest.raises(httpx.RemoteProtocolError):
                await client.post(f"/queue/{FLUX}", json={"prompt": "never there"})
            assert await submits(client) == 1


async def test_the_ingress_page_names_nginx_and_carries_no_request_id(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            told = await submitted(client, body={})
            await over(client, told["status_url"])
            await ask_for(client, fault="result_504")
            page = await client.get(told["response_url"])
            assert page.status_code == 504
            assert "nginx" in page.text
            assert "x-fal-request-id" not in page.headers
            assert (await client.get(told["response_url"])).status_code == 422


async def test_half_a_body_is_no_json(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            answer = await client.post(
                f"/queue/{FLUX}", json={}, headers={"x-emulator-fault": "bad_json"}
            )
            assert answer.status_code == 200
            with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
                answer.json()
            assert await submits(client) == 1


async def test_moderation_refuses_the_content_at_its_field(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            answer = await client.post(
                f"/run/{FLUX}", json=SMALL, headers={"x-emulator-fault": "moderation"}
            )
            assert answer.status_code == 422
            (detail,) = answer.json()["detail"]
            assert detail["type"] == "content_policy_violation"
            assert detail["loc"] == ["body", "prompt"]


async def test_downloads_expire_and_break_off(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            output = (await client.post(f"/run/{FLUX}", json=SMALL)).json()
            url = output["images"][0]["url"]
            await ask_for(client, fault="expired_file")
            assert (await client.get(url)).status_code == 404
            await ask_for(client, fault="truncated_file")
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(url)
            assert (await client.get(url)).status_code == 200


async def test_a_slow_runner_takes_the_seconds_it_was_given(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            told = await submitted(client, **{"x-emulator-fault": "slow=0.3"})
            status = await over(client, told["status_url"])
            assert status["metrics"]["inference_time"] >= 0.3


async def test_a_fault_may_be_for_one_endpoint_and_one_place(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            await ask_for(client, fault="503", on="status", endpoint_id=FLUX)
            told = await submitted(client, "fal-ai/flux/schnell", {})
            listed = (await client.get("/_emulator/faults")).json()["faults"]
            assert [(fault["fault"], fault["on"]) for fault in listed] == [("503", "status")]
            assert (await client.get(told["response_url"])).status_code != 503
            assert (await client.get(told["status_url"])).status_code == 503
            assert (await client.delete("/_emulator/faults")).json() == {"faults": []}


async def test_an_unknown_fault_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            answer = await client.post("/_emulator/faults", json={"fault": "fire"})
            assert answer.status_code == 400
            assert "truncated_file" in answer.json()["detail"]


async def test_the_clock_is_turned_while_it_goes(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path, speed=0.01) as client:
            answer = await client.post("/_emulator/clock", json={"speed": 0})
            assert answer.json() == {"speed": 0}
            told = await submitted(client)
            assert (await over(client, told["status_url"]))["metrics"]["inference_time"] < 10
            wrong = await client.post("/_emulator/clock", json={"speed": -1})
            assert wrong.status_code == 400


async def test_a_mistake_of_the_platform_is_a_500_in_its_own_shape_and_ends_nothing(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            other = sqlite3.connect(tmp_path / "emulator.db")
            other.execute("ALTER TABLE counts RENAME TO hidden")
            broken = await client.post(f"/queue/{FLUX}", json={})
            assert broken.status_code == 500
            assert broken.json()["error_type"] == "internal_error"
            other.execute("ALTER TABLE hidden RENAME TO counts")
            other.close()
            assert await submits(client) == 0
            told = await submitted(client, body={})
            assert (await over(client, told["status_url"]))["error_type"] == "missing"


@pytest.mark.proof  # the platform tries it again, with growing pauses
async def test_a_store_that_cannot_be_written_ends_a_request_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with anyio.fail_after(60):
        async with emulated(tmp_path) as client:
            other = sqlite3.connect(tmp_path / "emulator.db")
            other.execute("ALTER TABLE logs RENAME TO hidden")
            other.execute("CREATE VIEW logs AS SELECT * FROM hidden")  # can be read alone
            told = await submitted(client)
            ended = await over(client, told["status_url"])
            other.close()
    assert "store cannot be written" in ended["error"]
    assert all(one.exc_info is None for one in caplog.records)


async def test_a_clock_that_goes_wrong_shows_in_every_time_that_is_told(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            told = await submitted(client)
            true = await over(client, told["status_url"])
            wrong = {"x-emulator-fault": "clock_skew=-7200"}
            answer = await client.get(f"{told['status_url']}?logs=1", headers=wrong)

            behind = datetime.now(UTC) - parsedate_to_datetime(answer.headers["date"])
            assert 7190 < behind.total_seconds() < 7210
            ((first, later),) = [(true["logs"][0], answer.json()["logs"][0])]
            gap = instant(first["timestamp"]) - instant(later["timestamp"])
            assert gap.total_seconds() == 7200

            await ask_for(client, fault="clock_skew", on="other", seconds=-7200)
            token = (await client.post("/rest/storage/auth/token", json={})).json()
            lasts = datetime.fromisoformat(token["expires_at"]) - datetime.now(UTC)
            again = (await client.post("/rest/storage/auth/token", json={})).json()
            honest = datetime.fromisoformat(again["expires_at"]) - datetime.now(UTC)
            assert 7190 < (honest - lasts).total_seconds() < 7210


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
