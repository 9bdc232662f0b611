"""`CloudReader`: apps on fal as the platform API tells them, in our records."""

from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar

import anyio

from server.deploy.targets import numbers_of
from server.fal.platform import PlatformClient
from server.fal.platform_app_records import AppEvent, RunnerCount, ServerlessApp
from server.fal.platform_app_records import Revision as RevisionRecord
from server.fal.platform_calls import Period
from server.fal.problems import FalError
from tools.deploy_records import AppSettings, DeployedApp, Revision, Route

MOST_REVISIONS = 20
MOST_LOOKED_INTO = 25  # of a list of all apps
AT_ONCE = 4
MAIN = "main"
# What befell an app that callers notice; the newest decides what is said of its health.
_TROUBLES: Mapping[str, str] = {
    "runner_startup_failure": "a runner failed to start",
    "runner_failed": "a runner failed",
    "deployment_failed": "a deploy failed",
    "deployment_rolling_failed": "a rolling deploy failed; the revision before it answers",
}
_ENDS = (*_TROUBLES, "runner_started", "deployment_ended", "deployment_rolling_ended")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CloudReader:
    """Asks fal's platform API; nothing here needs `fal`."""

    platform: PlatformClient

    async def listed(self, name: str = "") -> list[ServerlessApp]:
        """Return the account's apps of the main environment, or the one of that name.

        Raises:
            BackendError: fal cannot be asked.
        """
        words = name.rpartition("/")[2]
        found = await self.platform.serverless.apps(words, routes=True)
        return [
            app
            for app in found
            if app.environment in ("", MAIN) and name in ("", app.name, app.endpoint_id)
        ]

    async def apps(self, name: str = "") -> list[DeployedApp]:
        """Return the apps with what is known of each; of many, the first 25 are looked into.

        Raises:
            BackendError: fal cannot be asked.
        """
        listed = await self.listed(name)
        told: list[DeployedApp | None] = [None] * len(listed)
        limit = anyio.CapacityLimiter(AT_ONCE)

        async def look(place: int, app: ServerlessApp) -> None:
            async with limit:
                told[place] = await self._looked_into(app, closely=bool(name))

        async with anyio.create_task_group() as tasks:
            for place, app in enumerate(listed[:MOST_LOOKED_INTO]):
                tasks.start_soon(look, place, app)
        return [told_app or _bare(app) for told_app, app in zip(told, listed, strict=True)]

    async def revisions(
        self, app: ServerlessApp, most: int = MOST_REVISIONS
    ) -> list[RevisionRecord]:
        """Return the newest deploys of an app, newest first.

        Raises:
            BackendError: fal cannot be asked.
        """
        return await _first(self.platform.serverless.revisions(app.owner, app.name), most)

    async def marked(self, name: str, plan_id: str) -> RevisionRecord | None:
        """Return the revision that carries *plan_id* in its message or annotations, or None.

        Raises:
            BackendError: fal cannot be asked.
        """
        for app in await self.listed(name):
            for revision in await self.revisions(app):
                said = revision.message.endswith(f"[{plan_id}]")  # before that are a caller's words
                if said or plan_id in revision.annotations.values():
                    return revision
        return None

    async def _looked_into(self, app: ServerlessApp, *, closely: bool) -> DeployedApp:
        revisions = await _or_none(self.revisions(app)) or []
        told = _bare(app, revisions)
        if not closely:
            return told
        serverless = self.platform.serverless
        now = datetime.now(UTC)
        recent = Period(start=now - timedelta(minutes=30), timeframe="minute")
        queued = await _or_none(serverless.queue_size(app.owner, app.name))
        history = await _or_none(serverless.runners(app.owner, app.name, recent))
        events = await _or_none(_first(serverless.events(app.owner, app.name, categories=_ENDS), 1))
        calls = await _or_none(_first(serverless.requests([app.endpoint_id]), 1))
        last = history.history[-1] if history is not None and history.history else None
        return replace(
            told,
            health=_health(last, events[0] if events else None),
            runners=_counts(last),
            queued=queued or 0,
            last_call=calls[0].sent_at if calls else None,
            seconds_billed=await _or_none(self._seconds(app, revisions)),
        )

    async def _seconds(
        self, app: ServerlessApp, revisions: Sequence[RevisionRecord]
    ) -> float | None:
        """Return the machine seconds since the current revision came; admin keys only."""
        begun = next((one.created_at for one in revisions if one.is_current), None)
        if begun is None:
            return None
        rows = await _first(
            self.platform.serverless.usage_in_sum(Period(start=begun), apps=[app.endpoint_id]), 100
        )
        return float(sum(row.quantity for row in rows if "second" in row.unit))


