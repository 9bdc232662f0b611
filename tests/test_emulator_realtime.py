"""Realtime, raw sockets and HTTP over WebSocket: by the released client, and frame by frame."""

import io
import json
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import fal_client
import fal_client.client
import httpx
import msgpack  # pyright: ignore[reportMissingTypeStubs]  # it has none
import pytest
import websockets
from PIL import Image
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosedOK, InvalidStatus

from catalog.index import CatalogIndex
from server.emulator.platform import open_emulator
from server.emulator.serve import serve
from tests.emulated import FLUX, SMALL

KEY = {"authorization": "Key emulator:local"}
WORDS = "fal-ai/any-llm"
KLEIN = "fal-ai/flux-2/klein/realtime"
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFUlEQVR4nGP8z8DAwMDAxAAD"
    "CBYAHQoCAwJ1Nq0AAAAASUVORK5CYII="
)
packer: Any = msgpack


@asynccontextmanager
async def serving(folder: Path, **options: Any) -> AsyncGenerator[int]:
    async with (
        open_emulator(folder, CatalogIndex.open(), speed=0, **options) as app,
        anyio.create_task_group() as tasks,
    ):
        yield await tasks.start(serve, app, 0)
        tasks.cancel_scope.cancel()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serving(tmp_path_factory.mktemp("fal"))) as port,
    ):
        yield port


