"""`Sockets`: realtime and HTTP over WebSocket, as fal's run host and socket host speak them."""

import base64
import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
import msgpack  # pyright: ignore[reportMissingTypeStubs]  # it has none
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from catalog.card import ModelCard
from server.emulator.answers import Refusal, base_of, json_answer, refusal_body
from server.emulator.direct import Direct
from server.emulator.intake import number
from server.emulator.reading import check, read_json
from server.emulator.rows import Row
from server.emulator.shelf import with_base, with_bytes
from server.emulator.telling import result_answer, result_headers

packer: Any = msgpack
REALTIME = "/realtime"
MOST_BUFFERED = 60
UNAUTHORIZED = {"status": "error", "error": "Unauthorized"}
NO_INPUTS = {
    "type": "x-fal-error",
    "error": "TIMEOUT",
    "reason": "no inputs, reconnect when needed!",
}
POLICY_VIOLATION = 1008


@dataclass(slots=True)
class _Inputs:
    """What a socket brought in and nobody worked on yet; beyond *most* the oldest goes."""

    most: int | None = None
    over: bool = False
    came: anyio.Event = field(default_factory=anyio.Event)
    waiting: deque[Message] = field(default_factory=deque[Message])

    def put(self, message: Message) -> None:
        if self.most is not None and len(self.waiting) >= self.most:
            self.waiting.popleft()
        self.waiting.append(message)
        self.came.set()

    def end(self) -> None:
        self.over = True
        self.came.set()

    async def next(self) -> Message | None:
        """Return the oldest message, waiting for one; None after the last."""
        while not self.waiting:
            if self.over:
                return None
            self.came = anyio.Event()
            await self.came.wait()
        return self.waiting.popleft()


