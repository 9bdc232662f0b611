"""Weigh the tasks that phrases, operations and all words together speak of."""

from typing import NamedTuple

from catalog.search_frame import SURE_ROLE, Frame
from catalog.search_learned import Likely
from catalog.search_reading import Fired, Lexicon
from catalog.search_tables import SearchTables

SURE_TASK = 0.75
# Tasks weaker than this share of the strongest are taken for chance.
_LEAST_TASK, _LEAST_KIN = 0.45, 0.3
_INSIDE, _RIVAL = 0.55, 0.7
_DAMPS_FROM = 0.7
# What is left of a task of whose cards fewer than this share take what is given, or return what
# is wanted.
_SHARE, _NOT_TAKEN, _NOT_RETURNED, _NOTHING_THERE = 0.2, 0.45, 0.5, 0.75
_STRONGEST, _BOTH = 1.15, 0.25
_SURE_PHRASE, _TELLING, _BESIDE_SURE = 0.9, 0.86, 0.92
# What a rule's strength counts against the share of what was learned, and how strong they make
# the best task.
_BY_RULE, _RULE_TOP, _LIKELY_TOP = 0.8, 0.8, 0.9
# The surer what was learned is of its best task, the less rules count beside it.
_SURE_ALONE = 0.3
_OF_GENERAL = 0.75
# What is left of a task that has to do with none of the media that are named; text is named often.
_UNSPOKEN, UNTOLD = 0.6, frozenset({"text"})
DAMPED = 0.4
NOWHERE = frozenset[int]()
_TAKES_ALL = ("train", "llm", "stt", "dub", "prompter", "subtitles", "voice.clone", "avatar.st")
# Tasks that need something to work on, and those that need a film to follow as well.
_WORKS_ON = ("i2i.", "v2v.", "motion", "livephoto")
_FOR_ITSELF = ("music", "sfx")  # beside a film its own sound is meant
_FOLLOWS = ("motion", "livephoto")
_MAKES_ANY = ("train", "prompter", "llm", "lottie")


class Heard(NamedTuple):
    """What all words of a query tell: the likely tasks, the media, and whether the camera rests."""

    likely: Likely
    frame: Frame
    is_still: bool


def weighed(fired: list[Fired], lexicon: Lexicon) -> list[Fired]:
    """Return the tasks that fired, strongest first.

    A task counts less inside a fuller one, beside a stronger one for the same words, and where
    a sure one makes it unlikely.
    """
    fired.sort(key=lambda f: (-f.strength, -len(f.units), f.task))
    sure = [one.task for one in fired if one.strength >= _DAMPS_FROM]
    damped = {other for task in sure for other in lexicon.damps.get(task, ())}
    for task in sure:  # two that would put each other out both stay
        for other in lexicon.damps.get(task, ()):
            if other in sure and task in lexicon.damps.get(other, ()):
                damped -= {task, other}
    fired = [
        one._replace(strength=one.strength * DAMPED) if one.task in damped else one for one in fired
    ]
    kept: list[Fired] = []
    for one in fired:
        factor = 1.0
        if any(o.strength >= 0.7 * one.strength and one.units < o.units for o in fired):
            factor = _INSIDE
        elif any(o.strength > 1.15 * one.strength and one.units & o.units for o in fired):
            factor = _RIVAL
        kept.append(one if factor == 1 else one._replace(strength=one.strength * factor))
    kept.sort(key=lambda f: (-f.strength, f.task))
    least = _LEAST_TASK * kept[0].strength if kept else 0.0
    return [one for one in kept if one.strength >= least][:8]


def together(spoken: list[Fired], told: list[Fired], lexicon: Lexicon) -> list[Fired]:
    """Return the tasks of phrases (*spoken*) and of operations (*told*), strongest first."""
    both = {one.task: one for one in spoken}
    sure = [one for one in spoken if one.strength >= _SURE_PHRASE]
    damped = {other for one in sure for other in lexicon.damps.get(one.task, ())}
    for one in told:
        other = both.get(one.task)
        is_telling = one.strength >= _TELLING
        if other is not None and (not sure or other.strength >= _RIVAL * sure[0].strength):
            more = max(one.strength, other.strength) + _BOTH * min(one.strength, other.strength)
            if one.strength < SURE_TASK and other.strength < SURE_TASK:
                more = max(one.strength, other.strength)
            one = Fired(one.task, min(_STRONGEST, more), one.units | other.units)
        elif sure and (other is not None or one.task in damped):
            beside = _BESIDE_SURE if is_telling and one.task not in damped else _RIVAL
            one = one._replace(strength=one.strength * beside)
        elif any(one.units <= other.units for other in sure):
            one = one._replace(strength=one.strength * (_BESIDE_SURE if is_telling else _INSIDE))
        both[one.task] = max(one, other or one, key=lambda f: f.strength)
    _add_kin(both, lexicon)
    made = sorted(both.values(), key=lambda f: (-f.strength, f.task))
    return [one for one in made if one.strength >= _LEAST_KIN * made[0].strength][:8]


