"""`Usage`: what was used, what it cost and how it went, as the platform API reports it."""

import base64
import binascii
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.routing import BaseRoute

from server.emulator.answers import ApiRefusal, json_answer
from server.emulator.platform_api.asked import DAY, Asked
from server.emulator.platform_api.callers import ACCOUNT
from server.emulator.platform_api.door import Door
from server.emulator.platform_api.ledger import NANO, Charge, Ledger, Sought, auth
from server.emulator.platform_api.metrics import METRICS, measured
from server.emulator.platform_api.spans import Span, span_of
from server.emulator.telling import instant

REPORTS = ("time_series", "summary")
AUTHS = ("auth_method", "auth_method_structured")
PRODUCTS = ("model_apis", "serverless", "compute")
COLUMNS = "endpoint_id, created, started, ended, status_code, error_type, units"
MOST_DAYS = 90
MOST_EVENTS = 10_000
TAGGED = "tagged-billed"  # with the tags of `X-Fal-Tags`
MOST_TEAM_EVENTS = 100

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Usage:
    """The reports on models; those of an organization are the same, its one team's."""

    door: Door
    ledger: Ledger

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this family."""
        billing = "billing:usage:read"
        return [
            self.door.route("GET", "/models/usage", self.usage, billing),
            self.door.route("GET", "/models/analytics", self.analytics, "models:analytics:read"),
            self.door.route("GET", "/models/billing-events", self.events, billing),
            self.door.route("GET", "/organization/usage", self.team_usage, "organization:read"),
            self.door.route(
                "GET", "/organization/billing-events", self.team_events, "organization:read"
            ),
        ]

    async def usage(self, asked: Asked) -> Response:
        """Report units and dollars by endpoint, over time or in sum."""
        expand = reports(asked, (*REPORTS, *AUTHS))
        span = span_of(asked)
        charges = await self._charges(asked, span.start, span.end)
        names = await self.door.do(self.ledger.names, {charge.key_id for charge in charges})

        def rows(part: Sequence[Charge]) -> list[dict[str, Any]]:
            return [_row(group, expand, names) for group in _grouped(part, expand)]

        return report(asked, span, expand, [(charge.at, charge) for charge in charges], rows)

    async def team_usage(self, asked: Asked) -> Response:
        """Report the same for every product of the organization; it has used models alone."""
        expand = reports(asked, (*REPORTS, *AUTHS))
        products = asked.many("product", PRODUCTS)
        need_team(asked)
        span = span_of(asked)
        charges = await self._charges(asked, span.start, span.end)
        if products and "model_apis" not in products:
            charges = []
        names = await self.door.do(self.ledger.names, {charge.key_id for charge in charges})

        def rows(part: Sequence[Charge]) -> list[dict[str, Any]]:
            return [_team_row(group, expand, names) for group in _grouped(part, expand)]

        return report(asked, span, expand, [(charge.at, charge) for charge in charges], rows)

    async def analytics(self, asked: Asked) -> Response:
        """Report counts and durations of the caller's requests to the given endpoints."""
        ids = asked.ids(required=True)
        expand = reports(asked, (*REPORTS, *METRICS), ("time_series", "request_count"))
        for name in ids:
            self.door.card(name)
        span = span_of(asked)
        return await measured_report(self.door, asked, span, expand, {name: [name] for name in ids})

    async def events(self, asked: Asked) -> Response:
        """List every billed request with what it cost, oldest first."""
        return await self._events(asked, MOST_EVENTS, team=False)

    async def team_events(self, asked: Asked) -> Response:
        """List the same for the organization's one team."""
        need_team(asked)
        return await self._events(asked, MOST_TEAM_EVENTS, team=True)

    async def _events(self, asked: Asked, most: int, *, team: bool) -> Response:
        expand = asked.many("expand", AUTHS)
        asked.word("source", ("billed", TAGGED))
        limit = asked.whole("limit", 1, most, min(most, 1000))
        start, end = asked.window(time.time() + 0.001, most=MOST_DAYS * DAY)
        seen = _seen(asked.text("cursor"))
        charges = await self._charges(asked, start, end)
        if seen:
            charges = [charge for charge in charges if (charge.at, charge.request_id) > seen]
        page, more = charges[:limit], len(charges) > limit
        names = await self.door.do(self.ledger.names, {charge.key_id for charge in page})
        events = [_event(charge, expand, names, team=team) for charge in page]
        cursor = _cursor(page[-1]) if more else None
        return json_answer({"billing_events": events, "next_cursor": cursor, "has_more": more})

    async def _charges(self, asked: Asked, start: float, end: float) -> list[Charge]:
        """Return the charges that the query chooses; nobody here logs in by name."""
        endpoint_ids = asked.ids()
        for name in endpoint_ids:
            self.door.card(name)
        sought = Sought(
            start,
            end,
            endpoint_ids,
            asked.ids("request_id"),
            asked.ids("api_key_id"),
            tags=_tags(asked),
            tagged=asked.text("source") == TAGGED,
        )
        if asked.many("login_username"):
            return []
        return await self.door.do(self.ledger.charges, sought)


