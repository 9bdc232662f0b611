"""Jobs as rows of the journal, both ways."""

import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any, TypedDict, cast

from tools.ports import BackendName, Cost, Job, JobError, JobState, Output, WholeKind

NANO = Decimal(10**9)


class Fields(TypedDict, total=False):
    """What of a job may change after it was written down; see the columns of the journal."""

    request_id: str
    submitted: datetime | None
    started: datetime | None
    ended: datetime | None
    queue_position: int | None
    low: str | None  # dollars
    high: str | None
    amount: Decimal
    cost: Cost | None
    outputs: tuple[Output, ...]
    result: str | None
    logs: tuple[str, ...]
    error: JobError | None
    note: str
    saved: bool
    delivered: bool
    keep_due: datetime | None
    keep_tries: int
    search_due: datetime | None


def now_ms() -> int:
    """Return the wall clock in milliseconds since 1970: other processes read it too."""
    return time.time_ns() // 1_000_000


def instant(at: int | None) -> datetime | None:
    """Return *at*, milliseconds since 1970, as a time in UTC."""
    return None if at is None else datetime.fromtimestamp(at / 1000, UTC)


def milliseconds(at: datetime) -> int:
    """Return *at* in milliseconds since 1970."""
    return round(at.timestamp() * 1000)


def nanodollars(dollars: Decimal) -> int:
    """Return *dollars* as a whole number that sums exactly, rounded up."""
    return int((dollars * NANO).to_integral_value(ROUND_CEILING))


LARGEST = 2**63 - 1  # that a column holds


def columns(changed: Fields) -> dict[str, Any]:
    """Return *changed* as values of the columns of the same names."""
    return {name: _value(value) for name, value in changed.items()}


def job_of(row: sqlite3.Row) -> Job:
    """Return the job that *row* (all columns of `jobs`) holds."""
    return Job(
        job_id=row["job_id"],
        state=cast("JobState", row["state"]),
        endpoint_id=row["endpoint_id"],
        backend=cast("BackendName", row["backend"]),
        account=row["account"],
        origin=row["origin"],
        arguments=json.loads(row["arguments"]),
        created=datetime.fromtimestamp(row["created"] / 1000, UTC),
        saved=bool(row["saved"]),
        request_id=row["request_id"],
        estimate_low=None if row["low"] is None else Decimal(row["low"]),
        estimate_high=None if row["high"] is None else Decimal(row["high"]),
        cost=_cost(row["cost"]),
        submitted=instant(row["submitted"]),
        started=instant(row["started"]),
        ended=instant(row["ended"]),
        queue_position=row["queue_position"],
        outputs=tuple(_output(entry) for entry in json.loads(row["outputs"])),
        logs=tuple(json.loads(row["logs"])),
        error=None if row["error"] is None else JobError(**json.loads(row["error"])),
        note=row["note"],
        parents=tuple(json.loads(row["parents"])),
        tags=tuple(json.loads(row["tags"])),
        asked_by=row["asked_by"],
        delivered=bool(row["delivered"]),
        kind=cast("WholeKind", row["kind"]),
        whole=row["whole"],
        place=row["place"],
        name=row["name"],
        seed=_seed(row["result"]),
    )


def packed(value: object) -> str:
    """Return *value* as JSON that is equal for equal values."""
    return whole_letters(
        json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=_plain)
    )


def whole_letters(text: str) -> str:
    """Return *text* with ``?`` for every half of a letter, which has no place in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def search_words(endpoint_id: str, arguments: Mapping[str, Any], tags: tuple[str, ...]) -> str:
    """Return what a search by text looks through: names and short values, case folded."""
    found = [endpoint_id, *tags]

    def walk(value: object) -> None:
        if isinstance(value, Mapping):
            for inner in cast("Mapping[str, object]", value).values():
                walk(inner)
        elif isinstance(value, list | tuple):
            for inner in cast("list[object]", value):
                walk(inner)
        elif isinstance(value, str) and value.startswith("data:"):
            return
        elif value is not None:
            found.append(str(value))

    walk(arguments)
    return "\n".join(found).casefold()


def _value(value: object) -> object:
    match value:
        case bool():
            return int(value)
        case int():
            return max(-LARGEST, min(value, LARGEST))
        case str():
            return whole_letters(value)
        case Decimal():
            return nanodollars(value)
        case datetime():
            return milliseconds(value)
        case Cost() | JobError():
            return packed(_spare(value))
        case tuple():
            entries = cast("tuple[object, ...]", value)
            return packed([_spare(one) if isinstance(one, Output) else one for one in entries])
        case _:
            return value


def _spare(record: Output | Cost | JobError) -> dict[str, object]:
    """Return the fields of *record* that say something."""
    defaults = {entry.name: entry.default for entry in fields(record)}
    return {name: value for name, value in asdict(record).items() if value != defaults[name]}


def _plain(value: object) -> object:
    match value:
        case Decimal():
            return str(value)
        case datetime():
            return value.isoformat()
        case Mapping():
            return dict(cast("Mapping[str, object]", value))
        case _:
            return str(value)


_OUTPUT_FIELDS = frozenset(entry.name for entry in fields(Output))


def _output(entry: dict[str, Any]) -> Output:
    if "expires" in entry:
        entry["expires"] = datetime.fromisoformat(entry["expires"])
    # A newer falkit on the same journal may know more of an output.
    return Output(**{name: value for name, value in entry.items() if name in _OUTPUT_FIELDS})


def _seed(result: str | None) -> int | None:
    """Return the seed that a model's output names, None where it names none."""
    if not result or '"seed"' not in result:
        return None
    try:
        entry: Any = json.loads(result)
    except (ValueError, RecursionError):
        return None
    seed = cast("dict[str, object]", entry).get("seed") if isinstance(entry, dict) else None
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None


def _cost(text: str | None) -> Cost | None:
    if text is None:
        return None
    entry: dict[str, Any] = {"dollars": None, **json.loads(text)}
    for name in ("dollars", "units"):
        if entry.get(name) is not None:
            entry[name] = Decimal(entry[name])
    return Cost(**entry)
