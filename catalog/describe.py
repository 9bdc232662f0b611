"""Describe a card in a few words: its inputs by importance, a working example, what comes back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from catalog.card import ModelCard
from catalog.convert import types_of
from catalog.examples import example_value, supposed_arguments
from catalog.reading import resolved
from catalog.saying import listed, shown

__all__ = ["InputRow", "example_arguments", "inputs_table", "outputs_words"]

_FIELDS = Path(__file__).parent / "snapshot" / "fields.tsv"
# Inputs that callers rarely touch, whatever the count of models that have them.
_DULL = ("sync_mode", "enable_safety_checker", "safety_tolerance", "request_id", "end_user_id")
# Inputs that decide what a result is and costs, first among the optional ones.
_CHIEF = (
    "image_url", "image_urls", "video_url", "audio_url", "mask_url", "aspect_ratio", "image_size",
    "resolution", "duration", "num_images", "generate_audio", "quality", "voice", "seed", "model",
    "reference_image_urls", "end_image_url", "loras", "negative_prompt", "num_frames",
    "output_format", "strength",
)  # fmt: skip
_NESTED = ("object", "list")


@dataclass(frozen=True, slots=True)
class InputRow:
    """One input in short words.

    *type* is what it takes, *choices* its values or range, *default* as JSON; empty where there is
    nothing to say.
    """

    name: str
    type: str
    required: bool
    default: str
    choices: str
    meaning: str


@cache
def _meanings() -> Mapping[str, tuple[int, str]]:
    """Return for common inputs how many models have them, and what they mean."""
    lines = _FIELDS.read_text(encoding="utf-8").splitlines()[1:]
    rows = (line.split("\t") for line in lines)
    return {name: (int(count), meaning) for name, count, meaning in rows}


def inputs_table(card: ModelCard) -> tuple[InputRow, ...]:
    """Return the inputs of *card*, the most important first, so that a reader may cut the end.

    Required ones lead, then what decides result and price, then by how common they are.
    """
    required = card.required

    def place(name: str) -> tuple[bool, bool, int, int]:
        chief = _CHIEF.index(name) if name in _CHIEF else len(_CHIEF)
        if name == card.text_field or name in _priced_by(card):
            chief = -1
        common = _meanings().get(name, (1, ""))[0]
        return name not in required, name in _DULL, chief, -common

    names = sorted(card.properties, key=place)
    return tuple(_row(card, name, name in required) for name in names)


def _priced_by(card: ModelCard) -> set[str]:
    """Return the inputs that change the price."""
    qualifiers: Sequence[Mapping[str, Any]] = (card.price or {}).get("qualifiers", ())
    return {name for qualifier in qualifiers for name in qualifier.get("when") or ()}


def _row(card: ModelCard, name: str, required: bool) -> InputRow:
    schema = resolved(card.input_schema, card.properties[name])
    default = shown(schema["default"]) if schema.get("default") not in (None, "", [], {}) else ""
    if not default and "x-long-default" in schema:
        default = f"a text of {schema['x-long-default']} characters"
    kind, choices = _words(card.input_schema, schema)
    meaning = card.properties[name].get("x-meaning")  # an app's own word, where it is one
    if meaning is None:
        meaning = _meanings().get(name, (0, ""))[1]
    return InputRow(name, kind, required, default, choices, meaning)


def _words(root: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[str, str]:
    """Return what *schema* takes, and its choices or range."""
    schema = resolved(root, schema)
    if branches := schema.get("anyOf") or schema.get("oneOf"):
        kind, choices = _union([_words(root, branch) for branch in branches])
        return kind, " ".join(part for part in (_range(schema), choices) if part)
    if "enum" in schema:
        kind = "text" if isinstance(schema["enum"][0], str) else "number"
        return kind, listed(_runs(schema["enum"]), 110)
    if kind := schema.get("x-media"):
        return f"{kind} (path, URL or job)", _limits(schema)
    names = types_of(schema)
    if "array" in names:
        inner, choices = _words(root, schema.get("items") or {})
        return f"list of {inner}", " ".join(part for part in (_length(schema), choices) if part)
    if "object" in names:
        known: Mapping[str, Mapping[str, Any]] = schema.get("properties") or {}
        needed = cast("Sequence[str]", schema.get("required") or ())
        fields = [f"{name}*" if name in needed else name for name in known]
        return (
            "object",
            f"{{{', '.join(fields[:8])}{', …' if len(fields) > 8 else ''}}}" if fields else "",
        )
    words = {"string": "text", "integer": "integer", "number": "number", "boolean": "bool"}
    kind = " or ".join(words.get(name, name) for name in names) or "any"
    return kind, _length(schema) if kind == "text" else _range(schema)


def _runs(choices: Sequence[object]) -> list[object]:
    """Return *choices* with whole numbers that follow each other as their ends: ``2-15``."""
    told: list[object] = []
    start = 0
    while start < len(choices):
        end = start
        while end + 1 < len(choices) and _follows(choices[end], choices[end + 1]):
            end += 1
        run = list(choices[start : end + 1])
        told += [f"{run[0]}-{run[-1]}"] if len(run) > 4 else run
        start = end + 1
    return told


def _follows(one: object, other: object) -> bool:
    pair = [str(value) for value in (one, other)]
    return all(text.isdecimal() for text in pair) and int(pair[1]) == int(pair[0]) + 1


def _union(parts: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Return *parts*, kinds with their choices, as one: ``text square, wide; or object {width}``.

    The plainest kind leads, and each has its choices beside it.
    """
    kinds = list(dict.fromkeys(kind for kind, _ in parts))
    if len(kinds) == 1 or not any(words for _, words in parts):
        return " or ".join(kinds), "; ".join(dict.fromkeys(words for _, words in parts if words))
    plain_first = sorted(dict.fromkeys(parts), key=lambda part: part[0].startswith(_NESTED))
    (kind, words), *others = plain_first
    rest = [f"or {other} {choices}".rstrip() for other, choices in others]
    return kind, "; ".join([words, *rest]) if words else " ".join(rest)


