"""What is read and written of jobs, each function within one transaction of its caller."""

import difflib
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from server.jobs import leases
from server.jobs.ids import spoken
from server.jobs.leases import Claim, House
from server.jobs.rows import Fields, columns, instant, job_of, now_ms
from server.jobs.sendbook import Entry, SendBook
from server.jobs.states import may_become, trace
from tools.errors import UnknownJobError
from tools.ports import Job, JobError, JobState

# A person's word is for now: an approval that no process acted on lapses.
APPROVAL_LIVES = timedelta(hours=1)
# A request whose answer was lost is looked for this long: fal's history shows it minutes late.
SEARCHED_FOR = timedelta(hours=1)
# Two submits that lie further apart are told apart by their time.
RIVALS_WITHIN = timedelta(minutes=5)
# How many recent ids a mistyped one is compared with.
NEAREST_AMONG = 500

LIVE = "live: its output goes to the terminal that began it"
LOST_ANSWER = (
    "the answer to the submit was lost, so it may be running and may be charged; it is not sent "
    "again by itself (again=true makes another)"
)


@dataclass(frozen=True, slots=True)
class Work:
    """A job that this process now holds, and what there is to do with it.

    *webhook_url* and *save_to* (empty for the media folder) are the caller's wishes; *result* is
    the model's output as JSON where it is small; *tries* counts attempts to bring its files home;
    *sent* is when its submit was begun, *call* its fingerprint. A *patient* one is put back when
    the platform turns it away before it took anything: whoever conducts its whole sends it later.
    """

    claim: Claim
    job: Job
    webhook_url: str = ""
    save_to: str = ""
    result: str | None = None
    tries: int = 0
    sent: datetime | None = None
    call: str = ""
    patient: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """Which state follows (None: it stays), why, and whether a power loss may undo it."""

    to: JobState | None = None
    reason: str = ""
    durable: bool = False


STAY = Step()


@dataclass(frozen=True, slots=True)
class Orphans:
    """What nobody held: *work* that this process holds now, ids of jobs that *ended* unsent.

    *busy* says whether anything of this house is unfinished at all, *more* that there are further
    ones than were taken at once.
    """

    work: tuple[Work, ...] = ()
    ended: tuple[str, ...] = ()
    busy: bool = True
    more: bool = False


def row_of(connection: sqlite3.Connection, job_id: str) -> sqlite3.Row | None:
    """Return the row of *job_id* as stored, or None."""
    return connection.execute("SELECT * FROM jobs WHERE job_id = ?", (job_id,)).fetchone()


def found(connection: sqlite3.Connection, job_id: str) -> sqlite3.Row:
    """Return the row of *job_id*, however it is spelled.

    Raises:
        UnknownJobError: there is none; it names the nearest.
    """
    wanted = spoken(job_id[:80])
    row = row_of(connection, wanted)
    if row is None:
        recent = connection.execute(
            "SELECT job_id FROM jobs ORDER BY job_id DESC LIMIT ?", (NEAREST_AMONG,)
        ).fetchall()
        nearest = difflib.get_close_matches(wanted, [one["job_id"] for one in recent], 3, 0.7)
        raise UnknownJobError(job_id, nearest=nearest)
    return row


def work_of(claim: Claim, row: sqlite3.Row) -> Work:
    """Return what *row* asks of whoever holds *claim*."""
    return Work(
        claim=claim,
        job=job_of(row),
        webhook_url=row["webhook_url"],
        save_to=row["save_to"],
        result=row["result"],
        tries=row["keep_tries"],
        sent=instant(row["submitting"]),
        call=row["fingerprint"],
    )


