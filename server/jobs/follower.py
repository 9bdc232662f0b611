"""The follower: knows where an accepted request stands, and brings its end into the journal."""

import logging
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import anyio

from catalog.index import CatalogIndex
from server.fal.problems import (
    CancelledOnPlatformError,
    ConcurrencyError,
    NetworkError,
    NoBalanceError,
    NotFoundError,
    PlatformError,
    UnauthorisedError,
    problem_of_status,
)
from server.fal.wire import Result, Status
from server.jobs.backend import Backend
from server.jobs.pace import Pace
from server.jobs.port import JobStore
from server.jobs.rows import Fields
from server.jobs.settling import done_fields, error_of, settled_failure
from server.jobs.transactions import STAY, Step, Work
from tools.errors import BackendError

log = logging.getLogger("falkit.jobs.follower")

LOG_LINES = 20
LOG_LENGTH = 300
# A request the platform says it does not know is asked for this often before it counts as gone.
MISSES = 5
# A 5xx for a completed request was seen to hide finished work; it is asked for this often, and a
# few times even where the platform says that asking again is in vain: the status knew no failure.
DOUBTS = 6
FEW_DOUBTS = 3
LONGEST_PAUSE = 60.0
# Each is a connection and a file descriptor, of which a process may have 256 on some systems.
MOST_STREAMS = 100
# What a platform says of the time a model took is believed up to here, in seconds.
LONGEST_RUN = 7 * 24 * 3600.0


class LeaseLostError(Exception):
    """Another process works on this job now; whatever this one knows no longer counts."""


class Attention:
    """Whether somebody waits for a job, which decides between a stream and the shared poller."""

    def __init__(self) -> None:
        self._until = 0.0
        self._resting: anyio.CancelScope | None = None
        self._streaming: anyio.CancelScope | None = None

    @property
    def is_wanted(self) -> bool:
        """Somebody waits, or did a moment ago."""
        return time.monotonic() < self._until

    def call(self, seconds: float) -> None:
        """Say that somebody waits, for *seconds* from now."""
        begins = not self.is_wanted
        self._until = max(self._until, time.monotonic() + seconds)
        if begins and self._resting is not None:
            self._resting.cancel()

    def lapse(self) -> None:
        """End the stream when nobody has waited for a while."""
        if self._streaming is not None and not self.is_wanted:
            self._streaming.cancel()

    async def rest(self, seconds: float) -> bool:
        """Sleep for *seconds* and return True, or False at once when somebody begins to wait."""
        return await self.undisturbed(partial(anyio.sleep, seconds))

    async def undisturbed(self, rest: Callable[[], Awaitable[None]]) -> bool:
        """Await *rest* and return True, or False at once when somebody begins to wait."""
        with anyio.CancelScope() as scope:
            self._resting = scope
            await rest()
        self._resting = None
        return not scope.cancelled_caught

    @asynccontextmanager
    async def streaming(self) -> AsyncGenerator[None]:
        """Leave the block early when nobody waits any more."""
        with anyio.CancelScope() as scope:
            self._streaming = scope
            try:
                yield
            finally:
                self._streaming = None


@dataclass(slots=True)
class _Course:
    """One job on its way: what was seen of it so far."""

    work: Work
    attention: Attention
    seen_lines: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    failures: int = 0
    misses: int = 0
    missed_since: float = 0.0
    doubts: int = 0
    looks: int = 0


