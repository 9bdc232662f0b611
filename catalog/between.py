"""What a value costs that no tier of a price names: between its neighbours, or in proportion."""

import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

from catalog.convert import is_list
from catalog.nearest import pair_of, quantity_of
from catalog.quantity import MEGAPIXEL, SQUARES, Work, short_side
from catalog.span import ONE, decimal, plain
from catalog.tiers import Tier, conditions, frame_rate, output_height

_SIZES = ("resolution", "target_resolution", "output_resolution")
_LENGTHS = ("duration",)
_RATES = ("fps",)
_AREAS = ("image_size",)
_ORDERED = frozenset((*_SIZES, *_LENGTHS, *_RATES, *_AREAS))
_TIMED = ("second", "minute")


class _Asked(NamedTuple):
    """A value that no tier names, as a number, and as it was written."""

    name: str
    number: Decimal
    words: str


def between(work: Work, tiers: Sequence[Tier], unit: str) -> list[Tier]:
    """Return the tiers whose amounts bound the price of *work*, which none of *tiers* fits.

    Lengths, sizes and frame rates are in order: a value between two tiers costs between them, one
    beyond the last up to so many times as much as it is longer (in whole lengths) or larger (in
    pixels), one below the first down to its share. Where anything else fails, the price lies
    between all stated ones. That is our rule, since no source states one; each use says so.
    """
    failed = [tier for tier in tiers if tier.failed <= _ORDERED] or tiers
    fewest = min(len(tier.failed) for tier in failed)
    near = [tier for tier in failed if len(tier.failed) == fewest]
    names = {name for tier in near for name in tier.failed}
    name = next(iter(names), "")
    asked = _asked(work, name) if len(names) == 1 and name in _ORDERED else None
    if asked is None or (name in _LENGTHS and unit in _TIMED):
        return _among(work, near)
    return _beside(work, near, asked)


def _among(work: Work, tiers: Sequence[Tier], asked: _Asked | None = None) -> list[Tier]:
    names = sorted({name for tier in tiers for name in tier.failed})
    words = [f"{name}={work.values[name]}" if name in work.values else name for name in names]
    if asked is not None:
        words = [f"{asked.name}={asked.words}"]
    work.note(f"no price stated for {', '.join(words)[:80]}: between the stated ones")
    return list(tiers)


def _beside(work: Work, tiers: Sequence[Tier], asked: _Asked) -> list[Tier]:
    """Return the nearest tiers below and above the value, or the last one and its multiple."""
    still = _is_still(work)
    places = [(place, tier) for tier in tiers if (place := _place(tier, asked.name, still=still))]
    if not places:
        return _among(work, tiers)
    below = max((high for (_, high), _ in places if high < asked.number), default=None)
    above = min((low for (low, _), _ in places if low > asked.number), default=None)
    if below is not None and above is not None:
        kept = [tier for (low, high), tier in places if high == below or low == above]
        return _among(work, kept, asked)
    edge = below if below is not None else above
    if edge is None or edge <= 0:
        return _among(work, tiers, asked)
    last = [tier for (low, high), tier in places if edge in (low, high)]
    times = _times(asked, edge)
    if still and times < 1:
        work.note(f"no price stated for {asked.name}={asked.words}: that of the smallest")
        return last
    way = "up" if times > 1 else "down"
    work.note(
        f"no price stated for {asked.name}={asked.words}: that of {_worded(asked.name, edge)}, "
        f"{way} to {plain(round(times, 2))} times as much"
    )
    return [*last, *(_multiplied(tier, times) for tier in last)]


def _is_still(work: Work) -> bool:
    return not work.card.category.endswith("video")


def _side(value: object, *, still: bool) -> int | None:
    """Return the shorter side that *value* names: of pictures by 1K and 2K, of film by 1080p."""
    return SQUARES.get(str(value).lower()) if still else short_side(value)


def _times(asked: _Asked, edge: Decimal) -> Decimal:
    """Return how many times as much a value may cost as one at *edge*."""
    ratio = asked.number / edge
    if asked.name in _SIZES:
        return ratio * ratio
    if asked.name in _AREAS:
        return ratio
    return ratio.to_integral_value(ROUND_CEILING) if ratio > ONE else ratio


def _worded(name: str, edge: Decimal) -> str:
    return f"{plain(round(edge / MEGAPIXEL, 2))} MP" if name in _AREAS else plain(edge)


def _multiplied(tier: Tier, times: Decimal) -> Tier:
    return replace(tier, rule={**tier.rule, "amount": decimal(tier.rule["amount"]) * times})


def _asked(work: Work, name: str) -> _Asked | None:
    value = work.values.get(name)
    if name in _SIZES:
        side = _side(value, still=_is_still(work)) or output_height(work)
        return _Asked(name, Decimal(side), str(value or f"{side}p")) if side else None
    span = work.pixels() if name in _AREAS else None
    if name in _LENGTHS or name in _RATES:
        span = work.seconds() if name in _LENGTHS else frame_rate(work)
    if span is None or not span.is_exact or span.low <= 0:
        return None
    words = f"{plain(round(span.low / MEGAPIXEL, 2))} MP" if name in _AREAS else str(value or "")
    return _Asked(name, span.low, words or plain(span.low))


def _place(tier: Tier, name: str, *, still: bool) -> tuple[Decimal, Decimal] | None:
    """Return where the condition of *tier* on *name* stands among the values, from and to."""
    held = dict((*conditions(tier.rule, "when"), *conditions(tier.rule, "derived")))
    wanted = held.get(name)
    numbers: list[Decimal] = []
    for each in wanted if is_list(wanted) else [wanted]:
        bare = re.sub(r"\A[<>]=?", "", str(each))
        if name in _AREAS:
            if pair := pair_of(bare):
                numbers.append(decimal(pair[0]) * decimal(pair[1]))
            continue
        side = _side(bare, still=still) if name in _SIZES else None
        quantity = quantity_of(bare)
        if side is None and (quantity is None or name in _SIZES):
            return None
        numbers.append(Decimal(side) if side else decimal(quantity[0]) if quantity else ONE)
    return (min(numbers), max(numbers)) if numbers else None
