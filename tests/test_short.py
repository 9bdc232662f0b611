"""The short way of a call answers as the long one does, and gives way where somebody watches."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from server.app import StrictServer, build_server
from server.rooms import open_rooms
from server.settings import Settings
from server.short import ShortWay
from tests.house import environment, serving
from tools.inventory import TOOLS

META = "io.modelcontextprotocol/"
ENVELOPE: dict[str, Any] = {f"{META}protocolVersion": "2026-07-28", f"{META}clientCapabilities": {}}
HELLO = {"capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}


def call(**more: Any) -> dict[str, Any]:
    """Return the parameters of a search."""
    return {"name": "search_models", "arguments": {"query": "a fox", "limit": 1}, **more}


@asynccontextmanager
async def built(home: Path) -> AsyncGenerator[StrictServer]:
    async with open_rooms(Settings.read(environment(home))) as rooms:
        yield build_server(rooms, TOOLS)


class Host:
    """The other end of falkit's pipes."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._count = process.stdin, 0
        self._answers = BufferedByteReceiveStream(process.stdout)

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._count += 1
        message = {"jsonrpc": "2.0", "id": self._count, "method": method, "params": params}
        await self._stdin.send(json.dumps(message).encode() + b"\n")
        with anyio.fail_after(10):
            answer = json.loads(await self._answers.receive_until(b"\n", 2**20))
        assert answer.pop("id") == self._count
        return answer


@asynccontextmanager
async def started(home: Path) -> AsyncGenerator[Host]:
    place = serving(home)
    command = [place.command, *place.args]
    async with await anyio.open_process(command, env=place.env, cwd=place.cwd) as process:
        yield Host(process)
        assert process.stdin is not None
        await process.stdin.aclose()


async def test_both_ways_give_the_same_answer_over_pipes(tmp_path: Path) -> None:
    async with started(tmp_path) as host:
        await host.ask("ping", {})
        early = await host.ask("tools/call", call())
        assert "error" in early  # nobody has shaken hands
        await host.ask("initialize", {"protocolVersion": "2025-06-18", **HELLO})
        long = await host.ask("tools/call", call())  # from which the version is learned
        assert long["result"]["structuredContent"]["models"]
        assert await host.ask("tools/call", call()) == long
        assert await host.ask("tools/call", call(_meta={"progressToken": 1})) == long
        assert await host.ask("tools/call", call(more=1)) == long
        refused = await host.ask("tools/call", call(arguments={"limit": 0}))
        assert refused == await host.ask("tools/call", call(arguments={"limit": 0}, more=1))
        assert refused["result"]["isError"]
        stranger: tuple[Any, ...] = ([], 5, None)
        for strange in stranger:
            assert "error" in await host.ask("tools/call", call(name=strange))
            assert "result" in await host.ask("tools/call", call(arguments=None, more=strange))
        assert "error" in await host.ask("tools/call", call(_meta=5))
        assert "error" in await host.ask("tools/call", call(_meta=ENVELOPE))  # another era


@pytest.mark.proof
async def test_the_newer_era_is_answered_over_pipes_as_well(tmp_path: Path) -> None:
    async with started(tmp_path) as host:
        long = await host.ask("tools/call", call(_meta=ENVELOPE))
        assert long["result"]["_meta"][f"{META}serverInfo"]["name"] == "falkit"
        assert await host.ask("tools/call", call(_meta=ENVELOPE)) == long
        wrongs: tuple[dict[str, Any], ...] = (
            {},
            {**ENVELOPE, f"{META}protocolVersion": "2025-06-18"},
        )
        for wrong in wrongs:
            assert "error" in await host.ask("tools/call", call(_meta=wrong))


async def test_whoever_watches_calls_sees_every_one(tmp_path: Path) -> None:
    async def watch(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        return await call_next(ctx)

    async with built(tmp_path) as server:
        short = ShortWay(server)
        assert await short.result(call(), "2025-06-18") is not None
        assert await short.result(call(), "2024-11-05") is None  # knows no structured content
        assert await short.result(call(name="generate"), "2025-06-18") is None
        server.middleware.append(watch)
        assert await short.result(call(), "2025-06-18") is None
        assert await ShortWay(server).result(call(), "2025-06-18") is None
