"""A batch: admitted as a whole, sent within bounds, ended with a sheet and a table."""

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from PIL import Image

from catalog.errors import ActionableError
from server.fal.problems import ConcurrencyError, NoBalanceError, NotSentError
from server.fal.wire import Submission
from server.jobs.service import JournalJobs
from tests.jobs_platform import FolderPlatform, intent, jobs_in
from tools.errors import OverBudgetError
from tools.ports import Job, JobQuery, SpendingQuery, WholeIntent

KEY = "key-of-a-person:secret"


@pytest.fixture
def platform(tmp_path: Path) -> FolderPlatform:
    return FolderPlatform(tmp_path / "platform")


def batch(*prompts: str, dollars: str | None = "0.05", **more: Any) -> WholeIntent:
    """Return a batch of one picture for each of *prompts*."""
    parts = tuple(intent(prompt, dollars) for prompt in prompts)
    return WholeIntent("batch", parts, {"inputs": list(prompts)}, **more)


class CountingPlatform(FolderPlatform):
    """A platform that notes how many requests were under way at each submit."""

    most = 0

    async def submit(self, endpoint_id: str, *more: Any, **named: Any) -> Submission:
        answer = await super().submit(endpoint_id, *more, **named)
        open_now = sum(
            1 for one in self.requests if self._status(one["request_id"]).state != "completed"
        )
        self.most = max(self.most, open_now)
        return answer


class BusyPlatform(CountingPlatform):
    """A platform that takes *takes* requests at a time and turns away the rest with 429."""

    takes = 2
    refused = 0

    async def submit(self, endpoint_id: str, *more: Any, **named: Any) -> Submission:
        running = [
            one for one in self.requests if self._status(one["request_id"]).state != "completed"
        ]
        if len(running) >= self.takes:
            self.refused += 1
            raise ConcurrencyError("too many at once")
        return await super().submit(endpoint_id, *more, **named)


async def ended(jobs: JournalJobs, intent: WholeIntent) -> tuple[Job, list[Job]]:
    """Return a whole when it has ended, and its parts."""
    started = await jobs.start_whole(intent)
    job = await jobs.wait(started.job_id, 15)
    return job, list(await jobs.parts(job.job_id))


async def test_a_batch_ends_with_every_part_a_sheet_and_a_table(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform) as jobs:
        job, parts = await ended(jobs, batch("one", "two", "three"))

    assert (job.state, job.saved, job.kind, job.note) == ("done", True, "batch", "")
    assert [part.arguments["prompt"] for part in parts] == ["one", "two", "three"]
    assert [(part.state, part.saved, part.place) for part in parts] == [
        ("done", True, place) for place in (1, 2, 3)
    ]
    assert len(platform.requests) == 3
    sheet, table = job.outputs
    with Image.open(sheet.path) as picture:
        assert picture.size == (sheet.width, sheet.height)
    text = await anyio.Path(table.path).read_text("utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert [(row["place"], row["job_id"], row["state"], row["seed"]) for row in rows] == [
        (str(part.place), part.job_id, "done", "7") for part in parts
    ]
    assert [row["file"] for row in rows] == [part.outputs[0].path for part in parts]
    assert job.cost is not None
    assert job.cost.dollars == sum(part.cost.dollars or 0 for part in parts if part.cost)


async def test_no_more_parts_run_at_once_than_allowed(tmp_path: Path) -> None:
    platform = CountingPlatform(tmp_path / "platform", runs=0.1)
    async with jobs_in(tmp_path, platform, parallel="3") as jobs:
        job, _ = await ended(jobs, batch(*"abcdefgh"))
        first = platform.most
        platform.most = 0
        await ended(jobs, batch(*"ijkl", parallel=1))

    assert job.state == "done"
    assert (first, platform.most) == (3, 1)


