"""Approvals: what a person's yes changes in the journal."""

import sqlite3
from datetime import timedelta
from decimal import Decimal

from catalog.errors import ActionableError
from server.jobs.admission import Rules
from server.jobs.ledger import check_budgets, day_end
from server.jobs.rows import NANO, instant, job_of, milliseconds, now_ms
from server.jobs.states import trace
from server.jobs.transactions import found
from tools.ports import Job

# fal keeps uploaded files for at least a week (its FAQ, read in autumn 2026), and prices move.
HELD_LIVES = timedelta(days=7)


def approve(
    connection: sqlite3.Connection, job_id: str, rules: Rules, *, today: bool = False
) -> Job:
    """Mark a held job approved. Its amount counts from today, so today's budgets are asked again.

    A whole is approved with all its parts, and a part with its whole where that waits, too. With
    *today*, whatever runs on the same endpoints asks nobody until midnight; budgets hold as ever.

    Raises:
        UnknownJobError: no such job.
        OverBudgetError: a budget does not allow it now; it stays held.
        ActionableError: it is not held, or has been for longer than its price can be trusted.
    """
    row = found(connection, job_id)
    whole = found(connection, row["whole"]) if row["whole"] else row
    job = job_of(whole if whole["state"] == "held" else row)
    if job.state != "held":
        raise ActionableError(
            f"job {job.job_id!r} is {job.state}, not held", hint="only a held job can be approved"
        )
    now = now_ms()
    at = instant(now) or job.created
    if at - job.created > HELD_LIVES:
        raise ActionableError(
            f"job {job.job_id!r} has been held since {job.created.date().isoformat()}; its price "
            "and its files are of that day",
            hint="cancel it, and make the same call again",
        )
    rows = connection.execute(
        "SELECT job_id, kind, endpoint_id, amount FROM jobs WHERE state = 'held'"
        " AND (job_id = ? OR (whole = ? AND whole != ''))",
        (job.job_id, job.job_id),
    ).fetchall()
    high = Decimal(sum(one["amount"] for one in rows)) / NANO
    shares = [(one["endpoint_id"], Decimal(one["amount"]) / NANO) for one in rows]
    check_budgets(
        connection, job.backend, high, rules.limits, now=at, besides=job.job_id, models=shares
    )
    for one in rows:
        connection.execute(
            "UPDATE jobs SET state = 'approved', approved = ?, counted = ?, rev = rev + 1,"
            " note = 'approved by a person' WHERE job_id = ? AND state = 'held'",
            (now, now, one["job_id"]),
        )
        trace(connection, one["job_id"], "approved", "a person said yes", now)
        if today and not one["kind"]:
            connection.execute(
                "INSERT OR REPLACE INTO grants (account, endpoint_id, until) VALUES (?, ?, ?)",
                (job.account, one["endpoint_id"], milliseconds(day_end(at))),
            )
    if whole["kind"]:
        _allow(connection, whole, now)
    return job_of(found(connection, job.job_id))


def _allow(connection: sqlite3.Connection, whole: sqlite3.Row, now: int) -> None:
    """Note that a person said yes to what a whole costs as its parts are now."""
    rows = connection.execute(
        "SELECT high FROM jobs WHERE whole = ? AND state != 'cancelled'", (whole["job_id"],)
    ).fetchall()
    total = sum((Decimal(row["high"] or 0) for row in rows), Decimal(0))
    high = str(max(total, Decimal(whole["high"] or 0)))
    if whole["high"] is None and whole["started"] is None:
        high = None  # a yes to a whole of unknown price is one to each of its parts
    connection.execute(
        "UPDATE jobs SET approved = ?, high = ?, rev = rev + 1 WHERE job_id = ?",
        (now, high, whole["job_id"]),
    )
