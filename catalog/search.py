"""Rank cards for a need in plain words."""

import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import takewhile, zip_longest
from pathlib import Path
from typing import NamedTuple

from catalog.errors import ActionableError
from catalog.index import SNAPSHOT, CatalogIndex
from catalog.search_english import English
from catalog.search_filters import (
    category_named,
    checked_dollars,
    feature_keys,
    media_named,
    work_named,
)
from catalog.search_learned import Learned
from catalog.search_least import dearer_words
from catalog.search_measure import Measure
from catalog.search_rank import rank
from catalog.search_reading import Lexicon
from catalog.search_spelled import unscreened, written_out
from catalog.search_steps import steps_in, with_object
from catalog.search_tables import SearchTables
from catalog.search_text import LONGEST_QUERY, plain
from catalog.search_tongues import Tongues
from catalog.search_understand import Understood, understand
from catalog.search_wishes import told_in_own_words
from catalog.search_words import (
    Deeds,
    deeds_of,
    guides_for,
    price_words,
    shown_for,
    understood_words,
    why_words,
)

MOST_HITS = 50
# Of so many retired cards in front it is looked up what is used in their place.
_MOST_HEIRS = 5
# A step of so few words says no more than what is to be made.
_FEW_WORDS = 4


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What is asked for. Filters given here are hard; those read from *query* are wishes.

    *max_dollars* is compared with the price of *for_work* ("10 seconds at 1080p"), of one image,
    1000 characters, request, or clip of usual length where that is empty; cards whose price is not
    known are left out. *features* are words such as sound, mask, 1080p, or names of input fields.
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


