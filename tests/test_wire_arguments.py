"""Every card's example fits, and every corruption of one field is refused by both sides at it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import pytest

from catalog.card import ModelCard
from catalog.describe import example_arguments
from catalog.errors import ArgumentsError
from catalog.index import CatalogIndex
from catalog.reading import resolved
from catalog.schema import check
from server.emulator.fitting import fit

# Values that no reading of ours or of the platform's makes into something of the named type.
WRONG: Mapping[str, tuple[Any, ...]] = {
    "string": ({"no": "text"}, True),
    "integer": ("many", 1.5, {"no": "number"}),
    "number": ("many", {"no": "number"}),
    "boolean": ("perhaps", {"no": "switch"}),
    "object": (3.5,),
}


@dataclass(frozen=True)
class Corruption:
    """One field made wrong; *value* of ... means that it is missing."""

    field: str
    what: str
    value: Any = ...

    def of(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return *arguments* with this field made wrong."""
        rest = {name: value for name, value in arguments.items() if name != self.field}
        return rest if self.value is ... else {**rest, self.field: self.value}


def corruptions(card: ModelCard, name: str) -> Iterator[Corruption]:
    """Yield every way to make field *name* wrong that its schema speaks of."""
    if name in card.required and card.properties[name].get("default") is None:
        yield Corruption(name, "missing")
    schema = resolved(card.input_schema, card.properties[name])
    if "anyOf" in schema or "oneOf" in schema:
        return
    if "enum" in schema:
        yield Corruption(name, "not in list", "zz no such choice zz")
        return
    kind = schema.get("type")
    for value in WRONG.get(cast("str", kind), ()):
        yield Corruption(name, "wrong type", value)
    if kind == "array":  # one scalar or object may stand for a list of one, so the other is wrong
        items = resolved(card.input_schema, schema.get("items") or {})
        if items.get("type") in ("string", "integer", "number", "boolean"):
            yield Corruption(name, "wrong type", {"no": "list"})
        elif items.get("type") == "object":
            yield Corruption(name, "wrong type", 3.5)
    if kind in ("integer", "number"):
        yield from _out_of_range(name, schema)
    yield from _too_much(card, name, schema)


def _too_much(card: ModelCard, name: str, schema: Mapping[str, Any]) -> Iterator[Corruption]:
    kind = schema.get("type")
    # A reference to media is measured when it has become an address, not before.
    plain = kind == "string" and "x-media" not in schema
    if plain and (most := schema.get("maxLength")) and most < 20_000:
        yield Corruption(name, "too long", "x" * (most + 1))
    if kind == "array" and (most := schema.get("maxItems")) and most < 200:
        item = _item(card, schema)
        if item is not None:
            yield Corruption(name, "too many", [item] * (most + 1))


def _out_of_range(name: str, schema: Mapping[str, Any]) -> Iterator[Corruption]:
    for keyword, step in (
        ("minimum", -1),
        ("maximum", 1),
        ("exclusiveMinimum", 0),
        ("exclusiveMaximum", 0),
    ):
        limit = schema.get(keyword)
        if isinstance(limit, int | float) and not isinstance(limit, bool):
            yield Corruption(name, f"beyond {keyword}", limit + step)


def _item(card: ModelCard, schema: Mapping[str, Any]) -> Any:
    items = resolved(card.input_schema, schema.get("items") or {})
    return "https://example.com/a.png" if items.get("type") == "string" else None


@pytest.fixture(scope="module")
def cards() -> tuple[ModelCard, ...]:
    return tuple(card for card in CatalogIndex.open().cards() if not card.seed_only)


def refused_by_us(card: ModelCard, arguments: Mapping[str, Any]) -> set[str]:
    """Return the fields at fault as our own check names them."""
    try:
        check(card, arguments)
    except ArgumentsError as error:
        return {problem.path.partition(".")[0].partition("[")[0] for problem in error.problems}
    return set()


def refused_by_the_platform(card: ModelCard, arguments: Mapping[str, Any]) -> set[str]:
    """Return the fields at fault as the emulator's runners name them."""
    return {str(wrong.loc[0]) if wrong.loc else "" for wrong in fit(card, dict(arguments))[1]}


def test_the_example_of_every_card_fits_on_both_sides(cards: tuple[ModelCard, ...]) -> None:
    for card in cards:
        arguments = example_arguments(card)
        assert refused_by_us(card, arguments) == set(), card.endpoint_id
        assert refused_by_the_platform(card, arguments) == set(), card.endpoint_id


def test_every_corruption_of_one_field_is_refused_at_that_field_by_both_sides(
    cards: tuple[ModelCard, ...],
) -> None:
    tried: dict[str, int] = {}
    failures: list[str] = []
    for card in cards:
        if card.completeness != "full":
            continue
        arguments = example_arguments(card)
        for corruption in (one for name in card.properties for one in corruptions(card, name)):
            given = corruption.of(arguments)
            tried[corruption.what] = tried.get(corruption.what, 0) + 1
            for side, found in (
                ("check", refused_by_us(card, given)),
                ("platform", refused_by_the_platform(card, given)),
            ):
                if found != {corruption.field}:
                    failures.append(f"{card.endpoint_id} {corruption}: {side} names {found}")

    assert failures == [], f"{len(failures)} of {sum(tried.values())}"
    assert len(tried) >= 7, tried
