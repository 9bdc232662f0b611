"""`ShortWay`: a call that asks nothing of a connection, from its parameters to its result as JSON.

The SDK makes a connection, a session, a context and two models of the result for each call. For a
search that took as long as half of the search itself. Here the SDK still checks what a host sent,
by the same models, and whatever is out of the ordinary goes the long way, through all of it.
"""

from collections.abc import Mapping
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.shared.inbound import InboundModernRoute, classify_inbound_request
from mcp_types import PROTOCOL_VERSION_META_KEY, SERVER_INFO_META_KEY
from mcp_types import methods as wire
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json

from server.app import StrictServer
from server.asking import MODERN
from server.sealing import Questions

# Versions whose results are as a tool's result is; older ones know no structured content.
VERSIONS = frozenset({"2025-06-18", "2025-11-25", MODERN})
_PARAMS = frozenset({"name", "arguments", "_meta"})


class ShortWay:
    """Answers calls of tools that only read; of a lasting connection it learns the *version*."""

    def __init__(self, server: StrictServer) -> None:
        self._server = server
        # Whoever else has to see a call on its way, as who traces it does, closes the short way.
        self._guards: list[ServerMiddleware[Any]] = [
            one for one in server.middleware if isinstance(one, Questions)
        ]
        self.version = ""
        low = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]  # no public way
        self._stamp = to_json({SERVER_INFO_META_KEY: low.server_info_stamp})

    def learn(self) -> None:
        """Learn from now on what version the one connection speaks, from what the SDK answered."""
        self._server.middleware.append(self._hear)
        self._guards.append(self._hear)

    async def _hear(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        result = await call_next(ctx)
        # Before the two have met, only these are answered.
        if ctx.request_id is not None and ctx.method not in ("initialize", "ping"):
            self.version = ctx.protocol_version
        return result

    async def result(
        self, params: Mapping[str, Any], version: str, headers: Mapping[str, str] | None = None
    ) -> bytes | None:
        """Return the result of a call with *params* as JSON, None where it must go the long way.

        *headers* are those of its request, over HTTP.
        """
        if self._server.middleware != self._guards or not _is_ordinary(params, version, headers):
            return None
        try:
            result = await self._server.look_up(params["name"], params.get("arguments") or {})
        except RecursionError:  # arguments nested deeper than the SDK lets in
            return None
        if result is None:
            return None
        dropped = None if version == MODERN else {"result_type"}
        try:
            told = result.model_dump_json(by_alias=True, exclude_none=True, exclude=dropped)
        except PydanticSerializationError:
            return None
        if version != MODERN:
            return told.encode()
        return b'%b,"_meta":%b}' % (told.encode()[:-1], self._stamp)


def _is_ordinary(
    params: Mapping[str, Any], version: str, headers: Mapping[str, str] | None
) -> bool:
    """Whether the SDK has nothing against a call, and nothing to do with it but to make it."""
    if version not in VERSIONS or not params.keys() <= _PARAMS:
        return False
    try:
        wire.validate_client_request("tools/call", version, params)
    except ValidationError:
        return False
    if version == MODERN:
        asked = {"method": "tools/call", "params": params}
        return isinstance(classify_inbound_request(asked, headers=headers), InboundModernRoute)
    # Else a host changes the era in the middle.
    return PROTOCOL_VERSION_META_KEY not in (params.get("_meta") or ())