class Hit(NamedTuple):
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
    that matched in any way; *steps* are the query as it was read. *dearer* tells what a model costs
    that is named and left out for its price, empty where there is none.
    """

    hits: tuple[Hit, ...]
    low_confidence: bool
    guides: tuple[str, ...]
    next_cursor: str
    total: int
    steps: tuple[Understood, ...] = field(compare=False, repr=False)
    tables: SearchTables = field(compare=False, repr=False)
    dearer: str = ""

    @property
    def understood(self) -> str:
        """The query as it was read, in short words."""
        return understood_words(self.steps, self.tables)


class _Engine:
    """Tables and lexicon of one snapshot."""

    def __init__(self, folder: Path) -> None:
        self.tables = SearchTables(folder)
        self.lexicon = Lexicon(self.tables.lexicon, self.tables.spelling, English(SNAPSHOT))
        self.learned = Learned(SNAPSHOT)
        self.tongues = Tongues(folder, self.lexicon, self.tables.place)
        self.retired: dict[int, str] = {}  # what is said of cards that were found and are retired


class _Filters(NamedTuple):
    """Explicit filters: cards as bits (None for every card), and the most a measure may cost."""

    allowed: int | None
    dollars: float | None
    measure: Measure


class _Asked(NamedTuple):
    """The text in English, the query where it has one step, and wishes in words not English."""

    text: str
    query: str
    wishes: Sequence[str]


class _Step(NamedTuple):
    """A step of a query, the cards found for it, best first, and the work they are priced for.

    *dearer* is the card that it names and that the limit of money leaves out.
    """

    label: str
    understood: Understood
    cards: list[int]
    total: int
    is_low: bool
    deeds: Deeds
    measure: Measure
    dearer: int | None


def search(index: CatalogIndex, request: SearchRequest) -> SearchAnswer:
    """Return the cards that answer *request*, best first; the same request, the same answer.

    Raises:
        ActionableError: an unknown category, medium, feature, work or cursor.
    """
    engine = index.kept(_Engine)
    filters = _filters(engine, request)
    given = plain(request.query).strip()
    text = written_out(given)
    start = _start_of(request, text)
    limit = max(1, min(request.limit, MOST_HITS))
    if text:
        english = unscreened(engine.tongues.english(text))
        query = request.query if english == given else english
        own = () if english == text else told_in_own_words(text, engine.lexicon)
        asked = _Asked(english, query, own)
        steps = _answered(index, asked, filters, start + limit)
        found = _interleaved(steps)
        named = _exact(index, text)
        exact = [card for card in named if _may(engine, filters, card)]
        if named and not exact:
            steps[0] = steps[0]._replace(dearer=_dearer(engine, filters, named))
        if exact:
            found = [(card, 0) for card in exact] + [one for one in found if one[0] not in exact]
        elif "/" not in text:
            found = _heirs_first(index, engine, filters, found)
        low = not exact and all(step.is_low for step in steps)
    else:
        steps, low = [], False
        found = [(card, -1) for card in engine.tables.by_prior if _may(engine, filters, card)]
    total = max(len(found), steps[0].total if len(steps) == 1 else 0)
    page = found[start : start + limit]
    read = [step.understood for step in steps]
    return SearchAnswer(
        hits=tuple(
            _hit(index, engine, card, steps[at] if steps else None, filters) for card, at in page
        ),
        low_confidence=low or not found,
        guides=guides_for(read, engine.lexicon),
        next_cursor=_cursor(request, text, start + limit) if start + limit < total else "",
        total=total,
        steps=tuple(read),
        tables=engine.tables,
        dearer="" if start else _dearer_words(index, engine, steps),
    )


def in_english(index: CatalogIndex, text: str) -> str:
    """Return *text*, which must be `plain`, with the words of other languages as English ones."""
    return index.kept(_Engine).tongues.english(written_out(text))


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
    if "fsound" in keys and measure.sound is None:
        measure = measure._replace(sound=True)
    return _Filters(allowed, checked_dollars(request.max_dollars), measure)


def _may(engine: _Engine, filters: _Filters, card: int) -> bool:
    """Whether the explicit filters leave *card*."""
    if filters.allowed is not None and not filters.allowed >> card & 1:
        return False
    if filters.dollars is None:
        return True
    dollars = filters.measure.limited(card, engine.tables)
    return not math.isnan(dollars) and dollars <= filters.dollars * 1.0001


def _dearer(engine: _Engine, filters: _Filters, named: Sequence[int]) -> int | None:
    """Return the first of the cards that are *named* in use, if only its price leaves it out."""
    card = next((card for card in named if not engine.tables.status[card]), None)
    if card is None or filters.dollars is None or _may(engine, filters, card):
        return None
    return card if _may(engine, filters._replace(dollars=None), card) else None


def _dearer_words(index: CatalogIndex, engine: _Engine, steps: Sequence[_Step]) -> str:
    """Return what the first model costs that *steps* name and a limit of money leaves out."""
    for step in steps:
        if step.dearer is not None:
            return dearer_words(index.ids[step.dearer], step.dearer, step.measure, engine.tables)
    return ""


def _answered(index: CatalogIndex, told: _Asked, filters: _Filters, most: int) -> list[_Step]:
    """Return the steps of *told* with the cards that answer each, *most* where so many do."""
    engine = index.kept(_Engine)
    parts = steps_in(told.text)
    asked = most if len(parts) == 1 and filters.dollars is None else MOST_HITS
    steps: list[_Step] = []
    made = ""
    for part in parts:
        whole = told.query if len(parts) == 1 else with_object(part, made) if made else part
        understood = _understood(engine, whole, made)
        understood.named.keep_whole(index.ids)
        if len(parts) == 1:
            wished = understood.wishes.features
            wished += [feature for feature in told.wishes if feature not in wished]
        made = understood.product(engine.tables) or made
        ranking = rank(understood, engine.tables, filters.allowed, asked)
        total = len(ranking.scores)
        shown = shown_for(filters.measure, understood)
        dearer: int | None = None
        if filters.dollars is not None:
            bound, every = filters._replace(measure=shown), ranking.all_cards()
            cards = [card for card in every if _may(engine, bound, card)]
            total = len(cards)
            named = [card for card in every[:_MOST_HEIRS] if understood.named.is_borne_by(card)]
            dearer = _dearer(engine, bound, named)
        elif len(parts) > 1:
            cards = ranking.all_cards()
        else:
            cards = ranking.cards(most)
        label, deeds = part if len(parts) > 1 else "", deeds_of(understood, engine.tables)
        steps.append(_Step(label, understood, cards, total, ranking.is_low, deeds, shown, dearer))
    return steps


def _understood(engine: _Engine, text: str, made: str) -> Understood:
    """Return a step that works on what the step before it *made*, even where it does not say so."""
    understood = understand(text, engine.lexicon, engine.tables, engine.learned)
    if not made:
        return understood
    makes = understood.product(engine.tables)
    is_only_video = understood.frame.spoken == frozenset({"video"})
    if made == "image" and is_only_video and len(understood.reading.words) <= _FEW_WORDS:
        text = f"{text} from image"  # "convert in video": there is none yet
    elif understood.frame.given or understood.direction.source:
        return understood
    elif made == "image" and makes in ("video", "3d mesh"):
        text = f"{text} from image"
    elif made == "lora" and makes == "image":
        text = f"{text} with my lora"
    else:
        return understood
    return understand(text, engine.lexicon, engine.tables, engine.learned)


def _interleaved(steps: Sequence[_Step]) -> list[tuple[int, int]]:
    """Return the best card of each step in turn with the step's place, each card once."""
    if len(steps) == 1:
        return [(card, 0) for card in steps[0].cards]
    found: dict[int, int] = {}
    for row in zip_longest(*(step.cards for step in steps)):
        for at, card in enumerate(row):
            if card is not None:
                found.setdefault(card, at)
    return list(found.items())


