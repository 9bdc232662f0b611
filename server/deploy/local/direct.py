"""Direct calls: from the run host straight into a runner, whole answers, events and sockets."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import anyio
import httpx
import msgpack  # pyright: ignore[reportMissingTypeStubs]  # it has none
from anyio.abc import TaskGroup
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from server.deploy.local.calls import Calls, Door
from server.deploy.local.crew import Crew
from server.deploy.local.database import Database
from server.deploy.local.files import inward, outward
from server.deploy.local.lines import AnswerTooLargeError, bounded
from server.deploy.local.supervisor import Supervisor
from server.emulator.answers import Refusal, base_of, failure_headers
from server.emulator.reading import MOST_BYTES, TooLargeError, bounded_body

packer: Any = msgpack
LOOK_SECONDS = 0.02
BEAT_SECONDS = 1.0
LONGEST_LINE = 1 << 20  # of text that is held back until its end
LEFT_SECONDS = 30.0  # how long an app whose caller left is listened to
# Headers that hold for one connection, or that the runner or the answer makes anew.
_HOP = (
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade", "host", "content-length", "authorization", "accept-encoding",
    "x-falkit-token", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions",
    "sec-websocket-protocol",
)  # fmt: skip
TIMED_OUT = {"detail": "The request ran too long", "error_type": "request_timeout"}
CUT_OFF = {"error_type": "runner_incomplete_response"}
BROKEN = {"detail": "The runner disconnected", "error_type": "runner_disconnected"}


@dataclass(slots=True)
class Inside:
    """A direct call that has its runner: *call* is the id of the request."""

    call: str
    door: Door
    status: int = 0


@dataclass(slots=True)
class DirectCalls:
    """The direct calls of this process, whoever supervises the runners."""

    database: Database
    calls: Calls
    crew: Crew
    supervisor: Supervisor
    tasks: TaskGroup
    open: int = 0
    clients: dict[str, httpx.AsyncClient] = field(default_factory=dict[str, httpx.AsyncClient])

    @asynccontextmanager
    async def inside(self, app: str, path: str, kind: str) -> AsyncGenerator[Inside]:
        """Wait for a place in a runner of *app* and hold it.

        Raises:
            Refusal: 404, the app is gone; 503, no runner starts.
        """
        call = await self.database.do(self.calls.enter, app, path, kind, self.supervisor.owner)
        self.open += 1
        told = self.crew.wait_for(call)
        self.crew.look()
        held: Inside | None = None
        try:
            held = Inside(call, await self._door(call, told))
            yield held
        finally:
            self.open -= 1
            self.crew.forget(call)
            with anyio.CancelScope(shield=True):
                status = 0 if held is None else held.status
                await self.database.note(self.calls.leave, call, status)
                self.crew.look()

    async def _door(self, call: str, told: anyio.Event) -> Door:
        while True:
            with anyio.move_on_after(LOOK_SECONDS * (10 if self.supervisor.holds_role else 1)):
                await told.wait()
            door, failed = await self.database.do(self.calls.look, call)
            if failed:
                raise _refusal(failed)
            if door:
                return Door.read(door)
            if told.is_set():
                told = self.crew.wait_for(call)

    async def beat(self) -> None:
        """Keep the places of our calls for as long as we hold them."""
        while True:
            await anyio.sleep(BEAT_SECONDS)
            if self.open:
                await self.database.note(self.calls.beat, self.supervisor.owner)

    def client(self, door: Door) -> httpx.AsyncClient:
        """Return a client of a runner, kept while it is among the last used."""
        found = self.clients.pop(door.runner, None)
        if found is None:
            found = httpx.AsyncClient(
                transport=door.transport(),
                base_url=door.address or "http://runner",
                headers={**door.headers, "accept-encoding": "identity"},
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # callers are many
                timeout=None,  # noqa: S113  # each call is bounded by its app's settings
            )
        self.clients[door.runner] = found
        while len(self.clients) > 64:
            oldest = self.clients.pop(next(iter(self.clients)))
            self.tasks.start_soon(oldest.aclose)
        return found

    async def aclose(self) -> None:
        """Close every client."""
        for client in self.clients.values():
            await client.aclose()
        self.clients.clear()

    async def condemn(self, door: Door, how: str) -> None:
        """Ask for the end of a runner."""
        await self.database.do(self.calls.condemn, door.runner, how)
        self.crew.look()


def _refusal(words: str) -> Refusal:
    if words == "404":
        return Refusal(404, "Application not found")
    return Refusal(503, words, error_type="runner_scheduling_failure")


class DirectAnswer(Response):
    """The answer of an app to one call, passed on as it comes."""

    def __init__(self, calls: DirectCalls, request: Request, app: str, path: str) -> None:
        super().__init__()
        self._calls = calls
        self._request = request
        self._app = app
        self._path = path

    async def begin(self) -> Response:
        """Return itself, or raise what is to be said instead, once a runner has the call.

        Raises:
            Refusal: there is no runner, or the body cannot be read.
        """
        try:
            self._body = await bounded_body(self._request)
        except TooLargeError:
            words = f"Request body is larger than {MOST_BYTES} bytes"
            raise Refusal(413, words, error_type="bad_request") from None
        except ClientDisconnect:
            raise Refusal(499, "Client disconnected", error_type="client_disconnected") from None
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for a runner, send the call there and pass on what comes back."""
        method, asked = self._request.method, self._request
        exchange = Exchange(self._calls, asked, method, self._app, self._path, self._body, send)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(exchange.listen, receive, tasks.cancel_scope)
            await exchange.run()
            tasks.cancel_scope.cancel()