def change(connection: sqlite3.Connection, claim: Claim, fields: Fields, step: Step) -> Job | None:
    """Write *fields*, take *step*, and return the job as it is now.

    None, and nothing written, when *claim* no longer stands or the state may not follow.
    """
    row = connection.execute(
        "SELECT state FROM jobs WHERE job_id = ? AND holder = ? AND fence = ?",
        (claim.job_id, claim.holder, claim.fence),
    ).fetchone()
    if row is None or (step.to is not None and not may_become(row["state"], step.to)):
        return None
    values = columns(fields)
    if step.to is not None and step.to != row["state"]:
        values["state"] = step.to
        trace(connection, claim.job_id, step.to, step.reason, now_ms())
    sets = ", ".join([*(f"{name} = ?" for name in values), "rev = rev + 1"])
    changed = connection.execute(
        f"UPDATE jobs SET {sets} WHERE job_id = ? RETURNING *",  # noqa: S608  # names of our own
        (*values.values(), claim.job_id),
    ).fetchone()
    return job_of(changed)


def mark_submitting(connection: sqlite3.Connection, claim: Claim, book: SendBook) -> Work | None:
    """Note that the paid request is about to be sent; None when it must not be (any more).

    A job without a mark that *book* knows as sent is ``unconfirmed`` instead.
    """
    book.turn()
    entry = book.entry(claim.job_id)
    if entry is not None and doubt(connection, claim, entry):
        return None
    row = connection.execute(
        "UPDATE jobs SET submitting = ?, rev = rev + 1"
        " WHERE job_id = ? AND holder = ? AND fence = ?"
        " AND submitting IS NULL AND state IN ('planned', 'approved') RETURNING *",
        (now_ms(), claim.job_id, claim.holder, claim.fence),
    ).fetchone()
    return None if row is None else work_of(claim, row)


def doubt(connection: sqlite3.Connection, claim: Claim, entry: Entry) -> bool:
    """Make an unsent job ``unconfirmed``, since it was sent as *entry* says; False where it is not
    unsent, or *claim* does not stand."""
    row = connection.execute(
        "UPDATE jobs SET submitting = ? WHERE job_id = ? AND holder = ? AND fence = ?"
        " AND submitting IS NULL AND state IN ('planned', 'approved') RETURNING 1",
        (entry.sent, claim.job_id, claim.holder, claim.fence),
    ).fetchone()
    if row is None:
        return False
    fields = Fields(note=LOST_ANSWER, search_due=instant(now_ms()))
    change(connection, claim, fields, Step("unconfirmed", "the journal had lost that it was sent"))
    leases.release(connection, claim)
    return True


def adopt(
    connection: sqlite3.Connection, house: House, job_id: str, request_id: str, until: int
) -> Work | None:
    """Give an ``unconfirmed`` job the request that is its own, and claim it; None if it is not."""
    row = row_of(connection, job_id)
    if row is None or row["state"] != "unconfirmed" or not unowned(connection, [request_id]):
        return None
    claim = leases.claim(connection, house, job_id, until)
    submitted = instant(row["submitting"])
    fields = Fields(request_id=request_id, submitted=submitted, note="", search_due=None)
    if change(connection, claim, fields, Step("queued", "its request was found")) is None:
        return None
    return work_of(claim, found(connection, job_id))


def unowned(connection: sqlite3.Connection, request_ids: Sequence[str]) -> list[str]:
    """Return those of *request_ids* that belong to no job, in their order."""
    owned = "SELECT 1 FROM jobs WHERE request_id = ?"
    return [one for one in request_ids if connection.execute(owned, (one,)).fetchone() is None]


def has_rival(connection: sqlite3.Connection, job_id: str) -> bool:
    """Return whether another job has no request yet, and may have sent the very same at that time.

    What counts is what was sent: steps of two pipelines are alike until outputs are in them.
    """
    row = connection.execute(
        "SELECT 1 FROM jobs AS mine JOIN jobs AS other ON +other.endpoint_id = mine.endpoint_id"
        " AND other.arguments = mine.arguments AND other.account = mine.account"
        " WHERE mine.job_id = ? AND other.job_id != mine.job_id"
        " AND ABS(other.submitting - mine.submitting) < ?"
        " AND other.state IN ('planned', 'approved', 'unconfirmed')",
        (job_id, RIVALS_WITHIN.total_seconds() * 1000),
    ).fetchone()
    return row is not None


