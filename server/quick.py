"""Requests over HTTP that are answered at once, in the task they came with."""

import json
from copy import copy
from typing import Any, cast

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import RequestBodyLimitMiddleware, TransportSecurityMiddleware
from pydantic_core import to_json
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from server.asking import MODERN
from server.short import ShortWay

# They look into the catalog or the journal, tell of no progress, and wait for nothing.
TOOLS = frozenset(
    {
        b"search_models",
        b"describe_model",
        b"estimate_cost",
        b"write_code",
        b"list_jobs",
        b"spending",
    }
)
LISTS = frozenset(
    {
        b"server/discover",
        b"tools/list",
        b"prompts/list",
        b"resources/list",
        b"resources/templates/list",
    }
)
_REQUEST = {"jsonrpc", "id", "method", "params"}


class Quick:
    """Serves as *manager* does, which must run, and what is known at once without a stream.

    The SDK opens a channel and two tasks for each request, so that its answer may become a stream
    and a caller who leaves is noticed. A third of the CPU of a search went there, though it ends
    before anybody leaves and is told as plain JSON in either way. Calls take the *short* way, if
    there is one and they may.
    """

    def __init__(self, manager: StreamableHTTPSessionManager, short: ShortWay | None) -> None:
        self._streaming = manager.handle_request
        plain = copy(manager)  # whatever the other one has opened is shared
        plain.json_response = True
        # The SDK would hand it out only around the other one.
        serve = plain._handle_request  # pyright: ignore[reportPrivateUsage]
        self._plain = RequestBodyLimitMiddleware(serve, manager.max_request_body_size)
        self._most = manager.max_request_body_size
        self._security = TransportSecurityMiddleware(manager.security_settings)
        self._short = short

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if not is_quick(scope):
            return await self._streaming(scope, receive, send)
        first: list[Message] = [await receive()]
        body = await self._told(scope, first[0])
        if body is not None:
            size = str(len(body)).encode()
            headers = [(b"content-length", size), (b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            return await send({"type": "http.response.body", "body": body})

        async def replayed() -> Message:
            return first.pop() if first else await receive()

        return await self._plain(scope, replayed, send)

    async def _told(self, scope: Scope, message: Message) -> bytes | None:
        """Return the answer to a plain call whose whole body is in *message*, else None."""
        body: bytes = message.get("body", b"")
        if self._short is None or message.get("more_body") or len(body) > self._most:
            return None
        pairs: list[tuple[bytes, bytes]] = scope["headers"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}
        if len(headers) != len(pairs) or "application/json" not in headers["accept"]:
            return None
        if any(name.startswith("mcp-param-") for name in headers):
            return None
        if await self._security.validate_request(Request(scope), is_post=True) is not None:
            return None
        asked = _call_in(body)
        if asked is None:
            return None
        result = await self._short.result(asked["params"], MODERN, headers)
        if result is None:
            return None
        return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (to_json(asked["id"]), result)


def _call_in(body: bytes) -> dict[str, Any] | None:
    """Return the call of a tool that *body* is, None for anything else."""
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    asked = cast("dict[str, Any]", found)  # the keys of a JSON object are text
    is_call = asked.keys() == _REQUEST and asked["method"] == "tools/call"
    is_sound = is_call and asked["jsonrpc"] == "2.0" and isinstance(asked["params"], dict)
    given = asked.get("id")
    is_id = type(given) is int or (isinstance(given, str) and given.isascii())
    return asked if is_sound and is_id else None


def is_quick(scope: Scope) -> bool:
    """Whether the headers of a request, which the SDK holds to its body, ask for what is quick."""
    if scope["method"] != "POST":
        return False
    told: dict[bytes, bytes] = dict(scope["headers"])
    if told.get(b"mcp-protocol-version") != MODERN.encode():
        return False
    if b"text/event-stream" not in told.get(b"accept", b""):
        return False  # whether that is enough the SDK says otherwise where nothing streams
    method = told.get(b"mcp-method")
    return told.get(b"mcp-name") in TOOLS if method == b"tools/call" else method in LISTS