@dataclass(frozen=True, slots=True)
class Sockets:
    """What sockets need. *idle_seconds* is how long realtime waits for an input."""

    direct: Direct
    idle_seconds: float

    def routes(self) -> list[BaseRoute]:
        """Return the sockets of the run host and of the socket host."""
        return [
            WebSocketRoute("/run/{path:path}", self.on_run),
            WebSocketRoute("/ws/{path:path}", self.on_http),
        ]

    async def on_run(self, socket: WebSocket) -> None:
        """Speak realtime: each input is answered with its output, in the kind of frame it came in.

        Binary frames are msgpack, text frames JSON. After each output a message tells how long it
        took; a failure is told in fal's error message and ends the socket.
        """
        if await self._is_hosted(socket) or (card := await self._opened(socket)) is None:
            return
        inputs = _Inputs(_most_buffered(socket))
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._hear, socket, inputs, tasks.cancel_scope, self.idle_seconds)
                problem = await self._answer_all(socket, card, inputs)
                tasks.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await socket.send_text(json.dumps(problem or NO_INPUTS))
                    await socket.close()
        except* WebSocketDisconnect:  # while something was said
            pass

    async def on_http(self, socket: WebSocket) -> None:
        """Speak HTTP over the socket: JSON in; a start, the body and an end come out.

        An endpoint id that ends in ``/realtime`` is spoken to as on the run host.
        """
        if _name(socket).endswith(REALTIME):
            return await self.on_run(socket)
        if await self._is_hosted(socket):
            return None
        if (card := await self._opened(socket)) is None:
            return None
        inputs = _Inputs()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._hear, socket, inputs, tasks.cancel_scope, None)
                while message := await inputs.next():
                    await self._exchange(socket, card, message)
                tasks.cancel_scope.cancel()
        except* WebSocketDisconnect:
            pass
        return None

    async def _opened(self, socket: WebSocket) -> ModelCard | None:
        """Accept the socket and return the card it is for; or turn the caller away."""
        name = _name(socket)
        try:
            card = self._card(name)
            _most_buffered(socket)
        except Refusal as refusal:
            answer = json_answer(refusal_body(refusal), refusal.status, refusal.headers)
            await socket.send_denial_response(answer)
            return None
        await socket.accept()
        return card if await self._is_let_in(socket) else None

    async def _is_let_in(self, socket: WebSocket) -> bool:
        """Return whether its caller may be here; who may not is told so, and the socket ends."""
        if self.direct.lets_in(socket, _name(socket)):
            return True
        # Released clients look for these words; a refused handshake tells a browser nothing.
        await socket.send_text(json.dumps(UNAUTHORIZED))
        await socket.close(POLICY_VIOLATION)
        return False

    async def _is_hosted(self, socket: WebSocket) -> bool:
        """Return whether the socket was for a hosted application, which has spoken with it then."""
        hosted, name = self.direct.hosted, _name(socket)
        if hosted is None or not hosted.knows(name):
            return False
        if self.direct.lets_in(socket, name):
            await hosted.talk(socket, name)
        else:
            await socket.accept()
            await self._is_let_in(socket)
        return True

    def _card(self, name: str) -> ModelCard:
        """Return the card that *name* means, with or without what clients add to it."""
        if streamed := self.direct.streamed(name):
            return streamed
        shorter = name
        while shorter.endswith(REALTIME):
            if card := self.direct.intake.knows(shorter):
                return card
            shorter = shorter.removesuffix(REALTIME)
        return self.direct.intake.card(shorter)

    async def _hear(
        self,
        socket: WebSocket,
        inputs: _Inputs,
        session: anyio.CancelScope,
        patience: float | None,
    ) -> None:
        """Take in what comes, until nothing came for *patience* seconds; end with the socket."""
        while True:
            with anyio.move_on_after(float("inf") if patience is None else patience) as waiting:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    session.cancel()
                    return
                inputs.put(message)
            if waiting.cancelled_caught:
                inputs.end()
                return

    async def _answer_all(
        self, socket: WebSocket, card: ModelCard, inputs: _Inputs
    ) -> Mapping[str, Any] | None:
        """Answer inputs until there are none; return what went wrong, if anything did."""
        base = base_of(socket)
        while message := await inputs.next():
            begun = time.perf_counter()
            try:
                body, pack = _unpacked(message)
                row = await self._run(socket, card, body)
            except (Refusal, ValueError) as problem:
                return _internal_error(str(problem))
            if row.status_code != 200:
                return _internal_error(row.error or "the request failed")
            whole = with_bytes(row.output) if pack is _send_packed else row.output
            output = with_base(whole, f"{base}/cdn")
            if "request_id" in body:  # one client numbers its inputs
                output = {**output, "request_id": body["request_id"]}
            await pack(socket, output)
            seconds = round(time.perf_counter() - begun, 4)
            timings = {"type": "x-fal-message", "action": "timings", "timing": seconds}
            await socket.send_text(json.dumps(timings, separators=(",", ":")))
        return None

    async def _run(self, asked: HTTPConnection, card: ModelCard, body: Any) -> Row:  # noqa: ANN401  # JSON
        row = await self.direct.begin(asked, card, body, realtime=True)
        return await self.direct.outcome(row)

    async def _exchange(self, socket: WebSocket, card: ModelCard, message: Message) -> None:
        """Answer one input in frames."""
        begun = time.perf_counter()
        streams = self.direct.streamed(_name(socket)) is not None
        try:
            body = _json(message.get("text") or message.get("bytes") or "")
            row = await self.direct.begin(socket, card, body, streams=streams)
        except (Refusal, ValueError) as problem:
            refusal = problem if isinstance(problem, Refusal) else _not_json()
            answer = json_answer(refusal_body(refusal), refusal.status, refusal.headers)
            return await _say(socket, answer, begun)
        if not streams:
            row = await self.direct.outcome(row)
            return await _say(socket, result_answer(row, base_of(socket)), begun)
        headers = {"content-type": "text/event-stream", **result_headers(row)}
        await say_start(socket, row.request_id, 200, headers)
        first: float | None = None
        async with aclosing(self.direct.events(row, base_of(socket))) as events:
            async for event in events:
                first = first or time.perf_counter() - begun
                await socket.send_bytes(event.encode())
        return await say_end(socket, row.request_id, 200, first or 0.0)


