"""Watching a request: the stream of its states, and how it may end."""

import json

import anyio
import pytest
from starlette.responses import JSONResponse

from server.fal.problems import (
    NetworkError,
    NotFoundError,
    PlatformError,
)
from server.fal.wire import LogLine
from tests.fal_ends import (
    MODEL,
    WORK,
    Script,
    client_at,
    client_of,
    says,
    socket_of,
    state,
)


def event(raw: dict[str, object]) -> bytes:
    """Return one server-sent event."""
    return f"data: {json.dumps(raw)}\n\n".encode()


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


async def test_a_watched_request_ends_after_its_completed_state() -> None:
    parts = (
        STREAM
        + b": ping\n\n"
        + event(state("IN_QUEUE", queue_position=1))
        + b"event: message\r\n"
        + event(state("IN_PROGRESS", logs=[{"message": "step"}]))
        + event(state("COMPLETED", metrics={"inference_time": 2}))
        + event(state("IN_QUEUE"))
    )

    async with socket_of(says(parts)) as server, client_at(server.base) as client:
        with anyio.fail_after(5):
            async with client.watch(MODEL, WORK) as states:
                seen = [one async for one in states]

    assert [one.state for one in seen] == ["queued", "running", "completed"]
    assert seen[1].logs == (LogLine("", "", "step"),)
    assert b"/requests/" + WORK.encode() + b"/status/stream?logs=1 HTTP/1.1" in server.requests[0]
    assert b"accept: text/event-stream" in server.requests[0].lower()


async def test_states_arrive_while_the_stream_is_open() -> None:
    heard = anyio.Event()

    async def tells(stream: anyio.abc.ByteStream, _: bytes) -> None:
        await stream.send(STREAM + event(state("IN_QUEUE")))
        await heard.wait()
        await stream.send(event(state("COMPLETED")))

    async with socket_of(tells) as server, client_at(server.base) as client:
        with anyio.fail_after(5):
            async with client.watch(MODEL, WORK) as states:
                async for one in states:
                    if one.state == "queued":
                        heard.set()

    assert heard.is_set()


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(STREAM + event(state("IN_QUEUE")), id="it ends early"),
        pytest.param(STREAM + event(state("IN_QUEUE")) + b'data: {"sta', id="it breaks off"),
        pytest.param(
            STREAM.replace(b"Connection: close", b"Content-Length: 99999")
            + event(state("IN_QUEUE")),
            id="the connection breaks",
        ),
    ],
)
async def test_a_stream_that_breaks_is_a_network_error_after_what_it_told(raw: bytes) -> None:
    async with socket_of(says(raw)) as server, client_at(server.base) as client:
        with anyio.fail_after(5):
            async with client.watch(MODEL, WORK) as states:
                assert (await anext(states)).state == "queued"
                with pytest.raises(NetworkError):
                    await anext(states)


async def test_a_watch_left_early_closes_its_connection() -> None:
    closed = anyio.Event()

    async def tells(stream: anyio.abc.ByteStream, _: bytes) -> None:
        await stream.send(STREAM + event(state("IN_QUEUE")))
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        closed.set()

    async with socket_of(tells) as server, client_at(server.base) as client:
        with anyio.fail_after(5):
            async with client.watch(MODEL, WORK) as states:
                assert (await anext(states)).state == "queued"
            await closed.wait()


async def test_watching_what_is_not_there_says_so() -> None:
    async with client_of(Script(JSONResponse({"status": "NOT_FOUND"}, 404))) as client:
        with pytest.raises(NotFoundError):
            async with client.watch(MODEL, WORK):
                pass


async def test_a_stream_that_is_none_says_so() -> None:
    plain = Script(JSONResponse(state("COMPLETED")))

    async with client_of(plain) as client, client.watch(MODEL, WORK) as states:
        with pytest.raises(PlatformError, match="not a stream of events"):
            await anext(states)
