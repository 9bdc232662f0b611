"""`History`: the account's requests as the platform API lists them."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.emulator.shelf import with_base
from server.emulator.store import Store
from server.emulator.telling import instant

STATUS_RULES: Mapping[str, str] = {
    "success": "status_code < 400",
    "user_error": "status_code BETWEEN 400 AND 499",
    "error": "status_code >= 500",
}
ORDERS: Mapping[str, str] = {
    "ended_at": "COALESCE(ended, 1e12) DESC, created DESC",
    "duration": "COALESCE(ended - started, -1) DESC, created DESC",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests to list: those submitted from *start* to before *end* (Unix seconds)."""

    endpoint_ids: Sequence[str]
    start: float
    end: float
    status: str = ""
    request_id: str = ""
    sort_by: str = "ended_at"
    payloads: bool = False
    limit: int = 50
    offset: int = 0


def listed(store: Store, wanted: Wanted, base: str) -> tuple[list[dict[str, Any]], bool]:
    """Return a page of requests, and whether more follow; call it through `Store.do`.

    A request that is still under way is listed without an end, which is how a caller who lost the
    answer to a submit finds it.
    """
    rules = ["created >= ?", "created < ?"]
    given: list[Any] = [wanted.start, wanted.end]
    rules.append(f"endpoint_id IN ({', '.join('?' * len(wanted.endpoint_ids))})")
    given.extend(wanted.endpoint_ids)
    if wanted.request_id:
        rules.append("id = ?")
        given.append(wanted.request_id)
    if wanted.status:
        rules.append(STATUS_RULES[wanted.status])
    found = store.reading().execute(
        f"SELECT * FROM requests WHERE {' AND '.join(rules)}"  # noqa: S608  # fixed words only
        f" ORDER BY {ORDERS[wanted.sort_by]} LIMIT ? OFFSET ?",
        (*given, wanted.limit + 1, wanted.offset),
    )
    rows = found.fetchall()
    return [_item(row, base, wanted.payloads) for row in rows[: wanted.limit]], len(
        rows
    ) > wanted.limit


def _item(row: Any, base: str, payloads: bool) -> dict[str, Any]:  # noqa: ANN401  # a row
    started, ended = row["started"] or row["created"], row["ended"]
    item: dict[str, Any] = {
        "request_id": row["id"],
        "endpoint_id": row["endpoint_id"],
        "started_at": instant(started),
        "sent_at": instant(row["created"]),
        "ended_at": None if ended is None else instant(ended),
        "status_code": row["status_code"],
        "duration": None if ended is None else round(max(0.0, ended - started), 3),
    }
    if payloads and json.loads(row["options"]).get("store_io", True):
        output = None if row["output"] is None else json.loads(row["output"])
        item["json_input"] = json.loads(row["input"])
        item["json_output"] = with_base(output, f"{base}/cdn")
    return item


def cursor_of(offset: int) -> str:
    """Return an opaque cursor for the page that begins at *offset*."""
    return base64.b64encode(str(offset).encode()).decode()


def offset_of(cursor: str) -> int:
    """Return where the page of *cursor* begins.

    Raises:
        ValueError: it is none of ours.
    """
    try:
        offset = int(base64.b64decode(cursor, validate=True).decode()) if cursor else 0
    except (binascii.Error, UnicodeDecodeError, ValueError):
        offset = -1
    if offset < 0:
        raise ValueError("cursor is not one of ours")
    return offset
