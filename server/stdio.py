"""MCP over stdin and stdout, on the event loop's own pipes.

The SDK's transport reads and writes through worker threads: every message pays two hops, SIGINT
leaves a thread in `readline` that never ends, and SIGTERM kills without any cleanup. Here the loop
reads and writes the pipes itself, and end of input, SIGINT, SIGTERM and a reader that went away all
take one path: running calls are cancelled, the lifespan unwinds, the process ends with 0.
"""

import asyncio
import json
import logging
import os
import re
import signal
import stat
import sys
import threading
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import suppress
from itertools import islice
from types import TracebackType
from typing import Any, Self, cast

import anyio
from mcp.server import MCPServer, Server
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp_types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCRequest,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json

from server.short import ShortWay

logger = logging.getLogger("falkit.server.stdio")

# Tools that wait for nothing: the next line is read when they have answered.
AT_ONCE = frozenset({"search_models"})
# Who sends call upon call must not keep others waiting: so many are answered before they are heard.
IN_A_ROW = 8

# Room for a picture or a short film given as a data URI.
MAX_LINE_BYTES = 64 * 2**20
# How long a slow reader may take for what was already written when the connection ends.
FLUSH_SECONDS = 1.0
# A thread that hangs, in a driver or on a dead disk, must not keep a process without a host.
GRACE_SECONDS = 5.0

