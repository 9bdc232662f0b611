"""`SearchTables`: the prebuilt search index as it lies in memory."""

import json
import sys
from array import array
from collections.abc import Container, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

from catalog.search_spans import Spans

# One more whenever the meaning of the tables changes.
FORMAT = 7

# Lists of more cards than this are met by their best cards first, and looked up by card after that.
LONG_LIST, HEAD = 1500, 400

# A term's weight in a card is kept in a byte, in these parts of one.
PARTS = 15

# Sets of cards that are kept once made.
_MOST_SETS = 512
# Lists that are kept for walking through, at most `LONG_LIST` cards of some 45 bytes each.
_MOST_LISTS = 128
# Cards whose words are kept, some 400 bytes each.
_MOST_TEXTS = 256

# Heights of video that people name; a card's own sizes count as the one they are nearest to.
HEIGHTS = (480, 720, 1080, 1440, 2160)
# Long sides of pictures that people name.
SIZES = ("1k", "2k", "4k")

# Columns of a card's prices, in dollars: a second of video or sound by height, and at a size by
# default that is none of them, each without and with sound; a picture by size, and at 1080p where
# that is a price of its own; 1000 characters; a request at its defaults. NaN where not known.
SECOND = 0
OWN_SIZE = SECOND + 2 * len(HEIGHTS)
PICTURE = OWN_SIZE + 2
FULL_HD = PICTURE + len(SIZES)
CHARACTERS = FULL_HD + 1
REQUEST = CHARACTERS + 1
COLUMNS = REQUEST + 1


class SearchTables:
    """The search index of a snapshot: lists of cards by key, columns of facts, the lexicon.

    Keys have a letter for their kind: ``t`` a word of a card's texts, ``n`` a part of its id or
    name, ``c`` a task, ``k`` a category, ``f`` a feature, ``p`` an input field, ``i`` and ``o``
    media in and out. Cards are numbers, places in `CatalogIndex.ids`.
    """

    def __init__(self, folder: Path) -> None:
        head: dict[str, Any] = json.loads((folder / "search.json").read_text(encoding="utf-8"))
        if head["format"] != FORMAT:
            raise ValueError(f"{folder / 'search.json'} has format {head['format']}, not {FORMAT}")
        self.folder = folder
        self.count: int = head["count"]
        self.lexicon: dict[str, Any] = head["lexicon"]
        self.tasks: list[list[str]] = head["tasks"]
        self.task_numbers = {name: at for at, (name, _) in enumerate(self.tasks)}
        self.categories: list[str] = head["categories"]
        self.sources = [category.split("-to-")[0] for category in self.categories]
        self.kinds: list[str] = head["kinds"]
        self.spelling: list[str] = head["spelling"]
        self._pairs: str = head["pairs"]
        self.least: dict[str, tuple[float, str]] = head["least"]  # see `search_least`
        self.place: dict[str, int] = {key: at for at, key in enumerate(head["keys"])}
        self._shares: dict[tuple[str, ...], float] = {}
        self._kind_bits: dict[frozenset[str], int] = {}
        self._weighted: dict[str, tuple[list[int], list[int]]] = {}
        self._texts: dict[int, tuple[str, str, str]] = {}
        self._arrays(folder, head["arrays"])
        self._dense: dict[int, int] = {int(at): start for at, start in head["dense"].items()}

    def _arrays(self, folder: Path, directory: dict[str, list[Any]]) -> None:
        data = (folder / "search.bin").read_bytes()

        def numbers(name: str) -> "array[int]":
            code, start, size = directory[name]
            # Any type of whole numbers; the directory says which.
            values = array(cast("Literal['I']", code), data[start : start + size])
            if sys.byteorder == "big":
                values.byteswap()
            return values

        def fractions(name: str) -> "array[float]":
            return cast("array[float]", numbers(name))  # the directory says "f"

        self.starts = numbers("starts")
        self.docs = numbers("docs")
        self.weights = numbers("weights")
        self.category = numbers("category")
        self.status = numbers("status")
        self.family = numbers("family")
        self.age = numbers("age")
        self.prior = fractions("prior").tolist()  # every search looks up hundreds
        self.variants = numbers("variants").tolist()
        self.media_in = numbers("media_in")
        self.media_out = numbers("media_out")
        self.longest = fractions("longest")
        self.length = fractions("length")  # of a usual run in seconds, below zero if supposed
        self.heights = numbers("heights")
        self.spans = Spans(
            numbers("spans"),
            numbers("span_starts"),
            fractions("span_points"),
            numbers("span_steps"),
        )
        self.prices = fractions("prices")
        self.unit = numbers("unit")
        self.usual = numbers("usual")
        self.parts = numbers("parts")
        self.by_prior = numbers("by_prior")
        self.shown = numbers("shown")
        self.dense = numbers("dense")

    def is_pair(self, one: str, other: str) -> bool:
        """Whether a card's id or title has *one* and right after it *other*."""
        if f"n{one}" not in self.place or f"n{other}" not in self.place:
            return False
        return _has_line(self._pairs, f"{one} {other}")

    def size(self, key: str) -> int:
        """Return how many cards *key* has, 0 where there is no such key."""
        at = self.place.get(key)
        return 0 if at is None else self.starts[at + 1] - self.starts[at]

    def cards(self, key: str) -> "array[int]":
        """Return the cards of *key*, best first where the list is long, none if unknown."""
        at = self.place.get(key)
        return self.docs[0:0] if at is None else self.docs[self.starts[at] : self.starts[at + 1]]

    def weighted(self, key: str) -> tuple[Sequence[int], Sequence[int]]:
        """Return the cards of *key* and their weights (0 to 255); of a long list only its head.

        The lists that were asked for last are kept as they are walked through fastest.
        """
        made = self._weighted.get(key)
        if made is None:
            at = self.place.get(key)
            if at is None:
                return (), ()
            start, end = self.starts[at], self.starts[at + 1]
            if end - start > LONG_LIST:
                end = start + HEAD
            made = self.docs[start:end].tolist(), self.weights[start:end].tolist()
            if len(self._weighted) >= _MOST_LISTS:
                del self._weighted[next(iter(self._weighted))]
            self._weighted[key] = made
        return made

    def has(self, card: int, key: str) -> bool:
        """Whether *card* is among those of *key*."""
        return bool(self.bits.flags(key)[card >> 3] >> (card & 7) & 1)

    def share(self, task: str, side: str, kinds: Iterable[str]) -> float:
        """Return the share of the cards of *task* that take (``i``) or return (``o``) a kind."""
        key = (task, side, *sorted(kinds))
        made = self._shares.get(key)
        if made is None:
            does, having = self.bits.of(f"c{task}"), 0
            for kind in kinds:
                having |= self.bits.of(f"{side}{kind}")
            made = (does & having).bit_count() / max(1, does.bit_count())
            self._shares[key] = made
        return made

    def kind_bits(self, kinds: frozenset[str]) -> int:
        """Return *kinds* of variants as bits, as in the column `variants`."""
        made = self._kind_bits.get(kinds)
        if made is None:
            made = sum(1 << self.kinds.index(kind) for kind in kinds)
            self._kind_bits[kinds] = made
        return made

    def looked_up(self, key: str) -> "array[int] | None":
        """Return the weight of every card for a *key* with a long list, None for a short one."""
        at = self.place.get(key)
        start = None if at is None else self._dense.get(at)
        return None if start is None else self.dense[start : start + self.count]

    @cached_property
    def sorts(self) -> Sequence[tuple[int, int, int]]:
        """What each card takes and returns, and its category, each such sort once."""
        known: dict[tuple[int, int, int], tuple[int, int, int]] = {}
        columns = zip(self.media_in, self.media_out, self.category, strict=True)
        return [known.setdefault(sort, sort) for sort in columns]

    @cached_property
    def bits(self) -> "Bits":
        """Sets of cards as whole numbers."""
        return Bits(self)

    @cached_property
    def _lines(self) -> bytes:
        return (self.folder / "shown.tsv").read_bytes()

    def texts(self, card: int) -> tuple[str, str, str]:
        """Return title, summary and usual price of *card* in words.

        Those of the cards that were asked for last are kept: searches find the same ones often.
        """
        made = self._texts.get(card)
        if made is None:
            line = self._lines[self.shown[card] : self.shown[card + 1] - 1].decode()
            title, summary, price = line.split("\t")
            if len(self._texts) >= _MOST_TEXTS:
                del self._texts[next(iter(self._texts))]
            made = self._texts[card] = title, summary, price
        return made