def reports(
    asked: Asked, allowed: Sequence[str], usual: Sequence[str] = ("time_series",)
) -> list[str]:
    """Return what to expand; one of the two reports is needed."""
    expand = asked.many("expand", allowed) or list(usual)
    if not set(expand) & set(REPORTS):
        raise ApiRefusal(400, "expand: at least one of time_series, summary is needed")
    return expand


def report(
    asked: Asked,
    span: Span,
    expand: Sequence[str],
    facts: Iterable[tuple[float, T]],
    rows: Callable[[Sequence[T]], list[dict[str, Any]]],
) -> Response:
    """Return the asked reports on *facts*, which carry their time in Unix seconds.

    *rows* makes the rows of a group of facts. Buckets without a row are left out. Pages run over
    the buckets where there is a time series, else over the rows of the summary.
    """
    page = asked.page(most=1000)
    body: dict[str, Any] = {}
    listed = list(facts)
    summary = rows([fact for _, fact in listed]) if "summary" in expand else []
    if "time_series" not in expand:
        part, told = page.cut(summary)
        return json_answer({"summary": list(part), **told})
    buckets: dict[str, list[T]] = {}
    for at, fact in listed:
        buckets.setdefault(span.bucket(at), []).append(fact)
    part, told = page.cut(sorted(buckets, key=_instant_of))
    body["time_series"] = [{"bucket": name, "results": rows(buckets[name])} for name in part]
    if "summary" in expand:
        body["summary"] = summary
    return json_answer({**body, **told})


async def measured_report(
    door: Door,
    asked: Asked,
    span: Span,
    expand: Sequence[str],
    covers: Mapping[str, Sequence[str]],
) -> Response:
    """Report the asked metrics of each name in *covers*, over the endpoint ids that it covers."""
    metrics = [name for name in METRICS if name in expand]
    by_endpoint = {each: name for name, ids in covers.items() for each in ids}
    found = await door.do(_rows_between, door, span, list(by_endpoint))

    def rows(part: Sequence[Any]) -> list[dict[str, Any]]:
        groups: dict[str, list[Any]] = {}
        for row in part:
            groups.setdefault(by_endpoint[row["endpoint_id"]], []).append(row)
        return [{"endpoint_id": name, **measured(groups[name], metrics)} for name in sorted(groups)]

    return report(asked, span, expand, [(row["created"], row) for row in found], rows)


def _rows_between(door: Door, span: Span, endpoint_ids: Sequence[str]) -> list[Any]:
    marks = ", ".join("?" * len(endpoint_ids))
    found = door.store.reading().execute(
        f"SELECT {COLUMNS} FROM requests WHERE created >= ? AND created < ?"  # noqa: S608  # fixed words only
        f" AND endpoint_id IN ({marks}) ORDER BY created",
        (span.start, span.end, *endpoint_ids),
    )
    return found.fetchall()


