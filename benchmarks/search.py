"""Measure search: load, latency, memory, quality, beside a substring search and SQLite's FTS5.

``python -m benchmarks.search`` measures the shipped catalog, ``--large`` also one that is padded to
100,000 cards with made-up names. Times are CPU milliseconds of this process.
"""

import argparse
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.build import build
from catalog.card import ModelCard
from catalog.index import SNAPSHOT, CatalogIndex
from catalog.search import SearchRequest, search
from tests.search_sets import Query, marks, read_set

LARGE = 100_000
ROUNDS = 5

# Measured in a process of its own, so that nothing is warm and memory is its own.
_COLD = """
import sys, time
from pathlib import Path
def resident():  # KB
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4
start = time.process_time()
from catalog.index import CatalogIndex
from catalog.search import SearchRequest, search
imported = time.process_time()
memory = resident()
index = CatalogIndex.open(Path(sys.argv[1]))
opened = time.process_time()
search(index, SearchRequest("remove the background of a photo"))
first = time.process_time()
after = resident()
times = (imported - start, opened - imported, first - opened)
print(*(seconds * 1e3 for seconds in times), (after - memory) / 1024)
"""

Ranker = Callable[[str], tuple[Sequence[str], bool]]


@dataclass(frozen=True, slots=True)
class Row:
    """What is printed of one engine."""

    name: str
    median: float
    p99: float
    first: float
    among_three: float
    ndcg: float


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--large", action="store_true", help="also 100,000 cards (some minutes to build)"
    )
    arguments = parser.parse_args()
    cards = list(CatalogIndex.open().cards())
    _print_cold("shipped catalog", SNAPSHOT)
    index = CatalogIndex.open()
    for name in (
        "search-dev.jsonl",
        "search-second.jsonl",
        "search-third.jsonl",
        "search-oblique.jsonl",
        "search-own.jsonl",
    ):
        queries = read_set(name, cards)
        print(f"\n{name}: {len(queries)} queries")
        print(f"{'engine':24}{'median':>9}{'p99':>9}{'succ@1':>9}{'succ@3':>9}{'nDCG@10':>9}")
        for label, ranker in (
            ("falkit", _falkit(index)),
            ("substring, words counted", _substring(cards)),
            ("SQLite FTS5, OR, porter", _fts(cards)),
        ):
            row = _measured(label, ranker, queries)
            print(
                f"{row.name:24}{row.median:9.3f}{row.p99:9.3f}{row.first:9.3f}"
                f"{row.among_three:9.3f}{row.ndcg:9.3f}"
            )
        _print_kinds(index, queries)
    if arguments.large:
        _large(cards)


def _print_kinds(index: CatalogIndex, queries: Sequence[Query]) -> None:
    """Print how well falkit does with each kind of query."""
    for kind in sorted({query.kind for query in queries}):
        found = marks([query for query in queries if query.kind == kind], _falkit(index))
        if kind == "negative":
            print(f"  {kind:22}{found.flagged:9.3f} flagged")
        else:
            print(f"  {kind:22}{'':18}{found.first:9.3f}{found.among_three:9.3f}{found.ndcg:9.3f}")


def _falkit(index: CatalogIndex) -> Ranker:
    def ranker(query: str) -> tuple[Sequence[str], bool]:
        answer = search(index, SearchRequest(query, limit=10))
        return [hit.endpoint_id for hit in answer.hits], answer.low_confidence

    return ranker


def _text(card: ModelCard) -> str:
    words = (*card.tags, card.summary, *card.properties)
    return f"{card.endpoint_id} {card.title} {card.category} {' '.join(words)}"


def _substring(cards: Sequence[ModelCard]) -> Ranker:
    texts = [(card.endpoint_id, _text(card).lower()) for card in cards]

    def ranker(query: str) -> tuple[Sequence[str], bool]:
        words = query.lower().split()
        scored = [(-sum(w in text for w in words), name) for name, text in texts]
        best = sorted(scored)[:10]
        return [name for score, name in best if score], not best[0][0]

    return ranker


