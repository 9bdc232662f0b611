"""The ledger: what was reserved and settled, and whether more fits the limits of a person."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal

from server.jobs.rows import NANO, milliseconds, nanodollars
from server.settings import Settings
from tools.errors import OverBudgetError
from tools.ports import BackendName


@dataclass(frozen=True, slots=True)
class Limits:
    """How many dollars may go; None does not limit."""

    job: Decimal | None
    day: Decimal | None
    month: Decimal | None

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """Return the budgets that *settings* set."""
        return cls(settings.budget_job, settings.budget_day, settings.budget_month)


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


def check_budgets(
    connection: sqlite3.Connection,
    backend: BackendName,
    high: Decimal,
    limits: Limits,
    *,
    now: datetime,
    besides: str = "",
) -> None:
    """Refuse *high* dollars more on *backend* where a limit does not allow them.

    It reads what other processes reserved, so it belongs into the transaction that reserves.

    Raises:
        OverBudgetError: it names the price, the limit and what is left.
    """
    if limits.job is not None and high > limits.job:
        raise OverBudgetError(
            f"this costs up to {money(high)}, over the limit of {money(limits.job)} for one job",
            hint="make it cheaper, or a person raises FALKIT_BUDGET_JOB; nothing was sent",
        )
    if high <= 0:
        return
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
                "nothing was sent",
            )


def money(dollars: Decimal) -> str:
    """Return *dollars* as a person reads them: two digits, up to six for parts of a cent."""
    exact = dollars.quantize(Decimal("0.01"))
    if exact == dollars:
        return f"${exact}"
    return f"${dollars.quantize(Decimal('0.000001'), ROUND_CEILING).normalize():f}"
