"""`Faults`: ways to pretend that fal failed, asked for beforehand or by a header of the request.

Where a kind does not say otherwise it strikes at a submit (queue or run host); of a socket, which
is of the run host, at its handshake.

429, 500, 503        the platform's own failures; with seconds, 429 carries ``Retry-After``
502, 504             a page of the ingress proxy, without a request id
locked               403, the account has no balance
drop                 the request arrives and is accepted, its answer is lost
drop_before          the connection breaks before the request is accepted
latency              the answer comes *seconds* later
bad_json             half of a JSON body
clock_skew           the platform's clock is *seconds* ahead (below zero: behind) while it answers:
                     the ``Date`` header, times, ends of tokens, and the webhook of a submit
slow, stuck          the runner takes *seconds*, or never ends
runner_500, runner_502, runner_503, runner_504, runner_lost, runner_needs_retry
                     the runner fails in the first *seconds* attempts, in all without a number;
                     the last one is a 500 whose application asks for another attempt
moderation           the model refuses the content
result_504           504 of the ingress proxy when the result is read
expired_file         a download answers 404
truncated_file       a download breaks off in the middle
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from server.emulator.answers import API_TYPES, failure_headers, json_answer
from server.emulator.places import place_of
from server.emulator.skew import SKEW, dated
from server.emulator.store import Store

HEADER = b"x-emulator-fault"
FAILING_ATTEMPTS: Mapping[str, tuple[int, str, str]] = {
    "runner_500": (500, "runner_server_error", "The runner failed"),
    "runner_502": (502, "runner_incomplete_response", "The runner's answer broke off"),
    "runner_503": (503, "runner_scheduling_failure", "No runner is available"),
    "runner_504": (504, "request_timeout", "The request ran too long"),
    "runner_lost": (503, "runner_disconnected", "The runner disconnected"),
    "runner_needs_retry": (500, "runner_server_error", "The runner asks for another attempt"),
}
ON_RUNNER = frozenset({"slow", "stuck", "moderation", *FAILING_ATTEMPTS})
USUAL_PLACE: Mapping[str, str] = {
    "result_504": "result",
    "expired_file": "download",
    "truncated_file": "download",
}
KINDS = frozenset(
    {
        "429",
        "500",
        "502",
        "503",
        "504",
        "locked",
        "drop",
        "drop_before",
        "latency",
        "bad_json",
        "clock_skew",
    }
    | ON_RUNNER
    | set(USUAL_PLACE)
)
PLACES = frozenset(
    {"submit", "run", "status", "stream", "result", "cancel", "upload", "download", "other", "any"}
)

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
SKEW_SECONDS = 600.0  # twice what the receiver of a webhook tolerates
BROKEN = 1011  # the code of a socket that ends for a reason of the server's


class ConnectionDroppedError(Exception):
    """Break the connection now, without (the rest of) an answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail. *times* is how often it strikes, *endpoint_id* where alone, if given."""

    kind: str
    place: str
    endpoint_id: str = ""
    times: int = 1
    seconds: float | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Fault":
        """Return the fault that a control request describes.

        Raises:
            ValueError: there is no such kind or place.
        """
        kind = str(given.get("fault", given.get("kind", "")))
        place = str(given.get("on", USUAL_PLACE.get(kind, "submit")))
        if kind not in KINDS:
            raise ValueError(f"no fault {kind!r}; there are {', '.join(sorted(KINDS))}")
        if place not in PLACES:
            raise ValueError(f"no place {place!r}; there are {', '.join(sorted(PLACES))}")
        seconds = given.get("seconds")
        return cls(
            kind,
            place,
            str(given.get("endpoint_id", "")),
            int(given.get("times", 1)),
            None if seconds is None else float(seconds),
        )


class FaultRows:
    """The faults that were asked for and are still to strike, shared by all processes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, fault: Fault) -> None:
        with self._store.writing() as db:
            db.execute(
                "INSERT INTO faults (kind, place, endpoint_id, remaining, seconds)"
                " VALUES (?, ?, ?, ?, ?)",
                (fault.kind, fault.place, fault.endpoint_id, fault.times, fault.seconds),
            )

    def clear(self) -> None:
        with self._store.writing() as db:
            db.execute("DELETE FROM faults")

    def listed(self) -> list[Fault]:
        """Return what is still to strike, oldest first."""
        found = self._store.reading().execute("SELECT * FROM faults ORDER BY id")
        return [
            Fault(row["kind"], row["place"], row["endpoint_id"], row["remaining"], row["seconds"])
            for row in found
        ]

    def take(self, surface: str, name: str) -> list[Fault]:
        """Return the oldest fault that strikes here, if any, and count it down.

        *name* is the endpoint id, or the app of an existing request.
        """
        places = (surface, "any", "submit") if surface == "run" else (surface, "any")
        if not self._store.reading().execute("SELECT 1 FROM faults LIMIT 1").fetchone():
            return []
        with self._store.writing() as db:
            for row in db.execute("SELECT * FROM faults ORDER BY id").fetchall():
                wanted = str(row["endpoint_id"])
                here = not wanted or name == wanted or wanted.startswith(f"{name}/")
                if row["place"] not in places or not here:
                    continue
                db.execute("UPDATE faults SET remaining = remaining - 1 WHERE id = ?", (row["id"],))
                db.execute("DELETE FROM faults WHERE remaining <= 0")
                return [Fault(row["kind"], row["place"], wanted, 1, row["seconds"])]
        return []