def _fts(cards: Sequence[ModelCard]) -> Ranker:
    base = sqlite3.connect(":memory:")
    base.execute("create virtual table cards using fts5(id unindexed, text, tokenize='porter')")
    base.executemany("insert into cards values (?, ?)", [(c.endpoint_id, _text(c)) for c in cards])

    def ranker(query: str) -> tuple[Sequence[str], bool]:
        words = re.findall(r"\w+", query)
        if not words:
            return [], True
        wanted = " OR ".join(f'"{word}"' for word in words)
        rows: list[Any] = base.execute(
            "select id from cards where cards match ? order by bm25(cards) limit 10", (wanted,)
        ).fetchall()
        return [row[0] for row in rows], not rows

    return ranker


def _measured(name: str, ranker: Ranker, queries: Sequence[Query]) -> Row:
    times = _times(ranker, queries)
    found = marks(queries, ranker)
    return Row(
        name, statistics.median(times), _p99(times), found.first, found.among_three, found.ndcg
    )


def _times(ranker: Ranker, queries: Sequence[Query], rounds: int = ROUNDS) -> list[float]:
    for query in queries if rounds > 1 else ():
        ranker(query.text)
    times: list[float] = []
    for _ in range(rounds):
        for query in queries:
            start = time.process_time_ns()
            ranker(query.text)
            times.append((time.process_time_ns() - start) / 1e6)
    return times


def _p99(times: Sequence[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]


def _print_cold(name: str, folder: Path) -> None:
    runs: list[list[float]] = []
    for _ in range(ROUNDS):
        run = subprocess.run(
            [sys.executable, "-c", _COLD, str(folder)], capture_output=True, text=True, check=True
        )
        runs.append([float(number) for number in run.stdout.split()])
    imported, opened, first, memory = (
        statistics.median(column) for column in zip(*runs, strict=True)
    )
    print(
        f"{name}: import {imported:.1f} ms, open {opened:.2f} ms, first search with load "
        f"{first:.1f} ms, memory {memory:.1f} MB (medians of {ROUNDS} processes)"
    )


def _large(cards: Sequence[ModelCard]) -> None:
    """Measure the shipped cards among made-up ones: copies under names that do not exist."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "cards.jsonl"
        _pad(source)
        start = time.process_time()
        build(source, Path(folder))
        print(f"\n{LARGE} cards: built in {time.process_time() - start:.1f} s")
        _print_cold(f"{LARGE} cards", Path(folder))
        queries = read_set("search-dev.jsonl", cards)
        index = CatalogIndex.open(Path(folder))
        padded = list(index.cards())
        for name, ranker, rounds in (
            ("falkit", _falkit(index), ROUNDS),
            ("substring, words counted", _substring(padded), 1),
            ("SQLite FTS5, OR, porter", _fts(padded), 1),
        ):
            times = _times(ranker, queries, rounds)
            print(f"{name:24}{statistics.median(times):9.3f}{_p99(times):9.3f}")


def _pad(source: Path) -> None:
    lines = (SNAPSHOT / "cards.jsonl").read_text(encoding="utf-8").splitlines()
    syllables = (
        "ba",
        "dro",
        "fi",
        "gul",
        "ka",
        "lem",
        "mo",
        "nix",
        "pra",
        "rus",
        "te",
        "vo",
        "zan",
    )
    with source.open("w", encoding="utf-8") as out:
        for number in range(LARGE):
            line = lines[number % len(lines)]
            if number >= len(lines):
                places = (number % 13, number // 13 % 13, number // 169 % 13)
                maker = "".join(syllables[at] for at in places)
                line = line.replace('{"id":"', f'{{"id":"{maker}{number % 97}/', 1)
            out.write(line + "\n")


if __name__ == "__main__":
    main()
