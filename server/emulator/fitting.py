"""Hold an input against a card's schema as a runner would: convert, fill in, or complain."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from catalog.card import ModelCard

Loc = tuple[str | int, ...]
DOCS = "https://docs.fal.ai/errors/#"

# Error types that fal documents with a page of their own; the others are the validator's.
DOCUMENTED = frozenset(
    {
        "greater_than", "greater_than_equal", "less_than", "less_than_equal", "multiple_of",
        "sequence_too_short", "sequence_too_long", "one_of", "internal_server_error",
        "generation_timeout", "downstream_service_error", "downstream_service_unavailable",
        "content_policy_violation", "no_media_generated", "image_too_small", "image_too_large",
        "image_load_error", "file_download_error", "face_detection_error", "feature_not_supported",
        "file_too_large", "invalid_archive", "archive_file_count_below_minimum",
        "archive_file_count_exceeds_maximum", "audio_duration_too_long", "audio_duration_too_short",
        "video_duration_too_long", "video_duration_too_short", "unsupported_audio_format",
        "unsupported_image_format", "unsupported_video_format",
    }
)  # fmt: skip

WHOLE = re.compile(r"[+-]?\d+(?:\.0+)?\Z")
MOST_DIGITS = 300
TRUE = {"true", "1", "yes", "on", "y", "t"}
FALSE = {"false", "0", "no", "off", "n", "f"}

# keyword, type, what the message says, key of the limit in ctx, whether a value is fine
NUMBER_RULES: Sequence[tuple[str, str, str, str]] = (
    ("exclusiveMinimum", "greater_than", "greater than", "gt"),
    ("minimum", "greater_than_equal", "greater than or equal to", "ge"),
    ("exclusiveMaximum", "less_than", "less than", "lt"),
    ("maximum", "less_than_equal", "less than or equal to", "le"),
)


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that does not fit, in the words of fal's ``detail`` list."""

    loc: Loc
    message: str
    type: str
    input: Any = None
    ctx: Mapping[str, Any] | None = None

    def as_detail(self) -> dict[str, Any]:
        """Return the entry of the ``detail`` list."""
        entry: dict[str, Any] = {
            "loc": ["body", *self.loc],
            "msg": self.message,
            "type": self.type,
            "input": self.input,
        }
        if self.ctx:
            entry["ctx"] = dict(self.ctx)
        if self.type in DOCUMENTED:
            entry["url"] = f"{DOCS}{self.type}"
        return entry


def fit(card: ModelCard, body: Any) -> tuple[dict[str, Any], list[Wrong]]:  # noqa: ANN401  # JSON
    """Return the arguments that a runner of *card* would see, and what is wrong with *body*.

    As fal's runners do, values are converted where the meaning is plain (``"7"`` to 7), defaults
    are filled in and unknown fields ignored; of cards that are not fully known all are passed on.
    """
    if not isinstance(body, dict):
        words = "Input should be a valid dictionary or object to extract fields from"
        return {}, [Wrong((), words, "model_attributes_type", body)]
    wrongs: list[Wrong] = []
    arguments = _object(card.input_schema, cast("dict[str, Any]", body), (), wrongs)
    if card.completeness != "full":
        arguments = {**cast("dict[str, Any]", body), **arguments}
    return arguments, wrongs


def _object(
    schema: Mapping[str, Any], given: dict[str, Any], loc: Loc, wrongs: list[Wrong]
) -> dict[str, Any]:
    properties = cast("Mapping[str, Mapping[str, Any]]", schema.get("properties", {}))
    required = cast("Sequence[str]", schema.get("required", ()))
    if not properties:
        return dict(given)
    made: dict[str, Any] = {}
    for name, rule in properties.items():
        # The catalog gives nullable types without their null, so null means "not given" here.
        if given.get(name) is None and (name not in required or name not in given):
            if name in required:
                wrongs.append(Wrong((*loc, name), "Field required", "missing", given))
            elif "default" in rule:
                made[name] = rule["default"]
            continue
        made[name] = _value(rule, given[name], (*loc, name), wrongs)
    return made


