"""Leases: which process works on which job, and proof that it still does."""

import hashlib
import secrets
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

from server.jobs.rows import packed
from server.settings import Settings

# A lease, or an instant to try again, that lies further in the future than any is set was written
# before the clock was set back. Parts of which nothing was sent wait for whoever holds their whole.
# A plus keeps the planner to the indexes of the few that are due: nearly all jobs are of this house
# and done.
MOST_AT_ONCE = 200
_ABANDONED = """
WITH free AS NOT MATERIALIZED (
  SELECT * FROM jobs WHERE account = :account AND origin = :origin
  AND (lease_until < :now OR lease_until > :now + 60000)
),
due AS NOT MATERIALIZED (
  SELECT * FROM jobs WHERE +account = :account AND +origin = :origin
  AND (lease_until < :now OR lease_until > :now + 60000)
)
SELECT * FROM (
  SELECT * FROM free WHERE state IN ('planned', 'approved', 'queued', 'running')
    AND (whole = '' OR submitting IS NOT NULL)
  UNION ALL SELECT * FROM due WHERE keep_due IS NOT NULL AND +state = 'done'
    AND NOT keep_due BETWEEN :now + 1 AND :now + (60000 << min(keep_tries, 6))
  UNION ALL SELECT * FROM due WHERE search_due IS NOT NULL AND +state = 'unconfirmed'
    AND NOT search_due BETWEEN :now + 1 AND :now + 60000 + max(0, :now - submitting)
) ORDER BY +job_id LIMIT :most
"""


@dataclass(frozen=True, slots=True)
class House:
    """Whose jobs a process may work on: one account at one queue, under one name of its own.

    *holder* is random for each process.
    """

    account: str
    origin: str
    holder: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A process's hold on a job. *fence* grows with each claim, so an old one opens nothing."""

    job_id: str
    holder: str
    fence: int


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat found: claims that still stand, jobs somebody waits for."""

    held: frozenset[str]
    wanted: frozenset[str]


def house_of(settings: Settings) -> House:
    """Return whose jobs a process with *settings* works on, with a new name for the process."""
    account = "emulator"
    if settings.backend == "cloud" and settings.key is not None:
        key_id = settings.key.get_secret_value().partition(":")[0]
        account = hashlib.sha256(key_id.encode()).hexdigest()[:12]
    return House(account, settings.hosts.queue, secrets.token_hex(8))


def claim(connection: sqlite3.Connection, house: House, job_id: str, until: int) -> Claim:
    """Take *job_id* for *house* until then (milliseconds since 1970), whoever had it."""
    row = connection.execute(
        "UPDATE jobs SET holder = ?, fence = fence + 1, lease_until = ? WHERE job_id = ?"
        " RETURNING fence",
        (house.holder, until, job_id),
    ).fetchone()
    return Claim(job_id, house.holder, int(row["fence"]))


def prolong(
    connection: sqlite3.Connection, house: House, job_ids: Collection[str], now: int, until: int
) -> Beat:
    """Hold *job_ids* until then, and return those of them that are still ours."""
    rows = connection.execute(
        "UPDATE jobs SET lease_until = ? WHERE holder = ?"
        " AND job_id IN (SELECT value FROM json_each(?)) RETURNING job_id, wanted_until",
        (until, house.holder, packed(sorted(job_ids))),
    ).fetchall()
    return Beat(
        held=frozenset(row["job_id"] for row in rows),
        wanted=frozenset(row["job_id"] for row in rows if row["wanted_until"] > now),
    )


def abandoned(connection: sqlite3.Connection, house: House, now: int) -> list[sqlite3.Row]:
    """Return the rows of *house* that want work and that nobody holds, oldest first."""
    whose = {"account": house.account, "origin": house.origin, "now": now, "most": MOST_AT_ONCE}
    return connection.execute(_ABANDONED, whose).fetchall()


def is_busy(connection: sqlite3.Connection, house: House) -> bool:
    """Return whether *house* has jobs that are unfinished, lost or not yet home, held or not."""
    row = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM jobs WHERE account = :account AND origin = :origin"
        " AND state IN ('planned', 'held', 'approved', 'queued', 'running'))"
        " OR EXISTS (SELECT 1 FROM jobs WHERE keep_due IS NOT NULL"
        " AND +account = :account AND +origin = :origin)"
        " OR EXISTS (SELECT 1 FROM jobs WHERE search_due IS NOT NULL"
        " AND +account = :account AND +origin = :origin)",
        {"account": house.account, "origin": house.origin},
    ).fetchone()
    return bool(row[0])


def release(connection: sqlite3.Connection, claim: Claim) -> None:
    """Let go of a job, if it is still ours."""
    connection.execute(
        "UPDATE jobs SET holder = '', lease_until = 0"
        " WHERE job_id = ? AND holder = ? AND fence = ?",
        (claim.job_id, claim.holder, claim.fence),
    )


def release_all(connection: sqlite3.Connection, house: House) -> None:
    """Let go of everything this process holds, so that another can go on at once."""
    connection.execute(
        "UPDATE jobs SET holder = '', lease_until = 0 WHERE holder = ?", (house.holder,)
    )
