"""`falkit keep`: follow what is unfinished and bring it home, with no assistant running."""

from collections.abc import AsyncIterator

import anyio

from catalog.index import CatalogIndex
from server.rooms import open_annexe
from server.settings import Settings
from tools.ports import Job, JobQuery, Jobs

LOOK_EVERY = 1.0
WAITING_FOR_A_PERSON = ("held", "unconfirmed")


async def keep_jobs(settings: Settings, once: bool) -> None:
    """Print each change of each unfinished job until interrupted, or with *once* until none is."""
    told: dict[str, str] = {}
    async with open_annexe(settings, CatalogIndex.open()) as rooms:
        print(f"keeping the jobs of {settings.home}; Ctrl-C ends it, jobs run on", flush=True)
        while True:
            open_jobs = 0
            async for job in _unfinished(rooms.jobs, told):
                open_jobs += 0 if job.is_settled else 1
                line = _line(job)
                if told.get(job.job_id) != line:
                    told[job.job_id] = line
                    print(line, flush=True)
            if once and not open_jobs:
                if not told:
                    print("nothing is unfinished")
                return
            await anyio.sleep(LOOK_EVERY)


async def _unfinished(jobs: Jobs, told: dict[str, str]) -> AsyncIterator[Job]:
    """Yield jobs that are not settled, and those reported before as they stand now."""
    seen: set[str] = set()
    page = await jobs.list(JobQuery(limit=50))
    for job in page.jobs:
        if not job.is_settled or job.state in WAITING_FOR_A_PERSON or job.job_id in told:
            seen.add(job.job_id)
            yield job
    for job_id in [job_id for job_id in told if job_id not in seen]:
        yield await jobs.find(job_id)


def _line(job: Job) -> str:
    files = " ".join(output.path for output in job.outputs if output.path)
    problem = f" {job.error.message}" if job.error else ""
    saved = " saved" if job.saved else ""
    return f"{job.job_id} {job.state}{saved} {job.endpoint_id} {files}{problem}".rstrip()
