"""`Models`: the catalog, its prices and estimates, as the platform API answers them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal

import anyio
from pydantic import Field, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from catalog.card import ModelCard
from server.emulator.answers import ApiRefusal, json_answer
from server.emulator.openapi import document
from server.emulator.platform_api.asked import MOST_IDS, Asked, Body, complaints
from server.emulator.platform_api.door import Door
from server.emulator.platform_api.ledger import Ledger, unit_of, unit_price

MOST_LISTINGS = 32
NO_MODEL_INFORMATION = "2025-01-01T00:00:00Z"
EXPANSIONS = ("openapi-3.0", "enterprise_status")


class _Calls(Body):
    call_quantity: Annotated[int, Field(ge=1)]


class _Units(Body):
    unit_quantity: Annotated[float, Field(ge=1e-6)]


class _ByHistory(Body):
    estimate_type: Literal["historical_api_price"]
    endpoints: Annotated[dict[str, _Calls], Field(min_length=1, max_length=MOST_IDS)]


class _ByUnits(Body):
    estimate_type: Literal["unit_price"]
    endpoints: Annotated[dict[str, _Units], Field(min_length=1, max_length=MOST_IDS)]


@cache
def _estimates() -> TypeAdapter[_ByHistory | _ByUnits]:
    """Return what reads either body, made when it is first needed."""
    return TypeAdapter(Annotated[_ByHistory | _ByUnits, Field(discriminator="estimate_type")])


@dataclass(frozen=True, slots=True)
class Models:
    """The operations under ``/models`` that need no request of the past."""

    door: Door
    ledger: Ledger
    # What was listed before, so that paging does not read every card again.
    listings: dict[tuple[str, str, str], list[str]] = field(
        default_factory=dict[tuple[str, str, str], list[str]]
    )

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this family."""
        return [
            self.door.route("GET", "/models", self.models),
            self.door.route("GET", "/models/pricing", self.pricing, "models:pricing:read"),
            self.door.route(
                "POST", "/models/pricing/estimate", self.estimate, "models:pricing:read"
            ),
            Route("/fal/api/openapi/queue/openapi.json", self.schema),
        ]

    async def models(self, asked: Asked) -> Response:
        """List the catalog, look ids up, or search it by words; a key is not needed."""
        expand = asked.many("expand", EXPANSIONS)
        status = asked.word("status", ("active", "deprecated"))
        page = asked.page()
        if ids := asked.ids():
            found: Sequence[str] = [self.door.card(name).endpoint_id for name in ids]
        else:
            found = await anyio.to_thread.run_sync(
                self._search, asked.text("q").lower(), asked.text("category"), status
            )
        part, told = page.cut(found)
        models = [_model(self.door.card(name), expand) for name in part]
        return json_answer({"models": models, **told})

    def _search(self, text: str, category: str, status: str) -> list[str]:
        """Return the ids that carry all words of *text*, fittest first; it may read every card."""
        key = (text, category, status)
        if key in self.listings:
            return self.listings[key]
        words = text.split()
        catalog = self.door.catalog
        categories = (category,) if category else catalog.categories
        ids = [name for each in categories for name in catalog.of_category(each)]
        fits: Callable[[ModelCard], bool] = lambda card: (  # noqa: E731  # one expression
            not card.seed_only
            and (not status or _status(card) == status)
            and all(word in _text(card) for word in words)
        )
        if len(self.listings) >= MOST_LISTINGS:
            self.listings.clear()
        found = self.listings[key] = [name for name in ids if fits(catalog.get(name))]
        return found

    async def pricing(self, asked: Asked) -> Response:
        """Return the unit prices of the given ids; those without a known price are left out."""
        cards = [self.door.card(name) for name in asked.ids(required=True)]
        prices = [price for card in cards if (price := _price(card))]
        return json_answer({"prices": prices, "next_cursor": None, "has_more": False})

    async def estimate(self, asked: Asked) -> Response:
        """Return what calls would cost: by unit prices, or by what such calls cost here so far.

        A call that was never made here counts as one unit of its price.
        """
        raw = await asked.raw()
        try:
            wanted = _estimates().validate_json(raw)
        except ValidationError as problem:
            raise ApiRefusal(400, complaints(problem)) from None
        total = Decimal(0)
        for name, quantity in wanted.endpoints.items():
            rate = unit_price(self.door.card(name))
            if rate is None:
                raise ApiRefusal(404, f"No price is known for endpoint {name!r}")
            if isinstance(quantity, _Calls):
                usual = await self.door.do(self.ledger.usual_cost, name)
                total += (rate if usual is None else usual) * quantity.call_quantity
            else:
                total += rate * Decimal(str(quantity.unit_quantity))
        return json_answer(
            {
                "estimate_type": wanted.estimate_type,
                "total_cost": float(total),
                "currency": "USD",
            }
        )

    async def schema(self, request: Request) -> Response:
        """Return the OpenAPI document of one endpoint; an unknown one is 404 with ``null``."""
        card = self.door.catalog.find(request.query_params.get("endpoint_id", ""))
        if card is None or card.seed_only or not card.input_schema:
            return json_answer(None, 404)
        return json_answer(document(card))


def _model(card: ModelCard, expand: Sequence[str]) -> dict[str, Any]:
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
        "date": _instant(card.published or card.updated),
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


def _price(card: ModelCard) -> dict[str, Any] | None:
    """Return the pricing API's own figure where it is known, else the one of the model page."""
    rate = unit_price(card)
    if card.price is None or rate is None:
        return None
    return {
        "endpoint_id": card.endpoint_id,
        "unit_price": float(rate),
        "unit": unit_of(card),
        "currency": card.price.get("currency", "USD"),
    }


def _instant(day: str | None) -> str:
    return f"{day}T00:00:00Z" if day and len(day) == len("2026-01-01") else NO_MODEL_INFORMATION
