"""What the store remembers: leases that fence, states that move forward, lists and ids."""

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest

from benchmarks.past import make_running
from server.jobs import listing, transactions
from server.jobs.admission import Rules
from server.jobs.ids import new_job_id, spoken
from server.jobs.journal import connect, open_journal
from server.jobs.leases import Claim, House
from server.jobs.ledger import Limits
from server.jobs.port import JobStore
from server.jobs.rows import now_ms
from server.jobs.sendbook import SendBook
from server.jobs.states import may_become
from server.jobs.store import SqliteJobStore
from server.jobs.transactions import Step
from tests.jobs_platform import intent
from tools.errors import UnknownJobError
from tools.ports import OVER, JobError, JobQuery, JobState, Output

STATES: tuple[JobState, ...] = get_args(JobState)
LEASE = 0.05


@dataclass(frozen=True)
class Two:
    """Two processes on one journal."""

    one: SqliteJobStore
    other: SqliteJobStore


@asynccontextmanager
async def two_on(home: Path, *, same_account: bool = True) -> AsyncGenerator[Two]:
    rules = Rules("emulator", Limits(None, None, None), None)
    account = "emulator" if same_account else "other"
    with anyio.fail_after(10):
        async with open_journal(home / "journal.db") as a, open_journal(home / "journal.db") as b:
            yield Two(
                SqliteJobStore(a, House("emulator", "queue", "one"), rules, LEASE),
                SqliteJobStore(b, House(account, "queue", "other"), rules, LEASE),
            )


async def queued(store: JobStore, prompt: str = "fox", **more: Any) -> Claim:
    admitted = await store.admit(intent(prompt, **more))
    assert admitted.claim is not None
    assert await store.mark_submitting(admitted.claim)
    await store.change(admitted.claim, {"request_id": f"R-{prompt}"}, Step("queued", "accepted"))
    return admitted.claim


async def test_an_expired_lease_cannot_write_over_its_successor(tmp_path: Path) -> None:
    async with two_on(tmp_path) as two:
        old = await queued(two.one)
        assert (await two.other.take_over()).work == ()
        await anyio.sleep(2 * LEASE)
        (taken,) = (await two.other.take_over()).work
        refused = await two.one.change(old, {"note": "from the past"}, Step("running", "late"))
        beat = await two.one.prolong([old.job_id])
        await two.one.release(old)
        written = await two.other.change(taken.claim, {}, Step("running", "a runner took it"))
        job = await two.one.find(old.job_id)
        still_held = (await two.one.take_over()).work

    assert taken.claim.fence == old.fence + 1
    assert refused is None
    assert beat.held == frozenset()
    assert written is not None
    assert (job.state, job.note) == ("running", "")
    assert still_held == ()


async def test_a_lease_from_before_the_clock_was_set_back_does_not_hold(tmp_path: Path) -> None:
    async with two_on(tmp_path) as two:
        claim = await queued(two.one)
        tomorrow = now_ms() + 24 * 3600 * 1000
        with closing(sqlite3.connect(tmp_path / "journal.db")) as connection, connection:
            connection.execute("UPDATE jobs SET lease_until = ?", (tomorrow,))
        (taken,) = (await two.other.take_over()).work

    assert taken.job.job_id == claim.job_id


async def test_a_prolonged_lease_is_not_taken_over(tmp_path: Path) -> None:
    async with two_on(tmp_path) as two:
        claim = await queued(two.one)
        for _ in range(5):
            await anyio.sleep(LEASE / 2)
            assert (await two.one.prolong([claim.job_id])).held == {claim.job_id}
            assert (await two.other.take_over()).work == ()


async def test_released_work_is_taken_at_once(tmp_path: Path) -> None:
    async with two_on(tmp_path) as two:
        claim = await queued(two.one)
        await two.one.release_all()
        (taken,) = (await two.other.take_over()).work

    assert taken.job.job_id == claim.job_id
    assert taken.job.request_id == "R-fox"


async def test_work_of_another_account_is_left_alone(tmp_path: Path) -> None:
    async with two_on(tmp_path, same_account=False) as two:
        await queued(two.one)
        await two.one.release_all()
        orphans = await two.other.take_over()

    assert (orphans.work, orphans.busy) == ((), False)


async def test_an_intent_whose_process_died_before_the_submit_has_failed_free(
    tmp_path: Path,
) -> None:
    async with two_on(tmp_path) as two:
        admitted = await two.one.admit(intent())
        assert admitted.claim is not None
        await anyio.sleep(2 * LEASE)
        ended = (await two.other.take_over()).ended
        may_send = await two.one.mark_submitting(admitted.claim)
        job = await two.one.find(admitted.job.job_id)
        counted = await two.one.counted_since("emulator", datetime.now(UTC) - timedelta(days=1))

    assert ended == (job.job_id,)
    assert may_send is None
    assert job.state == "failed"
    assert job.error == JobError(
        type="not_sent",
        message="the process ended before the submit: nothing was sent, nothing was charged",
        hint="make the same call again",
        retry_helps=True,
        charged=False,
    )
    assert counted == 0


