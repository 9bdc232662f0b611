"""The released fal-client against the emulator on a loopback port, untouched but for its hosts."""

import gc
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import fal_client
import fal_client.client
import httpx
import pytest

from tests.emulated import FLUX, SMALL, on_a_port

# The client never closes what it uploads with; `client` and `asynchronous` collect it in time.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    # Where the collector finds such a socket between two tests, it is told in this dress.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

KEY = "emulator:local"
STUCK = {"x-emulator-fault": "stuck"}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            on_a_port(tmp_path_factory.mktemp("fal"), speed=8)
        ) as port,
    ):
        yield port


@pytest.fixture(autouse=True)
def pointed_here(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    base = f"http://127.0.0.1:{port}"
    for name, value in {
        "RUN_URL_FORMAT": f"{base}/run/",
        "QUEUE_URL_FORMAT": f"{base}/queue/",
        "REALTIME_URL_FORMAT": f"ws://127.0.0.1:{port}/ws/",
        "REST_URL": f"{base}/rest",
        "CDN_URL": f"{base}/cdn",
    }.items():
        monkeypatch.setattr(fal_client.client, name, value)


@pytest.fixture
def client() -> Generator[fal_client.SyncClient]:
    client = fal_client.SyncClient(key=KEY)
    yield client
    client._client.close()  # pyright: ignore[reportPrivateUsage]  # it has no way to be closed
    gc.collect()


@asynccontextmanager
async def asynchronous() -> AsyncGenerator[fal_client.AsyncClient]:
    client = fal_client.AsyncClient(key=KEY)
    yield client
    await (await client._client).aclose()  # pyright: ignore[reportPrivateUsage]  # as above
    gc.collect()


def content(output: dict[str, Any]) -> bytes:
    return httpx.get(output["images"][0]["url"]).content


def test_run(client: fal_client.SyncClient) -> None:
    assert content(client.run(FLUX, SMALL)).startswith(b"\xff\xd8")


def test_submit_status_and_get(client: fal_client.SyncClient) -> None:
    handle = client.submit(FLUX, SMALL)
    seen = list(handle.iter_events(with_logs=True, interval=0.01))
    assert isinstance(seen[0], fal_client.Queued)
    assert any(isinstance(event, fal_client.InProgress) for event in seen)
    last = seen[-1]
    assert isinstance(last, fal_client.Completed)
    assert last.error is None
    assert last.metrics["inference_time"] > 0
    assert last.logs is not None
    assert last.logs[-1]["message"].startswith("100%")
    assert isinstance(client.status(FLUX, handle.request_id), fal_client.Completed)
    assert client.result(FLUX, handle.request_id) == handle.get()


def test_subscribe_with_logs(client: fal_client.SyncClient) -> None:
    enqueued: list[str] = []
    updates: list[fal_client.Status] = []
    output = client.subscribe(
        FLUX, SMALL, with_logs=True, on_enqueue=enqueued.append, on_queue_update=updates.append
    )
    assert len(enqueued) == 1
    assert isinstance(updates[-1], fal_client.Completed)
    assert output["images"][0]["width"] == 64


def test_cancel_and_what_comes_of_it(client: fal_client.SyncClient) -> None:
    handle = client.submit(FLUX, SMALL, headers=STUCK)
    handle.cancel()
    status = handle.status()
    assert isinstance(status, fal_client.Completed)
    assert status.error_type == "client_cancelled"
    with pytest.raises(fal_client.FalClientHTTPError) as cancelled:
        handle.get()
    assert cancelled.value.status_code == 499
    assert cancelled.value.error_type == "client_cancelled"
    with pytest.raises(fal_client.FalClientHTTPError) as again:
        client.cancel(FLUX, handle.request_id)
    assert again.value.status_code == 400


def test_a_timeout_of_the_client_cancels(client: fal_client.SyncClient) -> None:
    with (
        pytest.warns(UserWarning, match="start_timeout"),
        pytest.raises(fal_client.FalClientTimeoutError) as late,
    ):
        client.subscribe(FLUX, SMALL, headers=STUCK, client_timeout=0.3, start_timeout=2)
    assert late.value.request_id is not None
    status = client.status(FLUX, late.value.request_id)
    assert isinstance(status, fal_client.Completed)


def test_wrong_arguments_come_back_as_detail(client: fal_client.SyncClient) -> None:
    with pytest.raises(fal_client.FalClientHTTPError) as refused:
        client.subscribe(FLUX, {"num_images": 99})
    assert refused.value.status_code == 422
    assert isinstance(refused.value.message, list)
    assert refused.value.response_headers["x-fal-billable-units"] == "0"


def test_an_unknown_application_is_404(client: fal_client.SyncClient) -> None:
    with pytest.raises(fal_client.FalClientHTTPError, match='Application "nothing" not found'):
        client.submit("fal-ai/nothing", {})


def test_too_many_requests_are_tried_again(client: fal_client.SyncClient, port: int) -> None:
    httpx.post(f"http://127.0.0.1:{port}/_emulator/faults", json={"fault": "429", "times": 1})
    assert client.submit(FLUX, {}).request_id


@pytest.mark.parametrize("repository", ["fal_v3", "fal"])
def test_uploads(client: fal_client.SyncClient, tmp_path: Path, repository: Any) -> None:
    url = client.upload(b"abc", "text/plain", "a b.txt", repository=repository)
    answer = httpx.get(url)
    assert (answer.content, answer.headers["content-type"].split(";")[0]) == (b"abc", "text/plain")
    file = tmp_path / "picture.png"
    file.write_bytes(b"\x89PNG")
    url = client.upload_file(file, repository=repository)  # pyright: ignore[reportUnknownMemberType]  # PathLike
    assert url.endswith("/picture.png")
    assert httpx.get(url).headers["content-type"] == "image/png"


def test_a_large_file_goes_up_in_parts_that_come_in_any_order(
    client: fal_client.SyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fal_client.client, "MULTIPART_THRESHOLD", 1000)
    monkeypatch.setattr(fal_client.client, "MULTIPART_CHUNK_SIZE", 300)
    data = bytes(number % 251 for number in range(2000))
    file = tmp_path / "large.bin"
    file.write_bytes(data)
    for url in (
        client.upload(data, "video/mp4", "large.mp4"),
        client.upload_file(file),  # pyright: ignore[reportUnknownMemberType]  # PathLike
    ):
        assert httpx.get(url).content == data


async def test_the_asynchronous_twin(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with asynchronous() as client:
            logs: list[fal_client.Status] = []
            output = await client.subscribe(
                FLUX, SMALL, with_logs=True, on_queue_update=logs.append
            )
            assert output["images"][0]["url"].startswith("http://127.0.0.1:")
            assert isinstance(logs[-1], fal_client.Completed)
            assert (await client.run(FLUX, SMALL))["images"]
            handle = await client.submit(FLUX, SMALL, headers=STUCK)
            assert isinstance(await handle.status(), (fal_client.Queued, fal_client.InProgress))
            await client.cancel(FLUX, handle.request_id)
            with pytest.raises(fal_client.FalClientHTTPError):
                await client.result(FLUX, handle.request_id)
            file = tmp_path / "sound.wav"
            file.write_bytes(b"RIFF")
            for url in (
                await client.upload(b"abc", "text/plain"),
                await client.upload_file(file),  # pyright: ignore[reportUnknownMemberType]  # PathLike
                await client.upload_file(file, repository="fal"),  # pyright: ignore[reportUnknownMemberType]  # PathLike
            ):
                async with httpx.AsyncClient() as http:
                    assert (await http.get(url)).status_code == 200