# Brackets, names with their colon, other texts: enough to see what belongs to the outer object.
_TEXT = rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_TOKENS = re.compile(rb"[{}\[\]]|" + _TEXT + rb"\s*+:|" + _TEXT, re.DOTALL)
_ID = re.compile(rb'\s*(-?\d{1,18}(?![\d.eE])|"[ -!#-\[\]-~]{0,200}")')
# What closes the outer object, as some clients put the id last.
_LAST_ID = re.compile(rb'[{,]\s*"id"\s*:\s*(-?\d{1,18}|"[ -!#-\[\]-~]{0,200}")\s*\}\s*\Z')
_MOST_TOKENS = 1_000_000
_TAIL = 300  # bytes


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run *main* to its end on a new event loop; an interrupt is an ordinary end."""
    with suppress(KeyboardInterrupt):
        anyio.run(main)


async def serve_stdio(
    server: MCPServer[Any],
    *,
    max_line_bytes: int = MAX_LINE_BYTES,
    grace_seconds: float = GRACE_SECONDS,
    by_hand: str = "",
    short: ShortWay | None = None,
) -> None:
    """Serve *server* to the program at the other end of stdin and stdout until one of them ends.

    Where a person sits at the other end, *by_hand* is told first. Calls of `AT_ONCE` take the
    *short* way, if there is one and they may.

    From here on fd 0 is the null device and fd 1 is stderr, so that stray prints and child
    processes miss the wire. A line longer than *max_line_bytes* or not JSON-RPC is answered with an
    error, and the next line is read. When the connection has ended, everything has *grace_seconds*
    to unwind; then the process exits with 1. Must run in the main thread.
    """
    # The SDK offers its own stdio transport and HTTP, but no public way to serve given streams.
    low = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]
    if not _are_pipes():
        await _serve_threads(low, grace_seconds, by_hand)
        return
    inlet, outlet = await _open_pipes(max_line_bytes, grace_seconds)
    if short is not None:
        short.learn()
        inlet.short = short
    try:
        _on_signals(inlet.end)
        await low.run(inlet, outlet, low.create_initialization_options())
    finally:
        inlet.end()
        await outlet.flush()


class Outlet(asyncio.BaseProtocol):
    """The writing half: the protocol of the pipe's transport, and the SDK's write stream."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        self._on_lost = on_lost
        self._transport: asyncio.WriteTransport | None = None
        self._ready = asyncio.Event()
        self._ready.set()
        self._lost = asyncio.Event()
        self._patient = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101  # for the type checker
        self._transport = transport

    def pause_writing(self) -> None:
        if self._patient:
            self._ready.clear()

    def resume_writing(self) -> None:
        self._ready.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lost.set()
        self._ready.set()
        self._on_lost()

    async def send(self, item: SessionMessage, /) -> None:
        """Write one message, and wait while the reader is far behind.

        Raises:
            BrokenResourceError: the reader is gone.
        """
        if self._transport is None:
            raise anyio.BrokenResourceError
        self._transport.write(_line(item))
        await self._ready.wait()

    def write(self, line: bytes) -> bool:
        """Write one *line*, and say whether that could be done: not while the reader is behind."""
        if self._transport is None or not self._ready.is_set():
            return False
        self._transport.write(line)
        return True

    def hurry(self) -> None:
        """From now on keep what the reader does not take, so that no call waits for it."""
        self._patient = False
        self._ready.set()

    async def flush(self) -> None:
        """Close once everything is read, or after `FLUSH_SECONDS`."""
        if self._transport is None:
            return
        self._transport.close()
        with anyio.move_on_after(FLUSH_SECONDS, shield=True):
            await self._lost.wait()
        if transport := self._transport:
            transport.abort()

    async def aclose(self) -> None:
        """Do nothing: `flush` closes, once the lifespan has unwound."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()


class Inlet:
    """The reading half: the SDK's read stream over lines."""

    def __init__(
        self, reader: asyncio.StreamReader, outlet: Outlet, on_end: Callable[[], None]
    ) -> None:
        self._reader = reader
        self._outlet = outlet
        self._on_end = on_end
        self._transport: asyncio.BaseTransport | None = None
        self._ended = False
        self.short: ShortWay | None = None
        self._in_a_row = 0

    def attach(self, transport: asyncio.BaseTransport) -> None:
        """Hand over the *transport* that feeds the reader; `end` closes it."""
        self._transport = transport

    def end(self) -> None:
        """Read nothing more, not even what has arrived; whoever waits sees the end."""
        if self._ended:
            return
        self._ended = True
        self._outlet.hurry()
        if self._transport is not None:
            self._transport.close()  # which feeds the end to the reader, a turn of the loop later
        self._on_end()

    async def receive(self) -> SessionMessage | Exception:
        """Return the next message.

        Raises:
            EndOfStream: there is none, or `end` was called.
        """
        while not self._ended:
            line = await self._next_line()
            if self._ended or line == b"":
                break
            if not line.isspace():
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValidationError as problem:
                    await self._refuse_line(line, problem)
                    continue
                if not await self._answered(message):
                    return SessionMessage(message)
        self.end()
        raise anyio.EndOfStream

    async def _answered(self, message: JSONRPCMessage) -> bool:
        """Answer *message* if it is a call that may take the short way, and say whether it was."""
        if self.short is None or not isinstance(message, JSONRPCRequest):
            return False
        params = message.params or {}
        if message.method != "tools/call" or str(params.get("name")) not in AT_ONCE:
            return False
        result = await self.short.result(params, self.short.version)
        if result is None:
            return False
        line = b'{"jsonrpc":"2.0","id":%b,"result":%b}\n' % (to_json(message.id), result)
        if not self._outlet.write(line):
            return False
        self._in_a_row += 1
        if self._in_a_row % IN_A_ROW == 0:
            await asyncio.sleep(0)
        return True

    async def _next_line(self) -> bytes:
        """Return the next line, empty at the end; of one beyond the limit only its newline."""
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as rest:
            return rest.partial
        except asyncio.LimitOverrunError as problem:
            head = await self._reader.readexactly(problem.consumed)
        tail = head
        while True:
            try:
                tail = tail[-_TAIL:] + await self._reader.readuntil(b"\n")
            except asyncio.LimitOverrunError as problem:
                tail = await self._reader.readexactly(problem.consumed)
            except asyncio.IncompleteReadError:
                return b""
            else:
                break
        words = "message too long: give a path or a URL"
        await self._refuse(_id_in(head, tail[-_TAIL:]), INVALID_REQUEST, words)
        return b"\n"

    async def _refuse_line(self, line: bytes, problem: ValidationError) -> None:
        """Answer a line that is no JSON-RPC message, as JSON-RPC 2.0 section 5 asks."""
        logger.warning("skipped a line of %d bytes that is no JSON-RPC message", len(line))
        try:
            # More lenient than the parser above: a prompt cut in the middle of an emoji, or bytes
            # that are not UTF-8, still come with an id that somebody waits for.
            found: Any = json.loads(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            words = "parse error: a message is one line of JSON, not nested deep"
            await self._refuse(_id_in(line), PARSE_ERROR, words)
            return
        if not isinstance(found, dict):
            await self._refuse(None, INVALID_REQUEST, "invalid request: not one JSON object")
            return
        message = cast("dict[str, Any]", found)  # the keys of a JSON object are text
        # An ill-formed answer is passed over: its id is one of ours, and an error under that id
        # would end a request of the peer's that happens to have the same.
        if "method" in message or not message.keys() & {"result", "error"}:
            given = message.get("id")
            usable = isinstance(given, str | int) and not isinstance(given, bool)
            await self._refuse(
                given if usable else None, INVALID_REQUEST, "invalid request: not JSON-RPC 2.0"
            )

    async def _refuse(self, request_id: RequestId | None, code: int, words: str) -> None:
        error = JSONRPCError(
            jsonrpc="2.0", id=request_id, error=ErrorData(code=code, message=words)
        )
        with suppress(anyio.BrokenResourceError):
            await self._outlet.send(SessionMessage(error))

    async def aclose(self) -> None:
        self.end()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()


async def _open_pipes(max_line_bytes: int, grace_seconds: float) -> tuple[Inlet, Outlet]:
    """Take fd 0 and fd 1 as the wire and leave the null device and stderr in their places."""
    loop = asyncio.get_running_loop()
    wire_in, wire_out = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    reader = asyncio.StreamReader(limit=max_line_bytes)
    outlet = Outlet(on_lost=lambda: inlet.end())  # made below
    inlet = Inlet(reader, outlet, on_end=lambda: _leave_after(grace_seconds))
    await loop.connect_write_pipe(lambda: outlet, os.fdopen(wire_out, "wb", 0))
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(wire_in, "rb", 0)
    )
    inlet.attach(transport)
    return inlet, outlet


