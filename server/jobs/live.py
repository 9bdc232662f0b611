"""Live calls: sent beside the queue, with the output heard while it comes, and kept as a job."""

import base64
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol, cast

import anyio

from catalog.errors import ActionableError
from catalog.index import CatalogIndex
from server.fal.problems import ConcurrencyError, LostAnswerError, NetworkError, NotSentError
from server.fal.wire import PLAIN_HEAD, Answer, Result
from server.jobs.hands import Sent
from server.jobs.port import JobStore
from server.jobs.rows import Fields
from server.jobs.settling import done_fields, error_of, settled_failure
from server.jobs.shield import shielded
from server.jobs.transactions import LIVE, Step, Work
from server.jobs.waiting import Changes
from tools.errors import BackendError

log = logging.getLogger("falkit.jobs.live")

CLOSED = "cancelled: its live line was closed half-way, so what it had made may be charged"
BROKEN = (
    "its live connection broke before the output was whole, so it may be charged; no queue "
    "remembers it, and it is not sent again by itself (--again makes another)"
)


class Outputs(Protocol):
    """What a live call says, bit by bit; *head* is the HTTP answer's."""

    @property
    def head(self) -> Answer: ...

    def __aiter__(self) -> AsyncIterator[Any]: ...


# Sends the arguments to an endpoint, once, which is paid for.
Line = Callable[[str, Mapping[str, Any]], AbstractAsyncContextManager[Outputs]]
# What is done with each output as it comes; it raises nothing.
Hear = Callable[[Any], Awaitable[None]]


@dataclass(slots=True)
class _Heard:
    """What a live call has said so far."""

    begun: datetime = field(default_factory=lambda: datetime.now(UTC))
    head: Answer = PLAIN_HEAD
    last: Any = None
    whole: bool = False
    closed: bool = False  # somebody cancelled the job


