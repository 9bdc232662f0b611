"""How an end becomes money and words: what it made, what it cost, and why it failed."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from catalog.card import ModelCard
from catalog.index import LOCAL
from catalog.pricing import cost_of_units
from server.fal.problems import PlatformError
from server.fal.wire import Result
from server.jobs.keeper import needs_keeping
from server.jobs.outputs import understood
from server.jobs.rows import Fields
from tools.errors import BackendError
from tools.ports import Cost, Job, JobError

# No request is billed for less or more, so a number beyond says nothing (an assumption of ours).
LEAST_UNITS, MOST_UNITS = Decimal("1e-9"), Decimal("1e9")
UNSAID = "Internal Server Error"  # what fal tells a caller of any exception
_OF_ITS_CODE = ("internal_error", "internal_server_error")
KEPT_RESULT = 64 * 1024  # characters of a model's JSON that stay in the journal


def done_fields(job: Job, card: ModelCard | None, result: Result, started: datetime) -> Fields:
    """Return what the journal keeps of *job*, which *started* then and ended now with *result*."""
    made = understood(card, result.output, job.arguments)
    cost, amount = settled_cost(job, card, result.billable_units)
    keeping = needs_keeping(made.outputs)
    now = datetime.now(UTC)
    return Fields(
        outputs=made.outputs,
        result=made.raw if 0 < len(made.raw) <= KEPT_RESULT else None,
        cost=cost,
        amount=amount,
        ended=now,
        started=started,
        queue_position=None,
        note=made.note,
        saved=not keeping,
        keep_due=now if keeping else None,
    )


def settled_cost(job: Job, card: ModelCard | None, units: Decimal | None) -> tuple[Cost, Decimal]:
    """Return what a finished *job* cost, and the dollars its reservation becomes.

    Billed *units* times the card's unit price where both are known; else the estimate stands, high
    end first, and the reservation stays.
    """
    reserved = job.estimate_high or Decimal(0)
    unit = _unit(card)
    if units is not None and units != 0 and not LEAST_UNITS <= units <= MOST_UNITS:
        units = None
    simulated = job.backend == "emulator"
    dollars = cost_of_units(card, units) if card is not None and units is not None else None
    if dollars is not None:
        return Cost("simulated" if simulated else "billed", dollars, units, unit), dollars
    kind = "simulated" if simulated else "estimated"
    return Cost(kind, job.estimate_high, units, unit), reserved


def settled_failure(
    job: Job, card: ModelCard | None, problem: BackendError, charged: bool | None
) -> tuple[Cost | None, Decimal | None]:
    """Return what a failed *job* cost where that is known, and what its reservation becomes.

    None leaves the reservation: what may have been charged counts until somebody knows better.
    """
    units: Decimal | None = getattr(problem, "units", None)
    if charged is False:
        return None, Decimal(0)
    if units is None:
        return None, None
    return settled_cost(job, card, units)


def error_of(problem: BackendError, endpoint_id: str = "", said: str = "") -> JobError:
    """Return *problem* as the job keeps it.

    Of an app of this machine *said* is what its status said of the failure.
    """
    error = _error_of(problem)
    if not endpoint_id.startswith(LOCAL) or not isinstance(problem, PlatformError):
        return error
    app = endpoint_id.removeprefix(LOCAL).partition("/")[0]
    hint = f'app_logs {{"app":"{app}"}} shows what it said; mend it and deploy it again'
    is_untyped = problem.status == 500 and not problem.error_type  # beside the queue
    if not is_untyped and problem.error_type not in _OF_ITS_CODE:
        return replace(error, hint=hint)
    words = f"{endpoint_id}: the app's own code failed"
    own = said or problem.message.removeprefix(f"{endpoint_id}: ")
    words += "" if own in ("", UNSAID) else f": {own}"
    return replace(error, message=words[:600], hint=hint, retry_helps=False)


def _error_of(problem: BackendError) -> JobError:
    return JobError(
        type=problem.error_type or "failed",
        message=problem.message[:600],
        hint=problem.hint,
        field=problem.field,
        retry_helps=problem.retry_helps,
        charged=problem.charged,
    )


def _unit(card: ModelCard | None) -> str:
    price: Any = card.price if card is not None else None
    unit = price.get("unit") if price else None
    return unit if isinstance(unit, str) else ""
