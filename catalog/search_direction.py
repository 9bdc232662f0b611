"""Read from a query which medium is to become which."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from catalog.search_reading import Lexicon, Reading

# Senses that stand for a medium.
MEDIA_SENSES: Mapping[str, str] = {
    "image": "image", "portrait": "image", "video": "video", "audio": "audio", "voice": "audio",
    "speech": "audio", "music": "audio", "mesh": "3d", "text": "text",
}  # fmt: skip
# How far apart the two media of a conversion may stand, in words.
_REACH = 7

# Between two media these mean a conversion in any sentence.
_SURE = frozenset(
    {
        "to", "into", "->", "=>", "→", "2", "zu", "vers", "para", "hacia", "nach", "в",
    }
)  # fmt: skip

# What a change from one medium to another is called on the platform.
CATEGORIES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("text", "image"): ("text-to-image",),
    ("image", "image"): ("image-to-image",),
    ("text", "video"): ("text-to-video",),
    ("image", "video"): ("image-to-video",),
    ("video", "video"): ("video-to-video",),
    ("audio", "video"): ("audio-to-video",),
    ("text", "audio"): ("text-to-speech", "text-to-audio"),
    ("audio", "text"): ("speech-to-text", "audio-to-text"),
    ("video", "audio"): ("video-to-audio",),
    ("video", "text"): ("video-to-text", "vision"),
    ("image", "text"): ("vision", "image-to-text"),
    ("image", "3d"): ("image-to-3d",),
    ("text", "3d"): ("text-to-3d",),
    ("3d", "3d"): ("3d-to-3d",),
    ("audio", "audio"): ("audio-to-audio", "speech-to-speech"),
    ("3d", "video"): ("video-to-video",),
}


class Direction(NamedTuple):
    """From one medium to another, how sure (0 to 1), and every medium that is spoken of."""

    source: str = ""
    target: str = ""
    sure: float = 0.0
    media: frozenset[str] = frozenset()

    @property
    def categories(self) -> tuple[str, ...]:
        """The platform's categories for this change."""
        return CATEGORIES.get((self.source, self.target), ())


def direction_of(reading: Reading, lexicon: Lexicon) -> Direction:
    """Return which medium *reading* wants turned into which."""
    stops = _media(reading, lexicon)
    media = frozenset(medium for _, medium in stops)
    if len(stops) < 2 or _is_joining(reading, lexicon):
        return Direction(media=media)
    to = _places(reading, lexicon, "to")
    origin = _places(reading, lexicon, "from")
    removed = _places(reading, lexicon, "remove")
    spoken = {word.unit for word in reading.words}
    sure_at = {w.unit for w in reading.words if w.text in _SURE} | (to - spoken)
    for (at, first), (after, second) in pairwise(stops):
        if after - at > _REACH:
            continue
        near = 1 / (1 + 0.08 * (after - at - 1))
        between = range(at + 1, after)
        if any(unit in to or unit in sure_at for unit in between):
            return Direction(first, second, near, media)
        if any(unit in origin for unit in between):
            if first == "text" and any(unit < at for unit in removed):
                return Direction(second, second, near, media)  # "remove the text from the image"
            return Direction(second, first, near, media)
        if (at - 1) in origin or (at - 2) in origin:
            return Direction(first, second, 0.8 * near, media)
        if (after + 1) in to - spoken and first != second:
            return Direction(first, second, near, media)
    return Direction(media=media)


def _media(reading: Reading, lexicon: Lexicon) -> list[tuple[int, str]]:
    """Return the media that are spoken of, in order, each place once."""
    found: dict[int, str] = {}
    for sense, medium in MEDIA_SENSES.items():
        for start, end in reading.senses.get(lexicon.number.get(sense, -1), ()):
            if end - start == 1:
                found.setdefault(start, medium)
    for unit in (*_accompanying(reading, found), *_manners(reading, found)):
        found.pop(unit, None)
    ordered = sorted(found.items())
    return [pair for n, pair in enumerate(ordered) if not n or ordered[n - 1][1] != pair[1]] or []


def _manners(reading: Reading, found: Mapping[int, str]) -> list[int]:
    """Return the places of media that only say how things look: "in the style of a drawing"."""
    texts = [word.text for word in reading.words]
    return [
        word.unit
        for at, word in enumerate(reading.words)
        if word.unit in found and is_manner(texts, at)
    ]


def is_manner(texts: Sequence[str], at: int) -> bool:
    """Whether the noun at *at* only says how something is to look."""
    lead = texts[max(0, at - 4) : at]
    return "of" in lead and any(word in _MANNER for word in lead)


def _accompanying(reading: Reading, found: Mapping[int, str]) -> list[int]:
    """Return the places of sound that only comes with a picture, as in "a video with sound"."""
    with_at = [word.unit for word in reading.words if word.text in _WITH]
    seen = [unit for unit, medium in found.items() if medium in ("video", "image")]
    return [
        unit
        for unit, medium in found.items()
        if medium == "audio"
        and any(0 < unit - at <= _WITH_REACH for at in with_at)
        and any(before < unit for before in seen)
        and not any(at < other < unit for at in with_at[-1:] for other in seen)
    ]


_MANNER = frozenset({"look", "looks", "style", "manner", "feel", "form", "shape"})
_WITH = frozenset(
    {
        "with", "plus", "con", "mit", "avec", "com", "including", "without", "sans", "ohne", "sin",
        "sem",
    }
)  # fmt: skip
_WITH_REACH = 4


def _places(reading: Reading, lexicon: Lexicon, sense: str) -> set[int]:
    spans = reading.senses.get(lexicon.number[sense], ())
    return {unit for start, end in spans for unit in range(start, end)}


def _has(reading: Reading, lexicon: Lexicon, sense: str) -> bool:
    return lexicon.number[sense] in reading.senses


def _is_joining(reading: Reading, lexicon: Lexicon) -> bool:
    """Whether "to" adds one thing to another, as in "add music to a video"."""
    return any(_has(reading, lexicon, sense) for sense in ("add", "merge", "sync", "lipsync"))