def need_team(asked: Asked) -> None:
    """Refuse with 404 a team that the organization does not have."""
    for name in asked.many("team_username"):
        if name != ACCOUNT:
            raise ApiRefusal(404, f"Team {name!r} not found")


def _instant_of(bucket: str) -> float:
    return datetime.fromisoformat(bucket).timestamp()


def _grouped(charges: Sequence[Charge], expand: Sequence[str]) -> list[list[Charge]]:
    """Return *charges* by endpoint, and by key where the way of authorising is asked for."""
    by_key = bool(set(expand) & set(AUTHS))
    groups: dict[tuple[str, str], list[Charge]] = {}
    for charge in charges:
        groups.setdefault((charge.endpoint_id, charge.key_id if by_key else ""), []).append(charge)
    return [groups[key] for key in sorted(groups)]


def _row(
    group: Sequence[Charge], expand: Sequence[str], names: Mapping[str, str]
) -> dict[str, Any]:
    cost = float(_sum(charge.cost for charge in group))
    return {
        **_quantity(group),
        "percent_discount": None,
        "cost_subtotal": cost,
        "cost_discount": 0,
        "cost_total": cost,
        "cost": cost,
        "currency": "USD",
        **_auth(group[0], expand, names),
    }


def _team_row(
    group: Sequence[Charge], expand: Sequence[str], names: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "username": ACCOUNT,
        "product": "model_apis",
        **_quantity(group),
        "cost": float(_sum(charge.cost for charge in group)),
        "currency": "USD",
        **_auth(group[0], expand, names),
    }


def _quantity(group: Sequence[Charge]) -> dict[str, Any]:
    return {
        "endpoint_id": group[0].endpoint_id,
        "unit": group[0].unit,
        "quantity": float(_sum(charge.units for charge in group)),
        "unit_price": float(group[0].unit_price),
    }


def _event(
    charge: Charge, expand: Sequence[str], names: Mapping[str, str], *, team: bool
) -> dict[str, Any]:
    return {
        **({"username": ACCOUNT} if team else {}),
        "request_id": charge.request_id,
        "endpoint_id": charge.endpoint_id,
        "timestamp": instant(charge.at),
        "output_units": float(charge.units),
        "unit_price": float(charge.unit_price),
        "percent_discount": None,
        "cost_subtotal": float(charge.cost),
        "cost_discount": 0,
        "cost_total": float(charge.cost),
        "cost_estimate_nano_usd": int(charge.cost * NANO),
        **({"tags": dict(charge.tags)} if charge.tags else {}),
        **_auth(charge, expand, names),
    }


def _tags(asked: Asked) -> dict[str, str]:
    """Return the tags, ``key=value`` each, that the query chooses by."""
    tags: dict[str, str] = {}
    for given in asked.request.query_params.getlist("tag"):
        key, equals, value = given.partition("=")
        if not key or not equals:
            raise ApiRefusal(400, f"tag: {given!r} is not key=value")
        tags[key] = value
    return tags


def _auth(charge: Charge, expand: Sequence[str], names: Mapping[str, str]) -> dict[str, Any]:
    told = auth(charge.key_id, names)
    return {name: told[name] for name in AUTHS if name in expand}


def _sum(values: Iterable[Decimal]) -> Decimal:
    return sum(values, Decimal(0))


def _cursor(charge: Charge) -> str:
    """Return a cursor for what comes after *charge*; new charges do not move it."""
    return base64.b64encode(json.dumps([charge.at, charge.request_id]).encode()).decode()


def _seen(cursor: str) -> tuple[float, str] | None:
    if not cursor:
        return None
    try:
        at, request_id = json.loads(base64.b64decode(cursor, validate=True))
        return float(at), str(request_id)
    except (binascii.Error, TypeError, ValueError):
        raise ApiRefusal(400, "cursor: it is not one of ours") from None
