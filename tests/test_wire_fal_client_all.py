"""Every public function of the released fal-client, sync and async, once against the emulator."""

import gc
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import fal_client
import fal_client.client
import httpx
import msgpack  # pyright: ignore[reportMissingTypeStubs]  # it has none
import pytest
from PIL import Image

from tests.emulated import FLUX, SMALL, on_a_port

# The client never closes what it sends with.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    # Where the collector finds such a socket between two tests, it is told in this dress.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

packer: Any = msgpack
ANY: Any = fal_client  # its types are loose, and what is proven here is what it does


@dataclass(frozen=True)
class Things:
    """What the functions are given: a file with bytes of its own, a picture."""

    file: Path
    data: bytes
    picture: Image.Image


def made(output: Any) -> bool:
    """Say whether *output* is that of the model, with a picture that can be read."""
    data = httpx.get(output["images"][0]["url"]).content
    return bool(data.startswith(b"\xff\xd8"))


def holds(url: str, start: bytes) -> bool:
    return httpx.get(url).content.startswith(start)


def submitted(_: Things) -> bool:
    handle = ANY.submit(FLUX, SMALL, priority="low", hint="x", start_timeout=30)
    seen = list(handle.iter_events(with_logs=True, interval=0.01))
    same = ANY.sync_client.get_handle(FLUX, handle.request_id)
    return isinstance(seen[-1], fal_client.Completed) and made(same.get())


def stood(_: Things) -> bool:
    handle = ANY.submit(FLUX, SMALL)
    handle.get()
    return isinstance(ANY.status(FLUX, handle.request_id, with_logs=True), fal_client.Completed)


def cancelled(_: Things) -> bool:
    handle = ANY.submit(FLUX, SMALL, headers={"x-emulator-fault": "stuck"})
    ANY.cancel(FLUX, handle.request_id)
    return handle.status().error_type == "client_cancelled"


def talked(_: Things) -> bool:
    with ANY.realtime(FLUX, max_buffering=2) as connection:
        connection.send(SMALL)
        return "images" in connection.recv()


def connected(_: Things) -> bool:
    with ANY.ws_connect(FLUX, path="realtime") as socket:
        socket.send(packer.packb(SMALL))
        return "images" in packer.unpackb(socket.recv())


def noted(_: Things) -> bool:
    """The hook of fal's own apps is asked at every call for the request that is being handled."""
    asked: list[str] = []

    def current() -> None:
        asked.append("app")

    ANY.set_get_current_app(current)
    try:
        return made(ANY.run(FLUX, SMALL)) and bool(asked)
    finally:
        ANY.set_get_current_app(lambda: None)


SYNC: Mapping[str, Callable[[Things], bool]] = {
    "run": lambda _: made(ANY.run(FLUX, SMALL)),
    "submit": submitted,
    "subscribe": lambda _: made(ANY.subscribe(FLUX, SMALL, with_logs=True, interval=0.02)),
    "stream": lambda _: made(list(ANY.stream(FLUX, SMALL))[-1]),
    "status": stood,
    "result": lambda _: made(ANY.result(FLUX, ANY.submit(FLUX, SMALL).request_id)),
    "cancel": cancelled,
    "realtime": talked,
    "ws_connect": connected,
    "upload": lambda it: holds(ANY.upload(it.data, "image/png", "a.png"), it.data),
    "upload_file": lambda it: holds(ANY.upload_file(it.file, repository="fal"), it.data),
    "upload_image": lambda it: holds(ANY.upload_image(it.picture, "png"), b"\x89PNG"),
    "encode": lambda it: ANY.encode(it.data, "image/png").startswith("data:image/png;base64,"),
    "encode_file": lambda it: ANY.encode_file(it.file).startswith("data:image/png;base64,"),
    "encode_image": lambda it: made(
        ANY.run(
            "fal-ai/flux/dev/image-to-image",
            {"prompt": "a fox", "image_url": ANY.encode_image(it.picture)},
        )
    ),
    "set_get_current_app": noted,
}


