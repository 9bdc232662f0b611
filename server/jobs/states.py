"""The state machine of a job: which state may follow which, and the trace of every step."""

import sqlite3
from collections.abc import Mapping

from tools.ports import JobState

# A job only moves forward; what the platform takes back into its queue stays `running` here. A live
# call has no queue to be in: it is done when its output is whole. A whole that runs may come to a
# step about which a person must be asked.
_NEXT: Mapping[JobState, frozenset[JobState]] = {
    "planned": frozenset({"queued", "held", "done", "failed", "cancelled", "unconfirmed"}),
    "held": frozenset({"approved", "running", "cancelled"}),
    "approved": frozenset({"queued", "held", "failed", "cancelled", "unconfirmed"}),
    "unconfirmed": frozenset({"queued", "failed"}),
    "queued": frozenset({"running", "held", "done", "failed", "cancelled"}),
    "running": frozenset({"held", "done", "failed", "cancelled"}),
    "done": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}


def may_become(now: JobState, then: JobState) -> bool:
    """Return whether a job that is *now* may become *then*; staying is always allowed."""
    return now == then or then in _NEXT[now]


def trace(
    connection: sqlite3.Connection, job_id: str, state: JobState, reason: str, at: int
) -> None:
    """Write down that *job_id* entered *state* at *at* (milliseconds since 1970) and why.

    It belongs into the transaction that changes the state.
    """
    connection.execute(
        "INSERT INTO events (job_id, at, state, reason) VALUES (?, ?, ?, ?)",
        (job_id, at, state, reason),
    )
