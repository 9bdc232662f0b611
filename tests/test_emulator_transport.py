from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from server.emulator.faults import ConnectionDroppedError
from server.emulator.transport import StreamingASGITransport

BASE = "http://emulator.invalid"
START = {"type": "http.response.start", "status": 200, "headers": [(b"x-kind", b"test")]}


@asynccontextmanager
async def client_of(app: ASGIApp) -> AsyncGenerator[httpx.AsyncClient]:
    async with (
        StreamingASGITransport(app) as transport,
        httpx.AsyncClient(transport=transport, base_url=BASE) as client,
    ):
        yield client


async def test_the_first_event_arrives_before_the_app_has_finished() -> None:
    go_on, finished = anyio.Event(), anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"data: 2\n\n"})
        finished.set()

    with anyio.fail_after(5):
        async with client_of(app) as client, client.stream("GET", "/") as answer:
            parts = answer.aiter_bytes()
            assert await anext(parts) == b"data: 1\n\n"
            assert not finished.is_set()
            go_on.set()
            assert await anext(parts) == b"data: 2\n\n"
            with pytest.raises(StopAsyncIteration):
                await anext(parts)


async def test_status_and_headers_arrive_before_the_first_part_of_the_body() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await anyio.sleep_forever()

    with anyio.fail_after(5):
        async with client_of(app) as client, client.stream("GET", "/") as answer:
            assert (answer.status_code, answer.headers["x-kind"]) == (200, "test")


async def test_a_closed_answer_ends_the_app_that_was_giving_it() -> None:
    ended = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(START)
            await anyio.sleep_forever()
        finally:
            ended.set()

    with anyio.fail_after(5):
        async with client_of(app) as client:
            async with client.stream("GET", "/"):
                pass
            await ended.wait()


async def test_an_answer_may_be_closed_by_another_task_than_asked_for_it() -> None:
    ended = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(START)
            while True:
                await send({"type": "http.response.body", "body": b"x" * 100, "more_body": True})
        finally:
            ended.set()

    with anyio.fail_after(5):
        async with client_of(app) as client, anyio.create_task_group() as tasks:
            answer = await client.send(client.build_request("GET", "/"), stream=True)
            tasks.start_soon(answer.aclose)
            await ended.wait()


async def test_a_caller_who_leaves_early_is_told_to_the_app_which_may_finish() -> None:
    asked, accepted, told = anyio.Event(), anyio.Event(), anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        asked.set()
        while (await receive())["type"] != "http.disconnect":
            continue
        told.set()
        await anyio.lowlevel.checkpoint()
        accepted.set()

    with anyio.fail_after(5):
        async with client_of(app) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.post, "/")
                await asked.wait()
                tasks.cancel_scope.cancel()
            await told.wait()
            await accepted.wait()


async def test_a_body_that_is_made_piece_by_piece_reaches_the_app_piece_by_piece() -> None:
    first_seen = anyio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one "
        await first_seen.wait()
        yield b"two"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            first_seen.set()
            if not message["more_body"]:
                break
        await send(START)
        await send({"type": "http.response.body", "body": body})

    with anyio.fail_after(5):
        async with client_of(app) as client:
            assert (await client.post("/", content=pieces())).content == b"one two"


async def test_what_the_app_raises_reaches_its_caller() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError(scope["path"])

    with anyio.fail_after(5):
        async with client_of(app) as client:
            with pytest.raises(KeyError, match="/lost"):
                await client.get("/lost")


@pytest.mark.parametrize("begun", [False, True], ids=["before the answer", "in its middle"])
async def test_a_dropped_connection_looks_like_one(begun: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if begun:
            await send(START)
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ConnectionDroppedError

    with anyio.fail_after(5):
        async with client_of(app) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get("/")


async def test_a_silent_app_runs_into_the_read_timeout() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await anyio.sleep_forever()

    async def mute(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            continue

    with anyio.fail_after(5):
        for silent in (app, mute):
            async with client_of(silent) as client:
                with pytest.raises(httpx.ReadTimeout):
                    await client.get("/", timeout=0.05)


async def test_leaving_the_transport_ends_every_app_at_once() -> None:
    running, ended = anyio.Event(), anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            running.set()
            await anyio.sleep_forever()
        finally:
            ended.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            async with client_of(app) as client:

                async def ask() -> None:
                    with pytest.raises(httpx.RemoteProtocolError):
                        await client.get("/")

                tasks.start_soon(ask)
                await running.wait()
            assert ended.is_set()


async def test_many_requests_at_once_each_get_their_own_answer() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.lowlevel.checkpoint()
        await send(START)
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    answers: dict[int, str] = {}
    with anyio.fail_after(5):
        async with client_of(app) as client, anyio.create_task_group() as tasks:

            async def ask(number: int) -> None:
                answers[number] = (await client.get(f"/{number}")).text

            for number in range(200):
                tasks.start_soon(ask, number)
    assert answers == {number: f"/{number}" for number in range(200)}
