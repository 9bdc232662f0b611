"""The conductor: sends the parts of a whole, as many at once as may be, and ends it."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import anyio
from anyio.to_thread import run_sync

from catalog.errors import ActionableError
from server.fal.problems import ConcurrencyError, NoBalanceError, UnauthorisedError
from server.jobs import report
from server.jobs.filling import Filler
from server.jobs.follower import Attention, LeaseLostError
from server.jobs.pace import Pace
from server.jobs.port import JobStore
from server.jobs.rows import Fields
from server.jobs.submitter import Sent
from server.jobs.transactions import STAY, Step, Work
from server.jobs.waiting import Changes
from server.jobs.wholes import Part, Whole
from tools.errors import BackendError, UnknownJobError
from tools.ports import JobError, Output

log = logging.getLogger("falkit.jobs.conductor")

LONGEST_PAUSE = 60.0
# Files of parts are tried for a week; so long the whole looks whether they have come home.
LOOK_AGAIN = timedelta(minutes=1)
GIVE_UP = timedelta(days=7)


class Carried(Protocol):
    """A part in hand."""

    answered: anyio.Event
    sent: Sent | None


class Carrier(Protocol):
    """What carries parts: takes a claimed one, and hears that somebody waits for one."""

    @property
    def is_closing(self) -> bool: ...
    def take(self, work: Work) -> Carried: ...
    def call(self, job_id: str) -> bool: ...


@dataclass(slots=True)
class _Run:
    """One whole on its way: how many parts may fly at once, and when the next may start."""

    work: Work
    most: int
    room: int
    sending: dict[str, Carried] = field(default_factory=dict[str, Carried])
    lucky: int = 0
    refusals: int = 0
    resume_at: float = 0.0
    is_refused: bool = False

    def note(self, sent: Sent | None) -> None:
        """Learn from how a submit went: fewer at once after a refusal, slowly more after luck."""
        if sent is not None and sent.problem is None:
            self.refusals = 0
            self.lucky += 1
            if self.lucky > self.room and self.room < self.most:
                self.room, self.lucky = self.room + 1, 0
            return
        if sent is not None and sent.job.is_over:
            # The model refused this one, and the next may be welcome; unless it was the account.
            self.is_refused = isinstance(sent.problem, NoBalanceError | UnauthorisedError)
            return
        self.lucky = 0
        self.refusals += 1
        if sent is not None and isinstance(sent.problem, ConcurrencyError):
            self.room = max(1, self.room // 2)

    def rest(self, longest: float) -> float:
        """Return after how many seconds to look again where nothing changes."""
        pause = self.resume_at - time.monotonic()
        return min(pause, longest) if pause > 0 else longest


class Conductor:
    """Conducts wholes whose claim this process holds; their parts are sent by nobody else."""

    def __init__(
        self,
        store: JobStore,
        changes: Changes,
        filler: Filler | None,
        media_folder: Path,
        pace: Pace,
        parallel: int,
    ) -> None:
        self._store = store
        self._changes = changes
        self._filler = filler
        self._media_folder = media_folder
        self._pace = pace
        self._parallel = parallel

    async def conduct(self, work: Work, attention: Attention, carrier: Carrier) -> None:
        """Return when every part has ended and the end of the whole stands in the journal.

        Raises:
            LeaseLostError: another process conducts it now.
            JournalError: the journal cannot be read or written.
        """
        whole = await self._store.whole(work.job.job_id)
        most = whole.parallel or self._parallel
        run = _Run(work, most, most)
        ids = [work.job.job_id, *(part.job.job_id for part in whole.parts)]
        with self._changes.listening(*ids) as ear:
            while True:
                ear.clear()
                whole = await self._store.whole(work.job.job_id)
                self._settle(run)
                await self._tell(run, whole)
                if all(part.is_ended for part in whole.parts):
                    return await self._finish(run, whole)
                if whole.stopping:
                    why = "cancelled; nothing was sent"
                    await self._end(whole, _waiting(run, whole), None, why)
                elif not carrier.is_closing:
                    await self._send_more(run, whole, carrier)
                    if await self._waits_for_a_person(run, whole):
                        return None
                if attention.is_wanted:
                    await self._call(whole, carrier)
                with anyio.move_on_after(run.rest(self._pace.heartbeat)):
                    await ear.event.wait()

    def _settle(self, run: _Run) -> None:
        """Learn from the submits that were answered."""
        for part_id, carried in list(run.sending.items()):
            if not carried.answered.is_set():
                continue
            del run.sending[part_id]
            run.note(carried.sent)
            if run.refusals:
                pause = min(self._pace.poll_first * 2 ** min(run.refusals - 1, 10), LONGEST_PAUSE)
                run.resume_at = time.monotonic() + pause

    async def _tell(self, run: _Run, whole: Whole) -> None:
        """Write down how far the whole has come, if that is news."""
        job = run.work.job
        if job.is_over:
            return
        over = sum(1 for part in whole.parts if part.is_ended)
        percent = 100 * over // max(1, len(whole.parts))
        logs = (f"{over} of {len(whole.parts)} parts over, {percent} %",)
        step = STAY
        fields = Fields()
        if job.state in ("planned", "approved"):
            step = Step("queued", "its parts are next")
            fields["submitted"] = job.submitted or datetime.now(UTC)
        elif job.state == "queued" and any(part.sent for part in whole.parts):
            step = Step("running", "the first part was sent")
            fields["started"] = job.started or datetime.now(UTC)
        if logs != job.logs:
            fields["logs"] = logs
        if (note := _asked_about(whole)) != job.note:
            fields["note"] = note
        if fields or step is not STAY:
            await self._write(run, fields, step)

    async def _write(self, run: _Run, fields: Fields, step: Step) -> None:
        job = await self._store.change(run.work.claim, fields, step)
        if job is None:
            raise LeaseLostError
        run.work = replace(run.work, job=job)
        self._changes.changed(job.job_id)

    async def _waits_for_a_person(self, run: _Run, whole: Whole) -> bool:
        """Let the whole wait, and say so, when all that is left of it waits for a person."""
        if run.sending or not (note := _asked_about(whole)):
            return False
        for part in whole.parts:
            waits = part.is_waiting and not all(one.is_ended for one in _needed(part, whole))
            if not part.is_ended and not waits and part.job.state != "held":
                return False
        low, high = report.estimate_of(whole)
        fields = Fields(note=note, low=low, high=high)
        await self._write(run, fields, Step("held", note[:200], durable=True))
        await self._store.release(run.work.claim)
        return True

    async def _send_more(self, run: _Run, whole: Whole, carrier: Carrier) -> None:
        """Send parts that wait, while there is room."""
        if run.is_refused:
            why = "not sent: the account was refused before it"
            return await self._end(whole, _waiting(run, whole), None, why)
        if time.monotonic() < run.resume_at:
            return None
        flying = {part.job.job_id for part in whole.parts if part.is_flying} | set(run.sending)
        for part in whole.parts:
            if len(flying) >= run.room:
                return None
            if not part.is_waiting or part.job.job_id in run.sending:
                continue
            needed = _needed(part, whole)
            if any(other.is_ended and other.job.state != "done" for other in needed):
                await self._skip(whole, part, needed)
            elif all(other.is_ended for other in needed):
                work = await self._claimed(run, whole, part)
                if work is not None:
                    flying.add(part.job.job_id)
                    run.sending[part.job.job_id] = carrier.take(work)
        return None

    async def _claimed(self, run: _Run, whole: Whole, part: Part) -> Work | None:
        """Return *part* claimed and complete; one that cannot be completed has failed."""
        try:
            filled = None
            if part.uses and self._filler is not None:
                filled = await self._filler.fill(part, whole)
            return await self._store.claim_part(run.work.claim, part.job.job_id, filled)
        except BackendError:
            raise  # an upload that failed is tried again
        except ActionableError as problem:
            error = JobError(
                type="not_sent",
                message=problem.message[:600],
                hint=problem.hint,
                charged=False,
            )
            await self._end(whole, [part], error, problem.message)
            return None

    async def _skip(self, whole: Whole, part: Part, needed: Sequence[Part]) -> None:
        bad = next(other for other in needed if other.job.state != "done")
        why = f"not sent: step {bad.job.name!r} made nothing"
        await self._end(whole, [part], None, why)

    async def _end(
        self, whole: Whole, parts: Sequence[Part], error: JobError | None, why: str
    ) -> None:
        if not parts:
            return
        only = {part.job.job_id for part in parts}
        for part_id in await self._store.end_parts(whole.job.job_id, error, why, only):
            self._changes.changed(part_id)

    async def _call(self, whole: Whole, carrier: Carrier) -> None:
        """Let whoever carries a part know that somebody waits for it."""
        for part in whole.parts:
            if part.is_flying and not carrier.call(part.job.job_id):
                await self._store.want(part.job.job_id, self._pace.linger)

    async def _finish(self, run: _Run, whole: Whole) -> None:
        state, error, note = report.ended_as(whole)
        outputs, problem = await self._outputs(run, whole)
        home = all(part.job.saved for part in whole.parts if part.job.state == "done")
        if not home:
            problem = "not every file is home yet"
        saved = state == "done" and not problem
        ended = run.work.job.ended or datetime.now(UTC)
        look_again = state == "done" and problem and datetime.now(UTC) - ended < GIVE_UP
        fields = Fields(
            outputs=outputs,
            cost=report.cost_of(whole),
            ended=ended,
            error=error,
            note="; ".join(filter(None, [note, problem]))[:600],
            saved=saved,
            keep_due=datetime.now(UTC) + LOOK_AGAIN if look_again else None,
        )
        over = run.work.job.is_over
        step = STAY if over else Step(state, note[:200] or "every part is done", durable=True)
        await self._write(run, fields, step)
        await self._store.release(run.work.claim)

    async def _outputs(self, run: _Run, whole: Whole) -> tuple[tuple[Output, ...], str]:
        """Return what the whole ends in, and why its own files could not be written."""
        if whole.job.kind == "pipeline":
            return report.last_outputs(whole), ""
        folder = Path(run.work.save_to) if run.work.save_to else self._media_folder
        outputs: list[Output] = []
        whole = await self._with_kept(whole)
        try:
            holder = run.work.claim.holder
            if any(part.job.state == "done" for part in whole.parts):
                outputs.append(await run_sync(report.picture, whole, folder, holder))
            outputs.append(await run_sync(report.table, whole, folder, holder))
        except (OSError, ActionableError) as problem:
            log.warning("job %s: its sheet cannot be written: %s", whole.job.job_id, problem)
            return tuple(outputs), "its contact sheet or table could not be written"
        return tuple(outputs), ""

    async def _with_kept(self, whole: Whole) -> Whole:
        """Return *whole* with the parts that an earlier attempt at it made, in their places."""
        kept: dict[str, str] = whole.job.arguments.get("kept") or {}
        parts = list(whole.parts)
        for job_id in kept.values():
            try:
                job = await self._store.find(job_id)
            except UnknownJobError:
                continue  # it was forgotten, and its files stay
            parts.append(Part(job, sent=True, sought=False, uses=()))
        return replace(whole, parts=tuple(sorted(parts, key=lambda part: part.job.place)))


def _waiting(run: _Run, whole: Whole) -> list[Part]:
    return [part for part in whole.parts if part.is_waiting and part.job.job_id not in run.sending]


def _asked_about(whole: Whole) -> str:
    """Return what a person must know who is asked about parts of *whole*; nothing where none is."""
    held = [part.job for part in whole.parts if part.job.state == "held"]
    return "; ".join(
        f"{job.name or f'item {job.place}'} on {job.endpoint_id} waits: {job.note}" for job in held
    )[:600]


def _needed(part: Part, whole: Whole) -> list[Part]:
    steps = {use.step for use in part.uses}
    return [other for other in whole.parts if other.job.name in steps and other.job.name]
