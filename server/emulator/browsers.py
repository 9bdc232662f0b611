"""`Browsers`: lets pages of this machine call the emulator, and no others."""

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.emulator.answers import json_answer

PREFLIGHT_SECONDS = 600
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
# Readable by any page on fal; here by those that may call at all.
EXPOSED = (
    "x-fal-request-id, x-fal-billable-units, x-fal-error-type, x-fal-needs-retry,"
    " x-fal-request-timeout-type, x-fal-retryable, x-fal-served-from, etag, retry-after,"
    " content-range"
)


class Browsers:
    """Answers preflights and adds what a browser wants to see.

    A request that names an origin comes from a page. Pages of loopback hosts are welcome, others
    only when *origins* has theirs (``https://app.example``): any key is good here, so that a
    stranger's page could otherwise use what this person has running.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str] = ()) -> None:
        self._app = app
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None:
            return await self._app(scope, receive, send)
        if not self._is_welcome(origin):
            if scope["type"] == "websocket":
                return await send({"type": "websocket.close", "code": 1008})
            words = {"detail": f"Pages of {origin} may not call this emulator"}
            return await json_answer(words, 403)(scope, receive, send)
        if scope["type"] == "websocket":
            return await self._app(scope, receive, send)
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            return await _preflight(headers, origin)(scope, receive, send)

        async def allowed(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                out["access-control-allow-origin"] = origin
                out["access-control-expose-headers"] = EXPOSED
                out.add_vary_header("origin")
            await send(message)

        return await self._app(scope, receive, allowed)

    def _is_welcome(self, origin: str) -> bool:
        if origin.lower() in self._origins:
            return True
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and is_loopback(parts.hostname or "")


def _preflight(headers: Headers, origin: str) -> Response:
    allowed = {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": METHODS,
        "access-control-allow-headers": headers.get("access-control-request-headers", "*"),
        "access-control-max-age": str(PREFLIGHT_SECONDS),
        "vary": "origin",
    }
    if headers.get("access-control-request-private-network") == "true":
        allowed["access-control-allow-private-network"] = "true"
    return Response(status_code=204, headers=allowed)


def is_loopback(host: str) -> bool:
    """Return whether *host*, a name or an address, is this machine's own."""
    name = host.lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
