"""Read from a query which model is meant by name, and measure how well a card bears it."""

import math
import re
from dataclasses import dataclass, field
from itertools import pairwise

from catalog.search_reading import Lexicon, Reading
from catalog.search_tables import SearchTables
from catalog.search_text import word_parts

_VERSION = re.compile(r"\d+(?:\.\d+)*[a-z]?|[a-z]\d")
_SIZE = re.compile(r"\d{3,4}p|[248]k|\d+(?:\.\d+)?s")

# What a card is worth for bearing a name: all of it, each version, each kind; and for lacking them.
_NAME, _VERSION_HIT, _KIND_HIT = 4.2, 2.2, 1.0
_OTHER_NAME, _OTHER_VERSION, _NO_KIND, _OTHER_KIND = -2.4, -1.8, -0.6, -0.3
_EXTRA_PART = 0.06
# Further words of the query that are parts of the card's name as well.
_OTHER_HIT, _RARE_HIT = 0.8, 2.2
_FEW = 0.2
# An everyday word in the names of so few cards may be meant as a name ("aurora").
_FEW_CARDS = 4
# A card whose name says every word of the query.
_WHOLE_QUERY = 2.4
_MOST_OF_A_NAME = 0.5
_LACKS_NAME = -0.4


@dataclass(slots=True, eq=False)
class Named:
    """The name in a query: its parts, versions and kinds with the cards that bear each.

    *covered* is the share of the query's *own* words (so many) that the name takes up.
    """

    parts: list[tuple[str, float, frozenset[int]]] = field(
        default_factory=list[tuple[str, float, frozenset[int]]]
    )
    versions: list[tuple[str, frozenset[int]]] = field(
        default_factory=list[tuple[str, frozenset[int]]]
    )
    kinds: list[tuple[str, frozenset[int]]] = field(
        default_factory=list[tuple[str, frozenset[int]]]
    )
    others: list[tuple[float, frozenset[int]]] = field(
        default_factory=list[tuple[float, frozenset[int]]]
    )
    kind_bits: int = 0
    bearers: frozenset[int] = frozenset()
    maybe: frozenset[int] = frozenset()
    covered: float = 0.0
    own: int = 0
    weight: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.parts)

    @property
    def is_sure(self) -> bool:
        """Whether the name alone says what is wanted."""
        return bool(self.parts) and (bool(self.versions) or self.covered > _MOST_OF_A_NAME)

    @property
    def stranger(self) -> float:
        """What a card gains that bears nothing of the name: less than nothing."""
        if not self.parts:
            return 0.0
        return _OTHER_NAME if self.is_sure else _LACKS_NAME

    def worth(self, card: int, tables: SearchTables) -> float:
        """Return what *card* gains or loses for the name."""
        if not self.parts:
            return 0.0
        borne = sum(weight for _, weight, cards in self.parts if card in cards) / self.weight
        gain = _NAME * borne
        if borne < _MOST_OF_A_NAME:
            return gain + self.stranger
        if self.versions:
            hits = sum(card in cards for _, cards in self.versions)
            gain += _VERSION_HIT * hits + (_OTHER_VERSION * (len(self.versions) - hits))
        for _, cards in self.kinds:
            gain += _KIND_HIT if card in cards else _NO_KIND
        gain += _OTHER_KIND * (tables.variants[card] & ~self.kind_bits).bit_count()
        matched = 0
        for worth, cards in self.others:
            if card in cards:
                gain += worth
                matched += 1
        matched += sum(card in cards for _, _, cards in self.parts)
        matched += sum(card in cards for _, cards in (*self.versions, *self.kinds))
        if matched >= self.own:
            gain += _WHOLE_QUERY
        return gain - _EXTRA_PART * max(0, tables.parts[card] - matched)

    def borne_by(self, card: int) -> list[str]:
        """Return the words of the name that *card* bears."""
        words = [word for word, _, cards in self.parts if card in cards]
        words += [word for word, cards in self.versions if card in cards]
        return words + [word for word, cards in self.kinds if card in cards]


