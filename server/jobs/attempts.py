"""Attempts at one whole: a batch or pipeline and all that continue one another with it."""

import sqlite3
from collections.abc import Sequence
from decimal import Decimal

from catalog.errors import ActionableError
from server.jobs.rows import NANO, job_of
from server.jobs.transactions import found
from tools.ports import Attempt, Job, WholeIntent

_KIN = """
SELECT parent FROM links JOIN jobs ON job_id = parent WHERE child = ? AND kind = ?
UNION SELECT child FROM links JOIN jobs ON job_id = child WHERE parent = ? AND kind = ?
"""


def kin(connection: sqlite3.Connection, job_id: str, kind: str) -> list[str]:
    """Return the stored id *job_id* and those of all wholes of *kind* that continue one another
    with it, oldest first."""
    known, open_ids = {job_id}, [job_id]
    while open_ids:
        here = open_ids.pop()
        rows = connection.execute(_KIN, (here, kind, here, kind)).fetchall()
        new = {row[0] for row in rows} - known
        known |= new
        open_ids += new
    return sorted(known)


def attempts(connection: sqlite3.Connection, job_id: str) -> tuple[Attempt, ...]:
    """Return the whole of that id and all that continue one another with it, oldest first.

    Raises:
        UnknownJobError: there is no such job.
    """
    row = found(connection, job_id)
    ids = kin(connection, row["job_id"], row["kind"])
    return tuple(_attempt(connection, one) for one in ids)


def _attempt(connection: sqlite3.Connection, job_id: str) -> Attempt:
    row = found(connection, job_id)
    parts: Sequence[sqlite3.Row] = connection.execute(
        "SELECT * FROM jobs WHERE whole = ? AND whole != '' ORDER BY place", (job_id,)
    ).fetchall()
    return Attempt(
        job=job_of(row),
        parts=tuple(job_of(part) for part in parts),
        cap=None if row["cap"] is None else Decimal(row["cap"]),
        spent=Decimal(sum(part["amount"] for part in parts)) / NANO,
    )


def rival(connection: sqlite3.Connection, intent: WholeIntent, call: str) -> Job | None:
    """Return the same continuation, asked for since the caller looked; None where there is none.

    It belongs into the transaction that admits *intent*, whose fingerprint is *call*.

    Raises:
        ActionableError: another continuation was asked for meanwhile; both would pay.
    """
    if not intent.continues:
        return None
    new = [one for one in kin(connection, intent.continues, intent.kind) if one not in intent.seen]
    if not new:
        return None
    row = found(connection, new[-1])
    if row["fingerprint"] == call:
        return job_of(row)
    raise ActionableError(
        f"{intent.kind} {row['job_id']} continues {intent.continues} since a moment ago",
        hint="resume it again to keep what that one makes; nothing was sent",
    )
