"""Change notices of jobs, for hosts that listen to their addresses (MCP 2026-07-28)."""

from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated
from mcp.types import SubscriptionsListenRequestParams, SubscriptionsListenResult

from catalog.errors import ActionableError
from tools.ports import Rooms

JOBS = "falkit://jobs/"
MOST_LISTENING = 256
MOST_JOBS = 20  # that one listener hears of: each is followed like a job that somebody waits for
DAY = 24 * 3600.0


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
        """Tell of every change of the job at *uri* until it is settled."""
        last = ""

        async def changed(_fraction: float, words: str) -> None:
            nonlocal last
            if words != last:
                last = words
                await self._changes.publish(ResourceUpdated(uri=uri))

        job_id = uri.removeprefix(JOBS)
        try:
            while not (await self._rooms.jobs.find(job_id)).is_settled:
                await self._rooms.jobs.wait(job_id, DAY, changed)
        except ActionableError:
            return  # listening to what there is not is allowed, and never tells anything
        await self._changes.publish(ResourceUpdated(uri=uri))
