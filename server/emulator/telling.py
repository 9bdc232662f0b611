"""Say where a request stands: the bodies of submit, status and result."""

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from server.emulator.answers import failure_headers, json_answer
from server.emulator.rows import Log, Row
from server.emulator.shelf import CDN, raw_in, with_base
from server.emulator.skew import SKEW

RESULT_SECONDS = 3600.0  # how long a result lives without payload storage (documented)
LARGE_RESULT_SECONDS = 360.0  # the same, from 10 KB on
LARGE_RESULT_BYTES = 10_240
STEPS_AHEAD = 2  # how many strangers seem to wait before a request that just came in


@dataclass(frozen=True, slots=True)
class Look:
    """One reading of a request: its row, its log lines and how many wait before it."""

    row: Row
    logs: Sequence[Log]
    ahead: int


def lifetime(row: Row) -> float:
    """Return how many seconds the result of *row* lives after its end without payload storage."""
    large = len(json.dumps(row.output)) >= LARGE_RESULT_BYTES
    return LARGE_RESULT_SECONDS if large else RESULT_SECONDS


def is_expired(row: Row) -> bool:
    """Return whether the result of a request without payload storage is gone, or was deleted."""
    if row.options.get("deleted"):
        return True
    if row.options.get("store_io", True) or row.ended is None:
        return False
    return time.time() - row.ended > lifetime(row)


def gateway_id(row: Row) -> str:
    """Return the id of the last attempt: the request's own, another one after each retry."""
    if row.attempts <= 1:
        return row.request_id
    return str(uuid.uuid5(uuid.UUID(row.request_id), str(row.attempts)))


def instant(seconds: float) -> str:
    """Return a time of the Unix epoch as fal writes it, such as ``2026-01-01T00:00:00.000Z``.

    A clock that goes wrong shows here; what is kept is true.
    """
    text = datetime.fromtimestamp(seconds + SKEW.get(), UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def addresses(row: Row, base: str) -> dict[str, str]:
    """Return the three URLs of a request, absolute, under the base that the caller used."""
    url = f"{base}/queue/{row.app}/requests/{row.request_id}"
    return {"response_url": url, "status_url": f"{url}/status", "cancel_url": f"{url}/cancel"}


def position(look: Look, now: float) -> int:
    """Return the place in the queue, from 0: those before it, and strangers who seem to be."""
    row = look.row
    total = row.ready - row.created
    left = max(0.0, row.ready - now)
    return look.ahead + (round(left / total * STEPS_AHEAD) if total > 0 else 0)


def status_body(look: Look, base: str, now: float, *, with_logs: bool) -> dict[str, Any]:
    """Return what a status read says.

    ``logs`` is always there once a request runs, null unless asked for: released clients index it.
    """
    row = look.row
    body: dict[str, Any] = {
        "status": row.state,
        "request_id": row.request_id,
        **addresses(row, base),
    }
    if row.state == "IN_QUEUE":
        return {**body, "queue_position": position(look, now)}
    body["logs"] = [log_entry(log) for log in look.logs] if with_logs else None
    if row.state == "COMPLETED":
        body["metrics"] = {"inference_time": inference_time(row)}
        if row.error is not None:
            body["error"] = row.error
            body["error_type"] = row.error_type
    return body


def log_entry(log: Log) -> dict[str, str]:
    """Return one line of a log as it goes over the wire."""
    return {
        "timestamp": instant(log.at),
        "level": log.level,
        "source": "USER",
        "message": log.message,
    }


def inference_time(row: Row) -> float | None:
    """Return the seconds that the request was worked on, None when it never was."""
    if row.started is None or row.ended is None:
        return None
    return round(max(0.0, row.ended - row.started), 4)


def result_answer(row: Row, base: str) -> Response:
    """Return the result of a request that is over: the model's own status and body."""
    units = f"{row.units or 0.0:.6f}".rstrip("0").rstrip(".")
    headers = {**result_headers(row), "x-fal-billable-units": units}
    status = row.status_code or 500
    if status >= 400:
        timed_out = row.error_type == "startup_timeout"
        headers |= failure_headers(
            status,
            row.error_type,
            user_timeout=timed_out,
            needs_retry=bool(row.options.get("needs_retry")),
        )
    if (raw := raw_in(row.output)) is not None:
        body, kind = raw
        if kind.startswith("text/"):
            body = body.replace(CDN.encode(), f"{base}/cdn".encode())
        return Response(body, status, {**headers, "content-type": kind})
    return json_answer(with_base(row.output, f"{base}/cdn"), status, headers)


def result_headers(row: Row) -> dict[str, str]:
    """Return what is known of an output before it is there."""
    return {"x-fal-request-id": row.request_id, "x-fal-served-from": "emulator"}


def asks_for_logs(query: Mapping[str, str]) -> bool:
    """Return whether ``logs`` is set: Python says ``true``, JavaScript says ``1``."""
    return query.get("logs", "").lower() in ("true", "1")