def named_in(reading: Reading, lexicon: Lexicon, tables: SearchTables) -> Named:
    """Return the name that *reading* holds, if any."""
    parts = _query_parts(reading, lexicon)
    named = Named()
    seen: set[str] = set()
    is_name = [_is_name(parts, at, lexicon, tables) for at in range(len(parts))]
    for at, part in enumerate(parts):
        cards = tables.cards(f"n{part}")
        if part in seen or not cards:
            continue
        seen.add(part)
        if is_name[at]:
            weight = math.log(1 + tables.count / len(cards))
            named.parts.append((part, weight, frozenset(cards)))
        elif any(is_name) and _VERSION.fullmatch(part) and not _SIZE.fullmatch(part):
            if any(is_name[max(0, at - 3) : at]) or "." in part:
                named.versions.append((part, frozenset(cards)))
        elif any(is_name) and part in tables.kinds:
            named.kinds.append((part, frozenset(cards)))
        elif any(is_name) and len(cards) < tables.count // 6 and not lexicon.is_plain(part):
            named.others.append((_OTHER_HIT, frozenset(cards)))
    _join(parts, named, tables, seen)
    _weigh_others(named)
    kinds = {word for word, _ in named.kinds} | seen
    named.kind_bits = sum(1 << n for n, kind in enumerate(tables.kinds) if kind in kinds)
    named.maybe = frozenset(
        card
        for part in parts
        if part in lexicon.weak and len(cards := tables.cards(f"n{part}")) <= _FEW_CARDS
        for card in cards
    )
    named.bearers = frozenset().union(*(cards for _, _, cards in named.parts))
    named.weight = sum(weight for _, weight, _ in named.parts)
    own = {part for part in parts if part not in lexicon.stop or part in tables.kinds}
    named.own = len(own)
    taken = len(named.parts) + len(named.versions) + len(named.kinds)
    named.covered = min(1.0, taken / len(own)) if own else 0.0
    return named


def _weigh_others(named: Named) -> None:
    """Let a further word count more that marks only a few of the cards of that name."""
    if not named.parts:
        return
    bearers = named.parts[0][2].intersection(*(cards for _, _, cards in named.parts[1:]))
    named.others = [
        (_RARE_HIT if 0 < len(cards & bearers) <= _FEW * len(bearers) else _OTHER_HIT, cards)
        for _, cards in named.others
    ]


def _query_parts(reading: Reading, lexicon: Lexicon) -> list[str]:
    """Return the parts of names in the query, with other spellings replaced by the catalog's."""
    words = [word.text for word in reading.words]
    parts: list[str] = []
    at = 0
    while at < len(words):
        for rest, meant in lexicon.aliases.get(words[at], ()):
            if words[at + 1 : at + 1 + len(rest)] == rest:
                parts += meant
                at += 1 + len(rest)
                break
        else:
            parts += word_parts(words[at])
            at += 1
    if not reading.text.isascii():
        for run in lexicon.unspaced_aliases:
            if run in reading.text:
                parts += lexicon.aliases[run][0][1]
    return [part for part in parts if part not in ("fal", "ai")]


def _is_name(parts: list[str], at: int, lexicon: Lexicon, tables: SearchTables) -> bool:
    part = parts[at]
    if part in lexicon.strong:
        return True
    if part in lexicon.never:
        return False
    if part in tables.kinds or part.isdigit() or len(part) < 2 or not tables.size(f"n{part}"):
        return False
    if (
        part in lexicon.stop
        or part in lexicon.common
        or part in lexicon.weak
        or part in lexicon.meaningful
    ):
        if part in lexicon.stop and part not in lexicon.weak:
            return False
        return _has_fellow(parts, at, lexicon, tables)
    return part.isascii() and (part.isalpha() or not _SIZE.fullmatch(part)) and part[0].isalpha()


def _has_fellow(parts: list[str], at: int, lexicon: Lexicon, tables: SearchTables) -> bool:
    """Whether *parts* holds a word beside this one that only names of one family put together."""
    for one, other in ((at - 1, at), (at, at + 1)):
        if one < 0 or other >= len(parts):
            continue
        pair = f"{parts[one]} {parts[other]}"
        if pair not in tables.pairs:
            continue
        fellow = parts[one if other == at else other]
        if parts[at] in lexicon.weak and fellow in lexicon.weak:
            return True
        if _VERSION.fullmatch(fellow) and parts[at] in lexicon.weak:
            return True
        unusual = fellow not in lexicon.meaningful and fellow not in lexicon.stop
        ordinary = fellow in lexicon.common or fellow in tables.kinds or fellow in lexicon.weak
        if unusual and not ordinary and fellow.isalpha():
            return True
    return False


def _join(parts: list[str], named: Named, tables: SearchTables, seen: set[str]) -> None:
    """Add names that the query writes as two words and the catalog as one."""
    for one, other in pairwise(parts):
        joined = one + other
        cards = tables.cards(f"n{joined}")
        if (
            cards
            and len(joined) > 5
            and f"{one} {other}" not in tables.pairs
            and joined not in seen
        ):
            seen.add(joined)
            weight = math.log(1 + tables.count / len(cards))
            named.parts.append((joined, weight, frozenset(cards)))
