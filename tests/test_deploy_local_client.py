"""The released fal-client against an app that runs on this machine, untouched but for its hosts."""

import gc
import json
import threading
import time
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
from websockets.sync.client import connect

from server.emulator.serve import serve
from tests.local_apps import machine, release_of

pytestmark = [
    pytest.mark.proof,
    # The client never closes what it uploads with; `client` collects it in time.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

APP = "local/kitchen"


@asynccontextmanager
async def kitchen(home: Path) -> AsyncGenerator[int]:
    """Yield the port of an emulator behind which the kitchen runs."""
    async with (
        machine(home, keeps=True, loopback_webhooks=True) as here,
        anyio.create_task_group() as tasks,
    ):
        await here.deploy(await release_of(home))
        yield await tasks.start(serve, here.app, 0)
        tasks.cancel_scope.cancel()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(kitchen(tmp_path_factory.mktemp("fal"))) as port,
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
    client = fal_client.SyncClient(key="emulator:local")
    yield client
    client._client.close()  # pyright: ignore[reportPrivateUsage]  # it has no way to be closed
    gc.collect()


def test_subscribe_cold_and_warm(client: fal_client.SyncClient) -> None:
    for word in ("cold", "warm"):
        updates: list[fal_client.Status] = []
        made = client.subscribe(APP, {"prompt": word}, on_queue_update=updates.append)
        assert made["text"] == f"echo {word}"
        assert isinstance(updates[-1], fal_client.Completed)


def test_run(client: fal_client.SyncClient) -> None:
    assert client.run(APP, {"prompt": "x"})["text"] == "echo x"


def test_the_log_of_a_request_holds_its_own_lines_only(client: fal_client.SyncClient) -> None:
    others = client.submit(APP, {"prompt": "other"})
    handle = client.submit(APP, {"prompt": "logged", "sleep": 0.2})
    *_, last = handle.iter_events(with_logs=True, interval=0.02)
    assert isinstance(last, fal_client.Completed)
    assert [line["message"] for line in last.logs or ()] == ["run: logged"]
    assert last.metrics["inference_time"] >= 0.2
    assert others.get()["text"] == "echo other"


def test_an_input_that_does_not_fit(client: fal_client.SyncClient) -> None:
    with pytest.raises(fal_client.FalClientHTTPError) as refused:
        client.run(APP, {"prompt": ""})
    assert refused.value.status_code == 422
    assert refused.value.response_headers["x-fal-billable-units"] == "0"
    with pytest.raises(fal_client.FalClientHTTPError) as later:
        client.subscribe(APP, {"prompt": ""})
    assert later.value.status_code == 422
    assert later.value.response.json()["detail"][0]["loc"] == ["body", "prompt"]


def test_an_app_that_raises(client: fal_client.SyncClient) -> None:
    with pytest.raises(fal_client.FalClientHTTPError) as failed:
        client.subscribe(APP, {"prompt": "b"}, path="/boom")
    assert failed.value.status_code == 500


def test_a_path_that_the_app_has_not(client: fal_client.SyncClient) -> None:
    with pytest.raises(fal_client.FalClientHTTPError) as missing:
        client.run(APP, {"prompt": "b"}, path="/nope")
    assert missing.value.status_code == 404


def test_files_that_the_toolkit_hands_over_lie_on_the_cdn(
    client: fal_client.SyncClient, port: int
) -> None:
    made = client.run(APP, {"size": 32}, path="/picture")
    assert made["image"]["url"].startswith(f"http://127.0.0.1:{port}/cdn/files/b/")
    assert made["image"]["width"] == 32
    picture = httpx.get(made["image"]["url"])
    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")
    assert httpx.get(made["file"]["url"]).text == "hello"


def test_a_picture_of_the_cdn_is_read_by_the_app(client: fal_client.SyncClient) -> None:
    first = client.subscribe(APP, {"size": 24}, path="/picture")
    again = client.subscribe(
        APP, {"size": 16, "source": {"url": first["image"]["url"]}}, path="/picture"
    )
    assert again["source_size"] == [24, 24]
    uploaded = client.upload(httpx.get(first["image"]["url"]).content, "image/png", "a.png")
    given = client.run(APP, {"size": 16, "image_url": uploaded}, path="/picture")
    assert given["source_size"] == [24, 24]


def test_a_data_uri_is_read_by_the_app(client: fal_client.SyncClient) -> None:
    first = client.run(APP, {"size": 8}, path="/picture")
    inline = fal_client.encode(httpx.get(first["image"]["url"]).content, "image/png")
    assert client.run(APP, {"image_url": inline}, path="/picture")["source_size"] == [8, 8]


def test_stream(client: fal_client.SyncClient) -> None:
    assert [event["n"] for event in client.stream(APP, {"prompt": "s"})] == [0, 1, 2, 3]


def test_realtime_in_msgpack(client: fal_client.SyncClient) -> None:
    with client.realtime(APP, use_jwt=False) as socket:
        for word in ("abc", "def"):
            socket.send({"prompt": word})
            assert heard(socket)["text"] == word.upper()


def test_realtime_with_a_token_of_the_client(client: fal_client.SyncClient) -> None:
    with client.realtime(APP) as socket:
        socket.send({"prompt": "abc"})
        assert heard(socket)["text"] == "ABC"


def test_realtime_that_answers_many_times(client: fal_client.SyncClient) -> None:
    with client.realtime(APP, use_jwt=False, path="/realtime-stream") as socket:
        socket.send({"prompt": "q"})
        assert [heard(socket)["text"] for _ in range(3)] == ["q-0", "q-1", "q-2"]


def test_a_raw_socket(client: fal_client.SyncClient) -> None:
    with client.ws_connect(APP, use_jwt=False, path="/ws") as socket:
        socket.send(json.dumps({"a": 1}))
        assert json.loads(socket.recv()) == {"got": {"a": 1}}


def test_http_over_a_socket(port: int) -> None:
    headers = {"authorization": "Key emulator:local"}
    with connect(f"ws://127.0.0.1:{port}/ws/{APP}", additional_headers=headers) as socket:
        for word in ("one", "two"):
            socket.send(json.dumps({"prompt": word}))
            start, body, end = (json.loads(socket.recv(10)) for _ in range(3))
            assert (start["type"], start["status"]) == ("start", 200)
            assert body["text"] == f"echo {word}"
            assert end["type"] == "end"
    with connect(f"ws://127.0.0.1:{port}/ws/{APP}/stream", additional_headers=headers) as socket:
        socket.send(json.dumps({"prompt": "s"}))
        assert json.loads(socket.recv(10))["headers"]["content-type"].startswith(
            "text/event-stream"
        )
        events = b""
        while isinstance(part := socket.recv(10), bytes):
            events += part
        assert events.count(b"data: ") == 4


def test_no_more_runners_work_than_may(client: fal_client.SyncClient) -> None:
    runners: list[str] = []

    def call(n: int) -> None:
        runners.append(client.subscribe(APP, {"prompt": str(n), "sleep": 0.5})["runner"])

    begun = time.monotonic()
    threads = [threading.Thread(target=call, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runners) == 8
    assert len(set(runners)) == 2
    assert time.monotonic() - begun >= 2.0


def test_cancel_frees_the_caller_and_reaches_the_app(client: fal_client.SyncClient) -> None:
    handle = client.submit(APP, {"prompt": "c", "sleep": 1.0}, path="/waiting")
    while not isinstance(handle.status(), fal_client.InProgress):
        time.sleep(0.01)
    begun = time.monotonic()
    handle.cancel()
    with pytest.raises(fal_client.FalClientHTTPError) as cancelled:
        handle.get()
    assert cancelled.value.status_code == 499
    assert time.monotonic() - begun < 0.5
    while handle.request_id not in client.run(APP, {}, path="/cancelled")["ids"]:
        assert time.monotonic() < begun + 10, "the app never heard of it"
        time.sleep(0.02)


def test_whoever_has_no_key_is_turned_away(port: int) -> None:
    answer = httpx.post(f"http://127.0.0.1:{port}/run/{APP}", json={"prompt": "x"})
    assert answer.status_code == 401


async def test_a_webhook_brings_the_output(port: int) -> None:
    heard: list[dict[str, Any]] = []
    request_id = ""
    came = anyio.Event()

    async def receiver(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        heard.append(json.loads(body))
        came.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with anyio.create_task_group() as tasks:
        at = await tasks.start(serve, receiver, 0)
        client = fal_client.AsyncClient(key="emulator:local")
        handle = await client.submit(
            APP, {"prompt": "told"}, webhook_url=f"http://127.0.0.1:{at}/hook"
        )
        request_id = handle.request_id
        with anyio.fail_after(20):
            await came.wait()
        await (await client._client).aclose()  # pyright: ignore[reportPrivateUsage]  # as above
        tasks.cancel_scope.cancel()
    assert heard[0]["request_id"] == request_id
    assert heard[0]["payload"]["text"] == "echo told"


def heard(socket: Any) -> dict[str, Any]:
    message: dict[str, Any] | None = socket.recv()
    assert message is not None
    return message
