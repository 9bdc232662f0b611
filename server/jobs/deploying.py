"""Changes to deployed apps as jobs: written down, held for a person, carried out by one process."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

import anyio

from catalog.errors import ActionableError
from server.jobs.follower import LeaseLostError
from server.jobs.port import JobStore
from server.jobs.rows import Fields
from server.jobs.transactions import STAY, Step, Work
from server.jobs.waiting import Changes
from tools.errors import BackendError
from tools.ports import Job, JobError, Output

LOG_LINES = 40
WRITE_EVERY = 0.5  # seconds between two writes of how far it is

Tell = Callable[[float, str], Awaitable[None]]
# Carries a change out and returns what came of it in words. The flag says that an earlier process
# had begun: what is already so must not be done again.
CarryOut = Callable[[Job, bool, Tell], Awaitable[str]]


@dataclass(slots=True)
class _Course:
    """How far one change is: the last lines told, and whether they are news to the journal."""

    lines: list[str] = field(default_factory=list[str])
    news: anyio.Event = field(default_factory=anyio.Event)

    async def tell(self, share: float, words: str) -> None:
        line = f"{round(100 * min(max(share, 0.0), 1.0)):3d}% {words}"
        if self.lines and self.lines[-1] == line:
            return
        self.lines = [*self.lines[1 - LOG_LINES :], line]
        self.news.set()


class Deploying:
    """Carries out changes whose claim this process holds."""

    def __init__(self, store: JobStore, changes: Changes, carry_out: CarryOut | None) -> None:
        self._store = store
        self._changes = changes
        self._carry_out = carry_out

    async def carry(self, work: Work) -> None:
        """Return when the change was made, refused or cancelled, and that stands in the journal.

        Raises:
            LeaseLostError: another process carries it out now.
            JournalError: the journal cannot be read or written.
        """
        work = replace(work, job=await self._store.find(work.job.job_id))
        again = work.job.state == "running"
        for state in ("queued", "running"):
            now = datetime.now(UTC)
            fields = Fields(submitted=now, note="") if state == "queued" else Fields(started=now)
            if not again:
                work = await self._write(work, fields, Step(state, "a falkit carries it out"))
        course = _Course(list(work.job.logs))
        ended: tuple[Fields, Step] | None = None
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._heed, work, group.cancel_scope)
                group.start_soon(self._note, work, course)
                ended = await self._outcome(work.job, again, course.tell)
                group.cancel_scope.cancel()
        except ExceptionGroup as several:
            raise several.exceptions[0] from None  # one failed, which ended the others
        if ended is None:  # only somebody's cancellation ends the group without an outcome
            words = "cancelled; what the target had already begun it may still finish"
            ended = Fields(note=words), Step("cancelled", "cancelled while it ran")
        fields, step = ended
        fields |= Fields(
            ended=datetime.now(UTC), logs=tuple(course.lines), amount=Decimal(0), saved=True
        )
        await self._write(work, fields, step)
        await self._store.release(work.claim)

    async def _outcome(self, job: Job, again: bool, tell: Tell) -> tuple[Fields, Step]:
        """Return how the change ends."""
        if self._carry_out is None:
            problem = ActionableError("this falkit cannot deploy", hint="FALKIT_DEPLOY is off")
            return _failed(problem)
        try:
            words = await self._carry_out(job, again, tell)
        except ActionableError as problem:
            return _failed(problem)
        return (
            Fields(outputs=(Output("text", text=words, media_type="text/plain"),)),
            Step("done", "it was carried out"),
        )

    async def _heed(self, work: Work, scope: anyio.CancelScope) -> None:
        """End *scope* when somebody cancels the job."""
        with self._changes.listening(work.job.job_id) as ear:
            while True:
                ear.clear()
                if (await self._store.whole(work.job.job_id)).stopping:
                    scope.cancel()
                    return
                await ear.event.wait()

    async def _note(self, work: Work, course: _Course) -> None:
        """Write down what is told of the course, not more often than a reader could follow."""
        while True:
            await course.news.wait()
            course.news = anyio.Event()
            with suppress(LeaseLostError):
                await self._write(work, Fields(logs=tuple(course.lines)))
            await anyio.sleep(WRITE_EVERY)

    async def _write(self, work: Work, fields: Fields, step: Step = STAY) -> Work:
        job = await self._store.change(work.claim, fields, step)
        if job is None:
            raise LeaseLostError
        self._changes.changed(job.job_id)
        return replace(work, job=job)


def _failed(problem: ActionableError) -> tuple[Fields, Step]:
    error = JobError(
        type=(isinstance(problem, BackendError) and problem.error_type) or "not_applied",
        message=problem.message[:2000],
        hint=problem.hint,
        retry_helps=isinstance(problem, BackendError) and problem.retry_helps,
        charged=False,
    )
    return Fields(error=error), Step("failed", problem.message[:200])
