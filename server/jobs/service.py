"""`JournalJobs`: the jobs of one home, as one process serves them."""

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio

from catalog.errors import ActionableError
from catalog.history import PastRun
from catalog.index import CatalogIndex
from server.jobs.admission import Rules
from server.jobs.backend import Backend
from server.jobs.callbacks import checked_callback
from server.jobs.cancelling import Cancelling
from server.jobs.conductor import Conductor
from server.jobs.deploying import CarryOut, Deploying
from server.jobs.filling import Desk, Filler
from server.jobs.finder import Finder
from server.jobs.follower import Follower
from server.jobs.hands import Hand, Hands, Sends, Skills
from server.jobs.intake import JobFinder
from server.jobs.journal import open_journal
from server.jobs.keeper import Keeper
from server.jobs.leases import house_of
from server.jobs.ledger import Limits
from server.jobs.outlook import Outlooks
from server.jobs.pace import PACE, Pace
from server.jobs.port import JobStore
from server.jobs.shield import shielded
from server.jobs.store import SqliteJobStore
from server.jobs.submitter import Submitter
from server.jobs.transactions import Work
from server.jobs.waiting import Changes, Teller
from server.settings import Settings
from tools.ports import (
    Attempt,
    BackendName,
    Cancelled,
    DeployIntent,
    Intent,
    Job,
    JobPage,
    JobQuery,
    LedgerEntry,
    Progress,
    Spending,
    SpendingQuery,
    WholeIntent,
)

log = logging.getLogger("falkit.jobs")

JOURNAL = "journal.db"
RETAINED_EVERY = 24 * 3600.0  # seconds between two looks for jobs that are older than a setting


@asynccontextmanager
async def open_jobs(
    settings: Settings,
    backend: Backend,
    catalog: CatalogIndex,
    pace: Pace = PACE,
    desk_of: Callable[[JobFinder], Desk] | None = None,
    carry_out: CarryOut | None = None,
) -> AsyncGenerator["JournalJobs"]:
    """Yield the jobs of `Settings.home`; work that an earlier process left is taken up at once.

    *desk_of* makes what carries outputs of one step of a pipeline into the next, *carry_out* makes
    planned changes to deployed apps.

    Closing waits briefly for submits under way, hands over the leases, and leaves jobs running.

    Raises:
        JournalError: the journal cannot be used.
    """
    house = house_of(settings)
    async with open_journal(settings.home / JOURNAL) as journal:
        store = SqliteJobStore(journal, house, rules_of(settings), pace.lease)
        await store.try_all_again()
        changes = Changes(store, pace.look)
        skills = Skills(
            Submitter(store, backend, changes.changed, journal.book, settings.public_url),
            Follower(store, backend, catalog, changes.changed, pace),
            Keeper(
                store,
                backend,
                settings.media_folder,
                changes.changed,
                pace.keep_again,
                settings.provenance,
            ),
            Finder(store, backend, changes.changed, journal.book),
            Conductor(
                store,
                changes,
                Filler(catalog, desk_of(store), store.past_runs) if desk_of is not None else None,
                settings.media_folder,
                pace,
                settings.parallel,
            ),
            Deploying(store, changes, carry_out),
        )
        failure: Exception | None = None  # a task group would wrap what its body raises
        async with anyio.create_task_group() as group:
            hands = Hands(group, store, skills, pace)
            jobs = JournalJobs(
                store, backend, hands, changes, pace, Outlooks(journal, house), settings.backend
            )
            group.start_soon(changes.watch)
            group.start_soon(jobs.tend)
            if settings.keep_days is not None:
                group.start_soon(jobs.retain, settings.keep_days)
            try:
                yield jobs
            except Exception as problem:
                failure = problem
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(pace.drain):
                    await hands.drain()
                journal.hurry()  # a write that waits for another program holds a thread
                group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await store.release_all()
        if failure is not None:
            raise failure


def rules_of(settings: Settings) -> Rules:
    """Return what *settings* say about new jobs."""
    asks = settings.backend == "cloud" or settings.ask_on_emulator
    return Rules(settings.backend, Limits.of(settings), settings.approve_above if asks else None)


