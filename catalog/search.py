"""Rank cards for a need in plain words."""

from dataclasses import dataclass
from decimal import Decimal

from catalog.index import CatalogIndex


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What is asked for. Filters given here are hard; those read from *query* are wishes."""

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
    """One card that fits, its price in short words, and what made it fit."""

    endpoint_id: str
    title: str
    category: str
    summary: str
    price: str
    why: str
    step: str = ""


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """A page of hits, best first; *next_cursor* is empty on the last page."""

    hits: tuple[Hit, ...]
    low_confidence: bool
    guides: tuple[str, ...]
    next_cursor: str
    total: int
    understood: str


def search(index: CatalogIndex, request: SearchRequest) -> SearchAnswer:
    """Return the cards that share the most words with the query."""
    words = set(request.query[:500].lower().split())
    scored: list[tuple[int, str, Hit]] = []
    for card in index.cards():
        if request.category and card.category != request.category:
            continue
        text = f"{card.endpoint_id} {card.title} {card.summary} {card.category}".lower()
        found = [word for word in sorted(words) if word in text]
        if found or not words:
            hit = Hit(card.endpoint_id, card.title, card.category, card.summary, "", ", ".join(found))
            scored.append((-len(found), card.endpoint_id, hit))
    hits = tuple(hit for _, _, hit in sorted(scored, key=lambda row: row[:2]))
    return SearchAnswer(hits[: request.limit], not hits, (), "", len(hits), "")