def _value(rule: Mapping[str, Any], given: Any, loc: Loc, wrongs: list[Wrong]) -> Any:  # noqa: ANN401  # JSON
    """Return *given* as *rule* wants it, adding to *wrongs* what does not fit."""
    branches = rule.get("anyOf") or rule.get("oneOf")
    if branches:
        return _any_of(cast("Sequence[Mapping[str, Any]]", branches), given, loc, wrongs)
    enum = cast("Sequence[Any] | None", rule.get("enum"))
    if enum is not None:
        return _one_of(enum, given, loc, wrongs)
    match rule.get("type"):
        case "string":
            return _string(rule, given, loc, wrongs)
        case "integer" | "number":
            return _number(rule, given, loc, wrongs)
        case "boolean":
            return _boolean(given, loc, wrongs)
        case "array":
            return _array(rule, given, loc, wrongs)
        case "object":
            if isinstance(given, dict):
                return _object(rule, cast("dict[str, Any]", given), loc, wrongs)
            words = "Input should be a valid dictionary"
            wrongs.append(Wrong(loc, words, "dict_type", given))
        case _:
            pass
    return given


def _any_of(
    branches: Sequence[Mapping[str, Any]],
    given: Any,  # noqa: ANN401  # JSON
    loc: Loc,
    wrongs: list[Wrong],
) -> Any:  # noqa: ANN401  # JSON
    """Return *given* as the first branch takes it; else complain as the likeliest branch does."""
    likeliest: list[Wrong] | None = None
    for branch in sorted(branches, key=lambda branch: not _same_kind(branch, given)):
        complaints: list[Wrong] = []
        made = _value(branch, given, loc, complaints)
        if not complaints:
            return made
        likeliest = likeliest or complaints
    wrongs.extend(likeliest or ())
    return given


def _same_kind(branch: Mapping[str, Any], given: Any) -> bool:  # noqa: ANN401  # JSON
    kinds: Mapping[str, tuple[type, ...]] = {
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "array": (list,),
        "object": (dict,),
    }
    return isinstance(given, kinds.get(branch.get("type", ""), ()))


def _one_of(enum: Sequence[Any], given: Any, loc: Loc, wrongs: list[Wrong]) -> Any:  # noqa: ANN401  # JSON
    for allowed in enum:
        if allowed == given and isinstance(allowed, bool) == isinstance(given, bool):
            return allowed
    quoted = [repr(allowed) for allowed in enum]
    listed = " or ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))
    words = f"Input should be {listed}"
    wrongs.append(Wrong(loc, words, "one_of", given, {"expected": list(enum)}))
    return given


def _string(rule: Mapping[str, Any], given: Any, loc: Loc, wrongs: list[Wrong]) -> Any:  # noqa: ANN401  # JSON
    if not isinstance(given, str):
        wrongs.append(Wrong(loc, "Input should be a valid string", "string_type", given))
        return given
    _length(rule, given, ("minLength", "maxLength"), loc, wrongs)
    return given


def _length(
    rule: Mapping[str, Any],
    given: str | list[Any],
    keywords: tuple[str, str],
    loc: Loc,
    wrongs: list[Wrong],
) -> None:
    low, high = rule.get(keywords[0]), rule.get(keywords[1])
    what = "characters" if isinstance(given, str) else "items"
    if low is not None and len(given) < low:
        words = f"Input should have at least {low} {what}"
        wrongs.append(Wrong(loc, words, "sequence_too_short", given, {"min_length": low}))
    if high is not None and len(given) > high:
        words = f"Input should have at most {high} {what}"
        wrongs.append(Wrong(loc, words, "sequence_too_long", given, {"max_length": high}))


