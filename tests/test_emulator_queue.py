import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from catalog.index import CatalogIndex
from server.emulator.platform import open_emulator
from server.emulator.transport import StreamingASGITransport
from tests.emulated import BASE, FLUX, KEY, SMALL, emulated, left_waiting, over, submitted

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
STUCK = {"x-emulator-fault": "stuck"}


async def events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


async def test_a_request_goes_from_the_queue_to_its_result(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            answer = await client.post(f"/queue/{FLUX}", json=SMALL)
            told = answer.json()
            request_id = told["request_id"]
            url = f"{BASE}/queue/fal-ai/flux/requests/{request_id}"
            assert UUID.match(request_id)
            assert answer.headers["x-fal-request-id"] == request_id
            assert told == {
                "status": "IN_QUEUE",
                "request_id": request_id,
                "response_url": url,
                "status_url": f"{url}/status",
                "cancel_url": f"{url}/cancel",
                "queue_position": 0,
            }

            status = await over(client, told["status_url"])
            assert status["metrics"]["inference_time"] > 0
            assert [log["message"][:4] for log in status["logs"]] == [
                " 20%", " 40%", " 60%", " 80%", "100%",
            ]  # fmt: skip
            assert set(status["logs"][0]) == {"timestamp", "level", "source", "message"}
            assert set(status) == {*told, "logs", "metrics"} - {"queue_position"}

            result = await client.get(told["response_url"])
            assert result.status_code == 200
            assert result.headers["x-fal-request-id"] == request_id
            assert float(result.headers["x-fal-billable-units"]) > 0
            (image,) = result.json()["images"]
            assert re.match(rf"{BASE}/cdn/files/b/[0-9a-f]{{8}}/[^/]+\Z", image["url"])
            assert (image["width"], image["height"]) == (64, 64)
            file = await client.get(image["url"])
            assert file.content.startswith(b"\xff\xd8")
            assert len(file.content) == image["file_size"]
            assert file.headers["content-type"] == image["content_type"] == "image/jpeg"


async def test_status_is_202_until_it_is_over_and_says_each_state_as_clients_expect(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path, concurrency=1) as client:
            first = await submitted(client, **STUCK)
            second = await submitted(client)
            assert second["queue_position"] in (0, 1)  # the first may not have been claimed yet
            while True:
                running = await client.get(first["status_url"])
                if running.json()["status"] == "IN_PROGRESS":
                    break
            assert running.status_code == 202
            assert running.json()["logs"] is None
            assert (await client.get(f"{first['status_url']}?logs=true")).json()["logs"] == []
            waiting = await client.get(second["status_url"])
            assert (waiting.status_code, waiting.json()["queue_position"]) == (202, 0)
            assert "logs" not in waiting.json()
            early = await client.get(second["response_url"])
            assert early.status_code == 400
            assert early.json() == {"detail": "Request is still in progress"}

            cancelled = await client.put(first["cancel_url"])
            assert cancelled.status_code == 202
            assert cancelled.json() == {"status": "CANCELLATION_REQUESTED"}
            assert (await over(client, second["status_url"])).get("error") is None
            assert (await client.get(second["status_url"])).status_code == 200


async def test_a_cancelled_request_ends_as_cancelled_by_the_client(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            told = await submitted(client, **STUCK)
            assert (await client.put(told["cancel_url"])).status_code == 202
            status = await over(client, told["status_url"])
            assert status["error_type"] == "client_cancelled"
            result = await client.get(told["response_url"])
            assert result.status_code == 499
            assert result.json()["error_type"] == "client_cancelled"
            assert result.headers["x-fal-error-type"] == "client_cancelled"
            assert result.headers["x-fal-billable-units"] == "0"
            again = await client.put(told["cancel_url"])
            assert (again.status_code, again.json()) == (400, {"status": "ALREADY_COMPLETED"})


async def test_an_input_that_does_not_fit_is_accepted_and_refused_by_the_runner(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            body = {"num_images": 9, "output_format": "bmp", "seed": "x"}
            told = await submitted(client, body=body)
            status = await over(client, told["status_url"])
            assert status["error"] == "prompt: Field required"
            assert status["error_type"] == "missing"
            result = await client.get(told["response_url"])
            assert result.status_code == 422
            assert result.headers["x-fal-billable-units"] == "0"
            assert result.json() == {
                "detail": [
                    {
                        "loc": ["body", "prompt"],
                        "msg": "Field required",
                        "type": "missing",
                        "input": body,
                    },
                    {
                        "loc": ["body", "seed"],
                        "msg": "Input should be a valid integer, "
                        "unable to parse string as an integer",
                        "type": "int_parsing",
                        "input": "x",
                    },
                    {
                        "loc": ["body", "num_images"],
                        "msg": "Input should be less than or equal to 4",
                        "type": "less_than_equal",
                        "input": 9,
                        "ctx": {"le": 4},
                        "url": "https://docs.fal.ai/errors/#less_than_equal",
                    },
                    {
                        "loc": ["body", "output_format"],
                        "msg": "Input should be 'jpeg' or 'png'",
                        "type": "one_of",
                        "input": "bmp",
                        "ctx": {"expected": ["jpeg", "png"]},
                        "url": "https://docs.fal.ai/errors/#one_of",
                    },
                ]
            }


async def test_the_status_stream_tells_every_change_and_each_log_line_once(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path, speed=4) as client:
            told = await submitted(client)
            async with client.stream("GET", f"{told['status_url']}/stream?logs=1") as answer:
                assert answer.status_code == 200
                assert answer.headers["content-type"].startswith("text/event-stream")
                seen = [event async for event in events(answer)]
            states = [event["status"] for event in seen]
            assert states[0] == "IN_QUEUE"
            assert states[-1] == "COMPLETED"
            assert "IN_PROGRESS" in states
            places = [event["queue_position"] for event in seen if "queue_position" in event]
            assert places == sorted(places, reverse=True)
            assert places[0] > 0
            lines = [log["message"][:4] for event in seen for log in event.get("logs") or ()]
            assert lines == [" 20%", " 40%", " 60%", " 80%", "100%"]

            async with client.stream("GET", f"{told['status_url']}/stream") as answer:
                (last,) = [event async for event in events(answer)]
            assert (last["status"], last["logs"]) == ("COMPLETED", None)


async def test_unknown_endpoints_and_requests_are_404_in_their_own_words(tmp_path: Path) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            for host in ("queue", "run"):
                unknown = await client.post(f"/{host}/fal-ai/fluxx/dev", json=SMALL)
                assert unknown.status_code == 404
                assert unknown.json() == {"detail": 'Application "fluxx" not found'}
                lost = await client.post(f"/{host}/fal-ai/flux/devv", json=SMALL)
                assert (lost.status_code, lost.json()) == (404, {"detail": "Path /devv not found"})
                assert lost.headers["x-fal-billable-units"] == "0"
                gone = await client.post(f"/{host}/fal-ai/runway-gen3/turbo", json=SMALL)
                assert gone.status_code == 404
            url = f"/queue/fal-ai/flux/requests/{nobody}"
            assert (await client.get(url)).status_code == 404
            for answer in (await client.get(f"{url}/status"), await client.put(f"{url}/cancel")):
                assert (answer.status_code, answer.json()) == (404, {"status": "NOT_FOUND"})
            told = await submitted(client, **STUCK)
            other = told["status_url"].replace("fal-ai/flux", "fal-ai/wan")
            assert (await client.get(other)).status_code == 404
            counts = (await client.get("/_emulator/counts")).json()
            assert counts["submits"] == {FLUX: 1}


async def test_a_deprecated_endpoint_still_answers(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            told = await submitted(client, "fal-ai/any-llm", {"prompt": "hello"}, **STUCK)
            assert told["status"] == "IN_QUEUE"


@pytest.mark.parametrize(
    "form",
    ["{full}/requests/{id}", "{app}/requests/{id}/response", "{app}/requests/{id}/"],
    ids=["the full id", "a response suffix", "a slash at the end"],
)
async def test_a_result_is_found_under_every_form_that_clients_use(
    tmp_path: Path, form: str
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            told = await submitted(client, body={})
            await over(client, told["status_url"])
            path = form.format(full=FLUX, app="fal-ai/flux", id=told["request_id"])
            assert (await client.get(f"/queue/{path}")).status_code == 422


@pytest.mark.parametrize("key", ["", "Bearer a:b", "Key nocolon", "Key :x", "a:b"])
async def test_without_a_well_formed_key_nothing_is_accepted(tmp_path: Path, key: str) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            answer = await client.post(f"/queue/{FLUX}", json=SMALL, headers={"authorization": key})
            assert answer.status_code == 401
            assert answer.json()["detail"].startswith(f'Cannot access application "{FLUX}"')
            assert (await client.get("/_emulator/counts")).json()["submits"] == {}


async def test_run_answers_with_the_bare_output(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            answer = await client.post(f"/run/{FLUX}", json={**SMALL, "seed": 7, "sync_mode": True})
            assert answer.status_code == 200
            assert UUID.match(answer.headers["x-fal-request-id"])
            assert answer.headers["x-fal-billable-units"] == "1"
            assert answer.json()["seed"] == 7
            assert answer.json()["images"][0]["url"].startswith("data:image/jpeg;base64,")
            wrong = await client.post(f"/run/{FLUX}", json={})
            assert wrong.status_code == 422
            assert (await client.get(f"/run/{FLUX}")).status_code == 405
            broken = await client.post(f"/run/{FLUX}", content=b"{")
            assert (broken.status_code, broken.json()["error_type"]) == (400, "bad_request")


async def test_over_the_concurrency_a_direct_run_is_refused_and_the_queue_waits(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path, concurrency=1) as client:
            busy = await submitted(client, **STUCK)
            while (await client.get(busy["status_url"])).json()["status"] != "IN_PROGRESS":
                continue
            refused = await client.post(f"/run/{FLUX}", json=SMALL)
            assert refused.status_code == 429
            assert refused.json()["error_type"] == "concurrent_requests_limit"
            assert refused.headers["x-fal-needs-retry"] == "1"
            waiting = await submitted(client)
            assert (await client.get(waiting["status_url"])).json()["status"] == "IN_QUEUE"
            full = await client.post(f"/queue/{FLUX}?fal_max_queue_length=1", json=SMALL)
            assert full.status_code == 429


async def test_a_direct_run_whose_caller_leaves_is_cancelled(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            await left_waiting(client, f"/run/{FLUX}", **STUCK)
            while (counts := (await client.get("/_emulator/counts")).json()["requests"]) != {
                "COMPLETED": 1
            }:
                await anyio.sleep(0.01)
            assert counts == {"COMPLETED": 1}


async def test_a_start_deadline_that_passes_is_a_user_timeout(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path, concurrency=1) as client:
            await submitted(client, **STUCK)
            told = await submitted(client, **{"x-fal-request-timeout": "0.1"})
            status = await over(client, told["status_url"])
            assert status["error_type"] == "startup_timeout"
            result = await client.get(told["response_url"])
            assert result.status_code == 504
            assert result.headers["x-fal-request-timeout-type"] == "user"


async def test_low_priority_yields_to_what_comes_later(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path, concurrency=1) as client:
            busy = await submitted(client, **STUCK)
            while (await client.get(busy["status_url"])).json()["status"] != "IN_PROGRESS":
                continue
            low = await submitted(client, **{"x-fal-queue-priority": "low"})
            await submitted(client)
            assert (await client.get(low["status_url"])).json()["queue_position"] == 1


async def test_the_same_seed_makes_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    made: list[bytes] = []
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            for seed in (5, 5, 6):
                output = (await client.post(f"/run/{FLUX}", json={**SMALL, "seed": seed})).json()
                made.append((await client.get(output["images"][0]["url"])).content)
    assert made[0] == made[1] != made[2]


async def test_a_new_account_has_two_at_once_the_queue_waits_and_a_direct_run_is_refused(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(20):
        async with (
            open_emulator(tmp_path, CatalogIndex.open(), speed=0) as app,
            StreamingASGITransport(app) as transport,
            httpx.AsyncClient(transport=transport, base_url=BASE, headers=KEY) as client,
        ):
            busy = [await submitted(client, **STUCK) for _ in range(2)]
            for one in busy:
                while (await client.get(one["status_url"])).json()["status"] == "IN_QUEUE":
                    await anyio.sleep(0.01)
            third = await submitted(client)
            refused = await client.post(f"/run/{FLUX}", json=SMALL)
            waits = (await client.get(third["status_url"])).json()
            await client.put(busy[0]["cancel_url"])
            done = await over(client, third["status_url"])

    assert (waits["status"], waits["queue_position"]) == ("IN_QUEUE", 0)
    assert refused.status_code == 429
    assert refused.headers["x-fal-needs-retry"] == "1"
    assert refused.json()["error_type"] == "concurrent_requests_limit"
    assert done["status"] == "COMPLETED"