def _heirs_first(
    index: CatalogIndex, engine: _Engine, filters: _Filters, found: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Return *found*; retired cards that lead it stand behind what is used in their place."""
    leading = list(takewhile(lambda one: engine.tables.status[one[0]], found[:_MOST_HEIRS]))
    if not leading:
        return found
    heirs: dict[int, int] = {}
    for card, step in leading:
        heir = index.successor(index.get(index.ids[card]))
        place = None if heir is None else index.place(heir.endpoint_id)
        if place is not None and not engine.tables.status[place] and _may(engine, filters, place):
            heirs.setdefault(place, step)
    return [*heirs.items(), *(one for one in found if one[0] not in heirs)]


def _exact(index: CatalogIndex, text: str) -> list[int]:
    """Return the card whose id *text* is, behind its successor if it has one."""
    if "/" not in text:
        return []
    if " " in text:  # an id in a question is asked about when it has a successor
        cards = [index.find(word.strip("?.,;:\"'()")) for word in text.split() if "/" in word]
        heirs = [index.successor(card) for card in cards if card is not None]
        places = [index.place(heir.endpoint_id) for heir in heirs if heir is not None]
        return [place for place in places if place is not None]
    card = index.find(text) or index.find(f"fal-ai/{text.strip('/')}")
    if card is None:
        return []
    successor = index.successor(card)
    ordered = [successor, card] if successor else [card]
    places = [index.place(one.endpoint_id) for one in ordered]
    return [place for place in places if place is not None]


def _hit(
    index: CatalogIndex, engine: _Engine, card: int, step: _Step | None, filters: _Filters
) -> Hit:
    tables = engine.tables
    title, summary, usual = tables.texts(card)
    endpoint_id = index.ids[card]
    understood = step.understood if step else None
    measure = step.measure if step else filters.measure
    deeds = step.deeds if step else ()
    why = why_words(card, understood, deeds, tables, (filters.dollars, measure))
    if tables.status[card]:
        if card not in engine.retired:
            engine.retired[card] = _retired(index, endpoint_id)
        why = "; ".join(word for word in (engine.retired[card], why) if word)
    price = price_words(card, measure, usual, tables)
    label, category = step.label if step else "", tables.categories[tables.category[card]]
    return Hit(endpoint_id, title, category, summary, price, why, label)


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


__all__ = ["LONGEST_QUERY", "Hit", "SearchAnswer", "SearchRequest", "in_english", "search"]
