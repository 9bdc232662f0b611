import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest

from catalog.index import CatalogIndex
from server.emulator.platform import open_emulator
from server.emulator.serve import exports, serve
from tests.emulated import FLUX, KEY, SMALL, over, submitted


@asynccontextmanager
async def served(folder: Path) -> AsyncGenerator[httpx.AsyncClient]:
    async with (
        open_emulator(folder, CatalogIndex.open(), speed=0) as app,
        anyio.create_task_group() as tasks,
    ):
        port = await tasks.start(serve, app, 0)
        base = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=base, headers=KEY, timeout=20) as client:
            yield client
        tasks.cancel_scope.cancel()


async def test_every_address_in_an_answer_points_back_to_the_port(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with served(tmp_path) as client:
            told = await submitted(client)
            for name in ("status_url", "response_url", "cancel_url"):
                assert told[name].startswith(f"{client.base_url}/queue/fal-ai/flux/requests/")
            await over(client, told["status_url"])
            (image,) = (await client.get(told["response_url"])).json()["images"]
            assert image["url"].startswith(f"{client.base_url}/cdn/files/b/")
            assert (await client.get(image["url"])).status_code == 200


async def test_answers_do_not_wait_for_the_other_side_to_acknowledge_their_first_half(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(20):
        async with served(tmp_path) as client:
            began = anyio.current_time()
            for _ in range(30):  # 40 ms each, if they did
                await client.get("/_emulator/clock")
            assert anyio.current_time() - began < 0.8


async def test_a_request_that_names_another_host_is_refused(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with served(tmp_path) as client:
            for host, status in (
                ("evil.example", 421),
                ("127.0.0.1.evil.example", 421),
                ("192.168.1.5:80", 421),
                ("localhost:1", 200),
                ("[::1]:1", 200),
            ):
                answer = await client.get("/_emulator/counts", headers={"host": host})
                assert answer.status_code == status, host


@pytest.mark.parametrize("fault", ["drop", "drop_before", "truncated_file"])
async def test_a_dropped_connection_is_dropped_on_the_socket_too(
    tmp_path: Path, fault: str
) -> None:
    with anyio.fail_after(20):
        async with served(tmp_path) as client:
            body = {"fault": fault, "on": "any"}
            assert (await client.post("/_emulator/faults", json=body)).status_code == 200
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                await client.post(f"/queue/{FLUX}", json=SMALL)
            accepted = (await client.get("/_emulator/counts")).json()["submits"]
            assert accepted == ({} if fault == "drop_before" else {FLUX: 1})


async def test_an_open_stream_does_not_keep_the_server_from_ending(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with served(tmp_path) as client:
            told = await submitted(client, **{"x-emulator-fault": "stuck"})
            answer = await client.send(
                client.build_request("GET", f"{told['status_url']}/stream"), stream=True
            )
            lines = answer.aiter_lines()
            assert (await anext(lines)).startswith("data: ")
            await answer.aclose()


async def test_only_loopback_is_served() -> None:
    async def app(*_: object) -> None:
        raise AssertionError("nothing is served")

    with pytest.raises(ValueError, match=r"0\.0\.0\.0"):
        await serve(app, 0, "0.0.0.0")  # noqa: S104  # it is refused


async def test_a_port_that_is_taken_is_said_so() -> None:
    async def app(*_: object) -> None:
        raise AssertionError("nothing is served")

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            await serve(app, taken.getsockname()[1])


def test_the_exports_name_every_host_of_the_released_client() -> None:
    words = exports(8123)
    for name in (
        "RUN_URL_FORMAT",
        "QUEUE_URL_FORMAT",
        "REALTIME_URL_FORMAT",
        "REST_URL",
        "CDN_URL",
    ):
        assert f"fal.{name} = " in words
    assert words.count("127.0.0.1:8123") >= 6
    assert "requestMiddleware" in words


async def test_the_bare_address_says_what_it_is_and_where_its_routes_are(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with served(tmp_path) as client:
            for path in ("/", "/_emulator", "/_emulator/"):
                told = await client.get(path, follow_redirects=True)
                assert told.status_code == 200
                assert told.headers["content-type"].startswith("text/plain")
                assert "not fal" in told.text
                asked = {"accept": "application/json"}
                routes = (await client.get(path, headers=asked, follow_redirects=True)).json()
                assert [line.split()[0] for line in told.text.splitlines()[3:]] == [
                    *routes["routes"]
                ]
            controls = (await client.get("/_emulator", headers=asked)).json()["routes"]
            for path in controls:  # 405 where GET is not among what it hears
                assert (await client.get(path)).status_code in (200, 405)
