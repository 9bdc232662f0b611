"""Keep of a foreign JSON Schema what is sound, so that nothing that reads cards meets oddities."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, cast

from catalog.convert import fits, types_of

Schema = dict[str, Any]

TYPES = ("string", "integer", "number", "boolean", "array", "object", "null")
# The longest default of the shipped catalog has 146 letters.
_LONGEST_VALUE = 4_000
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems")
_NAME = re.compile(r"\w[\w.-]{0,40}(?: [\w.-]{1,20}){0,2}")
_FLAGS = ("uniqueItems", "deprecated")


def sound_rules(given: Mapping[str, Any]) -> Schema:
    """Return what *given*, one level of a schema, says of values, in the forms of Draft 2020-12.

    Prose, widgets and patterns (which may take for ever) are left out, and so is what is not of
    the form it should have: a bound that is no number, a choice that is no single value.
    """
    made: Schema = {}
    for key, value in _newer(given).items():
        if (sound := _sound(key, value)) is not None:
            made[key] = sound
    return with_default(made, given)


def with_default(rules: Schema, given: Mapping[str, Any]) -> Schema:
    """Return *rules* with the default that *given* names, if it can be one of theirs."""
    if "default" not in given or not _fits_default(rules, given["default"]):
        return rules
    return {**rules, "default": given["default"]}


def sound_examples(given: Mapping[str, Any]) -> Schema:
    """Return the first example of *given* if it is a name or number, such as that of a voice.

    Sentences and addresses are prose of somebody else's, and the catalog has its own.
    """
    examples = given.get("examples")
    if not isinstance(examples, list) or not examples:
        return {}
    first = cast("list[Any]", examples)[0]
    is_name = isinstance(first, str) and _NAME.fullmatch(first)
    return {"examples": [first]} if is_name or _is_number(first) else {}


def without_null(rule: Schema, *, is_nullable: bool) -> Schema:
    """Return *rule* for a value that is there: leaving an input out says the same as null.

    Shipped cards are written so, and everything that reads them looks for the type of an input at
    its top. ``x-null`` stands where null may say something else: not what the default says.
    """
    made, takes = dict(rule), is_nullable
    names = [name for name in types_of(made) if name != "null"]
    if names and len(names) < len(types_of(made)):
        made["type"], takes = names if len(names) > 1 else names[0], True
    if (choices := made.get("enum")) and None in choices and len(choices) > 1:
        made["enum"], takes = [one for one in choices if one is not None], True
    for union in ("anyOf", "oneOf"):
        branches = cast("list[Schema]", made.get(union) or [])
        rest = [branch for branch in branches if branch.get("type") != "null"]
        if rest and len(rest) < len(branches):
            made[union], takes = rest, True
            if len(rest) == 1:
                made = {**rest[0], **{key: value for key, value in made.items() if key != union}}
    if takes and "default" in made and made["default"] is None:
        del made["default"]
    elif takes:
        made["x-null"] = True
    return made


def sound_limits(limits: object) -> Schema:
    """Return the bounds of media in *limits* that are numbers."""
    if not isinstance(limits, dict):
        return {}
    entries = cast("dict[str, Any]", limits)
    return {key: value for key, value in entries.items() if _is_number(value)}


def _sound(key: str, value: Any) -> Any:  # noqa: ANN401  # JSON
    """Return *value* of the rule *key* if it is of its form, else None."""
    if key == "type":
        return _types(value)
    if key in _NUMBERS and _is_number(value):
        return value if key != "multipleOf" or value > 0 else None
    if key in _COUNTS and isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if key in _FLAGS and isinstance(value, bool):
        return value
    if key == "format" and isinstance(value, str) and len(value) < 100 and _is_sendable(value):
        return value
    if key == "const" and _is_choice(value):
        return value
    if key == "enum" and isinstance(value, list):
        choices = cast("list[Any]", value)
        return choices if choices and all(_is_choice(one) for one in choices) else None
    if key == "required" and isinstance(value, list):
        return [name for name in cast("list[Any]", value) if isinstance(name, str)]
    return None


def _types(value: Any) -> Any:  # noqa: ANN401  # JSON
    names = cast("list[Any]", value) if isinstance(value, list) else [value]
    if not names or any(name not in TYPES for name in names):
        return None
    return names if isinstance(value, list) else names[0]


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 2**63


def _is_choice(value: object) -> bool:
    """Tell whether *value* is a single one, which a person could read."""
    if isinstance(value, str):
        return len(value) <= _LONGEST_VALUE and _is_sendable(value)
    return value is None or isinstance(value, bool) or _is_number(value)


def _fits_default(rules: Mapping[str, Any], value: object) -> bool:
    """Tell whether *value* can be the default of what follows *rules*."""
    names = types_of(rules)
    fitting = value is None or not names or any(fits(name, value) for name in names)
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return fitting and len(text) <= _LONGEST_VALUE and _is_sendable(text)


def _is_sendable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _newer(given: Mapping[str, Any]) -> Schema:
    """Return *given* with OpenAPI 3.0's boolean bounds as numbers."""
    made = dict(given)
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(made.get(exclusive), bool):
            is_open = made.pop(exclusive)
            if is_open and bound in made:
                made[exclusive] = made.pop(bound)
    return made