@dataclass(slots=True)
class Exchange:
    """One call over HTTP: *body* goes to a runner, and what comes back to *send*."""

    calls: DirectCalls
    request: HTTPConnection
    method: str
    app: str
    path: str
    body: bytes
    send: Send
    has_started: bool = False

    async def listen(self, receive: Receive, scope: anyio.CancelScope) -> None:
        """End the exchange when its caller is gone."""
        while (await receive())["type"] != "http.disconnect":
            continue
        scope.cancel()

    async def run(self) -> None:
        """Carry it out; what goes wrong is its answer."""
        try:
            async with self.calls.inside(self.app, self.path, "run") as inside:
                try:
                    await self._run(inside)
                except httpx.HTTPError:
                    await self.calls.condemn(inside.door, "lost")
                    inside.status = 503
                    if self.has_started:
                        raise
                    await self._say(503, BROKEN, inside.call)
                except AnswerTooLargeError as problem:
                    inside.status = 502
                    await self._say(502, {**CUT_OFF, "detail": str(problem)}, inside.call)
        except Refusal as refusal:
            body = {"detail": refusal.detail}
            if refusal.error_type:
                body["error_type"] = refusal.error_type
            await self._say(refusal.status, body, "")

    async def _run(self, inside: Inside) -> None:
        asked = self.calls.client(inside.door).build_request(
            self.method,
            self.path,
            params=[*self.request.query_params.multi_items()],
            content=inward(self.body, inside.door.base),
            headers={
                "content-type": "application/json",
                **sent(self.request, inside.call, self.path),
            },
        )
        answer: httpx.Response | None = None
        try:
            with anyio.move_on_after(inside.door.seconds) as bound:
                answer = await self.calls.client(inside.door).send(asked, stream=True)
                inside.status = answer.status_code
                await self._pass_on(answer, inside)
        except anyio.get_cancelled_exc_class():
            self.calls.tasks.start_soon(self._tell_left, inside.call, inside.door)
            raise
        finally:
            if answer is not None:
                with anyio.CancelScope(shield=True):
                    await answer.aclose()
        if bound.cancelled_caught:
            await self.calls.condemn(inside.door, "kill")
            inside.status = 504
            if not self.has_started:
                await self._say(504, TIMED_OUT, inside.call)
        elif inside.status == 503:
            await self.calls.condemn(inside.door, "drain")

    async def _pass_on(self, answer: httpx.Response, inside: Inside) -> None:
        base, under = inside.door.base, f"{base_of(self.request)}/cdn"
        kind = answer.headers.get("content-type", "")
        headers = [
            (name, value)
            for name, value in answer.headers.raw
            if name.lower().decode("latin-1") not in (*_HOP, "x-falkit-said", "x-fal-request-id")
        ]
        headers.append((b"x-fal-request-id", inside.call.encode()))
        headers.append((b"x-fal-served-from", b"local"))
        if answer.status_code >= 400 and b"x-fal-error-type" not in dict(headers):
            told = failure_headers(answer.status_code, None)
            headers += [(name.encode(), value.encode()) for name, value in told.items()]
        if "json" in kind:
            body = outward(await bounded(answer), base, under)
            headers.append((b"content-length", str(len(body)).encode()))
            await self._start(answer.status_code, headers)
            await self.send({"type": "http.response.body", "body": body})
            return
        await self._start(answer.status_code, headers)
        is_text = kind.startswith("text/")
        held = b""
        async for chunk in answer.aiter_raw():
            if is_text:  # an address may be cut in two; lines are whole
                whole, line_feed, held = (held + chunk).rpartition(b"\n")
                chunk = outward(whole + line_feed, base, under)
                if len(held) > LONGEST_LINE:
                    chunk, held = chunk + outward(held, base, under), b""
            if chunk:
                await self._more(chunk)
        if held:
            await self._more(outward(held, base, under))
        await self.send({"type": "http.response.body", "body": b""})

    async def _more(self, chunk: bytes) -> None:
        await self.send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.has_started = True
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def _say(self, status: int, body: Mapping[str, str], call: str) -> None:
        text = json.dumps(body).encode()
        told = failure_headers(status, body.get("error_type"))
        headers = [(name.encode(), value.encode()) for name, value in told.items()]
        headers += [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(text)).encode()),
        ]
        if call:
            headers.append((b"x-fal-request-id", call.encode()))
        await self._start(status, headers)
        await self.send({"type": "http.response.body", "body": text})

    async def _tell_left(self, call: str, door: Door) -> None:
        """Tell the app that the caller of its request is gone."""
        with anyio.move_on_after(LEFT_SECONDS):
            try:
                await self.calls.client(door).post(
                    f"{self.path.rstrip('/')}/cancel",
                    headers={"x-fal-request-id": call, "content-type": "application/json"},
                    content=b"{}",
                )
            except httpx.HTTPError:
                return


def sent(asked: HTTPConnection, call: str, path: str) -> dict[str, str]:
    """Return the headers that an app sees."""
    kept = {name: value for name, value in asked.headers.items() if name.lower() not in _HOP}
    return {**kept, "x-fal-request-id": call, "x-fal-endpoint": path}
