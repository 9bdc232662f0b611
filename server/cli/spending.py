"""`falkit spending`: what was spent and is left, or the whole ledger for other programs."""

import csv
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from catalog.errors import ActionableError
from server.cli.letters import json_text
from server.fal.problems import UnauthorisedError
from server.jobs.reconciling import reconciled, words
from server.lent import Opened
from server.rooms import open_annexe, open_catalog
from server.settings import Settings
from tools.ports import Call, LedgerEntry, Rooms
from tools.spending import SpendingArguments, spending, start_of

Form = Literal["text", "csv", "jsonl", "bill"]
# fal answers with at most so many days of its bill (its specification of 2026).
BILL_DAYS = 90
COLUMNS: tuple[str, ...] = (
    "at", "job_id", "endpoint_id", "backend", "state", "kind", "dollars", "tags", "request_id",
)  # fmt: skip


async def show_spending(settings: Settings, arguments: SpendingArguments, form: Form) -> None:
    """Print the sums as the tool says them, or in *form* one line for each job of the period.

    Raises:
        ActionableError: the period is none, or the journal cannot be read.
    """
    start = start_of(arguments.period)
    catalog = open_catalog(settings)[0]
    async with open_annexe(settings, catalog) as rooms:
        if form == "text":
            lent = Rooms(catalog, rooms.jobs, rooms.media, settings.backend)
            print((await spending(Call(lent, _unheard), arguments)).text)
            return
        if form == "bill":
            print("\n".join(await _beside_the_bill(rooms, start)))
            return
        found = await rooms.entries(start)
    if form == "csv":
        _write_csv(found)
    else:
        for entry in found:
            print(json_text(_flat(entry) | {"tags": list(entry.tags)}))


async def _beside_the_bill(rooms: Opened, start: datetime | None) -> list[str]:
    """Return how the ledger since *start* and fal's bill fit, in lines.

    Raises:
        ActionableError: the key may not read the bill, or it cannot be had.
    """
    earliest = datetime.now(UTC) - timedelta(days=BILL_DAYS - 1)
    since = earliest if start is None else max(start, earliest)
    try:
        charges = await rooms.charges(since)
    except UnauthorisedError as problem:
        raise ActionableError(
            f"this key may not read fal's bill: {problem.message}"[:300],
            hint="the ledger stands as it is; an admin key, or billing:usage:read, may compare it",
        ) from None
    lines = words(reconciled(await rooms.entries(since), charges))
    if start is None or start < earliest:
        lines.append(f"fal tells of the last {BILL_DAYS} days only")
    return lines


def _write_csv(found: Sequence[LedgerEntry]) -> None:
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for entry in found:
        writer.writerow(_flat(entry) | {"tags": " ".join(entry.tags)})


def _flat(entry: LedgerEntry) -> dict[str, object]:
    """Return *entry* in the order of `COLUMNS`; dollars as exact decimals in text."""
    return {
        "at": entry.at.astimezone().isoformat(timespec="seconds"),
        "job_id": entry.job_id,
        "endpoint_id": entry.endpoint_id,
        "backend": entry.backend,
        "state": entry.state,
        "kind": entry.kind,
        "dollars": None if entry.dollars is None else f"{entry.dollars:f}",
        "tags": "",
        "request_id": entry.request_id,
    }


async def _unheard(fraction: float, words: str) -> None:
    """Hear no progress: a sum has none."""
