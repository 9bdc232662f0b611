"""Nothing that a tool takes brings a held job past the person, and a yes is for what was shown."""

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from catalog.errors import ActionableError
from server.jobs.admission import Rules
from server.jobs.journal import open_journal
from server.jobs.leases import House
from server.jobs.ledger import Limits
from server.jobs.store import SqliteJobStore
from server.jobs.wholes import Filled
from tests.house import connected, record
from tests.jobs_platform import FolderPlatform, intent, jobs_in
from tools.ports import Use, WholeIntent

ASKS = {"FALKIT_ASK_ON_EMULATOR": "on", "FALKIT_APPROVE_ABOVE": "0"}
SCHNELL = "fal-ai/flux/schnell"
FOX = {"endpoint_id": SCHNELL, "prompt": "a fox"}


def sent(home: Path) -> int:
    """Return how many requests the emulator of the house got."""
    path = home / "house" / "emulator" / "emulator.db"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as rows:
        return int(rows.execute("SELECT COUNT(*) FROM requests").fetchone()[0])


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        pytest.param("generate", FOX | {"again": True, "max_dollars": 1000.0}, id="cap"),
        pytest.param("generate", FOX | {"tags": ["approved"], "save_to": "media"}, id="tags"),
        pytest.param("generate", FOX | {"approve": True}, id="invented argument"),
        pytest.param("generate", FOX | {"arguments": {"approved": True}}, id="model argument"),
        pytest.param("generate", FOX | {"arguments": {"state": "approved", "amount": 0}}, id="row"),
        pytest.param("generate", FOX | {"endpoint_id": "FAL-AI/Flux/Schnell"}, id="spelling"),
        pytest.param("generate", {"task": "text-to-image", "prompt": "a fox"}, id="task"),
        pytest.param(
            "run_batch", {"endpoint_ids": [SCHNELL], "inputs": [{"prompt": "a"}]}, id="batch"
        ),
        pytest.param(
            "run_pipeline",
            {"steps": [{"name": "a", "endpoint_id": SCHNELL, "arguments": {"prompt": "a"}}]},
            id="pipeline",
        ),
    ],
)
async def test_no_tool_argument_says_yes(
    tmp_path: Path, tool: str, arguments: dict[str, Any]
) -> None:
    async with connected(tmp_path, **ASKS) as client:
        answer = await client.call_tool(tool, arguments | {"wait_seconds": 0})
        if not answer.is_error:
            held = record(answer)
            assert held["state"] == "held"
            again = await client.call_tool("generate", {"from_job": held["job_id"]})
            assert again.is_error or record(again)["state"] == "held"
            status = await client.call_tool("job_status", {"job_id": held["job_id"]})
            assert record(status)["state"] == "held"
    assert sent(tmp_path) == 0


