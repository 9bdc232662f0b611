"""Reconciling: the ledger beside fal's own bill, request by request."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Protocol

from server.jobs.ledger import money
from tools.money_records import Charge, LedgerEntry

# Prices have up to six digits; less than that is rounding.
LEAST = Decimal("0.000001")
ROWS_SHOWN = 20
BRIEF_ROWS = 2
# fal answers with at most so many days of its bill (its specification of 2026).
BILL_DAYS = 90


@dataclass(frozen=True, slots=True)
class Difference:
    """A job whose dollars in the ledger (None: not known) are not those that fal billed."""

    job_id: str
    request_id: str
    endpoint_id: str
    here: Decimal | None
    billed: Decimal


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The ledger beside the bill.

    *agreed* jobs have equal dollars on both sides. *unbilled* ended here and are not on the bill
    (yet). *foreign* is what the account paid, by model, for requests that this journal does not
    know: other machines, other programs.
    """

    agreed: int
    here: Decimal
    billed: Decimal
    differences: tuple[Difference, ...]
    unbilled: tuple[LedgerEntry, ...]
    foreign: dict[str, tuple[int, Decimal]]


class Books(Protocol):
    """Where the ledger and the bill are read."""

    @property
    def entries(self) -> Callable[[datetime | None], Awaitable[Sequence[LedgerEntry]]]: ...
    @property
    def charges(self) -> Callable[[datetime], Awaitable[Sequence[Charge]]]: ...


async def beside_the_bill(books: Books, start: datetime | None) -> Reconciled:
    """Return how the ledger since *start* and fal's bill fit; fal tells of `BILL_DAYS` at most.

    Raises:
        UnauthorisedError: the key may not read the bill.
        FalError: it cannot be had.
    """
    earliest = datetime.now(UTC) - timedelta(days=BILL_DAYS - 1)
    since = earliest if start is None else max(start, earliest)
    return reconciled(await books.entries(since), await books.charges(since))


def reconciled(entries: Sequence[LedgerEntry], charges: Sequence[Charge]) -> Reconciled:
    """Return how *entries* of the ledger and *charges* of the bill fit, for the same time."""
    billed: defaultdict[str, Decimal] = defaultdict(Decimal)
    for charge in charges:
        billed[charge.request_id] += charge.dollars
    known = {entry.request_id: entry for entry in entries if entry.request_id}
    differences: list[Difference] = []
    agreed = 0
    for request_id, entry in known.items():
        if request_id not in billed:
            continue
        dollars = billed[request_id]
        if entry.dollars is not None and abs(entry.dollars - dollars) < LEAST:
            agreed += 1
            continue
        differences.append(
            Difference(entry.job_id, request_id, entry.endpoint_id, entry.dollars, dollars)
        )
    foreign: dict[str, tuple[int, Decimal]] = {}
    for charge in charges:
        if charge.request_id not in known:
            count, dollars = foreign.get(charge.endpoint_id, (0, Decimal(0)))
            foreign[charge.endpoint_id] = (count + 1, dollars + charge.dollars)
    return Reconciled(
        agreed=agreed,
        here=sum((entry.dollars or Decimal(0) for entry in known.values()), Decimal(0)),
        billed=sum(
            (billed[request_id] for request_id in known if request_id in billed), Decimal(0)
        ),
        differences=tuple(sorted(differences, key=_size, reverse=True)),
        unbilled=tuple(
            entry
            for request_id, entry in known.items()
            if request_id not in billed and entry.state == "done" and entry.dollars
        ),
        foreign=dict(sorted(foreign.items(), key=lambda item: item[1][1], reverse=True)),
    )


def words(found: Reconciled) -> list[str]:
    """Return *found* as lines for a person; the largest differences first."""
    lines = [
        f"{_count(found.agreed, 'job')} as fal's bill has it; {money(found.here)} here, "
        f"{money(found.billed)} billed for the jobs of this journal"
    ]
    for one in found.differences[:ROWS_SHOWN]:
        here = "unknown here" if one.here is None else f"{money(one.here)} here"
        lines.append(f"{one.job_id} {one.endpoint_id}: {here}, {money(one.billed)} billed")
    if len(found.differences) > ROWS_SHOWN:
        lines.append(f"{len(found.differences) - ROWS_SHOWN} more differ by less")
    if found.unbilled:
        total = sum((entry.dollars or Decimal(0) for entry in found.unbilled), Decimal(0))
        lines.append(
            f"{_count(len(found.unbilled), 'job')} of {money(total)} not on the bill: it lags "
            "behind, or nothing was charged"
        )
    for endpoint_id, (count, dollars) in list(found.foreign.items())[:ROWS_SHOWN]:
        lines.append(
            f"{endpoint_id}: {money(dollars)} billed for {_count(count, 'request')} that this "
            "journal does not know"
        )
    return lines


def brief(found: Reconciled) -> list[str]:
    """Return in a few lines where the bill says otherwise; nothing where it does not."""
    lines = [
        f"fal billed {money(one.billed)} for {one.job_id} ({one.endpoint_id}), the ledger has "
        + ("no price" if one.here is None else money(one.here))
        for one in found.differences[:BRIEF_ROWS]
    ]
    if len(found.differences) > BRIEF_ROWS:
        lines.append(f"{len(found.differences) - BRIEF_ROWS} more jobs were billed otherwise")
    if found.foreign:
        count = sum(count for count, _ in found.foreign.values())
        dollars = sum((dollars for _, dollars in found.foreign.values()), Decimal(0))
        lines.append(
            f"fal billed {money(dollars)} for {_count(count, 'request')} that this journal does "
            "not know"
        )
    return [*lines, "`falkit spending --reconcile` has all of it"] if lines else []


def _size(one: Difference) -> Decimal:
    return abs(one.billed - (one.here or Decimal(0)))


def _count(count: int, thing: str) -> str:
    return f"1 {thing}" if count == 1 else f"{count} {thing}s"
