import base64
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from PIL import Image

from server.emulator import direct
from tests.emulated import BASE, FLUX, SMALL, emulated, left_waiting

WORDS = "fal-ai/any-llm"
FILM = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video"
NO_KEY = {"authorization": ""}


async def events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


async def streamed(
    client: httpx.AsyncClient, endpoint_id: str, body: Any, **more: Any
) -> list[dict[str, Any]]:
    async with client.stream("POST", f"/run/{endpoint_id}/stream", json=body, **more) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-fal-request-id"]
        return [event async for event in events(answer)]


async def test_a_picture_grows_sharper_and_the_last_event_is_the_whole_output(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            body = {**SMALL, "image_size": {"width": 320, "height": 200}, "seed": 4}
            *looks, last = await streamed(client, FLUX, body)
            whole = (await client.post(f"/run/{FLUX}", json=body)).json()
            assert last.keys() == whole.keys()
            assert last["images"][0]["url"].startswith(f"{BASE}/cdn/files/b/")
            made = [(await client.get(one["images"][0]["url"])).content for one in (last, whole)]
            assert made[0] == made[1]
    assert len(looks) >= 2
    sizes: list[int] = []
    for look in looks:
        assert look["seed"] == 4
        (image,) = look["images"]
        assert (image["width"], image["height"]) == (320, 200)
        content = base64.b64decode(image["url"].removeprefix("data:image/jpeg;base64,"))
        sizes.append(len(content))
        with Image.open(io.BytesIO(content)) as picture:
            assert picture.size == (256, 160)
            assert b"preview" in picture.info["comment"]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == len(sizes)


async def test_a_text_grows_and_every_part_begins_the_whole(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            *parts, last = await streamed(client, WORDS, {"prompt": "tell me of the sea"})
    assert len(parts) >= 2
    assert all(last["output"].startswith(part["output"]) for part in parts)
    assert len({len(part["output"]) for part in (*parts, last)}) == len(parts) + 1


@pytest.mark.proof
async def test_of_a_film_there_is_nothing_to_show_before_it_is_whole(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with emulated(tmp_path) as client:
            *parts, last = await streamed(client, FILM, {"prompt": "rain"})
    assert parts
    assert all("video" not in part for part in parts)
    assert last["video"]["url"].startswith(f"{BASE}/cdn/")


async def test_an_endpoint_whose_own_name_ends_in_stream_streams(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            name = "fal-ai/flux-lora/stream"
            async with client.stream("POST", f"/run/{name}", json=SMALL) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                assert len([event async for event in events(answer)]) > 1
            assert (await client.post(f"/queue/{name}", json=SMALL)).status_code == 200


async def test_what_fails_before_the_first_event_is_answered_as_on_run(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            url = f"/run/{FLUX}/stream"
            wrong = await client.post(url, json={"num_images": 99})
            same = await client.post(f"/run/{FLUX}", json={"num_images": 99})
            assert (wrong.status_code, wrong.json()) == (422, same.json())
            assert wrong.headers["x-fal-billable-units"] == "0"
            assert (await client.post("/run/fal-ai/nothing/stream", json={})).status_code == 404
            assert (await client.post(url, json=SMALL, headers=NO_KEY)).status_code == 401
            flagged = await client.post(url, json=SMALL, headers={"x-emulator-fault": "moderation"})
            assert flagged.status_code == 422
            assert flagged.json()["detail"][0]["type"] == "content_policy_violation"
            assert (await client.get(url)).status_code == 405


async def test_a_token_opens_a_stream_of_the_applications_it_was_made_for_and_no_other(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            for path, body in (
                ("/rest/tokens/", {"allowed_apps": ["flux"], "token_expiration": 60}),
                ("/rest/tokens/realtime", {"allowed_apps": [FLUX], "duration": 60}),
                ("/rest/tokens/realtime", {"allowed_apps": [f"{FLUX}/stream"], "duration": 60}),
            ):
                told = (await client.post(path, json=body)).json()
                token = told if isinstance(told, str) else told["token"]
                given: dict[str, Any] = {
                    "params": {"fal_jwt_token": token},
                    "headers": NO_KEY,
                }
                assert await streamed(client, FLUX, SMALL, **given)
                other = await client.post(f"/run/{WORDS}/stream", json={"prompt": "x"}, **given)
                assert other.status_code == 401
            forged = {"fal_jwt_token": f"{token[:-1]}{'0' if token[-1] != '0' else '1'}"}
            refused = await client.post(
                f"/run/{FLUX}/stream", json=SMALL, params=forged, headers=NO_KEY
            )
            assert refused.status_code == 401


async def test_a_token_ends(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            body = {"allowed_apps": ["flux"], "token_expiration": 0.001}
            token = (await client.post("/rest/tokens/", json=body)).json()
            given: dict[str, Any] = {"params": {"fal_jwt_token": token}, "headers": NO_KEY}
            while (await client.post(f"/run/{FLUX}/stream", json={}, **given)).status_code != 401:
                continue


async def test_a_token_names_the_applications_it_is_for(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            for apps in (None, "flux", [""], ["a b"]):
                answer = await client.post("/rest/tokens/", json={"allowed_apps": apps})
                assert answer.status_code == 422, apps


async def test_a_stream_that_takes_long_is_kept_open_by_comments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "PING_SECONDS", 0.02)
    with anyio.fail_after(20):
        async with (
            emulated(tmp_path, speed=1) as client,
            client.stream("POST", f"/run/{FLUX}/stream", json=SMALL) as answer,
        ):
            lines = [line async for line in answer.aiter_lines() if line]
    assert lines.count(": still here") > 3
    assert json.loads(lines[-1].removeprefix("data: "))["images"]


async def test_a_reader_who_leaves_cancels_the_request(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path, speed=0.05) as client:
            async with client.stream("POST", f"/run/{FLUX}/stream", json=SMALL) as answer:
                await anext(events(answer))
            while (await client.get("/_emulator/counts")).json()["requests"] != {"COMPLETED": 1}:
                await anyio.sleep(0.01)
            items = (
                await client.get(
                    "/api/v1/models/requests/by-endpoint", params={"endpoint_id": FLUX}
                )
            ).json()["items"]
            assert [item["status_code"] for item in items] == [499]


@pytest.mark.parametrize("fault", ["stuck", "slow=5"])
async def test_a_reader_who_leaves_before_the_first_event_cancels_too(
    tmp_path: Path, fault: str
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            await left_waiting(client, f"/run/{FLUX}/stream", **{"x-emulator-fault": fault})
            while (await client.get("/_emulator/counts")).json()["requests"] != {"COMPLETED": 1}:
                await anyio.sleep(0.01)
