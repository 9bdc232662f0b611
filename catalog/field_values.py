"""What single fields of a card take."""

import math
from collections.abc import Iterator
from typing import Any

from catalog.card import ModelCard
from catalog.convert import types_of
from catalog.nearest import quantity_of
from catalog.reading import Reader, resolved

# Seconds by which two lengths are the same.
_SAME = 0.01


def choices_of(card: ModelCard, name: str) -> list[Any]:
    """Return the values that the field *name* of *card* names, those of its branches too."""
    schema = resolved(card.input_schema, card.properties.get(name, {}))
    found: list[Any] = list(schema.get("enum") or ())
    for branch in schema.get("anyOf") or ():
        found += resolved(card.input_schema, branch).get("enum") or ()
    return found


def takes(card: ModelCard, name: str, value: object) -> bool:
    """Tell whether *card* takes *value* under *name* as it is."""
    if name not in card.properties or value is None:
        return False
    reader = Reader(card.input_schema)
    reader.read(card.properties[name], value, (name,))
    return not reader.problems and not reader.repairs


def length_value(card: ModelCard, name: str, seconds: float) -> object:
    """Return how the field *name* of *card* says so many *seconds*, None where it takes none."""
    for choice in choices_of(card, name):
        quantity = quantity_of(choice)
        if quantity and abs(float(quantity[0]) - seconds) < _SAME:
            return choice
    if choices_of(card, name):
        return None
    number = seconds * 1000 if name.endswith("_ms") else seconds
    whole = int(number) if number == int(number) else number
    tried: Iterator[object] = iter((whole, float(number), f"{whole}", f"{whole}s"))
    if "number" not in types_of(card.properties[name]):
        tried = iter((whole, f"{whole}", f"{whole}s"))
    return next((value for value in tried if takes(card, name, value)), None)


def near_length(card: ModelCard, name: str, seconds: float) -> tuple[object, float] | None:
    """Return how the field *name* says the shortest length of at least *seconds*, and how long.

    Its longest where none is so long; None where it tells no such lengths.
    """
    lengths = [(float(got[0]), one) for one in choices_of(card, name) if (got := quantity_of(one))]
    if lengths:
        enough = [one for one in lengths if one[0] >= seconds - _SAME]
        made, value = min(enough, key=_first) if enough else max(lengths, key=_first)
        return value, made
    schema, parts = card.properties[name], 1000 if name.endswith("_ms") else 1
    low, high = schema.get("x-range-seconds") or (schema.get("minimum"), schema.get("maximum"))
    made = seconds if low is None else max(seconds, low / parts)
    made = made if high is None else min(made, high / parts)
    for length in (made, float(math.ceil(made))):
        if (value := length_value(card, name, length)) is not None:
            return value, length
    return None


def _first(pair: tuple[float, object]) -> float:
    return pair[0]


def rule_told(card: ModelCard, name: str) -> str:
    """Return in short words what the field *name* of *card* takes."""
    schema = card.properties[name]
    if choices := choices_of(card, name):
        return f"{name} is one of {', '.join(str(one) for one in choices)}"
    low, high = schema.get("minimum"), schema.get("maximum")
    if span := schema.get("x-range-seconds"):
        low, high = span
    if high is None:
        return f"{name} does not take it"
    return f"{name} takes at most {high}" if low is None else f"{name} takes {low} to {high}"