def drop(connection: sqlite3.Connection, house: House, job_id: str) -> Job | None:
    """Cancel a job of which nothing was sent; None when it is too late for that."""
    row = row_of(connection, job_id)
    if row is None or row["submitting"] is not None:
        return None
    if row["state"] not in ("planned", "held", "approved"):
        return None
    claim = leases.claim(connection, house, job_id, 0)
    fields = Fields(ended=instant(now_ms()), amount=Decimal(0), note="cancelled; nothing was sent")
    dropped = change(connection, claim, fields, Step("cancelled", "cancelled, nothing was sent"))
    leases.release(connection, claim)
    if row["whole"]:
        wake(connection, house, row["whole"])
    return dropped


def stop_live(connection: sqlite3.Connection, job_id: str) -> bool:
    """Ask whoever listens to a live call to close its line; False where none is under way."""
    row = connection.execute(
        "UPDATE jobs SET stopping = ?, rev = rev + 1 WHERE job_id = ? AND note = ?"
        " AND submitting IS NOT NULL AND state IN ('planned', 'approved') RETURNING 1",
        (now_ms(), job_id, LIVE),
    ).fetchone()
    return row is not None


def wake(connection: sqlite3.Connection, house: House, whole_id: str) -> None:
    """Let a whole that waits for a person go on, if none of its parts waits for one any more."""
    held = "SELECT 1 FROM jobs WHERE whole = ? AND state = 'held'"
    row = row_of(connection, whole_id)
    if row is None or row["state"] != "held" or connection.execute(held, (whole_id,)).fetchone():
        return
    claim = leases.claim(connection, house, whole_id, 0)
    change(connection, claim, Fields(note=""), Step("running", "nothing of it waits any more"))
    leases.release(connection, claim)


def deliver(connection: sqlite3.Connection, job_id: str) -> None:
    """Note that a caller saw the end of this job, if it has ended, and of its parts.

    Raises:
        UnknownJobError: no such job.
    """
    row = found(connection, job_id)
    connection.execute(
        "UPDATE jobs SET delivered = 1 WHERE (job_id = ? OR (whole = ? AND whole != ''))"
        " AND state IN ('done', 'failed', 'cancelled')",
        (row["job_id"], row["job_id"] if row["kind"] else ""),
    )


def keep_again(connection: sqlite3.Connection, house: House, job_id: str) -> bool:
    """Let a process of *house* try at once to bring home what is missing of *job_id*.

    False when nothing is missing, or when somebody is at it.
    """
    row = row_of(connection, job_id)
    if row is None or (row["account"], row["origin"]) != (house.account, house.origin):
        return False
    if row["state"] != "done" or row["saved"] or row["lease_until"] >= now_ms():
        return False
    if row["kind"]:
        parts = "SELECT job_id FROM jobs WHERE whole = ? AND whole != ''"
        for part in connection.execute(parts, (job_id,)).fetchall():
            keep_again(connection, house, part["job_id"])
    outputs = tuple(replace(output, problem="") for output in job_of(row).outputs)
    connection.execute(
        "UPDATE jobs SET outputs = ?, keep_due = ?, rev = rev + 1 WHERE job_id = ?",
        (columns({"outputs": outputs})["outputs"], now_ms(), job_id),
    )
    return True


def try_all_again(connection: sqlite3.Connection, house: House) -> None:
    """Make due now what *house* would try later: files to bring home, lost requests to find."""
    now = now_ms()
    connection.execute(
        # Few are due and most are of this house: the plus keeps to the index of the few.
        "UPDATE jobs SET keep_due = ? WHERE +account = ? AND +origin = ? AND keep_due > ?",
        (now, house.account, house.origin, now),
    )
    connection.execute(
        "UPDATE jobs SET search_due = ? WHERE account = ? AND origin = ?"
        " AND state = 'unconfirmed' AND submitting > ?",
        (now, house.account, house.origin, now - SEARCHED_FOR.total_seconds() * 1000),
    )


