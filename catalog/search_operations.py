"""Read from everyday words what is to be done with the media at hand."""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from catalog.search_frame import SURE_ROLE, Frame
from catalog.search_reading import Fired, Lexicon, Reading
from catalog.search_text import stem

# An operation with less evidence than this, or this share of the best one's, is taken for chance.
_LEAST, _LEAST_SHARE = 0.6, 0.55
# What is left of an operation for other media than those given or wanted.
_OTHER_GIVEN, _NOTHING_GIVEN, _OTHER_WANTED, _NOT_TEXT, _NOT_GIVEN = 0.4, 0.55, 0.5, 0.8, 0.6
# Evidence that makes half of the strength.
_HALF, _GAIN = 0.5, 1.3
_STRONGEST = 1.1
_HINT, _MOST_HINTS = 0.3, 0.5
# What a cue gains for each further word.
_LONGER = 0.1
# What is left of what one word among others tells, and of an operation on none of the media named.
_LONE, _NOT_SPOKEN, _LESS_LIKELY = 0.4, 0.5, 0.7

_TEXT = frozenset({"text"})
_SMALL = frozenset({"it", "this", "that", "me", "them"})
_ASKS = frozenset({"what", "which", "who", "how", "why", "when"})
_ARTICLES = {
    **dict.fromkeys(["my", "our", "his", "her", "their", "your"], ("my", "the")),
    **dict.fromkeys(["the", "this", "that", "these", "those", "it"], ("the",)),
    **dict.fromkeys(["a", "an", "some", "one"], ("a",)),
}


class Operation(NamedTuple):
    """An operation that was read: its number, the evidence for it, and the places of its words.

    It is *lone* where one word among others tells of it, which may mean something else.
    """

    number: int
    evidence: float
    units: frozenset[int]
    lone: bool = False


class _Found:
    """The evidence for operations so far, by the places of the words that tell it."""

    def __init__(self) -> None:
        self.worths: dict[int, dict[int, float]] = {}
        self.units: dict[int, set[int]] = {}

    def add(self, number: int, units: Sequence[int], worth: float) -> None:
        """Let the words at *units* tell of an operation, unless they tell more of it already."""
        places = self.worths.setdefault(number, {})
        if worth < 0:
            places[-1] = worth
            return
        if len(units) == 1:
            if places.get(units[0], 0.0) >= worth:
                return
        elif max([places.get(unit, 0.0) for unit in units]) >= worth:
            return
        else:
            places.update(dict.fromkeys(units, 0.0))
        places[units[0]] = worth
        self.units.setdefault(number, set()).update(units)


def operations_in(
    reading: Reading, lexicon: Lexicon, names: frozenset[str] = frozenset()
) -> list[Operation]:
    """Return the operations that the words of *reading* tell of, most evident first.

    Words of *names* tell nothing. Hints count only beside something more telling.
    """
    found = _Found()
    words = reading.words
    texts = [word.text for word in words]
    shapes = [_shapes(text, stem(text)) for text in texts]
    for at, text in enumerate(texts):
        if text in names:
            continue
        following = shapes[at + 1] if at + 1 < len(shapes) else ()
        for first in shapes[at]:
            for rest, number, weight in lexicon.cues.get(first):
                if not rest:
                    found.add(number, (words[at].unit,), weight)
                elif rest[0] in following and _follows(shapes, at + 1, rest):
                    units = [word.unit for word in words[at : at + 1 + len(rest)]]
                    found.add(number, units, weight * (1 + _LONGER * len(rest)))
    for sense, spans in reading.senses.items():
        for number, weight in lexicon.cue_senses.get(str(sense), ()):
            found.add(number, range(*spans[0]), weight)
    others = sum(1 for word in words if word.unit not in reading.quiet and word.text not in _SMALL)
    doubtful = others > 1 or not _ASKS.isdisjoint(texts[:1])
    made: list[Operation] = []
    for number, worths in found.worths.items():
        units = frozenset(found.units.get(number, ()))
        evidence = _evidence(worths.values())
        made.append(Operation(number, evidence, units, doubtful and len(units) == 1))
    return sorted(made, key=lambda one: (-one.evidence, one.number))


