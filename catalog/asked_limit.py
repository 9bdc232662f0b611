"""Read the most that a task lets a run cost, in whatever words the amount stands."""

import re
from collections.abc import Sequence
from functools import cache

from catalog.search_measure import Limit, limits_in
from catalog.search_tables import PICTURE, REQUEST, SECOND

# A task has no other use for an amount of money than as a limit; these words may stand around it.
_BEFORE = (
    "for|with|within|cost|costs|costing|that|which|priced?|at|most|under|below|less|cheaper|than"
    r"|up|to|no|not|more|over|max(?:imum|\.)?|limit(?:ed)?|cap|budget|of|a|about|around|roughly|is"
    "|unter|hochstens|maximal|fur|weniger|als|menos|de|moins|por|pour|meno|di|bis|do|не|более|до"
)
_AFTER = (
    "or less|or below|or under|or cheaper|at most|max(?:imum)?|tops|in total|total|limit|budget"
)


def limits_of(text: str) -> tuple[list[Limit], str]:
    """Return the amounts of money in *text*, which must be `spelled`, and it without them."""
    text = _codes().sub("$", text)
    limits: list[Limit] = []
    while found := next((one for one in limits_in(text) if _is_whole(text, one)), None):
        limits.append(found)
        start, end = _around(text, found)
        text = f"{text[:start]} {text[end:]}"
    return limits, text


def lowest(limits: Sequence[Limit], seconds: float, count: int) -> float | None:
    """Return the most dollars that a run of *count* media of *seconds*, 0 if not told, may cost.

    None where nothing limits it, or something that is not known of it, such as its letters, would
    have to be.
    """
    allowed: list[float] = []
    for one in limits:
        match one.measure.kind:
            case measured if measured < 0 or measured == REQUEST:
                allowed.append(one.dollars)
            case measured if measured == PICTURE:
                allowed.append(one.dollars * max(count, 1))
            case measured if measured == SECOND and seconds:
                allowed.append(one.dollars * seconds / one.measure.amount)
            case _:
                return None
    return min(allowed, default=None)


def names_money(text: str) -> str:
    """Return what in *text*, which must be `plain`, looks like an amount of money, or nothing."""
    found = _money().search(text)
    return found[0].strip() if found else ""


def _is_whole(text: str, found: Limit) -> bool:
    """Return whether an amount in *text* is all of one, and money."""
    if _half_read().search(text[: found.start]):
        return False
    start, end = _around(text, found)
    return not found.is_short or start < found.start or end > found.end


def _around(text: str, found: Limit) -> tuple[int, int]:
    """Return where the words around an amount begin and end."""
    before = _words_before().search(text[: found.start])
    end = found.end
    if found.measure.kind >= 0 and (each := _each().match(text, end)):
        end = each.end()
    after = _words_after().match(text, end)
    return before.start() if before else found.start, after.end() if after else end


@cache
def _words_before() -> re.Pattern[str]:
    return re.compile(rf"(?:(?<!\w)(?:(?:{_BEFORE})(?!\w)|[<=:\u2264]+)\s*)+$")


@cache
def _words_after() -> re.Pattern[str]:
    return re.compile(rf"(?:\s*(?:{_AFTER})(?!\w))+")


@cache
def _each() -> re.Pattern[str]:
    return re.compile(r"\s*(?:per|/|an?|each|every)\s*\w+")


@cache
def _half_read() -> re.Pattern[str]:
    """Match what an amount is no more than the end of: ``1/``, ``0.``."""
    return re.compile(r"\d[.,/\u2044]$")


@cache
def _money() -> re.Pattern[str]:
    return re.compile(
        r"(?:usd|eur|gbp|us\$|[$€£¥₹₽₩])\s?[$€£]?\s?\.?\d[\d.,]*"
        r"|\d[\d.,]*\s?(?:[$€£¥₹₽₩¢元円원]|usd\b|eur\b|gbp\b|dollars?\b|dolar(?:es)?\b|доллар|цент|₽|美|ドル|セント|달러"
        r"|센트|cents?\b|centavos?\b|bucks?\b|euros?\b|yen\b|rupees?\b|ct\b)"
    )


@cache
def _codes() -> re.Pattern[str]:
    return re.compile(r"(?<!\w)(?:usd\s?\$?|us\$|eur\s?\u20ac?)\s?(?=\d)")
