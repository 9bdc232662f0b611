"""The other ends of fal's wire, for tests: an app that answers from a list, a raw socket."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import httpx
from anyio.abc import ByteStream, SocketAttribute
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from server.fal.client import FalClient
from server.fal.retry import RetryPolicy
from server.settings import Hosts

HIDDEN = "secret-of-this-house-0123456789"
KEY = f"key-id-of-this-house:{HIDDEN}"
HOSTS = Hosts.under("https://fal.test")
MODEL = "fal-ai/flux/dev"
WORK = "0d7b7d5c-3e46-4d0e-a1a9-6a4bd6f1c001"


@dataclass
class Clock:
    """Time that passes at once, remembering each pause in seconds."""

    pauses: list[float] = field(default_factory=list[float])

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await anyio.lowlevel.checkpoint()

    def policy(self) -> RetryPolicy:
        return RetryPolicy(sleep=self.sleep)


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    url: httpx.URL
    headers: dict[str, str]
    body: bytes


class Script:
    """An app that gives its answers in turn, the last for ever, and remembers the requests."""

    def __init__(self, *answers: Response) -> None:
        self.answers = list(answers)
        self.seen: list[Seen] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        headers = dict(request.headers.items())
        self.seen.append(Seen(request.method, httpx.URL(str(request.url)), headers, body))
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        await answer(scope, receive, send)

    @property
    def lines(self) -> list[str]:
        """Method and target of each request."""
        return [f"{one.method} {one.url.raw_path.decode()}" for one in self.seen]


def accepted() -> JSONResponse:
    """Return the queue's answer to a submit."""
    return JSONResponse({"request_id": WORK, "status": "IN_QUEUE", "queue_position": 2})


def state(word: str, **more: object) -> dict[str, object]:
    """Return a status as the queue tells it."""
    return {"status": word, "request_id": WORK, "logs": None, **more}


@asynccontextmanager
async def client_of(
    app: ASGIApp, clock: Clock | None = None, key: str | None = KEY
) -> AsyncGenerator[FalClient]:
    """Yield a client whose every host is *app*, whatever the address."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        secret = SecretStr(key) if key else None
        yield FalClient(http, HOSTS, secret, policy=(clock or Clock()).policy())


@asynccontextmanager
async def client_at(base: str, clock: Clock | None = None) -> AsyncGenerator[FalClient]:
    """Yield a client whose every host lies under *base*, over real sockets."""
    async with httpx.AsyncClient(trust_env=False) as http:
        policy = (clock or Clock()).policy()
        yield FalClient(http, Hosts.under(base), SecretStr(KEY), policy=policy)


# What a connection does with the request it read.
Deed = Callable[[ByteStream, bytes], Awaitable[None]]


def says(raw: bytes) -> Deed:
    """Answer *raw* and hang up."""

    async def deed(stream: ByteStream, _: bytes) -> None:
        await stream.send(raw)

    return deed


async def hangs_up(_: ByteStream, __: bytes) -> None:
    """Read the request and hang up without an answer."""


def http_answer(body: bytes, *, status: str = "200 OK", more: str = "", length: int = -1) -> bytes:
    """Return an answer; *length* is the length it claims, if not the true one."""
    claimed = len(body) if length < 0 else length
    head = f"HTTP/1.1 {status}\r\nContent-Length: {claimed}\r\nConnection: close\r\n{more}\r\n"
    return head.encode() + body


@dataclass
class Socket:
    """A server of raw answers: where it is, and the requests it read."""

    base: str
    requests: list[bytes] = field(default_factory=list[bytes])


@asynccontextmanager
async def socket_of(*deeds: Deed) -> AsyncGenerator[Socket]:
    """Yield a loopback server that treats its connections by *deeds* in turn, the last for ever."""
    left = list(deeds)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra_attributes[SocketAttribute.local_port]()
    server = Socket(f"http://127.0.0.1:{port}")

    async def serve(stream: ByteStream) -> None:
        async with stream:
            request = await _request(stream)
            server.requests.append(request)
            deed = left[0] if len(left) == 1 else left.pop(0)
            await deed(stream, request)

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield server
        group.cancel_scope.cancel()


async def nobody_listens() -> str:
    """Return a loopback address at which nothing answers."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra_attributes[SocketAttribute.local_port]()
    await listener.aclose()
    return f"http://127.0.0.1:{port}"


async def _request(stream: ByteStream) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    lengths: Sequence[bytes] = [
        line.partition(b":")[2]
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    ]
    while lengths and len(body) < int(lengths[0]):
        body += await stream.receive()
    return head + b"\r\n\r\n" + body