async def test_a_platform_that_turns_away_is_asked_for_less_and_nothing_is_lost_or_sent_twice(
    tmp_path: Path,
) -> None:
    platform = BusyPlatform(tmp_path / "platform", runs=0.1)
    async with jobs_in(tmp_path, platform, parallel="8") as jobs:
        job, parts = await ended(jobs, batch(*"abcdefgh"))

    assert job.state == "done"
    assert platform.refused > 0
    assert sorted(request["arguments"]["prompt"] for request in platform.requests) == [*"abcdefgh"]
    assert len({part.request_id for part in parts}) == 8


async def test_a_batch_waits_out_a_dead_line(tmp_path: Path, platform: FolderPlatform) -> None:
    platform.submit_problem = NotSentError("no connection could be made")
    async with jobs_in(tmp_path, platform) as jobs:
        started = await jobs.start_whole(batch("one", "two"))
        while not platform.looks:
            await anyio.sleep(0.01)
        platform.submit_problem = None
        job = await jobs.wait(started.job_id, 15)

    assert job.state == "done"
    assert len(platform.requests) == 2


async def test_what_failed_is_named_and_what_succeeded_is_kept(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform) as jobs:
        job, parts = await ended(jobs, batch("one", "refuse me", "three"))

    assert job.state == "done"
    assert job.note == (
        "2 of 3 were made; failed: item 2; "
        f"run_batch with resume={job.job_id} makes what is missing"
    )
    assert [part.state for part in parts] == ["done", "failed", "done"]
    assert job.cost is not None
    assert job.cost.dollars == sum(part.cost.dollars or 0 for part in parts if part.cost)


async def test_a_batch_of_which_nothing_came_has_failed_with_the_first_reason(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform) as jobs:
        job, _ = await ended(jobs, batch("refuse me", "refuse me"))

    assert job.state == "failed"
    assert job.error is not None
    assert job.error.message == "item 1: prompt: refused"
    assert job.error.charged is False


