"""Read from a prompt what it asks of the run beside what it describes."""

import re
from functools import cache

from catalog.asked import (
    COUNT_WORDS,
    RATIOS,
    SHAPES,
    SIZE,
    VARIATIONS,
    Asked,
    height_of,
    named_shape,
)
from catalog.search_measure import length_in, number_of, seconds_of
from catalog.search_spelled import spelled

_CLIP = (
    r"(?:videos?|clips?|shots?|films?|movies?|animations?|loops?|scenes?|songs?|tracks?|jingles?)"
)
# What is written somewhere in the picture is not spoken.
_WRITTEN = re.compile(
    r"\b(?:signs?|texts?|banners?|labels?|captions?|titles?|shirts?|boards?|posters?|screens?"
    r"|letter(?:s|ing)|logos?|headlines?|words?|notes?|books?|cards?|stickers?|billboards?)\b"
)
_SHAPED = r"\s*(?:aspect|ratio|format|video|clip|image|picture|frame|crop)"


def asked_beside(prompt: str) -> Asked:
    """Return what *prompt*, which must be `plain`, asks of the run beside what it describes.

    Only what can hardly be part of a picture counts: "a 10 second clip", "9:16", "with sound",
    "three variations", "on a transparent background".
    """
    text = spelled(prompt)
    length = _clip_length().search(text)
    seconds = length_in(length[0]) if length else None
    size, count, seed = _size().search(text), _count().search(text), _seed().search(text)
    ratio = _told_ratio(text)
    shape = None if ratio else _shape().search(text)
    silence = _silence().search(text)
    return Asked(
        sound=False if silence else True if _is_heard(text) else None,
        height=height_of(size),
        kilo=f"{size[2]}k" if size and size[2] else "",
        seconds=seconds_of(seconds) if seconds else 0.0,
        ratio=ratio or named_shape(shape),
        loose=shape is not None,
        count=int(number_of(count[1])) if count else 0,
        transparent=re.search(r"\btransparent (?:background|backdrop|png)\b", text) is not None,
        seed=int(seed[1]) if seed else None,
    )


def _told_ratio(text: str) -> str:
    found = _ratio().search(text)
    told = ":".join(re.findall(r"\d+", found[0])) if found else ""
    return told if told in RATIOS else ""


def _is_heard(text: str) -> bool:
    """Tell whether *text* asks for sound, or has somebody say words that stand in quotes."""
    if _with_sound().search(text):
        return True
    return any(not _WRITTEN.search(text[: found.start()][-40:]) for found in _says().finditer(text))


@cache
def _with_sound() -> re.Pattern[str]:
    things = r"(?! (?:equipment|gear|cables?|waves?|systems?|engineers?|mixers?|studios?|desks?))"
    return re.compile(
        r"\b(?:with|plus|including) (?:(?!no\b|a\b|an\b|the\b)[\w-]+ ){0,2}"
        rf"(?:sounds?|audio|dialogue|soundtrack)\b{things}|\bsound on\b"
    )


@cache
def _says() -> re.Pattern[str]:
    return re.compile(
        r"\b(?:says?|saying|shouts?|whispers?|sings?|asks?)(?: \w+){0,3}[:,]?"
        r" [\"'\u201c\u201e\u00ab]"
    )


@cache
def _silence() -> re.Pattern[str]:
    return re.compile(r"\b(?:without|no)(?: any)? (?:sound|audio)\b|\bsound off\b")


@cache
def _seed() -> re.Pattern[str]:
    return re.compile(r"\bseed\s*(?:[=:]\s*|\s)(\d{1,10})\b(?!\s*[a-z])")


@cache
def _ratio() -> re.Pattern[str]:
    """Match a shape; the hands of a clock and the score of a game look alike and are none."""
    clock = "".join(
        rf"(?<!{word} )"
        for word in ("at", "until", "by", "from", "to", "shows", "showing", "reads", "clock", "won")
    )
    return re.compile(
        rf"(?<![\w:.]){clock}(9\s?[:x]\s?16|16\s?[:x]\s?9|21\s?[:x]\s?9|4\s?[:x]\s?5)"
        r"(?![\w:.]*\d)(?!\s?(?:am|pm|a\.m|p\.m|o'clock))"
        rf"|(?<![\w:.])(\d{{1,2}}\s?[:x]\s?\d{{1,2}})(?={_SHAPED}\b)"
        r"|(?<=ratio )(?<![\w:.])(\d{1,2}:\d{1,2})(?![\w:.]*\d)"
    )


@cache
def _size() -> re.Pattern[str]:
    return re.compile(rf"(?:\b(?:in|at)\s+)?{SIZE}(?=\s+(?:resolution|{_CLIP})\b)")


@cache
def _clip_length() -> re.Pattern[str]:
    number = r"(?<![\w.-])\d+(?:\.\d+)?[\s-]*(?:s|secs?|seconds?|min|minutes?)\b"
    return re.compile(
        rf"{number}[\s-]+(?:long\s+)?(?:[a-z-]+\s+)?{_CLIP}\b|{number}\s+long\b"
        rf"|\b{_CLIP}\s+(?:of|lasting)\s+{number}|\b(?:duration|length)\s*(?:of|:|=)?\s*{number}"
    )


@cache
def _count() -> re.Pattern[str]:
    """Match a number of variations where a prompt begins or ends, not in what it tells of."""
    number = r"(\d{1,2}|" + "|".join(COUNT_WORDS) + r")"
    ask = r"(?:(?:please|give me|show me|make|generate|create|draw|i (?:want|need))\s+)*"
    return re.compile(
        rf"(?:^|[,;.]\s*){ask}{number}\s+(?:different\s+|new\s+)?(?:{VARIATIONS})"
        r"(?=\s+(?:of|in|with)\b|\s*(?:[,;.]|$))"
    )


@cache
def _shape() -> re.Pattern[str]:
    words = "|".join(names for _, names in SHAPES)
    form = r"(?:format|orientation|video|clip|aspect(?: ratio)?|shape|layout)"
    return re.compile(
        rf"(?<!\w)(?:{words}|portrait|landscape) {form}(?!\w)(?! (?:app|editor|call|game)s?\b)"
    )
