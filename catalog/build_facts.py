"""Read from a card what searches ask for: sizes, lengths, sound, other properties, prices."""

import re
from dataclasses import dataclass

from catalog.build_features import choices_of, features_of
from catalog.build_prices import (
    LENGTH_FIELDS,
    SIZE_FIELDS,
    UNKNOWN,
    Prices,
    height_place,
    prices_of,
)
from catalog.card import ModelCard
from catalog.nearest import quantity_of
from catalog.search_tables import SIZES

_RATE = 24.0  # frames a second where a card states none

_HEIGHT_WORD = re.compile(r"(?<![\w.])(\d{3,4})p\b|(?<![\w.])([248])k\b", re.IGNORECASE)
_SECONDS_WORD = re.compile(r"(?:up to |, \d+-)(\d+) s\b")


@dataclass(frozen=True)
class Facts:
    """What searches ask of one card.

    *heights* and *sizes* are places in `HEIGHTS` and `SIZES`, empty where not known. *longest* is
    seconds, NaN where not known.
    """

    heights: tuple[int, ...]
    sizes: tuple[int, ...]
    longest: float
    features: tuple[str, ...]
    prices: Prices


def facts_of(card: ModelCard) -> Facts:
    """Return what searches ask of *card*; prices as `catalog.pricing` works them out."""
    kinds = set(card.output_media.values()) or {card.category.rpartition("-")[2]}
    heights = _heights(card) if "video" in kinds else ()
    sizes = _sizes(card) if "image" in kinds else ()
    return Facts(
        heights=heights,
        sizes=sizes,
        longest=_longest(card) if kinds & {"video", "audio"} else UNKNOWN,
        features=features_of(card, kinds, heights, sizes),
        prices=prices_of(card, kinds, heights, sizes),
    )


def _heights(card: ModelCard) -> tuple[int, ...]:
    found: set[int] = set()
    for name in SIZE_FIELDS:
        for choice in choices_of(card.properties.get(name, {})):
            if (place := height_place(choice)) is not None:
                found.add(place)
    if not found:
        for height, kilo in _HEIGHT_WORD.findall(
            f"{card.endpoint_id.replace('/', ' ')} {card.summary}"
        ):
            place = height_place(f"{height}p" if height else f"{kilo}k")
            if place is not None:
                found.add(place)
    return tuple(sorted(found))


def _sizes(card: ModelCard) -> tuple[int, ...]:
    found: set[int] = set()
    for name in (*SIZE_FIELDS, "image_size"):
        for choice in choices_of(card.properties.get(name, {})):
            text = str(choice).lower().removeprefix("auto_").replace("3k", "2k")
            if text in SIZES:
                found.add(SIZES.index(text))
    text = f"{card.summary} {card.title}".lower()
    for place, word in enumerate(SIZES):
        if re.search(rf"(?<!\w){word}(?!\w)", text):
            found |= {0, place}
    return tuple(sorted(found))


def _longest(card: ModelCard) -> float:
    lengths: list[float] = []
    for name in LENGTH_FIELDS:
        schema = card.properties.get(name, {})
        lengths += [got[0] for choice in choices_of(schema) if (got := quantity_of(choice))]
        if isinstance(schema.get("maximum"), int | float):
            lengths.append(float(schema["maximum"]))
        if span := schema.get("x-range-seconds"):
            lengths.append(float(span[-1]))
    if isinstance(most := card.properties.get("num_frames", {}).get("maximum"), int | float):
        rate = card.properties.get("frames_per_second", card.properties.get("fps", {}))
        default = rate.get("default")
        lengths.append(most / (float(default) if isinstance(default, int | float) else _RATE))
    lengths += [float(word) for word in _SECONDS_WORD.findall(card.summary)]
    return max(lengths, default=UNKNOWN)
