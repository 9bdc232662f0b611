"""An hour without the platform, a journal with a broken last page: what was paid comes home."""

import signal
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from server.fal.options import PLAIN, CallOptions
from server.fal.problems import LostAnswerError, NetworkError, NotSentError
from server.fal.wire import Downloaded, PastRequest, Result, Status, Submission
from server.jobs.pace import Pace
from server.jobs.sendbook import SendBook
from tests.jobs_platform import FAST, FolderPlatform, intent, jobs_in
from tests.test_jobs_clocks import Clock
from tests.test_jobs_processes import HOME, process
from tools.errors import BackendError
from tools.ports import JobQuery

# As FAST, but forgetting nothing that the platform does not know for a moment.
PACE = Pace(heartbeat=0.1, poll_gap=0.02, poll_first=0.02, poll_longest=0.2, keep_again=0.1)

LOST = "the journal had lost that it was sent"


class Unreachable(FolderPlatform):
    """A platform that refuses connections while it is *away*; its requests run on meanwhile."""

    away = False
    refused = 0

    def _reach(self) -> None:
        if self.away:
            self.refused += 1
            raise NetworkError("connection refused")

    async def submit(
        self,
        endpoint_id: str,
        arguments: Mapping[str, Any],
        *,
        webhook_url: str = "",
        options: CallOptions = PLAIN,
    ) -> Submission:
        if self.away:
            self.refused += 1
            raise NotSentError("connection refused")
        return await super().submit(
            endpoint_id, arguments, webhook_url=webhook_url, options=options
        )

    async def status(self, endpoint_id: str, request_id: str, *, logs: bool = True) -> Status:
        self._reach()
        return await super().status(endpoint_id, request_id, logs=logs)

    @asynccontextmanager
    async def watch(
        self, endpoint_id: str, request_id: str, *, logs: bool = True
    ) -> AsyncGenerator[AsyncIterator[Status]]:
        self._reach()
        async with super().watch(endpoint_id, request_id, logs=logs) as statuses:
            yield self._until_away(statuses)

    async def _until_away(self, statuses: AsyncIterator[Status]) -> AsyncIterator[Status]:
        async for status in statuses:
            self._reach()
            yield status

    async def result(self, endpoint_id: str, request_id: str) -> Result:
        self._reach()
        return await super().result(endpoint_id, request_id)

    async def past_requests(self, endpoint_id: str, since: datetime) -> tuple[PastRequest, ...]:
        self._reach()
        return await super().past_requests(endpoint_id, since)

    async def download(self, url: str, target: Path, *, max_bytes: int | None = None) -> Downloaded:
        self._reach()
        return await super().download(url, target, max_bytes=max_bytes)


async def test_what_was_under_way_before_an_hours_outage_comes_home_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.jobs.finder.UNASKED", timedelta(seconds=0.1))  # of five minutes
    clock = Clock(monkeypatch)
    platform = Unreachable(tmp_path / "fal", waits=0.2, runs=0.2)
    platform.has_history = True
    async with jobs_in(tmp_path, platform, PACE) as jobs:
        queued = await jobs.start(intent("queued"))
        watched = await jobs.start(intent("watched"))
        platform.submit_problem, platform.loses_answers = LostAnswerError("broke"), True
        lost = await jobs.start(intent("lost"))
        platform.submit_problem = None
        platform.away = True
        with pytest.raises(BackendError, match="connection refused"):
            await jobs.start(intent("refused"))
        waited = await jobs.wait(watched.job_id, 0.5)
        while platform.refused < 10:
            await anyio.sleep(0.02)
        assert lost.state == "unconfirmed"
        assert (waited.state, waited.error) == ("queued", None)
        clock.jump(timedelta(hours=1))
        refused = platform.refused
        while platform.refused < refused + 5:
            await anyio.sleep(0.02)
        platform.away = False
        with anyio.fail_after(8):
            ends = [await jobs.wait(job.job_id, 8) for job in (queued, watched)]
            found = lost
            while found.state == "unconfirmed":
                await anyio.sleep(0.05)
                found = await jobs.find(lost.job_id)
            ends.append(await jobs.wait(lost.job_id, 8))
        (failed,) = (await jobs.list(JobQuery(state="failed"))).jobs

        again = await jobs.start(intent("refused"))
        assert again.job_id != failed.job_id

    assert [(job.state, job.saved) for job in ends] == [("done", True)] * 3
    assert len(platform.requests) == 4
    assert failed.arguments == {"prompt": "refused"}
    assert failed.error is not None
    assert failed.error.charged is False


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("state = 'queued'", id="the answer was written last", marks=pytest.mark.proof),
        pytest.param("state = 'done'", id="the end was", marks=pytest.mark.proof),
        pytest.param("saved = 1", id="the files were", marks=pytest.mark.proof),
    ],
)
async def test_a_journal_whose_last_page_is_broken_goes_on_from_the_page_before(
    tmp_path: Path, moment: str
) -> None:
    with process("until", tmp_path, moment) as first:
        assert first.popen.wait(10) == -signal.SIGKILL
    break_last_page(tmp_path / HOME / "journal.db-wal")
    platform = FolderPlatform(tmp_path / "fal", runs=0.1)
    platform.has_history = True
    async with jobs_in(tmp_path / HOME, platform, FAST) as jobs:
        (job,) = (await jobs.list(JobQuery())).jobs
        while job.state in ("planned", "unconfirmed"):
            await anyio.sleep(0.05)
            job = await jobs.find(job.job_id)
        ended = await jobs.wait(job.job_id, 10)
        events = [state for _, state, _ in await jobs.store.events(job.job_id)]

    # The last write is gone, and what it said was found out anew.
    assert events.count("done") == 1
    assert ("unconfirmed" in events) == (moment == "state = 'queued'")
    assert (ended.state, ended.saved) == ("done", True)
    assert [request["request_id"] for request in platform.requests] == [ended.request_id]
    assert len(list((tmp_path / HOME / "media").glob("*.png"))) == 1