def _number(rule: Mapping[str, Any], given: Any, loc: Loc, wrongs: list[Wrong]) -> Any:  # noqa: ANN401  # JSON
    made = _whole(given, loc, wrongs) if rule["type"] == "integer" else _real(given, loc, wrongs)
    if made is None:
        return given
    for keyword, kind, words, key in NUMBER_RULES:
        limit = rule.get(keyword)
        if limit is None or _within(kind, made, limit):
            continue
        wrongs.append(Wrong(loc, f"Input should be {words} {limit}", kind, given, {key: limit}))
        return made
    step = rule.get("multipleOf")
    if step and abs(made / step - round(made / step)) > 1e-9:
        words = f"Input should be a multiple of {step}"
        wrongs.append(Wrong(loc, words, "multiple_of", given, {"multiple_of": step}))
    return made


def _within(kind: str, value: float, limit: float) -> bool:
    return {
        "greater_than": value > limit,
        "greater_than_equal": value >= limit,
        "less_than": value < limit,
        "less_than_equal": value <= limit,
    }[kind]


def _whole(given: Any, loc: Loc, wrongs: list[Wrong]) -> int | None:  # noqa: ANN401  # JSON
    """Return *given* as a whole number: whole numbers and texts of them, true as 1, false as 0."""
    if isinstance(given, int):
        return int(given)
    if isinstance(given, float):
        if given.is_integer():
            return int(given)
        words = "Input should be a valid integer, got a number with a fractional part"
        wrongs.append(Wrong(loc, words, "int_from_float", given))
        return None
    if isinstance(given, str):
        if len(given) <= MOST_DIGITS and WHOLE.match(given.strip()):
            return int(float(given)) if "." in given else int(given)
        words = "Input should be a valid integer, unable to parse string as an integer"
        wrongs.append(Wrong(loc, words, "int_parsing", given))
        return None
    wrongs.append(Wrong(loc, "Input should be a valid integer", "int_type", given))
    return None


def finite(given: float) -> float:
    """Return *given*.

    Raises:
        ValueError: it is no number, or without an end.
    """
    if not math.isfinite(given):
        raise ValueError("no finite number")
    return given


def _real(given: Any, loc: Loc, wrongs: list[Wrong]) -> float | None:  # noqa: ANN401  # JSON
    if isinstance(given, int | float):
        return given
    if isinstance(given, str):
        try:
            return finite(float(given))
        except ValueError:
            words = "Input should be a valid number, unable to parse string as a number"
            wrongs.append(Wrong(loc, words, "float_parsing", given))
            return None
    wrongs.append(Wrong(loc, "Input should be a valid number", "float_type", given))
    return None


def _boolean(given: Any, loc: Loc, wrongs: list[Wrong]) -> Any:  # noqa: ANN401  # JSON
    if isinstance(given, bool):
        return given
    plain = str(given).lower() if isinstance(given, str | int | float) else ""
    plain = plain.removesuffix(".0")
    if plain in TRUE or plain in FALSE:
        return plain in TRUE
    if isinstance(given, str | int):
        words = "Input should be a valid boolean, unable to interpret input"
        wrongs.append(Wrong(loc, words, "bool_parsing", given))
    else:
        wrongs.append(Wrong(loc, "Input should be a valid boolean", "bool_type", given))
    return given


def _array(rule: Mapping[str, Any], given: Any, loc: Loc, wrongs: list[Wrong]) -> Any:  # noqa: ANN401  # JSON
    if not isinstance(given, list):
        wrongs.append(Wrong(loc, "Input should be a valid list", "list_type", given))
        return given
    items = cast("list[Any]", given)
    _length(rule, items, ("minItems", "maxItems"), loc, wrongs)
    each = rule.get("items")
    if not isinstance(each, dict):
        return items
    entry = cast("Mapping[str, Any]", each)
    return [_value(entry, item, (*loc, at), wrongs) for at, item in enumerate(items)]
