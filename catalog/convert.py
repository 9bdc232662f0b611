"""Convert single values to what a schema wants, where nothing can be lost."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeGuard, cast

from catalog.nearest import pair_of, quantity_of
from catalog.saying import listed

MISFIT: Final = object()  # stands for "no value of that type without losing something"

_INTEGER = re.compile(r"\s*[+-]?\d{1,30}(\.0*)?\s*\Z")
_NUMBER = re.compile(
    r"\s*[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})(e[+-]?\d{1,2})?\s*\Z", re.IGNORECASE
)
_KIND_WORDS = {
    "image": "an image",
    "video": "a video",
    "audio": "an audio file",
    "3d": "a 3D model",
    "archive": "an archive",
    "weights": "a weights file",
    "file": "a file",
}
_PLAIN_UNITS = ("", "s", "p", "x", "fps", "steps", "images")
_TYPE_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


def is_list(value: object) -> TypeGuard[list[object]]:
    """Tell whether *value* is a JSON list."""
    return isinstance(value, list)


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Tell whether *value* is a JSON object."""
    return isinstance(value, dict)


def types_of(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the JSON types that *schema* names, empty where it names none."""
    named = schema.get("type", ())
    return (named,) if isinstance(named, str) else tuple(cast("Sequence[str]", named))


def type_words(schema: Mapping[str, Any]) -> str:
    """Return in a few words what *schema* takes."""
    if "enum" in schema:
        return f"one of {listed(schema['enum'])}"
    if kind := schema.get("x-media"):
        return f"{_KIND_WORDS.get(kind, 'a file')} as path, URL, data URI or job"
    if branches := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(type_words(branch) for branch in branches)
    words = " or ".join(_TYPE_WORDS.get(name, name) for name in types_of(schema)) or "a value"
    if words == "a list" and schema.get("items"):
        return f"a list, each {type_words(schema['items'])}"
    if words == "an object" and (names := list(schema.get("properties", {}))):
        return f"an object with {', '.join(names[:8])}" + (", …" if len(names) > 8 else "")
    return words


def fits(name: str, value: object) -> bool:
    """Tell whether *value* is of the JSON type *name* as it stands; a bool is never a number."""
    match name:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "null":
            return value is None
        case _:
            return True


def converted(schema: Mapping[str, Any], value: object, *, seconds: bool = False) -> object:
    """Return *value* in a type of *schema*, itself where it fits, `MISFIT` where nothing does.

    With *seconds* a text such as ``"8s"`` counts as the number it holds.
    """
    names = types_of(schema)
    if any(fits(name, value) for name in names):
        return value
    for name in names:
        now = _to(name, schema, value, seconds)
        if now is not MISFIT:
            return now
    return MISFIT


def _to(name: str, schema: Mapping[str, Any], value: object, seconds: bool) -> object:
    match name:
        case "integer" | "number":
            return _to_number(name, value, seconds)
        case "string" if isinstance(value, int | float) and not isinstance(value, bool):
            return _number_text(value)
        case "boolean" if isinstance(value, str) and value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
        case "object":
            if isinstance(value, str):
                return size_object(schema, value) or _parsed(value, dict)
            if isinstance(value, Mapping):
                return dict(cast("Mapping[str, object]", value))
        case "array":
            if isinstance(value, tuple):
                return list(cast("tuple[object, ...]", value))
            if isinstance(value, str):
                return _parsed(value, list)
        case _:
            pass
    return MISFIT


def _to_number(name: str, value: object, seconds: bool) -> object:
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else MISFIT
    if not isinstance(value, str):
        return MISFIT
    text = value
    if seconds and (quantity := quantity_of(value)) and quantity[1] == "s":
        text = repr(quantity[0])
    if _INTEGER.match(text):
        return int(text.split(".")[0])
    if name == "number" and _NUMBER.match(text):
        return float(text)
    return MISFIT


def _number_text(value: float) -> object:
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 200 else MISFIT
    if not math.isfinite(value):
        return MISFIT
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _parsed(text: str, wanted: type[object]) -> object:
    """Return the object or list that *text* holds as JSON."""
    if text.lstrip()[:1] not in ("{", "["):
        return MISFIT
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return MISFIT
    return value if isinstance(value, wanted) else MISFIT


def size_object(schema: Mapping[str, Any], text: str) -> dict[str, int] | None:
    """Return ``{"width", "height"}`` for a text such as ``1024x768`` where *schema* takes both."""
    if not {"width", "height"} <= set(schema.get("properties") or ()):
        return None
    found = re.match(r"\s*(\d{2,5})\s*[xX\u00d7*]\s*(\d{2,5})\s*\Z", text)
    return {"width": int(found[1]), "height": int(found[2])} if found else None


def _same(left: object, right: object) -> bool:
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def matching_choice(value: object, choices: Sequence[object]) -> object:
    """Return the one of *choices* that *value* means, *value* itself where it is one, or `MISFIT`.

    Case and blanks do not count, nor does number against text (5, ``"5"``, ``"5s"``), as long as
    only one choice is meant.
    """
    for choice in choices:
        if _same(choice, value):
            return value if type(choice) is type(value) else choice
    if is_object(value):
        value = _size_text(value)
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, str):
        plain = value.strip().lower()
        alike = [choice for choice in choices if str(choice).lower() == plain]
        if len(alike) == 1:
            return alike[0]
        if (pair := pair_of(value)) and "_" not in plain:
            shape = [
                choice for choice in choices if pair_of(choice) == pair and choice not in _PAIRS
            ]
            if len(shape) == 1:
                return shape[0]
    quantity = quantity_of(value)
    if quantity is None:
        return MISFIT
    equal = [choice for choice in choices if _equal(quantity, quantity_of(choice))]
    return equal[0] if len(equal) == 1 else MISFIT


# A named size is a nearest, never the same as its numbers: models may round it otherwise.
_PAIRS = ("square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9")


def _equal(left: tuple[float, str], right: tuple[float, str] | None) -> bool:
    return (
        right is not None
        and left[0] == right[0]
        and (left[1] == right[1] or not left[1] or not right[1])
    )


def _size_text(value: Mapping[str, object]) -> object:
    if set(value) == {"width", "height"}:
        return f"{value['width']}x{value['height']}"
    return None


def unsendable(value: object) -> str:
    """Return why *value* cannot travel as JSON, empty where it can."""
    try:
        if isinstance(value, str):
            value.encode()
        elif isinstance(value, float):
            return "" if math.isfinite(value) else "must be a finite number"
        elif value is not None and not isinstance(value, int):
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return "must be valid text"
    except (TypeError, ValueError, RecursionError):
        return "must be plain JSON"
    return ""


def number_rule(schema: Mapping[str, Any], value: float) -> tuple[str, float | None]:
    """Return the rule of *schema* that *value* breaks and the nearest number; ``""`` where none."""
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if above is True:  # the older way of writing it, in raw OpenAPI 3.0
        low, above = None, low
    if below is True:
        high, below = None, high
    above, below = (None if above is False else above), (None if below is False else below)
    out = (
        (low is not None and value < low)
        or (high is not None and value > high)
        or (above is not None and value <= above)
        or (below is not None and value >= below)
    )
    if out:
        return f"is {_span(low, high, above, below)}", _clamped(schema, value, low, high)
    step = schema.get("multipleOf")
    if step and abs(value) < 1e15:
        exact, by = Decimal(str(value)), Decimal(str(step))
        if exact % by:
            near = (exact / by).to_integral_value() * by
            near -= by if high is not None and near > high else 0
            near += by if low is not None and near < low else 0
            return f"is a multiple of {step}", int(near) if near == int(near) else float(near)
    return "", None


def near_number(schema: Mapping[str, Any], value: object) -> float | None:
    """Return the number that *schema* takes and *value* most likely means, None where it is none.

    A comma counts as a decimal point, and a unit that changes nothing as none.
    """
    wanted = types_of(schema)
    quantity = quantity_of(value.replace(",", ".") if isinstance(value, str) else value)
    if quantity is None or quantity[1] not in _PLAIN_UNITS or not {"integer", "number"} & {*wanted}:
        return None
    number = quantity[0] if "number" in wanted else math.floor(quantity[0] + 0.5)
    broken, near = number_rule(schema, number)
    return near if broken else number


def _clamped(
    schema: Mapping[str, Any], value: float, low: float | None, high: float | None
) -> float | None:
    if low is not None and value < low:
        return low
    if high is not None and value > high:
        return high
    above = schema.get("exclusiveMinimum")
    whole = "integer" in types_of(schema) and isinstance(above, int)
    return above + 1 if whole and isinstance(above, int) and value <= above else None


def _span(low: object, high: object, above: object, below: object) -> str:
    if low is not None and high is not None:
        return f"{low} to {high}"
    words = [
        f"{word} {bound}"
        for word, bound in (
            ("at least", low),
            ("above", above),
            ("at most", high),
            ("below", below),
        )
        if bound is not None
    ]
    return " and ".join(words)
