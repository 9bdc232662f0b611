"""Read wishes from plain words, and measure how well a card keeps them."""

import math
import re
from dataclasses import dataclass, field
from functools import cache

from catalog.errors import ActionableError
from catalog.search_measure import (
    Measure,
    at_least,
    counted_in,
    length_in,
    limit_in,
    seconds_of,
    size_in,
    unit_words,
)
from catalog.search_reading import Lexicon, Reading
from catalog.search_spelled import SMALL_NUMBERS, spelled
from catalog.search_tables import HEIGHTS, SIZES, SearchTables, media_bits

# One of whatever a card is priced in.
_ONE = Measure()
_EACH = re.compile(r"\b(?:each|apiece|a piece|a pop)\b")
# A limit for so many seconds is one for a single clip.
_ONE_CLIP = 30.0
_KEPT, _BROKEN, _HAS = 2.6, -2.6, 2.2
_TOO_DEAR = -4.0
_FAST, _BEST, _NEW, _LONG_ENOUGH = 0.9, 0.5, 1.2, 1.6
# Features that a card can hardly do without when they are asked for.
_NEEDED = frozenset(
    {"sound", "end frame", "reference images", "mask", "web search", "palette", "fixed camera"}
    | {"multi-shot", "licensed data", "json prompt", "motion path", "loop", "timestamps", "t-pose"}
    | {"audio tags", "lyrics", "polygon count", "speakers", "pronunciation", "transparent"}
)
# Features that are often named where they are what is given, or where a card without does as well.
_SOFT = frozenset(
    {
        "commercial",
        "seed",
        "safety switch",
        "language choice",
        "exact size",
        "30 fps",
        "instrumental",
        "keyframes",
        "sample rate",
    }
    | {"webp", "gif", "mp3", "wav", "flac", "opus", "webm", "mov", "glb", "style presets", "hdr"}
)
_HAS_SOFT, _LACKS_SOFT, _LACKS = 1.0, -0.3, -0.9
# Numbers of pictures that features tell of ("8 references").
COUNTS = (3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 30, 50)
_NUMBERS: list[str] = [*SMALL_NUMBERS[3:15]]
_NO_PRICE, _NO_SIZE, _NO_LENGTH = -2.2, -0.6, -0.5
# Months since January 2000 before which nothing counts as new.
_NOT_NEW = 280
_PICTURE, _VIDEO = media_bits({"image"}), media_bits({"video"})


@dataclass(slots=True, eq=False)
class Wishes:
    """What a query asks of a card beside its task.

    *limit* is dollars for *measure*. *height* and *size* are places in `HEIGHTS` and `SIZES`,
    *seconds* a least length; -1 and 0 where nothing was said. *features* are words of the catalog.
    """

    limit: float | None = None
    measure: Measure = _ONE
    height: int = -1
    size: int = -1
    seconds: float = 0.0
    features: list[str] = field(default_factory=list[str])
    cheap: bool = False
    fast: bool = False
    best: bool = False
    newest: bool = False

    def __bool__(self) -> bool:
        return bool(
            self.limit is not None or self.height >= 0 or self.size >= 0 or self.seconds
            or self.features or self.fast or self.best or self.newest
        )  # fmt: skip

    @property
    def is_telling(self) -> bool:
        """Whether these wishes alone show that a model is sought."""
        return self.limit is not None or any(f != "long" for f in self.features)

    @property
    def is_of_models(self) -> bool:
        """Whether a property is wished for that nothing but a model has."""
        return not _NEEDED.isdisjoint(self.features)

    @property
    def most(self) -> float:
        """The most that a card gains that keeps every wish."""
        gain = _KEPT * ((self.limit is not None) + (self.height >= 0 or self.size > 0))
        gain += _LONG_ENOUGH if self.seconds else 0.0
        gain += _HAS * len(self.features)
        return gain + _FAST * self.fast + _BEST * self.best + _NEW * self.newest

    def worth(self, card: int, tables: SearchTables) -> float:
        """Return what *card* gains for wishes it keeps and loses for those it breaks."""
        gain = 0.0 if self.limit is None else self._money(self.limit, card, tables)
        if self.height >= 0 or self.size > 0:
            gain += self._size(card, tables)
        if self.seconds:
            longest = tables.longest[card]
            if math.isnan(longest):
                gain += _NO_LENGTH
            else:
                gain += _LONG_ENOUGH if longest >= self.seconds else _BROKEN
        for feature in self.features:
            gain += self._feature(feature, card, tables)
        if self.fast and tables.variants[card] & tables.kind_bits(_FAST_KINDS):
            gain += _FAST
        if self.best and tables.variants[card] & tables.kind_bits(_BEST_KINDS):
            gain += _BEST
        if self.newest:
            gain += max(0.0, min(_NEW, (tables.age[card] - _NOT_NEW) / 36))
        return gain

    def _money(self, limit: float, card: int, tables: SearchTables) -> float:
        dollars = self.measure.limited(card, tables)
        if math.isnan(dollars):
            return _NO_PRICE
        return _KEPT if dollars <= limit * 1.0001 else _TOO_DEAR

    def _size(self, card: int, tables: SearchTables) -> float:
        if self.height >= 0 and tables.media_out[card] & _VIDEO:
            heights = tables.heights[card]
            if not heights:
                return 0.0
            return _KEPT if heights >> self.height & 1 else _BROKEN
        if self.size > 0 and tables.media_out[card] & _PICTURE:
            return _KEPT if tables.has(card, f"f{SIZES[self.size]}") else _NO_SIZE
        return 0.0

    def _feature(self, feature: str, card: int, tables: SearchTables) -> float:
        if feature == "silent":
            return 0.0
        if feature == "draft":
            return 1.4 if tables.has(card, "fdraft") else 0.0
        if feature in _SOFT:
            return _HAS_SOFT if tables.has(card, f"f{feature}") else _LACKS_SOFT
        if tables.has(card, f"f{feature}"):
            return _HAS
        return -2.2 if feature in _NEEDED else _LACKS

    def words(self) -> list[str]:
        """Return the wishes in short words, as they were understood."""
        said = list(self.features)
        if self.height >= 0:
            said.append(f"{HEIGHTS[self.height]}p")
        if self.seconds:
            said.append(f"at least {self.seconds:g} s")
        if self.limit is not None:
            said.append(f"at most ${self.limit:g}{unit_words(self.measure)}")
        said += [word for word in ("cheap", "fast", "best", "newest") if getattr(self, word)]
        return said