@pytest.fixture(autouse=True)
def pointed_here(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    base = f"http://127.0.0.1:{port}"
    for name, value in {
        "RUN_URL_FORMAT": f"{base}/run/",
        "REALTIME_URL_FORMAT": f"ws://127.0.0.1:{port}/run/",
        "REST_URL": f"{base}/rest",
    }.items():
        monkeypatch.setattr(fal_client.client, name, value)


@pytest.fixture
def client() -> Generator[fal_client.SyncClient]:
    client = fal_client.SyncClient(key="emulator:local")
    yield client
    client._client.close()  # pyright: ignore[reportPrivateUsage]  # it has no way to be closed


@asynccontextmanager
async def asynchronous() -> AsyncGenerator[fal_client.AsyncClient]:
    client = fal_client.AsyncClient(key="emulator:local")
    yield client
    await (await client._client).aclose()  # pyright: ignore[reportPrivateUsage]  # as above


@asynccontextmanager
async def opened(port: int, path: str, **headers: str) -> AsyncGenerator[ClientConnection]:
    with anyio.fail_after(20):
        url = f"ws://127.0.0.1:{port}{path}"
        async with websockets.connect(url, additional_headers={**KEY, **headers}) as socket:
            yield socket


def content(output: dict[str, Any] | None) -> bytes:
    assert output is not None
    return httpx.get(output["images"][0]["url"], timeout=30).content


@pytest.mark.parametrize("use_jwt", [True, False], ids=["by token", "by key"])
def test_realtime_of_the_released_client(client: fal_client.SyncClient, use_jwt: bool) -> None:
    with client.realtime(FLUX, use_jwt=use_jwt) as connection:
        made: list[bytes] = []
        for seed in (1, 2, 1):
            connection.send({**SMALL, "seed": seed, "request_id": f"r{seed}"})
            output = connection.recv()
            assert output is not None
            assert output["request_id"] == f"r{seed}"
            made.append(content(output))
    assert made[0] == made[2] != made[1]


def test_an_endpoint_whose_own_name_ends_in_realtime(client: fal_client.SyncClient) -> None:
    with client.realtime(KLEIN) as connection:
        connection.send({"prompt": "a fox", "image_size": "square", "image_url": PIXEL})
        output = connection.recv()
        assert output is not None
        assert len(output["images"]) == 1


async def test_realtime_of_its_asynchronous_twin() -> None:
    with anyio.fail_after(20):
        async with asynchronous() as client:
            for use_jwt in (True, False):
                async with client.realtime(FLUX, use_jwt=use_jwt, max_buffering=1) as connection:
                    await connection.send(SMALL)
                    output = await connection.recv()
                    assert output is not None
                    assert output["images"][0]["width"] == 64


def test_an_input_that_does_not_fit_is_told_and_ends_the_socket(
    client: fal_client.SyncClient,
) -> None:
    with client.realtime(FLUX) as connection:
        connection.send({"num_images": 99})
        with pytest.raises(fal_client.client.RealtimeError) as told:
            connection.recv()
        assert told.value.error == "INTERNAL_ERROR"
        assert told.value.reason == "prompt: Field required"
        assert connection.recv() is None


async def test_a_socket_without_inputs_is_told_so_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with anyio.fail_after(20):
        async with serving(tmp_path, idle_seconds=0.1) as port, asynchronous() as client:
            base = f"ws://127.0.0.1:{port}/run/"
            monkeypatch.setattr(fal_client.client, "REALTIME_URL_FORMAT", base)
            async with client.realtime(FLUX, use_jwt=False) as connection:
                with pytest.raises(fal_client.client.RealtimeError) as told:
                    await connection.recv()
                assert told.value.payload == {
                    "type": "x-fal-error",
                    "error": "TIMEOUT",
                    "reason": "no inputs, reconnect when needed!",
                }
                assert await connection.recv() is None


async def test_an_input_that_came_in_time_is_answered_before_the_socket_ends(
    tmp_path: Path,
) -> None:
    async with (
        serving(tmp_path, idle_seconds=0.1) as port,
        opened(port, f"/run/{FLUX}/realtime") as socket,
    ):
        await socket.send(json.dumps(SMALL))
        told = [json.loads(await socket.recv()) for _ in range(3)]
        assert told[0]["images"]
        assert [one.get("type") for one in told[1:]] == ["x-fal-message", "x-fal-error"]
        with pytest.raises(ConnectionClosedOK):
            await socket.recv()


@pytest.mark.parametrize("path", ["", "/realtime"])
def test_a_raw_socket_of_the_released_client(client: fal_client.SyncClient, path: str) -> None:
    with client.ws_connect(FLUX, path=path) as socket:
        socket.send(json.dumps(SMALL))
        assert json.loads(socket.recv())["images"][0]["width"] == 64
        assert json.loads(socket.recv())["action"] == "timings"
        socket.send(packer.packb(SMALL))
        output = packer.unpackb(socket.recv())
        assert output["images"][0]["width"] == 64


async def test_a_raw_socket_of_its_asynchronous_twin() -> None:
    with anyio.fail_after(20):
        async with asynchronous() as client:
            connect: Any = client.ws_connect  # typed after an older library
            async with connect(FLUX) as socket:
                await socket.send(json.dumps(SMALL))
                assert json.loads(await socket.recv())["images"][0]["width"] == 64


async def test_every_output_is_followed_by_how_long_it_took(port: int) -> None:
    async with opened(port, f"/run/{FLUX}/realtime") as socket:
        await socket.send(packer.packb(SMALL))
        assert isinstance(await socket.recv(), bytes)
        timings = json.loads(await socket.recv())
        assert timings.keys() == {"type", "action", "timing"}
        assert (timings["type"], timings["action"]) == ("x-fal-message", "timings")
        assert timings["timing"] > 0


async def test_of_more_inputs_than_may_wait_the_oldest_are_dropped(port: int) -> None:
    async with opened(port, f"/run/{FLUX}/realtime?max_buffering=1") as socket:
        slow = {**SMALL, "image_size": {"width": 1024, "height": 1024}, "num_images": 4}
        await socket.send(json.dumps({**slow, "request_id": "first"}))
        with pytest.raises(TimeoutError), anyio.fail_after(0.02):
            await socket.recv()
        for number in range(5):
            await socket.send(json.dumps({**SMALL, "request_id": number}))
        answered = [json.loads(await socket.recv()) for _ in range(4)]
        assert [one["request_id"] for one in answered if "request_id" in one] == ["first", 4]


@pytest.mark.parametrize("wrong", ["0", "61", "x", "1.5"])
async def test_a_buffer_out_of_bounds_is_refused_at_the_handshake(port: int, wrong: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with opened(port, f"/run/{FLUX}/realtime?max_buffering={wrong}"):
            pass
    assert refused.value.response.status_code == 400


async def test_an_unknown_application_is_refused_at_the_handshake(port: int) -> None:
    for path in ("/run/fal-ai/nothing/realtime", "/ws/fal-ai/nothing"):
        with pytest.raises(InvalidStatus) as refused:
            async with opened(port, path):
                pass
        assert refused.value.response.status_code == 404
        assert b'Application \\"nothing\\" not found' in (refused.value.response.body or b"")


async def test_who_has_neither_key_nor_token_hears_so_in_the_words_that_clients_know(
    port: int,
) -> None:
    tokens = f"http://127.0.0.1:{port}/rest/tokens/"
    async with httpx.AsyncClient() as http:
        other = (await http.post(tokens, json={"allowed_apps": ["any-llm"]}, headers=KEY)).json()
    paths = (
        f"/run/{FLUX}/realtime",
        f"/ws/{FLUX}",
        f"/run/{FLUX}/realtime?fal_jwt_token=x",
        f"/run/{FLUX}/realtime?fal_jwt_token={other}",
    )
    for path in paths:
        async with opened(port, path, authorization="") as socket:
            told = json.loads(await socket.recv())
            assert told == {"status": "error", "error": "Unauthorized"}
            with pytest.raises(websockets.ConnectionClosedError) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b"\xc1", "the message is not msgpack"),
        (b"\x93\x01\x02\x03", "the message is not an object"),
        ("{", "the message is not JSON"),
        ("[]", "the message is not an object"),
    ],
)
async def test_a_frame_that_cannot_be_read_is_told(
    port: int, frame: str | bytes, words: str
) -> None:
    async with opened(port, f"/run/{FLUX}/realtime") as socket:
        await socket.send(frame)
        told = json.loads(await socket.recv())
        assert told["type"] == "x-fal-error"
        assert told["reason"].startswith(words)
        with pytest.raises(ConnectionClosedOK):
            await socket.recv()


