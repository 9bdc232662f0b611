"""MCP over Streamable HTTP, for hosts that reach falkit by address."""

import hmac
import ipaddress
import logging
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import anyio
import uvicorn
from anyio.abc import TaskGroup, TaskStatus
from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.datastructures import Headers, QueryParams
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalog.errors import ActionableError
from server.app import StrictServer, build_server
from server.deliveries import Deliveries
from server.fal.webhooks import Webhooks
from server.listening import Server, Streams, heed_signals, listener, serve_until_ended
from server.notices import Subscriptions
from server.quick import Quick
from server.short import ShortWay
from tools.errors import NotConfiguredError
from tools.inventory import chosen_tools
from tools.ports import JobQuery, Rooms
from tools.tool import AnyTool

log = logging.getLogger("falkit.server.web")

# Room for a picture given as a data URI; larger media comes as an address.
LARGEST_BODY = 16 * 2**20
MOST_CALLS = 1024
# Who sends its request more slowly holds a place that others want.
BODY_SECONDS = 60.0
READY_SECONDS = 2.0
# How long running calls may delay the end; the jobs themselves run on.
GRACE_SECONDS = 10
SHORTEST_TOKEN = 16
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_LOOPBACK_ORIGIN = r"https?://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?"


@dataclass(frozen=True, slots=True)
class WebOptions:
    """How falkit is reached over HTTP.

    *hosts* are names that requests may be sent to beside loopback's, without port; *origins* are
    those of web pages that may call. With *sessions*, clients of the older protocol get one, and
    with it questions to the person; after a restart they begin anew.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    token: SecretStr | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    sessions: bool = False

    def check(self) -> None:
        """Refuse what would let strangers in.

        Raises:
            NotConfiguredError: it listens beyond this machine without a token or a name, or the
                token is too short to be one.
        """
        if self.token is not None and len(self.token.get_secret_value()) < SHORTEST_TOKEN:
            raise NotConfiguredError(
                f"the HTTP token has fewer than {SHORTEST_TOKEN} characters",
                hint="take a long random one, such as `openssl rand -hex 32` prints",
            )
        if _is_loopback(self.host):
            return
        if self.token is None:
            raise NotConfiguredError(
                f"{self.host} is reachable beyond this machine, and no token protects it",
                hint="set FALKIT_HTTP_TOKEN or FALKIT_HTTP_TOKEN_FILE, or listen on 127.0.0.1",
            )
        if _is_any(self.host) and not self.hosts:
            raise NotConfiguredError(
                f"{self.host} stands for every address, so the names to answer to are not known",
                hint="name them: --allow-host falkit.example.com",
            )

    def security(self) -> TransportSecuritySettings:
        """Return the Host and Origin lists as the SDK checks them."""
        own = () if _is_any(self.host) else (self.host,)
        names = dict.fromkeys([*LOOPBACK, *own, *self.hosts])
        return TransportSecuritySettings(
            allowed_hosts=[form for name in names for form in (name, f"{name}:*")],
            allowed_origins=[
                *(
                    f"{scheme}://{name}{port}"
                    for scheme in ("http", "https")
                    for name in LOOPBACK
                    for port in ("", ":*")
                ),
                *self.origins,
            ],
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return False


def _is_any(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    return host == ""


def web_app(
    rooms: Rooms,
    tools: Sequence[AnyTool],
    options: WebOptions,
    *,
    build: Callable[[Rooms, Sequence[AnyTool]], MCPServer[None]] = build_server,
    webhooks: Webhooks | None = None,
) -> Starlette:
    """Return the application that serves *tools* under ``/mcp``.

    With *webhooks*, which prove that a delivery is fal's, ``POST /webhooks/fal`` moves its job.
    ``/mcp?toolsets=discover,follow&read_only=true`` offers fewer of them. ``/healthz`` says that
    the process lives, ``/readyz`` whether its journal can be used; both need no token. Its state
    has ``end_listening``, for when the server is to end.
    """
    endpoint = Endpoint(partial(_narrowed, rooms, tools, build, options.sessions), options)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
        async with endpoint.open():
            yield

    guarded = CORSMiddleware(
        TokenGuard(endpoint, options.token),
        allow_origins=options.origins,
        allow_origin_regex=_LOOPBACK_ORIGIN,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=["mcp-session-id", "www-authenticate"],
    )
    routes = [
        Route("/mcp", guarded),
        Route("/healthz", _alive),
        Route("/readyz", partial(_ready, rooms)),
    ]
    if webhooks is not None:
        routes.append(Route("/webhooks/fal", Deliveries(rooms, webhooks).hear, methods=["POST"]))
    app = Starlette(routes=routes, lifespan=lifespan)
    app.state.end_listening = endpoint.end_listening
    return app


async def serve_http(
    app: ASGIApp,
    options: WebOptions,
    *,
    leave: Callable[[], None] = lambda: None,
    task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve *app* until SIGINT or SIGTERM; running calls then get `GRACE_SECONDS`.

    *leave* is called at once then, so that calls that only wait are answered.

    Started with ``await tasks.start(serve_http, app, options)`` it returns the port once it
    listens.

    Raises:
        NotConfiguredError: the address cannot be listened on, or is not safe to.
    """
    options.check()
    try:
        listening = listener(options.host, options.port)
    except OSError as problem:
        raise NotConfiguredError(
            f"port {options.port} of {options.host} cannot be used: {problem.strerror or problem}",
            hint="name another, as in --http 127.0.0.1:8766; port 0 takes any free one",
        ) from problem
    config = uvicorn.Config(
        app,
        http="h11",  # httptools keeps blanks around header values, which the protocol refuses
        ws="none",
        loop="none",
        access_log=False,
        log_config=None,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    port = listening.getsockname()[1]
    async with anyio.create_task_group() as tasks:

        async def run(*, task_status: TaskStatus[Server]) -> None:
            await serve_until_ended(config, listening, task_status=task_status)
            tasks.cancel_scope.cancel()

        server = await tasks.start(run)

        def end() -> None:
            # The second signal does not wait for running calls.
            server.force_exit = server.should_exit
            server.should_exit = True
            leave()

        await tasks.start(heed_signals, end)
        task_status.started(port)


def _narrowed(
    rooms: Rooms,
    tools: Sequence[AnyTool],
    build: Callable[[Rooms, Sequence[AnyTool]], MCPServer[None]],
    sessions: bool,
    asked: "Narrowing",
) -> MCPServer[None]:
    names = asked.toolsets or frozenset(tool.toolset for tool in tools)
    kept = chosen_tools(names, read_only=asked.read_only)
    server = build(rooms, [tool for tool in tools if tool in kept])
    if sessions:  # without them nobody of the older era could be told of a change
        Subscriptions(server, rooms)
    return server


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Which tools an address asks for; no toolsets stand for all."""

    toolsets: frozenset[str] = frozenset()
    read_only: bool = False

    @classmethod
    def read(cls, query: QueryParams) -> "Narrowing":
        """Return what *query* asks for.

        Raises:
            ActionableError: it names what there is not.
        """
        if twice := sorted(name for name in set(query) if len(query.getlist(name)) > 1):
            raise ActionableError(
                f"the address names {twice[0][:40]!r} twice", hint="give each parameter once"
            )
        words = re.split(r"[,\s]+", query.get("toolsets", ""))
        asked = frozenset(word for word in words if word)
        flag = query.get("read_only", "false").lower()
        if flag not in ("", "1", "true", "on", "yes", "0", "false", "off", "no"):
            raise ActionableError(f"read_only is {flag[:40]!r}", hint="it takes true or false")
        if strangers := sorted(set(query) - {"toolsets", "read_only"}):
            raise ActionableError(
                f"the address has an unknown parameter {strangers[0][:40]!r}",
                hint="there are toolsets and read_only",
            )
        chosen_tools(asked)
        return cls(asked, flag in ("", "1", "true", "on", "yes"))


async def _body_of(receive: Receive) -> deque[Message] | None:
    """Return the parts of a body, the rest unread when they are too large, None if it breaks off.

    Raises:
        TimeoutError: it was not whole within `BODY_SECONDS`.
    """
    parts, size = deque[Message](), 0
    with anyio.fail_after(BODY_SECONDS):
        while size <= LARGEST_BODY:
            message = await receive()
            if message["type"] != "http.request":
                return None  # the caller left
            parts.append(message)
            size += len(message.get("body", b""))
            if not message.get("more_body", False):
                break
    return parts


def _again(parts: deque[Message], receive: Receive) -> Receive:
    """Return what hands out *parts* first."""

    async def replayed() -> Message:
        return parts.popleft() if parts else await receive()

    return replayed


class Endpoint:
    """The MCP endpoint: one server for every narrowing that was asked for, made when it is."""

    def __init__(
        self, server_of: Callable[[Narrowing], MCPServer[None]], options: WebOptions
    ) -> None:
        self._server_of = server_of
        self._options = options
        self._serving: dict[Narrowing, ASGIApp] = {}
        self._calls = 0
        self._opening = anyio.Lock()
        self._group: TaskGroup | None = None
        self._served: list[StrictServer] = []
        self._idle = Streams()

    def end_listening(self) -> None:
        """End the streams of those who listen for changes, and questions nobody has answered."""
        for server in self._served:
            server.leave()
        self._idle.end()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Hold the servers' sessions open."""
        async with anyio.create_task_group() as self._group:
            try:
                yield
            finally:
                self._group.cancel_scope.cancel()
                self._group = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        refusal = self._refusal(scope)
        if refusal is None:
            try:
                asked = scope["query_string"]
                narrowing = Narrowing.read(QueryParams(asked)) if asked else Narrowing()
            except ActionableError as problem:
                refusal = JSONResponse({"error": str(problem)}, 400)
            else:
                if scope["method"] == "GET":
                    serving = await self._opened(narrowing)
                    return await self._idle.hold(serving, scope, receive, send)
                self._calls += 1
                try:
                    body = await _body_of(receive)
                    if body is None:
                        return None
                    serving = await self._opened(narrowing)
                    return await serving(scope, _again(body, receive), send)
                except TimeoutError:
                    refusal = JSONResponse({"error": "the request did not arrive in time"}, 408)
                finally:
                    self._calls -= 1
        return await refusal(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return why a request is not heard, if it is not."""
        if scope["method"] != "POST" and not self._options.sessions:
            # Without sessions there is nothing to listen to: an open GET would idle for ever.
            return Response(status_code=405, headers={"allow": "POST"})
        # Who only listens takes no place from those who call.
        here = self._idle.count if scope["method"] == "GET" else self._calls
        if here >= MOST_CALLS:
            return JSONResponse(
                {"error": f"more than {MOST_CALLS} calls at once"}, 503, {"retry-after": "1"}
            )
        return None

    async def _opened(self, narrowing: Narrowing) -> ASGIApp:
        """Return what serves *narrowing*, opened by a task of its own when first asked for."""
        if (serving := self._serving.get(narrowing)) is not None:
            return serving
        async with self._opening:
            if narrowing not in self._serving:
                assert self._group is not None  # noqa: S101  # requests come inside `open`
                self._serving[narrowing] = await self._group.start(self._hold, narrowing)
        return self._serving[narrowing]

    async def _hold(self, narrowing: Narrowing, *, task_status: TaskStatus[ASGIApp]) -> None:
        server = self._server_of(narrowing)
        if isinstance(server, StrictServer):
            self._served.append(server)
        server.streamable_http_app(
            stateless_http=not self._options.sessions,
            max_request_body_size=LARGEST_BODY,
            transport_security=self._options.security(),
        )
        manager = server.session_manager
        async with manager.run():
            short = ShortWay(server) if isinstance(server, StrictServer) else None
            task_status.started(Quick(manager, short))
            await anyio.sleep_forever()


class TokenGuard:
    """Hears only requests that carry the bearer token, where there is one."""

    def __init__(self, app: ASGIApp, token: SecretStr | None) -> None:
        self._app = app
        self._token = token.get_secret_value().encode() if token else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, with 401 where the token is missing or another."""
        if self._token and not hmac.compare_digest(_bearer(Headers(scope=scope)), self._token):
            refusal = JSONResponse(
                {"error": "a bearer token is needed: the one in FALKIT_HTTP_TOKEN"},
                401,
                {"www-authenticate": 'Bearer realm="falkit"'},
            )
            return await refusal(scope, receive, send)
        return await self._app(scope, receive, send)


def _bearer(headers: Headers) -> bytes:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip().encode() if scheme.lower() == "bearer" else b""


async def _alive(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _ready(rooms: Rooms, _request: Request) -> Response:
    """Say whether jobs can be read, which everything but the catalog needs."""
    problem = "the journal does not answer"
    with anyio.move_on_after(READY_SECONDS):
        try:
            await rooms.jobs.list(JobQuery(limit=1))
        except ActionableError as found:
            log.warning("not ready: %s", found)
            problem = "the journal cannot be used; the server's log says why"
        else:
            return JSONResponse({"status": "ready", "backend": rooms.backend})
    return JSONResponse({"status": "not ready", "problem": problem}, 503)
