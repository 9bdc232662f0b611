"""`PlatformApi`: models, prices and requests, as fal's platform API answers them."""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response

from catalog.card import ModelCard
from catalog.index import CatalogIndex
from server.emulator.answers import ApiRefusal, base_of, has_key, json_answer
from server.emulator.history import (
    ORDERS,
    STATUS_RULES,
    Wanted,
    cursor_of,
    listed,
    offset_of,
)
from server.emulator.openapi import document
from server.emulator.store import Store

MOST_IDS = 50
MOST_LISTINGS = 32
DAY = 86_400.0
NO_MODEL_INFORMATION = "2025-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class PlatformApi:
    """What the platform API needs."""

    catalog: CatalogIndex
    store: Store
    # What was listed before, so that paging does not read every card again.
    listings: dict[tuple[str, str, str], list[str]] = field(
        default_factory=dict[tuple[str, str, str], list[str]]
    )

    async def models(self, request: Request) -> Response:
        """List the catalog, look ids up, or search it by words; a key is not needed."""
        query = request.query_params
        expand = _many(request, "expand")
        _only(expand, ("openapi-3.0", "enterprise_status"), "expand")
        if (status := query.get("status", "")) not in ("", "active", "deprecated"):
            raise ApiRefusal(400, f"status: {status!r} is not one of active, deprecated")
        limit, offset = _page(request, most=100)
        if ids := _ids(request, required=False):
            found: Sequence[str] = [self._card(endpoint_id).endpoint_id for endpoint_id in ids]
        else:
            found = await anyio.to_thread.run_sync(
                self._search, query.get("q", "").lower(), query.get("category", ""), status
            )
        page = found[offset : offset + limit]
        more = offset + limit < len(found)
        return json_answer(
            {
                "models": [_model(self._card(endpoint_id), expand) for endpoint_id in page],
                "next_cursor": cursor_of(offset + limit) if more else None,
                "has_more": more,
            }
        )

    def _search(self, text: str, category: str, status: str) -> list[str]:
        """Return the ids that carry all words of *text*, fittest first; it may read every card."""
        key = (text, category, status)
        if key in self.listings:
            return self.listings[key]
        words = text.split()
        categories = (category,) if category else self.catalog.categories
        ids = [name for each in categories for name in self.catalog.of_category(each)]
        fits: Callable[[ModelCard], bool] = lambda card: (  # noqa: E731  # one expression
            not card.seed_only
            and (not status or _status(card) == status)
            and all(word in _text(card) for word in words)
        )
        if len(self.listings) >= MOST_LISTINGS:
            self.listings.clear()
        found = self.listings[key] = [name for name in ids if fits(self.catalog.get(name))]
        return found

    async def pricing(self, request: Request) -> Response:
        """Return the unit prices of the given ids; those without a known price are left out."""
        _need_key(request)
        cards = [self._card(endpoint_id) for endpoint_id in _ids(request, required=True)]
        prices = [_price(card) for card in cards if card.price]
        return json_answer({"prices": prices, "next_cursor": None, "has_more": False})

    async def requests(self, request: Request) -> Response:
        """List the account's requests to the given endpoints, with payloads where asked."""
        _need_key(request)
        query = request.query_params
        ids = _ids(request, required=True)
        expand = _many(request, "expand")
        _only(expand, ("payloads",), "expand")
        request_id = query.get("request_id", "")
        if request_id:
            _uuid(request_id)
        limit, offset = _page(request, most=100)
        wanted = Wanted(
            endpoint_ids=ids,
            start=_time(query.get("start"), time.time() - (90 * DAY if request_id else DAY)),
            end=_time(query.get("end"), time.time() + 1),
            status=_word(query.get("status", ""), ("", *STATUS_RULES), "status"),
            request_id=request_id,
            sort_by=_word(query.get("sort_by", "ended_at"), tuple(ORDERS), "sort_by"),
            payloads="payloads" in expand,
            limit=limit,
            offset=offset,
        )
        items, more = await self.store.do(listed, self.store, wanted, base_of(request))
        return json_answer(
            {
                "items": items,
                "next_cursor": cursor_of(offset + limit) if more else None,
                "has_more": more,
            }
        )

    async def schema(self, request: Request) -> Response:
        """Return the OpenAPI document of one endpoint; an unknown one is 404 with ``null``."""
        card = self.catalog.find(request.query_params.get("endpoint_id", ""))
        if card is None or card.seed_only or not card.input_schema:
            return json_answer(None, 404)
        return json_answer(document(card))

    def _card(self, endpoint_id: str) -> ModelCard:
        card = self.catalog.find(endpoint_id)
        if card is None or card.endpoint_id != endpoint_id or card.seed_only:
            raise ApiRefusal(404, f"Endpoint {endpoint_id!r} not found")
        return card


