"""`measured`: counts and durations of requests under the platform API's names."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

_FAILURES: Mapping[str, frozenset[str]] = {
    "startup_error_count": frozenset({"startup_timeout", "runner_scheduling_failure"}),
    "connection_error_count": frozenset(
        {
            "runner_connection_timeout",
            "runner_disconnected",
            "runner_connection_refused",
            "runner_connection_error",
            "runner_incomplete_response",
        }
    ),
    "timeout_error_count": frozenset({"request_timeout", "generation_timeout"}),
    "runtime_error_count": frozenset(
        {"runner_server_error", "internal_server_error", "internal_error"}
    ),
}
_PERCENTILES: Mapping[str, tuple[int, ...]] = {
    "prepare_duration": (50, 75, 90, 95, 99),
    "duration": (25, 50, 75, 90, 95, 99),
    "cold_boot_duration": (50, 75, 90),
}
METRICS: tuple[str, ...] = (
    "request_count",
    "success_count",
    "user_error_count",
    "error_count",
    *(f"p{share}_{name}" for name, shares in _PERCENTILES.items() for share in shares),
    *_FAILURES,
    "cold_boot_count",
    "total_billable_duration",
)


def measured(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> dict[str, Any]:
    """Return *metrics* of *rows* of the table of requests.

    Durations are in seconds: ``prepare`` is the time before execution. A percentile of nothing is
    left out. The emulator's runners are always warm, so there are no cold boots.
    """
    told: dict[str, Any] = {}
    for metric in metrics:
        value = _measure(rows, metric)
        if value is not None:
            told[metric] = value
    return told


def _measure(rows: Sequence[Mapping[str, Any]], metric: str) -> float | None:
    if metric.startswith("p") and metric[1:3].isdecimal():
        return percentile(_durations(rows, metric[4:]), int(metric[1:3]))
    if metric == "total_billable_duration":
        billed = [row for row in rows if (row["units"] or 0) > 0]
        return round(sum(_durations(billed, "duration")), 4)
    return sum(map(_COUNTED[metric], rows))


def _durations(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    if name == "cold_boot_duration":
        return []
    first, last = ("created", "started") if name == "prepare_duration" else ("started", "ended")
    return [
        max(0.0, row[last] - row[first])
        for row in rows
        if row[first] is not None and row[last] is not None
    ]


def percentile(values: Sequence[float], share: int) -> float | None:
    """Return the value under which *share* per cent of *values* lie, interpolated."""
    if not values:
        return None
    ordered = sorted(values)
    place = (len(ordered) - 1) * share / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return round(ordered[low] + (ordered[high] - ordered[low]) * (place - low), 4)


def _of_types(types: frozenset[str]) -> Callable[[Mapping[str, Any]], bool]:
    return lambda row: row["error_type"] in types


def _between(least: int, below: int) -> Callable[[Mapping[str, Any]], bool]:
    return lambda row: row["status_code"] is not None and least <= row["status_code"] < below


_COUNTED: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "request_count": lambda _: True,
    "success_count": _between(200, 400),
    "user_error_count": _between(400, 500),
    "error_count": _between(500, 600),
    "cold_boot_count": lambda _: False,
    **{name: _of_types(types) for name, types in _FAILURES.items()},
}