_FAST_KINDS = frozenset(
    {"fast", "turbo", "lite", "mini", "flash", "lightning", "distilled", "rapid"}
)
_BEST_KINDS = frozenset({"pro", "max", "ultra", "master", "quality", "hd"})


def wishes_in(reading: Reading, lexicon: Lexicon) -> Wishes:
    """Return the wishes that *reading* speaks of.

    Raises:
        ActionableError: it limits the price to nothing or less.
    """
    wishes = Wishes()
    _tell(reading, lexicon, wishes)
    wishes.features.sort()
    text = spelled(reading.text)
    wishes.limit, wishes.measure = limit_in(text)
    if wishes.limit is not None and wishes.limit <= 0:
        raise ActionableError(
            f"a limit of ${wishes.limit:g} leaves no model: each costs something",
            hint="give an amount above 0, or none",
        )
    if wishes.limit is not None and wishes.measure == _ONE and not _EACH.search(text):
        wishes.measure = counted_in(text)
    wishes.height, wishes.size = size_in(reading.text)
    if wishes.limit is not None and (wishes.height >= 0 or "sound" in wishes.features):
        heard = True if "sound" in wishes.features else None
        wishes.measure = wishes.measure._replace(height=wishes.height, sound=heard)
    found = length_in(text)
    if found and (
        at_least().search(text) or (wishes.limit is not None and 1 < seconds_of(found) <= _ONE_CLIP)
    ):
        wishes.seconds = seconds_of(found)
    return wishes


def _tell(reading: Reading, lexicon: Lexicon, wishes: Wishes) -> None:
    """Put the properties that *reading* speaks of into *wishes*."""
    for sense in reading.senses:
        name = lexicon.senses[sense]
        if name[0] != "!":
            continue
        word = name[1:]
        if word in ("cheap", "fast", "newest"):
            setattr(wishes, word, True)
        elif word == "quality":
            wishes.best = True
        elif word != "long":
            wishes.features.append(word)
    if count := _references_in(reading.text):
        wishes.features += [f"{count} references"]
        if "reference images" not in wishes.features:
            wishes.features.append("reference images")


def told_in_own_words(text: str, lexicon: Lexicon) -> list[str]:
    """Return the features that *text* of another language names; sound is known by its English."""
    wishes = Wishes()
    _tell(lexicon.read(text, 0), lexicon, wishes)
    return [feature for feature in wishes.features if feature not in ("sound", "silent")]


@cache
def _references() -> re.Pattern[str]:
    """Return what finds a number of pictures that are given together."""
    number = rf"(\d{{1,2}}|{'|'.join(_NUMBERS)})"
    pictures = r"(?:images|pictures|photos|pics|photographs)\b"
    return re.compile(
        rf"\b{number}\+? (?:or more )?(?:different |separate )?(?:(?:reference|input|source)"
        rf" {pictures}|references\b)"
        rf"|\b(?:combin|merg|blend|compos|fus|mix|accept|tak|handl)(?:e|es|ing|s)?"
        rf" (?:up to |at least |as many as |more than )?(?:my |these )?{number}"
        rf"\+? (?:or more )?(?:different |separate |product )?{pictures}"
    )


def _references_in(text: str) -> int:
    """Return how many pictures are to be given, as a feature tells it, 0 where none is said."""
    if "photo" not in text and "ic" not in text and "image" not in text and "ref" not in text:
        return 0
    found = _references().search(text)
    if found is None:
        return 0
    word = found[1] or found[2]
    count = int(word) if word.isdigit() else 3 + _NUMBERS.index(word)
    return next((known for known in COUNTS if known >= count > 2), 0)
