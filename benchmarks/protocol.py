"""CPU per call and calls a second over stdio and HTTP, beside a bare server of the same SDK.

The bare server's only tool adds two numbers; falkit is asked for its lightest answer and for a
search of eight hits. Both run at once in processes of their own and are asked in turns, so that
what else the machine does meets both. stdio speaks the older era, HTTP the newer. CPU is what the
system counted for the server's process, all threads. Figures are medians of rounds; the program
ends with 1 if a goal was missed.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.peer import HELLO, private
from benchmarks.start import BARE, FALKIT, SUBJECTS, WISHES, Row, table

ROUNDS = 7
CALLS = 320
CLIENTS = 32
TICK = 1000 / os.sysconf("SC_CLK_TCK")  # ms
MODERN = "2026-07-28"
ENVELOPE: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}

Ask = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
Load = Callable[[int], tuple[str, dict[str, Any]]]


def add(number: int) -> tuple[str, dict[str, Any]]:
    return "add", {"a": number, "b": 1}


def limits(_number: int) -> tuple[str, dict[str, Any]]:
    return "spending", {}


def search(number: int) -> tuple[str, dict[str, Any]]:
    wish = WISHES[number % len(WISHES)].format(SUBJECTS[number // len(WISHES) % len(SUBJECTS)])
    return "search_models", {"query": wish}


def cpu_ms(pid: int) -> float:
    """Return the CPU that process *pid* has used, in ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK


class Server:
    """A started server and a way to put a call to it."""

    def __init__(self, pid: int, ask: Ask) -> None:
        self.pid = pid
        self._ask = ask

    async def call(self, load: Load, number: int) -> None:
        name, arguments = load(number)
        params: dict[str, Any] = {"name": name, "arguments": arguments}
        answer = await self._ask({"method": "tools/call", "params": params})
        assert "content" in answer.get("result", {}), answer

    async def round(self, load: Load, clients: int) -> tuple[float, float]:
        """Return ms of CPU per call, and calls a second, of `CALLS` calls by *clients* at once."""

        async def one(first: int) -> None:
            for number in range(first, CALLS, clients):
                await self.call(load, number)

        spent, began = cpu_ms(self.pid), time.perf_counter()
        await asyncio.gather(*(one(first) for first in range(clients)))
        seconds = time.perf_counter() - began
        return (cpu_ms(self.pid) - spent) / CALLS, CALLS / seconds


@asynccontextmanager
async def over_pipes(
    command: Sequence[str], env: Mapping[str, str], cwd: Path
) -> AsyncGenerator[Server]:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd=cwd, limit=2**24
    )
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None
    waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def read() -> None:
        while line := await stdout.readline():
            answer = json.loads(line)
            if "id" in answer:
                waiting.pop(answer["id"]).set_result(answer)

    count = 0

    async def ask(message: dict[str, Any]) -> dict[str, Any]:
        nonlocal count
        count += 1
        answered = waiting[count] = asyncio.get_running_loop().create_future()
        stdin.write(json.dumps({"jsonrpc": "2.0", "id": count, **message}).encode() + b"\n")
        await stdin.drain()
        return await answered

    reading = asyncio.create_task(read())
    await ask({"method": "initialize", "params": HELLO})
    yield Server(process.pid, ask)
    stdin.close()
    await process.wait()
    await reading


@asynccontextmanager
async def over_http(
    command: Sequence[str], port: int, env: Mapping[str, str], cwd: Path
) -> AsyncGenerator[Server]:
    process = await asyncio.create_subprocess_exec(
        *command, env=env, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(message: dict[str, Any]) -> dict[str, Any]:
        params = {**message["params"], "_meta": ENVELOPE}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, **message, "params": params}).encode()
        head = (
            f"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
            f"accept: application/json, text/event-stream\r\nmcp-protocol-version: {MODERN}\r\n"
            f"mcp-method: {message['method']}\r\nmcp-name: {message['params']['name']}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        kept = free.pop() if free else await asyncio.open_connection("127.0.0.1", port)
        if kept[0].at_eof():  # closed by the server for being idle while the other one was asked
            kept[1].close()
            kept = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = kept
        writer.write(head.encode() + body)
        answer = await answer_from(reader)
        free.append(kept)
        return answer

    for _ in range(200):
        try:
            free.append(await asyncio.open_connection("127.0.0.1", port))
            break
        except OSError:
            await asyncio.sleep(0.05)
    yield Server(process.pid, ask)
    for _, writer in free:
        writer.close()
    process.terminate()
    await process.wait()


async def answer_from(reader: asyncio.StreamReader) -> dict[str, Any]:
    """Return the JSON of one HTTP answer; it comes whole, since nothing else was told."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    assert "200 ok" in head, head
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    return json.loads(await reader.readexactly(length))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


async def compared(wire: str, bare: Server, falkit: Server) -> list[Row]:
    """Return the rows of one wire: both servers in turns."""
    told: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for turn in range(ROUNDS + 1):
        for clients in (1, CLIENTS):
            for name, server, load in (
                ("bare", bare, add),
                ("light", falkit, limits),
                ("search", falkit, search),
            ):
                figures = await server.round(load, clients)
                if turn:  # the first warms up
                    told.setdefault((name, clients), []).append(figures)
    rows: list[Row] = []
    for clients in (1, CLIENTS):
        at = f"{wire}, {clients} at once"
        cpu = {n: median(f[0] for f in told[n, clients]) for n in ("bare", "light", "search")}
        rate = {n: median(f[1] for f in told[n, clients]) for n in ("bare", "light", "search")}
        rows += [
            Row(f"spending, ms of CPU ({at})", cpu["light"], 2, cpu["bare"]),
            Row(f"search_models, ms of CPU ({at})", cpu["search"], 1.5, cpu["bare"]),
            # Calls a second, the other way round: what one more call takes.
            Row(f"search_models, ms a call ({at})", 1e3 / rate["search"], 3.5, 1e3 / rate["bare"]),
            Row(f"spending, ms a call ({at})", 1e3 / rate["light"], 2, 1e3 / rate["bare"]),
        ]
    return rows


async def measured(env: Mapping[str, str], home: Path) -> list[Row]:
    rows: list[Row] = []
    async with AsyncExitStack() as open_ones:
        bare = await open_ones.enter_async_context(over_pipes(BARE, env, home))
        falkit = await open_ones.enter_async_context(over_pipes(FALKIT, env, home))
        rows += await compared("stdio", bare, falkit)
    async with AsyncExitStack() as open_ones:
        ports = free_port(), free_port()
        command = (*BARE, str(ports[0]))
        bare = await open_ones.enter_async_context(over_http(command, ports[0], env, home))
        command = (*FALKIT, "--http", f"127.0.0.1:{ports[1]}")
        falkit = await open_ones.enter_async_context(over_http(command, ports[1], env, home))
        rows += await compared("HTTP", bare, falkit)
    return rows


def main() -> None:
    """Measure, print the table, and say by the exit code whether every goal is met."""
    with tempfile.TemporaryDirectory(prefix="falkit-bench-") as folder:
        home = Path(folder)
        env = private() | {"FALKIT_HOME": str(home / "house")}
        rows = asyncio.run(measured(env, home))
    print(table(rows))
    sys.exit(not all(row.is_met for row in rows))


if __name__ == "__main__":
    main()
