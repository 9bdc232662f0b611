"""Tell whether the catalog perhaps has nothing that does what a query asks for."""

import math
from collections.abc import Sequence

from catalog.search_frame import SURE_ROLE
from catalog.search_reading import Fired, Reading
from catalog.search_tables import SearchTables
from catalog.search_text import stem, word_parts
from catalog.search_understand import Understood
from catalog.search_weighing import SURE_TASK

_LONG_WORD = 8
_KNOWN_SHARE = 0.55
# As `SearchTables.status` tells it; and from which share on another task is meant as well.
_RETIRED, _AS_WELL = 2, 0.8


def is_low(understood: Understood, tables: SearchTables, best: Sequence[int]) -> bool:
    """Whether nothing shows that the catalog has what is asked for; *best* holds the best card."""
    if understood.named.is_sure:
        return False
    if understood.tasks and _is_gone(understood.tasks, tables):
        return True
    if understood.is_surely_meant:
        return False
    does_else, has_else = understood.outside
    is_framed = understood.frame.wanted_sure >= SURE_ROLE
    if does_else or (has_else and not is_framed and understood.frame.given_sure < SURE_ROLE):
        return True
    if understood.is_foreign:
        return True
    if _has_sure_task(understood.reading) or understood.is_told or understood.is_meant:
        return False
    if understood.frame.given_sure >= SURE_ROLE and understood.tasks:
        return False
    if understood.named.is_sure or understood.direction.categories:
        return False
    if understood.wishes.is_telling and understood.direction.media:
        return False
    return _known_share(understood, tables, best) < _KNOWN_SHARE


def _is_gone(tasks: Sequence[Fired], tables: SearchTables) -> bool:
    """Whether what is surely meant was done by cards that are all retired, and nothing else is."""
    best, *others = tasks
    if best.strength < SURE_TASK or any(one.strength >= _AS_WELL * best.strength for one in others):
        return False
    cards = tables.cards(f"c{tables.tasks[best.task][0]}")
    return all(tables.status[card] == _RETIRED for card in cards)


def _has_sure_task(reading: Reading) -> bool:
    """Whether a task is surely meant: not by a mended word among many others."""
    given = {word.unit: word for word in reading.words if word.given}
    meant = {word.unit for word in reading.words} - reading.quiet
    near = {
        unit
        for unit, word in given.items()
        if len(word.text) >= _LONG_WORD and abs(len(word.text) - len(word.given)) <= 1
    }
    for fired in reading.tasks.values():
        if fired.strength < SURE_TASK:
            continue
        if not fired.units <= given.keys() or 2 * len(given) > len(meant):
            return True
        if fired.units <= near and 2 * len(given) == len(meant):
            return True
    return False


def _known_share(understood: Understood, tables: SearchTables, cards: Sequence[int]) -> float:
    """Return how much of what the query says the best card's id and name say too (0 to 1)."""
    if not cards:
        return 0.0
    whole = have = 0.0
    for word in understood.reading.words:
        if word.unit in understood.reading.quiet:
            continue
        size = tables.size(f"t{stem(word.text)}")
        rarity = math.log(1 + tables.count / (size + 1))
        whole += rarity
        if any(cards[0] in tables.cards(f"n{part}") for part in word_parts(word.text)):
            have += rarity
    return have / whole if whole else 0.0
