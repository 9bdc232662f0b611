"""Spending: the ledger added up by model, day or tag, and entry by entry for other programs."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import cast

from server.jobs.admission import Rules
from server.jobs.ledger import counted_for, counted_since, day_start, month_start
from server.jobs.rows import NANO, milliseconds
from tools.ports import (
    OVER,
    BackendName,
    JobState,
    LedgerEntry,
    Spending,
    SpendingQuery,
    SpendingRow,
)

# What a job is counted under. A job with several tags counts under each of them.
_MARKS: Mapping[str, tuple[str, str]] = {
    "model": ("endpoint_id", ""),
    "day": ("date(counted / 1000, 'unixepoch', 'localtime')", ""),
    "tag": ("COALESCE(tag.value, '')", "LEFT JOIN json_each(jobs.tags) AS tag"),
}
_OVER = "state IN ('done', 'failed', 'cancelled')"
_SUMS = f"""
COUNT(*) AS jobs,
COALESCE(SUM(CASE WHEN {_OVER} THEN amount ELSE 0 END), 0) AS spent,
COALESCE(SUM(CASE WHEN {_OVER} THEN 0 ELSE amount END), 0) AS reserved,
COALESCE(SUM(amount = 0 AND high IS NULL AND state NOT IN ('failed', 'cancelled')), 0) AS unknown
"""


def spending(
    connection: sqlite3.Connection, rules: Rules, query: SpendingQuery, now: datetime
) -> Spending:
    """Return what *query* asks for on the backend of *rules*, dearest first, days newest first.

    The money of a whole is that of its parts, so only they count.
    """
    mark, joined = _MARKS[query.by]
    since = 0 if query.since is None else milliseconds(query.since)
    where = "WHERE backend = ? AND counted >= ? AND kind = ''"
    order = "name DESC" if query.by == "day" else "spent + reserved DESC, jobs DESC, name"
    rows = connection.execute(
        f"SELECT {mark} AS name, {_SUMS} FROM jobs {joined} {where}"  # noqa: S608  # texts of our own
        f" GROUP BY 1 ORDER BY {order}",
        (rules.backend, since),
    ).fetchall()
    total = connection.execute(
        f"SELECT '' AS name, {_SUMS} FROM jobs {where}",  # noqa: S608  # texts of our own
        (rules.backend, since),
    ).fetchone()
    return Spending(
        total=_row(total),
        rows=tuple(_row(row) for row in rows),
        limits=_limits(rules),
        left=_left(connection, rules, now),
    )


def entries(
    connection: sqlite3.Connection,
    backend: BackendName,
    since: datetime | None,
    after: LedgerEntry | None = None,
    most: int = -1,
) -> Iterator[LedgerEntry]:
    """Yield jobs that count on *backend* since then, oldest first: at most so many (below zero:
    all) of those that come *after* another one."""
    begin = 0 if since is None else milliseconds(since)
    last = (begin, "") if after is None else (milliseconds(after.at), after.job_id)
    rows = connection.execute(
        "SELECT job_id, endpoint_id, backend, state, cost, high, amount, counted, tags, request_id"
        " FROM jobs WHERE backend = ? AND counted >= ? AND (counted, job_id) > (?, ?)"
        " AND kind = '' ORDER BY counted, job_id LIMIT ?",
        (backend, last[0], *last, most),
    )
    for row in rows:
        state = cast("JobState", row["state"])
        known = row["amount"] or row["high"] is not None or state != "done"
        kind = "reserved"
        if state in OVER:
            kind = "estimated" if row["cost"] is None else json.loads(row["cost"])["kind"]
        yield LedgerEntry(
            at=datetime.fromtimestamp(row["counted"] / 1000, UTC),
            job_id=row["job_id"],
            endpoint_id=row["endpoint_id"],
            backend=row["backend"],
            state=state,
            kind=kind,
            dollars=_dollars(row["amount"]) if known else None,
            tags=tuple(json.loads(row["tags"])),
            request_id=row["request_id"],
        )


def _row(row: sqlite3.Row) -> SpendingRow:
    return SpendingRow(
        name=row["name"],
        jobs=row["jobs"],
        spent=_dollars(row["spent"]),
        reserved=_dollars(row["reserved"]),
        unknown=row["unknown"],
    )


def _limits(rules: Rules) -> dict[str, Decimal]:
    named = {
        "job": rules.limits.job,
        "day": rules.limits.day,
        "month": rules.limits.month,
        "approve_above": rules.approve_above,
    }
    known = {name: limit for name, limit in named.items() if limit is not None}
    return known | {
        f"{budget.pattern} a {budget.period}": budget.dollars for budget in rules.limits.models
    }


def _left(connection: sqlite3.Connection, rules: Rules, now: datetime) -> dict[str, Decimal]:
    left: dict[str, Decimal] = {}
    for name, limit, since in (
        ("day", rules.limits.day, day_start(now)),
        ("month", rules.limits.month, month_start(now)),
    ):
        if limit is not None:
            gone = counted_since(connection, rules.backend, since)
            left[name] = max(limit - gone, Decimal(0))
    for budget in rules.limits.models:
        if budget.period != "job":
            gone = counted_for(connection, rules.backend, budget, now)
            left[f"{budget.pattern} a {budget.period}"] = max(budget.dollars - gone, Decimal(0))
    return left


def _dollars(nanodollars: int) -> Decimal:
    return Decimal(nanodollars) / NANO