def _bare(app: ServerlessApp, revisions: Sequence[RevisionRecord] = ()) -> DeployedApp:
    current = next((one.revision_id for one in revisions if one.is_current), "")
    return DeployedApp(
        target="cloud",
        name=app.name,
        endpoint_id=app.endpoint_id,
        revision=current,
        auth=app.auth_mode or "private",
        settings=_settings(app),
        health="deployed",
        unknown=untold(_settings(app)),
        revisions=tuple(revision_of(one) for one in revisions),
        routes=tuple(
            Route(path=_path(endpoint, app.endpoint_id), kind="call") for endpoint in app.endpoints
        ),
    )


def _path(endpoint: str, app: str) -> str:
    return endpoint.removeprefix(app) or "/"


def _settings(app: ServerlessApp) -> AppSettings:
    def number(value: float | None) -> int | None:
        return None if value is None else int(value)

    auth = app.auth_mode
    return AppSettings(
        machine_types=(app.machine_type,) if app.machine_type else (),
        keep_alive=number(app.keep_alive),
        min_concurrency=number(app.min_concurrency),
        max_concurrency=number(app.max_concurrency),
        startup_timeout=number(app.startup_timeout),
        request_timeout=number(app.request_timeout),
        auth=auth if auth in ("public", "shared") else "private",
        regions=tuple(app.valid_regions),
    )


def untold(settings: AppSettings) -> tuple[str, ...]:
    """Return which settings of an app neither of fal's interfaces told."""
    base = AppSettings(machine_types=())
    told = [
        each.name
        for each in fields(AppSettings)
        if getattr(settings, each.name) != getattr(base, each.name)
    ]
    known = {*told, "auth"} | ({"regions"} if settings.machine_types else set[str]())
    return tuple(each.name for each in fields(AppSettings) if each.name not in known)


def settings_of_alias(alias: Mapping[str, Any]) -> AppSettings:
    """Return the settings of an app as fal's control plane tells them (`AliasInfo` of `fal`)."""
    auth = str(alias.get("auth_mode") or "").lower()

    return AppSettings(
        machine_types=tuple(map(str, alias.get("machine_types") or ())),
        auth=auth if auth in ("public", "shared") else "private",
        regions=tuple(map(str, alias.get("valid_regions") or ())),
        **numbers_of(alias),
    )


def revision_of(record: RevisionRecord) -> Revision:
    """Return a deploy in our words."""
    status = record.status.lower()
    state: Literal["live", "old", "failed", "rolling"] = "live" if record.is_current else "old"
    if "fail" in status or "error" in status:
        state = "failed"
    elif not record.is_current and ("roll" in status or "start" in status or "pend" in status):
        state = "rolling"
    return Revision(
        revision=record.revision_id,
        created=record.created_at or datetime.fromtimestamp(0, UTC),
        state=state,
        message=record.message[:300],
        source_hash=record.annotations.get("falkit-source", ""),
        entry=record.annotations.get("falkit-entry", ""),
    )


def _counts(last: RunnerCount | None) -> dict[str, int]:
    if last is None:
        return {}
    found = {
        "RUNNING": int(last.running),
        "IDLE": int(last.idle),
        "PENDING": int(last.pending),
        "DRAINING": int(last.draining),
    }
    return {state: count for state, count in found.items() if count}


def _health(last: RunnerCount | None, event: AppEvent | None) -> str:
    if last is not None and (last.running or last.idle):
        return "healthy"
    if event is not None and event.category in _TROUBLES:
        at = f" at {event.created_at:%H:%M} UTC" if event.created_at else ""
        return f"{_TROUBLES[event.category]}{at}; app_logs says more"
    return "starting" if last is not None and last.pending else "idle"


async def _first(entries: AsyncGenerator[T], most: int) -> list[T]:
    found: list[T] = []
    async with aclosing(entries):
        async for entry in entries:
            found.append(entry)
            if len(found) >= most:
                break
    return found


async def _or_none(asked: Awaitable[T]) -> T | None:
    """Return what is asked for, None where the key may not see it or fal does not tell it."""
    try:
        return await asked
    except FalError:
        return None
