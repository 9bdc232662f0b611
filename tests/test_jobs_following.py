"""An accepted request is followed to its end, whatever stands in the way, and at a decent pace."""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from server.fal.problems import (
    BadInputError,
    CancelledOnPlatformError,
    NetworkError,
    NotFoundError,
    PlatformError,
    UnauthorisedError,
)
from server.fal.wire import LogLine, Status
from server.jobs import follower
from server.jobs.ledger import day_start
from server.jobs.pace import Pace
from tests.jobs_platform import FAST, FolderPlatform, intent, jobs_in
from tools.ports import Job, JobError


@pytest.fixture
def platform(tmp_path: Path) -> FolderPlatform:
    return FolderPlatform(tmp_path / "platform")


async def ended(home: Path, platform: FolderPlatform, prompt: str = "a red fox") -> Job:
    async with jobs_in(home, platform) as jobs:
        return await jobs.wait((await jobs.start(intent(prompt))).job_id, 15)


async def test_a_job_nobody_waits_for_is_polled_home(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform) as jobs:
        job = await jobs.start(intent())
        while not job.saved:
            await anyio.sleep(0.02)
            job = await jobs.find(job.job_id)

    assert not any(kind == "watch" for kind, _ in platform.looks)


async def test_all_jobs_share_one_poller(tmp_path: Path, platform: FolderPlatform) -> None:
    platform.runs = 60
    pace = Pace(heartbeat=0.1, poll_first=0.01, poll_gap=0.1)
    async with jobs_in(tmp_path, platform, pace) as jobs:
        for number in range(10):
            await jobs.start(intent(f"fox {number}"))
        await anyio.sleep(1)

    polls = [at for kind, at in platform.looks if kind == "status"]
    assert len(polls) >= 5
    gaps = [later - earlier for earlier, later in pairwise(polls)]
    assert min(gaps) > 0.09


