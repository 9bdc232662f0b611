"""Serve one app on a socket, and tell its states and what it prints."""

import contextvars
import importlib.util
import json
import logging
import os
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

_request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="")
_said: Counter[str] = Counter()  # how many lines each request that is in here has printed


class Sayer:
    """Tells what the app says, each line with its request."""

    def __init__(self, tell: Callable[..., None]) -> None:
        self._tell = tell

    def __call__(self, text: str, level: str) -> None:
        request = _request.get()
        if request:
            _said[request] += 1
        self._tell(said=text, level=level, request=request)


def beside(name: str) -> ModuleType:
    """Return the module of that name in this folder, out of reach of what the app calls so."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"_falkit_{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Logged(logging.Handler):
    """Tells what goes through `logging`, with its level."""

    def __init__(self, say: Callable[[str, str], None]) -> None:
        super().__init__(logging.INFO)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("Exception in ASGI application"):
            return  # fal has told it already, with its request
        level = "error" if record.levelno >= logging.ERROR else record.levelname.lower()
        self._say(self.format(record)[:16_000], level)


class Outermost:
    """The layer around the app: it knows whose request it is, and keeps strangers out.

    Behind an error that no code caught the connection stays: its next call may be on its way
    already. An answer says in ``x-falkit-said`` how many lines its request printed before it, so
    that they can be waited for: they take another way. With a *token* (where there is a port
    instead of a socket) a request must bear it.
    """

    def __init__(self, app: Asgi, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if self._token and headers.get(b"x-falkit-token", b"").decode("latin-1") != self._token:
            kind = "websocket.close" if scope["type"] == "websocket" else "http.response.start"
            await send({"type": kind, "status": 403, "headers": [], "code": 4403})
            if scope["type"] == "http":
                await send({"type": "http.response.body", "body": b""})
            return
        request = headers.get(b"x-fal-request-id", b"").decode("latin-1")

        is_answered = False

        async def counted(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start" and (lines := _said.get(request)):
                said = (b"x-falkit-said", str(lines).encode())
                message = {**message, "headers": [*message.get("headers", ()), said]}
            await send(message)
            is_last = not message.get("more_body", False)
            is_answered = message["type"] == "http.response.body" and is_last

        mark = _request.set(request)
        try:
            await self._app(scope, receive, counted)
        except Exception:
            if not is_answered:  # else uvicorn would hang up; fal has answered and told of it
                raise
        finally:
            _request.reset(mark)
            _said.pop(request, None)


def let_files_through(host: str, port: int) -> None:
    """Let the toolkit read from exactly this host and port, though its address is private."""
    ssrf = import_module("fal.toolkit.utils.ssrf")
    strict = ssrf.resolve_and_validate_host

    def resolve(hostname: str, wanted: int | None) -> list[str]:
        if hostname == host and wanted == port:
            return [host]
        return strict(hostname, wanted)

    setattr(ssrf, "resolve_and_validate_host", resolve)  # noqa: B010  # of a module known at run time only


def served(app: Any, tell: Callable[..., None], words: Callable[[BaseException], str]) -> Asgi:  # noqa: ANN401
    """Return the app as ASGI; a failing `setup` is told before the server ends for it."""
    inner = app.lifespan

    @asynccontextmanager
    async def lifespan(fastapi: Any) -> AsyncGenerator[None]:  # noqa: ANN401
        is_up = False
        try:
            async with inner(fastapi):
                is_up = True
                yield
        except BaseException as problem:
            if not is_up:
                tell(state="FAILED", failed=words(problem))
            raise

    app.lifespan = lifespan
    return app._build_app()


def silence(module: ModuleType) -> None:
    """Keep fal from printing every installed package, and uvicorn its steps, at each start."""
    setattr(module, "_print_python_packages", lambda: None)  # noqa: B010  # as above
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def serve(asked: dict[str, Any], shared: ModuleType, tell: Callable[..., None]) -> int:
    """Load the app, set it up and serve it until the process is asked to end."""
    folder = Path(asked["folder"])

    def words(problem: BaseException) -> str:
        return shared.words_of(problem, folder)

    silence(import_module("fal.app"))
    cls = shared.loaded_class(folder, asked["file"], asked["class_name"])
    if asked["files"]:
        let_files_through(*asked["files"])
    app = cls(_allow_init=True)
    import_module("fal.ref").set_current_app(app)
    asgi = Outermost(served(app, tell, words), asked["token"])
    tell(state="SETUP")
    base: Any = import_module("fal.api.api").FalServer
    uvicorn = import_module("uvicorn")

    class Server(base):
        async def startup(self, sockets: Any = None) -> None:  # noqa: ANN401
            await base.startup(self, sockets=sockets)
            if not self.should_exit:
                tell(state="IDLE")

        async def shutdown(self, sockets: Any = None) -> None:  # noqa: ANN401
            tell(state="TERMINATING")
            await base.shutdown(self, sockets=sockets)

    where = (
        {"uds": asked["socket"]}
        if asked["socket"]
        else {"host": "127.0.0.1", "port": asked["port"]}
    )
    config = uvicorn.Config(
        asgi, **where, lifespan="on", access_log=False, log_config=None, timeout_keep_alive=300
    )
    server = Server(config)
    server.set_handle_exit(app.handle_exit)
    with suppress(SystemExit):  # uvicorn's way to say that `setup` failed, which is told by now
        server.run()
    return 0 if server.started else 3


def main() -> int:
    """Serve, and return the status to end with; what goes wrong before is told in words."""
    asked = json.loads(sys.argv[1])
    shared = beside("app_class")
    tell = shared.Teller()
    say = Sayer(tell)
    os.environ["IS_ISOLATE_AGENT"] = "1"

    sys.stdout = shared.Lines(sys.stdout, shared.Graded(say, "info"))
    sys.stderr = shared.Lines(sys.stderr, shared.Graded(say, "warning"))
    logging.getLogger().addHandler(Logged(say))
    logging.getLogger().setLevel(logging.INFO)
    if asked["site"] not in sys.path:
        sys.path.append(asked["site"])
    try:
        return serve(asked, shared, tell)
    except BaseException as problem:
        if isinstance(problem, SystemExit) and problem.code in (0, None):
            return 0
        tell(state="FAILED", failed=shared.words_of(problem, Path(asked["folder"])))
        return 1
    finally:
        for name in ("stdout", "stderr"):
            getattr(sys, name).end()


if __name__ == "__main__":
    # Threads that the app left behind must not keep its runner alive.
    os._exit(main())
