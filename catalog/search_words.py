"""Say in short words what was understood, what fits, and what it costs."""

import math
import re
from collections.abc import Sequence

from catalog.search_least import least
from catalog.search_measure import Measure
from catalog.search_reading import Lexicon
from catalog.search_tables import (
    CHARACTERS,
    HEIGHTS,
    PICTURE,
    REQUEST,
    SECOND,
    SIZES,
    SearchTables,
)
from catalog.search_understand import Understood

_ONE = Measure()
_SAME_SECONDS = 0.06
_MOST_USED = 0.6
_LONGEST_WHY = 110
# Prices for a time: "$0.05/s", "$0.1-0.6/10 s at 1080p", "$3/min".
_BY_TIME = r"/(?:\d+ )?(?:s|min)(?: at |$)"


# What is asked for in words, and the cards that do it as flags.
Deeds = Sequence[tuple[str, bytes]]


def deeds_of(understood: Understood, tables: SearchTables) -> Deeds:
    """Return the tasks of *understood*, as `why_words` looks for them."""
    named = [tables.tasks[fired.task] for fired in understood.tasks]
    return [(name, tables.bits.flags(f"c{task}")) for task, name in named]


Limit = tuple[float | None, Measure]


def why_words(
    card: int,
    understood: Understood | None,
    deeds: Deeds,
    tables: SearchTables,
    limit: Limit = (None, _ONE),
) -> str:
    """Return what made *card* score, shortest and most telling first; *limit* is a filter's."""
    if understood is None:
        return "; ".join(["by use on fal", *_within(card, limit, tables)])
    said: list[str] = []
    at, bit = card >> 3, 1 << (card & 7)
    for name, flags in deeds:
        if flags[at] & bit and name not in said:
            said.append(name)
            if len(said) == 2:
                break
    if understood.named and (name := understood.named.borne_by(card)):
        said.insert(0, f"name: {' '.join(name)}")
    category = tables.categories[tables.category[card]]
    if category in understood.direction.categories and not said:
        said.append(category.replace("-", " "))
    said += _kept_wishes(card, understood, tables)
    own = understood.wishes
    said += _within(card, (own.limit, own.measure) if limit[0] is None else limit, tables)
    if not said and (words := _matched(card, understood, tables)):
        said.append(f"words: {', '.join(words)}")
    if not said:
        kinds = sorted(k for k in understood.direction.media if tables.has(card, f"o{k}"))
        said.append(f"returns {' and '.join(kinds)}" if kinds else "among what the filters leave")
    if tables.prior[card] > _MOST_USED:
        said.append("much used")
    words = "; ".join(said)
    return words if len(words) <= _LONGEST_WHY else words[: _LONGEST_WHY - 1].rstrip("; ") + "…"


def _kept_wishes(card: int, understood: Understood, tables: SearchTables) -> list[str]:
    wishes, said = understood.wishes, list[str]()
    for feature in wishes.features:
        if tables.has(card, f"f{feature}"):
            said.append(feature)
    if wishes.height >= 0 and tables.heights[card] >> wishes.height & 1:
        said.append(f"{HEIGHTS[wishes.height]}p")
    if wishes.seconds and tables.longest[card] >= wishes.seconds:
        said.append(f"up to {tables.longest[card]:g} s")
    return said


def _within(card: int, limit: Limit, tables: SearchTables) -> list[str]:
    """Return whether *card* costs no more than *limit*, and for how long a clip where none is said.

    Nothing where there is no limit, or the price is not known.
    """
    most, measure = limit
    if most is None or math.isnan(dollars := measure.limited(card, tables)):
        return []
    said = f"{'within' if dollars <= most * 1.0001 else 'over'} ${most:,.10g}"
    seconds = measure.seconds(card, tables)
    if not math.isnan(seconds) and re.search(_BY_TIME, tables.texts(card)[2]):
        said += f" for {abs(seconds):.3g} s{' supposed' if seconds < 0 else ''}"
    if said.startswith("over"):
        dollars, chosen = least(card, measure, tables)
        said += f", from ${dollars:.3g} ({chosen})" if chosen else ""
    return [said]


def _matched(card: int, understood: Understood, tables: SearchTables) -> list[str]:
    words = [key[1:] for key, _ in understood.terms if card in tables.cards(key)]
    return words[:4]


def shown_for(measure: Measure, understood: Understood | None) -> Measure:
    """Return the work that is priced: *measure*, with the sound and size that are wished for.

    What *measure* says itself holds; an amount of work that words limit is priced as a whole.
    """
    if understood is None:
        return measure
    wishes = understood.wishes
    told = wishes.measure
    is_whole = told.kind == SECOND or (told.kind in (PICTURE, CHARACTERS) and told.amount != 1)
    if measure.kind < 0 and is_whole and not told.rate:
        measure = measure._replace(kind=told.kind, amount=told.amount)
    if measure.sound is None and "sound" in wishes.features:
        measure = measure._replace(sound=True)
    return measure if measure.height >= 0 else measure._replace(height=wishes.height)


