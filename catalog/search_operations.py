"""Read from everyday words what is to be done with the media at hand."""

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

from catalog.search_cues import Cue, Told, follows, shapes, singular
from catalog.search_frame import SURE_ROLE, Frame
from catalog.search_reading import Fired, Lexicon, Reading

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
# The place of what tells against an operation.
_AGAINST = -1


class Operation(NamedTuple):
    """An operation that was read: its number, the evidence for it, and the places of its words.

    It is *lone* where one word among others tells of it, which may mean something else.
    """

    number: int
    evidence: float
    units: frozenset[int]
    lone: bool = False


def operations_in(
    reading: Reading, lexicon: Lexicon, names: frozenset[str] = frozenset()
) -> list[Operation]:
    """Return the operations that the words of *reading* tell of, most evident first.

    Words of *names* tell nothing. Hints count only beside something more telling.
    """
    words = reading.words
    told = [lexicon.cues.told(word.text) for word in words]
    found: dict[int, dict[int, float]] = {}
    for at, word in enumerate(words):
        if word.text in names:
            continue
        if longer := _longer(told, at):
            _tell_longer(found, sorted([*told[at].alone, *longer]), [w.unit for w in words[at:]])
        else:
            _tell_alone(found, told[at].alone, word.unit)
    for sense, spans in reading.senses.items():
        for number, weight in lexicon.cue_senses.get(sense, ()):
            _tell(found.setdefault(number, {}), range(*spans[0]), weight)
    others = sum([word.unit not in reading.quiet and word.text not in _SMALL for word in words])
    doubtful = others > 1 or (bool(words) and words[0].text in _ASKS)
    made: list[Operation] = []
    for number, places in found.items():
        if len(places) == 1 and max(places.values()) <= _HINT:
            continue  # a hint alone, as most are
        if (evidence := _evidence(places.values())) > 0:
            units = frozenset([unit for unit in places if unit != _AGAINST])
            made.append(Operation(number, evidence, units, doubtful and len(units) == 1))
    made.sort(key=lambda one: (-one.evidence, one.number))
    return made


def _longer(told: Sequence[Told], at: int) -> list[Cue]:
    """Return the cues of several words that begin at the place *at*."""
    longer = told[at].longer
    if not longer or at + 1 == len(told) or longer.keys().isdisjoint(told[at + 1].shapes):
        return []
    forms = [one.shapes for one in told]
    return [
        cue
        for form in forms[at + 1]
        for cue in longer.get(form, ())
        if follows(forms, at + 1, cue[1])
    ]


def _tell_alone(found: dict[int, dict[int, float]], cues: Sequence[Cue], unit: int) -> None:
    """Let the word at *unit* tell of operations what its *cues* of one word do."""
    for _, _, number, weight in cues:
        places = found.get(number)
        if places is None:
            found[number] = {unit if weight > 0 else _AGAINST: weight}
        elif weight < 0:
            places[_AGAINST] = weight
        elif places.get(unit, 0.0) < weight:
            places[unit] = weight


def _tell_longer(
    found: dict[int, dict[int, float]], cues: Sequence[Cue], units: Sequence[int]
) -> None:
    """Let the words at *units* tell what *cues* do that begin with the first, in order."""
    for _, rest, number, weight in cues:
        size = 1 + len(rest)
        worth = weight * (1 + _LONGER * len(rest))
        _tell(found.setdefault(number, {}), units[:size], worth)


def _tell(places: dict[int, float], units: Sequence[int], worth: float) -> None:
    """Let the words at *units* tell of an operation, unless they tell more of it already.

    *places* have what is told of it so far, by the places of the words that tell it.
    """
    if worth < 0:
        places[_AGAINST] = worth
    elif max([places.get(unit, 0.0) for unit in units]) < worth:
        places.update(dict.fromkeys(units, 0.0))
        places[units[0]] = worth


def _evidence(worths: Collection[float]) -> float:
    """Return the sum of *worths*, in which hints count for little and alone for nothing."""
    telling = hints = 0.0
    for worth in worths:
        if worth > _HINT or worth < 0:
            telling += worth
        else:
            hints += worth
    return telling + min(hints, _MOST_HINTS) if telling > 0 else 0.0


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


def outside_in(reading: Reading, lexicon: Lexicon) -> tuple[bool, bool]:
    """Return whether *reading* begins with a deed, and names a thing, foreign to all models."""
    texts = [word.text for word in reading.words]
    polite = lexicon.grammar["polite"]
    first = next((at for at, text in enumerate(texts) if text not in polite), 0)
    verb = thing = False
    for at, text in enumerate(texts):
        for rest, kind in lexicon.cues.told(text).foreign:
            if not rest or follows([shapes(t, singular(t)) for t in texts], at + 1, rest):
                verb = verb or (kind == "verb" and at == first)
                thing = thing or kind == "thing"
    return verb, thing
