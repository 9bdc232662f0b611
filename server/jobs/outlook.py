"""The outlook of jobs that are not home: slow, stuck or expiring, as their model goes."""

import sqlite3
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import ceil
from statistics import median

from server.jobs.journal import Journal
from server.jobs.leases import House
from tools.ports import BackendName, Job

# Fewer runs say nothing of what is usual.
LEAST_RUNS = 3
MOST_RUNS = 200
# The newest rows that are looked through, so that a long journal costs no more than a short one.
AMONG = 5000
KNOWN_FOR = 60.0  # seconds that the statistics serve
# Below that nobody wonders; seconds.
YOUNG = 20.0
LONG_WITHOUT_HISTORY = 300.0
# Beyond the 95th percentile by so many times and so many seconds, something is probably wrong.
STUCK_TIMES, STUCK_SECONDS = 3.0, 60.0
# fal keeps media for at least a week (its FAQ, read in autumn 2026).
KEPT_BY_FAL = timedelta(days=7)
TWICE = "resubmitting now would pay twice"


@dataclass(frozen=True, slots=True)
class Usual:
    """How long something took, in seconds: half of the *runs* at most *median*, 95 % *p95*."""

    runs: int
    median: float
    p95: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Usual | None":
        """Return what is usual among *seconds*; None when they are too few."""
        if len(seconds) < LEAST_RUNS:
            return None
        ordered = sorted(seconds)
        return cls(len(ordered), median(ordered), ordered[ceil(0.95 * len(ordered)) - 1])

    def judge(self, seconds: float) -> str:
        """Return ``stuck`` or ``slow`` for what has taken *seconds* so far, nothing if usual."""
        if seconds > max(self.p95 * STUCK_TIMES, self.p95 + STUCK_SECONDS):
            return "stuck"
        return "slow" if seconds > max(self.p95, self.median * 1.5) else ""


@dataclass(frozen=True, slots=True)
class Course:
    """What is usual for a model: in the queue and on a runner; None where too little is known."""

    waits: Usual | None
    runs: Usual | None


UNKNOWN = Course(None, None)


class Outlooks:
    """Says of jobs what is unusual about them, from the journal's own past."""

    def __init__(self, journal: Journal, house: House) -> None:
        self._journal = journal
        self._house = house
        self._known: Mapping[tuple[BackendName, str], Course] = {}
        self._known_until = 0.0

    async def of(self, jobs: Sequence[Job]) -> tuple[Job, ...]:
        """Return *jobs* with `Job.outlook` and `Job.elsewhere` filled in."""
        return tuple([await self._of(job) for job in jobs])

    async def _of(self, job: Job) -> Job:
        if job.is_over and (job.saved or job.state != "done"):
            return job
        now = datetime.now(UTC)
        house = (self._house.account, self._house.origin)
        job = replace(job, elsewhere=(job.account, job.origin) != house)
        if job.kind or (now - (job.submitted or job.created)).total_seconds() < YOUNG:
            return job
        if job.state in ("queued", "running"):
            return replace(job, outlook=progress_words(job, await self._course(job), now))
        return replace(job, outlook=expiry_words(job, now))

    async def _course(self, job: Job) -> Course:
        if time.monotonic() > self._known_until:
            self._known = await self._journal.read(courses)
            self._known_until = time.monotonic() + KNOWN_FOR
        return self._known.get((job.backend, job.endpoint_id), UNKNOWN)


def courses(connection: sqlite3.Connection) -> dict[tuple[BackendName, str], Course]:
    """Return what is usual for each backend and model, by the newest runs that ended well."""
    rows = connection.execute(
        "SELECT backend, endpoint_id, state, submitted, started, ended FROM jobs"
        " ORDER BY job_id DESC LIMIT ?",
        (AMONG,),
    )
    found: defaultdict[tuple[BackendName, str], list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        times = (row["submitted"], row["started"], row["ended"])
        runs = found[row["backend"], row["endpoint_id"]]
        if row["state"] == "done" and None not in times and len(runs) < MOST_RUNS:
            submitted, started, ended = times
            runs.append((max(0, started - submitted) / 1000, max(0, ended - started) / 1000))
    return {
        key: Course(Usual.of([wait for wait, _ in runs]), Usual.of([run for _, run in runs]))
        for key, runs in found.items()
    }


def progress_words(job: Job, course: Course, now: datetime) -> str:
    """Return what is unusual about a queued or running *job*, with the choices; else nothing."""
    if job.state == "running":
        usual, since = course.runs, job.started or job.submitted or job.created
        doing, did = "it has run for", "its model took"
        choices = "wait on, or cancel_job, after which what ran may still be charged"
    else:
        usual, since = course.waits, job.submitted or job.created
        here = job.backend == "emulator"
        where = "the emulator's queue, which moves while a falkit runs," if here else "fal's queue"
        doing, did = f"it has waited in {where} for", "its model waited"
        choices = "wait on, or cancel_job, which costs nothing before it runs"
    seconds = (now - since).total_seconds()
    if usual is None:
        if seconds < LONG_WITHOUT_HISTORY:
            return ""
        return (
            f"{doing} {spoken(seconds)}; too few earlier runs are known here to say whether that "
            f"is usual; {TWICE}"
        )
    judged = usual.judge(seconds)
    if not judged:
        return ""
    usually = (
        f"{did} {spoken(usual.median)} usually and {spoken(usual.p95)} at most in 95 % of "
        f"{usual.runs} runs"
    )
    if judged == "slow":
        return f"slower than usual: {doing} {spoken(seconds)}, {usually}; {TWICE}"
    return f"it may be stuck: {doing} {spoken(seconds)}, {usually}; {choices}; {TWICE}"


def expiry_words(job: Job, now: datetime) -> str:
    """Return until when the files of a done *job* that are not home can be had; else nothing."""
    missing = [output for output in job.outputs if output.problem and output.url]
    if job.state != "done" or not missing or job.backend == "emulator":
        return ""
    stated = [output.expires for output in missing if output.expires is not None]
    ends = min(stated) if stated else (job.ended or job.created) + KEPT_BY_FAL
    day = ends.astimezone().strftime("%Y-%m-%d %H:%M")
    if ends <= now:
        return f"fal may have deleted the files: it keeps them until about {day}"
    return f"the files can be had until about {day}; running it again would pay again"


def spoken(seconds: float) -> str:
    """Return *seconds* as a person says them."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
