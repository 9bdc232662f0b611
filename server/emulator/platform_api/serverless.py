"""`Serverless`: what fal's API shows of the account's own apps, and the flush of their queues."""

import json
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from sqlite3 import Connection
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from server.emulator.answers import ApiRefusal, Refusal, json_answer
from server.emulator.platform_api.apps import CATEGORIES, App, AppRows, register
from server.emulator.platform_api.asked import Asked
from server.emulator.platform_api.callers import Caller
from server.emulator.platform_api.door import Door, Reply
from server.emulator.platform_api.metrics import METRICS
from server.emulator.platform_api.requests import history
from server.emulator.platform_api.spans import Span, span_of
from server.emulator.platform_api.usage import (
    MOST_DAYS,
    REPORTS,
    measured_report,
    report,
    reports,
)
from server.emulator.rows import CANCELLED
from server.emulator.telling import instant

# Dollars of a second, by the letter of the machine; simulated, of the size of rented machines.
SECOND = {"GPU": 0.0005, "": 0.00002}
FLUSHED = """
    UPDATE requests SET state = 'COMPLETED', fence = fence + 1, ended = :now,
        status_code = :status, output = :body, error = :error, error_type = :type, units = 0,
        changed = (SELECT MAX(changed) + 1 FROM requests)
    WHERE id = :id AND state = 'IN_QUEUE'
"""


@dataclass(frozen=True, slots=True)
class Serverless:
    """The operations under ``/serverless`` on apps, and the control ``/_emulator/apps``."""

    door: Door
    apps: AppRows

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this family."""
        route, reads = self.door.route, "serverless:apps:read"
        app = "/serverless/apps/{owner}/{name}"
        return [
            route("GET", "/serverless/apps", self.listed, reads),
            route("GET", f"{app}/queue", self.queue, reads),
            route("DELETE", f"{app}/queue", self.flush, "serverless:queue:write"),
            route("GET", f"{app}/runners/history", self.runners, reads),
            route("GET", f"{app}/events", self.events, reads),
            route("GET", f"{app}/revisions", self.revisions, reads),
            route("GET", "/serverless/analytics", self.analytics, reads),
            route("GET", "/serverless/requests/by-endpoint", self.requests, reads),
            route("GET", "/serverless/usage", self.usage, "billing:usage:read"),
            Route("/_emulator/apps", self.on_apps, methods=["GET", "POST"]),
        ]

    async def listed(self, asked: Asked) -> Response:
        """List the account's apps, all of them at once."""
        expand = asked.many("expand", ("endpoints",))
        environment, words = asked.text("environment"), asked.text("search").lower()
        found = [
            app
            for app in await self.door.do(self.apps.listed)
            if environment in ("", app["environment"]) and words in app["endpoint_id"].lower()
        ]
        if expand:
            for app in found:
                name = app["endpoint_id"]
                app["endpoints"] = [name, *await self.door.do(self.apps.routes, name)]
        return json_answer({"apps": found})

    async def _own(self, asked: Asked) -> str:
        """Return the app that the path names, which must be the account's."""
        app = f"{asked.path('owner')}/{asked.path('name')}"
        return await self.door.do(self.apps.need, app)

    async def queue(self, asked: Asked) -> Response:
        """Say how many requests wait for an app."""
        size = await self.door.do(self.apps.waiting, await self._own(asked))
        return json_answer({"queue_size": size})

    async def flush(self, asked: Asked) -> Response:
        """Cancel every request that waits for an app; what runs is not touched."""
        app = await self._own(asked)

        def work(db: Connection) -> Reply:
            ids = db.execute(
                "SELECT id FROM requests WHERE app = ? AND state = 'IN_QUEUE' ORDER BY created",
                (app,),
            )
            for row in ids.fetchall():
                db.execute(
                    FLUSHED,
                    {
                        "now": time.time(),
                        "status": CANCELLED.status_code,
                        "body": json.dumps(CANCELLED.body),
                        "error": CANCELLED.error,
                        "type": CANCELLED.error_type,
                        "id": row["id"],
                    },
                )
            return Reply(None, 204)

        return await self.door.change(asked, work)

    async def runners(self, asked: Asked) -> Response:
        """Say how many runners an app had over time; each request under way has one here."""
        app = await self._own(asked)
        aggregation = asked.word("aggregation", ("max", "avg"), "max")
        span = span_of(asked, most_days=MOST_DAYS)
        rows = await self.door.do(self.apps.spans, app, span.start, span.end)
        return json_answer(
            {
                "endpoint_id": app,
                "timeframe": span.timeframe,
                "aggregation": aggregation,
                "history": await anyio.to_thread.run_sync(_history, rows, span, aggregation),
            }
        )

    async def events(self, asked: Asked) -> Response:
        """List what happened to an app, newest first."""
        app = await self._own(asked)
        categories = asked.many("category", CATEGORIES)
        page = asked.page(most=1000)
        start, end = asked.window(time.time() + 1)
        found = await self.door.do(self.apps.events, app, categories, start, end)
        part, told = page.cut(found)
        return json_answer({"endpoint_id": app, "events": list(part), **told})

    async def revisions(self, asked: Asked) -> Response:
        """List the revisions of an app, newest first."""
        app = await self._own(asked)
        page = asked.page()
        part, told = page.cut(await self.door.do(self.apps.revisions, app))
        return json_answer({"endpoint_id": app, "revisions": list(part), **told})

    async def analytics(self, asked: Asked) -> Response:
        """Report counts and durations of all that came in for the account's apps."""
        expand = reports(asked, (*REPORTS, *METRICS), ("time_series", "request_count"))
        covers = await self.door.do(self.apps.covered, asked.ids(required=True))
        return await measured_report(self.door, asked, span_of(asked), expand, covers)

    async def requests(self, asked: Asked) -> Response:
        """List what came in for the account's apps, with the runner of each."""
        covers = await self.door.do(self.apps.covered, asked.ids(required=True))
        ids = list(dict.fromkeys(each for group in covers.values() for each in group))
        return await history(self.door, asked, ids, ("payloads", "billing"), runners=True)

    async def usage(self, asked: Asked) -> Response:
        """Report the seconds that the account's apps ran, and what they cost."""
        expand = reports(asked, REPORTS)
        chosen, words = asked.many("app"), asked.text("search").lower()
        for app in chosen:
            await self.door.do(self.apps.need, app)
        span = span_of(asked)
        records = {app["endpoint_id"]: app for app in await self.door.do(self.apps.listed)}
        names = [
            name for name in records if (not chosen or name in chosen) and words in name.lower()
        ]
        facts: list[tuple[float, tuple[str, float]]] = []
        for name in names:
            rows = await self.door.do(self.apps.spans, name, span.start, span.end)
            facts += [
                (row["ended"], (name, max(0.0, row["ended"] - row["started"])))
                for row in rows
                if row["started"] and row["ended"] and span.start <= row["ended"] < span.end
            ]
        return report(asked, span, expand, sorted(facts), _seconds(records))

    async def on_apps(self, request: Request) -> Response:
        """POST tells of an app that is deployed, GET lists them all."""
        if request.method == "POST":
            try:
                app = await Asked(request, Caller("", "", ())).body(App)
            except ApiRefusal as refusal:
                raise Refusal(400, refusal.message, error_type="bad_request") from None
            revision = await self.door.write(lambda db: register(db, app))
            return json_answer({"endpoint_id": app.app, "revision": revision}, 201)
        return json_answer({"apps": await self.door.do(self.apps.listed)})


