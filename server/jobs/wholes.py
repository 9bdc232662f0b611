"""Wholes: batches and pipelines in the journal, admitted, sent and ended part by part."""

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

from server.jobs import leases
from server.jobs.admission import (
    Admitted,
    Rules,
    admit_deploy,
    check_cap,
    check_cap_of_unknown,
    check_unknown,
    earlier,
    fingerprint,
    held_note,
    insert,
    is_granted,
    read,
    row_of,
    why_held,
)
from server.jobs.attempts import rival
from server.jobs.leases import Claim, House
from server.jobs.ledger import check_budgets, money
from server.jobs.rows import Fields, instant, job_of, nanodollars, now_ms, packed, search_words
from server.jobs.sendbook import SendBook
from server.jobs.states import trace
from server.jobs.transactions import Step, Work, change, end_parts, found, wake, work_of
from tools.errors import OverBudgetError
from tools.ports import DeployIntent, Job, Use, WholeIntent

# What a whole is called where a job names its endpoint: the tool that made it.
CALLED: Mapping[str, str] = {"batch": "run_batch", "pipeline": "run_pipeline"}


@dataclass(frozen=True, slots=True)
class Part:
    """A part as its conductor sees it.

    *sent*: its submit was begun. *sought*: its answer was lost, and its request is looked for.
    """

    job: Job
    sent: bool
    sought: bool
    uses: tuple[Use, ...]

    @property
    def is_waiting(self) -> bool:
        """Nothing of it was sent, and it may be."""
        return not self.sent and self.job.state in ("planned", "approved")

    @property
    def is_flying(self) -> bool:
        """The platform has it, or is about to."""
        return self.sent and self.job.state in ("planned", "approved", "queued", "running")

    @property
    def is_ended(self) -> bool:
        """Nothing more happens by itself, here or there."""
        if self.job.state == "unconfirmed":
            return not self.sought
        return self.job.is_over and self.job.is_settled


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole with its parts in their order; *stopping* when somebody cancelled it."""

    job: Job
    parts: tuple[Part, ...]
    parallel: int
    stopping: bool


@dataclass(frozen=True, slots=True)
class Filled:
    """The arguments of a part with the outputs of earlier ones in them, and their price."""

    arguments: Mapping[str, Any]
    low: Decimal | None
    high: Decimal | None


def admit_whole(
    connection: sqlite3.Connection,
    intent: WholeIntent | DeployIntent,
    rules: Rules,
    house: House,
    times: tuple[int, int],
) -> Admitted:
    """Write *intent* and its parts down and reserve all of it, or return the earlier whole.

    *times* are now and the end of the lease, in milliseconds since 1970. It runs inside one
    immediate transaction; when it raises, nothing was written.

    Raises:
        OverBudgetError: the caller's cap or a budget does not allow all of it.
    """
    if isinstance(intent, DeployIntent):
        return admit_deploy(connection, intent, rules, house, times)
    now, until = times
    calls = [fingerprint(part, rules, house) for part in intent.parts]
    same = [intent.kind, calls, [[part.name, _plain(part.uses)] for part in intent.parts]]
    call = hashlib.sha256(packed(same).encode()).hexdigest()
    before = None if intent.again else earlier(connection, call)
    if before is None or before.job_id in intent.seen:
        before = rival(connection, intent, call)
    if before is not None:
        return Admitted(replace(before, repeated=True))
    check_cap(intent)
    at = instant(now)
    assert at is not None  # noqa: S101  # *now* is a number
    shares = [(part.endpoint_id, part.high or Decimal(0)) for part in intent.parts]
    check_budgets(connection, rules.backend, intent.known, rules.limits, now=at, models=shares)
    reason = why_held(intent, rules)
    endpoints = {part.endpoint_id for part in intent.parts}
    if reason and is_granted(connection, house.account, endpoints, now):
        reason = ""
    if not reason:
        check_unknown(intent, rules)
    whole_id = insert(connection, _row_of_whole(intent, rules, house, (call, reason, now)), reason)
    ids: dict[str, str] = {}
    for place, part in enumerate(intent.parts, start=1):
        used = [ids[use.step] for use in part.uses]
        whole_part = replace(
            part,
            parents=tuple(dict.fromkeys([whole_id, *used, *part.parents])),
            tags=tuple(dict.fromkeys([*intent.tags, *part.tags])),
            asked_by=intent.asked_by,
        )
        # Ids sort by time, so that parts are listed in their order.
        row = row_of(whole_part, rules, house, (calls[place - 1], reason, now + place))
        more = {
            "whole": whole_id,
            "place": part.place or place,
            "name": part.name,
            "uses": _plain(part.uses),
        }
        ids[part.name] = insert(connection, row | more, reason)
    held = None if reason else leases.claim(connection, house, whole_id, until)
    return Admitted(read(connection, whole_id), held)


def _row_of_whole(
    intent: WholeIntent, rules: Rules, house: House, about: tuple[str, str, int]
) -> dict[str, object]:
    call, reason, now = about
    name = CALLED[intent.kind]
    endpoints = " ".join(dict.fromkeys(part.endpoint_id for part in intent.parts))
    return {
        "state": "held" if reason else "planned",
        "endpoint_id": name,
        "backend": rules.backend,
        "account": house.account,
        "origin": house.origin,
        "arguments": packed(intent.arguments),
        "fingerprint": call,
        "words": search_words(f"{name} {endpoints}", intent.arguments, intent.tags),
        "created": now,
        "low": None if intent.low is None else str(intent.low),
        "high": None if intent.high is None else str(intent.high),
        "counted": now,
        "parents": packed(list(intent.parents)),
        "tags": packed(list(intent.tags)),
        "asked_by": intent.asked_by,
        "kind": intent.kind,
        "parallel": intent.parallel,
        "cap": None if intent.max_dollars is None else str(intent.max_dollars),
    }


def whole(connection: sqlite3.Connection, job_id: str) -> Whole:
    """Return the whole of that id with its parts; none for a job without.

    Raises:
        UnknownJobError: there is no such job.
    """
    row = found(connection, job_id)
    rows = connection.execute(
        "SELECT * FROM jobs WHERE whole = ? AND whole != '' ORDER BY place",
        (row["job_id"],),
    ).fetchall()
    parts = tuple(_part(one) for one in rows)
    return Whole(job_of(row), parts, row["parallel"], row["stopping"] is not None)


def _part(row: sqlite3.Row) -> Part:
    return Part(
        job=job_of(row),
        sent=row["submitting"] is not None,
        sought=row["state"] == "unconfirmed" and row["search_due"] is not None,
        uses=tuple(
            Use(tuple(use["path"]), use["step"], use["number"], use["kind"])
            for use in json.loads(row["uses"])
        ),
    )


def claim_part(
    connection: sqlite3.Connection,
    whole_claim: Claim,
    house: House,
    part_id: str,
    until: int,
    rules: Rules,
    filled: Filled | None = None,
) -> Work | None:
    """Claim a part that is to be sent now; None when it must not be (any more).

    *filled* are its arguments once earlier parts are done. When they cost more than was reserved,
    the difference is asked of the budgets like anything new; where a person must be asked it is
    ``held``, with these very arguments.

    Raises:
        OverBudgetError: it costs more than was reserved, and a limit does not allow it.
    """
    row = _standing(connection, whole_claim)
    if row is None or row["stopping"] is not None:
        return None
    part = found(connection, part_id)
    if part["submitting"] is not None or part["state"] not in ("planned", "approved"):
        return None
    if filled is not None:
        reason = _why_asked(connection, row, part, rules, filled)
        _fill(connection, part, filled)
        if reason:
            _hold(connection, part, reason)
            return None
    claim = leases.claim(connection, house, part_id, until)
    return replace(work_of(claim, found(connection, part_id)), patient=True)


def _standing(connection: sqlite3.Connection, claim: Claim) -> sqlite3.Row | None:
    return connection.execute(
        "SELECT * FROM jobs WHERE job_id = ? AND holder = ? AND fence = ?",
        (claim.job_id, claim.holder, claim.fence),
    ).fetchone()


def _fill(connection: sqlite3.Connection, part: sqlite3.Row, filled: Filled) -> None:
    reserved = Decimal(part["high"] or 0)
    connection.execute(
        "UPDATE jobs SET arguments = ?, words = ?, low = ?, high = ?, amount = ?, uses = '[]'"
        " WHERE job_id = ?",
        (
            packed(filled.arguments),
            search_words(part["endpoint_id"], filled.arguments, tuple(json.loads(part["tags"]))),
            None if filled.low is None else str(filled.low),
            None if filled.high is None else str(filled.high),
            nanodollars(reserved if filled.high is None else filled.high),
            part["job_id"],
        ),
    )


def _hold(connection: sqlite3.Connection, part: sqlite3.Row, reason: str) -> None:
    """Let *part* wait for a person; its conductor lets the whole wait when nothing else is left."""
    connection.execute(
        "UPDATE jobs SET state = 'held', note = ?, rev = rev + 1 WHERE job_id = ?",
        (held_note(reason, part["job_id"]), part["job_id"]),
    )
    trace(connection, part["job_id"], "held", reason, now_ms())


def _why_asked(
    connection: sqlite3.Connection,
    whole_row: sqlite3.Row,
    part: sqlite3.Row,
    rules: Rules,
    filled: Filled,
) -> str:
    """Return why a person must say yes to *part* as *filled*, or nothing where nobody is asked.

    Raises:
        OverBudgetError: no yes would help.
    """
    if filled.high is None:
        reason = _why_unknown(connection, whole_row, part, rules)
        if not reason and whole_row["approved"] is None and whole_row["cap"] is not None:
            check_cap_of_unknown(Decimal(whole_row["cap"]), rules)
        return reason
    if filled.high > Decimal(part["high"] or 0):
        return _why_dearer(connection, whole_row, part, rules, filled.high)
    return ""


def _why_unknown(
    connection: sqlite3.Connection, whole_row: sqlite3.Row, part: sqlite3.Row, rules: Rules
) -> str:
    """Return why a part whose price is not known any more waits, or nothing."""
    if rules.approve_above is None or part["high"] is None:
        return ""
    if whole_row["approved"] is not None and whole_row["high"] is None:
        return ""
    if is_granted(connection, part["account"], {part["endpoint_id"]}, now_ms()):
        return ""
    return "with what the earlier steps made, its price is not known"


def _why_dearer(
    connection: sqlite3.Connection,
    whole_row: sqlite3.Row,
    part: sqlite3.Row,
    rules: Rules,
    high: Decimal,
) -> str:
    """Return why a part that now costs up to *high* waits, or nothing.

    Raises:
        OverBudgetError: the caller's cap or a budget does not allow it.
    """
    others = connection.execute(
        "SELECT high, endpoint_id FROM jobs WHERE whole = ? AND whole != '' AND job_id != ?",
        (part["whole"], part["job_id"]),
    ).fetchall()
    total = high + sum((Decimal(one["high"] or 0) for one in others), Decimal(0))
    cap = whole_row["cap"]
    if cap is not None and total > Decimal(cap):
        raise OverBudgetError(
            f"with this step all cost up to {money(total)}, over max_dollars {money(Decimal(cap))}",
            hint="resume with a cheaper step or a higher max_dollars; this step was not sent",
        )
    at = instant(now_ms())
    assert at is not None  # noqa: S101  # the clock is a number
    check_budgets(
        connection,
        rules.backend,
        high,
        rules.limits,
        now=at,
        besides=part["job_id"],
        models=[(part["endpoint_id"], high)],
    )
    said_yes_to = whole_row["high"] if whole_row["approved"] is not None else None
    if said_yes_to is not None and total > Decimal(said_yes_to):
        approved = money(Decimal(said_yes_to))
        return f"with this step all cost up to {money(total)}, and a person approved {approved}"
    if rules.approve_above is None or whole_row["approved"] is not None:
        return ""
    endpoints = {part["endpoint_id"], *(one["endpoint_id"] for one in others)}
    if total <= rules.approve_above or is_granted(connection, part["account"], endpoints, now_ms()):
        return ""
    above = money(rules.approve_above)
    return f"with this step all cost up to {money(total)}, above {above}"


def put_back(connection: sqlite3.Connection, claim: Claim, book: SendBook) -> Job | None:
    """Take the mark of a submit off a part that the platform provably did not take; *book* too.

    None, and nothing written, when *claim* no longer stands.
    """
    row = connection.execute(
        "UPDATE jobs SET submitting = NULL, holder = '', lease_until = 0, rev = rev + 1"
        " WHERE job_id = ? AND holder = ? AND fence = ? AND request_id = ''"
        " AND state IN ('planned', 'approved') RETURNING *",
        (claim.job_id, claim.holder, claim.fence),
    ).fetchone()
    if row is None:
        return None
    book.back(claim.job_id)
    return job_of(row)


def stop(connection: sqlite3.Connection, house: House, whole_id: str) -> list[str]:
    """Let nothing more of a whole be sent, and return the ids of the jobs that ended by that.

    Of what the platform already has, nothing is cancelled here. A whole that has begun ends once
    whoever conducts it has gathered what it made.
    """
    row = found(connection, whole_id)
    if job_of(row).is_over:
        return []
    connection.execute("UPDATE jobs SET stopping = ? WHERE job_id = ?", (now_ms(), whole_id))
    ended = end_parts(connection, house, whole_id, None, "cancelled; nothing was sent")
    if row["started"] is not None:
        wake(connection, house, whole_id)
    elif row["state"] in ("planned", "held", "approved"):
        claim = leases.claim(connection, house, whole_id, 0)
        fields = Fields(ended=instant(now_ms()), note="cancelled; nothing was sent")
        change(connection, claim, fields, Step("cancelled", "cancelled, nothing was sent"))
        leases.release(connection, claim)
        ended.append(whole_id)
    return ended


def _plain(uses: tuple[Use, ...]) -> str:
    return packed([asdict(use) for use in uses])
