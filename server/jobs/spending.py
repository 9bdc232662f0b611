"""Spending: the ledger added up by model, day or tag, and entry by entry for other programs."""

import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from server.jobs.admission import Rules
from server.jobs.ledger import counted_for, counted_since, day_start, month_start
from server.jobs.rows import NANO, job_of, milliseconds
from tools.ports import BackendName, LedgerEntry, Spending, SpendingQuery, SpendingRow

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
    connection: sqlite3.Connection, backend: BackendName, since: datetime | None
) -> Iterator[LedgerEntry]:
    """Yield every job that counts on *backend* since then, oldest first."""
    rows = connection.execute(
        "SELECT * FROM jobs WHERE backend = ? AND counted >= ? AND kind = ''"
        " ORDER BY counted, job_id",
        (backend, 0 if since is None else milliseconds(since)),
    )
    for row in rows:
        job = job_of(row)
        if job.is_over:
            kind = job.cost.kind if job.cost is not None else "estimated"
        else:
            kind = "reserved"
        known = row["amount"] or job.estimate_high is not None or job.state != "done"
        yield LedgerEntry(
            at=datetime.fromtimestamp(row["counted"] / 1000, UTC),
            job_id=job.job_id,
            endpoint_id=job.endpoint_id,
            backend=job.backend,
            state=job.state,
            kind=kind,
            dollars=_dollars(row["amount"]) if known else None,
            tags=job.tags,
            request_id=job.request_id,
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
