"""Say what a model costs at least, where a limit of money is lower than what it usually costs."""

import math
from collections.abc import Iterator

from catalog.search_measure import Measure
from catalog.search_tables import HEIGHTS, SECOND, SearchTables

_SAME = 0.999


def least(card: int, measure: Measure, tables: SearchTables) -> tuple[float, str]:
    """Return the dollars of *measure* on *card* at its cheapest, and what has to be chosen for it.

    Only what *measure* leaves open is chosen: sound, size and settings such as a quality. NaN
    where no price is known; no words where nothing that is known makes it cheaper.
    """
    best = min(_priced(card, measure, tables), key=_dollars, default=(math.nan, ""))
    share, chosen = tables.least.get(str(card), (1.0, ""))
    return best[0] * share, ", ".join(filter(None, (best[1], chosen)))


def _priced(card: int, measure: Measure, tables: SearchTables) -> Iterator[tuple[float, str]]:
    """Yield the dollars of *measure*, and of smaller sizes and silence where they cost less."""
    usual = measure.limited(card, tables)
    if math.isnan(usual):
        return
    yield usual, ""
    by_second = (tables.unit[card] if measure.kind < 0 else measure.kind) == SECOND
    heights = tables.heights[card] if by_second and measure.height < 0 else 0
    sizes = [(at, f"{HEIGHTS[at]}p") for at in range(len(HEIGHTS)) if heights >> at & 1]
    for height, size in [(measure.height, ""), *sizes]:
        for sound in (None, False) if by_second and measure.sound is None else (measure.sound,):
            dollars = measure._replace(height=height, sound=sound).limited(card, tables)
            if dollars < usual * _SAME:
                yield dollars, ", ".join(filter(None, (size, "silent" if sound is False else "")))


def _dollars(priced: tuple[float, str]) -> float:
    return priced[0]


def dearer_words(endpoint_id: str, card: int, measure: Measure, tables: SearchTables) -> str:
    """Return that *card* costs more than a limit that leaves it out, and what at least."""
    dollars, chosen = least(card, measure, tables)
    name = endpoint_id.removeprefix("fal-ai/")
    if math.isnan(dollars):
        return f"{name}: price not known"
    return f"{name} costs from ${dollars:.3g}{f' ({chosen})' if chosen else ''}"