async def test_a_submit_whose_process_slept_too_long_gets_its_answer_back(tmp_path: Path) -> None:
    async with two_on(tmp_path) as two:
        admitted = await two.one.admit(intent())
        assert admitted.claim is not None
        assert await two.one.mark_submitting(admitted.claim)
        await anyio.sleep(2 * LEASE)
        await two.other.take_over()
        unconfirmed = await two.one.find(admitted.job.job_id)
        late = await two.one.change(admitted.claim, {"request_id": "R"}, Step("queued", "late"))
        adopted = await two.one.adopt(admitted.job.job_id, "R")
        again = await two.other.adopt(admitted.job.job_id, "another")

    assert unconfirmed.state == "unconfirmed"
    assert late is None
    assert adopted is not None
    assert (adopted.job.state, adopted.job.request_id) == ("queued", "R")
    assert again is None


async def test_an_approval_that_nobody_acted_on_lapses(tmp_path: Path) -> None:
    rules = Rules("cloud", Limits(None, None, None), Decimal(0))
    async with open_journal(tmp_path / "journal.db") as journal:
        store = SqliteJobStore(journal, House("me", "queue", "one"), rules, LEASE)
        job = (await store.admit(intent())).job
        await store.approve(job.job_id)
        long_ago = now_ms() - 2 * 3600 * 1000
        await journal.write(lambda c: c.execute("UPDATE jobs SET approved = ?", (long_ago,)))
        orphans = await store.take_over()
        lapsed = await store.find(job.job_id)

    assert orphans.work == ()
    assert lapsed.state == "failed"
    assert lapsed.error is not None
    assert lapsed.error.message.startswith("the approval lapsed: nothing was sent")


def test_states_only_move_forward() -> None:
    for over in OVER:
        assert [state for state in STATES if may_become(over, state)] == [over]
    reached: set[JobState] = {"planned", "held"}
    for _ in STATES:
        reached |= {then for now in reached for then in STATES if may_become(now, then)}
    assert reached == set(STATES)
    circles = [
        (now, then)
        for now in STATES
        for then in STATES
        if now != then
        and may_become(now, then)
        and may_become(then, now)
        # What has begun may wait for a person, and go on.
        and "held" not in (now, then)
    ]
    assert circles == []
    assert not may_become("running", "queued")


async def test_every_step_leaves_a_trace_and_a_step_back_none(tmp_path: Path) -> None:
    async with two_on(tmp_path) as two:
        claim = await queued(two.one)
        await two.one.change(claim, {}, Step("running", "a runner took it"))
        back = await two.one.change(claim, {"note": "no"}, Step("queued", "back"))
        await two.one.change(claim, {"note": "still"})
        events = await two.one.events(claim.job_id)

    assert back is None
    assert [(state, reason) for _, state, reason in events] == [
        ("planned", "asked for"),
        ("queued", "accepted"),
        ("running", "a runner took it"),
    ]
    assert sorted(at for at, _, _ in events) == [at for at, _, _ in events]


async def test_a_job_comes_back_as_it_was_written(tmp_path: Path) -> None:
    async with two_on(tmp_path) as two:
        claim = await queued(two.one, tags=("a", "b"), parents=("p1",), asked_by="a test")
        outputs = (
            Output("image", url="https://x.test/1.png", width=3, expires=datetime.now(UTC)),
            Output("text", text="ü"),
        )
        now = datetime.now(UTC).replace(microsecond=5000)
        written = await two.one.change(
            claim,
            {
                "outputs": outputs,
                "logs": ("one", "two"),
                "error": JobError("type", "words", charged=None),
                "started": now,
                "queue_position": 0,
            },
        )
        read = await two.other.find(claim.job_id)

    assert read == written
    assert (read.outputs, read.logs, read.started) == (outputs, ("one", "two"), now)
    assert (read.tags, read.parents, read.asked_by) == (("a", "b"), ("p1",), "a test")
    assert (read.estimate_low, read.queue_position) == (Decimal("0.05"), 0)


async def test_ids_are_understood_however_they_are_spelled(tmp_path: Path) -> None:
    async with two_on(tmp_path) as two:
        job_id = (await queued(two.one)).job_id
        for spelled in (job_id.upper(), f"  {job_id}\n", f"`{job_id}`", job_id.replace("1", "l")):
            assert (await two.one.find(spelled)).job_id == job_id
        wrong = job_id[:-1] + ("0" if job_id[-1] != "0" else "1")
        with pytest.raises(UnknownJobError, match=f"nearest: {job_id}"):
            await two.one.find(wrong)
        with pytest.raises(UnknownJobError, match="list_jobs shows what was made"):
            await two.one.find("nothing like it" * 50)


