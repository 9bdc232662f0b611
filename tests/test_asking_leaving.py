"""A question over a session of the older era, and a server that leaves while it is open."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.types import CallToolResult, ElicitRequestParams, ElicitResult
from starlette.applications import Starlette

from server.app import build_server
from server.asking import ONCE
from server.rooms import open_rooms
from server.settings import Settings
from server.web import WebOptions, serve_http, web_app
from tests.house import environment, record, words
from tools.inventory import TOOLS

CALL = {"endpoint_id": "fal-ai/flux/schnell", "prompt": "a red door"}


@asynccontextmanager
async def with_sessions(home: Path) -> AsyncGenerator[tuple[str, Starlette]]:
    """Yield address and application of a server that asks before every job."""
    asks = environment(home, FALKIT_ASK_ON_EMULATOR="on", FALKIT_APPROVE_ABOVE="0")
    options = WebOptions(port=0, sessions=True)
    async with open_rooms(Settings.read(asks)) as rooms, anyio.create_task_group() as tasks:

        def build(_rooms: Any, tools: Any) -> Any:
            return build_server(rooms, tools, rooms.approve)

        app = web_app(rooms, TOOLS, options, build=build)
        port = await tasks.start(serve_http, app, options)
        yield f"http://127.0.0.1:{port}/mcp", app
        tasks.cancel_scope.cancel()


@pytest.mark.proof
async def test_a_question_ends_with_the_server_and_the_same_call_asks_it_anew_of_the_next(
    tmp_path: Path,
) -> None:
    reading = anyio.Event()
    told: list[CallToolResult] = []

    async def silent(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        reading.set()
        await anyio.sleep_forever()
        raise AssertionError

    async def willing(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        assert record(told[0])["job_id"] in params.message
        return ElicitResult(action="accept", content={"answer": ONCE})

    with anyio.fail_after(20):
        async with (
            with_sessions(tmp_path) as (url, app),
            Client(url, mode="legacy", elicitation_callback=silent) as client,
            anyio.create_task_group() as tasks,
        ):

            async def call() -> None:
                told.append(await client.call_tool("generate", CALL))
                tasks.cancel_scope.cancel()

            tasks.start_soon(call)
            await reading.wait()
            app.state.end_listening()
        assert record(told[0])["state"] == "held"
        assert f"falkit approve {record(told[0])['job_id']}" in words(told[0])
        async with (
            with_sessions(tmp_path) as (url, _),
            Client(url, mode="legacy", elicitation_callback=willing) as client,
        ):
            done = record(await client.call_tool("generate", CALL))
            listed = record(await client.call_tool("list_jobs", {}))["jobs"]
    assert (done["job_id"], done["state"]) == (record(told[0])["job_id"], "done")
    assert [job["job_id"] for job in listed] == [done["job_id"]]


@pytest.mark.proof
async def test_who_listens_at_a_session_does_not_hold_up_calls_or_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = WebOptions(port=0, sessions=True)
    headers = {"accept": "text/event-stream, application/json"}
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "listener", "version": "1"},
        },
    }
    with anyio.fail_after(8):
        async with (
            open_rooms(Settings.read(environment(tmp_path))) as rooms,
            httpx.AsyncClient(timeout=20) as http,
            anyio.create_task_group() as tasks,
        ):
            app = web_app(rooms, TOOLS, options)
            url = f"http://127.0.0.1:{await tasks.start(serve_http, app, options)}/mcp"
            begun = await http.post(url, json=hello, headers=headers)
            session = {"mcp-session-id": begun.headers["mcp-session-id"]}
            of_before = {**headers, "mcp-session-id": "0" * 32}  # of a server that is gone
            lost = await http.post(url, json={**hello, "method": "ping"}, headers=of_before)
            assert lost.status_code == 404  # which tells a client to begin anew
            monkeypatch.setattr("server.web.MOST_CALLS", 1)
            async with http.stream("GET", url, headers={**headers, **session}) as listening:
                assert listening.status_code == 200
                more = await http.get(url, headers={**headers, **session})
                assert more.status_code == 503  # and it takes no place from those who call
                ping = {**hello, "method": "ping", "params": {}}
                called = await http.post(url, json=ping, headers={**headers, **session})
                assert called.status_code == 200
                app.state.end_listening()
                assert await listening.aread() in (b"", b": \r\n\r\n")
            tasks.cancel_scope.cancel()
