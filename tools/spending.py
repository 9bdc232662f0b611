"""What was spent, is reserved and is left."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Literal

from pydantic import Field

from catalog.history import drift, drift_words
from tools.list_jobs import since
from tools.ports import BackendName, Call, Spending, SpendingQuery, SpendingRow
from tools.tool import Answer, Arguments, Result, Tool, Unlisted

ROWS_SHOWN = 30
PERIODS: Mapping[str, str] = {
    "today": "today",
    "day": "today",
    "yesterday": "since yesterday",
    "week": "this week",
    "month": "this month",
    "year": "this year",
    "all": "in all",
    "total": "in all",
    "ever": "in all",
}
DRIFTS_SOUGHT = 10
ENDS: Mapping[str, str] = {"day": "today", "month": "this month"}


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
    asked = arguments.period.strip().lower().removeprefix("this ") or "month"
    said = PERIODS.get(asked) or f"since {arguments.period.strip()}"
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
        name=row.name or "(no tag)",
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
    said = [f"{period}: {money(found.total.spent)} spent in {jobs}"]
    if found.total.reserved:
        said.append(f"{money(found.total.reserved)} set aside for what is not over")
    said += left_words(found)
    rows = [
        f"{row.name}: {money(row.spent)} in {row.jobs} {'job' if row.jobs == 1 else 'jobs'}"
        + (f", {money(row.reserved)} set aside" if row.reserved else "")
        for row in view.rows
    ]
    return ["; ".join(said), *rows, *view.notes]


def left_words(found: Spending) -> list[str]:
    """Return what is left of each budget, in words; never more than there is."""
    told: list[str] = []
    for name in sorted(found.left, key=lambda name: (name not in ENDS, name)):
        left = money(max(found.left[name], Decimal(0)), rounding=ROUND_FLOOR)
        end = ENDS.get(name, f"for {name}")
        told.append(f"{left} of {money(found.limits[name])} left {end}")
    return told


def money(dollars: Decimal | float, *, rounding: str = ROUND_HALF_UP) -> str:
    """Return *dollars* to the cent; below one dollar to at most six digits behind the point."""
    exact = Decimal(str(dollars))
    digits = Decimal("0.01") if abs(exact) >= 1 else Decimal("0.000001")
    shown = exact.quantize(digits, rounding)
    return f"${shown:f}".removesuffix(".00") if abs(exact) >= 1 else f"${shown.normalize():f}"


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
