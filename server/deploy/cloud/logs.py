"""Lines that apps on fal wrote: of the past, and for a bounded time as they come."""

import json
from collections.abc import Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from typing import Literal

import anyio

from server.deploy.cloud.failures import without_keys
from server.fal.platform import PlatformClient
from server.fal.platform_app_records import LogItem
from server.fal.platform_serverless import LogFilter
from server.fal.problems import FalError
from tools.deploy_records import LogLine, LogPage, LogQuery

MOST_READ = 3000
LONGEST_MESSAGE = 4000
DAY = timedelta(days=1)
ENVELOPE = '{"traceback": '  # how fal's own server prints a failure of an app, in one line

Level = Literal["debug", "info", "warning", "error"]
_LEVELS: dict[str, Level] = {
    "trace": "debug",
    "debug": "debug",
    "warn": "warning",
    "warning": "warning",
    "error": "error",
    "critical": "error",
    "fatal": "error",
}


async def read_logs(
    platform: PlatformClient, query: LogQuery, app_ids: Sequence[str], follow_seconds: float
) -> LogPage:
    """Return lines that match, oldest first; without a cursor the newest of them.

    The platform tells the newest first, so what lies more than 3,000 lines behind the newest is
    not reached.

    Raises:
        BackendError: the logs cannot be read.
    """
    since, given = _cursor(query.cursor)
    begun = datetime.now(UTC)
    chosen = LogFilter(
        app_ids=tuple(app_ids),
        words=query.text,
        request_id=query.request_id,
        start=since or query.since or begun - DAY,
    )
    items: list[LogItem] = []
    whole = query.cursor != "" or query.level != ""
    async with aclosing(platform.serverless.logs(chosen)) as found:
        async for item in found:
            items.append(item)
            if len(items) >= (MOST_READ if whole else query.limit):
                break
    items.reverse()
    fitting = [item for item in items if query.level in ("", line_of(item).level)]
    lines = [line_of(item) for item in _after(fitting, since, given)]
    lines = lines[: query.limit] if query.cursor else lines[-query.limit :]
    if follow_seconds > 0 and len(lines) < query.limit:
        start = lines[-1].at if lines else begun
        lines += await _followed(platform, query, chosen, lines, start, follow_seconds)
    return LogPage(lines, _next(lines, query.cursor, since, given))


async def _followed(
    platform: PlatformClient,
    query: LogQuery,
    chosen: LogFilter,
    known: Sequence[LogLine],
    start: datetime,
    seconds: float,
) -> list[LogLine]:
    """Return what comes within *seconds*; a stream that breaks ends it earlier."""
    seen = {(line.at, line.message, line.request_id) for line in known}
    came: list[LogLine] = []
    wanted = LogFilter(
        app_ids=chosen.app_ids, words=chosen.words, request_id=chosen.request_id, start=start
    )
    with anyio.move_on_after(seconds), suppress(FalError):
        async with platform.serverless.follow_logs(wanted) as items:
            async for item in items:
                line = line_of(item)
                mark = (line.at, line.message, line.request_id)
                if mark in seen or query.level not in ("", line.level):
                    continue
                seen.add(mark)
                came.append(line)
                if len(known) + len(came) >= query.limit:
                    break
    return came


def line_of(item: LogItem) -> LogLine:
    """Return a line in our words; keys in it are blotted out."""
    labels = item.labels
    level, message = _LEVELS.get(item.level.lower(), "info"), item.message
    if message.startswith(ENVELOPE):
        with suppress(ValueError, KeyError):
            level, message = "error", str(json.loads(message)["traceback"]).rstrip()
    return LogLine(
        at=item.timestamp or datetime.fromtimestamp(0, UTC),
        level=level,
        message=without_keys(message[:LONGEST_MESSAGE]),
        app=item.app.rpartition("/")[2],
        revision=item.revision,
        request_id=labels.get("fal_request_id", ""),
        runner=labels.get("fal_runner_id") or labels.get("runner_id") or "",
    )


def _cursor(cursor: str) -> tuple[datetime | None, int]:
    """Return the instant of the last line that was given, and how many of that instant were."""
    instant, _, count = cursor.partition("|")
    try:
        return datetime.fromisoformat(instant), int(count)
    except ValueError:
        return None, 0


def _after(items: Sequence[LogItem], since: datetime | None, given: int) -> list[LogItem]:
    if since is None:
        return list(items)
    same = [item for item in items if item.timestamp == since][given:]
    return same + [item for item in items if item.timestamp is None or item.timestamp > since]


def _next(lines: Sequence[LogLine], cursor: str, since: datetime | None, given: int) -> str:
    if not lines:
        return cursor
    last = lines[-1].at
    count = sum(1 for line in lines if line.at == last) + (given if last == since else 0)
    return f"{last.isoformat()}|{count}"