def break_last_page(log: Path) -> None:
    """Overwrite half of the last page of a write-ahead log, as a disk does that dies in it."""
    with log.open("r+b") as file:
        file.seek(-2048, 2)
        file.write(b"\xa5" * 2048)


@pytest.mark.proof
@pytest.mark.parametrize("has_history", [True, False])
async def test_a_submit_whose_mark_a_broken_page_took_away_is_looked_for_and_not_sent_again(
    tmp_path: Path, has_history: bool
) -> None:
    with process("die", tmp_path, "60") as first:
        assert first.popen.wait(10) == -signal.SIGKILL
    break_last_page(tmp_path / HOME / "journal.db-wal")
    platform = FolderPlatform(tmp_path / "fal", runs=0.1)
    platform.has_history = has_history
    async with jobs_in(tmp_path / HOME, platform, FAST) as jobs:
        (job,) = (await jobs.list(JobQuery())).jobs
        with anyio.fail_after(10):
            while job.state == "planned" or (has_history and not job.saved):
                await anyio.sleep(0.05)
                job = await jobs.find(job.job_id)
        again = await jobs.start(intent())
        events = await jobs.store.events(job.job_id)

    assert LOST in [reason for _, _, reason in events]
    assert job.state == ("done" if has_history else "unconfirmed")
    assert again.job_id == job.job_id
    assert len(platform.requests) == 1


@pytest.mark.proof
async def test_a_part_whose_mark_a_broken_page_took_away_is_not_sent_again(tmp_path: Path) -> None:
    with process("die_batch", tmp_path, "", "1") as first:
        assert first.popen.wait(20) == -signal.SIGKILL
    break_last_page(tmp_path / HOME / "journal.db-wal")
    platform = FolderPlatform(tmp_path / "fal", runs=0.1)
    platform.has_history = True
    async with jobs_in(tmp_path / HOME, platform, FAST) as jobs:
        (whole,) = (await jobs.list(JobQuery())).jobs
        with anyio.fail_after(15):
            while not whole.is_over:
                whole = await jobs.wait(whole.job_id, 5)
        parts = await jobs.parts(whole.job_id)
        reasons = [
            reason for part in parts for _, _, reason in await jobs.store.events(part.job_id)
        ]

    prompts = [request["arguments"]["prompt"] for request in platform.requests]
    assert LOST in reasons
    assert sorted(prompts) == ["four", "one", "three", "two"]
    assert [part.state for part in parts] == ["done"] * 4


@pytest.mark.proof
@pytest.mark.parametrize(
    ("moment", "state"), [("state = 'queued'", "done"), ("saved = 1", "forgotten")]
)
async def test_a_request_that_the_journal_lost_with_its_row_comes_home_all_the_same(
    tmp_path: Path, moment: str, state: str
) -> None:
    with process("until", tmp_path, moment) as first:
        assert first.popen.wait(10) == -signal.SIGKILL
    for path in (tmp_path / HOME).glob("journal.db*"):
        path.unlink()
    if state == "forgotten":  # it died between the journal and the book, as a disk may order it
        SendBook(tmp_path / HOME).over(next(iter(SendBook(tmp_path / HOME).entries())))
    platform = FolderPlatform(tmp_path / "fal", runs=0.1)
    async with jobs_in(tmp_path / HOME, platform, FAST) as jobs:
        found = (await jobs.list(JobQuery())).jobs
        ends = [await jobs.wait(job.job_id, 10) for job in found]
        again = await jobs.start(intent()) if ends else None

    assert [(job.state, job.saved) for job in ends] == ([("done", True)] * (state == "done"))
    assert again is None or again.job_id == ends[0].job_id
    assert len(platform.requests) == 1
    assert len(list((tmp_path / HOME / "media").glob("*.png"))) == 1
