"""Read from an edit's instruction the settings that it names, and put them into a card's fields."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from catalog.asked import asked_in
from catalog.asked_beside import asked_beside
from catalog.card import ModelCard
from catalog.errors import ActionableError
from catalog.field_values import choices_of, length_value, takes
from catalog.granting import LENGTH_FIELDS, SIZE_FIELDS, granted
from catalog.media import MediaFacts
from catalog.operations import Operation
from catalog.quantity import short_side
from catalog.search_text import plain

_FACTORS = ("upscale_factor", "scale_factor", "upscaling_factor", "scale")
_SIDES = ("expand_left", "expand_right", "expand_top", "expand_bottom")
_FACTOR = re.compile(
    r"(?<![\w.])(?:by )?(?:(\d+(?:\.\d+)?)\s?[x\u00d7](?![\w\d])|[x\u00d7]\s?(\d+(?:\.\d+)?)(?!\w)"
    r"|(\d+(?:\.\d+)?|two|three|four|six|eight) times(?: (?:as )?(?:large|big|the size)\w*)?"
    r"|(double[d]?|twice|triple[d]?|quadruple[d]?)(?: the)?(?: (?:size|resolution))?)"
)
_PIXELS = re.compile(
    r"(?<![\w.])(\d{3,5})\s?[x\u00d7]\s?(\d{3,5})(?: pixels?| px)?(?!\w)"
    r"|(?<![\w.])(\d{3,5})\s?(?:px|pixels?)(?: (wide|across|high|tall|long))?(?!\w)"
)
_NUMBERS = {
    "two": 2, "three": 3, "four": 4, "six": 6, "eight": 8, "double": 2, "twice": 2, "triple": 3,
    "quadruple": 4,
}  # fmt: skip
# Words that say no more than the name of the operation does.
_LITTLE: Mapping[str, str] = {
    "upscale": "upscale upscaled enlarge increase larger bigger sharper sharp sharpen enhance"
    " better quality high higher hd detail details resolution size super",
    "extend": "extend continue longer lengthen more add another",
    "outpaint": "outpaint extend expand uncrop aspect ratio format wider",
}
_ALWAYS = "make it this that the a an of and to by for in at as please my image picture photo video"


@dataclass(frozen=True, slots=True)
class Said:
    """What an instruction comes to on a card: *fields* to send, and the *rest* of its words.

    *unkept* says what else it asks of the run that the card has no field for.
    """

    fields: Mapping[str, object] = field(default_factory=dict[str, object])
    rest: str = ""
    unkept: tuple[str, ...] = ()


def said(
    card: ModelCard, operation: Operation, instruction: str, facts: MediaFacts | None = None
) -> Said:
    """Return what *instruction* sets on *card* for *operation*; *facts* tell of the given media.

    ``2x`` or ``to 4k`` of an upscale, ``by 5 seconds`` of an extension, ``16:9`` of an outpainting
    are settings; they leave no words for a model that reads none.

    Raises:
        ActionableError: the card cannot do what was named so.
    """
    words = plain(instruction).strip()
    match operation.name:
        case "upscale":
            fields, left = _enlarged(card, words, facts)
        case "extend":
            fields, left = _lengthened(card, words)
        case "outpaint":
            fields, left = _widened(card, words, facts)
        case _:
            fields, left = {}, words
    asked = asked_beside(words)
    more = granted(card, asked, fields) if asked and operation.name != "outpaint" else None
    little = {*_ALWAYS.split(), *_LITTLE.get(operation.name, "").split()}
    is_told = bool(fields) or operation.name == "upscale"
    rest = "" if is_told and set(re.findall(r"[^\W\d_]+|\d+", left)) <= little else instruction
    if more is None:
        return Said(fields, rest)
    # A shape is told by `Fitting.arguments`, which knows the words for it better.
    kept = {name: value for name, value in more.fields.items() if "ratio" not in name}
    return Said({**fields, **kept}, rest, more.unmet)


def _enlarged(
    card: ModelCard, words: str, facts: MediaFacts | None
) -> tuple[dict[str, object], str]:
    """Return the factor or size that *words* ask for, and what is left of them."""
    if found := _PIXELS.search(words):
        factor = _factor_to(found, facts)
        name = next((name for name in _FACTORS if name in card.properties), None)
        if name is None or not takes(card, name, factor):
            raise _refused(card, f"{found[0].strip()} ({factor:g}x)", name)
        left = f"{words[: found.start()]} {words[found.end() :]}"
        return {name: factor, **_mode(card, "factor")}, left
    if found := _FACTOR.search(words):
        told = found[1] or found[2] or found[3] or found[4].rstrip("d")
        number = _NUMBERS.get(told) or float(told)
        value = int(number) if number == int(number) else number
        name = next((name for name in _FACTORS if name in card.properties), None)
        if name is None or not takes(card, name, value):
            raise _refused(card, f"{value}x", name)
        left = f"{words[: found.start()]} {words[found.end() :]}"
        return {name: value, **_mode(card, "factor")}, left
    asked = asked_in(words)
    if not asked.height:
        return {}, words
    for name in SIZE_FIELDS:
        for choice in choices_of(card, name):
            if short_side(choice) == asked.height or str(choice).lower() == asked.kilo:
                return {name: choice, **_mode(card, "target")}, asked.rest
    held = next((name for name in SIZE_FIELDS if choices_of(card, name)), None)
    raise _refused(card, asked.kilo or f"{asked.height}p", held)


def _factor_to(found: re.Match[str], facts: MediaFacts | None) -> float:
    """Return by how much the media must grow to the pixels that were *found* in words.

    Raises:
        ActionableError: its own size is not known.
    """
    if facts is None or not facts.width or not facts.height:
        raise ActionableError(
            f"the size of the media is not known here, so {found[0].strip()!r} is no factor",
            hint="say by how much, such as 2x, or give a local file",
        )
    if found[1]:
        return round(max(int(found[1]) / facts.width, int(found[2]) / facts.height), 2)
    if found[4] in ("high", "tall"):
        return round(int(found[3]) / facts.height, 2)
    side = facts.width if found[4] in ("wide", "across") else max(facts.width, facts.height)
    return round(int(found[3]) / side, 2)


def _mode(card: ModelCard, mode: str) -> dict[str, object]:
    return {"upscale_mode": mode} if mode in choices_of(card, "upscale_mode") else {}


def _lengthened(card: ModelCard, words: str) -> tuple[dict[str, object], str]:
    asked = asked_in(words)
    if not asked.seconds:
        return {}, words
    names = [name for name in (*LENGTH_FIELDS, "append_duration") if name in card.properties]
    for name in names:
        if (value := length_value(card, name, asked.seconds)) is not None:
            return {name: value}, asked.rest
    raise _refused(card, f"{asked.seconds:g} seconds", names[0] if names else None)


def _widened(
    card: ModelCard, words: str, facts: MediaFacts | None
) -> tuple[dict[str, object], str]:
    asked = asked_in(words)
    if not asked.ratio or "aspect_ratio" in card.properties:
        return {}, words
    if not all(name in card.properties for name in _SIDES):
        return {}, words
    if facts is None or not facts.width or not facts.height:
        raise ActionableError(
            f"the size of the picture is not known here, so {asked.ratio} cannot be worked out",
            hint=f"give {', '.join(_SIDES)} in arguments, in pixels, or a local file",
        )
    wide, high = map(int, asked.ratio.split(":"))
    across = max(0, round(facts.height * wide / high) - facts.width)
    up = max(0, round(facts.width * high / wide) - facts.height)
    sides = (across // 2, across - across // 2, up // 2, up - up // 2)
    fields: dict[str, object] = dict(zip(_SIDES, sides, strict=True))
    for name, pixels in fields.items():
        if not takes(card, name, pixels):
            raise _refused(card, f"{asked.ratio} by {pixels} pixels", name)
    return fields, asked.rest


def _refused(card: ModelCard, what: str, name: str | None) -> ActionableError:
    """Return why *card* cannot do *what*; *name* is its field for such things, if it has one."""
    if name is None:
        told = "it has no input for that"
    elif choices := choices_of(card, name):
        told = f"{name} is one of {', '.join(map(str, choices))}"
    else:
        schema = card.properties[name]
        told = f"{name} takes {schema.get('minimum', 'any')} to {schema.get('maximum', 'any')}"
    return ActionableError(
        f"{card.endpoint_id} cannot do {what}: {told}",
        hint="change the instruction, or choose another model; nothing was sent",
    )
