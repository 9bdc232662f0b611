"""`StreamingASGITransport`: an ASGI app as the other end of httpx, each part as it is produced."""

import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self, cast

import anyio
import httpx
from anyio.abc import TaskGroup
from starlette.types import ASGIApp, Message, Scope

from server.emulator.faults import ConnectionDroppedError

log = logging.getLogger("falkit.emulator")

PARTS_AHEAD = 8  # how many parts the app may be ahead of its reader
GRACE_SECONDS = 5.0  # what an app has left to accept a request whose sender went away
BROKEN_EARLY = "Server disconnected without sending a response."
BROKEN_LATE = "peer closed connection without sending complete message body"


class StreamingASGITransport(httpx.AsyncBaseTransport):
    """Runs *app* in this process, one task for each request.

    Unlike httpx's own transport it hands over status and headers before the body is complete, and
    each part of the body as the app sends it. An app whose reader goes away hears
    ``http.disconnect``; if it was already answering it is cancelled, else it gets a few seconds to
    finish what it was asked to do, as a server on a socket would have. Read timeouts of httpx hold.

    Its tasks live between entering and leaving it (``async with``), which may be nested, since
    `httpx.AsyncClient` enters its transport too. All requests must be made in between.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._tasks: TaskGroup | None = None
        self._depth = 0

    async def __aenter__(self) -> Self:
        self._depth += 1
        if self._tasks is None:
            self._tasks = anyio.create_task_group()
            await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._depth -= 1
        if self._depth == 0 and self._tasks is not None:
            tasks, self._tasks = self._tasks, None
            tasks.cancel_scope.cancel()
            await tasks.__aexit__(None, None, None)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._tasks is None:
            raise RuntimeError("enter the transport (async with) before the first request")
        exchange = _Exchange(self._app, request)
        self._tasks.start_soon(exchange.run)
        try:
            with anyio.fail_after(exchange.patience):
                await exchange.started.wait()
        except TimeoutError:
            exchange.leave(self._tasks)
            raise httpx.ReadTimeout("no answer in time", request=request) from None
        except BaseException:
            exchange.leave(self._tasks)
            raise
        if exchange.failure is not None and not exchange.status:
            exchange.parts.leave()
            raise exchange.failure
        return httpx.Response(
            exchange.status,
            headers=exchange.headers,
            stream=_Body(exchange, self._tasks),
            extensions={"http_version": b"HTTP/1.1"},
            request=request,
        )


class _Parts:
    """The parts of a body on their way: the app is at most `PARTS_AHEAD` of them ahead."""

    def __init__(self) -> None:
        self._held: deque[bytes] = deque()
        self._is_complete = False
        self._is_left = False
        self._moved: anyio.Event | None = None  # what somebody waits for; only one ever does

    async def put(self, part: bytes) -> None:
        """Put *part* at the end, once there is room; nowhere, if the reader is gone."""
        while len(self._held) >= PARTS_AHEAD and not self._is_left:
            await self._move()
        if not self._is_left:
            self._held.append(part)
            self._wake()

    def end(self) -> None:
        """Nothing more will come."""
        self._is_complete = True
        self._wake()

    def leave(self) -> None:
        """Nobody will read."""
        self._is_left = True
        self._held.clear()
        self._wake()

    async def take(self, patience: float | None) -> bytes | None:
        """Return the next part, None after the last.

        Raises:
            TimeoutError: none came for *patience* seconds.
        """
        if not self._held and not self._is_complete:
            with anyio.fail_after(patience):
                while not self._held and not self._is_complete:
                    await self._move()
        if not self._held:
            return None
        part = self._held.popleft()
        self._wake()
        return part

    async def _move(self) -> None:
        self._moved = anyio.Event()
        await self._moved.wait()

    def _wake(self) -> None:
        if self._moved is not None:
            moved, self._moved = self._moved, None
            moved.set()


class _Exchange:
    """One request and its answer on their way between httpx and the app."""

    def __init__(self, app: ASGIApp, request: httpx.Request) -> None:
        self.request = request
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.failure: Exception | None = None
        self.started = anyio.Event()
        self.scope = anyio.CancelScope()
        timeouts = cast("Mapping[str, float | None]", request.extensions.get("timeout", {}))
        self.patience = timeouts.get("read")
        self._app = app
        self._over = anyio.Event()  # the answer is complete, or its reader is gone
        self._gone = False
        self._given: AsyncIterator[bytes] | None = None
        self._all_given = False
        self.parts = _Parts()

    async def run(self) -> None:
        """Run the app to its end; what goes wrong is told to whoever reads."""
        try:
            with self.scope:
                await self._app(self._asgi_scope(), self._receive, self._send)
            if not self._over.is_set():
                self._broke()
        except ConnectionDroppedError:
            self._broke()
        except Exception as problem:  # an app's failure is its caller's to see
            if self._over.is_set():
                level = logging.DEBUG if self._gone else logging.ERROR
                log.log(level, "an app failed after its answer was over", exc_info=problem)
            else:
                self.failure = problem
        finally:
            if not self.status and self.failure is None:
                self._broke()
            self._over.set()
            self.started.set()
            self.parts.end()

    def _broke(self) -> None:
        words = BROKEN_LATE if self.status else BROKEN_EARLY
        self.failure = httpx.RemoteProtocolError(words, request=self.request)

    def leave(self, tasks: TaskGroup) -> None:
        """Go away before the answer is complete."""
        self.parts.leave()
        if self._over.is_set():
            return
        self._gone = True
        self._over.set()
        if self.status:
            self.scope.cancel()
        else:
            tasks.start_soon(self._end_later)

    async def _end_later(self) -> None:
        await anyio.sleep(GRACE_SECONDS)
        self.scope.cancel()

    async def _receive(self) -> Message:
        if self._given is None:
            self._given = cast("httpx.AsyncByteStream", self.request.stream).__aiter__()
        if not self._over.is_set():
            try:
                part = await anext(self._given)
            except StopAsyncIteration:
                if not self._all_given:
                    self._all_given = True
                    return {"type": "http.request", "body": b"", "more_body": False}
            else:
                return {"type": "http.request", "body": part, "more_body": True}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._gone:
            raise OSError("the reader is gone")
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message.get("headers", ()))
            self.started.set()
            return
        if message["type"] != "http.response.body":
            return
        if (body := message.get("body", b"")) and self.request.method != "HEAD":
            await self.parts.put(body)
        if not message.get("more_body"):
            self._over.set()
            self.parts.end()

    def _asgi_scope(self) -> Scope:
        url = self.request.url
        return {
            "type": "http",
            # With 2.4 apps would rely on a failing `send`; up to 2.3 they listen for a disconnect,
            # which also ends a stream that is silent.
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.request.method,
            "headers": [(name.lower(), value) for name, value in self.request.headers.raw],
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.split(b"?")[0],
            "query_string": url.query,
            "server": (url.host, url.port),
            "client": ("127.0.0.1", 0),
            "root_path": "",
            "state": dict[str, Any](),
        }


class _Body(httpx.AsyncByteStream):
    """The body of an answer, read as it is made."""

    def __init__(self, exchange: _Exchange, tasks: TaskGroup) -> None:
        self._exchange = exchange
        self._tasks = tasks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            try:
                part = await self._exchange.parts.take(self._exchange.patience)
            except TimeoutError:
                request = self._exchange.request
                raise httpx.ReadTimeout("no more of the answer in time", request=request) from None
            if part is None:
                break
            yield part
        if self._exchange.failure is not None:
            raise self._exchange.failure

    async def aclose(self) -> None:
        self._exchange.leave(self._tasks)
