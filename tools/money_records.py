"""The records of money: what is added up, and what the ledger holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from tools.job_records import BackendName, JobState


@dataclass(frozen=True, slots=True)
class SpendingQuery:
    """What to add up: jobs that count since an instant (None: all), by one of their marks."""

    since: datetime | None = None
    by: Literal["model", "day", "tag"] = "model"


@dataclass(frozen=True, slots=True)
class SpendingRow:
    """Dollars of the *jobs* that share a mark: settled, and reserved for what is unfinished.

    *unknown* counts jobs without a known price, which add nothing to the sums.
    """

    name: str
    jobs: int
    spent: Decimal
    reserved: Decimal
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class Spending:
    """What went and what may still go, in dollars; the emulator's amounts are simulated.

    *limits* holds what a person has set (``job``, ``day``, ``month``, ``approve_above``), *left*
    what of ``day`` and ``month`` is neither spent nor reserved now, whatever period was asked for.
    """

    total: SpendingRow
    rows: tuple[SpendingRow, ...]
    limits: Mapping[str, Decimal]
    left: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One job in the ledger: when it counts, and the dollars that are spent or still reserved.

    *kind* is ``reserved``, ``estimated``, ``billed`` or ``simulated``; *dollars* None when unknown.
    """

    at: datetime
    job_id: str
    endpoint_id: str
    backend: BackendName
    state: JobState
    kind: str
    dollars: Decimal | None
    tags: tuple[str, ...]
    request_id: str


@dataclass(frozen=True, slots=True)
class Charge:
    """What fal billed for one request, in dollars; it may lag behind the request by minutes."""

    request_id: str
    endpoint_id: str
    at: datetime
    dollars: Decimal
