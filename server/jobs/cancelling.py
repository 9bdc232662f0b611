"""Cancel a job wherever it is: not yet sent, in a queue, on a live line, or in many parts."""

from dataclasses import replace
from typing import Literal, Protocol

import anyio

from catalog.errors import ActionableError
from server.jobs.backend import Backend
from server.jobs.outcome import outcome
from server.jobs.pace import Pace
from server.jobs.port import JobStore
from server.jobs.shield import shielded
from server.jobs.waiting import Changes
from tools.errors import BackendError
from tools.ports import Cancelled, Job, Jobs


class Journalled(Jobs, Protocol):
    """The jobs whose store and changes are at hand."""

    @property
    def store(self) -> JobStore: ...

    @property
    def changes(self) -> Changes: ...


class Cancelling:
    """Cancels *jobs*, on *backend* where that has them."""

    def __init__(self, jobs: Journalled, backend: Backend, pace: Pace) -> None:
        self._jobs = jobs
        self._store = jobs.store
        self._changed = jobs.changes.changed
        self._backend = backend
        self._pace = pace

    async def cancel(self, job_id: str) -> Cancelled:
        """Cancel here or on the platform, and say whether it was in time.

        Raises:
            UnknownJobError: no such job.
            BackendError: the platform could not be asked.
            ActionableError: it runs where this process has no say.
        """
        job = await self._jobs.find(job_id)
        if job.kind and not job.is_over:
            return await self._whole(job)
        if job.state in ("planned", "held", "approved"):
            dropped = await self._store.drop(job.job_id)
            if dropped is not None:
                self._changed(job.job_id)
                return Cancelled(dropped, cancelled=True, charged=False)
            if await self._store.stop_live(job.job_id):
                self._changed(job.job_id)
            job = await self._after_submit(job)
        if job.state not in ("queued", "running"):
            return outcome(job)
        self._check_house(job)
        answer = await self._asked(job)
        job = await self._jobs.wait(job.job_id, self._pace.cancel_wait)
        if answer == "requested" and not job.is_over:
            note = "the platform was asked to cancel it and has not said yet whether it did"
            await self._store.note(job.job_id, note)
            self._changed(job.job_id)
            job = replace(job, note=note)
        return outcome(job)

    async def _whole(self, job: Job) -> Cancelled:
        """Let nothing more of a whole be sent, and cancel what the platform has of it."""
        self._check_house(job)
        for ended in await shielded(self._store.stop(job.job_id)):
            self._changed(ended)
        self._changed(job.job_id)
        problems: list[ActionableError] = []

        async def cancel(part: Job) -> None:
            try:
                await self.cancel(part.job_id)
            except ActionableError as problem:
                problems.append(problem)

        async with anyio.create_task_group() as group:
            for part in await self._jobs.parts(job.job_id):
                if not part.is_over and part.state != "unconfirmed":
                    group.start_soon(cancel, part)
        if problems:
            raise problems[0]
        job = await self._jobs.wait(job.job_id, self._pace.cancel_wait)
        charges = {outcome(part).charged for part in await self._jobs.parts(job.job_id)}
        charged = True if True in charges else None if None in charges else False
        return Cancelled(job, cancelled=job.state == "cancelled", charged=charged)

    def _check_house(self, job: Job) -> None:
        if (job.account, job.origin) != (self._store.house.account, self._store.house.origin):
            raise ActionableError(
                f"job {job.job_id!r} runs on {job.backend} with another key or address",
                hint="cancel it from a falkit with the settings that started it",
            )

    async def _asked(self, job: Job) -> Literal["requested", "already_completed", "not_found"]:
        """Return what the platform answers to a cancellation.

        Raises:
            BackendError: it does not answer in time.
        """
        with anyio.move_on_after(self._pace.cancel_answer):
            return await self._backend.cancel(job.endpoint_id, job.request_id)
        raise BackendError(
            f"job {job.job_id!r} may not be cancelled: the platform did not answer within "
            f"{self._pace.cancel_answer:g} seconds",
            hint="call cancel_job again; job_status says how it stands",
            charged=None,
            retry_helps=True,
        )

    async def _after_submit(self, job: Job) -> Job:
        """Return *job* once its submit, under way somewhere, is answered, or as it stands."""
        with anyio.move_on_after(self._pace.cancel_wait):
            with self._jobs.changes.listening(job.job_id) as ear:
                while job.state in ("planned", "approved"):
                    ear.clear()
                    job = await self._jobs.find(job.job_id)
                    if job.state in ("planned", "approved"):
                        await ear.event.wait()
        return job