def _evidence(worths: Iterable[float]) -> float:
    """Return the sum of *worths*, in which hints count for little and alone for nothing."""
    telling = hints = 0.0
    for worth in worths:
        if worth > _HINT or worth < 0:
            telling += worth
        else:
            hints += worth
    return telling + min(hints, _MOST_HINTS) if telling > 0 else 0.0


@lru_cache(maxsize=4096)
def _shapes(text: str, trunk: str) -> tuple[str, ...]:
    """Return the forms in which a word may stand in a cue, each once, in a fixed order."""
    return tuple(dict.fromkeys((trunk, text, f"={text}", *_ARTICLES.get(text, ()))))


def _follows(shapes: Sequence[Sequence[str]], at: int, rest: Sequence[str]) -> bool:
    """Whether the words from the place *at* are *rest*."""
    if at + len(rest) > len(shapes) or rest[0] not in shapes[at]:
        return False
    return all(part in shapes[at + n] for n, part in enumerate(rest))


def tasks_of(operations: list[Operation], frame: Frame, lexicon: Lexicon) -> list[Fired]:
    """Return the tasks that do *operations* with the media of *frame*, as strong as is likely."""
    weighed: list[tuple[float, float, int, Operation]] = []
    is_empty, at_hand = frame.is_empty, frame.given | frame.spoken
    for one in operations[:24]:
        ways = lexicon.operations[one.number][1]
        for given, wanted, task, weight, needed in ways:
            if one.evidence * weight < _LEAST or (needed and given not in at_hand):
                continue  # media only make it less likely
            fit = weight * _fit(given, wanted, frame)
            if one.lone and is_empty:
                fit *= _LONE
            if given != ways[0][0] and frame.given_sure < SURE_ROLE:
                fit *= _NOT_GIVEN
            elif given != ways[0][0] and len(frame.given) > 1:
                fit *= _LESS_LIKELY
            if one.evidence * fit >= _LEAST:
                weighed.append((one.evidence * fit, fit, task, one))
    return _strengths(weighed)


def _strengths(weighed: Sequence[tuple[float, float, int, Operation]]) -> list[Fired]:
    """Return each task once, from what a way to it is worth and how well it fits."""
    best = max((worth for worth, *_ in weighed), default=0.0)
    made: dict[int, Fired] = {}
    for worth, fit, task, one in weighed:
        if worth < _LEAST_SHARE * best:
            continue
        strength = math.sqrt(fit) * min(_STRONGEST, _GAIN * one.evidence / (one.evidence + _HALF))
        if task not in made or made[task].strength < strength:
            made[task] = Fired(task, strength, one.units)
    return list(made.values())


def _fit(given: str, wanted: str, frame: Frame) -> float:
    """Return how well a way from *given* to *wanted* suits *frame* (0 to 1)."""
    fit = 1.0
    if frame.given_sure >= SURE_ROLE and frame.given != _TEXT and given not in frame.given:
        fit *= _OTHER_GIVEN if given else _NOTHING_GIVEN
    elif given and given == wanted and frame.wanted_sure >= SURE_ROLE:
        fit *= _NOTHING_GIVEN  # nothing is there to work on
    elif frame.is_empty and frame.spoken and frame.spoken.isdisjoint({given, wanted}):
        fit *= _NOT_SPOKEN
    if wanted and frame.wanted_sure >= SURE_ROLE and wanted not in frame.wanted:
        fit *= _OTHER_WANTED if frame.wanted != _TEXT else _NOT_TEXT
    return fit


def singular(word: str) -> str:
    """Return *word* without the s of its plural: words that no model has to do with, to compare."""
    return word.removesuffix("s") if len(word) > 3 else word


def outside_in(reading: Reading, lexicon: Lexicon) -> tuple[bool, bool]:
    """Return whether *reading* begins with a deed, and names a thing, foreign to all models."""
    texts = [word.text for word in reading.words]
    shapes = [_shapes(text, singular(text)) for text in texts]
    first = next((at for at, text in enumerate(texts) if text not in lexicon.grammar["polite"]), 0)
    verb = thing = False
    for at, forms in enumerate(shapes):
        for key in forms:
            for rest, kind in lexicon.outside.get(key, ()):
                if not rest or _follows(shapes, at + 1, rest):
                    verb = verb or (kind == "verb" and at == first)
                    thing = thing or kind == "thing"
    return verb, thing
