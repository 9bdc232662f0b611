"""`Usage`: what was used and paid, how requests went, and the requests themselves."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from server.fal.platform_calls import ANY_TIME, Calls, Period, Query, as_records, segment
from server.fal.platform_records import (
    BillingEvent,
    DeletedFile,
    MetricsBucket,
    MetricsRow,
    RequestRecord,
    Team,
    UsageBucket,
    UsageRow,
)

RequestStatus = Literal["", "success", "error", "user_error"]
FocusSource = Literal["invoice", "estimate", "tagged-estimate"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Reports on the account's use of models; most need an admin key or ``billing:usage:read``."""

    calls: Calls

    def over_time(
        self,
        period: Period = ANY_TIME,
        *,
        endpoint_ids: Iterable[str] = (),
        key_ids: Iterable[str] = (),
        by_key: bool = False,
    ) -> AsyncGenerator[UsageBucket]:
        """Yield what was used in each bucket of *period*, *by_key* apart for each key."""
        query = _report("time_series", by_key, period, endpoint_ids, key_ids)
        return self.calls.pages("/models/usage", "time_series", UsageBucket, query)

    def in_sum(
        self,
        period: Period = ANY_TIME,
        *,
        endpoint_ids: Iterable[str] = (),
        key_ids: Iterable[str] = (),
        by_key: bool = False,
    ) -> AsyncGenerator[UsageRow]:
        """Yield what was used of each endpoint in all of *period*, *by_key* apart for each key."""
        query = _report("summary", by_key, period, endpoint_ids, key_ids)
        return self.calls.pages("/models/usage", "summary", UsageRow, query)

    def metrics_over_time(
        self,
        endpoint_ids: Iterable[str],
        metrics: Iterable[str] = ("request_count",),
        period: Period = ANY_TIME,
    ) -> AsyncGenerator[MetricsBucket]:
        """Yield *metrics*, such as ``p50_duration``, of the caller's requests in each bucket."""
        query = {
            "endpoint_id": endpoint_ids,
            "expand": ("time_series", *metrics),
            **period.query(),
        }
        return self.calls.pages("/models/analytics", "time_series", MetricsBucket, query)

    def metrics_in_sum(
        self,
        endpoint_ids: Iterable[str],
        metrics: Iterable[str] = ("request_count",),
        period: Period = ANY_TIME,
    ) -> AsyncGenerator[MetricsRow]:
        """Yield *metrics* of the caller's requests over all of *period*, by endpoint."""
        query = {"endpoint_id": endpoint_ids, "expand": ("summary", *metrics), **period.query()}
        return self.calls.pages("/models/analytics", "summary", MetricsRow, query)

    def billing_events(
        self,
        start: date | None = None,
        end: date | None = None,
        *,
        endpoint_ids: Iterable[str] = (),
        request_ids: Iterable[str] = (),
        key_ids: Iterable[str] = (),
        tags: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[BillingEvent]:
        """Yield what each request cost, over at most 90 days; it may lag behind the requests.

        With *tags*, also empty ones, only requests that were sent with all of these tags.
        """
        query: dict[str, date | int | str | Iterable[str] | None] = {
            "start": start,
            "end": end,
            "endpoint_id": tuple(endpoint_ids),
            "request_id": tuple(request_ids),
            "api_key_id": tuple(key_ids),
            "limit": 1000,
        }
        if tags is not None:
            query["source"] = "tagged-billed"
            query["tag"] = tuple(f"{key}={value}" for key, value in tags.items())
        return self.calls.pages("/models/billing-events", "billing_events", BillingEvent, query)

    async def focus(
        self, source: FocusSource, *, month: str = "", period: Period = ANY_TIME
    ) -> str:
        """Return the account's costs as CSV in FOCUS columns, for enterprise accounts.

        An invoice is that of a *month* (``2026-03``), an estimate covers *period*.
        """
        query = {"source": source, "billing_month": month, **period.query()}
        return await self.calls.text("/account/focus", query)


@dataclass(frozen=True, slots=True)
class Requests:
    """The account's own requests of the past."""

    calls: Calls

    def to_endpoints(
        self,
        endpoint_ids: Iterable[str],
        *,
        start: date | None = None,
        end: date | None = None,
        status: RequestStatus = "",
        request_id: str = "",
        payloads: bool = False,
        longest_first: bool = False,
    ) -> AsyncGenerator[RequestRecord]:
        """Yield requests to the endpoints, those that ended last first, by default of 24 hours.

        With a *request_id* the platform looks back 90 days. Needs ``models:requests:read``.
        """
        query = request_query(endpoint_ids, start, end, status, request_id)
        more = {"expand": "payloads" if payloads else "", "sort_by": _order(longest_first)}
        path = "/models/requests/by-endpoint"
        return self.calls.pages(path, "items", RequestRecord, query | more)

    def search(
        self,
        words: str = "",
        *,
        image_url: str = "",
        video_url: str = "",
        endpoint_ids: Iterable[str] = (),
        min_similarity: float | None = None,
        only_api: bool = False,
    ) -> AsyncGenerator[RequestRecord]:
        """Yield requests that resemble words, a picture or a video (one of them), or all."""
        query: Query = {
            "query": words,
            "image_url": image_url,
            "video_url": video_url,
            "endpoint_id": endpoint_ids,
            "min_similarity": min_similarity,
            "only_api_requests": True if only_api else None,
        }
        return self.calls.pages("/models/requests/search", "results", RequestRecord, query)

    async def delete_payloads(self, request_id: str) -> tuple[DeletedFile, ...]:
        """Delete input, output and output files of a request for good; needs an admin key."""
        path = f"/models/requests/{segment(request_id)}/payloads"
        understand = as_records(DeletedFile, "cdn_delete_results")
        return await self.calls.change("DELETE", path, understand)


@dataclass(frozen=True, slots=True)
class Organization:
    """Reports on all teams of an organization, for its root team's admin key."""

    calls: Calls

    async def teams(self) -> tuple[Team, ...]:
        """Return the organization's teams."""
        ask = self.calls.request("GET", "/organization/teams")
        return await self.calls.ask(ask, as_records(Team, "teams"))

    def usage_over_time(
        self,
        period: Period = ANY_TIME,
        *,
        teams: Iterable[str] = (),
        products: Iterable[Literal["model_apis", "serverless", "compute"]] = (),
    ) -> AsyncGenerator[UsageBucket]:
        """Yield what each team used in each bucket of *period*."""
        query = {"team_username": teams, "product": products, **period.query()}
        asked = query | {"expand": "time_series"}
        return self.calls.pages("/organization/usage", "time_series", UsageBucket, asked)

    def usage_in_sum(
        self,
        period: Period = ANY_TIME,
        *,
        teams: Iterable[str] = (),
        products: Iterable[Literal["model_apis", "serverless", "compute"]] = (),
    ) -> AsyncGenerator[UsageRow]:
        """Yield what each team used in all of *period*."""
        query = {"team_username": teams, "product": products, **period.query()}
        asked = query | {"expand": "summary"}
        return self.calls.pages("/organization/usage", "summary", UsageRow, asked)

    def billing_events(
        self, start: date | None = None, end: date | None = None, *, teams: Iterable[str] = ()
    ) -> AsyncGenerator[BillingEvent]:
        """Yield what each request of each team cost, over at most 90 days."""
        query = {"start": start, "end": end, "team_username": teams}
        path = "/organization/billing-events"
        return self.calls.pages(path, "billing_events", BillingEvent, query)

    async def focus(
        self, source: FocusSource, *, month: str = "", period: Period = ANY_TIME
    ) -> str:
        """Return the costs of all teams as CSV in FOCUS columns."""
        query = {"source": source, "billing_month": month, **period.query()}
        return await self.calls.text("/organization/focus", query)


def request_query(
    endpoint_ids: Iterable[str],
    start: date | None,
    end: date | None,
    status: RequestStatus,
    request_id: str,
) -> dict[str, date | str | Iterable[str] | None]:
    """Return what chooses requests of the past as parameters of a query."""
    return {
        "endpoint_id": tuple(endpoint_ids),
        "start": start,
        "end": end,
        "status": status,
        "request_id": request_id,
    }


def _order(longest_first: bool) -> str:
    return "duration" if longest_first else "ended_at"


def _report(
    kind: str, by_key: bool, period: Period, endpoint_ids: Iterable[str], key_ids: Iterable[str]
) -> Query:
    who = ("auth_method", "auth_method_structured") if by_key else ()
    return {
        "endpoint_id": tuple(endpoint_ids),
        "api_key_id": tuple(key_ids),
        "expand": (kind, *who),
        **period.query(),
    }