async def test_a_refused_account_ends_what_was_not_sent(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.submit_problem = NoBalanceError("the balance is used up")
    async with jobs_in(tmp_path, platform, parallel="1") as jobs:
        job, parts = await ended(jobs, batch("one", "two", "three"))
        found = await jobs.spending(SpendingQuery())

    assert job.state == "failed"
    assert [part.state for part in parts] == ["failed", "cancelled", "cancelled"]
    assert len(platform.looks) == 1
    assert (found.total.spent, found.total.reserved) == (0, 0)


async def test_all_of_a_batch_is_reserved_or_none_of_it(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform, budget_day="0.20") as jobs:
        with pytest.raises(OverBudgetError, match=r"up to \$0\.25, but \$0\.20 is left"):
            await jobs.start_whole(batch(*"abcde"))
        with pytest.raises(OverBudgetError, match=r"over max_dollars \$0\.10"):
            await jobs.start_whole(batch(*"abcd", max_dollars=Decimal("0.1")))
        listed = await jobs.list(JobQuery(text="a"))
        platform.runs = 60
        await jobs.start_whole(batch(*"abcd"))
        with pytest.raises(OverBudgetError):
            await jobs.start(intent("one more"))
        found = await jobs.spending(SpendingQuery())

    assert listed.jobs == ()
    assert found.total.reserved == Decimal("0.20")


async def test_fifty_batches_at_once_against_room_for_ten_let_exactly_ten_go(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    allowed: list[str] = []
    platform.runs = 60
    async with jobs_in(tmp_path, platform, budget_day="1") as jobs:

        async def one(number: int) -> None:
            try:
                whole = batch(f"{number} a", f"{number} b")
                allowed.append((await jobs.start_whole(whole)).job_id)
            except OverBudgetError:
                pass

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(one, number)

    assert len(set(allowed)) == 10


async def test_a_person_approves_the_whole_once_and_only_then_is_anything_sent(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform, key=KEY) as jobs:
        held = await jobs.start_whole(batch("one", "two", dollars="0.60"))
        before = list(await jobs.parts(held.job_id))
        assert platform.requests == []
        approved = await jobs.approve(before[1].job_id)
        job = await jobs.wait(held.job_id, 15)
        with pytest.raises(ActionableError, match="not held"):
            await jobs.approve(held.job_id)

    assert (held.state, [part.state for part in before]) == ("held", ["held", "held"])
    assert f"falkit approve {held.job_id}" in held.note
    assert approved.job_id == held.job_id
    assert job.state == "done"
    assert len(platform.requests) == 2


async def test_one_part_of_unknown_price_holds_the_whole(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    known, unknown = batch("one").parts[0], batch("two", dollars=None).parts[0]
    async with jobs_in(tmp_path, platform, key=KEY) as jobs:
        held = await jobs.start_whole(WholeIntent("batch", (known, unknown), {}))

    assert held.state == "held"
    assert "its price is not known" in held.note


async def test_cancelling_a_whole_cancels_what_runs_and_sends_nothing_more(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.runs = 60
    async with jobs_in(tmp_path, platform, parallel="2") as jobs:
        started = await jobs.start_whole(batch(*"abcdef"))
        while len(platform.requests) < 2:
            await anyio.sleep(0.01)
        outcome = await jobs.cancel(started.job_id)
        parts = await jobs.parts(started.job_id)
        found = await jobs.spending(SpendingQuery())

    assert (outcome.cancelled, outcome.job.state, outcome.charged) == (True, "cancelled", False)
    assert {part.state for part in parts} == {"cancelled"}
    assert len(platform.requests) == 2
    assert found.total.reserved == 0


async def test_cancelling_a_held_whole_drops_all_of_it(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform, key=KEY) as jobs:
        held = await jobs.start_whole(batch("one", "two", dollars="0.60"))
        outcome = await jobs.cancel(held.job_id)
        parts = await jobs.parts(held.job_id)
        found = await jobs.spending(SpendingQuery())

    assert (outcome.cancelled, outcome.charged) == (True, False)
    assert {part.state for part in parts} == {"cancelled"}
    assert found.total.reserved == 0
    assert platform.requests == []


async def test_the_same_batch_is_the_earlier_one_until_its_end_was_seen(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform) as jobs:
        first = await jobs.start_whole(batch("one", "two"))
        again = await jobs.start_whole(batch("one", "two"))
        other = await jobs.start_whole(batch("two", "one"))
        await jobs.wait(first.job_id, 15)
        await jobs.deliver(first.job_id)
        third = await jobs.start_whole(batch("one", "two"))
        alone = await jobs.start(intent("one"))

    assert (again.job_id, again.repeated) == (first.job_id, True)
    assert len({first.job_id, other.job_id, third.job_id, alone.job_id}) == 4
    assert not alone.repeated


async def test_equal_inputs_of_a_batch_are_runs_of_their_own(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform) as jobs:
        job, parts = await ended(jobs, batch("one", "one", "one"))

    assert job.state == "done"
    assert len({part.request_id for part in parts}) == len(platform.requests) == 3


async def test_lists_show_the_whole_and_its_parts_when_asked_for(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform) as jobs:
        job, parts = await ended(jobs, batch("one", "two", tags=("foxes",)))
        plain = await jobs.list(JobQuery())
        related = await jobs.list(JobQuery(related_to=job.job_id))
        tagged = await jobs.list(JobQuery(tag="foxes"))

    ids = {part.job_id for part in parts}
    assert [one.job_id for one in plain.jobs] == [job.job_id]
    assert {one.job_id for one in related.jobs} == ids
    assert {one.job_id for one in tagged.jobs} == {job.job_id, *ids}


async def test_a_batch_whose_files_come_later_is_made_whole(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.download_problem = NotSentError("no connection could be made")
    async with jobs_in(tmp_path, platform) as jobs:
        job, _ = await ended(jobs, batch("one", "two"))
        platform.download_problem = None
        await jobs.wait(job.job_id, 5)
        with anyio.fail_after(10):
            while not (later := await jobs.find(job.job_id)).saved:
                await anyio.sleep(0.05)

    assert (job.state, job.saved, job.note) == ("done", False, "not every file is home yet")
    assert (later.state, later.note) == ("done", "")
    assert len(platform.requests) == 2
