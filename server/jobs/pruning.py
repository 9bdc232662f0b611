"""Pruning: forgetting old jobs, never what is unfinished, unsaved or counts in this month."""

import sqlite3
from datetime import datetime

from server.jobs.ledger import month_start
from server.jobs.rows import milliseconds, packed

# Over, home, and in nobody's hands. What was never confirmed may still turn out to be paid for.
_OLD = """
SELECT job_id, whole, kind FROM jobs
WHERE ended < :before AND counted < :month AND keep_due IS NULL AND search_due IS NULL
AND lease_until < :now AND (state IN ('failed', 'cancelled') OR (state = 'done' AND saved = 1))
"""


def prunable(connection: sqlite3.Connection, before: datetime, now: datetime) -> list[str]:
    """Return the ids of jobs that may be forgotten: over before then, and of an earlier month.

    A whole and its parts go together or stay together.
    """
    rows = connection.execute(
        _OLD,
        {
            "before": milliseconds(before),
            "month": milliseconds(month_start(now)),
            "now": milliseconds(now),
        },
    ).fetchall()
    old = {row["job_id"] for row in rows}
    wholes = {row["job_id"] for row in rows if row["kind"]}
    for whole in sorted(wholes):
        parts = connection.execute(
            "SELECT job_id FROM jobs WHERE whole = ? AND whole != ''", (whole,)
        ).fetchall()
        if any(part["job_id"] not in old for part in parts):
            wholes.discard(whole)
    return [
        row["job_id"]
        for row in rows
        if (row["job_id"] in wholes if row["kind"] else not row["whole"] or row["whole"] in wholes)
    ]


def prune(connection: sqlite3.Connection, before: datetime, now: datetime) -> int:
    """Forget what `prunable` names, with its events and links; files stay. Returns how many."""
    ids = prunable(connection, before, now)
    named = "(SELECT value FROM json_each(?))"
    given = packed(ids)
    for table, column in (
        ("events", "job_id"),
        ("links", "parent"),
        ("links", "child"),
        ("jobs", "job_id"),
    ):
        connection.execute(f"DELETE FROM {table} WHERE {column} IN {named}", (given,))  # noqa: S608
    connection.execute("DELETE FROM grants WHERE until < ?", (milliseconds(now),))
    return len(ids)
