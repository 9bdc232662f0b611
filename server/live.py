"""Live calls on whichever backend: outputs that stream, and realtime over a socket."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import anyio
import httpx
from pydantic import SecretStr
from starlette.types import ASGIApp

from catalog.index import CatalogIndex
from server.emulator.serve import serve
from server.fal.client import FalClient
from server.fal.problems import LostAnswerError, NetworkError
from server.fal.realtime import Conversation, Realtime
from server.fal.wire import PLAIN_HEAD
from server.jobs.live import Hear, Line, LiveSender, Outputs, without_bytes
from server.jobs.service import JournalJobs
from server.settings import EMULATOR_BASE, Hosts
from tools.ports import Intent, Job

LiveKind = Literal["stream", "realtime"]

ANSWERED_WITHIN = 600.0  # one realtime output, in seconds


@dataclass(frozen=True, slots=True)
class Live:
    """Starts live calls as jobs of *jobs*; *app* is the embedded platform, where that is used."""

    jobs: JournalJobs
    catalog: CatalogIndex
    client: FalClient
    http: httpx.AsyncClient
    hosts: Hosts
    key: SecretStr | None
    app: ASGIApp | None

    async def start(self, intent: Intent, kind: LiveKind, hear: Hear, *, asked: bool) -> Job:
        """Start *intent* as `JournalJobs.start` does, beside the queue; *hear* gets each output.

        Raises what that raises.
        """
        line: Line = self.client.stream if kind == "stream" else self._realtime
        sender = LiveSender(self.jobs.store, self.catalog, self.jobs.changes, line, hear)
        return await self.jobs.start(intent, sender, asked=asked)

    @asynccontextmanager
    async def _realtime(
        self, endpoint_id: str, arguments: Mapping[str, Any]
    ) -> AsyncGenerator[Outputs]:
        """Send one input over a socket, which is paid for, and yield its one output."""
        async with _reachable(self.hosts, self.app) as hosts:
            realtime = Realtime(self.http, hosts, self.key)
            async with realtime.connect(endpoint_id, token_seconds=None) as conversation:
                await conversation.send(arguments)
                inside = hosts.run.removesuffix("/run") if self.app is not None else ""
                yield _Answer(conversation, endpoint_id, inside)


class _Answer:
    """The one output that follows one input.

    Addresses under *inside*, where the embedded platform was served, are as they are otherwise.
    """

    head = PLAIN_HEAD

    def __init__(self, conversation: Conversation, subject: str, inside: str) -> None:
        self._conversation = conversation
        self._subject = subject
        self._inside = inside

    async def __aiter__(self) -> AsyncIterator[Any]:
        output: Any = None
        with anyio.move_on_after(ANSWERED_WITHIN) as waiting:
            output = await self._conversation.receive()
        if waiting.cancelled_caught:
            raise NetworkError(f"{self._subject}: no output came", charged=None)
        if output is None:
            raise LostAnswerError(f"{self._subject}: the platform closed before it answered")
        output = without_bytes(output)
        yield _moved(output, self._inside, EMULATOR_BASE) if self._inside else output


def _moved(value: Any, old: str, new: str) -> Any:  # noqa: ANN401  # any JSON
    """Return *value* with addresses under *old* as they are under *new*."""
    if isinstance(value, str):
        return new + value.removeprefix(old) if value.startswith(f"{old}/") else value
    if isinstance(value, list):
        return [_moved(one, old, new) for one in cast("list[Any]", value)]
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return {name: _moved(one, old, new) for name, one in table.items()}
    return value


@asynccontextmanager
async def _reachable(hosts: Hosts, app: ASGIApp | None) -> AsyncGenerator[Hosts]:
    """Yield *hosts* with sockets: *app*, which has none inside this process, on a loopback port."""
    if app is None:
        yield hosts
        return
    failure: Exception | None = None  # a task group would wrap what its body raises
    async with anyio.create_task_group() as tasks:
        port = await tasks.start(serve, app, 0)
        try:
            yield replace(hosts, run=f"http://127.0.0.1:{port}/run")
        except Exception as problem:
            failure = problem
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
