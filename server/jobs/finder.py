"""The finder: looks among the account's requests for one whose answer was lost."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from anyio.to_thread import run_sync

from server.fal.problems import UnauthorisedError
from server.fal.wire import PastRequest
from server.jobs.backend import Backend
from server.jobs.port import JobStore
from server.jobs.rows import Fields, packed
from server.jobs.sendbook import SendBook
from server.jobs.transactions import LOST_ANSWER, SEARCHED_FOR, Work
from tools.errors import BackendError
from tools.ports import Job

log = logging.getLogger("falkit.jobs.finder")

# Clocks differ, and a submit may have been waiting for its connection.
BEFORE = timedelta(seconds=30)
AFTER = timedelta(minutes=3)
SOONEST = timedelta(seconds=2)
# Where the platform cannot be asked, as after a night without a network, that is tried this often
# and this long.
UNASKED = timedelta(minutes=5)
GIVE_UP = timedelta(days=7)


class Finder:
    """Finds the request of an ``unconfirmed`` job, if there is exactly one it can be."""

    def __init__(
        self, store: JobStore, backend: Backend, changed: Callable[[str], None], book: SendBook
    ) -> None:
        self._store = store
        self._backend = backend
        self._changed = changed
        self._book = book

    async def find(self, work: Work) -> Work | None:
        """Return *work* with its request, now followed like any other, or None: look again later,
        or, after an hour and where the key may not look, leave it to a person."""
        job, sent = work.job, work.sent or work.job.created
        entry = await run_sync(self._book.entry, job.job_id)
        if entry is not None and entry.request_id:
            adopted = await self._store.adopt(job.job_id, entry.request_id)
            if adopted is not None:
                self._changed(job.job_id)
                return adopted
        try:
            past = await self._backend.past_requests(job.endpoint_id, sent - BEFORE)
        except UnauthorisedError:
            note = f"{LOST_ANSWER}; the key may not read the account's requests to look for it"
            return await self._later(work, note, None)
        except BackendError as problem:
            log.info("job %s: its request cannot be looked for: %s", job.job_id, problem)
            return await self._later(work, job.note, self._next(sent, asked=False))
        fitting = [one for one in past if _fits(one, job, sent)]
        free = await self._store.unowned([one.request_id for one in fitting])
        if len(free) == 1 and not await self._store.has_rival(job.job_id):
            adopted = await self._store.adopt(job.job_id, free[0])
            self._changed(job.job_id)
            return adopted
        note = LOST_ANSWER
        if free:
            note = f"{LOST_ANSWER}; it may be one of {', '.join(free[:3])} on fal"
        return await self._later(work, note, self._next(sent))

    async def _later(self, work: Work, note: str, due: datetime | None) -> None:
        fields = Fields(search_due=due)
        if note != work.job.note:
            fields["note"] = note
        await self._store.change(work.claim, fields)
        await self._store.release(work.claim)
        self._changed(work.job.job_id)

    def _next(self, sent: datetime, *, asked: bool = True) -> datetime | None:
        """Return when to look again: the older, the less often; None when it was long enough."""
        now = datetime.now(UTC)
        pause = max(SOONEST, (now - sent) / 2)
        if not asked:
            return now + min(pause, UNASKED) if now - sent < GIVE_UP else None
        return now + pause if now - sent < SEARCHED_FOR else None


def _fits(past: PastRequest, job: Job, sent: datetime) -> bool:
    """Return whether *past* has the time and the very input of *job*."""
    if not sent - BEFORE <= past.sent <= sent + AFTER:
        return False
    return past.arguments is not None and packed(past.arguments) == packed(job.arguments)
