"""`JobStore`: what jobs need of a place that remembers."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from catalog.history import PastRun
from server.jobs.admission import Admitted
from server.jobs.leases import Beat, Claim, House
from server.jobs.rows import Fields
from server.jobs.transactions import STAY, Orphans, Step, Work
from server.jobs.wholes import Filled, Whole
from tools.ports import (
    Attempt,
    BackendName,
    DeployIntent,
    Intent,
    Job,
    JobError,
    JobPage,
    JobQuery,
    LedgerEntry,
    Spending,
    SpendingQuery,
    WholeIntent,
)


class JobStore(Protocol):
    """What jobs need of a place that remembers. Each method happens whole or not at all."""

    @property
    def house(self) -> House:
        """Whose jobs this process works on."""
        ...

    async def admit(self, intent: Intent, *, asked: bool = False) -> Admitted:
        """Write *intent* down and reserve its price, or return the earlier job for the same call.

        It is held where a person must say yes, unless the person was *asked* before.

        Raises:
            OverBudgetError: a limit does not allow it; nothing was written.
        """
        ...

    async def admit_whole(self, intent: WholeIntent | DeployIntent) -> Admitted:
        """Write *intent* and its parts down and reserve all of it, or return the earlier whole.

        Raises:
            OverBudgetError: a limit does not allow all of it; nothing was written.
        """
        ...

    async def whole(self, job_id: str) -> Whole:
        """Return the job of that id with its parts, which may be none.

        Raises:
            UnknownJobError: there is none.
        """
        ...

    async def attempts(self, job_id: str) -> Sequence[Attempt]:
        """Return the whole of that id and all that continue one another with it, oldest first.

        Raises:
            UnknownJobError: there is none.
        """
        ...

    async def claim_part(
        self, claim: Claim, part_id: str, filled: Filled | None = None
    ) -> Work | None:
        """Claim a part that the holder of its whole will send now; None when it must not be.

        Raises:
            OverBudgetError: as *filled* it costs more than a limit allows.
        """
        ...

    async def put_back(self, claim: Claim) -> Job | None:
        """Take the mark of a submit off a part that the platform did not take, and let go of it."""
        ...

    async def end_parts(
        self, whole_id: str, error: JobError | None, why: str, only: Collection[str] | None = None
    ) -> Sequence[str]:
        """End parts of which nothing was sent: failed of *error*, else cancelled for *why*."""
        ...

    async def stop(self, whole_id: str) -> Sequence[str]:
        """Let nothing more of a whole be sent; return the ids of the jobs that ended by that."""
        ...

    async def stop_live(self, job_id: str) -> bool:
        """Ask whoever listens to a live call to close its line; False where none is under way."""
        ...

    async def find(self, job_id: str) -> Job:
        """Return the job of that id, however it is spelled.

        Raises:
            UnknownJobError: there is none.
        """
        ...

    async def page(self, query: JobQuery) -> JobPage:
        """Return a page of jobs.

        Raises:
            UnknownJobError: `related_to` names no job.
        """
        ...

    async def mark_submitting(self, claim: Claim) -> Work | None:
        """Note durably that the paid request is about to be sent; None when it must not be."""
        ...

    async def change(self, claim: Claim, fields: Fields, step: Step = STAY) -> Job | None:
        """Write *fields*, take *step*, return the job; None when *claim* no longer stands."""
        ...

    async def adopt(self, job_id: str, request_id: str) -> Work | None:
        """Give an ``unconfirmed`` job the request that is its own, and claim it."""
        ...

    async def unowned(self, request_ids: Sequence[str]) -> Sequence[str]:
        """Return those of *request_ids* that belong to no job, in their order."""
        ...

    async def has_rival(self, job_id: str) -> bool:
        """Say whether another job for the same call has no request yet, and may have sent one."""
        ...

    async def drop(self, job_id: str) -> Job | None:
        """Cancel a job of which nothing was sent; None when it is too late for that."""
        ...

    async def note(self, job_id: str, note: str) -> None:
        """Write a note on a job, whoever holds it."""
        ...

    async def approve(self, job_id: str, *, today: bool = False) -> Job:
        """Mark a held job approved; a process of its account submits it.

        With *today*, nobody is asked about its endpoints until midnight.

        Raises:
            UnknownJobError: no such job.
            OverBudgetError: a budget does not allow it now; it stays held.
            ActionableError: it is not held.
        """
        ...

    async def deliver(self, job_id: str) -> None:
        """Note that a caller saw the end of this job, if it has ended.

        Raises:
            UnknownJobError: no such job.
        """
        ...

    async def keep_again(self, job_id: str) -> bool:
        """Let somebody try at once to bring home what is missing; False where nothing is."""
        ...

    async def try_all_again(self) -> None:
        """Let missing files and lost requests be tried at once: the obstacle may be gone."""
        ...

    async def want(self, job_id: str, seconds: float) -> None:
        """Tell whoever holds *job_id* that somebody waits for it, for that long."""
        ...

    async def revisions(self, job_ids: Collection[str]) -> Mapping[str, int]:
        """Return a number for each job that grows when the job changes."""
        ...

    async def foreign_version(self) -> int:
        """Return a number that changes when another process has written."""
        ...

    async def prolong(self, job_ids: Collection[str]) -> Beat:
        """Hold *job_ids* a lease longer; say which are still ours and which are waited for."""
        ...

    async def take_over(self) -> Orphans:
        """Claim what nobody holds; end what will not be sent any more."""
        ...

    async def release(self, claim: Claim) -> None:
        """Let go of a job, if it is still ours."""
        ...

    async def release_all(self) -> None:
        """Let go of everything this process holds."""
        ...

    async def counted_since(self, backend: BackendName, since: datetime) -> Decimal:
        """Return the dollars reserved and settled since then."""
        ...

    async def prune(self, before: datetime, *, dry: bool = False) -> int:
        """Forget what ended before then, and return how many jobs that are; see `pruning`."""
        ...

    async def spending(self, query: SpendingQuery) -> Spending:
        """Return what was spent, is reserved and is left on the backend of this process."""
        ...

    async def past_runs(self, endpoint_id: str) -> Sequence[PastRun]:
        """Return what the newest runs of an endpoint cost this account, newest first."""
        ...

    async def entries(
        self, since: datetime | None, after: LedgerEntry | None = None, most: int = -1
    ) -> Sequence[LedgerEntry]:
        """Return jobs that count since then on the backend of this process, oldest first: at most
        so many (below zero: all) of those *after* another one."""
        ...

    async def events(self, job_id: str) -> Sequence[tuple[int, str, str]]:
        """Return every state of a job: when (milliseconds since 1970), which, why."""
        ...
