"""A cancellation says plainly whether it was in time and whether it cost."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest

from catalog.errors import ActionableError
from catalog.index import CatalogIndex
from server.fal.problems import LostAnswerError, NetworkError
from server.fal.wire import PLAIN_HEAD
from server.jobs.live import LiveSender
from server.jobs.outcome import outcome
from server.jobs.pace import Pace
from tests.jobs_platform import FolderPlatform, intent, jobs_in
from tools.errors import UnknownJobError
from tools.ports import Cancelled, Cost, Job, JobError, JobQuery

HASTY = Pace(heartbeat=0.1, poll_gap=0.05, poll_first=0.05, cancel_wait=0.3)


class Endless:
    """A live call that says one thing and never comes to its end."""

    head = PLAIN_HEAD

    async def __aiter__(self) -> AsyncIterator[object]:
        yield {"output": "Once upon"}
        await anyio.sleep_forever()


@pytest.fixture
def platform(tmp_path: Path) -> FolderPlatform:
    return FolderPlatform(tmp_path / "platform")


async def test_a_held_job_is_dropped_and_nothing_was_sent(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform, HASTY, ask_on_emulator="on") as jobs:
        held = await jobs.start(intent(dollars="5"))
        came = await jobs.cancel(held.job_id)
        again = await jobs.cancel(held.job_id)

    assert (came.cancelled, came.charged, came.job.state) == (True, False, "cancelled")
    assert (again.cancelled, again.charged) == (True, False)
    assert came.job.note == "cancelled; nothing was sent"
    assert platform.looks == []


def over(state: Literal["done", "failed"], **more: Any) -> Job:
    given: dict[str, Any] = {
        "endpoint_id": "acme/a",
        "backend": "cloud",
        "account": "",
        "origin": "",
        **more,
    }
    return Job(job_id="1", state=state, arguments={}, created=datetime.now(UTC), **given)


@pytest.mark.parametrize(
    ("job", "charged"),
    [
        pytest.param(over("done", cost=Cost("billed", Decimal("0.1"))), True, id="billed"),
        pytest.param(over("done", cost=Cost("estimated", Decimal("0.1"))), True, id="finished"),
        pytest.param(over("done"), True, id="finished, at a price that nobody knows"),
        pytest.param(over("done", cost=Cost("billed", Decimal(0))), False, id="billed nothing"),
        pytest.param(
            over("done", backend="emulator", cost=Cost("simulated", Decimal(1))), False, id="here"
        ),
        pytest.param(over("done", kind="deploy"), False, id="a change to an app"),
        pytest.param(over("failed", error=JobError("x", "y", charged=None)), None, id="a 4xx"),
        pytest.param(over("failed", error=JobError("x", "y", charged=False)), False, id="a 5xx"),
        pytest.param(over("failed", error=JobError("x", "y", charged=True)), True, id="by units"),
    ],
)
def test_a_job_that_was_over_before_its_cancellation_tells_what_it_cost(
    job: Job, charged: bool | None
) -> None:
    assert outcome(job) == Cancelled(job, cancelled=False, charged=charged)


async def test_a_queued_job_is_cancelled_in_time_and_free(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.waits = 60
    async with jobs_in(tmp_path, platform, HASTY) as jobs:
        came = await jobs.cancel((await jobs.start(intent())).job_id)

    assert (came.cancelled, came.charged, came.job.state) == (True, False, "cancelled")


async def test_a_running_job_is_cancelled_and_its_cost_is_not_known(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.runs = 60
    async with jobs_in(tmp_path, platform, HASTY, key="id:secret") as jobs:
        job = await jobs.start(intent())
        while job.state != "running":
            job = await jobs.wait(job.job_id, 0.05)
        came = await jobs.cancel(job.job_id.upper())

    assert (came.cancelled, came.charged, came.job.state) == (True, None, "cancelled")


async def test_of_one_that_began_between_two_looks_nobody_says_that_it_was_free(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.runs = 60
    slow = replace(HASTY, poll_first=30.0, poll_gap=30.0)
    async with jobs_in(tmp_path, platform, slow, key="id:secret") as jobs:
        job = await jobs.start(intent())
        await anyio.sleep(0.05)
        assert (await jobs.find(job.job_id)).started is None
        came = await jobs.cancel(job.job_id)

    assert (came.cancelled, came.charged, came.job.state) == (True, None, "cancelled")


async def test_a_job_that_is_done_is_not_cancelled(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform, HASTY, key="id:secret") as jobs:
        job = await jobs.wait((await jobs.start(intent())).job_id, 10)
        came = await jobs.cancel(job.job_id)

    assert (came.cancelled, came.charged, came.job.state) == (False, True, "done")
    assert not any(kind == "cancel" for kind, _ in platform.looks)


async def test_a_platform_that_does_not_say_is_reported_as_such(tmp_path: Path) -> None:
    class Deaf(FolderPlatform):
        async def cancel(self, endpoint_id: str, request_id: str):
            return "requested"

    async with jobs_in(tmp_path, Deaf(tmp_path / "platform", runs=60), HASTY) as jobs:
        came = await jobs.cancel((await jobs.start(intent())).job_id)

    assert (came.cancelled, came.charged) == (False, None)
    assert came.job.state in ("queued", "running")
    assert came.job.note == (
        "the platform was asked to cancel it and has not said yet whether it did"
    )


async def test_a_submit_under_way_is_waited_for_and_then_cancelled(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.waits, platform.answers_after = 60, 0.15
    async with jobs_in(tmp_path, platform, HASTY) as jobs:
        with anyio.move_on_after(0.05):
            await jobs.start(intent())
        (job,) = (await jobs.list(JobQuery())).jobs
        came = await jobs.cancel(job.job_id)

    assert (job.state, came.cancelled, came.job.state) == ("planned", True, "cancelled")
    assert len(platform.requests) == 1


async def test_an_unconfirmed_job_cannot_be_cancelled(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.submit_problem = LostAnswerError("no answer")
    async with jobs_in(tmp_path, platform, HASTY) as jobs:
        came = await jobs.cancel((await jobs.start(intent())).job_id)

    assert (came.cancelled, came.charged, came.job.state) == (False, None, "unconfirmed")


async def test_a_job_of_another_account_is_not_touched(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.runs = 60
    other = FolderPlatform(tmp_path / "platform")
    async with jobs_in(tmp_path, platform, HASTY, key="id:secret") as jobs:
        job = await jobs.start(intent())
        async with jobs_in(tmp_path, other, HASTY, key="another:secret") as strangers:
            with pytest.raises(ActionableError, match="runs on cloud with another key"):
                await strangers.cancel(job.job_id)

    assert other.looks == []


async def test_a_platform_that_cannot_be_asked_is_an_error(tmp_path: Path) -> None:
    class Away(FolderPlatform):
        async def cancel(self, endpoint_id: str, request_id: str):
            raise NetworkError("no connection")

    async with jobs_in(tmp_path, Away(tmp_path / "platform", runs=60), HASTY) as jobs:
        job = await jobs.start(intent())
        with pytest.raises(NetworkError):
            await jobs.cancel(job.job_id)
        with pytest.raises(UnknownJobError):
            await jobs.cancel("00000000000")


async def test_a_live_call_is_cancelled_from_another_process_and_may_be_charged(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    spoken, closed = anyio.Event(), anyio.Event()

    @asynccontextmanager
    async def endless(_endpoint_id: str, _arguments: object) -> AsyncGenerator[Endless]:
        try:
            yield Endless()
        finally:
            closed.set()

    async def hear(_output: object) -> None:
        spoken.set()

    async with (
        jobs_in(tmp_path, platform, HASTY, key="id:secret") as here,
        jobs_in(tmp_path, platform, HASTY, key="id:secret") as there,
        anyio.create_task_group() as tasks,
    ):
        live = LiveSender(here.store, CatalogIndex.open(), here.changes, endless, hear)
        tasks.start_soon(here.start, intent(dollars="0.5"), live)
        await spoken.wait()
        (job,) = (await there.list(JobQuery())).jobs
        came = await there.cancel(job.job_id)
        assert closed.is_set()
        assert (came.cancelled, came.charged, came.job.state) == (True, None, "cancelled")
        assert "may be charged" in came.job.note
        counted = await there.store.counted_since("cloud", datetime.now(UTC) - timedelta(hours=1))
        assert counted == Decimal("0.5")  # until somebody knows better

    assert platform.looks == []  # no queue was asked about it
