"""A job that takes longer than its model usually does is said to, with what to do about it."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from server.jobs.outlook import Course, Usual, expiry_words, progress_words
from tests.jobs_platform import FolderPlatform, intent, jobs_in
from tools.job_view import JobView, next_step
from tools.ports import Job, JobQuery, Output, WholeIntent

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
RUNNING = Job(
    job_id="01k9x2m4q7a",
    state="running",
    endpoint_id="fal-ai/flux/dev",
    backend="cloud",
    account="a",
    origin="o",
    arguments={},
    created=NOW,
    submitted=NOW,
    started=NOW,
)
USUAL = Usual.of([10, 11, 12, 13, 14, 15, 16, 17, 18, 40])


def after(seconds: float, job: Job = RUNNING, usual: Usual | None = USUAL) -> str:
    return progress_words(job, Course(usual, usual), NOW + timedelta(seconds=seconds))


def test_what_is_usual_is_not_told() -> None:
    assert after(39) == ""
    assert after(299, usual=None) == ""


def test_what_is_slow_is_measured_by_earlier_runs_of_the_model() -> None:
    assert after(60) == (
        "slower than usual: it has run for 60 s, its model took 14 s usually and 40 s at most in "
        "95 % of 10 runs; resubmitting now would pay twice"
    )


def test_what_may_be_stuck_is_told_with_the_choices() -> None:
    assert after(600) == (
        "it may be stuck: it has run for 10 min, its model took 14 s usually and 40 s at most in "
        "95 % of 10 runs; wait on, or cancel_job, after which what ran may still be charged; "
        "resubmitting now would pay twice"
    )
    queued = replace(RUNNING, state="queued", started=None)
    assert "it has waited in fal's queue for 10 min, its model waited 14 s usually" in after(
        600, queued
    )
    assert "cancel_job, which costs nothing before it runs" in after(600, queued)
    here = replace(queued, backend="emulator")
    assert "emulator's queue, which moves while a falkit runs, for 10 min" in after(600, here)


def test_without_enough_runs_nothing_is_claimed() -> None:
    assert Usual.of([1, 2]) is None
    assert after(400, usual=None) == (
        "it has run for 7 min; too few earlier runs are known here to say whether that is usual; "
        "resubmitting now would pay twice"
    )


def test_files_that_are_not_home_are_told_until_when_they_can_be_had() -> None:
    output = Output("image", url="https://files.test/a.png", problem="not saved: no space")
    done = replace(RUNNING, state="done", ended=NOW, outputs=(output,))
    until = (NOW + timedelta(days=7)).astimezone().strftime("%Y-%m-%d %H:%M")

    assert expiry_words(done, NOW) == (
        f"the files can be had until about {until}; running it again would pay again"
    )
    late = expiry_words(done, NOW + timedelta(days=8))
    assert late == f"fal may have deleted the files: it keeps them until about {until}"
    soon = replace(output, expires=NOW + timedelta(hours=1))
    assert "until about" in expiry_words(replace(done, outputs=(soon,)), NOW)
    assert expiry_words(replace(done, outputs=()), NOW) == ""


async def test_a_slow_job_is_told_of_by_job_and_in_the_list(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform", runs=0)
    async with jobs_in(tmp_path, platform) as jobs:
        for prompt in ("one", "two", "three", "four"):
            await jobs.wait((await jobs.start(intent(prompt))).job_id, 10)
        platform.runs = 3600
        slow = await jobs.start(intent("five"))
        while (await jobs.find(slow.job_id)).state != "running":
            await jobs.wait(slow.job_id, 0.2)
        fresh = await jobs.wait(slow.job_id, 0)
        with closing(sqlite3.connect(tmp_path / "journal.db", timeout=5)) as journal, journal:
            journal.execute(
                "UPDATE jobs SET submitted = submitted - 600000, started = started - 600000"
                " WHERE job_id = ?",
                (slow.job_id,),
            )
        told = await jobs.wait(slow.job_id, 0)
        page = await jobs.list(JobQuery(text="five"))

    assert fresh.outlook == ""
    assert told.outlook.startswith("it may be stuck: it has run for 10 min, its model took")
    assert told.outlook in JobView.of(told).notes
    assert page.jobs[0].outlook == told.outlook
    assert not told.elsewhere


async def test_a_job_of_another_key_is_not_promised_to_be_followed(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform", runs=3600)
    async with jobs_in(tmp_path, platform, key="first:secret") as jobs:
        started = await jobs.start(intent())
        held = await jobs.start(intent("dear", "3"))
        assert "job_status" in next_step(await jobs.wait(started.job_id, 0))
    async with jobs_in(tmp_path, platform, key="second:secret") as jobs:
        seen = await jobs.wait(started.job_id, 0)
        waiting = await jobs.wait(held.job_id, 0)

    assert seen.elsewhere
    assert next_step(seen) == (
        "another key or address of fal has it: follow it from a falkit set up so; do not resubmit"
    )
    assert "then a falkit of another key or address of fal sends it" in next_step(waiting)


async def test_a_slow_part_is_told_of_with_its_whole(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform", runs=0)
    async with jobs_in(tmp_path, platform) as jobs:
        for prompt in ("one", "two", "three"):
            await jobs.wait((await jobs.start(intent(prompt))).job_id, 10)
        platform.runs = 3600
        whole = await jobs.start_whole(WholeIntent("batch", (intent("four"), intent("five")), {}))
        while {part.state for part in await jobs.parts(whole.job_id)} != {"running"}:
            await jobs.wait(whole.job_id, 0.2)
        with closing(sqlite3.connect(tmp_path / "journal.db", timeout=5)) as journal, journal:
            journal.execute(
                "UPDATE jobs SET submitted = submitted - 600000, started = started - 600000"
                " WHERE whole = ? AND place = 2",
                (whole.job_id,),
            )
        parts = await jobs.parts(whole.job_id)
    assert [bool(part.outlook) for part in parts] == [False, True]