async def nothing_here(request: Request) -> Response:
    """Refuse an operation that this API does not have."""
    raise ApiRefusal(404, f"{request.method} {request.url.path} not found")


def _model(card: ModelCard, expand: Sequence[str]) -> dict[str, Any]:
    date = _instant(card.published or card.updated)
    metadata: dict[str, Any] = {
        "display_name": card.title,
        "category": card.category,
        "description": card.summary,
        "status": _status(card),
        "tags": list(card.tags),
        "updated_at": _instant(card.updated or card.published),
        "is_favorited": None,
        "thumbnail_url": "",
        "model_url": f"https://fal.run/{card.endpoint_id}",
        "date": date,
        "highlighted": False,
        "kind": "training" if card.category == "training" else "inference",
        "pinned": False,
    }
    if card.license in ("commercial", "research", "private"):
        metadata["license_type"] = card.license
    if card.family:
        metadata["group"] = {"key": card.family, "label": card.variant or card.title}
    if card.streaming:
        metadata["stream_url"] = f"https://fal.run/{card.endpoint_id}/stream"
    entry: dict[str, Any] = {"endpoint_id": card.endpoint_id, "metadata": metadata}
    if "openapi-3.0" in expand:
        entry["openapi"] = document(card) if card.input_schema else _NOT_EXPANDED
    if "enterprise_status" in expand:
        entry["enterprise_status"] = "ready"
    return entry


_NOT_EXPANDED = {
    "error": {"code": "expansion_failed", "message": "No schema is known for this endpoint"}
}


def _status(card: ModelCard) -> str:
    return "deprecated" if card.status == "deprecated" else "active"


def _text(card: ModelCard) -> str:
    return " ".join((card.endpoint_id, card.title, card.summary, *card.tags)).lower()


def _price(card: ModelCard) -> dict[str, Any]:
    """Return the pricing API's own figure where it is known, else the one of the model page."""
    price = card.price or {}
    known = price.get("api") or price
    unit = str(known.get("unit", "units"))
    return {
        "endpoint_id": card.endpoint_id,
        "unit_price": known.get("amount", 0) / (known.get("quantity") or 1),
        "unit": unit if unit.endswith("s") else f"{unit}s",
        "currency": price.get("currency", "USD"),
    }


def _instant(day: str | None) -> str:
    return f"{day}T00:00:00Z" if day and len(day) == len("2026-01-01") else NO_MODEL_INFORMATION


def _many(request: Request, name: str) -> list[str]:
    """Return a parameter that may be repeated, comma-joined, or both, each value once."""
    given = [part for text in request.query_params.getlist(name) for part in text.split(",")]
    return list(dict.fromkeys(part.strip() for part in given if part.strip()))


def _ids(request: Request, *, required: bool) -> list[str]:
    ids = _many(request, "endpoint_id")
    if (required and not ids) or len(ids) > MOST_IDS:
        raise ApiRefusal(400, f"endpoint_id: 1 to {MOST_IDS} ids are needed, got {len(ids)}")
    return ids


def _page(request: Request, *, most: int) -> tuple[int, int]:
    """Return limit and offset of the page that is asked for."""
    text = request.query_params.get("limit", "50")
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise ApiRefusal(400, f"limit: {text!r} is not a number from 1 to {most}")
    try:
        return int(text), offset_of(request.query_params.get("cursor", ""))
    except ValueError:
        raise ApiRefusal(400, "cursor: it is not one of ours") from None


def _only(given: Sequence[str], allowed: Sequence[str], name: str) -> None:
    for value in given:
        _word(value, allowed, name)


def _word(given: str, allowed: Sequence[str], name: str) -> str:
    if given not in allowed:
        listed_words = ", ".join(filter(None, allowed))
        raise ApiRefusal(400, f"{name}: {given!r} is not one of {listed_words}")
    return given


def _uuid(given: str) -> None:
    try:
        uuid.UUID(given)
    except ValueError:
        raise ApiRefusal(400, f"request_id: {given!r} is not a UUID") from None


def _time(given: str | None, usual: float) -> float:
    """Return an instant or a day (its start, UTC) in seconds of the Unix epoch."""
    if not given:
        return usual
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise ApiRefusal(400, f"{given!r} is not an ISO-8601 instant or day") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _need_key(request: Request) -> None:
    if not has_key(request):
        raise ApiRefusal(401, "Authentication is required")
