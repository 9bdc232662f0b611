"""The rooms as they are lent: each port opens them at its first use."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import anyio

from catalog.history import PastRun
from catalog.media import MediaKind
from server.asking import Approve
from tools.money_records import Charge
from tools.ports import (
    Attempt,
    Cancelled,
    GivenMedia,
    Intent,
    Job,
    JobPage,
    JobQuery,
    Jobs,
    LedgerEntry,
    Media,
    Output,
    Picture,
    Placed,
    Progress,
    Spending,
    SpendingQuery,
    View,
    WholeIntent,
)

if TYPE_CHECKING:
    from tools.deploy_port import Deployer
    from tools.deploy_records import (
        Change,
        Checked,
        DeployedApp,
        LogPage,
        LogQuery,
        Plan,
        Scaffolded,
        Target,
    )


class Prune(Protocol):
    """Forgets jobs that ended before an instant, and returns how many; *dry* only counts them."""

    async def __call__(self, before: datetime, *, dry: bool = False) -> int: ...


class Entries(Protocol):
    """Returns the jobs that count since then, oldest first: at most so many (below zero: all) of
    those *after* another one."""

    async def __call__(
        self, since: datetime | None, after: LedgerEntry | None = None, most: int = -1
    ) -> Sequence[LedgerEntry]: ...


class StartLive(Protocol):
    """Starts a job beside the queue, whose every output is heard as it comes."""

    async def __call__(
        self,
        intent: Intent,
        kind: Literal["stream", "realtime"],
        hear: Callable[[Any], Awaitable[None]],
        *,
        asked: bool = False,
    ) -> Job: ...


@dataclass(frozen=True, slots=True)
class Opened:
    """The rooms that cost time to open: jobs and media on one backend.

    *approve*, *entries*, *prune*, *charges* (what fal billed since an instant) and *live* are for
    the command line alone: no tool reaches them.
    """

    jobs: Jobs
    media: Media
    approve: Approve
    entries: Entries
    prune: Prune
    charges: Callable[[datetime], Awaitable[Sequence[Charge]]]
    live: StartLive
    deployer: Callable[[], Awaitable["Deployer"]]


class Annexe(Protocol):
    """The late part of the house."""

    async def opened(self) -> Opened:
        """Return the open rooms, opening them if need be.

        Raises:
            ActionableError: they cannot be opened; the next call tries again.
        """
        ...

    async def past_runs(self, endpoint_id: str) -> Sequence[PastRun]:
        """Return what past runs cost, as far as there is a journal that can be read."""
        ...


class LateJobs:
    """The `Jobs` port, opened at its first use."""

    def __init__(self, annexe: Annexe) -> None:
        self._annexe = annexe
        self._waits: set[anyio.CancelScope] = set()
        self._leaving = False

    def end_waits(self) -> None:
        """Let whoever waits be answered now, with the job as it stands: the server is leaving."""
        self._leaving = True
        for scope in self._waits:
            scope.cancel()

    async def start(self, intent: Intent) -> Job:
        return await (await self._annexe.opened()).jobs.start(intent)

    async def start_whole(self, intent: WholeIntent) -> Job:
        return await (await self._annexe.opened()).jobs.start_whole(intent)

    async def parts(self, job_id: str) -> Sequence[Job]:
        return await (await self._annexe.opened()).jobs.parts(job_id)

    async def attempts(self, job_id: str) -> Sequence[Attempt]:
        return await (await self._annexe.opened()).jobs.attempts(job_id)

    async def wait(self, job_id: str, seconds: float, progress: Progress | None = None) -> Job:
        jobs = (await self._annexe.opened()).jobs
        with anyio.CancelScope() as scope:
            self._waits.add(scope)
            try:
                return await jobs.wait(job_id, 0 if self._leaving else seconds, progress)
            finally:
                self._waits.discard(scope)
        return await jobs.find(job_id)

    async def find(self, job_id: str) -> Job:
        return await (await self._annexe.opened()).jobs.find(job_id)

    async def deliver(self, job_id: str) -> None:
        await (await self._annexe.opened()).jobs.deliver(job_id)

    async def list(self, query: JobQuery) -> JobPage:
        return await (await self._annexe.opened()).jobs.list(query)

    async def spending(self, query: SpendingQuery) -> Spending:
        return await (await self._annexe.opened()).jobs.spending(query)

    async def past_runs(self, endpoint_id: str) -> Sequence[PastRun]:
        """Return nothing where there is no journal: a price needs no other room."""
        return await self._annexe.past_runs(endpoint_id)

    async def cancel(self, job_id: str) -> Cancelled:
        return await (await self._annexe.opened()).jobs.cancel(job_id)


class LateMedia:
    """The `Media` port, opened at its first use."""

    def __init__(self, annexe: Annexe) -> None:
        self._annexe = annexe

    async def look(self, reference: str, kind: MediaKind | None = None) -> GivenMedia:
        return await (await self._annexe.opened()).media.look(reference, kind)

    async def place(self, given: GivenMedia) -> Placed:
        return await (await self._annexe.opened()).media.place(given)

    async def preview(self, output: Output) -> Picture | None:
        return await (await self._annexe.opened()).media.preview(output)

    async def view(self, given: GivenMedia, *, frames: int, size: int) -> View:
        return await (await self._annexe.opened()).media.view(given, frames=frames, size=size)

    async def folder(self, save_to: str) -> Path | None:
        return await (await self._annexe.opened()).media.folder(save_to)


class LateDeployer:
    """The `Deployer` port, opened at its first use."""

    def __init__(self, annexe: Annexe) -> None:
        self._annexe = annexe

    async def _deployer(self) -> "Deployer":
        return await (await self._annexe.opened()).deployer()

    async def scaffold(
        self, template: str, folder: str, *, name: str, machine: str
    ) -> "Scaffolded":
        return await (await self._deployer()).scaffold(template, folder, name=name, machine=machine)

    async def check(self, path: str, *, app: str = "", load: str = "") -> "Checked":
        return await (await self._deployer()).check(path, app=app, load=load)

    async def plan(self, change: "Change") -> "Plan":
        return await (await self._deployer()).plan(change)

    async def apply(self, plan_id: str, *, asked_by: str = "") -> Job:
        return await (await self._deployer()).apply(plan_id, asked_by=asked_by)

    async def recheck(self, job: Job) -> None:
        await (await self._deployer()).recheck(job)

    async def status(
        self, app: str = "", target: "Target | None" = None
    ) -> "Sequence[DeployedApp]":
        return await (await self._deployer()).status(app, target)

    async def logs(self, query: "LogQuery", follow_seconds: float = 0.0) -> "LogPage":
        return await (await self._deployer()).logs(query, follow_seconds)
