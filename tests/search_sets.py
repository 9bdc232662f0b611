"""Query sets with the cards that answer them, and how well a ranking does on a set."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from catalog.card import ModelCard

DATA = Path(__file__).resolve().parent / "data"

# A ranking of ids and whether it was marked as unsure.
Ranker = Callable[[str], tuple[Sequence[str], bool]]


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a set: its text and kind, and a grade from 1 to 3 for each card that answers."""

    text: str
    kind: str
    grades: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Marks:
    """Shares from 0 to 1: a good card first, among three; nDCG; flags set rightly and wrongly."""

    first: float
    among_three: float
    ndcg: float
    flagged: float
    wrongly_flagged: float
    missed: tuple[str, ...]


def read_set(name: str, cards: Sequence[ModelCard]) -> list[Query]:
    """Return the queries of the set *name*; rules for ids are turned into grades of 3.

    A rule is a glob over ids or ``category:NAME``; a leading ``-`` takes cards away again. A set
    whose first line lists ``ids`` grades their places: ``{"3": "0-4 7"}``.
    """
    queries: list[Query] = []
    ids: list[str] = []
    for line in (DATA / name).read_text(encoding="utf-8").splitlines():
        entry: dict[str, Any] = json.loads(line)
        if "ids" in entry:
            ids = entry["ids"]
            continue
        if "places" in entry:
            grades = _placed(entry["places"], ids)
        else:
            relevant: dict[str, int] | list[str] = entry["relevant"]
            grades = _graded(relevant, cards) if isinstance(relevant, list) else relevant
        queries.append(Query(entry["query"], entry["kind"], grades))
    return queries


def _placed(places: Mapping[str, str], ids: Sequence[str]) -> dict[str, int]:
    grades: dict[str, int] = {}
    for grade, ranges in places.items():
        for one in ranges.split():
            first, _, last = one.partition("-")
            for place in range(int(first), int(last or first) + 1):
                grades[ids[place]] = int(grade)
    return grades


def _graded(rules: Sequence[str], cards: Sequence[ModelCard]) -> dict[str, int]:
    wanted = [rule for rule in rules if not rule.startswith("-")]
    barred = [rule[1:] for rule in rules if rule.startswith("-")]
    return {
        card.endpoint_id: 3
        for card in cards
        if any(_fits(card, rule) for rule in wanted)
        and not any(_fits(card, rule) for rule in barred)
    }


def _fits(card: ModelCard, rule: str) -> bool:
    if rule.startswith("category:"):
        return card.category == rule.removeprefix("category:")
    return fnmatchcase(card.endpoint_id, rule)


def marks(queries: Sequence[Query], ranker: Ranker) -> Marks:
    """Return how well *ranker* answers *queries*; cards of grade 2 and 3 are good."""
    first: list[bool] = []
    three: list[bool] = []
    gains: list[float] = []
    flagged: list[bool] = []
    wrongly: list[bool] = []
    missed: list[str] = []
    for query in queries:
        ids, low = ranker(query.text)
        if not query.grades:
            flagged.append(low or not ids)
            continue
        grades = [query.grades.get(endpoint_id, 0) for endpoint_id in ids[:10]]
        first.append(bool(grades) and grades[0] >= 2)
        three.append(any(grade >= 2 for grade in grades[:3]))
        gains.append(_gain(grades) / _gain(sorted(query.grades.values(), reverse=True)[:10]))
        wrongly.append(low)
        if not three[-1]:
            missed.append(query.text)
    return Marks(
        _mean(first), _mean(three), _mean(gains), _mean(flagged), _mean(wrongly), tuple(missed)
    )


def _gain(grades: Sequence[int]) -> float:
    return sum((2**grade - 1) / math.log2(place + 2) for place, grade in enumerate(grades))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