def price_words(card: int, measure: Measure, usual: str, tables: SearchTables) -> str:
    """Return the price of *measure* on *card*, else the usual one."""
    if measure == _ONE:
        return usual
    dollars = measure.dollars(card, tables)
    if math.isnan(dollars):
        return usual
    kind = tables.unit[card] if measure.kind < 0 else measure.kind
    if kind == SECOND and tables.unit[card] == REQUEST:
        return usual  # of a run, however long it becomes
    own_size = measure._replace(height=-1, size=-1)
    silent = measure._replace(sound=False).dollars(card, tables)
    heard = bool(measure.sound) and kind == SECOND and dollars != silent
    is_usual = kind != SECOND or dollars == _ONE.dollars(card, tables)
    if is_usual and measure == _ONE._replace(sound=measure.sound):
        return usual  # sound makes no difference to it
    is_sized = bool(tables.heights[card]) or dollars != own_size.dollars(card, tables)
    height = measure.height_made(card, tables)
    at = f" at {HEIGHTS[height]}p" if height >= 0 and is_sized else ""
    if kind == SECOND:
        what = f"{_lasting(card, measure, tables)}{at}{' with sound' if heard else ''}"
    elif kind == PICTURE:
        what = f"{measure.amount:g} image{'s' if measure.amount != 1 else ''}"
        what += f" at {SIZES[measure.size]}" if measure.size > 0 else at if is_sized else ""
    elif kind == CHARACTERS:
        what = f"{round(measure.amount * 1000):,} characters"
    else:
        what = f"{measure.amount:g} request{'s' if measure.amount != 1 else ''}"
    # Worked out for this amount of work: never written as if it were the model's own unit.
    return f"${dollars:.3g} for {what}"


def _lasting(card: int, measure: Measure, tables: SearchTables) -> str:
    """Return the seconds that are priced, and those asked for where *card* makes no such run."""
    made = measure.made(card, tables)
    if made is None or abs(made - measure.amount) < _SAME_SECONDS:
        return f"{measure.amount:g} s"
    if math.isinf(made):
        return "1 clip"
    if made < measure.amount:
        return f"{measure.amount:g} s ({made:.3g} at most)"
    return f"{made:.3g} s (not {measure.amount:g})"


def understood_words(steps: Sequence[Understood], tables: SearchTables) -> str:
    """Return how the query was read: tasks, names, direction, wishes, mended words."""
    said: list[str] = []
    for understood in steps:
        names = [tables.tasks[fired.task][1] for fired in understood.tasks[:3]]
        if understood.named:
            names.insert(0, "model " + " ".join(m.word for m in understood.named.parts))
        if understood.direction.categories:
            names.append(understood.direction.categories[0])
        names += understood.wishes.words()
        if understood.tongue:
            names.append(f"in {understood.tongue}")
        names += [f"{given} read as {word}" for given, word in understood.reading.mended.items()]
        said.append(", ".join(dict.fromkeys(names)))
    strange = elsewhere(steps, tables)
    without = f"not on fal: {', '.join(strange)}; nearest: " if strange else ""
    return f"{without}{'; then '.join(part for part in said if part)}"[:240]


def elsewhere(steps: Sequence[Understood], tables: SearchTables) -> list[str]:
    """Return the products and versions that are named though fal does not offer them."""
    known: list[str] = tables.lexicon.get("elsewhere", [])
    said = " ".join(understood.reading.text for understood in steps)
    words = set(re.findall(r"[\w-]+", said)) if known else set[str]()
    strange = [word for word in known if word in words and f"n{word}" not in tables.place]
    return strange + [name for understood in steps for name in understood.named.missing]


def guides_for(steps: Sequence[Understood], lexicon: Lexicon) -> tuple[str, ...]:
    """Return the guides of which *steps* speak (`catalog/lexicon/guides.tsv`), as they come up."""
    named = [
        (at, places[0], lexicon.senses[sense][1:])
        for at, understood in enumerate(steps)
        for sense, places in understood.reading.senses.items()
        if lexicon.senses[sense][0] == "?"
    ]
    return tuple(dict.fromkeys(guide for *_, guide in sorted(named)))


__all__ = [
    "REQUEST",
    "Deeds",
    "deeds_of",
    "elsewhere",
    "guides_for",
    "price_words",
    "understood_words",
    "why_words",
]
