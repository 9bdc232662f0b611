"""Change notices of jobs, for hosts that listen to their addresses, in either era."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskGroup
from mcp.server import MCPServer
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from catalog.errors import ActionableError
from tools.ports import Rooms

JOBS = "falkit://jobs/"
MOST_LISTENING = 256
MOST_JOBS = 20  # that one listener hears of: each is followed like a job that somebody waits for
LONGEST_JOB = 7 * 24 * 3600.0  # seconds


class JobNotices(ListenHandler):
    """Follows the jobs that somebody listens to, for as long as they listen."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._changes = InMemorySubscriptionBus()
        super().__init__(self._changes, max_subscriptions=MOST_LISTENING)

    async def __call__(
        self, ctx: ServerRequestContext[Any, Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Serve one stream of notices, until its client leaves."""
        addresses = params.notifications.resource_subscriptions or []
        jobs = [uri for uri in map(str, addresses) if uri.startswith(JOBS)]
        result: SubscriptionsListenResult | None = None
        failure: Exception | None = None  # a task group would wrap what its body raises
        async with anyio.create_task_group() as following:
            for uri in jobs[:MOST_JOBS]:
                following.start_soon(self._follow, uri)
            try:
                result = await super().__call__(ctx, params)
            except Exception as problem:
                failure = problem
            following.cancel_scope.cancel()
        if result is None:
            raise failure or anyio.EndOfStream
        return result

    async def _follow(self, uri: str) -> None:
        await followed(self._rooms, uri, lambda: self._changes.publish(ResourceUpdated(uri=uri)))


async def followed(rooms: Rooms, uri: str, tell: Callable[[], Awaitable[None]]) -> None:
    """*tell* of every change of the job at *uri* until it is settled, or the server leaves."""
    last = ""

    async def changed(_fraction: float, words: str) -> None:
        nonlocal last
        if words != last:
            last = words
            await tell()

    job_id = uri.removeprefix(JOBS)
    try:
        if not (await rooms.jobs.find(job_id)).is_settled:
            await rooms.jobs.wait(job_id, LONGEST_JOB, changed)
    except ActionableError:
        return  # listening to what there is not is allowed, and never tells anything
    await tell()


Held = dict[str, anyio.CancelScope]
_STATE = "falkit.subscriptions"


class Subscriptions:
    """`resources/subscribe` of the older era, over connections that last: pipes and sessions.

    The SDK has the verbs but nothing that stands behind them. A connection's subscriptions end with
    it; models, guides and finished jobs never change, so nothing is told of them.
    """

    def __init__(self, server: MCPServer[Any], rooms: Rooms) -> None:
        """Serve the verbs on *server*, which must not have been started."""
        self._rooms = rooms
        self._group: TaskGroup | None = None
        low = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]  # no public way
        self._opened = low.lifespan
        low.lifespan = self._lifespan
        low.add_request_handler("resources/subscribe", SubscribeRequestParams, self._subscribe)
        low.add_request_handler(
            "resources/unsubscribe", UnsubscribeRequestParams, self._unsubscribe
        )

    @asynccontextmanager
    async def _lifespan(self, server: Any) -> AsyncGenerator[Any]:  # noqa: ANN401  # the SDK's own
        failure: Exception | None = None  # a task group would wrap what its body raises
        async with self._opened(server) as state, anyio.create_task_group() as self._group:
            try:
                yield state
            except Exception as problem:
                failure = problem
            self._group.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _subscribe(
        self, ctx: ServerRequestContext[Any, Any], params: SubscribeRequestParams
    ) -> EmptyResult:
        uri, held = str(params.uri), self._held(ctx)
        if not uri.startswith(JOBS) or uri in held or self._group is None:
            return EmptyResult()
        if len(held) >= MOST_JOBS:
            raise MCPError(
                code=INVALID_PARAMS,
                message=f"{MOST_JOBS} jobs are subscribed to already; unsubscribe from one first",
            )
        held[uri] = anyio.CancelScope()
        self._group.start_soon(self._tell, ctx, uri, held)
        return EmptyResult()

    async def _unsubscribe(
        self, ctx: ServerRequestContext[Any, Any], params: UnsubscribeRequestParams
    ) -> EmptyResult:
        if scope := self._held(ctx).pop(str(params.uri), None):
            scope.cancel()
        return EmptyResult()

    async def _tell(self, ctx: ServerRequestContext[Any, Any], uri: str, held: Held) -> None:
        scope = held[uri]
        with scope:
            await followed(self._rooms, uri, lambda: ctx.session.send_resource_updated(uri))
        if held.get(uri) is scope:
            del held[uri]

    def _held(self, ctx: ServerRequestContext[Any, Any]) -> Held:
        """Return the subscriptions of a connection; they end when it does."""
        connection = ctx.session._connection  # pyright: ignore[reportPrivateUsage]  # no public way
        if _STATE not in connection.state:
            connection.state[_STATE] = held = Held()
            connection.exit_stack.callback(lambda: [scope.cancel() for scope in held.values()])
        return connection.state[_STATE]
