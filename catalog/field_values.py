"""What single fields of a card take."""

from collections.abc import Iterator
from typing import Any

from catalog.card import ModelCard
from catalog.convert import types_of
from catalog.nearest import quantity_of
from catalog.reading import Reader, resolved


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
        if quantity and abs(float(quantity[0]) - seconds) < 0.01:
            return choice
    if choices_of(card, name):
        return None
    number = seconds * 1000 if name.endswith("_ms") else seconds
    whole = int(number) if number == int(number) else number
    tried: Iterator[object] = iter((whole, float(number), f"{whole}", f"{whole}s"))
    if "number" not in types_of(card.properties[name]):
        tried = iter((whole, f"{whole}", f"{whole}s"))
    return next((value for value in tried if takes(card, name, value)), None)


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
