"""The rules that every card of a snapshot keeps."""

import json
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from catalog.card import ModelCard
from catalog.describe import example_arguments
from catalog.errors import ArgumentsError
from catalog.index import CatalogIndex
from catalog.schema import check
from catalog.search import SearchRequest, search
from catalog.units import UNPRICED

LONGEST_SUMMARY, LONGEST_TITLE = 140, 60
TYPES = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})
UNITS = frozenset(
    {
        *UNPRICED, "second", "megapixel", "image", "video", "generation", "1000 characters",
        "step", "audio", "request", "minute", "processed megapixel", "frame", "training",
        "megapixel second", "voice", "100 characters",
    }
)  # fmt: skip
_PLAIN = re.compile(r"[^\x00-\x1f\x7f]*")


def findings(folder: Path) -> Iterator[str]:
    """Yield a line for each rule that a card of the snapshot in *folder* breaks.

    A snapshot that cannot be read at all is a finding too.
    """
    index = CatalogIndex.open(folder)
    try:
        ids = list(index.ids)
        if ids != sorted(set(ids)):
            yield "ids.txt: not sorted, or an id twice"
        cards = list(index.cards())
        if [card.endpoint_id for card in cards] != ids:
            yield "cards.jsonl: does not hold the ids of ids.txt in their order"
        if any(index.get(name).endpoint_id != name for name in [*ids[::37], *ids[-1:]]):
            yield "offsets.bin: leads to other cards"
        for name in ("facets.json", "search.json", "tongues.json"):
            json.loads((folder / name).read_text(encoding="utf-8"))
        for card in cards[:: max(1, len(cards) // 8)]:
            search(index, SearchRequest(card.full_title))
    except (OSError, ValueError, KeyError, IndexError, TypeError, struct.error) as problem:
        yield f"the snapshot cannot be read: {_told(problem)}"
        return
    known = frozenset(ids)
    for card in cards:
        for broken in broken_rules(card, known):
            yield f"{card.endpoint_id}: {broken}"


def _told(problem: Exception) -> str:
    """Return what is wrong in words, without the names of Python's errors."""
    if isinstance(problem, OSError):
        return f"{problem.filename}: {(problem.strerror or 'cannot be read').lower()}"
    if isinstance(problem, UnicodeDecodeError):
        return "one of its files is no text"
    return f"one of its files is damaged ({problem})"


def broken_rules(card: ModelCard, known: frozenset[str]) -> Iterator[str]:
    """Yield each rule that *card* breaks, in words; *known* are the ids of its snapshot."""
    yield from _words(card)
    if card.replaced_by and card.replaced_by not in known:
        yield f"its successor {card.replaced_by!r} does not exist"
    if card.replaced_by == card.endpoint_id:
        yield "it succeeds itself"
    for name in card.required:
        if name not in card.properties:
            yield f"{name!r} is required and not described"
    for side, schema in (("input", card.input_schema), ("output", card.output_schema)):
        for name, rule in cast("Mapping[str, Any]", schema.get("properties") or {}).items():
            yield from (f"{side}.{name}: {broken}" for broken in _schema(rule))
    yield from _price(card)
    yield from _conditions(card)
    for name, kind in card.media_in.items():
        told = [each for each in ("image", "video", "audio") if each in name]
        if len(told) == 1 and kind not in (told[0], "archive"):
            yield f"input.{name} is said to take {kind}"
    try:
        check(card, example_arguments(card))
    except ArgumentsError as problem:
        yield f"its example does not fit: {problem}"


def _words(card: ModelCard) -> Iterator[str]:
    for what, text, longest in (
        ("title", card.title, LONGEST_TITLE),
        ("summary", card.summary, LONGEST_SUMMARY),
    ):
        if not text.strip():
            yield f"no {what}"
        if len(text) > longest:
            yield f"its {what} has {len(text)} characters, over {longest}"
        if not _PLAIN.fullmatch(text):
            yield f"its {what} holds control characters"
    if re.search(r"https?://|<[a-z]+>", card.summary):
        yield "its summary holds an address or a tag"


def _schema(rule: object) -> Iterator[str]:
    """Yield what is wrong with one part of a schema and what lies in it."""
    if not isinstance(rule, dict):
        yield f"{rule!r} is no schema"
        return
    given = cast("dict[str, Any]", rule)
    kinds = given.get("type", [])
    for kind in cast("list[object]", kinds if isinstance(kinds, list) else [kinds]):
        if kind not in TYPES:
            yield f"unknown type {kind!r}"
    if "default" in given and not given.get("x-default-out-of-range"):
        yield from _default(given)
    if _number(given, "minimum", -1e300) > _number(given, "maximum", 1e300):
        yield f"minimum {given['minimum']} is over maximum {given['maximum']}"
    if "enum" in given and not (isinstance(given["enum"], list) and given["enum"]):
        yield "no choice in enum"
    parts: list[Any] = list(cast("Mapping[str, Any]", given.get("properties") or {}).values())
    parts += [given["items"]] if "items" in given else []
    parts += [each for union in ("anyOf", "oneOf", "allOf") for each in given.get(union) or ()]
    for part in parts:
        yield from _schema(part)


def _default(given: Mapping[str, Any]) -> Iterator[str]:
    default = given["default"]
    if default is None:
        return
    if "enum" in given and default not in given["enum"] and not isinstance(default, list):
        yield f"default {default!r} is not in enum"
    if isinstance(default, int | float) and not isinstance(default, bool):
        low, high = _number(given, "minimum", default), _number(given, "maximum", default)
        if not low <= default <= high:
            yield f"default {default!r} is outside {low} to {high}"


def _number(given: Mapping[str, Any], name: str, otherwise: float) -> float:
    found = given.get(name)
    return found if isinstance(found, int | float) else otherwise


def _price(card: ModelCard) -> Iterator[str]:
    price = card.price
    if price is None:
        return
    amounts = [price.get("amount"), *(rule.get("amount", 0) for rule in price["qualifiers"])]
    if not all(isinstance(amount, int | float) and amount >= 0 for amount in amounts):
        yield f"a price that is no amount: {amounts}"
    for unit in {price["unit"], *(rule.get("unit", price["unit"]) for rule in price["qualifiers"])}:
        if unit not in UNITS:
            yield f"unknown price unit {unit!r}"
    if price.get("currency") != "USD":
        yield f"a price in {price.get('currency')!r}"
    if not price.get("source") or not price.get("as_of"):
        yield "a price without source or date"


def _conditions(card: ModelCard) -> Iterator[str]:
    """Yield each condition of the price that no argument could meet."""
    if card.price is None or card.completeness != "full":
        return
    for rule in card.price["qualifiers"]:
        for name, wanted in cast("Mapping[str, object]", rule.get("when") or {}).items():
            if name not in card.properties:
                yield f"its price depends on {name!r}, which it does not take"
                continue
            choices = card.properties[name].get("enum")
            asked = cast("list[object]", wanted if isinstance(wanted, list) else [wanted])
            if not choices or rule.get("not_offered") or isinstance(wanted, dict | bool):
                continue
            allowed = {str(choice).lower() for choice in choices}
            for value in asked:
                if str(value).lower() not in allowed and "models" not in str(value):
                    yield f"its price depends on {name}={value}, which it does not offer"
