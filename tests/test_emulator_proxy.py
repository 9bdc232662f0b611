"""Calls from pages: the JavaScript client's proxy, origins, and what browsers ask first."""

import json
from pathlib import Path

import anyio
import httpx
import pytest

from tests.emulated import BASE, FLUX, SMALL, emulated

NO_KEY = {"authorization": ""}
PAGE = "http://localhost:3000"


@pytest.mark.parametrize("path", ["/proxy", "/api/fal/proxy", "/proxy/"])
async def test_a_page_without_a_key_runs_and_queues_through_the_proxy(
    tmp_path: Path, path: str
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            del client.headers["authorization"]

            async def through(method: str, url: str, **more: object) -> httpx.Response:
                headers = {"x-fal-target-url": url, "cookie": "a=b"}
                return await client.request(method, path, headers=headers, **more)  # pyright: ignore[reportArgumentType]  # as given

            output = await through("POST", f"https://fal.run/{FLUX}", json=SMALL)
            assert output.status_code == 200
            assert output.json()["images"][0]["url"].startswith(f"{BASE}/cdn/")
            queue = f"https://queue.fal.run/{FLUX}"
            told = (await through("POST", queue, json=SMALL)).json()
            app = f"https://queue.fal.run/fal-ai/flux/requests/{told['request_id']}"
            while (status := await through("GET", f"{app}/status?logs=1")).status_code == 202:
                await anyio.sleep(0.01)
            assert status.json()["logs"]
            assert (await through("GET", app)).json()["images"]
            again = await through("GET", told["response_url"])
            assert again.json()["images"]


async def test_uploads_and_tokens_go_through_the_proxy_too(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            target = "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3"
            told = await client.post(
                "/proxy",
                json={"file_name": "a.txt", "content_type": "text/plain"},
                headers={**NO_KEY, "x-fal-target-url": target},
            )
            # An empty key is the caller's own word; the emulator's is for those who say none.
            assert told.status_code == 401
            del client.headers["authorization"]
            for url in (target, "https://rest.alpha.fal.ai/tokens/"):
                answer = await client.post(
                    "/proxy", json={"allowed_apps": ["flux"]}, headers={"x-fal-target-url": url}
                )
                assert answer.status_code == 200


async def test_a_stream_comes_through_the_proxy_event_by_event(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            headers = {"x-fal-target-url": f"https://fal.run/{FLUX}/stream"}
            async with client.stream("POST", "/proxy", json=SMALL, headers=headers) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                events = [line async for line in answer.aiter_lines() if line]
            assert len(events) > 1
            assert json.loads(events[-1].removeprefix("data: "))["images"]


@pytest.mark.parametrize(
    ("target", "status", "words"),
    [
        (None, 400, "Missing the x-fal-target-url header"),
        ("https://evil.example/fal-ai/flux", 412, "Invalid x-fal-target-url header"),
        ("https://fal.run.evil.example/x", 412, "Invalid x-fal-target-url header"),
        ("https://evil.example/https://fal.run/x", 412, "Invalid x-fal-target-url header"),
        ("https://user@evil.example:443/fal.run", 412, "Invalid x-fal-target-url header"),
        ("file://fal.run/etc/passwd", 412, "Invalid x-fal-target-url header"),
        (f"{BASE}/_emulator/faults", 412, "Invalid x-fal-target-url header"),
        (f"{BASE}/proxy", 412, "Invalid x-fal-target-url header"),
        ("https://[fal.run", 412, "Invalid x-fal-target-url header"),
    ],
)
async def test_a_target_that_is_not_of_fal_is_refused(
    tmp_path: Path, target: str | None, status: int, words: str
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            headers = {} if target is None else {"x-fal-target-url": target}
            answer = await client.post("/proxy", json=SMALL, headers=headers)
            assert (answer.status_code, answer.json()) == (status, words)


async def test_a_page_of_this_machine_may_call_and_read_what_clients_look_for(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            asks = {
                "origin": PAGE,
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization,x-fal-target-url",
                "access-control-request-private-network": "true",
            }
            first = await client.options(f"/queue/{FLUX}", headers={**asks, **NO_KEY})
            assert first.status_code == 204
            assert first.headers["access-control-allow-origin"] == PAGE
            assert first.headers["access-control-allow-headers"] == "authorization,x-fal-target-url"
            assert "PUT" in first.headers["access-control-allow-methods"]
            assert first.headers["access-control-allow-private-network"] == "true"
            for path, status in ((f"/queue/{FLUX}", 200), ("/queue/fal-ai/nothing", 404)):
                answer = await client.post(path, json={}, headers={"origin": PAGE})
                assert answer.status_code == status
                assert answer.headers["access-control-allow-origin"] == PAGE
                assert answer.headers["vary"] == "origin"
                assert "x-fal-request-id" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (PAGE, 200),
        ("https://127.0.0.1", 200),
        ("http://[::1]:8080", 200),
        ("http://shop.localhost:3000", 200),
        ("https://app.example", 200),
        ("https://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("http://192.168.1.5", 403),
        ("null", 403),
        ("file://localhost", 403),
    ],
)
async def test_pages_of_other_machines_may_not_unless_they_are_named(
    tmp_path: Path, origin: str, status: int
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path, origins=["https://app.example/"]) as client:
            answer = await client.get("/_emulator/counts", headers={"origin": origin})
            assert answer.status_code == status
            assert ("access-control-allow-origin" in answer.headers) == (status == 200)


async def test_a_client_that_is_no_page_gets_no_words_for_browsers(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            answer = await client.get("/_emulator/counts")
            assert not [name for name in answer.headers if name.startswith("access-control")]