def _are_pipes() -> bool:
    """Say whether the event loop can watch stdin and stdout, and may make them non-blocking.

    That flag belongs to the open file, so on a terminal it would reach the shell we came from. One
    socket that is both stdin and stdout will not do: the loop takes anything that can be read from
    a pipe it writes to as its end.
    """
    if sys.platform == "win32":
        return False
    try:
        modes = [os.fstat(fd).st_mode for fd in (0, 1)]
        return all(stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) for mode in modes) and not (
            os.path.sameopenfile(0, 1)
        )
    except OSError:
        return False


async def _serve_threads(low: Server[Any], grace_seconds: float, by_hand: str) -> None:
    """Serve over the SDK's transport: for files, terminals and Windows."""
    send, receive = anyio.create_memory_object_stream[SessionMessage | Exception]()
    listening = anyio.CancelScope()

    async def listen(read: AsyncIterable[SessionMessage | Exception]) -> None:
        with listening, send:
            async for item in read:
                await send.send(item)

    def end() -> None:
        listening.cancel()
        _leave_after(grace_seconds)

    _on_signals(end)  # before there is a thread that an interrupt would wait for
    if by_hand and sys.stdin.isatty():
        sys.stderr.write(f"{by_hand}\n")
    async with stdio_server() as (read, write), anyio.create_task_group() as group:
        group.start_soon(listen, read)
        await low.run(receive, write, low.create_initialization_options())
        if listening.cancel_called:
            # Everything has unwound, but the SDK's thread sits in `readline` until the next line.
            logging.shutdown()
            os._exit(0)


def _on_signals(end: Callable[[], None]) -> None:
    """Call *end* on SIGINT and SIGTERM, as often as they come, until the loop closes.

    A host that is leaving may send both, and the second must not cut the unwinding short.
    """
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):  # Windows, where an interrupt raises KeyboardInterrupt
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end)


def _leave_after(seconds: float) -> None:
    """Exit with 1 in *seconds*, unless the process has ended by then."""

    def leave() -> None:
        logger.error("still not unwound after %g seconds: leaving", seconds)
        os._exit(1)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()


def _id_in(line: bytes, tail: bytes = b"") -> RequestId | None:
    """Return the id of the request in *line*, which is no JSON that can be read, None without one.

    Somebody waits under that id, even where a value was nested too deep or cut off. Of a long line
    only the beginning is given, and its end as *tail*.
    """
    depth, names, found = 0, set[bytes](), None
    for token in islice(_TOKENS.finditer(line), _MOST_TOKENS):
        sign, name = token[0][:1], token[1]
        if name is not None and depth == 1:
            names.add(name)
            if name == b"id" and (given := _ID.match(line, token.end())):
                found = json.loads(given[1])
        elif sign in b"{[":
            depth += 1
        elif sign in b"}]":
            depth -= 1
    if found is None and (last := _LAST_ID.search(tail)):
        found = json.loads(last[1])
    return found if b"method" in names else None


def _line(item: SessionMessage) -> bytes:
    """Return *item* as its line on the wire, with the newline."""
    try:
        text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        return text.encode() + b"\n"
    except PydanticSerializationError:
        # Half of a surrogate pair, as in the name of a file that is not UTF-8, has no encoding.
        plain = item.message.model_dump(by_alias=True, exclude_unset=True)
        return json.dumps(plain, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
