"""`Serverless`: own apps as fal's platform API shows them: state, history, logs, files."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal

from server.fal.platform_app_records import (
    AppEvent,
    FileEntry,
    LogItem,
    QueueSize,
    Revision,
    RunnerHistory,
    ServerlessApp,
)
from server.fal.platform_calls import (
    ANY_TIME,
    Calls,
    Period,
    Query,
    as_records,
    nothing,
    segment,
)
from server.fal.platform_records import (
    MetricsBucket,
    MetricsRow,
    RequestRecord,
    UsageBucket,
    UsageRow,
    read_record,
)
from server.fal.platform_usage import RequestStatus, request_query
from server.fal.wire import Answer, UnreadableAnswerError, listed

Condition = Literal["equals", "in", "not_equals", "not_in"]


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines; what is empty does not choose. *labels* are conditions on label or field."""

    app_ids: tuple[str, ...] = ()
    revision: str = ""
    run_source: Literal["", "grpc-run", "grpc-register", "gateway", "cron"] = ""
    tracebacks: bool = False
    words: str = ""
    level: str = ""
    job_id: str = ""
    request_id: str = ""
    start: date | None = None
    end: date | None = None
    labels: Mapping[str, tuple[Condition, str | tuple[str, ...]]] = field(
        default_factory=dict[str, tuple[Condition, "str | tuple[str, ...]"]]
    )

    def query(self) -> Query:
        """Return all but the labels as parameters of a query."""
        return {
            "app_id": self.app_ids,
            "revision": self.revision,
            "run_source": self.run_source,
            "traceback": True if self.tracebacks else None,
            "search": self.words,
            "level": self.level,
            "job_id": self.job_id,
            "request_id": self.request_id,
            "start": self.start,
            "end": self.end,
        }

    def body(self) -> list[dict[str, object]]:
        """Return the labels as they are sent."""
        return [
            {
                "key": name,
                "value": value if isinstance(value, str) else list(value),
                "condition_type": condition,
            }
            for name, (condition, value) in self.labels.items()
        ]


ALL_LINES = LogFilter()


