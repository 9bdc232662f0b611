"""Admission: whether an intent becomes a job, waits for a person, or is an earlier call again."""

import hashlib
import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import cast

from server.jobs.ids import new_job_id
from server.jobs.leases import Claim, House, claim
from server.jobs.ledger import Limits, check_budgets, money
from server.jobs.rows import instant, job_of, nanodollars, packed, search_words
from server.jobs.states import trace
from tools.errors import OverBudgetError
from tools.ports import BackendName, DeployIntent, Intent, Job, JobState, WholeIntent

DEPLOY = "deploy_apply"  # what a change to an app is called where a job names its endpoint


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say about new jobs: where they run, what they may cost, who is asked.

    Above *approve_above* dollars, or at an unknown price, a person is asked; None asks nobody.
    """

    backend: BackendName
    limits: Limits
    approve_above: Decimal | None


@dataclass(frozen=True, slots=True)
class Admitted:
    """A job that stands in the journal; *claim* is there when it is to be submitted now."""

    job: Job
    claim: Claim | None = None


def fingerprint(intent: Intent, rules: Rules, house: House) -> str:
    """Return what two calls have in common when they ask for the same."""
    same = [intent.endpoint_id, intent.identity, rules.backend, house.account]
    return hashlib.sha256(packed(same).encode()).hexdigest()


def admit(
    connection: sqlite3.Connection,
    intent: Intent,
    rules: Rules,
    house: House,
    times: tuple[int, int],
) -> Admitted:
    """Write *intent* down and reserve its price, or return the earlier job for the same call.

    *times* are now and the end of the lease, in milliseconds since 1970. It runs inside one
    immediate transaction; when it raises, nothing was written.

    Raises:
        OverBudgetError: the caller's cap or a budget does not allow it.
    """
    now, _ = times
    call = fingerprint(intent, rules, house)
    if not intent.again and (found := earlier(connection, call)) is not None:
        return Admitted(replace(found, repeated=True))
    check_cap(intent)
    high = intent.high or Decimal(0)
    at = instant(now)
    assert at is not None  # noqa: S101  # *now* is a number
    check_budgets(
        connection,
        rules.backend,
        high,
        rules.limits,
        now=at,
        models=[(intent.endpoint_id, high)],
    )
    reason = why_held(intent, rules)
    if reason and is_granted(connection, house.account, [intent.endpoint_id], now):
        reason = ""
    if not reason:
        check_unknown(intent, rules)
    job_id = insert(connection, row_of(intent, rules, house, (call, reason, now)), reason)
    if reason:
        return Admitted(read(connection, job_id))
    held = claim(connection, house, job_id, times[1])
    return Admitted(read(connection, job_id), held)


def admit_deploy(
    connection: sqlite3.Connection,
    intent: DeployIntent,
    rules: Rules,
    house: House,
    times: tuple[int, int],
) -> Admitted:
    """Write *intent* down, or return the job that its plan already has: a plan is applied once.

    *times* are now and the end of the lease, in milliseconds since 1970.
    """
    now, until = times
    same = packed(["deploy", intent.plan_id])
    call = hashlib.sha256(same.encode()).hexdigest()
    before = connection.execute("SELECT * FROM jobs WHERE fingerprint = ?", (call,)).fetchone()
    if before is not None:
        return Admitted(replace(job_of(before), repeated=True))
    reason = intent.asks
    row: dict[str, object] = {
        "state": "held" if reason else "planned",
        "endpoint_id": DEPLOY,
        "backend": rules.backend,
        "account": house.account,
        "origin": house.origin,
        "arguments": packed(intent.arguments),
        "fingerprint": call,
        "words": search_words(DEPLOY, intent.arguments, intent.tags),
        "created": now,
        "counted": now,
        "low": "0",
        "high": "0",
        "parents": "[]",
        "tags": packed(list(intent.tags)),
        "asked_by": intent.asked_by,
        "kind": "deploy",
    }
    job_id = insert(connection, row, reason)
    held = None if reason else claim(connection, house, job_id, until)
    return Admitted(read(connection, job_id), held)


def earlier(connection: sqlite3.Connection, call: str) -> Job | None:
    """Return the newest job for this *call* that is unfinished or whose end nobody saw.

    A part was asked for with its whole, so it answers no call of its own.
    """
    row = connection.execute(
        "SELECT * FROM jobs WHERE fingerprint = ? AND whole = '' AND (delivered = 0"
        " OR (state = 'done' AND saved = 0) OR state NOT IN ('done', 'failed', 'cancelled'))"
        " ORDER BY job_id DESC LIMIT 1",
        (call,),
    ).fetchone()
    return None if row is None else job_of(row)


def check_cap(intent: Intent | WholeIntent) -> None:
    """Refuse *intent* where it may cost more than its caller allows.

    Raises:
        OverBudgetError: it may.
    """
    high = intent.known if isinstance(intent, WholeIntent) else intent.high or Decimal(0)
    if intent.max_dollars is not None and high > intent.max_dollars:
        raise OverBudgetError(
            f"this costs up to {money(high)}, over max_dollars {money(intent.max_dollars)}",
            hint="make it smaller or cheaper, or raise max_dollars; nothing was submitted",
        )


def check_unknown(intent: Intent | WholeIntent, rules: Rules) -> None:
    """Refuse *intent*, about which nobody is asked, where its price is not known but bounded.

    Raises:
        OverBudgetError: the caller's cap cannot be kept.
    """
    if intent.high is None:
        check_cap_of_unknown(intent.max_dollars, rules)


def check_cap_of_unknown(cap: Decimal | None, rules: Rules) -> None:
    """Refuse to send what has a *cap* and no known price, where nobody was asked about it.

    Raises:
        OverBudgetError: there is a cap, and its dollars are not simulated ones.
    """
    if cap is None or (rules.backend == "emulator" and rules.approve_above is None):
        return
    raise OverBudgetError(
        f"the price of this is not known, so that it may be over max_dollars {money(cap)}",
        hint="choose a model whose price is known, or leave max_dollars out; nothing was submitted",
    )


def why_held(intent: Intent | WholeIntent, rules: Rules) -> str:
    """Return why a person must say yes to *intent*, or nothing where nobody is asked."""
    if rules.approve_above is None:
        return ""
    if intent.high is None:
        return "its price is not known"
    if intent.high > rules.approve_above:
        return f"it costs up to {money(intent.high)}, above {money(rules.approve_above)}"
    return ""


def is_granted(
    connection: sqlite3.Connection, account: str, endpoint_ids: Collection[str], now: int
) -> bool:
    """Return whether a person has approved all of *endpoint_ids* for today."""
    rows = connection.execute(
        "SELECT endpoint_id FROM grants WHERE account = ? AND until > ?", (account, now)
    ).fetchall()
    return set(endpoint_ids) <= {row["endpoint_id"] for row in rows}


def row_of(
    intent: Intent, rules: Rules, house: House, about: tuple[str, str, int]
) -> dict[str, object]:
    """Return *intent* as a new row, without its id.

    *about* it: its fingerprint, why it is held (or nothing), and the instant of its admission.
    """
    call, reason, now = about
    return {
        "state": "held" if reason else "planned",
        "endpoint_id": intent.endpoint_id,
        "backend": rules.backend,
        "account": house.account,
        "origin": house.origin,
        "arguments": packed(intent.arguments),
        "fingerprint": call,
        "words": search_words(intent.endpoint_id, intent.arguments, intent.tags),
        "webhook_url": intent.webhook_url,
        "save_to": "" if intent.save_to is None else str(intent.save_to),
        "created": now,
        "low": None if intent.low is None else str(intent.low),
        "high": None if intent.high is None else str(intent.high),
        "amount": nanodollars(intent.high or Decimal(0)),
        "counted": now,
        "parents": packed(list(intent.parents)),
        "tags": packed(list(intent.tags)),
        "asked_by": intent.asked_by,
    }


def held_note(reason: str, job_id: str) -> str:
    """Return the note of a job that waits for a person for *reason*."""
    return f"{reason}: a person approves it with `falkit approve {job_id}` in a terminal"


def insert(connection: sqlite3.Connection, row: Mapping[str, object], reason: str) -> str:
    """Write a new job down, held for *reason* where there is one, and return its id."""
    now = cast("int", row["created"])
    job_id = new_job_id(now)
    while connection.execute("SELECT 1 FROM jobs WHERE job_id = ?", (job_id,)).fetchone():
        job_id = new_job_id(now)
    note = ""
    if reason:
        held = row.get("whole") or job_id
        note = held_note(reason, str(held))
    values = {"job_id": job_id, "note": note, **row}
    connection.execute(
        f"INSERT INTO jobs ({', '.join(values)})"  # noqa: S608  # names of our own
        f" VALUES ({', '.join(f':{name}' for name in values)})",
        values,
    )
    connection.execute(
        "INSERT OR IGNORE INTO links (parent, child) SELECT value, ? FROM json_each(?)",
        (job_id, row["parents"]),
    )
    trace(connection, job_id, cast("JobState", row["state"]), reason or "asked for", now)
    return job_id


def read(connection: sqlite3.Connection, job_id: str) -> Job:
    """Return the job of that id, which is there."""
    return job_of(connection.execute("SELECT * FROM jobs WHERE job_id = ?", (job_id,)).fetchone())
