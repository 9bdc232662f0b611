"""A wait ends when it should, hears what happens anywhere, and leaves the job alone."""

import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from server.jobs.pace import Pace
from server.jobs.waiting import fraction, percent, words
from tests.jobs_platform import FAST, FolderPlatform, intent, jobs_in
from tools.errors import UnknownJobError
from tools.ports import Job, JobError, Output


class Told:
    """What a caller was told, and when."""

    def __init__(self) -> None:
        self.fractions: list[float] = []
        self.words: list[str] = []
        self.times: list[float] = []

    async def progress(self, done: float, said: str) -> None:
        self.fractions.append(done)
        self.words.append(said)
        self.times.append(time.monotonic())


@pytest.fixture
def platform(tmp_path: Path) -> FolderPlatform:
    return FolderPlatform(tmp_path / "platform")


async def test_an_unknown_job_is_not_waited_for(tmp_path: Path, platform: FolderPlatform) -> None:
    async with jobs_in(tmp_path, platform) as jobs:
        with pytest.raises(UnknownJobError):
            await jobs.wait("00000000000", 10)


@pytest.mark.parametrize("seconds", [0.0, 0.4])
async def test_a_wait_that_expires_returns_the_job_as_it_stands(
    tmp_path: Path, platform: FolderPlatform, seconds: float
) -> None:
    platform.runs = 60
    async with jobs_in(tmp_path, platform) as jobs:
        started = await jobs.start(intent())
        began = time.monotonic()
        job = await jobs.wait(started.job_id, seconds)
        took = time.monotonic() - began

    assert job.state in ("queued", "running")
    assert seconds <= took < seconds + 0.2


async def test_a_listener_that_hangs_does_not_hold_up_the_deadline(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.runs = 60

    async def hang(_done: float, _said: str) -> None:
        await anyio.sleep_forever()

    async with jobs_in(tmp_path, platform) as jobs:
        started = await jobs.start(intent())
        began = time.monotonic()
        await jobs.wait(started.job_id, 0.3, hang)

    assert time.monotonic() - began < 0.6


async def test_a_settled_job_is_returned_at_once(tmp_path: Path, platform: FolderPlatform) -> None:
    async with jobs_in(tmp_path, platform) as jobs:
        job_id = (await jobs.start(intent())).job_id
        await jobs.wait(job_id, 10)
        began = time.monotonic()
        job = await jobs.wait(job_id, 10)

    assert job.saved
    assert time.monotonic() - began < 0.2


async def test_progress_grows_and_says_what_happens(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.waits, platform.runs = 0.2, 0.7
    told = Told()
    async with jobs_in(tmp_path, platform, replace(FAST, progress=0.2)) as jobs:
        await jobs.wait((await jobs.start(intent())).job_id, 10, told.progress)

    assert told.words[0] == "queued, place 2"
    assert any(said.startswith("running 40 % · ") for said in told.words)
    assert told.words[-1] == "done, 1 file saved"
    assert told.fractions == sorted(set(told.fractions))
    assert told.fractions[-1] == 1
    pauses = [later - earlier for earlier, later in pairwise(told.times)]
    assert max(pauses) < 0.4
    assert len(told.words) < 12


async def test_a_wait_hears_within_a_tenth_of_a_second_what_another_process_writes(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.waits = 60
    delays: list[float] = []
    told = Told()
    write = "UPDATE jobs SET queue_position = ?, rev = rev + 1"
    async with jobs_in(tmp_path, platform) as jobs, anyio.create_task_group() as group:
        job_id = (await jobs.start(intent())).job_id
        group.start_soon(jobs.wait, job_id, 10, told.progress)
        await anyio.sleep(0.1)
        with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as another:
            for place in (50, 40, 30, 20, 10):
                another.execute(write, (place,))
                written = time.monotonic()
                while told.words[-1:] != [f"queued, place {place + 1}"]:
                    await anyio.sleep(0.002)
                delays.append(told.times[-1] - written)
        group.cancel_scope.cancel()

    assert sorted(delays)[2] < 0.1


async def test_a_cancelled_wait_leaves_the_job_running(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.runs = 0.4
    async with jobs_in(tmp_path, platform) as jobs:
        job_id = (await jobs.start(intent())).job_id
        with anyio.move_on_after(0.1) as scope:
            await jobs.wait(job_id, 10)
        assert scope.cancelled_caught
        job = await jobs.wait(job_id, 10)

    assert job.saved
    assert not any(kind == "cancel" for kind, _ in platform.looks)


async def test_a_waiter_in_another_process_makes_the_carrier_watch(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.runs = 0.5
    pace = Pace(heartbeat=0.1, poll_first=30)
    idle = FolderPlatform(tmp_path / "platform")
    async with jobs_in(tmp_path, platform, pace) as carrier, jobs_in(tmp_path, idle) as waiter:
        job_id = (await carrier.start(intent())).job_id
        job = await waiter.wait(job_id, 10)

    assert job.saved
    assert [kind for kind, _ in platform.looks] == ["submit", "watch", "result", "download"]
    assert idle.looks == []


async def test_many_wait_for_one_job(tmp_path: Path, platform: FolderPlatform) -> None:
    platform.runs = 0.3  # still there when the last of them begins to wait
    ended: list[Job] = []
    async with jobs_in(tmp_path, platform) as jobs:
        job_id = (await jobs.start(intent())).job_id

        async def wait() -> None:
            ended.append(await jobs.wait(job_id, 10))

        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(wait)

    assert [job.saved for job in ended] == [True] * 50
    assert sum(kind == "watch" for kind, _ in platform.looks) == 1


async def test_every_state_has_words_and_a_share(tmp_path: Path, platform: FolderPlatform) -> None:
    async with jobs_in(tmp_path, platform) as jobs:
        job = await jobs.start(intent())
    image = Output("image", url="https://x.test/1.png")
    error = JobError("type", "the model refused " + "x" * 500)
    said = {
        "sending": replace(job, state="planned"),
        f"waits for a person: falkit approve {job.job_id}": replace(job, state="held"),
        "queued": replace(job, state="queued", queue_position=None),
        "saving 2 files": replace(job, state="done", outputs=(image, image)),
        "done": replace(job, state="done", saved=True),
        "cancelled": replace(job, state="cancelled"),
        "unconfirmed": replace(job, state="unconfirmed"),
        "done, but not every file is home": replace(
            job, state="done", outputs=(replace(image, problem="not saved"),)
        ),
    }
    assert {words(state): state for state in said.values()} == said
    assert words(replace(job, state="failed", error=error)).startswith("failed: the model refused")
    assert all(0 < fraction(state) <= 1 for state in said.values())


@pytest.mark.parametrize(
    ("logs", "expected"),
    [
        ((), None),
        (("loading", "10%|#", "20%|##"), 20),
        (("12.5 % done", "no number"), 12),
        (("250% of what it was",), None),
    ],
)
async def test_the_share_is_the_last_the_model_named(
    tmp_path: Path, platform: FolderPlatform, logs: tuple[str, ...], expected: int | None
) -> None:
    async with jobs_in(tmp_path, platform) as jobs:
        job = await jobs.start(intent())

    assert percent(replace(job, logs=logs)) == expected