async def submitted_async(_: Things) -> bool:
    handle = await ANY.submit_async(FLUX, SMALL)
    seen = [event async for event in handle.iter_events(interval=0.01)]
    return isinstance(seen[-1], fal_client.Completed)


async def stood_async(_: Things) -> bool:
    handle = await ANY.submit_async(FLUX, SMALL)
    await handle.get()
    return isinstance(await ANY.status_async(FLUX, handle.request_id), fal_client.Completed)


async def resulted_async(_: Things) -> Any:
    handle = await ANY.submit_async(FLUX, SMALL)
    return (await ANY.result_async(FLUX, handle.request_id))["images"]


async def cancelled_async(_: Things) -> bool:
    handle = await ANY.submit_async(FLUX, SMALL, headers={"x-emulator-fault": "stuck"})
    await ANY.cancel_async(FLUX, handle.request_id)
    return (await handle.status()).error_type == "client_cancelled"


async def talked_async(_: Things) -> bool:
    async with ANY.realtime_async(FLUX, use_jwt=False) as connection:
        await connection.send(SMALL)
        return "images" in await connection.recv()


async def connected_async(_: Things) -> bool:
    async with ANY.ws_connect_async(FLUX, path="realtime") as socket:
        await socket.send(packer.packb(SMALL))
        return "images" in packer.unpackb(await socket.recv())


async def streamed_async(_: Things) -> Any:
    return [event async for event in ANY.stream_async(FLUX, SMALL)][-1]["images"]


ASYNC: Mapping[str, Callable[[Things], Awaitable[Any]]] = {
    "run_async": lambda _: ANY.run_async(FLUX, SMALL),
    "submit_async": submitted_async,
    "subscribe_async": lambda _: ANY.subscribe_async(FLUX, SMALL, interval=0.02),
    "stream_async": streamed_async,
    "status_async": stood_async,
    "result_async": resulted_async,
    "cancel_async": cancelled_async,
    "realtime_async": talked_async,
    "ws_connect_async": connected_async,
    "upload_async": lambda it: ANY.upload_async(it.data, "image/png", "a.png"),
    "upload_file_async": lambda it: ANY.upload_file_async(it.file),
    "upload_image_async": lambda it: ANY.upload_image_async(it.picture, "png"),
}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    folder = tmp_path_factory.mktemp("fal")
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(on_a_port(folder)) as port,
    ):
        yield port


@pytest.fixture(autouse=True)
def pointed_here(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    base = f"http://127.0.0.1:{port}"
    for name, value in {
        "RUN_URL_FORMAT": f"{base}/run/",
        "QUEUE_URL_FORMAT": f"{base}/queue/",
        "REALTIME_URL_FORMAT": f"ws://127.0.0.1:{port}/run/",
        "REST_URL": f"{base}/rest",
        "CDN_URL": f"{base}/cdn",
    }.items():
        monkeypatch.setattr(fal_client.client, name, value)
    monkeypatch.setenv("FAL_KEY", "emulator:local")


@pytest.fixture
def things(tmp_path: Path) -> Things:
    picture = Image.new("RGB", (64, 48), "orange")
    file = tmp_path / "a.png"
    picture.save(file)
    return Things(file, file.read_bytes(), picture)


def test_every_public_function_has_its_proof() -> None:
    functions = {
        name
        for name, thing in vars(fal_client).items()
        if callable(thing) and not isinstance(thing, type) and not name.startswith("_")
    }
    # What remains are names of types, which Python calls callable too.
    types = {"ObjectExpiration", "StorageACLDecision"}
    assert SYNC.keys() | ASYNC.keys() == functions - types


def test_every_function_does_what_it_promises(things: Things) -> None:
    for name, proof in SYNC.items():
        assert proof(things), name
    fal_client.sync_client._client.close()  # pyright: ignore[reportPrivateUsage]  # it has no way to be closed
    gc.collect()


async def test_every_asynchronous_function_does_what_it_promises(things: Things) -> None:
    with anyio.fail_after(30):
        for name, proof in ASYNC.items():
            assert await proof(things), name
    await (await fal_client.async_client._client).aclose()  # pyright: ignore[reportPrivateUsage]  # as above
    gc.collect()
