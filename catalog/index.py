"""`CatalogIndex`: the shipped cards by id, read one at a time by offset."""

import json
import os
import re
import sys
import weakref
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar, cast

from catalog.card import ModelCard
from catalog.errors import MisreadModelError, UnknownAppError, UnknownModelError
from catalog.pasted import misread, plain_id

SNAPSHOT = Path(__file__).resolve().parent / "snapshot"

T = TypeVar("T")

# Parsed cards kept at hand; a card is about 5 KB once parsed.
MOST_PARSED = 64
LONGEST_CHAIN = 8

_PARTS = re.compile(r"\d+(?:\.[1-9]\d*)*|[a-z]+")


# The owner under whose name apps are found that run on this machine.
LOCAL = "local/"


class CatalogIndex:
    """The shipped catalog. Opening reads nothing; each part is read when it is first asked for.

    It never changes and may be shared between threads. *beside*, where given, is asked for a bare
    id that the snapshot does not hold, or holds as retired or without all inputs. *local* tells the
    ids of the apps of this machine, where they can be run.
    """

    def __init__(
        self,
        folder: Path,
        beside: Callable[[str], ModelCard | None] | None = None,
        local: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        self.folder = folder
        self._beside = beside
        self._local = local
        self._parsed: dict[int, ModelCard] = {}
        self._lock, self._reading = Lock(), Lock()
        self._kept: dict[Callable[[Path], object], object] = {}

    @classmethod
    def open(
        cls,
        folder: Path | None = None,
        *,
        beside: Callable[[str], ModelCard | None] | None = None,
        local: Callable[[], Sequence[str]] | None = None,
    ) -> "CatalogIndex":
        """Return the catalog in *folder*, by default the one that is shipped. Nothing is read."""
        return cls(folder or SNAPSHOT, beside, local)

    @cached_property
    def ids(self) -> Sequence[str]:
        """Every endpoint id, sorted."""
        text = (self.folder / "ids.txt").read_text(encoding="utf-8")
        return tuple(text.split("\n")[:-1])

    @property
    def as_of(self) -> str:
        """The day (``YYYY-MM-DD``) of the list of endpoints that the snapshot was made from."""
        return cast("str", self._facets["as_of"])

    def get(self, endpoint_id: str) -> ModelCard:
        """Return the card of *endpoint_id*, in any case and in any form people paste.

        Raises:
            UnknownModelError: the catalog holds no such endpoint; it names up to three nearest.
        """
        card = self.find(endpoint_id)
        if card is None:
            raise self.unknown(endpoint_id)
        return card

    def unknown(self, endpoint_id: str) -> UnknownModelError:
        """Return what to tell of *endpoint_id*, which the catalog does not hold."""
        bare = plain_id(endpoint_id)
        if self._local is not None and bare.startswith(LOCAL):
            return UnknownAppError(endpoint_id, nearest=nearest_ids(bare[:200], self._local(), 3))
        if (told := misread(bare)) is None:
            return UnknownModelError(endpoint_id, nearest=self.nearest(bare))
        what, meant, instead = told
        card = self.find(meant)
        nearest = (card.endpoint_id,) if card else self._below(meant) or self.nearest(meant)
        return MisreadModelError(endpoint_id, what, instead, nearest=nearest)

    def find(self, endpoint_id: str) -> ModelCard | None:
        """Return the card of *endpoint_id*, or None; see `get`."""
        held = self.held(endpoint_id)
        if self._beside is None or (held is not None and held.is_current):
            return held
        bare = plain_id(endpoint_id) if held is None else held.endpoint_id
        return self._beside(bare) or held

    def held(self, endpoint_id: str) -> ModelCard | None:
        """Return the card of *endpoint_id* as the snapshot alone has it, or None; see `get`."""
        place = self.place(endpoint_id)
        return None if place is None else self._card(place)

    def record(self, endpoint_id: str) -> dict[str, Any] | None:
        """Return the facts of *endpoint_id* as the snapshot has them, or None; see `get`."""
        place = self.place(endpoint_id)
        return None if place is None else self._facts(place)

    def place(self, endpoint_id: str) -> int | None:
        """Return where *endpoint_id* stands in `ids`, None where it does not; see `get`."""
        wanted = plain_id(endpoint_id)
        place = self._place(wanted)
        return self._lower.get(wanted.lower()) if place is None else place

    def cards(self) -> Iterator[ModelCard]:
        """Yield every card, sorted by id. Slow: it parses the whole catalog."""
        with (self.folder / "cards.jsonl").open(encoding="utf-8") as lines:
            for line in lines:
                yield ModelCard.from_record(json.loads(line))

    def of_category(self, category: str) -> tuple[str, ...]:
        """Return the ids of *category*, fittest first: in use before retired, then by rank.

        An unknown category has none.
        """
        places = cast("dict[str, list[int]]", self._facets["by_category"]).get(category, [])
        return tuple(self.ids[place] for place in places)

    @property
    def categories(self) -> tuple[str, ...]:
        """Every category that has cards, sorted."""
        return tuple(cast("dict[str, list[int]]", self._facets["by_category"]))

    def successor(self, card: ModelCard) -> ModelCard | None:
        """Return what to use instead of *card*, or None where it is current or nothing follows.

        The chain of ``replaced_by`` is followed to its end; a deprecated card without one is
        followed by the newest active card of its family and category.
        """
        current, seen = card, {card.endpoint_id}
        while current.replaced_by and len(seen) < LONGEST_CHAIN:
            following = self.find(current.replaced_by)
            if following is None or following.endpoint_id in seen:
                break
            seen.add(following.endpoint_id)
            current = following
        if current is not card:
            return current
        if card.status != "deprecated":
            return None
        newest = cast("dict[str, int]", self._facets["newest"])
        place = newest.get(f"{card.family} {card.category}")
        return None if place is None else self._card(place)

    def nearest(self, endpoint_id: str, count: int = 3) -> tuple[str, ...]:
        """Return up to *count* ids that a misremembered *endpoint_id* may mean, best first.

        Wrong owners, missing parts and typing errors are borne; an id that resembles nothing
        has none.
        """
        retired = frozenset(cast("list[int]", self._facets["retired"]))
        return nearest_ids(plain_id(endpoint_id)[:200], self.ids, count, retired)

    def _below(self, app: str, count: int = 3) -> tuple[str, ...]:
        """Return up to *count* ids of *app*, such as ``fal-ai/flux/dev`` of ``fal-ai/flux``."""
        start = bisect_left(self.ids, f"{app}/")
        found = self.ids[start : start + count]
        return tuple(endpoint_id for endpoint_id in found if endpoint_id.startswith(f"{app}/"))

    def kept(self, load: Callable[[Path], T]) -> T:
        """Return what *load* makes of the snapshot's folder: made once, kept with this catalog."""
        if load not in self._kept:
            self._kept[load] = load(self.folder)
        return cast("T", self._kept[load])  # put there under the function that made it

    @cached_property
    def _facets(self) -> dict[str, Any]:
        return cast(
            "dict[str, Any]",
            json.loads((self.folder / "facets.json").read_text(encoding="utf-8")),
        )

    @cached_property
    def _lower(self) -> dict[str, int]:
        return {endpoint_id.lower(): place for place, endpoint_id in enumerate(self.ids)}

    @cached_property
    def _lines(self) -> int:
        """The open file of cards, held so that an upgrade under a running server changes none."""
        lines = os.open(self.folder / "cards.jsonl", os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, lines)
        return lines

    @cached_property
    def _offsets(self) -> "array[int]":
        _ = self._lines  # which these are of
        offsets = array("I", (self.folder / "offsets.bin").read_bytes())
        if sys.byteorder == "big":
            offsets.byteswap()
        return offsets

    def _place(self, endpoint_id: str) -> int | None:
        place = bisect_left(self.ids, endpoint_id)
        found = place < len(self.ids) and self.ids[place] == endpoint_id
        return place if found else None

    def _card(self, place: int) -> ModelCard:
        with self._lock:
            card = self._parsed.pop(place, None) or self._read(place)
            self._parsed[place] = card  # the last is the most recently used
            if len(self._parsed) > MOST_PARSED:
                del self._parsed[next(iter(self._parsed))]
        return card

    def _read(self, place: int) -> ModelCard:
        return ModelCard.from_record(self._facts(place))

    def _facts(self, place: int) -> dict[str, Any]:
        start, end = self._offsets[place], self._offsets[place + 1]
        with self._reading:
            os.lseek(self._lines, start, os.SEEK_SET)
            return json.loads(os.read(self._lines, end - start))


def nearest_ids(
    wanted: str, ids: Sequence[str], count: int, retired: frozenset[int] = frozenset()
) -> tuple[str, ...]:
    """Return up to *count* of *ids* that resemble *wanted*, best first, *retired* places last."""
    parts, grams = _resemblance(wanted)
    if not grams:
        return ()
    weight = sum(map(_part_weight, parts))
    scored: list[tuple[float, int, str]] = []
    for place, endpoint_id in enumerate(ids):
        other_parts, other_grams = _resemblance(endpoint_id)
        alike = 2 * len(grams & other_grams) / (len(grams) + len(other_grams))
        shared = sum(map(_part_weight, parts & other_parts))
        if alike < _LEAST_ALIKE and not shared:
            continue
        whole = weight + sum(map(_part_weight, other_parts))
        score = alike + 2 * shared / whole - (_RETIRED if place in retired else 0)
        if score >= _LEAST_SCORE:
            scored.append((-score, len(endpoint_id), endpoint_id))
    return tuple(endpoint_id for _, _, endpoint_id in sorted(scored)[:count])


# How much of two ids must be alike, from 0 to 2, and how much a retired one is pushed back.
_LEAST_ALIKE, _LEAST_SCORE, _RETIRED = 0.3, 0.55, 0.1
# Parts that many ids have say less of which model is meant than names and versions do.
_COMMON_PARTS = frozenset(
    {"text", "to", "image", "video", "audio", "speech", "edit", "v", "fal", "ai"}
)


def _part_weight(part: str) -> float:
    return 0.3 if part in _COMMON_PARTS else 1.0


def _resemblance(endpoint_id: str) -> tuple[set[str], set[str]]:
    """Return the parts and the triples of letters of an id, without its owner."""
    owner, _, path = endpoint_id.lower().partition("/")
    found = _PARTS.findall(path or owner)
    run = "".join(found)
    return set(found), {run[at : at + 3] for at in range(max(len(run) - 2, 0))}