class JournalJobs:
    """The `Jobs` port on a journal that many processes share."""

    def __init__(
        self,
        store: JobStore,
        backend: Backend,
        hands: Hands,
        changes: Changes,
        pace: Pace,
        outlooks: Outlooks,
        backend_name: BackendName,
    ) -> None:
        self.store = store
        self._backend = backend
        self._hands = hands
        self.changes = changes
        self._pace = pace
        self._outlooks = outlooks
        self._backend_name: BackendName = backend_name
        self._busy = True
        self._look_now = anyio.Event()

    async def start(self, intent: Intent, by: Sends | None = None, *, asked: bool = False) -> Job:
        """Write *intent* down, reserve its price, submit it *by* that, and return the job.

        An identical earlier call that is unfinished, or whose end no caller saw, is returned
        instead (`Job.repeated`) unless `Intent.again`. Over an approval limit the job is ``held``
        (unless *asked*), when the answer to the submit is lost it is ``unconfirmed``, and when that
        answer takes long (`Pace.submit_wait`) it is still ``planned``.

        Raises:
            OverBudgetError: a budget or *max_dollars* does not allow it; nothing was submitted.
            BackendError: the platform refused the submit; the job is ``failed``.
        """
        checked_callback(intent.webhook_url, self._backend_name)
        # From here on, no caller can cancel what is being paid for.
        job, hand = await shielded(self._begin(intent, by, asked))
        if hand is None:
            return job
        with anyio.move_on_after(self._pace.submit_wait):
            await hand.answered.wait()
        if not hand.answered.is_set():
            return await self.find(job.job_id)
        if hand.sent is None:
            raise hand.problem or ActionableError("falkit is shutting down", hint="ask job_status")
        if hand.sent.problem is not None:
            await self.store.deliver(job.job_id)
            raise hand.sent.problem
        return hand.sent.job

    async def start_whole(self, intent: WholeIntent | DeployIntent) -> Job:
        """Write a whole and its parts down, reserve their price together, and return the whole.

        It goes on in the background, in whatever process lives. An identical earlier call counts as
        for `start`; over an approval limit, or where a deploy asks, all of it is ``held``.

        Raises:
            OverBudgetError: a budget or *max_dollars* does not allow it; nothing was submitted.
        """
        admitted = await shielded(self.store.admit_whole(intent))
        self._busy = True
        if admitted.claim is not None:
            self._hands.take(Work(admitted.claim, admitted.job))
        return admitted.job

    async def parts(self, job_id: str) -> Sequence[Job]:
        """Return the parts of a whole in their order; none for a job without."""
        whole = await self.store.whole(job_id)
        return await self._outlooks.of([part.job for part in whole.parts])

    async def attempts(self, job_id: str) -> Sequence[Attempt]:
        return await self.store.attempts(job_id)

    async def _begin(
        self, intent: Intent, by: Sends | None, asked: bool
    ) -> tuple[Job, Hand | None]:
        """Write *intent* down, and give its submit to a task of its own."""
        admitted = await self.store.admit(intent, asked=asked)
        self._busy = True  # the journal holds unfinished work now
        if admitted.claim is None:
            return admitted.job, None
        work = Work(admitted.claim, admitted.job, webhook_url=intent.webhook_url)
        if intent.save_to is not None:
            work = replace(work, save_to=str(intent.save_to))
        return admitted.job, self._hands.take(work, by)

    async def wait(self, job_id: str, seconds: float, progress: Progress | None = None) -> Job:
        """Return the job when it is settled, or as it stands after *seconds*.

        Files of a done job that are not home are tried again. Progress is reported at every change
        and at least every five seconds. A cancelled wait leaves the job running.

        Raises:
            UnknownJobError: no such job.
        """
        (job,) = await self._outlooks.of([await self._waited(job_id, seconds, progress)])
        return job

    async def _waited(self, job_id: str, seconds: float, progress: Progress | None) -> Job:
        job = await self.find(job_id)
        if seconds <= 0:
            return job
        missing = job.state == "done" and not job.saved and job.is_settled
        if missing and await self.store.keep_again(job.job_id):
            self.changes.changed(job.job_id)
            self._look_now.set()
        teller = Teller(progress, self._pace.progress)
        with anyio.move_on_after(seconds), self.changes.listening(job.job_id) as ear:
            while True:
                ear.clear()
                job = await self.find(job.job_id)
                await teller.tell(job)
                if job.is_settled:
                    return job
                await self._call(job)
                with anyio.move_on_after(min(teller.next_in, self._pace.progress)):
                    await ear.event.wait()
        return await self.find(job.job_id)

    async def find(self, job_id: str) -> Job:
        """Return the job as the journal has it now.

        Raises:
            UnknownJobError: no such job.
        """
        return await self.store.find(job_id)

    async def deliver(self, job_id: str) -> None:
        """Note that a caller saw the end of this job; before its end nothing is noted.

        Raises:
            UnknownJobError: no such job.
        """
        await self.store.deliver(job_id)

    async def list(self, query: JobQuery) -> JobPage:
        page = await self.store.page(query)
        return replace(page, jobs=await self._outlooks.of(page.jobs))

    async def past_runs(self, endpoint_id: str) -> Sequence[PastRun]:
        """Return what the newest runs of an endpoint cost this account, newest first."""
        return await self.store.past_runs(endpoint_id)

    async def spending(self, query: SpendingQuery) -> Spending:
        """Return what was spent, is reserved and is left, by model, day or tag."""
        return await self.store.spending(query)

    async def entries(
        self, since: datetime | None, after: LedgerEntry | None = None, most: int = -1
    ) -> Sequence[LedgerEntry]:
        """Return the ledger entry by entry, oldest first, for the command line; see the store."""
        return await self.store.entries(since, after, most)

    async def prune(self, before: datetime, *, dry: bool = False) -> int:
        """Forget jobs that ended before then, and return how many; *dry* only counts them."""
        return await self.store.prune(before, dry=dry)

    async def retain(self, days: int) -> None:
        """Forget what ended longer ago than *days*, now and every day; a failure is only logged."""
        while True:
            try:
                forgotten = await self.store.prune(datetime.now(UTC) - timedelta(days=days))
            except ActionableError as problem:
                log.warning("old jobs cannot be forgotten: %s", problem)
            else:
                if forgotten:
                    log.info("%d jobs older than %d days were forgotten", forgotten, days)
            await anyio.sleep(RETAINED_EVERY)

    async def approve(self, job_id: str, *, today: bool = False) -> Job:
        """Mark a held job approved, for a person at a terminal; it is submitted within a second.

        With *today*, nobody is asked about its endpoints until midnight.

        Raises:
            UnknownJobError: no such job.
            OverBudgetError: a budget does not allow it now; it stays held.
            ActionableError: it is not held.
        """
        job = await self.store.approve(job_id, today=today)
        self.changes.changed(job.job_id)
        self._look_now.set()
        return job

    async def cancel(self, job_id: str) -> Cancelled:
        """Cancel here or on the platform, and say whether it was in time.

        Raises:
            UnknownJobError: no such job.
            BackendError: the platform could not be asked.
            ActionableError: it runs where this process has no say.
        """
        return await Cancelling(self, self._backend, self._pace).cancel(job_id)

    async def tend(self) -> None:
        """Keep leases, and take up what nobody holds; it never returns."""
        version, warned = -1, False
        while True:
            try:
                await self._hands.beat()
                now = await self.store.foreign_version()
                if self._busy or now != version or self._look_now.is_set():
                    self._busy, self._look_now = False, anyio.Event()
                    orphans = await self.store.take_over()
                    self._busy |= orphans.busy  # a start in between has set it, too
                    for work in orphans.work:
                        self._hands.take(work)
                    for job_id in orphans.ended:
                        self.changes.changed(job_id)
                    if orphans.more or orphans.ended:  # what was lost is looked for at once
                        self._look_now.set()
                version, warned = now, False
            except Exception as problem:
                # Without this loop no lease lives on, so it outlives whatever comes.
                self._busy = True
                if not warned:
                    log.warning("journal is not tended: %s", problem, exc_info=not_ours(problem))
                warned = True
            with anyio.move_on_after(self._pace.heartbeat):
                await self._look_now.wait()

    async def _call(self, job: Job) -> None:
        """Let the process that has *job* in hand, this or another, know that somebody waits."""
        if not self._hands.call(job.job_id) and job.state in ("queued", "running"):
            await self.store.want(job.job_id, self._pace.linger)


def not_ours(problem: Exception) -> bool:
    """Return whether *problem* is a mistake of falkit, whose stack belongs into the log."""
    return not isinstance(problem, ActionableError)
