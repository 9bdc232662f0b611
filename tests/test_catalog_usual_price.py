"""The price in a search result is one that the card itself states, in the unit it states it in."""

import re
from collections.abc import Iterator
from decimal import Decimal

import pytest

from catalog.card import ModelCard
from catalog.index import CatalogIndex
from catalog.pricing import price_words
from catalog.search import SearchRequest, search
from catalog.search_tables import SearchTables
from catalog.units import unit_words

CATALOG = CatalogIndex.open()


def stated(card: ModelCard) -> set[Decimal]:
    """Return every amount that *card* states, also times one or two of its multipliers."""
    price = card.price or {}
    rules = price.get("qualifiers") or ()
    amounts = {price["amount"], *(rule["amount"] for rule in rules if "amount" in rule)}
    factors = [Decimal(1), *(Decimal(str(r["multiplier"])) for r in rules if "multiplier" in r)]
    products = {first * second for first in factors for second in factors}
    return {Decimal(str(amount)) * product for amount in amounts for product in products}


def every_card() -> Iterator[tuple[ModelCard, str]]:
    tables = SearchTables(CATALOG.folder)
    for place, card in enumerate(CATALOG.cards()):
        yield card, tables.texts(place)[2]


def test_search_and_description_state_the_same_price_of_every_card() -> None:
    wrong: list[str] = []
    for card, usual in every_card():
        price = card.price
        if price is None or price.get("placeholder_suspected"):
            if usual != price_words(card):
                wrong.append(f"{card.endpoint_id}: {usual}")
            continue
        found = re.fullmatch(r"(?:about )?\$([\d.]+)(?:-([\d.]+))?/(.+?)(?: at \w+)?", usual)
        units = {unit_words(price["unit"], price.get("quantity"))}
        units |= {
            unit_words(price["unit"], rule["quantity"])
            for rule in price.get("qualifiers") or ()
            if "quantity" in rule
        }
        ends = [Decimal(end) for end in (found.groups()[:2] if found else ()) if end]
        known = [round(amount, 4) for amount in stated(card)]
        if not found or found[3] not in units or any(round(end, 4) not in known for end in ends):
            wrong.append(f"{card.endpoint_id}: {usual} ({price_words(card)})")
    assert wrong == []


@pytest.mark.parametrize("query", ["z-image turbo", "flux dev under 5 cents per image"])
def test_a_price_by_megapixel_is_never_written_as_one_by_image(query: str) -> None:
    for hit in search(CATALOG, SearchRequest(query)).hits:
        price = CATALOG.get(hit.endpoint_id).price or {}
        assert ("/image" not in hit.price) or price["unit"] == "image"


def test_a_price_for_a_stated_amount_of_work_names_that_work() -> None:
    (hit,) = search(
        CATALOG, SearchRequest("fal-ai/z-image/turbo", for_work="4 images", limit=1)
    ).hits
    assert hit.price == "$0.02 for 4 images"