async def test_a_caller_who_leaves_cancels_what_is_under_way(tmp_path: Path) -> None:
    stuck = {"x-emulator-fault": "stuck"}
    async with serving(tmp_path) as port:
        for path in (f"/run/{FLUX}/realtime", f"/ws/{FLUX}"):
            counts = f"http://127.0.0.1:{port}/_emulator/counts"
            async with httpx.AsyncClient() as http, opened(port, path, **stuck) as socket:
                await socket.send(json.dumps(SMALL))
                while (await http.get(counts)).json()["requests"].get("IN_PROGRESS") != 1:
                    await anyio.sleep(0.01)
                await socket.close()
                while "IN_PROGRESS" in (await http.get(counts)).json()["requests"]:
                    await anyio.sleep(0.01)


@pytest.mark.parametrize(("fault", "status"), [("429", 429), ("503", 503), ("locked", 403)])
async def test_a_fault_of_the_platform_strikes_at_the_handshake(
    port: int, fault: str, status: int
) -> None:
    async with httpx.AsyncClient() as http:
        await http.post(f"http://127.0.0.1:{port}/_emulator/faults", json={"fault": fault})
    with pytest.raises(InvalidStatus) as refused:
        async with opened(port, f"/run/{FLUX}/realtime"):
            pass
    assert refused.value.response.status_code == status
    async with opened(port, f"/run/{FLUX}/realtime") as socket:
        await socket.send(json.dumps(SMALL))
        assert json.loads(await socket.recv())["images"]


