"""What single words tell of operations, and of things that no model does, kept once looked up."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from catalog.search_rows import kept
from catalog.search_text import stem

_ARTICLES = {
    **dict.fromkeys(["my", "our", "his", "her", "their", "your"], ("my", "the")),
    **dict.fromkeys(["the", "this", "that", "these", "those", "it"], ("the",)),
    **dict.fromkeys(["a", "an", "some", "one"], ("a",)),
}

# The place of a cue among those of its word, the words that follow, an operation, and the weight.
Cue = tuple[int, Sequence[str], int, float]


class Told(NamedTuple):
    """What a word tells: the *shapes* in which it stands in a cue, and the cues it begins.

    Those that are *alone* need no other word; *longer* ones are found by the word after it.
    *foreign* are the kinds of things that no model does, with the words that have to follow.
    """

    shapes: tuple[str, ...]
    alone: Sequence[Cue]
    longer: Mapping[str, Sequence[Cue]]
    foreign: Sequence[tuple[Sequence[str], str]]


class Cues:
    """The cues of the operations and of what is foreign, by word.

    They stay JSON text until a word of a query asks for them, and what it asked for is kept.
    """

    def __init__(self, texts: Mapping[str, str], outside: Mapping[str, list[list[Any]]]) -> None:
        self._texts, self._outside = texts, outside
        self._told: dict[str, Told] = {}

    def told(self, word: str) -> Told:
        """Return what *word* tells."""
        told = self._told.get(word)
        return kept(self._told, word, self._tell(word)) if told is None else told

    def _tell(self, word: str) -> Told:
        forms = shapes(word, stem(word))
        rows = [row for form in forms for row in json.loads(self._texts.get(form, "[]"))]
        alone: list[Cue] = []
        longer: dict[str, list[Cue]] = {}
        for place, (rest, number, weight) in enumerate(rows):
            cues = longer.setdefault(rest[0], []) if rest else alone
            cues.append((place, rest or (), number, weight))
        foreign = [
            (rest, kind)
            for form in shapes(word, singular(word))
            for rest, kind in self._outside.get(form, ())
        ]
        return Told(forms, alone, longer, foreign)


@lru_cache(maxsize=1024)
def shapes(text: str, trunk: str) -> tuple[str, ...]:
    """Return the forms in which a word may stand in a cue, each once, in a fixed order."""
    return tuple(dict.fromkeys((trunk, text, f"={text}", *_ARTICLES.get(text, ()))))


def follows(forms: Sequence[Sequence[str]], at: int, rest: Sequence[str]) -> bool:
    """Whether the words from the place *at*, of which *forms* are the shapes, are *rest*."""
    if at + len(rest) > len(forms) or rest[0] not in forms[at]:
        return False
    return all(part in forms[at + n] for n, part in enumerate(rest))


def singular(word: str) -> str:
    """Return *word* without the s of its plural: words that no model has to do with, to compare."""
    return word.removesuffix("s") if len(word) > 3 else word