@dataclass(frozen=True, slots=True)
class Serverless:
    """The operations under ``/serverless``."""

    calls: Calls

    async def apps(
        self, words: str = "", *, environment: str = "", routes: bool = False
    ) -> tuple[ServerlessApp, ...]:
        """Return the account's apps, with the ids of their *routes* where asked."""
        query = {
            "search": words,
            "environment": environment,
            "expand": "endpoints" if routes else "",
        }
        ask = self.calls.request("GET", "/serverless/apps", query)
        return await self.calls.ask(ask, as_records(ServerlessApp, "apps"))

    async def queue_size(self, owner: str, name: str) -> int:
        """Return how many requests wait for an app."""
        return (await self.calls.get(f"{_app(owner, name)}/queue", QueueSize)).queue_size

    async def flush(self, owner: str, name: str) -> None:
        """Cancel every request that waits for an app, for good; what runs is not touched."""
        await self.calls.change("DELETE", f"{_app(owner, name)}/queue", nothing)

    def revisions(self, owner: str, name: str) -> AsyncGenerator[Revision]:
        """Yield the deploys of an app, newest first."""
        return self.calls.pages(f"{_app(owner, name)}/revisions", "revisions", Revision)

    def events(
        self,
        owner: str,
        name: str,
        *,
        categories: Iterable[str] = (),
        start: date | None = None,
        end: date | None = None,
    ) -> AsyncGenerator[AppEvent]:
        """Yield what happened to an app, newest first, by default in 24 hours."""
        query = {"category": tuple(categories), "start": start, "end": end}
        return self.calls.pages(f"{_app(owner, name)}/events", "events", AppEvent, query)

    async def runners(
        self,
        owner: str,
        name: str,
        period: Period = ANY_TIME,
        *,
        average: bool = False,
    ) -> RunnerHistory:
        """Return how many runners an app had over at most 90 days: the most, or the *average*."""
        query = {**period.query(), "aggregation": "avg" if average else "max"}
        return await self.calls.get(f"{_app(owner, name)}/runners/history", RunnerHistory, query)

    def metrics_over_time(
        self,
        endpoint_ids: Iterable[str],
        metrics: Iterable[str] = ("request_count",),
        period: Period = ANY_TIME,
    ) -> AsyncGenerator[MetricsBucket]:
        """Yield *metrics* of all that came in for own apps, in each bucket."""
        expand = ("time_series", *metrics)
        query = {"endpoint_id": tuple(endpoint_ids), "expand": expand, **period.query()}
        return self.calls.pages("/serverless/analytics", "time_series", MetricsBucket, query)

    def metrics_in_sum(
        self,
        endpoint_ids: Iterable[str],
        metrics: Iterable[str] = ("request_count",),
        period: Period = ANY_TIME,
    ) -> AsyncGenerator[MetricsRow]:
        """Yield *metrics* of all that came in for own apps, over all of *period*."""
        expand = ("summary", *metrics)
        query = {"endpoint_id": tuple(endpoint_ids), "expand": expand, **period.query()}
        return self.calls.pages("/serverless/analytics", "summary", MetricsRow, query)

    def usage_over_time(
        self, period: Period = ANY_TIME, *, apps: Iterable[str] = (), words: str = ""
    ) -> AsyncGenerator[UsageBucket]:
        """Yield the machine seconds of own apps in each bucket; needs an admin key."""
        query = {"app": tuple(apps), "search": words, "expand": "time_series", **period.query()}
        return self.calls.pages("/serverless/usage", "time_series", UsageBucket, query)

    def usage_in_sum(
        self, period: Period = ANY_TIME, *, apps: Iterable[str] = (), words: str = ""
    ) -> AsyncGenerator[UsageRow]:
        """Yield the machine seconds of own apps in all; needs an admin key."""
        query = {"app": tuple(apps), "search": words, "expand": "summary", **period.query()}
        return self.calls.pages("/serverless/usage", "summary", UsageRow, query)

    def requests(
        self,
        endpoint_ids: Iterable[str],
        *,
        start: date | None = None,
        end: date | None = None,
        status: RequestStatus = "",
        request_id: str = "",
        expand: Iterable[Literal["payloads", "billing"]] = (),
    ) -> AsyncGenerator[RequestRecord]:
        """Yield what came in for own apps, with the runner of each."""
        query = request_query(endpoint_ids, start, end, status, request_id)
        path = "/serverless/requests/by-endpoint"
        asked = query | {"expand": tuple(expand)}
        return self.calls.pages(path, "items", RequestRecord, asked)

    async def metrics(self) -> str:
        """Return the state of own apps in the text form that Prometheus reads."""
        return await self.calls.text("/serverless/metrics")

    def logs(self, chosen: LogFilter = ALL_LINES) -> AsyncGenerator[LogItem]:
        """Yield what own apps wrote, as far as *chosen* goes."""
        path = "/serverless/logs/history"
        return self.calls.pages(path, "items", LogItem, chosen.query(), chosen.body())

    @asynccontextmanager
    async def follow_logs(
        self, chosen: LogFilter = ALL_LINES
    ) -> AsyncGenerator[AsyncIterator[LogItem]]:
        """Yield what own apps write as it comes, until the platform ends the stream.

        The form of an event is not published: one line as in the history is read, anything else is
        passed over. Entering raises what any read raises.

        Raises:
            NetworkError: while iterating, the stream broke.
        """
        path = "/serverless/logs/stream"
        ask = self.calls.request("POST", path, chosen.query(), chosen.body())
        ask = replace(ask, headers={**ask.headers, "Accept": "text/event-stream"})
        async with (
            self.calls.sender.stream(ask) as stream,
            aclosing(_lines(stream.data())) as lines,
        ):
            yield lines

    async def files(self, folder: str = "") -> tuple[FileEntry, ...]:
        """Return what lies directly in a folder of the account's project storage."""
        path = f"/serverless/files/list{_inside(folder)}"
        return await self.calls.ask(self.calls.request("GET", path), _entries)

    async def file(self, path: str) -> bytes:
        """Return the content of a file of the project storage, of at most 64 MB."""
        ask = self.calls.request("GET", f"/serverless/files/file{_inside(path)}")
        return await self.calls.ask(replace(ask, headers={"Accept": "*/*"}), _bytes)

    async def fetch_file(self, path: str, url: str) -> None:
        """Have the platform fetch *url* into a file of the project storage."""
        target = f"/serverless/files/file/url{_inside(path)}"
        await self.calls.change_once("POST", target, nothing, {"url": url})


async def _lines(data: AsyncGenerator[str]) -> AsyncGenerator[LogItem]:
    async with aclosing(data):
        async for text in data:
            try:
                item = read_record(LogItem, json.loads(text))
            except (UnreadableAnswerError, ValueError, RecursionError):
                continue
            yield item


def _entries(answer: Answer) -> tuple[FileEntry, ...]:
    entries = listed({"files": answer.json()}, "files")
    return tuple(read_record(FileEntry, entry, f"[{place}]") for place, entry in enumerate(entries))


def _bytes(answer: Answer) -> bytes:
    if answer.flaw:
        raise UnreadableAnswerError(f"the answer {answer.flaw}")
    return answer.body


def _app(owner: str, name: str) -> str:
    return f"/serverless/apps/{segment(owner)}/{segment(name)}"


def _inside(path: str) -> str:
    """Return a path of the project storage as the end of an address, empty for its top."""
    parts = [part for part in path.split("/") if part]
    return "".join(f"/{segment(part)}" for part in parts)
