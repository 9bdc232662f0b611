"""`SqliteJobStore`: what is known of every job, shared by all processes of one home."""

import logging
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import anyio
from anyio.to_thread import run_sync

from catalog.history import PastRun
from server.jobs import (
    approvals,
    attempts,
    leases,
    ledger,
    listing,
    pruning,
    spending,
    transactions,
    wholes,
)
from server.jobs.admission import Admitted, Rules, admit, why_held
from server.jobs.history import past_runs
from server.jobs.journal import BRIEF, Act, Journal, JournalError, T
from server.jobs.leases import Beat, Claim, House
from server.jobs.recovering import recover
from server.jobs.rows import Fields, job_of, milliseconds, now_ms, packed
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

log = logging.getLogger("falkit.jobs.store")

# How long what is no loss waits for its turn to be written, in seconds.
LEISURE = 2.0


class SqliteJobStore:
    """A `JobStore` in the journal of one home, as the process *house* sees it."""

    def __init__(self, journal: Journal, house: House, rules: Rules, lease_seconds: float) -> None:
        self._journal = journal
        self._house = house
        self._rules = rules
        self._lease = round(lease_seconds * 1000)

    @property
    def house(self) -> House:
        return self._house

    async def admit(self, intent: Intent, *, asked: bool = False) -> Admitted:
        rules = replace(self._rules, approve_above=None) if asked else self._rules
        # Durable is what a caller is told of. Of a planned job nobody is told before its submit is
        # marked, and that write takes this one to the disk with it.
        return await self._journal.write(
            lambda c: admit(c, intent, rules, self._house, (now_ms(), self._until())),
            durable=bool(why_held(intent, rules)),
        )

    async def admit_whole(self, intent: WholeIntent | DeployIntent) -> Admitted:
        # Its id is told before any submit is marked.
        return await self._journal.write(
            lambda c: wholes.admit_whole(
                c, intent, self._rules, self._house, (now_ms(), self._until())
            ),
            durable=True,
        )

    async def whole(self, job_id: str) -> Whole:
        return await self._journal.read(lambda c: wholes.whole(c, job_id))

    async def attempts(self, job_id: str) -> Sequence[Attempt]:
        return await self._journal.read(lambda c: attempts.attempts(c, job_id))

    async def claim_part(
        self, claim: Claim, part_id: str, filled: Filled | None = None
    ) -> Work | None:
        return await self._journal.write(
            lambda c: wholes.claim_part(
                c, claim, self._house, part_id, self._until(), self._rules, filled
            )
        )

    async def put_back(self, claim: Claim) -> Job | None:
        return await self._journal.write(
            lambda c: wholes.put_back(c, claim, self._journal.book), durable=True
        )

    async def end_parts(
        self, whole_id: str, error: JobError | None, why: str, only: Collection[str] | None = None
    ) -> Sequence[str]:
        return await self._journal.write(
            lambda c: transactions.end_parts(c, self._house, whole_id, error, why, only)
        )

    async def stop(self, whole_id: str) -> Sequence[str]:
        return await self._journal.write(
            lambda c: wholes.stop(c, self._house, whole_id), durable=True
        )

    async def stop_live(self, job_id: str) -> bool:
        return await self._journal.write(lambda c: transactions.stop_live(c, job_id))

    async def find(self, job_id: str) -> Job:
        return await self._journal.read(lambda c: job_of(transactions.found(c, job_id)))

    async def page(self, query: JobQuery) -> JobPage:
        def read(connection: sqlite3.Connection) -> JobPage:
            if not query.related_to:
                return listing.page(connection, query)
            root: str = transactions.found(connection, query.related_to)["job_id"]
            return listing.page(connection, replace(query, related_to=root))

        return await self._journal.read(read)

    async def mark_submitting(self, claim: Claim) -> Work | None:
        def mark(connection: sqlite3.Connection) -> Work | None:
            self._journal.check_place()
            return transactions.mark_submitting(connection, claim, self._journal.book)

        work = await self._journal.write(mark, durable=True)
        if work is not None and work.sent is not None:
            about = (self._house.account, work.job.endpoint_id, work.call)
            at = milliseconds(work.sent)
            await run_sync(self._journal.book.sent, claim.job_id, at, *about)
        return work

    async def change(self, claim: Claim, fields: Fields, step: Step = STAY) -> Job | None:
        job = await self._journal.write(
            lambda c: transactions.change(c, claim, fields, step), durable=step.durable
        )
        news = step.to is not None or "saved" in fields
        if job is not None and news and job.is_over and (job.saved or job.state != "done"):
            await run_sync(self._journal.book.over, claim.job_id)
        return job

    async def adopt(self, job_id: str, request_id: str) -> Work | None:
        return await self._journal.write(
            lambda c: transactions.adopt(c, self._house, job_id, request_id, self._until()),
            durable=True,
        )

    async def unowned(self, request_ids: Sequence[str]) -> Sequence[str]:
        return await self._journal.read(lambda c: transactions.unowned(c, request_ids))

    async def has_rival(self, job_id: str) -> bool:
        return await self._journal.read(lambda c: transactions.has_rival(c, job_id))

    async def drop(self, job_id: str) -> Job | None:
        return await self._journal.write(
            lambda c: transactions.drop(c, self._house, job_id), durable=True
        )

    async def note(self, job_id: str, note: str) -> None:
        write = "UPDATE jobs SET note = ?, rev = rev + 1 WHERE job_id = ?"
        await self._at_leisure(lambda c: c.execute(write, (note, job_id)))

    async def approve(self, job_id: str, *, today: bool = False) -> Job:
        return await self._journal.write(
            lambda c: approvals.approve(c, job_id, self._rules, today=today), durable=True
        )

    async def deliver(self, job_id: str) -> None:
        await self._at_leisure(lambda c: transactions.deliver(c, job_id))

    async def keep_again(self, job_id: str) -> bool:
        again = await self._at_leisure(lambda c: transactions.keep_again(c, self._house, job_id))
        return bool(again)

    async def try_all_again(self) -> None:
        def again(connection: sqlite3.Connection) -> None:
            transactions.try_all_again(connection, self._house)
            recover(connection, self._house, self._rules.backend, self._journal.book)

        await self._at_leisure(again)

    async def want(self, job_id: str, seconds: float) -> None:
        until = now_ms() + round(seconds * 1000)
        await self._at_leisure(
            lambda c: c.execute(
                "UPDATE jobs SET wanted_until = MAX(wanted_until, ?) WHERE job_id = ?",
                (until, job_id),
            )
        )

    async def revisions(self, job_ids: Collection[str]) -> Mapping[str, int]:
        def read(connection: sqlite3.Connection) -> dict[str, int]:
            rows = connection.execute(
                "SELECT job_id, rev FROM jobs WHERE job_id IN (SELECT value FROM json_each(?))",
                (packed(sorted(job_ids)),),
            ).fetchall()
            return {row["job_id"]: row["rev"] for row in rows}

        return await self._journal.read(read)

    async def foreign_version(self) -> int:
        return await self._journal.foreign_version()

    async def prolong(self, job_ids: Collection[str]) -> Beat:
        return await self._journal.write(
            lambda c: leases.prolong(c, self._house, job_ids, now_ms(), self._until())
        )

    async def take_over(self) -> Orphans:
        def look(connection: sqlite3.Connection) -> tuple[bool, bool]:
            busy = leases.is_busy(connection, self._house)
            return busy, busy and bool(leases.abandoned(connection, self._house, now_ms()))

        busy, orphans = await self._journal.read(look)
        if not orphans:
            return Orphans(busy=busy)
        return await self._journal.write(
            lambda c: transactions.take_over(c, self._house, self._until(), self._journal.book)
        )

    async def release(self, claim: Claim) -> None:
        await self._journal.write(lambda c: leases.release(c, claim))

    async def release_all(self) -> None:
        await self._at_leisure(lambda c: leases.release_all(c, self._house))

    async def counted_since(self, backend: BackendName, since: datetime) -> Decimal:
        return await self._journal.read(lambda c: ledger.counted_since(c, backend, since))

    async def prune(self, before: datetime, *, dry: bool = False) -> int:
        now = datetime.now(UTC)
        if dry:
            return await self._journal.read(lambda c: len(pruning.prunable(c, before, now)))
        return await self._journal.write(lambda c: pruning.prune(c, before, now))

    async def spending(self, query: SpendingQuery) -> Spending:
        now = datetime.now(UTC)
        return await self._journal.read(lambda c: spending.spending(c, self._rules, query, now))

    async def past_runs(self, endpoint_id: str) -> Sequence[PastRun]:
        backend, account = self._rules.backend, self._house.account
        return await self._journal.read(lambda c: past_runs(c, backend, account, endpoint_id))

    async def entries(
        self, since: datetime | None, after: LedgerEntry | None = None, most: int = -1
    ) -> Sequence[LedgerEntry]:
        return await self._journal.read(
            lambda c: list(spending.entries(c, self._rules.backend, since, after, most))
        )

    async def events(self, job_id: str) -> Sequence[tuple[int, str, str]]:
        def read(connection: sqlite3.Connection) -> list[tuple[int, str, str]]:
            rows = connection.execute(
                "SELECT at, state, reason FROM events WHERE job_id = ? ORDER BY rowid",
                (transactions.found(connection, job_id)["job_id"],),
            ).fetchall()
            return [(row["at"], row["state"], row["reason"]) for row in rows]

        return await self._journal.read(read)

    async def _at_leisure(self, act: Act[T]) -> T | None:
        """Write what is no loss, and leave it out when the journal is not to be had at once."""
        with anyio.move_on_after(LEISURE):
            try:
                return await self._journal.write(act, patience=BRIEF)
            except JournalError as problem:
                log.info("not written down: %s", problem)
        return None

    def _until(self) -> int:
        return now_ms() + self._lease
