"""The submitter: sends a paid request at most once, and writes down how that went."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import anyio
from anyio.to_thread import run_sync

from catalog.errors import ActionableError
from server.fal.options import tagged
from server.fal.problems import ConcurrencyError, LostAnswerError, NetworkError, NotSentError
from server.fal.wire import Submission
from server.jobs.backend import Backend
from server.jobs.port import JobStore
from server.jobs.rows import Fields
from server.jobs.sendbook import SendBook
from server.jobs.settling import error_of
from server.jobs.shield import shielded
from server.jobs.transactions import LOST_ANSWER, Step, Work
from tools.errors import BackendError
from tools.ports import Job

log = logging.getLogger("falkit.jobs.submitter")

SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 10.0  # seconds between two tries to write an answer down


@dataclass(frozen=True, slots=True)
class Sent:
    """How a submit went: the job as it is now, *work* when there is something to follow, *problem*
    when it was refused. A part that may be sent again is still planned then."""

    job: Job
    work: Work | None = None
    problem: BackendError | None = None


class Submitter:
    """Sends jobs that are claimed. A submit is paid for, so nothing here is ever sent twice."""

    def __init__(
        self,
        store: JobStore,
        backend: Backend,
        changed: Callable[[str], None],
        book: SendBook,
        public_url: str | None = None,
    ) -> None:
        """Have the platform call us at *public_url* where a person wants no call of their own."""
        self._public_url = public_url
        self._book = book
        self._store = store
        self._backend = backend
        self._changed = changed

    async def send(self, work: Work) -> Sent:
        """Mark, send, and write down the answer; a cancelled send leaves the job ``unconfirmed``.

        Raises:
            JournalError: the journal cannot be written. Before the mark stands nothing is sent.
        """
        marked = await self._store.mark_submitting(work.claim)
        if marked is None:  # cancelled, or taken for dead, in the meantime
            return Sent(await self._store.find(work.job.job_id))
        answer: Submission | BaseException
        try:
            answer = await self._backend.submit(
                work.job.endpoint_id,
                work.job.arguments,
                webhook_url=self._webhook(work),
                options=tagged(work.job.tags),
            )
        except BaseException as problem:
            answer = problem
        sent = await self._written_at_last(work, answer)
        if isinstance(answer, BaseException) and not isinstance(answer, BackendError):
            raise answer
        return sent

    def _webhook(self, work: Work) -> str:
        if work.webhook_url or not self._public_url:
            return work.webhook_url
        return f"{self._public_url}/webhooks/fal?job={work.job.job_id}"

    async def _written_at_last(self, work: Work, answer: Submission | BaseException) -> Sent:
        """Return how the submit went once the journal takes it, as long as an id is at stake.

        A process that must leave before has said the id, and the next one finds it in the book.

        Raises:
            JournalError: it does not, and another process learns as much from what stands there.
        """
        job_id, request_id = work.job.job_id, getattr(answer, "request_id", "")
        pause = SHORTEST_PAUSE
        while True:
            try:
                return await shielded(self._written(work, answer))
            except ActionableError as problem:
                if not request_id:
                    raise
                if pause == SHORTEST_PAUSE:
                    await shielded(self._say(job_id, request_id, problem))
            await anyio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _say(self, job_id: str, request_id: str, problem: ActionableError) -> None:
        """Say which request a job became while the journal cannot hold it."""
        noted = await run_sync(partial(self._book.took, job_id, request_id, durable=True))
        log.warning(
            "job %s was accepted as request %s, but %s; %s",
            job_id,
            request_id,
            problem.message,
            f"it stands in {self._book.path}, and falkit takes it up when it can"
            if noted
            else "write the id down: nothing else has it",
        )

    async def _written(self, work: Work, answer: Submission | BaseException) -> Sent:
        """Return how the submit went, with the journal saying the same."""
        match answer:
            case LostAnswerError(request_id=request_id) if request_id:
                return await self._accepted(work, request_id, None)
            case NotSentError() | ConcurrencyError() if work.patient:
                return await self._put_back(work, answer)
            case NotSentError():
                return await self._refused(work, answer, "it never reached the platform")
            case LostAnswerError() | NetworkError():
                return await self._lost(work)
            case BackendError():
                return await self._refused(work, answer, "the platform refused it")
            case BaseException():
                return await self._lost(work)
            case _:
                return await self._accepted(work, answer.request_id, answer.queue_position)

    async def _accepted(self, work: Work, request_id: str, place: int | None) -> Sent:
        """Write down the request id: without it, paid work would be lost."""
        job_id = work.job.job_id
        await run_sync(self._book.took, job_id, request_id)
        fields = Fields(
            request_id=request_id,
            submitted=datetime.now(UTC),
            queue_position=place,
            note="",
        )
        job = await self._store.change(
            work.claim, fields, Step("queued", "the platform accepted it", durable=True)
        )
        if job is not None:
            self._changed(job_id)
            return Sent(job, Work(work.claim, job, save_to=work.save_to))
        # Another process took this one for dead while it slept; the answer decides.
        adopted = await self._store.adopt(job_id, request_id)
        self._changed(job_id)
        if adopted is None:
            return Sent(await self._store.find(job_id))
        return Sent(adopted.job, adopted)

    async def _put_back(self, work: Work, problem: BackendError) -> Sent:
        job = await self._store.put_back(work.claim)
        self._changed(work.job.job_id)
        return Sent(job or await self._store.find(work.job.job_id), problem=problem)

    async def _refused(self, work: Work, problem: BackendError, reason: str) -> Sent:
        error = replace(error_of(problem), charged=False)
        fields = Fields(error=error, amount=Decimal(0), ended=datetime.now(UTC))
        return await self._over(work, fields, Step("failed", reason, durable=True), problem)

    async def _lost(self, work: Work) -> Sent:
        step = Step("unconfirmed", "the answer to the submit was lost", durable=True)
        fields = Fields(note=LOST_ANSWER, search_due=datetime.now(UTC))
        return await self._over(work, fields, step, None)

    async def _over(
        self, work: Work, fields: Fields, step: Step, problem: BackendError | None
    ) -> Sent:
        job = await self._store.change(work.claim, fields, step)
        await self._store.release(work.claim)
        self._changed(work.job.job_id)
        return Sent(job or await self._store.find(work.job.job_id), problem=problem)