async def test_a_yes_is_good_once_and_not_for_the_next_call(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform")
    async with jobs_in(tmp_path, platform, key="me:secret") as jobs:
        held = await jobs.start(intent("dear", "3"))
        await jobs.approve(held.job_id)
        done = await jobs.wait(held.job_id, 10)
        with pytest.raises(ActionableError, match="is done, not held"):
            await jobs.approve(held.job_id)
        next_one = await jobs.start(intent("dear", "3", again=True))
        changed = await jobs.start(intent("dear, and other", "3"))
    assert (done.state, next_one.state, changed.state) == ("done", "held", "held")
    assert len({done.job_id, next_one.job_id, changed.job_id}) == 3
    assert [request["arguments"] for request in platform.requests] == [done.arguments]


@asynccontextmanager
async def store_in(
    home: Path, above: Decimal | None = Decimal(1)
) -> AsyncGenerator[SqliteJobStore]:
    """Yield a store that sends nothing by itself, where a person is asked *above* some dollars."""
    rules = Rules("cloud", Limits(None, None, None), above)
    async with open_journal(home / "journal.db") as journal:
        yield SqliteJobStore(journal, House("me", "https://queue.test", "first"), rules, 60)


async def test_a_step_that_became_dearer_than_what_was_approved_waits_for_another_yes(
    tmp_path: Path,
) -> None:
    use = Use(("image_url",), "pic", 0, "image")
    steps = (intent("one", "2", name="pic"), intent("two", "1", name="cut", uses=(use,)))
    async with store_in(tmp_path) as store:
        held = (await store.admit_whole(WholeIntent("pipeline", steps, {}))).job
        assert held.state == "held"
        await store.approve(held.job_id)
        (work,) = [one for one in (await store.take_over()).work if one.job.kind]
        step = (await store.whole(held.job_id)).parts[1].job
        dearer = Filled({"prompt": "two"}, Decimal(1), Decimal("1.01"))
        assert await store.claim_part(work.claim, step.job_id, dearer) is None
        waiting = await store.find(step.job_id)
        approved = await store.approve(step.job_id)
        sent = await store.claim_part(work.claim, step.job_id)
        whole = await store.find(held.job_id)
    assert waiting.state == "held"
    assert waiting.note == (
        "with this step all cost up to $3.01, and a person approved $3.00: a person approves it "
        f"with `falkit approve {step.job_id}` in a terminal"
    )
    assert (approved.job_id, approved.state) == (step.job_id, "approved")
    assert sent is not None
    assert sent.job.estimate_high == Decimal("1.01")
    assert whole.estimate_high == Decimal("3.01")


async def test_a_step_whose_price_is_not_known_any_more_is_kept_within_no_cap_unasked(
    tmp_path: Path,
) -> None:
    use = Use(("image_url",), "pic", 0, "image")
    steps = (intent("one", "0.2", name="pic"), intent("two", "0.1", name="cut", uses=(use,)))
    async with store_in(tmp_path, above=None) as store:
        whole = WholeIntent("pipeline", steps, {}, max_dollars=Decimal("0.5"))
        admitted = await store.admit_whole(whole)
        assert admitted.claim is not None
        step = (await store.whole(admitted.job.job_id)).parts[1].job
        unknown = Filled({"prompt": "two"}, None, None)
        with pytest.raises(ActionableError, match="may be over max_dollars"):
            await store.claim_part(admitted.claim, step.job_id, unknown)
        assert (await store.find(step.job_id)).submitted is None


async def test_an_endpoint_approved_for_the_day_is_that_endpoint_of_that_account_and_day(
    tmp_path: Path,
) -> None:
    platform = FolderPlatform(tmp_path / "platform")
    async with jobs_in(tmp_path, platform, key="me:secret") as jobs:
        first = await jobs.start(intent("one", "3"))
        await jobs.approve(first.job_id, today=True)
        assert (await jobs.start(intent("two", "3"))).state != "held"
        with closing(sqlite3.connect(tmp_path / "journal.db", timeout=5)) as journal, journal:
            day = round(timedelta(days=1).total_seconds() * 1000)
            journal.execute("UPDATE grants SET until = until - ?", (day,))
        assert (await jobs.start(intent("three", "3"))).state == "held"
    async with jobs_in(tmp_path, platform, key="somebody:secret") as jobs:
        assert (await jobs.start(intent("four", "3"))).state == "held"


async def test_a_price_nobody_knows_is_kept_within_no_cap_where_nobody_is_asked(
    tmp_path: Path,
) -> None:
    platform = FolderPlatform(tmp_path / "platform")
    async with jobs_in(tmp_path, platform, key="me:secret") as jobs:
        held = await jobs.start(intent("one", None, max_dollars=Decimal(1)))
        assert held.state == "held"  # a person sees that the price is not known
        await jobs.approve(held.job_id, today=True)
        with pytest.raises(ActionableError, match="may be over max_dollars"):
            await jobs.start(intent("two", None, max_dollars=Decimal(1)))
        assert (await jobs.start(intent("two", None))).state != "held"


async def test_what_was_held_for_over_a_week_is_asked_for_anew(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform")
    async with jobs_in(tmp_path, platform, key="me:secret") as jobs:
        held = await jobs.start(intent("one", "3"))
        with closing(sqlite3.connect(tmp_path / "journal.db", timeout=5)) as journal, journal:
            journal.execute("UPDATE jobs SET created = created - ?", (8 * 86_400_000,))
        with pytest.raises(ActionableError, match="has been held since"):
            await jobs.approve(held.job_id)
        assert (await jobs.find(held.job_id)).state == "held"
        assert (await jobs.cancel(held.job_id)).cancelled
    assert platform.requests == []
