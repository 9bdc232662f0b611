"""`falkit spending`: what was spent and is left, or the whole ledger for other programs."""

import csv
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Literal

from catalog.errors import ActionableError
from server.cli.letters import json_text
from server.cli.shown import sums
from server.cli.speaking import print_answer
from server.fal.problems import UnauthorisedError
from server.jobs.reconciling import BILL_DAYS, beside_the_bill, words
from server.jobs.tables import cell
from server.lent import Opened
from server.rooms import open_annexe, open_catalog
from server.settings import Settings
from tools.ports import Call, LedgerEntry, Rooms
from tools.spending import SpendingArguments, spending, start_of

Form = Literal["sums", "json", "csv", "jsonl", "bill"]
PAGE = 500
COLUMNS: tuple[str, ...] = (
    "at", "job_id", "endpoint_id", "backend", "state", "kind", "dollars", "tags", "request_id",
)  # fmt: skip


async def show_spending(settings: Settings, arguments: SpendingArguments, form: Form) -> None:
    """Print the sums as the tool says them, as JSON where nobody reads along or *form* says so.

    Other forms are fal's bill beside them, or one line for each job of the period.

    Raises:
        ActionableError: the period is none, or the journal cannot be read.
    """
    start = start_of(arguments.period)
    catalog = open_catalog(settings)[0]
    async with open_annexe(settings, catalog) as rooms:
        if form in ("sums", "json"):
            lent = Rooms(catalog, rooms.jobs, rooms.media, settings.backend)
            told = await spending(Call(lent, _unheard), arguments)
            print_answer(told, as_json=form == "json", words=sums)
        elif form == "bill":
            print("\n".join(await _beside_the_bill(rooms, start)))
        elif form == "csv":
            await _write_csv(_all(rooms, start))
        else:
            async for entry in _all(rooms, start):
                print(json_text(_flat(entry) | {"tags": list(entry.tags)}))


async def _beside_the_bill(rooms: Opened, start: datetime | None) -> list[str]:
    """Return how the ledger since *start* and fal's bill fit, in lines.

    Raises:
        ActionableError: the key may not read the bill, or it cannot be had.
    """
    try:
        lines = words(await beside_the_bill(rooms, start))
    except UnauthorisedError as problem:
        raise ActionableError(
            f"this key may not read fal's bill: {problem.message}"[:300],
            hint="the ledger stands as it is; an admin key, or billing:usage:read, may compare it",
        ) from None
    if start is None or start < datetime.now(UTC) - timedelta(days=BILL_DAYS - 1):
        lines.append(f"fal tells of the last {BILL_DAYS} days only")
    return lines


async def _all(rooms: Opened, start: datetime | None) -> AsyncIterator[LedgerEntry]:
    """Yield the ledger since *start*, oldest first; a page of it is in memory at a time."""
    last: LedgerEntry | None = None
    while page := await rooms.entries(start, last, PAGE):
        for entry in page:
            yield entry
        last = page[-1]


async def _write_csv(found: AsyncIterator[LedgerEntry]) -> None:
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    async for entry in found:
        texts = {"endpoint_id": entry.endpoint_id, "tags": " ".join(entry.tags),
                 "request_id": entry.request_id}  # fmt: skip
        writer.writerow(_flat(entry) | {name: cell(text) for name, text in texts.items()})


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
