"""The ledger tells what went: by model, day and tag, in words, records and files."""

import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
import tracemalloc
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest
from inline_snapshot import snapshot

from benchmarks.past import make_past
from server.cli.spending import show_spending
from server.jobs.tables import cell
from tests.house import connected, environment, record, words
from tests.jobs_platform import FolderPlatform, intent, jobs_in, settings_in
from tools.ports import Spending, SpendingQuery, SpendingRow
from tools.spending import SpendingArguments, left_words, money, start_of

QUEUE = "http://emulator.invalid/queue"


@pytest.fixture
def platform(tmp_path: Path) -> FolderPlatform:
    return FolderPlatform(tmp_path / "platform")


async def test_sums_tell_spent_from_reserved_and_what_is_left_of_each_budget(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform, budget_day="2", budget_month="10") as jobs:
        done = await jobs.start(intent("one", "0.05", tags=("foxes",)))
        await jobs.wait(done.job_id, 10)
        platform.runs = 60
        await jobs.start(intent("two", "0.50", tags=("foxes", "red")))
        await jobs.start(intent("three", None))
        found = await jobs.spending(SpendingQuery())
        tagged = await jobs.spending(SpendingQuery(by="tag"))
        daily = await jobs.spending(SpendingQuery(by="day"))

    spent = found.total.spent
    assert spent > 0
    assert (found.total.jobs, found.total.reserved, found.total.unknown) == (3, Decimal("0.5"), 1)
    assert found.left == {"day": 2 - spent - Decimal("0.5"), "month": 10 - spent - Decimal("0.5")}
    assert found.limits == {"day": Decimal(2), "month": Decimal(10)}
    assert [row.name for row in found.rows] == ["fal-ai/flux/dev"]
    assert {row.name: (row.jobs, row.reserved) for row in tagged.rows} == {
        "foxes": (2, Decimal("0.5")),
        "red": (1, Decimal("0.5")),
        "": (1, Decimal(0)),
    }
    assert [row.name for row in daily.rows] == [datetime.now().astimezone().date().isoformat()]


async def test_a_failure_that_was_not_charged_counts_for_nothing(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform) as jobs:
        job = await jobs.start(intent("refuse me", "0.50"))
        await jobs.wait(job.job_id, 10)
        found = await jobs.spending(SpendingQuery())
        later = await jobs.spending(SpendingQuery(since=datetime.now(UTC) + timedelta(hours=1)))

    assert (found.total.jobs, found.total.spent, found.total.reserved) == (1, 0, 0)
    assert (later.total.jobs, later.rows) == (0, ())


async def test_cloud_and_emulator_keep_ledgers_of_their_own(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform) as jobs:
        await jobs.start(intent())
    async with jobs_in(tmp_path, platform, key="somebody:secret") as jobs:
        found = await jobs.spending(SpendingQuery())
        entries = await jobs.entries(None)

    assert found.total.jobs == 0
    assert found.limits["approve_above"] == 1
    assert entries == []


