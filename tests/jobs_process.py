"""A process with jobs of its own, for tests that end it: ``ACT HOME PLATFORM [MORE…]``.

It says what it did in lines of JSON on stdout.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio

from catalog.index import CatalogIndex
from server.fal.options import PLAIN, CallOptions
from server.fal.wire import Downloaded, Submission
from server.jobs.journal import PATIENCE, Act, Journal, T
from server.jobs.pace import Pace
from server.jobs.service import JournalJobs, open_jobs
from tests.jobs_platform import FolderPlatform, intent, settings_in
from tools.errors import OverBudgetError
from tools.ports import WholeIntent

PACE = Pace(lease=0.8, heartbeat=0.2, poll_gap=0.1, poll_first=0.1)
STILL = replace(PACE, heartbeat=30)  # so that the mark of a submit is the last that is written


class HalfwayPlatform(FolderPlatform):
    """A platform whose files never arrive whole."""

    async def download(self, url: str, target: Path, *, max_bytes: int | None = None) -> Downloaded:
        await anyio.Path(target).write_bytes(self.file[:20])
        say(halfway=str(target))
        await anyio.sleep_forever()
        raise AssertionError


class DyingPlatform(FolderPlatform):
    """A platform whose caller dies at the worst moment: the request is in, its answer is not."""

    async def submit(
        self,
        endpoint_id: str,
        arguments: Mapping[str, Any],
        *,
        webhook_url: str = "",
        options: CallOptions = PLAIN,
    ) -> Submission:
        await super().submit(endpoint_id, arguments, webhook_url=webhook_url, options=options)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def say(**what: object) -> None:
    """Print one line of JSON, at once."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def begin(jobs: JournalJobs, seconds: str) -> None:
    """Start a job, say its id, and live on."""
    job = await jobs.start(intent())
    say(job_id=job.job_id, state=job.state)
    await anyio.sleep(float(seconds))


async def carry(jobs: JournalJobs) -> None:
    """Start a job, say its id, wait for it, and say how it ended."""
    job = await jobs.start(intent())
    say(job_id=job.job_id, state=job.state)
    await finish(jobs, job.job_id)
    await anyio.sleep(60)


async def until(jobs: JournalJobs, condition: str) -> None:
    """Start a job and wait for it, but die as soon as the journal says *condition* of it."""
    _die_when(condition)
    await carry(jobs)


async def batch(jobs: JournalJobs, condition: str, parallel: str = "2") -> None:
    """Conduct a batch of four, and die when the journal says *condition*."""
    if condition:
        _die_when(condition)
    whole = await jobs.start_whole(four(int(parallel)))
    say(job_id=whole.job_id, state=whole.state)
    await finish(jobs, whole.job_id)
    await anyio.sleep(60)


def four(parallel: int) -> WholeIntent:
    """Return a batch of four pictures, *parallel* at a time."""
    parts = tuple(intent(prompt) for prompt in ("one", "two", "three", "four"))
    return WholeIntent("batch", parts, {}, parallel=parallel)


def _die_when(condition: str) -> None:
    write = Journal.write

    async def fatal_write(
        self: Journal, act: Act[T], *, durable: bool = False, patience: float = PATIENCE
    ) -> T:
        written = await write(self, act, durable=durable, patience=patience)
        query = f"SELECT 1 FROM jobs WHERE {condition}"  # noqa: S608  # of the test's own
        if await self.read(lambda connection: connection.execute(query).fetchone()):
            os.kill(os.getpid(), signal.SIGKILL)
        return written

    Journal.write = fatal_write


async def finish(jobs: JournalJobs, job_id: str) -> None:
    """Wait for a job of an earlier process and say how it ended."""
    job = await jobs.wait(job_id, 15)
    paths = [output.path for output in job.outputs]
    say(job_id=job.job_id, state=job.state, saved=job.saved, paths=paths, note=job.note)


async def rush(jobs: JournalJobs, count: str) -> None:
    """Start so many different jobs at once, and say how many were let in."""
    allowed: list[str] = []
    refused: list[str] = []

    async def one(number: int) -> None:
        prompt = f"{os.getpid()} {number}"
        try:
            allowed.append((await jobs.start(intent(prompt, "1"))).job_id)
        except OverBudgetError as problem:
            refused.append(problem.message)

    async with anyio.create_task_group() as group:
        for number in range(int(count)):
            group.start_soon(one, number)
    say(allowed=allowed, refused=len(refused))


async def rush_when_told(jobs: JournalJobs, count: str, folder: str) -> None:
    """Rush as soon as there is a file ``go`` in *folder*."""
    while not await (anyio.Path(folder) / "go").exists():
        await anyio.sleep(0.005)
    await rush(jobs, count)


async def main(argv: Sequence[str]) -> None:
    """Open the jobs of a home and do what is asked."""
    act, home, folder, *more = argv
    acts = {
        "begin": (begin, FolderPlatform),
        "carry": (carry, FolderPlatform),
        "finish": (finish, FolderPlatform),
        "rush": (rush, FolderPlatform),
        "rush_when_told": (rush_when_told, FolderPlatform),
        "die": (begin, DyingPlatform),
        "half": (carry, HalfwayPlatform),
        "until": (until, FolderPlatform),
        "batch": (batch, FolderPlatform),
        "die_batch": (batch, DyingPlatform),
    }
    do, kind = acts[act]
    platform = kind(Path(folder), runs=0.5)
    settings = settings_in(Path(home), budget_day="10")
    pace = STILL if kind is DyingPlatform else PACE
    async with open_jobs(settings, platform, CatalogIndex.open(), pace) as jobs:
        say(ready=True)
        await do(jobs, *more)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1:])