def take_over(connection: sqlite3.Connection, house: House, until: int, book: SendBook) -> Orphans:
    """Claim what nobody holds, and return what there is to do.

    A submit is never taken over: one that was under way becomes ``unconfirmed``, also where only
    *book* knows of it; one that was not yet sent has failed, and so has an approval that lapsed.
    Wholes are carried on.
    """
    taken: list[Work] = []
    now = now_ms()
    ended = _doubted(connection, house, book)
    rows = leases.abandoned(connection, house, now)
    for row in rows:
        claim = leases.claim(connection, house, row["job_id"], until)
        if row["kind"] and not (row["state"] == "approved" and _lapsed(row["approved"], now)):
            taken.append(work_of(claim, row))  # nothing of a whole itself is ever sent
            continue
        if row["state"] in ("planned", "approved") and row["submitting"] is not None:
            _close(
                connection, house, claim, Step("unconfirmed", "the process ended during the submit")
            )
        elif row["state"] == "planned":
            _close(connection, house, claim, Step("failed", "the process ended before the submit"))
        elif row["state"] == "approved" and _lapsed(row["approved"], now):
            _close(connection, house, claim, Step("failed", "the approval lapsed"))
        else:
            taken.append(work_of(claim, row))
            continue
        ended.append(claim.job_id)
    return Orphans(tuple(taken), tuple(ended), more=len(rows) == leases.MOST_AT_ONCE)


def _doubted(connection: sqlite3.Connection, house: House, book: SendBook) -> list[str]:
    """Return the jobs of *house* of which a damaged journal had lost that they were sent."""
    rows = connection.execute(
        "SELECT job_id FROM jobs WHERE account = ? AND origin = ? AND kind = ''"
        " AND state IN ('planned', 'approved') AND submitting IS NULL",
        (house.account, house.origin),
    ).fetchall()
    entries = book.entries() if rows else {}
    known = [row["job_id"] for row in rows if row["job_id"] in entries]
    return [
        job_id
        for job_id in known
        if doubt(connection, leases.claim(connection, house, job_id, 0), entries[job_id])
    ]


def _lapsed(approved: int | None, now: int) -> bool:
    return approved is None or now - approved > APPROVAL_LIVES.total_seconds() * 1000


def _close(connection: sqlite3.Connection, house: House, claim: Claim, step: Step) -> None:
    """End a job whose submit will not happen, or not again."""
    if step.to == "unconfirmed":
        change(connection, claim, Fields(note=LOST_ANSWER, search_due=instant(now_ms())), step)
    else:
        error = JobError(
            type="not_sent",
            message=f"{step.reason}: nothing was sent, nothing was charged",
            hint="make the same call again",
            retry_helps=True,
            charged=False,
        )
        fields = Fields(error=error, amount=Decimal(0), ended=instant(now_ms()), note="")
        change(connection, claim, fields, step)
        end_parts(connection, house, claim.job_id, error, error.message)
    leases.release(connection, claim)


def end_parts(
    connection: sqlite3.Connection,
    house: House,
    whole_id: str,
    error: JobError | None,
    why: str,
    only: Collection[str] | None = None,
) -> list[str]:
    """End parts of which nothing was sent: failed of *error*, or without one cancelled for *why*.

    *only* names some of them. Returns the ids of those that ended.
    """
    rows = connection.execute(
        "SELECT job_id FROM jobs WHERE whole = ? AND whole != '' AND submitting IS NULL"
        " AND state IN ('planned', 'held', 'approved')",
        (whole_id,),
    ).fetchall()
    ended: list[str] = []
    for row in rows:
        if only is not None and row["job_id"] not in only:
            continue
        claim = leases.claim(connection, house, row["job_id"], 0)
        fields = Fields(ended=instant(now_ms()), amount=Decimal(0), note=why, error=error)
        step = Step("failed" if error is not None else "cancelled", why[:200])
        if change(connection, claim, fields, step) is not None:
            ended.append(row["job_id"])
        leases.release(connection, claim)
    return ended
