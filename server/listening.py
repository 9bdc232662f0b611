"""Listen on a port and serve an application there until the caller ends it."""

import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

import anyio
import uvicorn
from anyio.abc import TaskStatus
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Server(uvicorn.Server):
    """uvicorn without its own mind about signals: it would send them to itself again at its end."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def listener(host: str, port: int, *, backlog: int = 512) -> socket.socket:
    """Return a socket that listens on *host* (a name or an address) and *port* (0: any free one).

    Raises:
        OSError: there is no such address here, or the port is taken.
    """
    family, *_, address = socket.getaddrinfo(
        host.strip("[]") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    # asyncio turns off Nagle's delay (40 ms in every answer) only where the protocol is named, and
    # an accepted socket has it from its listener.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(backlog)
    except BaseException:
        made.close()
        raise
    return made


async def serve_until_ended(
    config: uvicorn.Config,
    listening: socket.socket,
    *,
    task_status: TaskStatus[Server] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve on *listening*, and close it, until cancelled or the server's `should_exit` is set.

    Cancelled in the middle, uvicorn would leave sockets open; it is asked to end instead.
    """
    server = Server(config)
    ended = anyio.Event()

    async def run() -> None:
        try:
            with anyio.CancelScope(shield=True):
                await server.serve(sockets=[listening])
        finally:
            ended.set()

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            task_status.started(server)
            try:
                await ended.wait()
            finally:
                server.should_exit = True
    finally:
        listening.close()


class Streams:
    """Answers that would stay open for ever; a server that leaves ends them in an ordinary way."""

    def __init__(self) -> None:
        self._open: set[anyio.CancelScope] = set()

    async def hold(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let *app* answer, until `end`."""
        begun = over = False

        async def heed(message: Message) -> None:
            nonlocal begun, over
            begun = True
            over = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        with anyio.CancelScope() as held:
            self._open.add(held)
            try:
                await app(scope, receive, heed)
            finally:
                self._open.discard(held)
        if not held.cancelled_caught:
            return
        if not begun:
            await send({"type": "http.response.start", "status": 503, "headers": []})
        if not over:
            await send({"type": "http.response.body"})

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._open)

    def end(self) -> None:
        """End what is open."""
        for held in self._open:
            held.cancel()


async def heed_signals(
    end: Callable[[], None], *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Call *end* at every SIGINT and SIGTERM; started, it hears them.

    Windows has none of this: it returns at once there, and an interrupt raises KeyboardInterrupt.
    """
    with suppress(NotImplementedError):
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            async for _ in signals:
                end()
        return
    task_status.started()
