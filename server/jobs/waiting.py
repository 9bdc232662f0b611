"""Waiting: who waits for which job, woken by whatever process changes it, and told how it goes."""

import logging
import math
import re
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import anyio

from catalog.errors import ActionableError
from server.jobs.port import JobStore
from tools.ports import Job, Progress

log = logging.getLogger("falkit.jobs.waiting")

_PERCENT = re.compile(r"(\d{1,3})(?:\.\d+)?\s?%")
_LONGEST_WORDS = 200


@dataclass(slots=True)
class Ear:
    """What wakes one waiter."""

    event: anyio.Event = field(default_factory=anyio.Event)

    def clear(self) -> None:
        """Forget what was heard; do it before looking, so that nothing is missed between."""
        self.event = anyio.Event()


class Changes:
    """Wakes waiters when their job changes, at once in this process, else within *look* seconds."""

    def __init__(self, store: JobStore, look: float) -> None:
        self._store = store
        self._look = look
        self._ears: dict[str, list[Ear]] = {}
        self._revisions: dict[str, int] = {}
        self._somebody = anyio.Event()

    def changed(self, job_id: str) -> None:
        """Wake who waits for this job."""
        for ear in self._ears.get(job_id, ()):
            ear.event.set()

    @contextmanager
    def listening(self, *job_ids: str) -> Generator[Ear]:
        """Yield one ear for all of *job_ids*."""
        ear = Ear()
        for job_id in job_ids:
            self._ears.setdefault(job_id, []).append(ear)
        self._somebody.set()
        try:
            yield ear
        finally:
            for job_id in job_ids:
                self._ears[job_id].remove(ear)
                if not self._ears[job_id]:
                    del self._ears[job_id]
                    self._revisions.pop(job_id, None)

    async def watch(self) -> None:
        """Look for changes by other processes while anybody waits; it never returns."""
        version = -1
        while True:
            if not self._ears:
                self._somebody = anyio.Event()
                await self._somebody.wait()
            await anyio.sleep(self._look)
            try:
                # The number is a glance at the file; only when it moved is anything read.
                now = await self._store.foreign_version()
                if now == version or not self._ears:
                    continue
                revisions = await self._store.revisions(self._ears.keys())
            except ActionableError as problem:
                log.info("changes cannot be seen: %s", problem)
                continue
            version = now
            for job_id, revision in revisions.items():
                if job_id in self._ears and self._revisions.get(job_id) != revision:
                    self._revisions[job_id] = revision
                    self.changed(job_id)


class Teller:
    """Tells a caller how a job goes: at every change, and at least every *every* seconds.

    The fraction grows with every report and stays below 1 until the job is settled.
    """

    def __init__(self, progress: Progress | None, every: float) -> None:
        self._progress = progress
        self._every = every
        self._told: str = ""
        self._told_at = -math.inf
        self._fraction = 0.0

    @property
    def next_in(self) -> float:
        """Seconds until something must be said."""
        return max(0.0, self._told_at + self._every - time.monotonic())

    async def tell(self, job: Job) -> None:
        """Say how *job* stands, if that is news or due."""
        if self._progress is None:
            self._told_at = time.monotonic()
            return
        stands = standing(job)
        if stands == self._told and self.next_in > 0:
            return
        self._told, self._told_at = stands, time.monotonic()
        least = self._fraction + (1 - self._fraction) / 1000
        self._fraction = 1.0 if job.is_settled else min(max(fraction(job), least), 0.999)
        await self._progress(self._fraction, words(job)[:_LONGEST_WORDS])


def standing(job: Job) -> str:
    """Return what makes a report of *job* news: everything but the clock."""
    if job.state == "running" and job.kind != "deploy":
        return f"running {percent(job)}"
    return words(job)


def words(job: Job) -> str:
    """Return how *job* stands, as a person says it."""
    match job.state:
        case "planned" | "approved":
            return "sending"
        case "held":
            return f"waits for a person: falkit approve {job.job_id}"
        case "queued":
            place = "" if job.queue_position is None else f", place {job.queue_position + 1}"
            return f"queued{place}"
        case "running" if job.kind == "deploy" and job.logs:
            return job.logs[-1].partition("% ")[2]
        case "running":
            done = percent(job)
            share = "" if done is None else f" {done} %"
            return f"running{share} · {_seconds(job):.0f} s"
        case "done":
            return _saving(job)
        case "failed":
            return f"failed: {job.error.message if job.error else 'no reason given'}"
        case "cancelled" | "unconfirmed":
            return job.state


def _saving(job: Job) -> str:
    """Return how far the files of a done *job* have come."""
    home = sum(1 for output in job.outputs if output.path)
    if job.saved:
        return f"done, {_files(home)} saved" if home else "done"
    if job.is_settled:
        return "done, but not every file is home"
    return f"saving {_files(len(job.outputs) - home)}"


def fraction(job: Job) -> float:
    """Return roughly how much of *job* is done, 0 to 1."""
    match job.state:
        case "planned" | "held" | "approved":
            return 0.01
        case "queued":
            return 0.05
        case "running":
            done = percent(job)
            # Without a word from the model, half of what is left goes by every 20 seconds.
            share = done / 100 if done is not None else 1 - 0.5 ** (_seconds(job) / 20)
            return 0.1 + 0.75 * share
        case "done":
            return 0.9
        case "failed" | "cancelled" | "unconfirmed":
            return 1.0


def percent(job: Job) -> int | None:
    """Return the last percentage that the model's log names, or None."""
    for line in reversed(job.logs):
        found = _PERCENT.findall(line)
        if found and int(found[-1]) <= 100:
            return int(found[-1])
    return None


def _seconds(job: Job) -> float:
    return max(0.0, (datetime.now(UTC) - (job.started or job.created)).total_seconds())


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