class Bits:
    """Sets of cards by key, made when first asked for: as flags and as whole numbers."""

    def __init__(self, tables: SearchTables) -> None:
        self._tables = tables
        self._flags: dict[str, bytes] = {}
        self._whole: dict[str, int] = {}

    def flags(self, key: str) -> bytes:
        """Return the cards of *key*, one bit a card: ``flags[card >> 3] >> (card & 7) & 1``."""
        made = self._flags.get(key)
        if made is None:
            flags = bytearray((self._tables.count + 7) // 8)
            for card in self._tables.cards(key):
                flags[card >> 3] |= 1 << (card & 7)
            if len(self._flags) >= _MOST_SETS:
                self._flags.clear()
            made = self._flags[key] = bytes(flags)
        return made

    def of(self, key: str) -> int:
        """Return the cards of *key* as bits of a number, 0 where there is no such key."""
        made = self._whole.get(key)
        if made is None:
            if len(self._whole) >= _MOST_SETS:
                self._whole.clear()
            made = self._whole[key] = int.from_bytes(self.flags(key), "little")
        return made


def _has_line(lines: str, wanted: str) -> bool:
    """Whether *wanted* is one of *lines*: sorted, each between two line ends."""
    low, high = 0, len(lines) - 1  # line ends; what is wanted lies between them
    while low < high:
        start = lines.rfind("\n", low, (low + high) // 2 + 1)
        end = lines.find("\n", start + 1)
        line = lines[start + 1 : end]
        if line == wanted:
            return True
        low, high = (end, high) if line < wanted else (low, start)
    return False


MEDIA = ("image", "video", "audio", "3d", "text", "archive", "weights", "file")


def media_bits(kinds: Container[str]) -> int:
    """Return *kinds* of media as bits, in the order of `MEDIA`."""
    return sum(1 << at for at, kind in enumerate(MEDIA) if kind in kinds)