def test_ids_sort_by_time_and_are_short() -> None:
    times = [0, 1, 31, 32, 1_790_000_000_000, 1_790_000_000_001, 30_000_000_000_000]
    ids = [new_job_id(at) for at in times]

    assert sorted(ids) == ids
    assert {len(job_id) for job_id in ids} == {11}
    assert len({new_job_id(5) for _ in range(200)}) > 100
    assert all(spoken(job_id) == job_id for job_id in ids)


async def test_lists_hold_every_filter(tmp_path: Path) -> None:
    async with two_on(tmp_path) as two:
        fox = await queued(two.one, "Ein roter FÜCHS 100%", tags=("tiere", "rot"))
        owl = await queued(two.one, "an owl at night", tags=("tiere",))
        await two.one.change(owl, {}, Step("done", "done"))

        async def ids(**query: Any) -> set[str]:
            page = await two.other.page(JobQuery(**query))
            return {job.job_id for job in page.jobs}

        assert await ids() == {fox.job_id, owl.job_id}
        assert await ids(text="füchs roter") == {fox.job_id}
        assert await ids(text="100%") == {fox.job_id}
        assert await ids(text="1%0") == set()
        assert await ids(text="fl_x") == set()
        assert await ids(text="!") == set()
        assert await ids(text="nacht" * 300) == set()
        assert await ids(text="owl", state="queued") == set()
        assert await ids(text="TIERE flux") == {fox.job_id, owl.job_id}
        assert await ids(text="rot", tag="tiere") == {fox.job_id}
        assert await ids(tag="tier") == set()
        assert await ids(state="done") == {owl.job_id}
        assert await ids(endpoint_id="fal-ai/flux/dev", state="queued") == {fox.job_id}
        assert await ids(endpoint_id="fal-ai/flux") == set()
        assert await ids(since=datetime.now(UTC) - timedelta(minutes=1)) == {fox.job_id, owl.job_id}
        assert await ids(since=datetime.now(UTC) + timedelta(minutes=1)) == set()


async def test_relations_are_found_both_ways_over_any_number_of_steps(tmp_path: Path) -> None:
    async with two_on(tmp_path) as two:
        root = (await queued(two.one, "root")).job_id
        child = (await queued(two.one, "child", parents=(root,))).job_id
        grandchild = (await queued(two.one, "grandchild", parents=(child,))).job_id
        other = (await queued(two.one, "other child", parents=(root,))).job_id
        await queued(two.one, "stranger")

        async def related(job_id: str) -> set[str]:
            page = await two.one.page(JobQuery(related_to=job_id))
            return {job.job_id for job in page.jobs}

        assert await related(root) == {child, grandchild, other}
        assert await related(child.upper()) == {root, grandchild}
        assert await related(grandchild) == {root, child}
        with pytest.raises(UnknownJobError):
            await related("00000000000")


async def test_pages_neither_repeat_nor_skip(tmp_path: Path) -> None:
    async with two_on(tmp_path) as two:
        made = [(await queued(two.one, f"fox {number}")).job_id for number in range(7)]
        seen: list[str] = []
        query = JobQuery(limit=3)
        while True:
            page = await two.one.page(query)
            seen += [job.job_id for job in page.jobs]
            if not page.next_cursor:
                break
            query = replace(query, cursor=page.next_cursor)

    assert seen == sorted(made, reverse=True)


async def test_a_search_looks_through_so_many_at_a_time_and_says_where_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LOOKED", 3)
    async with two_on(tmp_path) as two:
        owl = await queued(two.one, "an owl", tags=("night",))
        for number in range(7):
            await queued(two.one, f"fox {number}")
        for query in (JobQuery(text="owl"), JobQuery(tag="night", state="queued")):
            sizes: list[int] = []
            page = await two.one.page(query)
            while page.next_cursor:
                sizes.append(len(page.jobs))
                page = await two.one.page(replace(query, cursor=page.next_cursor))

            assert sizes == [0, 0]
            assert [job.job_id for job in page.jobs] == [owl.job_id]
        first = await two.one.page(JobQuery(text="fox", limit=2))
        second = await two.one.page(JobQuery(text="fox", limit=2, cursor=first.next_cursor))

    assert (len(first.jobs), len(second.jobs)) == (2, 2)
    assert not {job.job_id for job in first.jobs} & {job.job_id for job in second.jobs}


def test_more_abandoned_work_than_is_taken_at_once_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    make_running(path, 201, account="emulator", origin="queue")
    with closing(connect(path)) as journal:
        one, other = (House("emulator", "queue", name) for name in ("one", "other"))
        first = transactions.take_over(journal, one, now_ms() + 60_000, SendBook(tmp_path))
        second = transactions.take_over(journal, other, now_ms() + 60_000, SendBook(tmp_path))

    assert (len(first.work), first.more) == (200, True)
    assert (len(second.work), second.more) == (1, False)
