"""`Proxy`: stands in for the server's part of fal's JavaScript client in a browser."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from server.emulator.answers import json_answer
from server.emulator.hosts import PLACES, path_of

# The second is where fal's own examples put theirs.
PATHS = frozenset({"/proxy", "/api/fal/proxy"})
TARGET = "x-fal-target-url"
OWN_KEY = "Key emulator:local"
CLIENT = "falkit-emulator"
# What goes on to fal besides headers that begin with ``x-fal-`` (as the official proxy has it).
PASSED = frozenset({"accept", "content-type", "content-length", "user-agent", "host", "origin"})


class Proxy:
    """Takes a request to fal in ``x-fal-target-url``, gives it a key, and has it answered here.

    A target may be on fal's hosts, or this emulator's own address; everything else is refused.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].rstrip("/") not in PATHS:
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        target = headers.get(TARGET)
        if not target:
            return await json_answer(f"Missing the {TARGET} header", 400)(scope, receive, send)
        path = _path(target, headers.get("host", ""))
        if path is None:
            return await json_answer(f"Invalid {TARGET} header", 412)(scope, receive, send)
        aimed: Scope = {
            **scope,
            "path": path,
            "raw_path": path.encode(),
            "query_string": urlsplit(target).query.encode(),
            "headers": list(_passed(headers)),
        }
        return await self._app(aimed, receive, send)


def _path(target: str, own_host: str) -> str | None:
    """Return the path here that *target* means, None where it leads elsewhere."""
    try:
        parts = urlsplit(target)
        path = path_of(target)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https"):
        return None
    if path is None and parts.netloc == own_host:
        first = parts.path.strip("/").partition("/")[0]
        path = parts.path if first in PLACES - {"proxy", "_emulator"} else None
    return path


def _passed(headers: Headers) -> Iterable[tuple[bytes, bytes]]:
    """Yield the headers that go on, and the key that a page must not have."""
    for name, value in headers.items():
        emulators = name == "x-emulator-fault"
        if name in PASSED or emulators or (name.startswith("x-fal-") and name != TARGET):
            yield name.encode(), value.encode("latin-1")
    yield b"authorization", headers.get("authorization", OWN_KEY).encode("latin-1")
    yield b"x-fal-client-proxy", CLIENT.encode()
