"""Where each of fal's hosts lies on this one: as a path, or as a name of this machine."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from server.emulator.browsers import is_loopback
from server.emulator.places import REQUEST

# What stands before a path of each host; the platform API's own paths begin with ``/v1``.
HOSTS: Mapping[str, str] = {
    "fal.run": "/run",
    "falrun.com": "/run",
    "queue.fal.run": "/queue",
    "queue.falrun.com": "/queue",
    "ws.fal.run": "/ws",
    "rest.fal.ai": "/rest",
    "rest.alpha.fal.ai": "/rest",
    "api.fal.ai": "/api",
    "v3.fal.media": "/cdn",
    "v3b.fal.media": "/cdn",
    "fal.ai": "/fal",
}
PLACES = frozenset({"run", "queue", "ws", "rest", "api", "cdn", "fal", "proxy", "_emulator"})
NAMED = frozenset({"queue", "ws", "rest", "api", "cdn"})  # such as queue.localhost


def path_of(url: str) -> str | None:
    """Return the path here that *url* on one of fal's hosts means, None for any other host."""
    parts = urlsplit(url)
    prefix = HOSTS.get(parts.hostname or "")
    return None if prefix is None else prefix + (parts.path or "/")


class AtRoot:
    """Serves run and queue at the root as well, for clients that know hosts only, not paths.

    On ``localhost`` a bare path is one of the run host, on ``127.0.0.1``, ``[::1]`` and
    ``queue.localhost`` one of the queue; ``rest.localhost`` and so on are the others. What can only
    mean an existing request goes to the queue everywhere.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            prefix = _prefix(scope)
            if prefix:
                path = prefix + scope["path"]
                scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send)


def _prefix(scope: Scope) -> str:
    first = scope["path"].strip("/").partition("/")[0]
    if not first or first in PLACES:
        return ""
    given = next((value for name, value in scope["headers"] if name == b"host"), b"")
    name = urlsplit(f"//{given.decode('latin-1')}").hostname or ""
    if not is_loopback(name):
        return ""
    label, _, rest = name.partition(".")
    if rest == "localhost" and label in NAMED:
        return f"/{label}"
    if name != "localhost" or REQUEST.match(scope["path"].strip("/")):
        return "/queue" if scope["type"] == "http" else "/run"
    return "/run"