async def test_a_dropped_socket_ends_as_one_that_broke(port: int) -> None:
    async with opened(port, f"/run/{FLUX}/realtime", **{"x-emulator-fault": "drop"}) as socket:
        with pytest.raises(websockets.ConnectionClosedError):
            await socket.recv()


async def test_a_fault_of_the_runner_is_told_in_the_message_of_failures(port: int) -> None:
    flagged = {"x-emulator-fault": "moderation"}
    async with opened(port, f"/run/{FLUX}/realtime", **flagged) as socket:
        await socket.send(json.dumps(SMALL))
        told = json.loads(await socket.recv())
        assert (told["type"], told["error"]) == ("x-fal-error", "INTERNAL_ERROR")
        assert "flagged" in told["reason"]


async def exchanged(socket: ClientConnection) -> tuple[dict[str, Any], list[Any], dict[str, Any]]:
    start = json.loads(await socket.recv())
    assert start["type"] == "start"
    body: list[Any] = []
    while True:
        frame = await socket.recv()
        told: Any = json.loads(frame) if isinstance(frame, str) else frame
        if isinstance(frame, str) and told.get("type") == "end":
            return start, body, told
        body.append(told)


async def test_http_over_a_socket_answers_one_input_after_another(port: int) -> None:
    async with opened(port, f"/ws/{FLUX}") as socket:
        for _ in range(2):
            await socket.send(json.dumps(SMALL))
            start, (output,), end = await exchanged(socket)
            assert (start["status"], end["status"]) == (200, 200)
            assert start["headers"]["x-fal-request-id"] == start["request_id"]
            assert start["headers"]["content-type"] == "application/json"
            assert start["headers"]["x-fal-billable-units"] == "1"
            assert end["request_id"] == start["request_id"]
            assert 0 < end["time_to_first_byte_seconds"] < 20
            assert output["images"][0]["width"] == 64
        await socket.send(json.dumps({}))
        start, (refused,), end = await exchanged(socket)
        assert (start["status"], end["status"]) == (422, 422)
        assert refused["detail"][0]["type"] == "missing"
        await socket.send("{")
        start, (broken,), _ = await exchanged(socket)
        assert (start["status"], broken["error_type"]) == (400, "bad_request")


async def test_a_stream_over_a_socket_comes_in_binary_chunks(port: int) -> None:
    async with opened(port, f"/ws/{WORDS}/stream") as socket:
        await socket.send(json.dumps({"prompt": "tell me of the sea"}))
        start, chunks, end = await exchanged(socket)
        assert start["headers"]["content-type"] == "text/event-stream"
        assert end["status"] == 200
        assert len(chunks) > 2
        assert all(chunk.startswith(b"data: ") for chunk in chunks)
        assert json.loads(chunks[-1].removeprefix(b"data: "))["output"]


async def test_a_socket_that_names_another_host_is_refused(port: int) -> None:
    url = f"ws://evil.example/run/{FLUX}/realtime"
    with anyio.fail_after(20), pytest.raises(InvalidStatus) as refused:
        async with websockets.connect(
            url, host="127.0.0.1", port=port, additional_headers=KEY, proxy=None
        ):
            pass
    assert refused.value.response.status_code == 403


async def test_a_picture_that_comes_as_bytes_is_a_picture_of_its_size(port: int) -> None:
    with anyio.fail_after(30):
        url = f"ws://127.0.0.1:{port}/run/{KLEIN}"
        async with websockets.connect(url, additional_headers=KEY) as socket:
            given = picture_bytes()
            await socket.send(packer.packb({"prompt": "a fox", "image_url": given, "seed": 1}))
            answer = packer.unpackb(await socket.recv())
            (image,) = answer["images"]
            with Image.open(io.BytesIO(image["content"])) as picture:
                assert picture.size == (image["width"], image["height"])
                assert min(picture.size) > 1
                assert Image.MIME[picture.format or ""] == image["content_type"]


def picture_bytes() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (96, 64), (180, 40, 30)).save(file, "PNG")
    return file.getvalue()