def _add_kin(fired: dict[int, Fired], lexicon: Lexicon) -> None:
    """Add to *fired* the more general tasks that do as well, weaker."""
    for one in list(fired.values()):
        for general, share in lexicon.kin.get(one.task, ()):
            strength = one.strength * share
            if general not in fired or fired[general].strength < strength:
                fired[general] = Fired(general, strength, one.units)


def with_likely(
    fired: list[Fired], heard: Heard, tables: SearchTables, lexicon: Lexicon
) -> list[Fired]:
    """Return the tasks by rule, weighed with how likely each is by all words together."""
    shares = dict(heard.likely.tasks)
    known = {one.task: one for one in fired}
    by_rule = _BY_RULE - _SURE_ALONE * max(shares.values(), default=0.0)
    worths = {
        task: by_rule * (known[task].strength if task in known else 0.0) + shares.get(task, 0.0)
        for task in {**known, **shares}
    }
    for one in fired:
        if one.strength >= _SURE_PHRASE:  # who says "edit" of a smile means the smile
            for general, _ in lexicon.kin.get(one.task, ()):
                worths[one.task] += _OF_GENERAL * shares.get(general, 0.0)
    if kinds := heard.frame.spoken - UNTOLD:
        for task in worths:
            name = tables.tasks[task][0]
            if not name.startswith(_MAKES_ANY) and not _touches(name, kinds, tables):
                worths[task] *= _UNSPOKEN
    if heard.is_still:
        moving, plain = tables.task_numbers["i2v.camera"], tables.task_numbers["i2v"]
        if moving in worths:
            worths[plain] = max(worths.get(plain, 0.0), worths[moving])
            worths[moving] *= _UNSPOKEN
    if not worths:
        return fired
    best = min(worths, key=lambda task: (-worths[task], task))
    told = known[best].strength if best in known else 0.0
    top = min(_STRONGEST, _RULE_TOP * told + _LIKELY_TOP * shares.get(best, 0.0))
    strong = {
        task: Fired(
            task, top * worth / worths[best], known[task].units if task in known else NOWHERE
        )
        for task, worth in worths.items()
    }
    _add_kin(strong, lexicon)
    made = sorted(strong.values(), key=lambda one: (-one.strength, one.task))
    return [one for one in made if one.strength >= _LEAST_KIN * top][:8]


def media_fit(task: str, frame: Frame, tables: SearchTables) -> float:
    """Return how well the cards that do *task* take what is given and return what is wanted."""
    fit = 1.0
    given = frame.given - {"text"}
    is_given = bool(given) and frame.given_sure >= SURE_ROLE and not task.startswith(_TAKES_ALL)
    if is_given and tables.share(task, "i", given) < _SHARE:
        fit *= _NOT_TAKEN
    if not is_given and frame.wanted_sure >= SURE_ROLE and task.startswith(_WORKS_ON):
        fit *= _NOTHING_THERE
    if task.startswith(_FOR_ITSELF) and "video" in frame.spoken:
        fit *= _NOTHING_THERE
    if task in _FOLLOWS and frame.given_sure >= SURE_ROLE and "video" not in frame.spoken:
        fit *= _NOTHING_THERE
    if frame.is_empty and frame.spoken and not task.startswith(_MAKES_ANY):
        kinds = frame.spoken - UNTOLD
        if kinds and not _touches(task, kinds, tables):
            fit *= _NOTHING_THERE
    is_wanted = frame.wanted_sure >= SURE_ROLE and not task.startswith(_MAKES_ANY)
    if is_wanted and tables.share(task, "o", frame.wanted) < _SHARE:
        fit *= _RIVAL if "text" in frame.wanted else _NOT_RETURNED
    return fit


def _touches(task: str, kinds: frozenset[str], tables: SearchTables) -> bool:
    """Whether cards that do *task* take or return any of *kinds*."""
    return tables.share(task, "i", kinds) >= _SHARE or tables.share(task, "o", kinds) >= _SHARE
