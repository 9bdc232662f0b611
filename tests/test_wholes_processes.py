"""A batch outlives the process that conducts it, and no part is ever sent twice."""

import signal
from collections import Counter
from pathlib import Path

import anyio
import pytest

from server.jobs.service import JournalJobs
from tests.jobs_platform import FolderPlatform, jobs_in
from tests.test_jobs_processes import HOME, process
from tools.ports import Job, JobQuery


async def whole_of(jobs: JournalJobs) -> Job:
    """Return the one whole of this home when it has ended."""
    (job,) = (await jobs.list(JobQuery())).jobs
    with anyio.fail_after(18):
        while not job.is_over:
            job = await jobs.wait(job.job_id, 5)
    return job


LONG = pytest.mark.proof


@pytest.mark.parametrize(
    ("moment", "lost"),
    [
        pytest.param("kind = 'batch'", 0, id="the batch stands", marks=LONG),
        pytest.param("kind = 'batch' AND state = 'queued'", 0, id="its parts are next", marks=LONG),
        pytest.param("whole != '' AND holder != ''", 0, id="a part is claimed", marks=LONG),
        pytest.param(
            "whole != '' AND submitting IS NOT NULL", 2, id="a part is about to be sent", marks=LONG
        ),
        pytest.param("whole != '' AND state = 'queued'", 2, id="a part is accepted", marks=LONG),
        pytest.param("whole != '' AND state = 'done'", 0, id="a part is done"),
        pytest.param(
            "place = 3 AND submitting IS NOT NULL",
            2,
            id="the third is about to be sent",
            marks=LONG,
        ),
        pytest.param("place = 4 AND state = 'done'", 0, id="the last is done", marks=LONG),
        pytest.param("kind = 'batch' AND state = 'done'", 0, id="the batch is done", marks=LONG),
    ],
)
async def test_death_at_any_moment_of_a_batch_loses_nothing_and_sends_nothing_twice(
    tmp_path: Path, moment: str, lost: int
) -> None:
    with process("batch", tmp_path, moment) as first:
        assert first.popen.wait(20) == -signal.SIGKILL
    platform = FolderPlatform(tmp_path / "fal", runs=0.2)
    async with jobs_in(tmp_path / HOME, platform) as jobs:
        job = await whole_of(jobs)
        parts = await jobs.parts(job.job_id)

    sent = Counter(request["arguments"]["prompt"] for request in platform.requests)
    states = Counter(part.state for part in parts)
    assert job.state == "done"
    assert len(job.outputs) == 2
    assert max(sent.values()) == 1
    # What was marked and not answered may have been sent, and nobody sends it again: at most as
    # many as run side by side.
    assert states["unconfirmed"] <= lost
    assert states["done"] == 4 - states["unconfirmed"]
    assert {part.arguments["prompt"] for part in parts if part.state == "done"} <= set(sent)


@pytest.mark.proof
async def test_a_part_whose_answer_died_with_its_process_is_found_and_adopted(
    tmp_path: Path,
) -> None:
    with process("die_batch", tmp_path, "", "1") as first:
        assert first.popen.wait(20) == -signal.SIGKILL
    platform = FolderPlatform(tmp_path / "fal", runs=0.2)
    platform.has_history = True
    async with jobs_in(tmp_path / HOME, platform) as jobs:
        job = await whole_of(jobs)
        parts = await jobs.parts(job.job_id)

    sent = Counter(request["arguments"]["prompt"] for request in platform.requests)
    assert sent == {"one": 1, "two": 1, "three": 1, "four": 1}
    assert [part.state for part in parts] == ["done"] * 4


async def test_a_process_beside_a_stopped_one_carries_its_batch_on(tmp_path: Path) -> None:
    with process("batch", tmp_path, "") as first:
        job_id = first.hears()["job_id"]
        first.popen.send_signal(signal.SIGSTOP)
        with process("finish", tmp_path, job_id) as second:
            ended = second.hears()
        first.popen.send_signal(signal.SIGCONT)
        woken = first.hears()

    sent = Counter(
        request["arguments"]["prompt"] for request in FolderPlatform(tmp_path / "fal").requests
    )
    assert ended["state"] == woken["state"] == "done"
    assert ended["paths"] == woken["paths"]
    assert set(sent.values()) == {1}
