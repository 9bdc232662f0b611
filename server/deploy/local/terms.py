"""What an app says of its requests and of its health, read from its settings."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from server.deploy.local.cards import find_app, split_id
from server.deploy.local.registry import settings_from
from server.emulator.hosted import Terms, is_hosted
from server.emulator.retrying import TROUBLES
from tools.deploy_records import AppSettings

# What fal applies where a health check says nothing (fal 1.83, `HealthCheck`).
START_SECONDS, TIMEOUT_SECONDS, FAILURES = 30.0, 5.0, 3


@dataclass(frozen=True, slots=True)
class Health:
    """How an app wants to be asked whether it is well.

    Asked *regularly*, a runner is unhealthy after *failures* in a row that take *timeout* seconds
    or answer no 2xx, once it has lived for *start* seconds.
    """

    path: str
    method: str = "POST"
    start: float = START_SECONDS
    timeout: float = TIMEOUT_SECONDS
    failures: int = FAILURES
    regularly: bool = True


def terms_of(settings: AppSettings) -> Terms:
    """Return what *settings* say of requests in the queue.

    A condition that is skipped is not tried again whatever else is said of it; a wait of 0 clears
    the limit (fal 1.83, `fal.App`).
    """
    told = {**_numbers(settings.retry_config), **dict.fromkeys(settings.skip_retry_conditions, 0)}
    retries = {name: max(0, told[name]) for name in TROUBLES if name in told}
    return Terms(float(settings.request_start_timeout or 0) or None, retries)


def health_of(settings: AppSettings) -> Health | None:
    """Return how an app with *settings* is asked; None where it defines no health check.

    Its time to start is never less than its ``startup_timeout`` (fal 1.83, `HealthCheck`).
    """
    told = dict(entry.split("=", 1) for entry in settings.health_check if "=" in entry)
    if not told.get("path", "").startswith("/"):
        return None
    numbers = _numbers(settings.health_check)
    return Health(
        told["path"],
        told.get("method", "POST").upper(),
        max(numbers.get("start_period_seconds", START_SECONDS), settings.startup_timeout or 0),
        float(max(1, numbers.get("timeout_seconds", TIMEOUT_SECONDS))),
        int(max(1, numbers.get("failure_threshold", FAILURES))),
        told.get("call_regularly") != "False",
    )


def found_terms(home: Path, name: str) -> Terms:
    """Return the terms of the app that *name* names, those of nobody where there is none."""
    found = find_app(home, split_id(name)[0]) if is_hosted(name) else None
    if found is None:
        return Terms()
    kept: Mapping[str, object] = json.loads(found["settings"])
    return terms_of(settings_from(kept))


def _numbers(entries: Sequence[str]) -> dict[str, int]:
    pairs = (entry.partition("=") for entry in entries)
    return {name: int(value) for name, _, value in pairs if value.isdecimal()}
