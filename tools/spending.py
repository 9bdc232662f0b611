"""What was spent, is reserved and is left."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal

from pydantic import Field

from catalog.history import drift, drift_words
from tools.list_jobs import since
from tools.ports import BackendName, Call, Spending, SpendingQuery, SpendingRow
from tools.tool import Answer, Arguments, Result, Tool, Unlisted

ROWS_SHOWN = 30
PERIODS = ("today", "day", "week", "month", "year", "all")
DRIFTS_SOUGHT = 10


class SpendingArguments(Arguments):
    """Which time, and how it is divided."""

    period: str = Field(
        default="month", description="today, week, month (default), all, or a start: 7d"
    )
    by: Literal["model", "day", "tag"] = Field(
        default="model", description="How to divide it, default model"
    )


class SpentRow(Result):
    """Dollars of one model, day or tag."""

    name: str
    jobs: int
    spent: float
    reserved: Unlisted[float] = 0


class SpendingView(Result):
    """Dollars in the period; `left` of the budgets of day and month as of now."""

    spent: float
    reserved: float
    left: dict[str, float]
    limits: dict[str, float]
    rows: list[SpentRow]
    notes: Unlisted[list[str]] = []


async def spending(call: Call, arguments: SpendingArguments) -> Answer:
    """Return the ledger of the backend in use, added up."""
    start = start_of(arguments.period)
    found = await call.rooms.jobs.spending(SpendingQuery(start, arguments.by))
    drifts = await _drifts(call, found.rows[:DRIFTS_SOUGHT]) if arguments.by == "model" else []
    view = SpendingView(
        spent=float(found.total.spent),
        reserved=float(found.total.reserved),
        left={name: float(dollars) for name, dollars in found.left.items()},
        limits={name: float(dollars) for name, dollars in found.limits.items()},
        rows=[_shown(row) for row in found.rows[:ROWS_SHOWN]],
        notes=[*_notes(call.rooms.backend, found), *drifts, *await _billed(call, start)],
    )
    said = arguments.period.strip() or "month"
    said = said if said.lower() in PERIODS else f"since {said}"
    return Answer(view, "\n".join(_lines(found, view, said)))


async def _billed(call: Call, start: datetime | None) -> Sequence[str]:
    """Return where the platform's bill says otherwise, where there is one."""
    return await call.rooms.bill(start) if call.rooms.bill is not None else ()


def start_of(period: str) -> datetime | None:
    """Return when *period* began, at local midnight for days and months; None for all time.

    Raises:
        ActionableError: it is no period.
    """
    word = period.strip().lower().removeprefix("this ")
    today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    match word:
        case "all" | "total" | "ever":
            return None
        case "month" | "":
            return today.replace(day=1, tzinfo=None).astimezone()
        case "year":
            return today.replace(month=1, day=1, tzinfo=None).astimezone()
        case "day":
            return since("today")
        case _:
            return since(word, named="period", takes="today, week, month, year, all, ")


def _shown(row: SpendingRow) -> SpentRow:
    return SpentRow(
        name=row.name or "(none)",
        jobs=row.jobs,
        spent=float(row.spent),
        reserved=float(row.reserved),
    )


def _notes(backend: BackendName, found: Spending) -> list[str]:
    notes: list[str] = []
    if backend == "emulator":
        notes.append("simulated: the emulator charges nothing")
    if found.total.unknown:
        notes.append(f"{found.total.unknown} jobs of unknown price are not in the sums")
    if len(found.rows) > ROWS_SHOWN:
        notes.append(f"{len(found.rows) - ROWS_SHOWN} more rows; `falkit spending --csv` has all")
    return notes


async def _drifts(call: Call, rows: Sequence[SpendingRow]) -> list[str]:
    """Return which of the dearest models are billed otherwise than estimated."""
    said: list[str] = []
    for row in rows:
        factor = drift(await call.rooms.jobs.past_runs(row.name))
        if factor is not None:
            said.append(f"{row.name}: {drift_words(factor)}")
    return said[:3]


def _lines(found: Spending, view: SpendingView, period: str) -> list[str]:
    jobs = "1 job" if found.total.jobs == 1 else f"{found.total.jobs} jobs"
    said = [f"{period}: {_money(found.total.spent)} spent in {jobs}"]
    if found.total.reserved:
        said.append(f"{_money(found.total.reserved)} reserved")
    for name in ("day", "month"):
        if name in found.left:
            limit = _money(found.limits[name])
            said.append(f"{_money(found.left[name])} of {limit} left this {name}")
    said += [
        f"{_money(found.left[name])} of {_money(found.limits[name])} left for {name}"
        for name in sorted(found.left.keys() - {"day", "month"})
    ]
    rows = [
        f"{row.name}: ${row.spent:g} in {row.jobs}"
        + (f", ${row.reserved:g} reserved" if row.reserved else "")
        for row in view.rows
    ]
    return ["; ".join(said), *rows, *view.notes]


def _money(dollars: Decimal) -> str:
    return f"${float(dollars):g}"


SPENDING = Tool(
    name="spending",
    title="Spending",
    description=(
        'Dollars spent, reserved and left of the budgets. Example: {"period":"month","by":"model"}'
    ),
    toolset="follow",
    arguments=SpendingArguments,
    result=SpendingView,
    run=spending,
    reads_only=True,
    open_world=False,
)
