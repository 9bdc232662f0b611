"""The ledger: what was reserved and settled, and whether more fits the limits of a person."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal

from server.jobs.rows import NANO, milliseconds, nanodollars
from server.settings import ModelBudget, Settings
from tools.errors import OverBudgetError
from tools.ports import BackendName


@dataclass(frozen=True, slots=True)
class Limits:
    """How many dollars may go; None does not limit."""

    job: Decimal | None
    day: Decimal | None
    month: Decimal | None
    models: tuple[ModelBudget, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """Return the budgets that *settings* set."""
        return cls(
            settings.budget_job, settings.budget_day, settings.budget_month, settings.budget_models
        )


def day_start(at: datetime) -> datetime:
    """Return the local midnight before *at*."""
    return (
        at.astimezone().replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None).astimezone()
    )


def day_end(at: datetime) -> datetime:
    """Return the local midnight after *at*."""
    start = day_start(at).replace(tzinfo=None)
    return (start + timedelta(days=1)).astimezone()


def month_start(at: datetime) -> datetime:
    """Return the local midnight at which the month of *at* began."""
    first = at.astimezone().replace(day=1, hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    return first.astimezone()


def counted_since(
    connection: sqlite3.Connection, backend: BackendName, since: datetime, *, besides: str = ""
) -> Decimal:
    """Return the dollars reserved and settled on *backend* since then, without job *besides* and
    its parts.

    The cloud and the emulator have ledgers of their own.
    """
    row = connection.execute(
        "SELECT COALESCE(SUM(amount), 0) FROM jobs WHERE backend = ? AND counted >= ?"
        " AND (? = '' OR (job_id != ? AND whole != ?))",
        (backend, milliseconds(since), besides, besides, besides),
    ).fetchone()
    return Decimal(int(row[0])) / NANO


def counted_for(
    connection: sqlite3.Connection,
    backend: BackendName,
    budget: ModelBudget,
    now: datetime,
    *,
    besides: str = "",
) -> Decimal:
    """Return the dollars of the models of *budget* in its current day or month."""
    since = day_start(now) if budget.period == "day" else month_start(now)
    row = connection.execute(
        "SELECT COALESCE(SUM(amount), 0) FROM jobs WHERE backend = ? AND counted >= ?"
        " AND lower(endpoint_id) GLOB ? AND (? = '' OR (job_id != ? AND whole != ?))",
        (backend, milliseconds(since), budget.pattern, besides, besides, besides),
    ).fetchone()
    return Decimal(int(row[0])) / NANO


def check_budgets(
    connection: sqlite3.Connection,
    backend: BackendName,
    high: Decimal,
    limits: Limits,
    *,
    now: datetime,
    besides: str = "",
    models: Sequence[tuple[str, Decimal]] = (),
) -> None:
    """Refuse *high* dollars more on *backend* where a limit does not allow them.

    *models* are the endpoints that they are for, each with its share. It reads what other processes
    reserved, so it belongs into the transaction that reserves.

    Raises:
        OverBudgetError: it names the price, the limit and what is left.
    """
    if limits.job is not None and high > limits.job:
        raise OverBudgetError(
            f"this costs up to {money(high)}, over the limit of {money(limits.job)} for one job",
            hint="make it cheaper, or a person raises FALKIT_BUDGET_JOB; nothing was submitted",
        )
    if high <= 0:
        return
    for budget in limits.models:
        _check_model(connection, backend, budget, models, (now, besides))
    for name, limit, since in (
        ("day", limits.day, day_start(now)),
        ("month", limits.month, month_start(now)),
    ):
        if limit is None:
            continue
        spent = counted_since(connection, backend, since, besides=besides)
        if nanodollars(spent + high) > nanodollars(limit):
            left = max(limit - spent, Decimal(0))
            raise OverBudgetError(
                f"this costs up to {money(high)}, but {money(left)} is left of the {name}'s budget "
                f"of {money(limit)}",
                hint=f"wait for the next {name}, or a person raises FALKIT_BUDGET_{name.upper()}; "
                f"{_set_aside(connection, backend, since, besides)}nothing was submitted",
            )


def _set_aside(
    connection: sqlite3.Connection, backend: BackendName, since: datetime, besides: str
) -> str:
    """Return what jobs that wait for a person keep of a budget, and how to free it, if any do."""
    (amount,) = connection.execute(
        "SELECT COALESCE(SUM(amount), 0) FROM jobs WHERE backend = ? AND counted >= ?"
        " AND state = 'held' AND (? = '' OR (job_id != ? AND whole != ?))",
        (backend, milliseconds(since), besides, besides, besides),
    ).fetchone()
    if not amount:
        return ""
    dollars = money(Decimal(int(amount)) / NANO)
    return f"jobs that wait for a person keep {dollars} of it (list_jobs with state held); "


def _check_model(
    connection: sqlite3.Connection,
    backend: BackendName,
    budget: ModelBudget,
    models: Sequence[tuple[str, Decimal]],
    when: tuple[datetime, str],
) -> None:
    """Refuse the shares of those *models* that *budget* is for where it does not allow them.

    Raises:
        OverBudgetError: it does not.
    """
    now, besides = when
    shares = [high for endpoint_id, high in models if budget.is_for(endpoint_id)]
    hint = "a person changes FALKIT_BUDGET_MODELS; nothing was submitted"
    if budget.period == "job":
        if shares and max(shares) > budget.dollars:
            raise OverBudgetError(
                f"this costs up to {money(max(shares))}, over the limit of {money(budget.dollars)} "
                f"for one job of {budget.pattern}",
                hint=f"make it cheaper, or {hint}",
            )
        return
    high = sum(shares, Decimal(0))
    if high <= 0:
        return
    spent = counted_for(connection, backend, budget, now, besides=besides)
    if nanodollars(spent + high) > nanodollars(budget.dollars):
        raise OverBudgetError(
            f"this costs up to {money(high)}, but {money(max(budget.dollars - spent, Decimal(0)))} "
            f"is left of the {budget.period}'s budget of {money(budget.dollars)} for "
            f"{budget.pattern}",
            hint=f"wait for the next {budget.period}, or {hint}",
        )


def money(dollars: Decimal) -> str:
    """Return *dollars* as a person reads them: two digits, up to six for parts of a cent."""
    exact = dollars.quantize(Decimal("0.01"))
    if exact == dollars:
        return f"${exact}"
    return f"${dollars.quantize(Decimal('0.000001'), ROUND_CEILING).normalize():f}"
