"""A small server over our stdio transport, started by tests as a program of its own.

What happens to its lifespan and calls is written, a word a line, to the file named first.
"""

import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
from mcp.server import MCPServer
from mcp.server.mcpserver import Context

from server.stdio import run, serve_stdio

DIARY = Path(sys.argv[1])
GRACE_SECONDS = float(sys.argv[2])
MAX_LINE_BYTES = int(sys.argv[3])


def note(word: str) -> None:
    with DIARY.open("a") as diary:
        diary.write(f"{word}\n")


@asynccontextmanager
async def lifespan(_: MCPServer[None]) -> AsyncGenerator[None]:
    note("opened")
    try:
        yield
    finally:
        await anyio.lowlevel.checkpoint()  # a cancelled unwinding would end here
        note("closed")


server = MCPServer[None]("served", lifespan=lifespan, log_level="WARNING")


@server.tool()
async def echo(text: str) -> str:
    return text


@server.tool()
async def wait(ctx: Context) -> str:
    note("waiting")
    await ctx.report_progress(0.5, 1.0, "half")
    try:
        await anyio.sleep_forever()
    finally:
        note("cancelled")
    return ""


@server.tool()
async def hang(ctx: Context) -> str:
    """Sit in a thread that cannot be cancelled."""
    await ctx.report_progress(0.5, 1.0, "half")
    with anyio.CancelScope(shield=True):
        await anyio.sleep_forever()
    return ""


@server.tool()
async def babble() -> str:
    print("not JSON", flush=True)  # noqa: T201
    subprocess.run([sys.executable, "-c", "print('nor this')"], check=True)
    return sys.stdin.read()


@server.tool()
async def large(characters: int) -> str:
    return "x" * characters


@server.tool()
async def name_of_a_strange_file() -> str:
    return b"caf\xe9.png".decode("utf-8", "surrogateescape")


async def main() -> None:
    await serve_stdio(server, max_line_bytes=MAX_LINE_BYTES, grace_seconds=GRACE_SECONDS)


run(main)
