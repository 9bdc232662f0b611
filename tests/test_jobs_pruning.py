"""Pruning forgets what is over and home, and nothing else."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.jobs.journal import connect
from server.jobs.pruning import prunable, prune

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OLD = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp() * 1000)
BEFORE = datetime(2026, 10, 1, tzinfo=UTC)


def add(journal: sqlite3.Connection, job_id: str, **given: object) -> None:
    row: dict[str, object] = {
        "job_id": job_id,
        "state": "done",
        "saved": 1,
        "created": OLD,
        "ended": OLD,
        "counted": OLD,
        **given,
    }
    for name, kind, needed, default in [
        (column["name"], column["type"], column["notnull"], column["dflt_value"])
        for column in journal.execute("PRAGMA table_info(jobs)")
    ]:
        if needed and default is None:
            row.setdefault(name, "" if kind == "TEXT" else 0)
    names = ", ".join(row)
    marks = ", ".join(f":{name}" for name in row)
    journal.execute(f"INSERT INTO jobs ({names}) VALUES ({marks})", row)  # noqa: S608


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param({"state": "queued", "ended": None}, id="unfinished"),
        pytest.param({"state": "unconfirmed"}, id="unconfirmed"),
        pytest.param({"state": "held", "ended": None}, id="held"),
        pytest.param({"saved": 0}, id="not saved"),
        pytest.param({"keep_due": OLD}, id="a file still to be tried"),
        pytest.param({"search_due": OLD}, id="a request still looked for"),
        pytest.param({"counted": int(NOW.timestamp() * 1000)}, id="counts in this month"),
        pytest.param({"ended": int(NOW.timestamp() * 1000)}, id="ended lately"),
    ],
)
def test_what_is_open_or_counts_is_never_forgotten(tmp_path: Path, kept: dict[str, object]) -> None:
    journal = connect(tmp_path / "journal.db")
    try:
        add(journal, "a", **kept)
        add(journal, "b")
        add(journal, "c", state="failed", saved=0)
        assert sorted(prunable(journal, BEFORE, NOW)) == ["b", "c"]
        assert prune(journal, BEFORE, NOW) == 2
        assert [row["job_id"] for row in journal.execute("SELECT job_id FROM jobs")] == ["a"]
    finally:
        journal.close()


def test_a_whole_stays_as_long_as_one_of_its_parts(tmp_path: Path) -> None:
    journal = connect(tmp_path / "journal.db")
    try:
        add(journal, "whole", kind="batch")
        add(journal, "one", whole="whole", place=1)
        add(journal, "two", whole="whole", place=2, saved=0)
        assert prunable(journal, BEFORE, NOW) == []
        journal.execute("UPDATE jobs SET saved = 1")
        assert sorted(prunable(journal, BEFORE, NOW)) == ["one", "two", "whole"]
    finally:
        journal.close()
