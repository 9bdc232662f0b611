"""Changes to apps as jobs: applied once, held for a person, taken over, and cancelled plainly."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from catalog.errors import ActionableError
from catalog.index import CatalogIndex
from server.jobs.deploying import CarryOut, Tell
from server.jobs.service import JournalJobs, open_jobs
from tests.jobs_platform import FAST, FolderPlatform, settings_in
from tools.errors import BackendError
from tools.ports import DeployIntent, Job

INTENT = DeployIntent("plan-1", {"plan_id": "plan-1", "action": "restart", "app": "hello"})
HELD = DeployIntent("plan-2", {"plan_id": "plan-2"}, asks="it deploys to fal")
Body = Callable[[Job, bool, Tell], Awaitable[str]]


@asynccontextmanager
async def house(home: Path, carry_out: CarryOut | None) -> AsyncGenerator[JournalJobs]:
    platform = FolderPlatform(home / "platform")
    with anyio.fail_after(20):
        async with open_jobs(
            settings_in(home), platform, CatalogIndex.open(), FAST, carry_out=carry_out
        ) as jobs:
            yield jobs


class Hand:
    """Carries changes out: *body* does, and every call is counted."""

    def __init__(self, body: Body) -> None:
        self.begun: list[tuple[str, bool]] = []
        self._body = body

    async def __call__(self, job: Job, again: bool, tell: Tell) -> str:
        self.begun.append((str(job.arguments["plan_id"]), again))
        return await self._body(job, again, tell)


async def quick(job: Job, again: bool, tell: Tell) -> str:
    await tell(0.5, "starting a runner")
    await tell(0.9, "healthy")
    return "hello answers as local/hello"


async def endless(job: Job, again: bool, tell: Tell) -> str:
    await tell(0.1, "building")
    await anyio.sleep_forever()
    return "never"


async def broken(job: Job, again: bool, tell: Tell) -> str:
    raise BackendError("line 3: no module named 'torch'", hint="move it into setup()")


async def test_a_change_is_carried_out_once_and_tells_how_it_went(tmp_path: Path) -> None:
    hand = Hand(quick)
    async with house(tmp_path, hand) as jobs:
        job = await jobs.start_whole(INTENT)
        assert job.kind == "deploy"
        done = await jobs.wait(job.job_id, 10)
        again = await jobs.start_whole(INTENT)
    assert (done.state, done.saved) == ("done", True)
    assert done.outputs[0].text == "hello answers as local/hello"
    assert done.logs == (" 50% starting a runner", " 90% healthy")
    assert (again.job_id, again.repeated) == (job.job_id, True)
    assert hand.begun == [("plan-1", False)]


async def test_a_held_change_waits_for_a_person_and_a_no_carries_nothing_out(
    tmp_path: Path,
) -> None:
    hand = Hand(quick)
    async with house(tmp_path, hand) as jobs:
        held = await jobs.start_whole(HELD)
        assert held.state == "held"
        assert "it deploys to fal" in held.note
        assert hand.begun == []
        await jobs.approve(held.job_id)
        assert (await jobs.wait(held.job_id, 10)).state == "done"
        other = await jobs.start_whole(DeployIntent("plan-3", {"plan_id": "plan-3"}, asks="so"))
        dropped = await jobs.cancel(other.job_id)
    assert (dropped.job.state, dropped.charged) == ("cancelled", False)
    assert hand.begun == [("plan-2", False)]


async def test_a_change_that_fails_says_why_and_what_to_do(tmp_path: Path) -> None:
    async with house(tmp_path, Hand(broken)) as jobs:
        job = await jobs.start_whole(INTENT)
        failed = await jobs.wait(job.job_id, 10)
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error.message == "line 3: no module named 'torch'"
    assert failed.error.hint == "move it into setup()"


async def test_a_change_that_runs_can_be_cancelled(tmp_path: Path) -> None:
    async with house(tmp_path, Hand(endless)) as jobs:
        job = await jobs.start_whole(INTENT)
        while (await jobs.find(job.job_id)).logs == ():
            await anyio.sleep(0.02)
        dropped = await jobs.cancel(job.job_id)
    assert dropped.job.state == "cancelled"
    assert "may still finish" in dropped.job.note


async def test_a_change_whose_process_ended_is_taken_up_by_the_next_which_knows_it(
    tmp_path: Path,
) -> None:
    first = Hand(endless)
    async with house(tmp_path, first) as jobs:
        job = await jobs.start_whole(INTENT)
        while not first.begun or (await jobs.find(job.job_id)).state != "running":
            await anyio.sleep(0.02)
    second = Hand(quick)
    async with house(tmp_path, second) as jobs:
        done = await jobs.wait(job.job_id, 10)
    assert done.state == "done"
    assert second.begun == [("plan-1", True)]


async def test_of_two_falkits_only_one_carries_a_change_out(tmp_path: Path) -> None:
    one, two = Hand(quick), Hand(quick)
    async with house(tmp_path, one) as jobs, house(tmp_path, two) as others:
        async with anyio.create_task_group() as group:
            group.start_soon(jobs.start_whole, INTENT)
            group.start_soon(others.start_whole, INTENT)
        job = await others.start_whole(INTENT)
        assert (await others.wait(job.job_id, 10)).state == "done"
    assert len(one.begun + two.begun) == 1


async def test_a_mistake_of_ours_leaves_the_change_to_be_tried_again(tmp_path: Path) -> None:
    fails = [ActionableError("x"), RuntimeError("a mistake")]

    async def once(job: Job, again: bool, tell: Tell) -> str:
        if len(fails) > 1:
            raise fails.pop()
        return "done at last"

    hand = Hand(once)
    async with house(tmp_path, hand) as jobs:
        job = await jobs.start_whole(INTENT)
        done = await jobs.wait(job.job_id, 10)
    assert done.outputs[0].text == "done at last"
    assert hand.begun == [("plan-1", False), ("plan-1", True)]