def _seconds(
    records: Mapping[str, Mapping[str, Any]],
) -> Callable[[Sequence[tuple[str, float]]], list[dict[str, Any]]]:
    """Return what makes usage rows of the seconds that apps ran."""

    def rows(part: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
        sums: dict[str, float] = {}
        for name, seconds in part:
            sums[name] = sums.get(name, 0.0) + seconds
        return [_usage_row(records[name], sums[name]) for name in sorted(sums)]

    return rows


def _usage_row(record: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    rate = SECOND["GPU" if str(record["machine_type"]).startswith("GPU") else ""]
    cost = round(seconds * rate, 9)
    return {
        "app": record["endpoint_id"],
        "environment": record["environment"],
        "machine_type": record["machine_type"],
        "unit": "second",
        "quantity": round(seconds, 4),
        "unit_price": rate,
        "percent_discount": None,
        "cost_subtotal": cost,
        "cost_discount": 0,
        "cost_total": cost,
        "cost": cost,
        "currency": "USD",
        "is_surge": False,
    }


def _history(rows: Sequence[Any], span: Span, aggregation: str) -> list[dict[str, Any]]:
    """Return the runners in each bucket of *span*, empty buckets included."""
    edges, now = span.edges(), time.time()
    running = [(row["started"], row["ended"] or now) for row in rows if row["started"]]
    pending = [(row["created"], row["started"] or row["ended"] or now) for row in rows]
    level = _mean if aggregation == "avg" else _most
    runs, waits = _spread(running, edges), _spread(pending, edges)
    return [
        {
            "timestamp": instant(edges[place]),
            "running": level(runs[place], edges[place + 1] - edges[place]),
            "idle": 0,
            "pending": level(waits[place], edges[place + 1] - edges[place]),
            "draining": 0,
        }
        for place in range(len(edges) - 1)
    ]


def _spread(
    times: Sequence[tuple[float, float]], edges: Sequence[float]
) -> list[list[tuple[float, float]]]:
    """Return for each bucket between *edges* the parts of *times* that lie in it."""
    buckets: list[list[tuple[float, float]]] = [[] for _ in edges[1:]]
    for first, last in times:
        place = max(0, bisect_right(edges, first) - 1)
        while place < len(buckets) and edges[place] <= last:
            part = (max(first, edges[place]), min(last, edges[place + 1]))
            buckets[place].append(part)
            place += 1
    return buckets


def _mean(parts: Sequence[tuple[float, float]], length: float) -> float:
    """Return how many of *parts* there are at a time on average, over *length* seconds."""
    return round(sum(max(0.0, last - first) for first, last in parts) / length, 4)


def _most(parts: Sequence[tuple[float, float]], _: float) -> int:
    """Return how many of *parts* there are at most at a time."""
    steps = sorted(
        [(first, 1) for first, _ in parts] + [(last, -1) for _, last in parts],
        key=lambda step: (step[0], -step[1]),
    )
    return max(accumulate(step for _, step in steps), default=0)
