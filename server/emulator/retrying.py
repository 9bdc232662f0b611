"""When the platform itself tries a queued request again, and how long it waits before it does."""

from collections.abc import Mapping
from typing import Any, Literal, cast

from starlette.datastructures import Headers

from server.emulator.reading import read_json
from server.emulator.rows import Outcome, Row

MOST_ATTEMPTS = 10  # in total (documented)
FIRST_GAP, LONGEST_GAP = 0.5, 30.0  # seconds, doubled after each attempt

Trouble = Literal["server_error", "timeout", "connection_error"]
TROUBLES: tuple[Trouble, ...] = ("server_error", "timeout", "connection_error")

CONNECTION = frozenset(
    {
        "runner_connection_timeout",
        "runner_disconnected",
        "runner_connection_refused",
        "runner_connection_error",
        "runner_incomplete_response",
    }
)


def wishes(headers: Headers) -> dict[str, Any]:
    """Return what the headers of a submit say of retries, as options of its row.

    ``X-Fal-No-Retry`` wins over ``X-Fal-Retry-Config``, of which what cannot be read is ignored.
    fal heeds the latter on the caller's own applications only; here it holds for every endpoint.
    """
    if headers.get("x-fal-no-retry", "").strip().lower() in ("1", "true", "yes"):
        return {"retries": dict.fromkeys(TROUBLES, 0)}
    try:
        given: Any = read_json(headers.get("x-fal-retry-config", "null"))
    except ValueError:
        return {}
    if not isinstance(given, dict):
        return {}
    limits: dict[str, int] = {}
    for trouble in TROUBLES:
        entry: Any = cast("Mapping[str, Any]", given).get(trouble)
        retries: Any = (
            cast("Mapping[str, Any]", entry).get("retries") if isinstance(entry, dict) else None
        )
        if isinstance(retries, int) and not isinstance(retries, bool) and retries >= 0:
            limits[trouble] = retries
    return {"retries": limits} if limits else {}


def trouble_of(outcome: Outcome) -> Trouble | None:
    """Return what kind of trouble makes *outcome* worth another attempt, None if it is not.

    503 and 504 are, and a broken link to the runner; 500, 502, 429 only where the application asks
    for it (``X-Fal-Needs-Retry``).
    """
    status = outcome.status_code
    if outcome.no_retry:
        return None
    if outcome.error_type in CONNECTION:
        return "connection_error"
    if status == 504:
        return "timeout"
    if status == 503 or (outcome.needs_retry and (status >= 500 or status == 429)):
        return "server_error"
    return None


def gap_before_retry(row: Row, outcome: Outcome, speed: float) -> float | None:
    """Return the seconds after which *row* is tried again, None if this *outcome* is its end.

    Calls that wait for their output are never tried again. *speed* is that of the clock.
    """
    trouble = trouble_of(outcome)
    if trouble is None or row.options.get("direct"):
        return None
    limits: Mapping[str, int] = row.options.get("retries", {})
    if row.attempts >= min(MOST_ATTEMPTS, limits.get(trouble, MOST_ATTEMPTS) + 1):
        return None
    gap = min(FIRST_GAP * 2 ** (row.attempts - 1), LONGEST_GAP)
    return gap / speed if speed else 0.0