async def test_the_tool_says_the_sums_in_words_and_in_a_record(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        made = record(
            await client.call_tool(
                "generate", {"endpoint_id": "fal-ai/flux/schnell", "prompt": "a fox"}
            )
        )
        answer = await client.call_tool("spending", {"period": "today"})

    shown = record(answer)
    assert shown["spent"] == made["cost"]["dollars"]
    assert shown["left"] == {"day": 25 - shown["spent"]}
    assert shown["limits"] == {"day": 25.0}
    assert shown["rows"] == [{"name": "fal-ai/flux/schnell", "jobs": 1, "spent": shown["spent"]}]
    assert words(answer) == snapshot(
        """\
today: $0.003 spent in 1 job; $24.99 of $25 left today
fal-ai/flux/schnell: $0.003 in 1 job
simulated: the emulator charges nothing\
"""
    )


def test_money_is_told_to_the_cent_from_a_dollar_on_and_what_is_left_never_rounded_up() -> None:
    assert [money(one) for one in (0, 0.0000004, 0.003, 0.25, 1.005, 10, 1234567.891)] == [
        "$0", "$0", "$0.003", "$0.25", "$1.01", "$10", "$1234567.89",
    ]  # fmt: skip
    left = {"month": Decimal("9.999"), "fal-ai/veo* a day": Decimal(3), "day": Decimal("0.0245")}
    limits = {"day": Decimal(2), "month": Decimal(10), "fal-ai/veo* a day": Decimal(5)}
    total = SpendingRow("", 1, Decimal(0), Decimal(0), 0)
    assert left_words(Spending(total, (), limits, left)) == [
        "$0.0245 of $2 left today",
        "$9.99 of $10 left this month",
        "$3 of $5 left for fal-ai/veo* a day",
    ]


async def test_a_period_that_is_none_is_refused_with_what_would_be(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        answer = await client.call_tool("spending", {"period": "yesteryear"})

    assert answer.is_error
    assert "'yesteryear' is not a time" in words(answer)


def test_periods_begin_at_local_midnight() -> None:
    now = datetime.now().astimezone()
    today, month, week = start_of("today"), start_of("month"), start_of("this week")
    assert week is not None
    assert week.weekday() == 0
    assert week <= now
    assert start_of("all") is None
    assert today is not None
    assert month is not None
    assert (today.date(), today.hour, today.minute) == (now.date(), 0, 0)
    assert (month.day, month.month, month.hour) == (1, now.month, 0)
    assert start_of("2026-11-01") == datetime(2026, 11, 1).astimezone()


@pytest.mark.parametrize("form", ["--csv", pytest.param("--jsonl", marks=pytest.mark.proof)])
async def test_the_command_line_writes_every_job_for_other_programs(
    tmp_path: Path, form: str
) -> None:
    async with connected(tmp_path) as client:
        wanted = {"endpoint_id": "fal-ai/flux/schnell", "prompt": "a fox", "tags": ["a", "b"]}
        made = record(await client.call_tool("generate", wanted))
    ran = subprocess.run(
        [sys.executable, "-m", "falkit", "spending", "--period", "all", form],
        env={**os.environ, **environment(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    if form == "--csv":
        (entry,) = csv.DictReader(io.StringIO(ran.stdout))
        assert entry["tags"] == "a b"
    else:
        entry = json.loads(ran.stdout)
        assert entry["tags"] == ["a", "b"]
    assert entry["job_id"] == made["job_id"]
    assert (entry["dollars"], entry["kind"], entry["state"]) == ("0.003", "simulated", "done")


def test_the_command_line_says_the_sums_and_refuses_two_forms_at_once(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "falkit", "spending"]
    env = {**os.environ, **environment(tmp_path)}
    told = subprocess.run(run, env=env, capture_output=True, text=True, check=True)
    both = subprocess.run([*run, "--csv", "--jsonl"], env=env, capture_output=True, text=True)

    assert json.loads(told.stdout)["left"] == {"day": 25.0}
    assert both.returncode == 2
    assert "exclude each other" in both.stderr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        (" +1", "' +1"),
        ("@sum", "'@sum"),
        ("\t=1", "'\t=1"),
        ("\uff1d1", "'\uff1d1"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_what_a_spreadsheet_would_run_is_written_as_text(text: str, shown: str) -> None:
    assert cell(text) == shown


@pytest.mark.proof
@pytest.mark.parametrize("form", ["csv", "jsonl"])
async def test_ten_thousand_jobs_are_written_out_whole_and_a_page_at_a_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: Literal["csv", "jsonl"]
) -> None:
    settings = settings_in(tmp_path)
    ids = make_past(tmp_path / "journal.db", 10_000, account="emulator", origin=QUEUE)
    tags = ["=1+1", 'a "quoted", word', "two\nlines"]
    with closing(sqlite3.connect(tmp_path / "journal.db")) as journal, journal:
        journal.execute("UPDATE jobs SET tags = ?, counted = counted / 60000 * 60000",
                        (json.dumps(tags),))  # fmt: skip
    tracemalloc.start()
    await show_spending(settings, SpendingArguments(period="all"), form)
    peak = tracemalloc.get_traced_memory()[1] - tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    written = capsys.readouterr().out
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(written)))
        assert {row["tags"] for row in rows} == {"'" + " ".join(tags)}
    else:
        rows = [json.loads(line) for line in written.splitlines()]
        assert all(row["tags"] == tags for row in rows)
    assert sorted(row["job_id"] for row in rows) == sorted(ids)
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    assert peak - 2 * len(written) < 12_000_000  # what was written is kept by the test itself