def _range(schema: Mapping[str, Any]) -> str:
    if span := schema.get("x-range-seconds"):
        return f"{span[0]}-{span[1]} s"
    low, high = _plain(schema.get("minimum")), _plain(schema.get("maximum"))
    above = _plain(schema.get("exclusiveMinimum"))
    below = _plain(schema.get("exclusiveMaximum"))
    words = f"{low}-{high}" if low is not None and high is not None else ""
    if not words:
        bounds = ((">=", low), (">", above), ("<=", high), ("<", below))
        words = " ".join(f"{sign}{bound}" for sign, bound in bounds if bound is not None)
    step = schema.get("multipleOf")
    return f"{words} step {step}".strip() if step else words


def _plain(bound: Any) -> Any:  # noqa: ANN401  # JSON
    """Return a whole number without the ``.0`` that some schemas write."""
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


def _length(schema: Mapping[str, Any]) -> str:
    list_wanted = "array" in types_of(schema)
    low, high = ("minItems", "maxItems") if list_wanted else ("minLength", "maxLength")
    most = schema.get(high)
    least = schema.get(low, 0) if schema.get(low, 0) > 1 else None
    unit = "" if list_wanted else " characters"
    if most is not None:
        return f"{least}-{most}{unit}" if least else f"up to {most}{unit}"
    return f"at least {least}{unit}" if least else ""


def _limits(schema: Mapping[str, Any]) -> str:
    """Return what a piece of media may be at most."""
    limits: Mapping[str, Any] = schema.get("x-limits") or {}
    words: list[str] = []
    if (longest := limits.get("max_duration")) is not None:
        words.append(f"{limits.get('min_duration', 0)}-{longest} s")
    if (largest := limits.get("max_file_size")) is not None:
        words.append(f"up to {largest // 1_048_576} MB")
    if "max_width" in limits and "max_height" in limits:
        words.append(f"up to {limits['max_width']}x{limits['max_height']}")
    return ", ".join(words)


def outputs_words(card: ModelCard) -> str:
    """Return what comes back, media first: ``images[] (image); seed, prompt``."""
    media = [f"{path} ({kind})" for path, kind in list(card.output_media.items())[:6]]
    roots = {path.split(".")[0].removesuffix("[]") for path in card.output_media}
    known: Mapping[str, object] = card.output_schema.get("properties") or {}
    others = [name for name in known if name not in roots]
    more = f" and {len(others) - 6} more" if len(others) > 6 else ""
    words = [", ".join(media), ", ".join(others[:6]) + more]
    return "; ".join(part for part in words if part) or "not known"


def example_arguments(card: ModelCard) -> dict[str, Any]:
    """Return arguments that *card* takes: its required inputs and its main text.

    Media are placeholder addresses under ``https://example.com/``. A card that works on media gets
    some even where its schema does not require it.
    """
    names = list(card.required)
    if (text := card.text_field) and text not in names and _wants_text(card):
        names.insert(0, text)
    media = card.media_in
    kind = card.category.split("-to-")[0]
    if not any(name in media for name in names):
        names += [name for name in media if media[name] == kind and "mask" not in name][:1]
    if not names:
        names = (
            list(media)[:1]
            or [name for name, schema in card.properties.items() if "default" not in schema][:1]
        )
    if not names and (card.properties or card.completeness == "full"):
        return {
            name: schema["default"] for name, schema in list(card.properties.items())[:1]
        }  # all of them may be left out: the first shows how one is given
    if not names:
        return supposed_arguments(card)
    return {
        name: example_value(card, card.properties.get(name, {}), name)
        for name in dict.fromkeys(names)
    }


def _wants_text(card: ModelCard) -> bool:
    return not card.required or card.category.startswith(("text-", "llm", "image-to-image"))