class LiveSender:
    """Sends a claimed job over *line* at most once; its last output is the job's."""

    def __init__(
        self,
        store: JobStore,
        catalog: CatalogIndex,
        changes: Changes,
        line: Line,
        hear: Hear,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._changes = changes
        self._changed = changes.changed
        self._line = line
        self._hear = hear

    async def send(self, work: Work) -> Sent:
        """Mark, send, listen to the end, and write it down.

        A job that somebody cancels, in whatever process, has its line closed. A cancelled call, as
        by Ctrl-C, is ``unconfirmed``.

        Raises:
            JournalError: the journal cannot be written. Before the mark stands nothing is sent.
        """
        # The note comes first: from the mark on, who cancels finds in it whom to ask.
        await self._store.change(work.claim, Fields(note=LIVE))
        marked = await self._store.mark_submitting(work.claim)
        if marked is None:  # cancelled, or taken for dead, in the meantime
            return Sent(await self._store.find(work.job.job_id))
        self._changed(work.job.job_id)
        heard = _Heard()
        problem: BaseException | None = None
        try:
            problem = await self._listen(work, heard)
        except BaseException as raised:
            problem = raised
        sent = await shielded(self._written(work, heard, problem))
        if problem is not None and not isinstance(problem, BackendError):
            raise problem
        return sent

    async def _listen(self, work: Work, heard: _Heard) -> Exception | None:
        """Send, and hear all that comes until somebody cancels the job; return what broke it."""
        failure: Exception | None = None  # a task group would wrap what its body raises
        async with anyio.create_task_group() as line:
            line.start_soon(self._close, work.job.job_id, heard, line.cancel_scope)
            try:
                async with self._line(work.job.endpoint_id, work.job.arguments) as outputs:
                    heard.head = outputs.head
                    async for output in outputs:
                        heard.last = output
                        await self._hear(output)
                    heard.whole = True
            except Exception as problem:
                failure = problem
            line.cancel_scope.cancel()
        return failure

    async def _close(self, job_id: str, heard: _Heard, line: anyio.CancelScope) -> None:
        """Close the line once somebody cancels the job."""
        with self._changes.listening(job_id) as ear:
            while not heard.closed:
                ear.clear()
                try:
                    heard.closed = (await self._store.whole(job_id)).stopping
                except ActionableError as problem:  # what is paid for must not break by it
                    log.info("job %s may have been cancelled: %s", job_id, problem)
                if not heard.closed:
                    await ear.event.wait()
        line.cancel()

    async def _written(self, work: Work, heard: _Heard, problem: BaseException | None) -> Sent:
        """Return how the call went, with the journal saying the same."""
        if heard.whole:  # what breaks after the end costs nothing
            return await self._done(work, heard)
        if heard.closed:
            return await self._cancelled(work, heard)
        match problem:
            case NotSentError() | ConcurrencyError():
                refused = replace(error_of(problem), charged=False)
                fields = Fields(error=refused, amount=Decimal(0), ended=datetime.now(UTC), note="")
                return await self._over(work, fields, "it never reached the model", problem)
            case LostAnswerError() | NetworkError():
                return await self._lost(work, heard)
            case BackendError():
                return await self._failed(work, heard, problem)
            case _:
                return await self._lost(work, heard)

    async def _done(self, work: Work, heard: _Heard) -> Sent:
        job = work.job
        head = heard.head
        result = Result(without_bytes(heard.last), head.billable_units, head.request_id)
        fields = done_fields(job, self._catalog.find(job.endpoint_id), result, heard.begun)
        fields["request_id"] = head.request_id
        fields["submitted"] = heard.begun
        step = Step("done", "its live output was whole", durable=True)
        done = await self._store.change(work.claim, fields, step)
        self._changed(job.job_id)
        if done is None:
            log.error("job %s was taken for dead while its live call went on", job.job_id)
            return Sent(await self._store.find(job.job_id))
        kept = replace(work, job=done, result=fields.get("result"))
        return Sent(done, kept)

    async def _failed(self, work: Work, heard: _Heard, problem: BackendError) -> Sent:
        error = error_of(problem, work.job.endpoint_id)
        problem.message, problem.hint = error.message, error.hint  # in the words of the job
        card = self._catalog.find(work.job.endpoint_id)
        cost, amount = settled_failure(work.job, card, problem, error.charged)
        fields = Fields(error=error, cost=cost, ended=datetime.now(UTC), note="")
        fields["request_id"] = heard.head.request_id
        if amount is not None:
            fields["amount"] = amount
        return await self._over(work, fields, error.message[:200], problem)

    async def _cancelled(self, work: Work, heard: _Heard) -> Sent:
        """Return the job as cancelled; its reservation stays, since nobody says what it cost."""
        fields = Fields(note=CLOSED, request_id=heard.head.request_id, ended=datetime.now(UTC))
        fields["submitted"] = fields["started"] = heard.begun
        return await self._ended(work, fields, Step("cancelled", "its live line was closed"), None)

    async def _lost(self, work: Work, heard: _Heard) -> Sent:
        fields = Fields(note=BROKEN, request_id=heard.head.request_id)
        step = Step("unconfirmed", "its live connection broke", durable=True)
        return await self._ended(work, fields, step, None)

    async def _over(self, work: Work, fields: Fields, why: str, problem: BackendError) -> Sent:
        return await self._ended(work, fields, Step("failed", why, durable=True), problem)

    async def _ended(
        self, work: Work, fields: Fields, step: Step, problem: BackendError | None
    ) -> Sent:
        job = await self._store.change(work.claim, fields, step)
        await self._store.release(work.claim)
        self._changed(work.job.job_id)
        return Sent(job or await self._store.find(work.job.job_id), problem=problem)


def without_bytes(output: Any) -> Any:  # noqa: ANN401  # any JSON, and msgpack's bytes
    """Return *output* as JSON: bytes in a file object become its URL, others a data URI.

    Realtime models answer with `{"content": bytes, "content_type": …}` where the queue has a URL.
    """
    if isinstance(output, bytes):
        return _data_uri(output, "application/octet-stream")
    if isinstance(output, list):
        return [without_bytes(one) for one in cast("list[Any]", output)]
    if not isinstance(output, dict):
        return output
    table = cast("dict[str, Any]", output)
    content = table.get("content")
    if isinstance(content, bytes) and not table.get("url"):
        stated = str(table.get("content_type") or "application/octet-stream")
        rest = {name: value for name, value in table.items() if name != "content"}
        return {"url": _data_uri(content, stated), **without_bytes(rest)}
    return {name: without_bytes(value) for name, value in table.items()}


def _data_uri(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
