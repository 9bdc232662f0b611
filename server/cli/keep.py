"""`falkit keep`: follow what is unfinished and bring it home, with no assistant running."""

import time
from collections.abc import AsyncIterator

import anyio

from server.cli.folding import folded
from server.jobs.leases import house_of
from server.rooms import open_annexe, open_catalog
from server.settings import Settings
from tools.job_view import change_words
from tools.ports import Job, JobQuery, Jobs, JobState

LOOK_EVERY = 1.0
PAGE = 100
# How long a request whose answer was lost is looked for before `--once` leaves, in seconds.
LOOKED_FOR = 10.0
# How long new attempts at missing files may take in all before they are told, in seconds.
FETCHED_FOR = 10.0
UNFINISHED: tuple[JobState, ...] = (
    "held",
    "unconfirmed",
    "planned",
    "approved",
    "queued",
    "running",
)


async def keep_jobs(settings: Settings, once: bool) -> None:
    """Print each change of each unfinished job until interrupted, or with *once* until none is.

    Jobs of another account or address are shown and not waited for: this process cannot end them.
    """
    house = house_of(settings)
    told: dict[str, str] = {}
    begun = time.monotonic()
    async with open_annexe(settings, open_catalog(settings)[0]) as rooms:
        ends = "until nothing is unfinished" if once else "Ctrl-C ends it, jobs run on"
        print(f"keeping the jobs of {settings.home}; {ends}", flush=True)
        watched = {job.job_id async for job in _missing(rooms.jobs)}
        while True:
            is_idle = True
            async for job in _unfinished(rooms.jobs, watched):
                line = _line(job)
                if told.get(job.job_id) != line:
                    told[job.job_id] = line
                    files = [output.path for output in job.outputs]
                    print(folded(line, whole=files), flush=True)
                if (job.account, job.origin) == (house.account, house.origin):
                    looked_for = time.monotonic() - begun < LOOKED_FOR
                    is_open = not job.is_settled or (job.state == "unconfirmed" and looked_for)
                    is_idle &= not is_open
            if once and is_idle:
                if not told:
                    print("nothing is unfinished")
                return
            await anyio.sleep(LOOK_EVERY)


async def _missing(jobs: Jobs) -> AsyncIterator[Job]:
    """Yield the done jobs of which a file is not home, once a new attempt had time to end."""
    ends = anyio.current_time() + FETCHED_FOR
    async for job in _all(jobs, "done"):
        if job.saved:
            continue
        job = await jobs.wait(job.job_id, 0.01)
        while not job.saved and anyio.current_time() < ends:
            await anyio.sleep(0.1)
            job = await jobs.find(job.job_id)
        yield job


async def _unfinished(jobs: Jobs, watched: set[str]) -> AsyncIterator[Job]:
    """Yield jobs that are not over, and the *watched* ones up to their end."""
    seen: set[str] = set()
    for state in UNFINISHED:
        async for job in _all(jobs, state):
            if job.job_id not in seen:
                seen.add(job.job_id)
                yield job
    for job_id in watched - seen:
        job = await jobs.find(job_id)
        if job.is_settled:
            watched.remove(job_id)
        yield job
    watched |= seen


async def _all(jobs: Jobs, state: JobState) -> AsyncIterator[Job]:
    """Yield every job in *state*, newest first."""
    cursor = ""
    while True:
        page = await jobs.list(JobQuery(state=state, limit=PAGE, cursor=cursor))
        for job in page.jobs:
            yield job
        cursor = page.next_cursor
        if not cursor:
            return


def _line(job: Job) -> str:
    files = " ".join(output.path for output in job.outputs if output.path)
    what = change_words(job.arguments) if job.kind == "deploy" else job.endpoint_id
    problem = f" {job.error.message}" if job.error else ""
    saved = " saved" if job.saved else ""
    return f"{job.job_id} {job.state}{saved} {what} {files}{problem}".rstrip()
