"""What may start: earlier calls, budgets, caps, and a person's word."""

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from inline_snapshot import snapshot

from catalog.errors import ActionableError
from server.fal.problems import BadInputError, LostAnswerError, NotSentError
from server.jobs.ledger import day_start, money, month_start
from tests.jobs_platform import FAST, FolderPlatform, intent, jobs_in
from tools.errors import OverBudgetError
from tools.ports import Job, JobQuery

KEY = "key-of-a-person:secret"


@pytest.fixture
def platform(tmp_path: Path) -> FolderPlatform:
    return FolderPlatform(tmp_path / "platform")


async def test_an_identical_call_returns_the_earlier_job_until_its_end_was_seen(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform) as jobs:
        first = await jobs.start(intent())
        meanwhile = await jobs.start(intent())
        done = await jobs.wait(first.job_id, 10)
        unseen = await jobs.start(intent())
        await jobs.deliver(first.job_id)
        seen = await jobs.start(intent())

    assert not first.repeated
    assert (meanwhile.job_id, meanwhile.repeated) == (first.job_id, True)
    assert (unseen.job_id, unseen.repeated, unseen.saved) == (done.job_id, True, True)
    assert seen.job_id != first.job_id
    assert len(platform.requests) == 2


async def test_a_delivery_before_the_end_counts_for_nothing(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.runs = 60
    async with jobs_in(tmp_path, platform) as jobs:
        first = await jobs.start(intent())
        await jobs.deliver(first.job_id)
        again = await jobs.start(intent())

    assert again.job_id == first.job_id
    assert not again.delivered


async def test_again_makes_another_job_and_so_does_another_identity(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform) as jobs:
        made = [
            await jobs.start(intent()),
            await jobs.start(intent(again=True)),
            await jobs.start(intent("a blue fox")),
        ]

    assert len({job.job_id for job in made}) == 3
    assert len(platform.requests) == 3


async def test_fifty_starts_at_once_against_room_for_ten_let_exactly_ten_go(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    refused: list[str] = []
    allowed: list[Job] = []
    async with jobs_in(tmp_path, platform, budget_day="1.00") as jobs:

        async def one(number: int) -> None:
            try:
                allowed.append(await jobs.start(intent(f"fox {number}", "0.10")))
            except OverBudgetError as problem:
                refused.append(str(problem))

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(one, number)

    assert (len(allowed), len(refused)) == (10, 40)
    assert len(platform.requests) == 10
    assert set(refused) == snapshot(
        {
            "this costs up to $0.10, but $0.00 is left of the day's budget of $1.00 "
            "(wait for the next day, or a person raises FALKIT_BUDGET_DAY; nothing was submitted)"
        }
    )


@pytest.mark.parametrize(
    ("environ", "more", "said"),
    [
        pytest.param(
            {"budget_job": "0.50"},
            {},
            "this costs up to $2.00, over the limit of $0.50 for one job "
            "(make it cheaper, or a person raises FALKIT_BUDGET_JOB; nothing was submitted)",
            id="one job",
        ),
        pytest.param(
            {"budget_month": "1.99"},
            {},
            "this costs up to $2.00, but $1.99 is left of the month's budget of $1.99 "
            "(wait for the next month, or a person raises FALKIT_BUDGET_MONTH; "
            "nothing was submitted)",
            id="month",
        ),
        pytest.param(
            {},
            {"max_dollars": Decimal("1.5")},
            "this costs up to $2.00, over max_dollars $1.50 "
            "(make it smaller or cheaper, or raise max_dollars; nothing was submitted)",
            id="cap of the caller",
        ),
    ],
)
async def test_what_costs_too_much_is_refused_with_price_and_limit_and_leaves_no_trace(
    tmp_path: Path,
    platform: FolderPlatform,
    environ: dict[str, str],
    more: dict[str, Decimal],
    said: str,
) -> None:
    async with jobs_in(tmp_path, platform, FAST, **environ) as jobs:
        with pytest.raises(OverBudgetError) as refusal:
            await jobs.start(intent("a red fox", "2", **more))
        rows = await jobs.store.counted_since("emulator", day_start(datetime.now().astimezone()))

    assert str(refusal.value) == said
    assert rows == 0
    assert platform.requests == []


async def test_a_reservation_becomes_the_bill(tmp_path: Path, platform: FolderPlatform) -> None:
    today = day_start(datetime.now().astimezone())
    async with jobs_in(tmp_path, platform) as jobs:
        started = await jobs.start(intent(dollars="0.9"))
        reserved = await jobs.store.counted_since("emulator", today)
        job = await jobs.wait(started.job_id, 10)
        settled = await jobs.store.counted_since("emulator", today)
        elsewhere = await jobs.store.counted_since("cloud", today)

    assert reserved == Decimal("0.9")
    assert job.cost is not None
    assert (job.cost.kind, job.cost.units, job.cost.unit) == ("simulated", 1, "megapixel")
    assert job.cost.dollars == settled == Decimal("0.025")
    assert elsewhere == 0


@pytest.mark.parametrize(
    ("problem", "state", "kept"),
    [
        pytest.param(NotSentError("no connection"), "failed", "0", id="never arrived"),
        pytest.param(BadInputError("refused", charged=False), "failed", "0", id="refused"),
        pytest.param(LostAnswerError("no answer"), "unconfirmed", "0.05", id="answer lost"),
        pytest.param(RuntimeError("a mistake of ours"), "unconfirmed", "0.05", id="unforeseen"),
    ],
)
async def test_a_failed_submit_is_charged_only_if_it_may_have_arrived(
    tmp_path: Path, platform: FolderPlatform, problem: Exception, state: str, kept: str
) -> None:
    platform.submit_problem = problem
    today = day_start(datetime.now().astimezone())
    async with jobs_in(tmp_path, platform) as jobs:
        if isinstance(problem, LostAnswerError):
            job = await jobs.start(intent())
        else:
            with pytest.raises(ActionableError):
                await jobs.start(intent())
            (job,) = (await jobs.list(JobQuery())).jobs
        counted = await jobs.store.counted_since("emulator", today)
        job = await jobs.wait(job.job_id, 10)

    assert job.state == state
    assert counted == Decimal(kept)
    assert (job.error.charged if job.error else None) is (False if state == "failed" else None)
    assert [kind for kind, _ in platform.looks].count("submit") == 1


async def test_a_caller_who_saw_a_refusal_may_try_the_same_again(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.submit_problem = NotSentError("no connection")
    async with jobs_in(tmp_path, platform) as jobs:
        with pytest.raises(NotSentError):
            await jobs.start(intent())
        platform.submit_problem = None
        second = await jobs.start(intent())

    assert not second.repeated
    assert len(platform.requests) == 1


async def test_an_unconfirmed_call_is_not_made_again_unless_asked(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.submit_problem = LostAnswerError("no answer")
    async with jobs_in(tmp_path, platform) as jobs:
        first = await jobs.start(intent())
        await jobs.deliver(first.job_id)
        second = await jobs.start(intent())
        platform.submit_problem = None
        third = await jobs.start(intent(again=True))

    assert (second.job_id, second.repeated) == (first.job_id, True)
    assert third.job_id != first.job_id
    assert len(platform.requests) == 1


async def test_a_lost_answer_that_names_its_request_is_followed(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    problem = LostAnswerError("cut off")
    platform.submit_problem, platform.loses_answers = problem, True
    platform.fixed_id = problem.request_id = "7b1c1f4e-0000-4000-8000-000000000001"
    async with jobs_in(tmp_path, platform) as jobs:
        job = await jobs.start(intent())
        job = await jobs.wait(job.job_id, 10)

    assert (job.state, job.saved, job.request_id) == ("done", True, problem.request_id)


async def test_a_dear_job_waits_for_a_person_and_is_submitted_once_after_a_yes(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform, key=KEY) as jobs:
        held = await jobs.start(intent(dollars="3.2"))
        again = await jobs.start(intent(dollars="3.2"))
        waited = await jobs.wait(held.job_id, 5)
        assert platform.requests == []
        approved = await jobs.approve(held.job_id)
        with pytest.raises(ActionableError, match="not held"):
            await jobs.approve(held.job_id)
        with anyio.fail_after(5):
            job = await jobs.wait(held.job_id, 5)
        states = [state for _, state, _ in await jobs.store.events(held.job_id)]

    assert held.state == waited.state == "held"
    assert again.job_id == held.job_id
    assert held.note == (
        f"it costs up to $3.20, above $1.00: a person approves it with "
        f"`falkit approve {held.job_id}` in a terminal"
    )
    assert approved.state == "approved"
    assert (job.state, job.saved) == ("done", True)
    assert states[:3] == ["held", "approved", "queued"]
    assert len(platform.requests) == 1


async def test_a_yes_in_one_process_is_acted_on_by_another(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    idle = FolderPlatform(tmp_path / "platform of the terminal")
    async with jobs_in(tmp_path / "home", platform, key=KEY) as jobs:
        held = await jobs.start(intent(dollars=None))
        # The terminal's account is another, so it may not submit this job itself.
        async with jobs_in(tmp_path / "home", idle) as terminal:
            await terminal.approve(held.job_id)
            job = await jobs.wait(held.job_id, 5)
            await terminal.wait(held.job_id, 5)

    assert held.note.startswith("its price is not known: ")
    assert job.saved
    assert (len(platform.requests), len(idle.requests)) == (1, 0)


@pytest.mark.parametrize(
    ("dollars", "environ", "state"),
    [
        ("1", {"key": KEY}, "queued"),
        ("1.01", {"key": KEY}, "held"),
        ("1.01", {"key": KEY, "approve_above": "2"}, "queued"),
        (None, {"key": KEY}, "held"),
        (None, {}, "queued"),
        ("20", {}, "queued"),
        ("20", {"ask_on_emulator": "on"}, "held"),
    ],
)
async def test_a_person_is_asked_above_the_limit_and_at_unknown_prices(
    tmp_path: Path,
    platform: FolderPlatform,
    dollars: str | None,
    environ: dict[str, str],
    state: str,
) -> None:
    async with jobs_in(tmp_path, platform, FAST, **environ) as jobs:
        job = await jobs.start(intent(dollars=dollars))

    assert job.state == state


async def test_an_approval_is_refused_when_the_budget_has_gone_meanwhile(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    home = tmp_path / "home"
    async with jobs_in(home, platform, key=KEY, budget_day="10") as jobs:
        held = await jobs.start(intent(dollars="6"))
        async with jobs_in(home, platform, key=KEY, budget_day="5") as terminal:
            with pytest.raises(OverBudgetError, match=r"\$5.00 is left of the day's budget"):
                await terminal.approve(held.job_id)
        assert (await jobs.find(held.job_id)).state == "held"
        assert (await jobs.approve(held.job_id)).state == "approved"


async def test_who_has_no_budget_left_is_told_what_of_it_waits_for_a_person(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform, ask_on_emulator="on", budget_day="8") as jobs:
        held = [await jobs.start(intent(f"a {name}", dollars="3.5")) for name in ("fox", "cat")]
        with pytest.raises(OverBudgetError, match=r"\$1.00 is left") as problem:
            await jobs.start(intent("a dog", dollars="2"))
        await jobs.cancel(held[0].job_id)
        await jobs.start(intent("a dog", dollars="2"))

    assert "jobs that wait for a person keep $7.00 of it (list_jobs with" in problem.value.hint


async def test_a_cancelled_caller_does_not_cancel_the_submit(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.answers_after = 0.2
    async with jobs_in(tmp_path, platform, FAST) as jobs:
        with anyio.move_on_after(0.05) as scope:
            await jobs.start(intent())
        (job,) = (await jobs.list(JobQuery())).jobs
        job = await jobs.wait(job.job_id, 10)

    assert scope.cancelled_caught
    assert (job.state, job.saved) == ("done", True)


async def test_closing_waits_for_the_answer_of_a_submit(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.answers_after = 0.2
    async with jobs_in(tmp_path, platform) as jobs:
        with anyio.move_on_after(0.05):
            await jobs.start(intent())
    async with jobs_in(tmp_path, platform) as jobs:
        (job,) = (await jobs.list(JobQuery())).jobs

    assert job.request_id == platform.requests[0]["request_id"]


def test_days_and_months_begin_at_local_midnight() -> None:
    noon = datetime(2026, 3, 29, 12).astimezone()  # a day of 23 hours in much of Europe
    assert day_start(noon) == datetime(2026, 3, 29).astimezone()
    assert month_start(noon) == datetime(2026, 3, 1).astimezone()
    assert day_start(noon + timedelta(days=1)) == datetime(2026, 3, 30).astimezone()


@pytest.mark.parametrize(
    ("dollars", "shown"),
    [("2", "$2.00"), ("0.025", "$0.025"), ("0.0000004", "$0.000001"), ("12.34567", "$12.34567")],
)
def test_money_is_shown_in_cents_unless_there_are_parts_of_one(dollars: str, shown: str) -> None:
    assert money(Decimal(dollars)) == shown
