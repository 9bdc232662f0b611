"""Rank cards for a need in plain words."""

import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from catalog.errors import ActionableError
from catalog.index import CatalogIndex
from catalog.search_filters import (
    category_named,
    checked_dollars,
    feature_keys,
    media_named,
    work_named,
)
from catalog.search_rank import Ranking, Understood, rank, understand
from catalog.search_reading import Lexicon
from catalog.search_tables import SearchTables
from catalog.search_text import LONGEST_QUERY, plain
from catalog.search_words import guides_for, price_words, understood_words, why_words
from catalog.search_wishes import Measure

MOST_HITS = 50
_MOST_STEPS = 4
# Words that end one step and begin the next.
_THEN = re.compile(
    r"\s*(?:[,;.]?\s+(?:and\s+)?(?:then|afterwards?|after that|followed by|finally"
    r"|luego|despues|puis|ensuite|danach|anschliessend|dann|depois|em seguida|poi|dopo|затем|потом)\s+"
    r"|[,、，]?\s*(?:然后|接着|之后|再把|それから|その後|次に|그런 다음|그다음|이후)\s*)"
)
_IT = re.compile(r"\s(?:it|them|daraus|damit|这个|它|それ)\s|\s(?:that|this)(?=\s*$)|它|それ")
_PART = re.compile(r"\s*[,;]\s+(?:and\s+)?|\s+and\s+(?=\w+ (?:it|them|that|its|her|him)\b)")


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What is asked for. Filters given here are hard; those read from *query* are wishes.

    *max_dollars* is compared with the price of *for_work* ("10 seconds at 1080p"), of one unit
    (second, image, 1000 characters, request) where that is empty; cards whose price is not known
    are left out. *features* are words such as sound, mask, 1080p, or names of input fields.
    *cursor* is an answer's `next_cursor`.
    """

    query: str
    category: str = ""
    media_in: tuple[str, ...] = ()
    media_out: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    max_dollars: Decimal | None = None
    for_work: str = ""
    limit: int = 8
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """One card that fits, its price in short words, and what made it fit.

    *step* is the part of a query in several steps that it answers, else empty.
    """

    endpoint_id: str
    title: str
    category: str
    summary: str
    price: str
    why: str
    step: str = ""


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """A page of hits, best first. *next_cursor* is empty on the last page.

    *low_confidence* says that perhaps nothing here does what was asked. *total* counts every card
    that matched in any way. *understood* is the query as it was read, in short words.
    """

    hits: tuple[Hit, ...]
    low_confidence: bool
    guides: tuple[str, ...]
    next_cursor: str
    total: int
    understood: str


class _Engine:
    """Tables and lexicon of one snapshot."""

    def __init__(self, folder: Path) -> None:
        self.tables = SearchTables(folder)
        self.lexicon = Lexicon(self.tables.lexicon, self.tables.spelling)


@dataclass(frozen=True, slots=True)
class _Filters:
    """Explicit filters: cards as bits (None for every card), and the most a measure may cost."""

    allowed: int | None
    dollars: float | None
    measure: Measure


@dataclass(frozen=True, slots=True)
class _Found:
    """A card found for a step."""

    card: int
    step: str
    understood: Understood | None


def search(index: CatalogIndex, request: SearchRequest) -> SearchAnswer:
    """Return the cards that answer *request*, best first; the same request, the same answer.

    Raises:
        ActionableError: an unknown category, medium, feature, work or cursor.
    """
    engine = index.kept(_Engine)
    filters = _filters(engine, request)
    text = plain(request.query).strip()
    start = _start_of(request, text)
    limit = max(1, min(request.limit, MOST_HITS))
    if text:
        found, low, understood = _answer(index, engine, text, filters)
    else:
        found, low, understood = _by_rank(engine, filters), False, []
    page = found[start : start + limit]
    more = start + limit < len(found)
    return SearchAnswer(
        hits=tuple(_hit(index, engine, one, filters) for one in page),
        low_confidence=low or not found,
        guides=guides_for(understood, engine.lexicon),
        next_cursor=_cursor(request, text, start + limit) if more else "",
        total=len(found),
        understood=understood_words(understood, engine.tables),
    )


def _filters(engine: _Engine, request: SearchRequest) -> _Filters:
    tables = engine.tables
    keys: list[str] = []
    if request.category.strip():
        keys.append(f"k{category_named(request.category, tables)}")
    keys += [f"i{kind}" for kind in media_named(request.media_in, "media_in")]
    keys += [f"o{kind}" for kind in media_named(request.media_out, "media_out")]
    keys += feature_keys(request.features, engine.lexicon, tables)
    allowed: int | None = None
    for key in keys:
        bits = tables.bits.of(key)
        allowed = bits if allowed is None else allowed & bits
    measure = work_named(request.for_work)
    return _Filters(allowed, checked_dollars(request.max_dollars), measure)


def _affordable(engine: _Engine, filters: _Filters, card: int) -> bool:
    if filters.dollars is None:
        return True
    dollars = filters.measure.dollars(card, engine.tables)
    return not math.isnan(dollars) and dollars <= filters.dollars * 1.0001


def _by_rank(engine: _Engine, filters: _Filters) -> list[_Found]:
    bits = filters.allowed
    return [
        _Found(card, "", None)
        for card in engine.tables.by_prior
        if (bits is None or bits >> card & 1) and _affordable(engine, filters, card)
    ]


def _answer(
    index: CatalogIndex, engine: _Engine, text: str, filters: _Filters
) -> tuple[list[_Found], bool, list[Understood]]:
    """Return the cards found for every step of *text*, whether they fit badly, and the steps."""
    steps = _steps(text)
    readings: list[Understood] = []
    made = ""
    for step in steps:
        whole = _with_object(step, made) if made else step
        readings.append(understand(whole, engine.lexicon, engine.tables))
        made = readings[-1].product(engine.tables) or made
    lists: list[list[_Found]] = []
    low = True
    for step, understood in zip(steps, readings, strict=True):
        ranking = rank(understood, engine.tables, filters.allowed)
        low = low and ranking.is_low
        label = step if len(steps) > 1 else ""
        lists.append(
            [
                _Found(card, label, understood)
                for card in ranking.cards
                if _affordable(engine, filters, card)
            ]
        )
    found = _interleaved(lists)
    exact = [
        _Found(card, "", readings[0])
        for card in _exact(index, text)
        if filters.allowed is None or filters.allowed >> card & 1
    ]
    if exact:
        cards = {one.card for one in exact}
        return exact + [one for one in found if one.card not in cards], False, readings
    return found, low, readings


def _steps(text: str) -> list[str]:
    """Return the steps of *text*: its parts around words such as "then"."""
    parts = [part.strip(" ,;.") for part in _THEN.split(text)]
    parts = [part for part in parts if part]
    if len(parts) < 2:
        return [text]
    finer = [piece for part in parts for piece in _PART.split(part) if piece.strip()]
    return finer[:_MOST_STEPS]


def _with_object(step: str, made: str) -> str:
    """Return *step* with its "it" replaced by what the step before it *made*."""
    named, count = _IT.subn(f" {made} ", f" {step} ", count=1)
    return named.strip() if count else step


def _interleaved(lists: Sequence[Sequence[_Found]]) -> list[_Found]:
    """Return the best of each list in turn, each card once."""
    found: list[_Found] = []
    seen: set[int] = set()
    for place in range(max(map(len, lists), default=0)):
        for one in lists:
            if place < len(one) and one[place].card not in seen:
                seen.add(one[place].card)
                found.append(one[place])
    return found


def _exact(index: CatalogIndex, text: str) -> list[int]:
    """Return the card whose id *text* is, behind its successor if it has one."""
    if "/" not in text or " " in text:
        return []
    card = index.find(text) or index.find(f"fal-ai/{text.strip('/')}")
    if card is None:
        return []
    successor = index.successor(card)
    places = {endpoint_id: at for at, endpoint_id in enumerate(index.ids)}
    ordered = [successor, card] if successor else [card]
    return [places[one.endpoint_id] for one in ordered]


def _hit(index: CatalogIndex, engine: _Engine, found: _Found, filters: _Filters) -> Hit:
    tables = engine.tables
    title, summary, usual = tables.texts(found.card)
    endpoint_id = index.ids[found.card]
    why = why_words(found.card, found.understood, tables)
    if tables.status[found.card]:
        why = "; ".join(word for word in (_retired(index, endpoint_id), why) if word)
    measure = filters.measure
    if measure == Measure() and found.understood is not None:
        wishes = found.understood.wishes
        measure = Measure(height=wishes.height) if wishes.height >= 0 else measure
    return Hit(
        endpoint_id=endpoint_id,
        title=title,
        category=tables.categories[tables.category[found.card]],
        summary=summary,
        price=price_words(found.card, measure, usual, tables),
        why=why,
        step=found.step,
    )


def _retired(index: CatalogIndex, endpoint_id: str) -> str:
    card = index.get(endpoint_id)
    if successor := index.successor(card):
        return f"retired, use {successor.endpoint_id}"
    return "no longer listed" if card.status == "deprecated" else "perhaps no longer listed"


# ---------------------------------------------------------------- pages


def _mark(request: SearchRequest, text: str) -> str:
    """Return a mark of everything that decides the order of the answer."""
    parts = (
        text, request.category, request.media_in, request.media_out, request.features,
        str(request.max_dollars), request.for_work,
    )  # fmt: skip
    return f"{zlib.crc32(repr(parts).encode()):08x}"


def _cursor(request: SearchRequest, text: str, start: int) -> str:
    return f"{start}-{_mark(request, text)}"


def _start_of(request: SearchRequest, text: str) -> int:
    """Return where the page begins that the request's cursor names.

    Raises:
        ActionableError: the cursor is not of an answer to the same query and filters.
    """
    if not request.cursor:
        return 0
    start, _, mark = request.cursor.partition("-")
    if not re.fullmatch(r"[1-9]\d{0,6}", start) or mark != _mark(request, text):
        raise ActionableError(
            f"cursor {request.cursor[:40]!r} does not belong to this search",
            hint="repeat query and filters with its next_cursor, or leave the cursor out",
        )
    return int(start)


__all__ = ["LONGEST_QUERY", "Hit", "Ranking", "SearchAnswer", "SearchRequest", "search"]
