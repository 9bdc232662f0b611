"""Requests over HTTP that are answered at once, in the task they came with."""

from copy import copy

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import RequestBodyLimitMiddleware
from starlette.types import Receive, Scope, Send

MODERN = b"2026-07-28"
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


class Quick:
    """Serves as *manager* does, which must run, and what is known at once without a stream.

    The SDK opens a channel and two tasks for each request, so that its answer may become a stream
    and a caller who leaves is noticed. A third of the CPU of a search went there, though it ends
    before anybody leaves and is told as plain JSON in either way.
    """

    def __init__(self, manager: StreamableHTTPSessionManager) -> None:
        self._streaming = manager.handle_request
        plain = copy(manager)  # whatever the other one has opened is shared
        plain.json_response = True
        # The SDK would hand it out only around the other one.
        serve = plain._handle_request  # pyright: ignore[reportPrivateUsage]
        self._plain = RequestBodyLimitMiddleware(serve, manager.max_request_body_size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        serve = self._plain if is_quick(scope) else self._streaming
        await serve(scope, receive, send)


def is_quick(scope: Scope) -> bool:
    """Whether the headers of a request, which the SDK holds to its body, ask for what is quick."""
    told: dict[bytes, bytes] = dict(scope["headers"])
    if told.get(b"mcp-protocol-version") != MODERN:
        return False
    if b"text/event-stream" not in told.get(b"accept", b""):
        return False  # whether that is enough the SDK says otherwise where nothing streams
    method = told.get(b"mcp-method")
    return told.get(b"mcp-name") in TOOLS if method == b"tools/call" else method in LISTS
