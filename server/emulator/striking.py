"""`Striking`: stands before the whole platform and lets the faults strike."""

import uuid
from collections.abc import Mapping
from typing import Any

import anyio
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from server.emulator.answers import API_TYPES, Refusal, failure_headers, json_answer, refusal_body
from server.emulator.faults import (
    ON_RUNNER,
    ConnectionDroppedError,
    Fault,
    FaultRows,
    StandingFaults,
)
from server.emulator.places import place_of
from server.emulator.skew import SKEW, dated
from server.emulator.store import Store

HEADER = b"x-emulator-fault"
ACCOUNT_LOCKED = (
    "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."
)
PLATFORM: Mapping[str, tuple[int, str, str]] = {
    "429": (429, "Too many concurrent requests", "concurrent_requests_limit"),
    "500": (500, "Internal server error", "internal_error"),
    "503": (503, "No runner is available", "runner_scheduling_failure"),
    "locked": (403, ACCOUNT_LOCKED, ""),
}
REFUSALS = frozenset({*PLATFORM, "502", "504"})
DELAYS = frozenset({"latency", "jitter"})
SKEW_SECONDS = 600.0  # twice what the receiver of a webhook tolerates
BROKEN = 1011  # the code of a socket that ends for a reason of the server's


class Striking:
    """Lets faults strike: the one that a header asks for, else one asked for before, else standing.

    Delays come before whatever else strikes the same request.
    """

    def __init__(
        self, app: ASGIApp, store: Store, rows: FaultRows, standing: StandingFaults
    ) -> None:
        self._app = app
        self._store = store
        self._rows = rows
        self._standing = standing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_socket = scope["type"] == "websocket"
        if not is_socket and (scope["type"] != "http" or scope["path"].startswith("/_emulator")):
            return await self._app(scope, receive, send)
        try:
            faults = await self._faults(scope)
        except ValueError as problem:
            refusal = Refusal(400, f"X-Emulator-Fault: {problem}", error_type="bad_request")
            return await _refuse(refusal, scope, receive, send)
        scope["emulator.faults"] = {
            fault.kind: fault.seconds for fault in faults if fault.kind in ON_RUNNER
        }
        if delay := sum(self._delay(fault) for fault in faults):
            await anyio.sleep(delay)
        others = ON_RUNNER | DELAYS
        struck = next((fault for fault in faults if fault.kind not in others), None)
        if struck is None:
            return await self._app(scope, receive, send)
        strike = self._strike_socket if is_socket else self._strike
        return await strike(struck, scope, receive, send)

    async def _faults(self, scope: Scope) -> list[Fault]:
        """Return the faults that strike the request; of a socket at its handshake.

        Raises:
            ValueError: its header names none that there is.
        """
        if scope["type"] == "websocket":
            surface, name = "run", _without_added(scope["path"].strip("/").partition("/")[2])
        else:
            place = place_of(scope["method"], scope["path"])
            surface, name = place.surface, place.name
        if given := _asked_for(scope):
            return [
                fault
                for fault in given
                if fault.is_for(surface, name) and self._standing.hits(fault)
            ]
        once = await self._store.peek(self._rows.take, surface, name)
        return once or self._standing.strike(surface, name)

    def _delay(self, fault: Fault) -> float:
        """Return how many seconds *fault* holds the answer back."""
        if fault.kind not in DELAYS:
            return 0.0
        longest = max(0.0, 1.0 if fault.seconds is None else fault.seconds)
        return longest if fault.kind == "latency" else self._standing.chance.uniform(0, longest)

    async def _strike_socket(
        self, fault: Fault, scope: Scope, receive: Receive, send: Send
    ) -> None:
        socket = WebSocket(scope, receive, send)
        if fault.kind in ("drop", "drop_before"):
            # A handshake without an answer is beyond ASGI; the socket ends as if it had broken.
            await socket.accept()
            return await socket.close(BROKEN)
        if fault.kind in REFUSALS:
            return await socket.send_denial_response(_answer(fault, scope["path"]))
        return await self._app(scope, receive, send)

    async def _strike(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        match fault.kind:
            case "drop_before":
                raise ConnectionDroppedError("before the request was accepted")
            case "drop":
                await self._app(scope, receive, _nobody)
                raise ConnectionDroppedError("the answer is lost")
            case "clock_skew":
                SKEW.set(SKEW_SECONDS if fault.seconds is None else fault.seconds)
                await self._app(scope, receive, dated(send))
            case "bad_json":
                await self._app(scope, receive, _Halved(send, keeps_length=False))
            case "truncated_file" | "truncated_body":
                await self._app(scope, receive, _Halved(send, keeps_length=True))
            case _:
                await _answer(fault, scope["path"])(scope, receive, send)


def _without_added(name: str) -> str:
    """Return the endpoint id in *name*, without what clients add to it for a socket."""
    return name.removesuffix("/realtime").removesuffix("/stream")


def _asked_for(scope: Scope) -> list[Fault]:
    """Return the faults that the request's own header names, as `Fault.read` reads them.

    Raises:
        ValueError: one of them cannot be read.
    """
    given = next((value for name, value in scope["headers"] if name.lower() == HEADER), b"")
    words = given.decode("latin-1").split(",")
    return [Fault.read(word, "any") for word in words if word.strip()]


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    answer = json_answer(refusal_body(refusal), refusal.status)
    if scope["type"] == "websocket":
        return await WebSocket(scope, receive, send).send_denial_response(answer)
    return await answer(scope, receive, send)


def _answer(fault: Fault, path: str) -> Response:
    """Return what the platform or its ingress proxy answers in place of the real answer."""
    if fault.kind == "expired_file":
        return json_answer({"detail": "Not Found"}, 404)
    if fault.kind in PLATFORM:
        status, detail, error_type = PLATFORM[fault.kind]
        body: dict[str, Any] = {"detail": detail}
        if error_type:
            body["error_type"] = error_type
        if path.startswith("/api/"):
            body = {"error": {"type": API_TYPES[status], "message": detail}}
        headers = failure_headers(status, error_type)
        headers["x-fal-request-id"] = str(uuid.uuid4())
        if fault.kind == "429" and fault.seconds is not None:
            headers["retry-after"] = f"{fault.seconds:g}"
        return json_answer(body, status, headers)
    status = 502 if fault.kind == "502" else 504
    title = "502 Bad Gateway" if status == 502 else "504 Gateway Time-out"
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    return HTMLResponse(page, status)


async def _nobody(_: Message) -> None:
    """Take an answer that nobody will hear."""


class _Halved:
    """Lets the first half of a body through.

    With *keeps_length* the length still promises the whole, and the connection breaks; else the
    answer looks complete and its JSON is not.
    """

    def __init__(self, send: Send, *, keeps_length: bool) -> None:
        self._send = send
        self._keeps_length = keeps_length
        self._start: Message = {}
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body.extend(message.get("body", b""))
        if message.get("more_body"):
            return
        half = bytes(self._body[: len(self._body) // 2])
        if self._keeps_length:
            await self._send(self._start)
            await self._send({"type": "http.response.body", "body": half, "more_body": True})
            raise ConnectionDroppedError("in the middle of the answer")
        headers = [
            (name, str(len(half)).encode() if name.lower() == b"content-length" else value)
            for name, value in self._start["headers"]
        ]
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": half})