async def test_a_job_in_a_crowd_is_followed_as_soon_as_somebody_waits(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.runs = 60
    pace = Pace(heartbeat=0.1, poll_first=0.01, poll_gap=30)
    async with jobs_in(tmp_path, platform, pace) as jobs:
        crowd = [await jobs.start(intent(f"fox {number}")) for number in range(5)]
        await anyio.sleep(0.1)  # all but one queue for their turn with the poller, for minutes
        for job in crowd:
            with anyio.move_on_after(0.1):
                await jobs.wait(job.job_id, 5)

    watched = [at for kind, at in platform.looks if kind == "watch"]
    assert len(watched) == 5
    assert max(later - earlier for earlier, later in pairwise(watched)) < 1


async def test_only_so_many_streams_are_open_and_the_others_are_polled(
    tmp_path: Path, platform: FolderPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "MOST_STREAMS", 2)
    platform.runs = 0.5
    pace = Pace(heartbeat=0.1, poll_first=0.01, poll_gap=0.05, poll_longest=0.1)
    most = 0
    async with jobs_in(tmp_path, platform, pace) as jobs:
        crowd = [await jobs.start(intent(f"fox {number}")) for number in range(6)]
        async with anyio.create_task_group() as group:
            for job in crowd:
                group.start_soon(jobs.wait, job.job_id, 10)
            while any([not (await jobs.find(job.job_id)).saved for job in crowd]):
                most = max(most, platform.open_streams)
                await anyio.sleep(0.01)

    polls = [at for kind, at in platform.looks if kind == "status"]
    assert most == 2
    assert polls
    assert all(later - earlier > 0.04 for earlier, later in pairwise(polls))


async def test_a_broken_stream_is_opened_again_and_polls_bridge_the_gap(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.runs, platform.stream_problems = 0.3, 2
    job = await ended(tmp_path, platform)

    assert job.saved
    kinds = [kind for kind, _ in platform.looks]
    assert kinds[:5] == ["submit", "watch", "status", "watch", "status"]


class SilentPlatform(FolderPlatform):
    """A platform whose streams open and say nothing, and that forgets requests for a while."""

    forgets_until = 0.0

    @asynccontextmanager
    async def watch(
        self, endpoint_id: str, request_id: str, *, logs: bool = True
    ) -> AsyncGenerator[AsyncIterator[Status]]:
        self.looks.append(("watch", time.monotonic()))
        await anyio.sleep_forever()
        yield self._states(request_id)

    async def status(self, endpoint_id: str, request_id: str, *, logs: bool = True) -> Status:
        if time.monotonic() < self.forgets_until:
            raise NotFoundError("no such request")
        return await super().status(endpoint_id, request_id, logs=logs)


async def test_a_stream_that_says_nothing_is_left_for_a_poll(tmp_path: Path) -> None:
    platform = SilentPlatform(tmp_path / "platform")
    pace = Pace(heartbeat=0.1, poll_gap=0.05, poll_first=0.05, first_word=0.2)
    async with jobs_in(tmp_path, platform, pace) as jobs:
        begun = time.monotonic()
        job = await jobs.wait((await jobs.start(intent())).job_id, 15)
    assert job.saved
    assert time.monotonic() - begun < 5


async def test_a_platform_that_forgets_a_request_for_a_moment_loses_none(tmp_path: Path) -> None:
    platform = SilentPlatform(tmp_path / "platform")
    platform.forgets_until = time.monotonic() + 2
    pace = Pace(heartbeat=0.1, poll_gap=0.02, poll_first=0.02, first_word=0.02, poll_longest=0.1)
    async with jobs_in(tmp_path, platform, pace) as jobs:
        job = await jobs.wait((await jobs.start(intent())).job_id, 15)
    assert (job.state, job.saved) == ("done", True)


async def test_a_stream_is_closed_when_nobody_waits_any_more(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.runs = 60
    pace = Pace(heartbeat=0.05, poll_first=0.05, poll_gap=0.05, linger=0.1)
    async with jobs_in(tmp_path, platform, pace) as jobs:
        job = await jobs.start(intent())
        await jobs.wait(job.job_id, 0.2)
        while platform.looks[-1][0] != "status":
            await anyio.sleep(0.02)

    kinds = [kind for kind, _ in platform.looks]
    assert kinds.count("watch") <= 2
    assert platform.open_streams == 0


async def test_a_refusal_by_the_model_fails_the_job_with_field_and_reason(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform) as jobs:
        job = await jobs.wait((await jobs.start(intent("refuse me"))).job_id, 10)
        counted = await jobs.store.counted_since("emulator", day_start(datetime.now().astimezone()))

    assert job.state == "failed"
    assert job.error == JobError(
        type="value_error",
        message="prompt: refused",
        hint="correct the argument; describe_model lists what the model takes",
        field="prompt",
        retry_helps=False,
        charged=False,
    )
    assert counted == 0


async def test_what_may_have_been_charged_counts_until_somebody_knows_better(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.result_problems = [BadInputError("refused late", charged=None)]
    async with jobs_in(tmp_path, platform) as jobs:
        job = await jobs.wait((await jobs.start(intent())).job_id, 10)
        counted = await jobs.store.counted_since("emulator", day_start(datetime.now().astimezone()))

    assert job.state == "failed"
    assert counted == Decimal("0.05")


@pytest.mark.parametrize(
    "problems",
    [
        pytest.param([PlatformError("504"), PlatformError("504")], id="gateway"),
        pytest.param([NetworkError("gone")] * 3, id="network"),
        pytest.param([NotFoundError("no result yet")], id="not there yet"),
    ],
)
async def test_a_result_that_cannot_be_had_now_is_asked_for_again(
    tmp_path: Path, platform: FolderPlatform, problems: list[Exception]
) -> None:
    platform.result_problems = list(problems)
    job = await ended(tmp_path, platform)

    assert (job.state, job.saved) == ("done", True)


@pytest.mark.parametrize(
    ("problem", "kind", "charged"),
    [
        (
            PlatformError("it fell over", error_type="runner_server_error"),
            "runner_server_error",
            False,
        ),
        (NotFoundError("no such result", charged=None), "not_found", None),
    ],
)
async def test_a_result_that_never_comes_fails_the_job_in_the_end(
    tmp_path: Path,
    platform: FolderPlatform,
    problem: Exception,
    kind: str,
    charged: bool | None,
) -> None:
    platform.result_problems = [problem] * 30
    pace = Pace(heartbeat=0.1, poll_gap=0, poll_first=0.001, poll_longest=0.01, gone_after=0)
    async with jobs_in(tmp_path, platform, pace) as jobs:
        job = await jobs.wait((await jobs.start(intent())).job_id, 10)

    assert job.state == "failed"
    assert job.error is not None
    assert (job.error.type, job.error.charged) == (kind, charged)


async def test_a_cancellation_by_somebody_else_is_told(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.result_problems = [CancelledOnPlatformError("cancelled")]
    job = await ended(tmp_path, platform)

    assert (job.state, job.note) == ("cancelled", "cancelled on the platform")


@pytest.mark.parametrize(
    "problem",
    [
        PlatformError("no runner", error_type="runner_scheduling_failure"),
        PlatformError("failed", error_type="internal_error", retry_helps=False),
        NotFoundError("no such result"),
    ],
    ids=["a failure to read", "one that stays", "gone"],
)
async def test_a_cancellation_whose_result_cannot_be_read_is_still_told(
    tmp_path: Path, platform: FolderPlatform, problem: Exception
) -> None:
    platform.runs = 30
    platform.result_problems = [problem]
    async with jobs_in(tmp_path, platform) as jobs:
        job = await jobs.start(intent())
        (platform.folder / f"{job.request_id}.cancelled").touch()
        job = await jobs.wait(job.job_id, 5)

    assert (job.state, job.note) == ("cancelled", "cancelled on the platform")


async def test_a_refused_key_leaves_the_job_unfinished_and_says_so(tmp_path: Path) -> None:
    class Locked(FolderPlatform):
        async def status(self, endpoint_id: str, request_id: str, *, logs: bool = True) -> Status:
            raise UnauthorisedError("the key was refused")

    async with jobs_in(tmp_path, Locked(tmp_path / "platform")) as jobs:
        job = await jobs.start(intent())
        while not job.note:
            await anyio.sleep(0.02)
            job = await jobs.find(job.job_id)

    assert job.state == "queued"
    assert job.note.startswith("not followed: the key was refused")


async def test_an_unforeseen_failure_is_survived(tmp_path: Path) -> None:
    class Odd(FolderPlatform):
        failures = 2

        async def status(self, endpoint_id: str, request_id: str, *, logs: bool = True) -> Status:
            if self.failures:
                self.failures -= 1
                raise RuntimeError("a mistake of ours")
            return await super().status(endpoint_id, request_id, logs=logs)

    async with jobs_in(tmp_path, Odd(tmp_path / "platform"), FAST) as jobs:
        job = await jobs.start(intent())
        while not job.saved:
            await anyio.sleep(0.02)
            job = await jobs.find(job.job_id)


async def test_the_log_is_kept_to_its_last_lines_each_once(tmp_path: Path) -> None:
    class Wordy(FolderPlatform):
        async def status(self, endpoint_id: str, request_id: str, *, logs: bool = True) -> Status:
            known = await super().status(endpoint_id, request_id, logs=logs)
            lines = [LogLine(f"t{number}", "INFO", f"line {number}") for number in range(30)]
            lines.append(LogLine("t30", "INFO", "step 1\rstep 2\rstep 3 " + "x" * 400))
            return Status(known.state, logs=tuple(lines))

    async with jobs_in(tmp_path, Wordy(tmp_path / "platform", runs=0.3), FAST) as jobs:
        job = await jobs.start(intent())
        while not job.saved:
            await anyio.sleep(0.02)
            job = await jobs.find(job.job_id)

    assert len(job.logs) == 20
    assert job.logs[:2] == ("line 11", "line 12")
    assert job.logs[-1] == ("step 3 " + "x" * 400)[:300]


async def test_times_are_noted(tmp_path: Path, platform: FolderPlatform) -> None:
    platform.waits, platform.runs = 0.1, 0.2
    job = await ended(tmp_path, platform)

    assert job.submitted is not None
    assert job.started is not None
    assert job.ended is not None
    assert job.created <= job.submitted <= job.started <= job.ended
    assert 0.1 < (job.ended - job.started).total_seconds() < 2


async def test_the_platform_is_told_where_to_call_back(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    more: dict[str, Any] = {"webhook_url": "https://me.test/hook"}
    async with jobs_in(tmp_path, platform) as jobs:
        await jobs.start(intent(**more))

    assert platform.requests[0]["webhook_url"] == "https://me.test/hook"