async def _say(socket: WebSocket, answer: Response, begun: float) -> None:
    """Send *answer*, which is JSON, in frames."""
    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    request_id = headers.get("x-fal-request-id", "")
    await say_start(socket, request_id, answer.status_code, headers)
    first = time.perf_counter() - begun
    await socket.send_text(bytes(answer.body).decode())
    await say_end(socket, request_id, answer.status_code, first)


async def say_start(
    socket: WebSocket, request_id: str, status: int, headers: Mapping[str, str]
) -> None:
    """Send the frame that stands before an answer."""
    words = {"type": "start", "request_id": request_id, "status": status, "headers": dict(headers)}
    await socket.send_text(json.dumps(words))


async def say_end(socket: WebSocket, request_id: str, status: int, first: float) -> None:
    """Send the frame that stands after an answer whose first byte took *first* seconds."""
    words = {
        "type": "end",
        "request_id": request_id,
        "status": status,
        "time_to_first_byte_seconds": round(first, 4),
    }
    await socket.send_text(json.dumps(words))


def _name(socket: WebSocket) -> str:
    return str(socket.path_params["path"]).strip("/")


def _most_buffered(socket: WebSocket) -> int | None:
    """Return how many inputs may wait, None where the caller did not say.

    Raises:
        Refusal: 400; it is not a whole number from 1 to 60.
    """
    given = number(socket.query_params.get("max_buffering"), "max_buffering")
    if given is not None and (given != int(given) or not 1 <= given <= MOST_BUFFERED):
        raise Refusal(400, f"max_buffering is not from 1 to {MOST_BUFFERED}")
    return None if given is None else int(given)


Pack = Callable[[WebSocket, Any], Any]


def _unpacked(message: Message) -> tuple[dict[str, Any], Pack]:
    """Return the input in a frame, and how its output is sent.

    Raises:
        ValueError: the frame cannot be read, or is not an object.
    """
    body: Any
    if (packed := message.get("bytes")) is not None:
        try:
            body, pack = _plain(packer.unpackb(packed, raw=False)), _send_packed
            check(body)
        except (packer.UnpackException, ValueError) as problem:
            raise ValueError(f"the message is not msgpack: {problem}") from problem
    else:
        body, pack = _json(message["text"]), _send_json
    if not isinstance(body, dict):
        raise ValueError("the message is not an object")
    return cast("dict[str, Any]", body), pack


def _plain(value: Any) -> Any:  # noqa: ANN401  # msgpack
    """Return *value* as JSON has it: bytes, which are files, become data URIs."""
    if isinstance(value, bytes):
        return f"data:application/octet-stream;base64,{base64.b64encode(value).decode()}"
    if isinstance(value, list):
        return [_plain(part) for part in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in cast("dict[Any, Any]", value).items()}
    return value


def _json(text: str | bytes) -> Any:  # noqa: ANN401  # JSON
    try:
        return read_json(text)
    except ValueError as problem:
        raise ValueError(f"the message is not JSON: {problem}") from problem


async def _send_packed(socket: WebSocket, output: Any) -> None:  # noqa: ANN401  # JSON
    await socket.send_bytes(packer.packb(output, use_bin_type=True))


async def _send_json(socket: WebSocket, output: Any) -> None:  # noqa: ANN401  # JSON
    await socket.send_text(json.dumps(output))


def _not_json() -> Refusal:
    return Refusal(400, "Request body is not valid JSON", error_type="bad_request")


def _internal_error(reason: str) -> Mapping[str, Any]:
    """Return fal's message of a failure; its code is the only one that clients know."""
    return {"type": "x-fal-error", "error": "INTERNAL_ERROR", "reason": reason}
