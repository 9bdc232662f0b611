"""Sockets between callers and apps: raw, realtime, and HTTP spoken in frames."""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlencode

import anyio
import msgpack  # pyright: ignore[reportMissingTypeStubs]  # it has none
from starlette.responses import Response
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from server.deploy.local.direct import DirectCalls, Exchange, Inside, sent
from server.deploy.local.files import inward, outward
from server.emulator.access import TOKEN
from server.emulator.answers import Refusal, base_of
from server.emulator.sockets import say_end, say_start

packer: Any = msgpack


async def converse(calls: DirectCalls, socket: WebSocket, app: str, path: str) -> None:
    """Speak HTTP over *socket*, which is not accepted yet: a call in, its answer out in frames."""
    await socket.accept()
    while (message := await socket.receive())["type"] == "websocket.receive":
        given = message.get("text")
        body = given.encode() if given is not None else message.get("bytes") or b""
        frames = _Frames(socket)
        try:
            await Exchange(calls, socket, "POST", app, path, body, frames.send).run()
        except WebSocketDisconnect:
            return


@dataclass(slots=True)
class _Frames:
    """Turns the parts of one answer into frames."""

    socket: WebSocket
    begun: float = field(default_factory=time.perf_counter)
    status: int = 0
    request_id: str = ""
    is_json: bool = False
    first: float | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
            self.status, self.request_id = message["status"], headers.get("x-fal-request-id", "")
            self.is_json = "json" in headers.get("content-type", "")
            headers.pop("content-length", None)
            await say_start(self.socket, self.request_id, self.status, headers)
            return
        if body := message.get("body"):
            self.first = self.first or time.perf_counter() - self.begun
            if self.is_json:
                await self.socket.send_text(body.decode())
            else:
                await self.socket.send_bytes(body)
        if not message.get("more_body"):
            await say_end(self.socket, self.request_id, self.status, self.first or 0.0)


async def talk(calls: DirectCalls, socket: WebSocket, app: str, path: str) -> None:
    """Connect *socket*, which is not accepted yet, with the socket at *path* of *app*."""
    try:
        async with calls.inside(app, path, "socket") as inside, AsyncExitStack() as stack:
            query = [(name, value) for name, value in socket.query_params.multi_items()]
            words = urlencode([(name, value) for name, value in query if name != TOKEN])
            try:
                there = await stack.enter_async_context(
                    _connected(inside, socket, f"{path}?{words}" if words else path)
                )
            except (OSError, InvalidHandshake, ConnectionClosed, TimeoutError):
                inside.status = 404
                await socket.send_denial_response(
                    Response(json.dumps({"detail": f"Path {path} not found"}), 404)
                )
                return
            inside.status = 101
            await socket.accept(subprotocol=there.subprotocol)
            await _Talk(socket, there, inside.door.base).run()
    except Refusal as refusal:
        body = json.dumps({"detail": refusal.detail})
        await socket.send_denial_response(Response(body, refusal.status))


@asynccontextmanager
async def _connected(
    inside: Inside, socket: WebSocket, path: str
) -> AsyncGenerator[ClientConnection]:
    headers = {**sent(socket, inside.call, path.partition("?")[0]), **inside.door.headers}
    options: dict[str, Any] = {
        "additional_headers": headers,
        "subprotocols": [Subprotocol(name) for name in socket.scope.get("subprotocols", ())]
        or None,
        "compression": None,
        "max_size": None,
        "ping_interval": None,
        "open_timeout": 30,
        "user_agent_header": None,
    }
    if inside.door.socket:
        opening = unix_connect(inside.door.socket, f"ws://runner{path}", **options)
    else:
        address = inside.door.address.replace("http", "ws", 1)
        opening = connect(f"{address}{path}", proxy=None, **options)
    async with opening as there:
        yield there


@dataclass(frozen=True, slots=True)
class _Talk:
    """Two sockets that hear each other."""

    socket: WebSocket
    there: ClientConnection
    base: str

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._inward, tasks.cancel_scope)
            await self._outward()
            tasks.cancel_scope.cancel()

    async def _inward(self, scope: anyio.CancelScope) -> None:
        """Pass on what the caller says, until it leaves."""

        def change(body: bytes) -> bytes:
            return inward(body, self.base)

        while True:
            message = await self.socket.receive()
            if message["type"] == "websocket.disconnect":
                with anyio.CancelScope(shield=True), anyio.move_on_after(2):
                    await self.there.close(_code(message.get("code")))
                scope.cancel()
                return
            try:
                if (packed := message.get("bytes")) is not None:
                    await self.there.send(_moved(packed, change))
                else:
                    await self.there.send(change(message["text"].encode()).decode())
            except ConnectionClosed:
                return

    async def _outward(self) -> None:
        """Pass on what the app says, until it closes."""
        under = f"{base_of(self.socket)}/cdn"

        def change(body: bytes) -> bytes:
            return outward(body, self.base, under)

        try:
            async for message in self.there:
                if isinstance(message, bytes):
                    await self.socket.send_bytes(_moved(message, change))
                else:
                    await self.socket.send_text(change(message.encode()).decode())
        except ConnectionClosed:
            pass
        code = self.there.close_code
        await self.socket.close(_code(code), self.there.close_reason or None)


def _code(code: int | None) -> int:
    """Return a code with which a socket may be closed."""
    usable = code is not None and (code in range(1000, 1004) or code in range(1007, 5000))
    return code if usable and code is not None and code != 1015 else 1000


def _moved(packed: bytes, change: Any) -> bytes:  # noqa: ANN401  # a function of bytes
    """Return a binary frame with addresses changed; in msgpack each is as long as it says."""
    if cast("bytes", change(packed)) == packed:
        return packed
    try:
        value = packer.unpackb(packed, raw=False, strict_map_key=False)
    except (packer.UnpackException, ValueError):
        return packed
    return cast("bytes", packer.packb(_each(value, change), use_bin_type=True))


def _each(value: Any, change: Any) -> Any:  # noqa: ANN401  # msgpack
    if isinstance(value, str):
        return change(value.encode()).decode()
    if isinstance(value, list):
        return [_each(item, change) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: _each(item, change) for key, item in cast("dict[Any, Any]", value).items()}
    return value
