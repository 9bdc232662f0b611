"""`AppLogs`: what the account's apps wrote, past and present, and their state as metrics."""

import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

import anyio
from pydantic import Field as BodyField
from pydantic import TypeAdapter, ValidationError
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute

from server.emulator.answers import ApiRefusal
from server.emulator.direct import ClosingStream
from server.emulator.platform_api.apps import AppRows
from server.emulator.platform_api.asked import DAY, Asked, Body, complaints, listing
from server.emulator.platform_api.door import Door
from server.emulator.telling import instant

SOURCES = ("grpc-run", "grpc-register", "gateway", "cron")
LOOK_SECONDS = 0.25
PING_SECONDS = 15.0
OVERLAP_SECONDS = 2.0  # clocks of several processes write lines: look back this far again
MOST_LINES = 20_000  # of one look
COLUMNS = "request_id, seq, at, level, message, app, endpoint_id"


class _Condition(Body):
    key: str
    value: str | list[str]
    condition_type: Literal["equals", "in", "not_equals", "not_in"] = "equals"

    def holds(self, item: Mapping[str, Any]) -> bool:
        """Return whether the line's field or label of that name is as wanted."""
        given = item["labels"].get(self.key, item.get(self.key))
        wanted = [self.value] if isinstance(self.value, str) else self.value
        return (given in wanted) != self.condition_type.startswith("not")


@cache
def _conditions() -> TypeAdapter[list[_Condition]]:
    """Return what reads the body, made when it is first needed."""
    return TypeAdapter(Annotated[list[_Condition], BodyField(max_length=100)])


@dataclass(frozen=True, slots=True)
class AppLogs:
    """The operations under ``/serverless/logs`` and ``/serverless/metrics``."""

    door: Door
    apps: AppRows

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this family."""
        route = self.door.route
        return [
            route("POST", "/serverless/logs/history", self.history, "serverless:logs:read"),
            route("POST", "/serverless/logs/stream", self.stream, "serverless:logs:read"),
            route("GET", "/serverless/metrics", self.metrics, "serverless:metrics:read"),
        ]

    async def history(self, asked: Asked) -> Response:
        """List what the apps wrote, newest first."""
        fits = await _filter(asked)
        page = asked.page(most=1000)
        start, end = asked.window(time.time() + 1, DAY)
        items = await self.door.do(self._lines, start, end)
        found = [item for _, item in reversed(items) if fits(item)]
        return listing("items", page, found)

    async def stream(self, asked: Asked) -> Response:
        """Tell what the apps write as it comes, one line an event; until ``end``, if given."""
        fits = await _filter(asked)
        now = time.time()
        start, end = asked.window(now + 1e9, 1e9)
        begin = start if asked.text("start") else now
        return ClosingStream(
            self._events(fits, begin, end),
            media_type="text/event-stream",
            headers={"cache-control": "no-cache"},
        )

    async def _events(
        self, fits: Callable[[Mapping[str, Any]], bool], start: float, end: float
    ) -> AsyncGenerator[str]:
        told: dict[tuple[str, int], float] = {}
        spoke = time.time()
        yield ": listening\n\n"
        while True:
            now = time.time()
            for name, item in await self.door.do(self._lines, start, min(now + 1, end)):
                if name not in told and fits(item):
                    yield f"data: {json.dumps(item)}\n\n"
                    spoke = now
                told[name] = now
            if now >= end:
                return
            start = max(start, now - OVERLAP_SECONDS)
            if now - spoke >= PING_SECONDS:
                yield ": still here\n\n"
                spoke = now
            told = {name: at for name, at in told.items() if at >= now - 2 * OVERLAP_SECONDS}
            await anyio.sleep(LOOK_SECONDS)

    def _lines(self, start: float, end: float) -> list[tuple[tuple[str, int], dict[str, Any]]]:
        """Return the lines of own apps from *start* to before *end*, oldest first, by number."""
        owned = self.apps.names()
        current = {
            app: revisions[0]["revision_id"]
            for app in owned
            if (revisions := self.apps.revisions(app))
        }
        marks = ", ".join("?" * len(owned))
        found = self.door.store.reading().execute(
            f"SELECT {COLUMNS} FROM logs JOIN requests ON requests.id = request_id"  # noqa: S608  # fixed words only
            f" WHERE at >= ? AND at < ? AND app IN ({marks})"
            " ORDER BY at DESC, request_id, seq DESC LIMIT ?",
            (start, end, *owned, MOST_LINES),
        )
        return [
            ((row["request_id"], row["seq"]), _item(row, current.get(row["app"], "")))
            for row in reversed(found.fetchall())
        ]

    async def metrics(self, _: Asked) -> Response:
        """Return the state of the account's apps in the text form that Prometheus reads."""
        lines = await self.door.do(self._gauges)
        return PlainTextResponse(
            "".join(f"{line}\n" for line in lines),
            media_type="text/plain; version=0.0.4",
        )

    def _gauges(self) -> list[str]:
        gauges: Sequence[tuple[str, str, Callable[[str], int]]] = (
            ("fal_app_queue_size", "Requests that wait.", self.apps.waiting),
            ("fal_app_runners", "Runners that work on a request.", self.apps.running),
        )
        lines: list[str] = []
        for name, words, measure in gauges:
            lines += [f"# HELP {name} {words}", f"# TYPE {name} gauge"]
            lines += [f'{name}{{app="{app}"}} {measure(app)}' for app in self.apps.names()]
        return lines


def _item(row: Any, revision: str) -> dict[str, Any]:  # noqa: ANN401  # a row
    return {
        "timestamp": instant(row["at"]),
        "level": row["level"].lower(),
        "message": row["message"],
        "app": row["app"],
        "revision": revision,
        "labels": {
            "fal_request_id": row["request_id"],
            "fal_endpoint": row["endpoint_id"],
            "fal_source": "gateway",
        },
    }


async def _filter(asked: Asked) -> Callable[[Mapping[str, Any]], bool]:
    """Return whether a line is one of those that query and body choose."""
    raw = await asked.raw()
    try:
        conditions = _conditions().validate_json(raw if raw.strip() else b"[]")
    except ValidationError as problem:
        raise ApiRefusal(400, complaints(problem)) from None
    apps = asked.many("app_id")
    source = asked.word("run_source", SOURCES)
    traceback = asked.flag("traceback")
    exact = {name: asked.text(name) for name in ("revision", "level")}
    request_id = asked.text("request_id") or asked.text("job_id")
    words = asked.text("search").lower()

    def fits(item: Mapping[str, Any]) -> bool:
        return (
            (not apps or item["app"] in apps)
            and source in ("", "gateway")
            and (not traceback or "Traceback" in item["message"])
            and all(not text or item[name].lower() == text.lower() for name, text in exact.items())
            and request_id in ("", item["labels"]["fal_request_id"])
            and words in item["message"].lower()
            and all(condition.holds(item) for condition in conditions)
        )

    return fits
