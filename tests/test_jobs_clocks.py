"""A laptop that slept, a clock that was set: nothing is lost, sent twice or waited for in vain."""

import sqlite3
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import anyio
import pytest

from server.fal.problems import LostAnswerError, NetworkError, NotFoundError
from server.fal.wire import PastRequest
from server.jobs import rows
from server.jobs.service import JournalJobs
from tests.jobs_platform import FAST, FolderPlatform, intent, jobs_in
from tools.errors import OverBudgetError
from tools.ports import Job

ASLEEP = timedelta(hours=8)
BACK = timedelta(hours=-1)


class _AnyTime(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)


class Clock:
    """The wall clock of the jobs, which a test sets; the clock that only counts runs on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.offset = timedelta()
        clock = self

        class Shifted(datetime, metaclass=_AnyTime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Self:
                real = datetime.now(tz) + clock.offset
                return cls.fromtimestamp(real.timestamp(), tz)

        for name, module in list(sys.modules.items()):
            if name.startswith("server.jobs.") and getattr(module, "datetime", None) is datetime:
                monkeypatch.setattr(module, "datetime", Shifted)
        monkeypatch.setattr(rows, "time", SimpleNamespace(time_ns=self._time_ns))

    def _time_ns(self) -> int:
        return int((datetime.now(UTC) + self.offset).timestamp() * 1e9)

    def jump(self, by: timedelta) -> None:
        """Set the clock."""
        self.offset += by


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@asynccontextmanager
async def two(
    home: Path, platform: FolderPlatform
) -> AsyncGenerator[tuple[JournalJobs, JournalJobs]]:
    """Yield the jobs of *home* as two processes have them."""
    async with jobs_in(home, platform) as one, jobs_in(home, platform) as other:
        yield one, other


@pytest.mark.parametrize(
    "jump", [ASLEEP, pytest.param(BACK, marks=pytest.mark.proof)], ids=["asleep", "set back"]
)
async def test_a_job_on_its_way_comes_home_once_whatever_the_clock_does(
    tmp_path: Path, clock: Clock, jump: timedelta
) -> None:
    platform = FolderPlatform(tmp_path / "fal", waits=0.2, runs=0.3)
    async with two(tmp_path, platform) as (one, other):
        started = await one.start(intent())
        ended: list[Job] = []

        async def wait(jobs: JournalJobs) -> None:
            ended.append(await jobs.wait(started.job_id, 10))

        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(wait, one)
                group.start_soon(wait, other)
                await anyio.sleep(0.1)
                clock.jump(jump)

    assert [job.saved for job in ended] == [True, True]
    assert len(platform.requests) == 1
    assert len(list((tmp_path / "media").glob("*.png"))) == 1


@pytest.mark.parametrize(
    "jump", [pytest.param(ASLEEP, marks=pytest.mark.proof), BACK], ids=["asleep", "set back"]
)
async def test_a_submit_under_way_gets_its_answer_whatever_the_clock_does(
    tmp_path: Path, clock: Clock, jump: timedelta
) -> None:
    platform = FolderPlatform(tmp_path / "fal")
    platform.answers_after = 0.6
    async with two(tmp_path, platform) as (one, other):
        started: list[Job] = []

        async def start() -> None:
            started.append(await one.start(intent()))

        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(start)
                while not platform.looks:
                    await anyio.sleep(0.01)
                clock.jump(jump)
            ended = await other.wait(started[0].job_id, 10)

    assert (ended.state, ended.saved) == ("done", True)
    assert [request["request_id"] for request in platform.requests] == [ended.request_id]


@pytest.mark.parametrize(
    "jump",
    [
        pytest.param(ASLEEP, marks=pytest.mark.proof),
        pytest.param(BACK, marks=pytest.mark.proof),
        timedelta(minutes=-5),
    ],
    ids=["asleep", "set back", "set back a little"],
)
async def test_the_work_of_the_dead_is_taken_over_at_once_whatever_the_clock_does(
    tmp_path: Path, clock: Clock, jump: timedelta
) -> None:
    platform = FolderPlatform(tmp_path / "fal", runs=0.3)
    async with jobs_in(tmp_path, platform) as jobs:
        job = await jobs.start(intent())
    leave_held(tmp_path, job.job_id)
    clock.jump(jump)
    async with jobs_in(tmp_path, platform) as jobs:
        with anyio.fail_after(3):
            assert (await jobs.wait(job.job_id, 10)).saved


def leave_held(home: Path, job_id: str) -> None:
    """Leave a job as a process does that dies now."""
    with closing(sqlite3.connect(home / "journal.db")) as journal, journal:
        journal.execute(
            "UPDATE jobs SET holder = 'dead', lease_until = ? WHERE job_id = ?",
            (rows.now_ms() + 4000, job_id),
        )


async def test_files_are_tried_again_soon_after_the_clock_was_set_back(
    tmp_path: Path, clock: Clock
) -> None:
    platform = FolderPlatform(tmp_path / "fal")
    platform.download_problem = NotFoundError("not there yet")
    async with jobs_in(tmp_path, platform) as jobs:
        job = await jobs.wait((await jobs.start(intent())).job_id, 10)
        assert not job.saved
        clock.jump(BACK)
        platform.download_problem = None
        with anyio.fail_after(3):
            while not job.saved:
                await anyio.sleep(0.05)
                job = await jobs.find(job.job_id)


async def test_a_new_day_has_its_budget_and_an_hour_back_gives_none(
    tmp_path: Path, clock: Clock
) -> None:
    platform = FolderPlatform(tmp_path / "fal")
    async with jobs_in(tmp_path, platform, budget_day="0.05") as jobs:
        await jobs.start(intent("one", "0.05"))
        for jump in (BACK, -BACK):
            clock.jump(jump)
            with pytest.raises(OverBudgetError):
                await jobs.start(intent("two", "0.05"))
        clock.jump(timedelta(days=1))
        await jobs.start(intent("two", "0.05"))
        clock.jump(timedelta(days=-1))  # it was set wrong: both days count
        with pytest.raises(OverBudgetError):
            await jobs.start(intent("three", "0.05"))

    assert len(platform.requests) == 2


class Offline(FolderPlatform):
    """A platform that cannot be asked for its history at first, as after a night without Wi-Fi."""

    refusals = 2

    async def past_requests(self, endpoint_id: str, since: datetime) -> tuple[PastRequest, ...]:
        if self.refusals:
            self.refusals -= 1
            raise NetworkError("no network yet")
        return await super().past_requests(endpoint_id, since)


async def test_a_lost_answer_is_looked_for_after_a_night_without_network(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.jobs.finder.UNASKED", timedelta(seconds=0.1))
    platform = Offline(tmp_path / "fal")
    platform.has_history = True
    platform.submit_problem = LostAnswerError("the connection broke")
    platform.loses_answers = True
    platform.refusals = 10**6
    async with jobs_in(tmp_path, platform) as jobs:
        lost = await jobs.start(intent())
        assert lost.state == "unconfirmed"
        clock.jump(ASLEEP)
    platform.refusals = 2
    async with jobs_in(tmp_path, platform) as jobs:
        found = lost
        with anyio.fail_after(5):
            while found.state == "unconfirmed":
                await anyio.sleep(FAST.look)
                found = await jobs.find(lost.job_id)
            found = await jobs.wait(lost.job_id, 10)

    assert platform.refusals == 0
    assert found.saved
    assert found.request_id == platform.requests[0]["request_id"]
    assert len(platform.requests) == 1
