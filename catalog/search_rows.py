"""Rows of the compiled lexicon, kept as JSON text and parsed when a query asks for them."""

import json
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

# Rows of one kind that stay parsed; they take some 1 KB each.
_MOST_PARSED = 1024

K = TypeVar("K")
R = TypeVar("R")


class Rows:
    """Rows by key that stay JSON text until they are asked for: a quarter of the memory.

    Those asked for last stay parsed, since most queries are made of the same words.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._parsed: dict[str, list[list[Any]]] = {}

    def get(self, key: str) -> list[list[Any]]:
        """Return the rows of *key*, none if there are none."""
        rows = self._parsed.get(key)
        if rows is None:
            text = self._texts.get(key)
            if text is None:
                return []
            rows = kept(self._parsed, key, json.loads(text))
        return rows


class Chains:
    """The chains of words by the first of each, parsed like `Rows`."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._parsed: dict[str, dict[str, list[list[Any]]]] = {}

    def get(self, first: str, second: str) -> Sequence[list[Any]]:
        """Return the chains that begin with *first* and *second*: all words but *first*, senses,
        and whether a chain hides what it covers.
        """
        chains = self._parsed.get(first)
        if chains is None:
            text = self._texts.get(first)
            if text is None:
                return ()
            chains = dict[str, list[list[Any]]]()
            for row in json.loads(text):
                chains.setdefault(row[0][0], []).append(row)
            kept(self._parsed, first, chains)
        return chains.get(second, ())


class Phrases:
    """The phrases by a sense that each needs: lines of one JSON text, parsed like `Rows`."""

    def __init__(self, text: str) -> None:
        self._parsed: dict[int, list[tuple[int, list[Any]]]] = {}
        self._text = text
        self._starts = array("I", [0])
        at = 0
        while at := text.find("\n", at) + 1:
            self._starts.append(at)
        self._starts.append(len(text) + 1)

    def get(self, sense: int) -> Sequence[tuple[int, list[Any]]]:
        """Return the phrases of *sense*, which must be known, each behind another sense it needs.

        Where a phrase needs no other, that is *sense* itself.
        """
        phrases = self._parsed.get(sense)
        if phrases is None:
            text = self._text[self._starts[sense] : self._starts[sense + 1] - 1]
            rows: list[list[Any]] = json.loads(text) if text else []
            phrases = [(next((n for n in row[3] if n != sense), sense), row) for row in rows]
            kept(self._parsed, sense, phrases)
        return phrases


def kept(parsed: dict[K, R], key: K, rows: R) -> R:
    """Keep *rows* among the last that were *parsed*, and return them."""
    if len(parsed) >= _MOST_PARSED:
        del parsed[next(iter(parsed))]
    parsed[key] = rows
    return rows
