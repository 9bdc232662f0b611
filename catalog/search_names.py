"""Read from a query which model is meant by name, and measure how well a card bears it."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from catalog.search_reading import Lexicon, Reading
from catalog.search_spelled import SMALL_NUMBERS
from catalog.search_tables import HEAD, SearchTables
from catalog.search_text import name_parts, word_parts

_VERSION = re.compile(r"\d+(?:\.\d+)*[a-z]?|[a-z]\d")
# A version as people say it, and what would make an amount of it.
_RELEASE = re.compile(r"[1-9]\d?(?:\.\d{1,2})?")
_UNITS = frozenset({"sec", "second", "min", "minute", "hour", "fps", "x", "mp", "cent", "dollar"})
_HEIGHTS = frozenset({"480", "720", "1080"})
_DIGITS = {word: str(n) for n, word in enumerate(SMALL_NUMBERS[:10])}
_SIZE = re.compile(r"\d{3,4}p|[248]k|\d+(?:\.\d+)?s")

# What a card is worth for bearing a name: all of it, each version, each kind; and for lacking them.
_NAME, _VERSION_HIT, _KIND_HIT = 4.2, 2.2, 1.0
_OTHER_NAME, _OTHER_VERSION, _NO_KIND, _OTHER_KIND = -2.4, -1.8, -0.6, -0.3
_EXTRA_PART = 0.12
# Further words of the query that are parts of the card's name as well.
_OTHER_HIT, _RARE_HIT = 0.8, 2.2
_FEW = 0.2
# An everyday word in the names of so few cards may be meant as a name ("aurora").
_FEW_CARDS = 4
_SHORTEST_JOINED = 5
# From so many letters on a word that is not English and that so few cards bear is a name.
_COINED, _FEW_BEAR = 6, 24
# Of the cards that bear a name, so many are weighed.
_MOST_BEARERS = 1200
# An id of more parts is not said in words, and so many cards with the same words tell nothing.
_LONGEST_ID, _MOST_WHOLE = 9, 60
# A card whose name says every word of the query.
_WHOLE_QUERY = 2.4
_MOST_OF_A_NAME = 0.5
_LACKS_NAME = -0.4


class Mark(NamedTuple):
    """A word of a name, what it is worth, and the cards that bear it as flags."""

    word: str
    worth: float
    flags: bytes

    def on(self, card: int) -> int:
        """Return 1 where *card* bears the word, else 0."""
        return self.flags[card >> 3] >> (card & 7) & 1


@dataclass(slots=True, eq=False)
class Named:
    """The name in a query: its parts, versions, kinds, words that may belong to it, *plain* ones.

    *bearers* are the cards that bear some of it, at most `_MOST_BEARERS` of them; *maybe* those
    whose name has an everyday word of the query. *covered* is the share of the query's *own* words
    (so many) that the name takes up. *missing* are versions that no card of that name has,
    *inner* the words of the query that are another spelling of it ("gpt image"). *whole* are cards
    that may be meant by all the *words* of the query together. It *is_coined* if a word
    of it stands for few models, some of them in use, and for nothing else.
    """

    parts: list[Mark] = field(default_factory=list[Mark])
    versions: list[Mark] = field(default_factory=list[Mark])
    kinds: list[Mark] = field(default_factory=list[Mark])
    others: list[Mark] = field(default_factory=list[Mark])
    plain: list[Mark] = field(default_factory=list[Mark])
    kind_bits: int = 0
    bearers: frozenset[int] = frozenset()
    maybe: frozenset[int] = frozenset()
    missing: list[str] = field(default_factory=list[str])
    inner: frozenset[str] = frozenset()
    whole: frozenset[int] = frozenset()
    words: list[str] = field(default_factory=list[str])
    is_coined: bool = False
    covered: float = 0.0
    own: int = 0
    weight: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.parts)

    @property
    def is_sure(self) -> bool:
        """Whether the name alone says what is wanted."""
        is_most = self.covered > _MOST_OF_A_NAME
        return bool(self.parts) and (bool(self.versions) or is_most or self.is_coined)

    @property
    def stranger(self) -> float:
        """What a card gains that bears nothing of the name: less than nothing."""
        if not self.parts:
            return 0.0
        return _OTHER_NAME if self.is_sure else _LACKS_NAME

    def worth(self, card: int, tables: SearchTables) -> float:
        """Return what *card* gains or loses for the name."""
        borne = sum(mark.worth for mark in self.parts if mark.on(card))
        if not borne:
            return self.stranger
        gain = _NAME * borne / self.weight
        if borne < _MOST_OF_A_NAME * self.weight:
            return gain + self.stranger
        matched = sum(mark.on(card) for mark in self.parts)
        for mark in self.versions:
            hit = mark.on(card)
            matched += hit
            gain += _VERSION_HIT if hit else _OTHER_VERSION
        for mark in self.kinds:
            hit = mark.on(card)
            matched += hit
            gain += _KIND_HIT if hit else _NO_KIND
        for mark in self.others:
            if mark.on(card):
                matched += 1
                gain += mark.worth
        matched += sum(mark.on(card) for mark in self.plain)
        if unasked := tables.variants[card] & ~self.kind_bits:
            gain += _OTHER_KIND * unasked.bit_count()
        if matched >= self.own:
            gain += _WHOLE_QUERY
        return gain - _EXTRA_PART * max(0, tables.parts[card] - matched)

    def keep_whole(self, ids: Sequence[str]) -> None:
        """Keep of *whole* only the cards whose *ids* have no other words than the query."""
        if self.whole:
            words = set(self.words)
            self.whole = frozenset(
                card for card in self.whole if words == {*name_parts(ids[card])} - {"fal", "ai"}
            )

    def is_borne_by(self, card: int) -> bool:
        """Whether *card* bears the whole of a name that alone says what is wanted."""
        return self.is_sure and all(mark.on(card) for mark in (*self.parts, *self.versions))

    def borne_by(self, card: int) -> list[str]:
        """Return the words of the name that *card* bears."""
        return [m.word for m in (*self.parts, *self.versions, *self.kinds) if m.on(card)]


def named_in(reading: Reading, lexicon: Lexicon, tables: SearchTables) -> Named:
    """Return the name that *reading* holds, if any."""
    named = Named()
    parts = _as_named(_query_parts(reading, lexicon, named), tables)
    is_name = [
        _is_name(parts, at, lexicon, tables) or (part in named.inner and part in lexicon.weak)
        for at, part in enumerate(parts)
    ]
    named.maybe = frozenset(
        card
        for part in parts
        if part in lexicon.weak and tables.size(f"n{part}") <= _FEW_CARDS
        for card in tables.cards(f"n{part}")
    )
    named.words, named.whole = parts, _whole(parts, tables)
    if any(is_name):
        _mark_words(named, parts, is_name, lexicon, tables)
    _join(parts, named, tables)
    if not named.parts:
        return named
    _weigh_others(named, tables)
    kinds = {mark.word for mark in named.kinds} | set(parts)
    named.kind_bits = sum(1 << n for n, kind in enumerate(tables.kinds) if kind in kinds)
    named.bearers = _bearers(named, tables)
    named.weight = sum(mark.worth for mark in named.parts)
    own = {part for part in parts if part not in lexicon.stop or part in tables.kinds}
    named.own = len(own)
    taken = len(named.parts) + len(named.versions) + len(named.kinds)
    named.covered = min(1.0, taken / len(own)) if own else 0.0
    named.is_coined = any(
        len(mark.word) >= _COINED
        and tables.size(f"n{mark.word}") <= _FEW_BEAR
        and mark.word not in lexicon.english
        and mark.word not in lexicon.meaningful
        and not all(tables.status[card] for card in tables.cards(f"n{mark.word}"))
        for mark in named.parts
    )
    named.missing = _missing(parts, is_name, named, tables)
    return named


def _whole(parts: list[str], tables: SearchTables) -> frozenset[int]:
    """Return the cards that bear all of *parts* and have as many words in their ids.

    None for a single word.
    """
    if not 1 < len(parts) <= _LONGEST_ID:
        return frozenset()
    bearers = -1
    for part in parts:
        bearers &= tables.bits.of(f"n{part}")
        if not bearers:
            return frozenset()
    found: list[int] = []
    while bearers and len(found) <= _MOST_WHOLE:
        card = bearers.bit_length() - 1
        bearers ^= 1 << card
        if tables.parts[card] == len(parts):
            found.append(card)
    return frozenset(found) if len(found) <= _MOST_WHOLE else frozenset()


def _missing(
    parts: list[str], is_name: list[bool], named: Named, tables: SearchTables
) -> list[str]:
    """Return names with a version that is said right behind them and that no card of them has.

    "flux 4 pro" has one; a number before a plural ("flux 4 images") counts things.
    """
    bearers = -1
    for mark in named.parts:
        bearers &= tables.bits.of(f"n{mark.word}")
    if not bearers:
        return []
    missing: list[str] = []
    for at in range(1, len(parts)):
        version, start = parts[at], at
        behind = parts[at + 1] if at + 1 < len(parts) else ""
        if not _RELEASE.fullmatch(version) or behind.endswith("s") or behind in _UNITS:
            continue
        while start and (
            is_name[start - 1]
            or parts[start - 1] in tables.kinds
            or (start > 1 and is_name[start - 2] and tables.is_pair(*parts[start - 2 : start]))
        ):
            start -= 1
        if any(is_name[start:at]) and not _has_version(bearers, version, at - start, tables):
            missing.append(" ".join(parts[start : at + 1]))
    return missing


def _has_version(bearers: int, version: str, words: int, tables: SearchTables) -> bool:
    """Whether a card among *bearers* is of *version* or of a part of it ("3.2").

    Behind a name of several *words* it may be a size ("flux 2 klein 9" for 9b). The first version
    of a name is mostly written without a number.
    """
    kin = [version, *(f"{version}.{minor}" for minor in range(10))]
    if words > 1:
        kin.append(f"{version}b")
    return version == "1" or any(bearers & tables.bits.of(f"n{one}") for one in kin)


def _mark_words(
    named: Named, parts: list[str], is_name: list[bool], lexicon: Lexicon, tables: SearchTables
) -> None:
    """Put each word of the query where it belongs in *named*."""
    seen: set[str] = set()
    for at, part in enumerate(parts):
        key = f"n{part}"
        size = tables.size(key)
        if part in seen or not size:
            continue
        seen.add(part)
        worth = _rarity(size, tables)
        if is_name[at]:
            place = named.parts
        elif _VERSION.fullmatch(part) and not _SIZE.fullmatch(part):
            if not any(is_name[max(0, at - 3) : at]) and "." not in part:
                continue
            place = named.versions
        elif part in tables.kinds:
            place = named.kinds
        elif size < tables.count // 6 and not lexicon.is_plain(part):
            place, worth = named.others, _OTHER_HIT
        else:
            place, worth = named.plain, 0.0
        place.append(Mark(part, worth, tables.bits.flags(key)))


def _rarity(size: int, tables: SearchTables) -> float:
    return math.log(1 + tables.count / size)


def _bearers(named: Named, tables: SearchTables) -> frozenset[int]:
    """Return the cards that bear some of the name; of very many the best and the fullest."""
    lists = [tables.cards(f"n{mark.word}") for mark in named.parts]
    if sum(map(len, lists)) <= _MOST_BEARERS:
        return frozenset(card for cards in lists for card in cards)
    found = {card for cards in lists for card in cards[:HEAD]}
    marks = [*named.parts, *named.versions]
    rarest = min((tables.cards(f"n{mark.word}") for mark in marks), key=len)
    for card in rarest:
        if all(mark.on(card) for mark in marks):
            found.add(card)
            if len(found) > _MOST_BEARERS:
                break
    return frozenset(found)


def _weigh_others(named: Named, tables: SearchTables) -> None:
    """Let a further word count more that marks only a few of the cards of that name."""
    bearers = -1
    for mark in named.parts:
        bearers &= tables.bits.of(f"n{mark.word}")
    few = _FEW * bearers.bit_count()
    named.others = [
        mark._replace(worth=_RARE_HIT)
        if 0 < (bearers & tables.bits.of(f"n{mark.word}")).bit_count() <= few
        else mark
        for mark in named.others
    ]


def _query_parts(reading: Reading, lexicon: Lexicon, named: Named) -> list[str]:
    """Return the parts of names in the query, with other spellings replaced by the catalog's.

    The words of those spellings are the inner ones of *named*.
    """
    words = [word.text for word in reading.words]
    parts: list[str] = []
    at = 0
    while at < len(words):
        for rest, meant in lexicon.aliases.get(words[at], ()):
            if words[at + 1 : at + 1 + len(rest)] == rest:
                parts += meant
                named.inner |= {words[at], *rest, *meant}
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


def _as_named(parts: list[str], tables: SearchTables) -> list[str]:
    """Return *parts* with numbers as names have them: versions in digits, heights with their p.

    "ideogram four" is "ideogram 4", "longcat 720" "longcat 720p"; "flux four images" counts things.
    """
    named = parts[:1]
    for at in range(1, len(parts)):
        part, before = parts[at], named[-1]
        digit, behind = _DIGITS.get(part, ""), "".join(parts[at + 1 : at + 2])
        if digit and not behind.endswith("s") and tables.is_pair(before, digit):
            part = digit
        elif part in _HEIGHTS and _share_a_card(before, f"{part}p", tables):
            part = f"{part}p"
        named.append(part)
    return named


def _share_a_card(one: str, other: str, tables: SearchTables) -> bool:
    return bool(tables.bits.of(f"n{one}") & tables.bits.of(f"n{other}"))


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
        fellow = parts[one if other == at else other]
        if _may_be_fellow(parts[at], fellow, lexicon, tables) and tables.is_pair(
            parts[one], parts[other]
        ):
            return True
    return False


def _may_be_fellow(part: str, fellow: str, lexicon: Lexicon, tables: SearchTables) -> bool:
    """Whether *fellow* would make a name of *part*: both weak, a version, or an unusual word."""
    if part in lexicon.weak and (fellow in lexicon.weak or _VERSION.fullmatch(fellow)):
        return True
    if fellow in lexicon.meaningful or fellow in lexicon.stop or fellow in lexicon.common:
        return False
    return not (fellow in tables.kinds or fellow in lexicon.weak) and fellow.isalpha()


def _join(parts: list[str], named: Named, tables: SearchTables) -> None:
    """Add names that the query writes as two words and the catalog as one."""
    place = tables.place
    for one, other in pairwise(parts):
        joined = one + other
        key = f"n{joined}"
        if key not in place or len(joined) <= _SHORTEST_JOINED or other == "s":
            continue
        if not tables.is_pair(one, other) and all(m.word != joined for m in named.parts):
            rarity = _rarity(tables.size(key), tables)
            named.parts.append(Mark(joined, rarity, tables.bits.flags(key)))
