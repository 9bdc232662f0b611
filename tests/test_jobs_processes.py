"""Several processes share a journal, and any of them may die at any moment."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.jobs_platform import FolderPlatform, jobs_in, png
from tools.ports import JobQuery

REPOSITORY = Path(__file__).resolve().parent.parent
# A home as people have them.
HOME = "Zuhause mit Umlaut ä"


class Process:
    """A process with jobs, spoken to by its lines."""

    def __init__(self, act: str, world: Path, *more: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "tests.jobs_process", act, world / HOME, world / "fal", *more],
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )

    def hears(self) -> dict[str, Any]:
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        assert line, "the process ended without a word"
        return json.loads(line)


@contextmanager
def process(act: str, world: Path, *more: str) -> Generator[Process]:
    """Yield a process that is gone afterwards."""
    running = Process(act, world, *more)
    try:
        assert running.hears()["ready"]
        yield running
    finally:
        running.popen.kill()
        running.popen.wait(10)
        assert running.popen.stdout is not None
        running.popen.stdout.close()


def test_a_killed_process_leaves_its_job_to_the_next(tmp_path: Path) -> None:
    with process("begin", tmp_path, "60") as first:
        job_id = first.hears()["job_id"]
        first.popen.send_signal(signal.SIGKILL)
        first.popen.wait(10)
    with process("finish", tmp_path, job_id) as second:
        ended = second.hears()

    assert (ended["state"], ended["saved"]) == ("done", True)
    assert Path(ended["paths"][0]).read_bytes() == png()
    assert len(FolderPlatform(tmp_path / "fal").requests) == 1


def test_a_killed_process_leaves_its_job_to_one_that_ran_beside_it(tmp_path: Path) -> None:
    with process("begin", tmp_path, "60") as first:
        job_id = first.hears()["job_id"]
        with process("finish", tmp_path, job_id) as beside:
            first.popen.send_signal(signal.SIGKILL)
            first.popen.wait(10)
            ended = beside.hears()

    assert (ended["state"], ended["saved"]) == ("done", True)
    assert len(list((tmp_path / HOME / "media").glob("*.png"))) == 1


def test_a_stopped_process_that_wakes_does_not_write_over_its_successor(tmp_path: Path) -> None:
    with process("carry", tmp_path) as first:
        job_id = first.hears()["job_id"]
        first.popen.send_signal(signal.SIGSTOP)
        with process("finish", tmp_path, job_id) as second:
            ended = second.hears()
        first.popen.send_signal(signal.SIGCONT)
        woken = first.hears()

    assert ended["saved"]
    assert woken == ended
    assert len(list((tmp_path / HOME / "media").glob("*.png"))) == 1


def test_a_process_killed_while_a_file_arrives_leaves_no_half_of_it(tmp_path: Path) -> None:
    with process("half", tmp_path) as first:
        job_id = first.hears()["job_id"]
        assert Path(first.hears()["halfway"]).stat().st_size == 20
        first.popen.send_signal(signal.SIGKILL)
        first.popen.wait(10)
    with process("finish", tmp_path, job_id) as second:
        ended = second.hears()

    assert Path(ended["paths"][0]).read_bytes() == png()
    names = {path.suffix for path in (tmp_path / HOME / "media").iterdir()}
    assert names == {".png", ".json"}


def test_a_job_that_one_process_carries_is_waited_for_by_another(tmp_path: Path) -> None:
    with process("begin", tmp_path, "60") as first:
        job_id = first.hears()["job_id"]
        with process("finish", tmp_path, job_id) as second:
            ended = second.hears()

    assert (ended["state"], ended["saved"]) == ("done", True)


def test_a_submit_whose_process_died_is_unconfirmed_and_never_sent_again(tmp_path: Path) -> None:
    with process("die", tmp_path, "60") as first:
        assert first.popen.wait(10) == -signal.SIGKILL
    with process("begin", tmp_path, "0") as second:
        said = second.hears()
    with process("finish", tmp_path, said["job_id"]) as third:
        ended = third.hears()

    assert said["state"] in ("planned", "unconfirmed")  # the earlier job, not a new one
    assert ended["state"] == "unconfirmed"
    assert "not sent again by itself" in ended["note"]
    assert len(FolderPlatform(tmp_path / "fal").requests) == 1


@pytest.mark.parametrize(
    ("moment", "state", "requests"),
    [
        pytest.param("state = 'planned'", "failed", 0, id="the intent stands"),
        pytest.param("submitting IS NOT NULL", "unconfirmed", 0, id="about to be sent"),
        pytest.param("state = 'queued'", "done", 1, id="the request id stands"),
        pytest.param("state = 'running'", "done", 1, id="it runs", marks=pytest.mark.proof),
        pytest.param("state = 'done'", "done", 1, id="its outputs stand"),
        pytest.param("saved = 1", "done", 1, id="its files are home", marks=pytest.mark.proof),
    ],
)
async def test_death_at_any_moment_loses_nothing_and_pays_for_nothing_twice(
    tmp_path: Path, moment: str, state: str, requests: int
) -> None:
    with process("until", tmp_path, moment) as first:
        assert first.popen.wait(10) == -signal.SIGKILL
    platform = FolderPlatform(tmp_path / "fal", runs=0.5)
    platform.has_history = True
    async with jobs_in(tmp_path / HOME, platform) as jobs:
        (job,) = (await jobs.list(JobQuery())).jobs
        while job.state == "planned":  # until the lease of the dead has run out
            await anyio.sleep(0.05)
            job = await jobs.find(job.job_id)
        job = await jobs.wait(job.job_id, 10)

    assert (job.state, job.saved) == (state, state == "done")
    assert len(platform.requests) == requests
    assert len(list((tmp_path / HOME / "media").glob("*.png"))) == requests


@pytest.mark.proof
@pytest.mark.parametrize("each", [25])
def test_two_processes_that_rush_a_budget_get_exactly_what_fits(tmp_path: Path, each: int) -> None:
    with (
        process("rush", tmp_path, str(each)) as one,
        process("rush", tmp_path, str(each)) as other,
    ):
        counts = [one.hears(), other.hears()]

    allowed = [job_id for count in counts for job_id in count["allowed"]]
    assert len(allowed) == len(set(allowed)) == 10
    assert sum(count["refused"] for count in counts) == 2 * each - 10
    assert len(FolderPlatform(tmp_path / "fal").requests) == 10


def test_fifty_starts_in_three_processes_against_room_for_ten_let_exactly_ten_go(
    tmp_path: Path,
) -> None:
    each = (17, 17, 16)
    with ExitStack() as running:
        rushing = [
            running.enter_context(
                process("rush_when_told", tmp_path, str(count), str(tmp_path / "fal"))
            )
            for count in each
        ]
        (tmp_path / "fal" / "go").touch()  # all have opened the journal: now they rush together
        counts = [one.hears() for one in rushing]

    allowed = [job_id for count in counts for job_id in count["allowed"]]
    assert len(allowed) == len(set(allowed)) == 10
    assert [len(count["allowed"]) + count["refused"] for count in counts] == list(each)
    assert len(FolderPlatform(tmp_path / "fal").requests) == 10
    with closing(sqlite3.connect(tmp_path / HOME / "journal.db")) as journal:
        rows = journal.execute("SELECT COUNT(*), SUM(amount) FROM jobs").fetchone()
    assert rows == (10, 10 * 10**9)