class Faults:
    """Stands before the whole platform and lets the faults strike."""

    def __init__(self, app: ASGIApp, store: Store, rows: FaultRows) -> None:
        self._app = app
        self._store = store
        self._rows = rows

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return await self._on_socket(scope, receive, send)
        if scope["type"] != "http" or scope["path"].startswith("/_emulator"):
            return await self._app(scope, receive, send)
        place = place_of(scope["method"], scope["path"])
        faults = _asked_for(scope)
        if not faults:
            faults = await self._store.do(self._rows.take, place.surface, place.name)
        runner = {fault.kind: fault.seconds for fault in faults if fault.kind in ON_RUNNER}
        if runner:
            scope["emulator.faults"] = runner
        struck = next((fault for fault in faults if fault.kind not in ON_RUNNER), None)
        if struck is None:
            return await self._app(scope, receive, send)
        return await self._strike(struck, scope, receive, send)

    async def _on_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a fault strike at the handshake; one of the runner holds for every input."""
        faults = _asked_for(scope)
        if not faults:
            name = scope["path"].strip("/").partition("/")[2]
            faults = await self._store.do(self._rows.take, "run", _without_added(name))
        scope["emulator.faults"] = {
            fault.kind: fault.seconds for fault in faults if fault.kind in ON_RUNNER
        }
        struck = next((fault for fault in faults if fault.kind not in ON_RUNNER), None)
        socket = WebSocket(scope, receive, send)
        match struck.kind if struck else "":
            case "drop" | "drop_before":
                # A handshake without an answer is beyond ASGI; the socket ends as if it had broken.
                await socket.accept()
                return await socket.close(BROKEN)
            case "latency":
                assert struck is not None  # noqa: S101  # it has a kind
                await anyio.sleep(1.0 if struck.seconds is None else struck.seconds)
            case kind if struck is not None and kind in REFUSALS:
                return await socket.send_denial_response(_answer(struck, scope["path"]))
            case _:
                pass
        return await self._app(scope, receive, send)

    async def _strike(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        match fault.kind:
            case "drop_before":
                raise ConnectionDroppedError("before the request was accepted")
            case "drop":
                await self._app(scope, receive, _nobody)
                raise ConnectionDroppedError("the answer is lost")
            case "latency":
                await anyio.sleep(1.0 if fault.seconds is None else fault.seconds)
                await self._app(scope, receive, send)
            case "clock_skew":
                SKEW.set(SKEW_SECONDS if fault.seconds is None else fault.seconds)
                await self._app(scope, receive, dated(send))
            case "bad_json":
                await self._app(scope, receive, _Halved(send, keeps_length=False))
            case "truncated_file":
                await self._app(scope, receive, _Halved(send, keeps_length=True))
            case _:
                await _answer(fault, scope["path"])(scope, receive, send)


def _without_added(name: str) -> str:
    """Return the endpoint id in *name*, without what clients add to it for a socket."""
    return name.removesuffix("/realtime").removesuffix("/stream")


def _asked_for(scope: Scope) -> list[Fault]:
    """Return the faults that the request's own header names, as ``kind`` or ``kind=seconds``."""
    given = next((value for name, value in scope["headers"] if name.lower() == HEADER), b"")
    faults: list[Fault] = []
    for part in given.decode("latin-1").split(","):
        kind, _, seconds = part.strip().partition("=")
        if kind in KINDS:
            faults.append(Fault(kind, "any", seconds=float(seconds) if seconds else None))
    return faults


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