class Follower:
    """Follows requests: by their event stream while somebody waits, else in turn by polling.

    The poller is shared by all jobs of the process: at most one request each `Pace.poll_gap`.
    """

    def __init__(
        self,
        store: JobStore,
        backend: Backend,
        catalog: CatalogIndex,
        changed: Callable[[str], None],
        pace: Pace,
    ) -> None:
        self._store = store
        self._backend = backend
        self._catalog = catalog
        self._changed = changed
        self._pace = pace
        self._turn = anyio.Lock()
        self._streams = anyio.CapacityLimiter(MOST_STREAMS)
        self._last_look = 0.0

    async def follow(self, work: Work, attention: Attention) -> Work:
        """Return *work* when its request is over and its end stands in the journal.

        Raises:
            LeaseLostError: another process has taken over.
            JournalError: the journal cannot be read or written.
        """
        course = _Course(work, attention)
        while True:
            try:
                status = await self._next_status(course)
                if status is not None and status.state == "completed":
                    return await self._finish(course, status)
                course.misses = 0
            except NotFoundError as problem:
                if self._is_gone(course):
                    return await self._gone(course, problem)
                await self._pause(course)
            except (UnauthorisedError, NoBalanceError) as problem:
                await self._write(course, Fields(note=f"not followed: {problem}"[:300]))
                await attention.rest(LONGEST_PAUSE)
            except BackendError as problem:
                log.info("job %s: %s", work.job.job_id, problem)
                await self._pause(course)

    def _is_gone(self, course: _Course) -> bool:
        """Say, at each answer that the platform does not know a request, whether to believe it."""
        course.misses += 1
        if course.misses == 1:
            course.missed_since = time.monotonic()
        missed_for = time.monotonic() - course.missed_since
        return course.misses >= MISSES and missed_for >= self._pace.gone_after

    async def _next_status(self, course: _Course) -> Status | None:
        """Return the next status; None when the way of looking changed meanwhile."""
        job = course.work.job
        if self._may_stream(course):
            if course.failures == 0 or course.looks % 2 == 0:
                course.looks += 1
                return await self._stream(course)
            course.looks += 1
        else:
            attention = course.attention
            if not await attention.rest(self._interval(course)) or self._may_stream(course):
                return None
            # In a crowd a turn can be minutes away, and who begins to wait need not wait for it.
            if not await attention.undisturbed(self._take_turn) or self._may_stream(course):
                return None
        status = await self._backend.status(job.endpoint_id, job.request_id)
        if not course.attention.is_wanted:
            course.failures = 0
        await self._note(course, status)
        return status

    async def _stream(self, course: _Course) -> Status | None:
        """Return the completed status from the stream; None when it ended, or nobody waits."""
        job = course.work.job
        async with self._streams, course.attention.streaming():
            with anyio.move_on_after(self._pace.first_word) as silence:
                async with self._backend.watch(job.endpoint_id, job.request_id) as statuses:
                    async for status in statuses:
                        silence.deadline = math.inf
                        course.failures = 0
                        await self._note(course, status)
                        if status.state == "completed":
                            return status
            # A stream that ends without the end counts as broken, else it is opened in a circle.
            raise NetworkError("the status stream said nothing or ended early")
        return None

    def _may_stream(self, course: _Course) -> bool:
        """Say whether somebody waits for the job, and one more stream may be opened for that."""
        return course.attention.is_wanted and self._streams.available_tokens > 0

    async def _take_turn(self) -> None:
        async with self._turn:
            rest = self._last_look + self._pace.poll_gap - time.monotonic()
            if rest > 0:
                await anyio.sleep(rest)
            self._last_look = time.monotonic()

    def _interval(self, course: _Course) -> float:
        """Return the seconds to the next look: young jobs are looked at more often."""
        job = course.work.job
        age = (datetime.now(UTC) - (job.submitted or job.created)).total_seconds()
        return min(max(self._pace.poll_first, age / 10), self._pace.poll_longest)

    async def _pause(self, course: _Course) -> None:
        course.failures += 1
        pause = self._pace.poll_first * 2 ** min(course.failures - 1, 10)
        longest = self._pace.poll_longest if course.attention.is_wanted else LONGEST_PAUSE
        await course.attention.rest(min(pause, longest))

    async def _note(self, course: _Course, status: Status) -> None:
        """Write down what a person would see of *status*, if it is new."""
        job = course.work.job
        fields = Fields()
        logs = self._tail(course, status)
        if logs != job.logs:
            fields["logs"] = logs
        if job.note:
            fields["note"] = ""
        to = None
        if status.state == "queued" and job.state == "queued":
            if status.queue_position != job.queue_position:
                fields["queue_position"] = status.queue_position
        elif status.state == "running" and job.state == "queued":
            to = Step("running", "a runner took it")
            fields["started"] = datetime.now(UTC)
            fields["queue_position"] = None
        if to is not None or fields:
            await self._write(course, fields, to or STAY)

    def _tail(self, course: _Course, status: Status) -> tuple[str, ...]:
        """Return the last lines of the model's log; polls repeat lines, streams do not."""
        lines = list(course.work.job.logs)
        for line in status.logs:
            mark = (line.timestamp, line.message)
            # A progress bar rewrites its line; what it says last is what counts.
            text = line.message.rstrip().rpartition("\r")[2].strip()
            if mark in course.seen_lines or not text:
                continue
            course.seen_lines.add(mark)
            lines.append(text[:LOG_LENGTH])
        return tuple(lines[-LOG_LINES:])

    async def _write(self, course: _Course, fields: Fields, step: Step = STAY) -> None:
        job = await self._store.change(course.work.claim, fields, step)
        if job is None:
            raise LeaseLostError
        course.work = replace(course.work, job=job)
        self._changed(job.job_id)

    async def _finish(self, course: _Course, status: Status) -> Work:
        """Fetch how a completed request ended, and return it written down.

        Raises:
            BackendError: it could not be had for now.
        """
        job = course.work.job
        try:
            result = await self._backend.result(job.endpoint_id, job.request_id)
        except CancelledOnPlatformError as problem:
            return await self._cancelled(course, problem, status)
        except (NetworkError, ConcurrencyError):
            raise
        except (NotFoundError, UnauthorisedError):
            if not status.failed:
                raise
            # The failure itself can no longer be read; the status says a little of it.
            lost = problem_of_status(status, job.endpoint_id)
            return await self._ended_badly(course, lost, status)
        except BackendError as problem:
            course.doubts += 1
            if not status.failed and course.doubts < _doubts_about(problem):
                raise
            said = ("", problem.error_type)
            if isinstance(problem, PlatformError) and status.error_type not in said:
                # What failed is the reading, of a request that failed otherwise.
                problem = problem_of_status(status, job.endpoint_id)
            return await self._ended_badly(course, problem, status)
        return await self._done(course, status, result)

    async def _done(self, course: _Course, status: Status, result: Result) -> Work:
        job = course.work.job
        ran = min(status.inference_seconds or 0, LONGEST_RUN)
        started = job.started or datetime.now(UTC) - timedelta(seconds=ran)
        fields = done_fields(job, self._catalog.find(job.endpoint_id), result, started)
        # fal may keep a result for minutes only: it has to be on the disk.
        await self._write(course, fields, Step("done", "the platform completed it", durable=True))
        return replace(course.work, result=fields.get("result"))

    async def _ended_badly(self, course: _Course, problem: BackendError, status: Status) -> Work:
        if isinstance(problem, CancelledOnPlatformError):
            return await self._cancelled(course, problem, status)
        return await self._failed(course, problem, status)

    async def _failed(self, course: _Course, problem: BackendError, status: Status) -> Work:
        error = error_of(problem, course.work.job.endpoint_id, status.error)
        card = self._catalog.find(course.work.job.endpoint_id)
        cost, amount = settled_failure(course.work.job, card, problem, error.charged)
        fields = Fields(
            error=error, cost=cost, ended=datetime.now(UTC), queue_position=None, note=""
        )
        if amount is not None:
            fields["amount"] = amount
        await self._write(course, fields, Step("failed", error.message[:200]))
        return course.work

    async def _cancelled(self, course: _Course, problem: BackendError, status: Status) -> Work:
        job = course.work.job
        card = self._catalog.find(job.endpoint_id)
        now = datetime.now(UTC)
        # It may have begun and been cancelled between two looks: then only its end tells of it.
        ran = min(status.inference_seconds or 0, LONGEST_RUN)
        started = job.started or (now - timedelta(seconds=ran) if ran else None)
        charged = False if started is None else problem.charged
        cost, amount = settled_failure(job, card, problem, charged)
        fields = Fields(
            cost=cost,
            started=started,
            ended=now,
            queue_position=None,
            note="cancelled on the platform",
        )
        if amount is not None:
            fields["amount"] = amount
        await self._write(course, fields, Step("cancelled", "the platform cancelled it"))
        return course.work

    async def _gone(self, course: _Course, problem: NotFoundError) -> Work:
        error = replace(
            error_of(problem),
            type="not_found",
            message="the platform no longer knows this request or its result",
            hint="it may have been charged; fal's dashboard lists it by its request id",
            charged=None,
        )
        fields = Fields(error=error, ended=datetime.now(UTC), queue_position=None)
        await self._write(course, fields, Step("failed", "the platform does not know it"))
        return course.work


def _doubts_about(problem: BackendError) -> int:
    """Return how often a result is asked for that fails with *problem* though all went well."""
    if problem.retry_helps:
        return DOUBTS
    return FEW_DOUBTS if isinstance(problem, PlatformError) else 1
