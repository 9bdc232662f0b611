"""Read from a card what searches ask for: sizes, lengths, sound, other properties, prices."""

import math
import re
from dataclasses import dataclass, replace
from typing import Any

from catalog.build_features import choices_of, features_of
from catalog.card import ModelCard
from catalog.describe import example_arguments
from catalog.granting import USUAL_SECONDS, sound_field
from catalog.media import MediaFacts, MediaKind
from catalog.nearest import quantity_of
from catalog.pricing import estimate
from catalog.quantity import Work
from catalog.schema import with_defaults
from catalog.search_tables import (
    CHARACTERS,
    COLUMNS,
    HEIGHTS,
    PICTURE,
    REQUEST,
    SECOND,
    SIZES,
)

UNKNOWN = math.nan

_PLACES = ((600, 0), (800, 1), (1200, 2), (1600, 3), (100_000, 4))

_SIZE_FIELDS = ("resolution", "target_resolution", "output_resolution")
_LENGTH_FIELDS = ("duration", "duration_seconds", "seconds_total", "music_duration", "max_duration")
_RATE = 24.0  # frames a second where a card states none

_HEIGHT_WORD = re.compile(r"(?<![\w.])(\d{3,4})p\b|(?<![\w.])([248])k\b", re.IGNORECASE)
_SECONDS_WORD = re.compile(r"(?:up to |, \d+-)(\d+) s\b")


@dataclass(frozen=True)
class Facts:
    """What searches ask of one card.

    *heights* and *sizes* are places in `HEIGHTS` and `SIZES`, empty where not known. *longest* is
    seconds, NaN where not known. *prices* are `COLUMNS` dollars, NaN where not known; *unit* is the
    column group a card is mostly priced in. *length* are the seconds of a run of which nobody says
    how long, below zero where that is `USUAL_SECONDS` or near it for want of a default.
    """

    heights: tuple[int, ...]
    sizes: tuple[int, ...]
    longest: float
    features: tuple[str, ...]
    prices: tuple[float, ...]
    unit: int
    usual: int  # the column of the price at the defaults, in the unit
    length: float


def facts_of(card: ModelCard) -> Facts:
    """Return what searches ask of *card*; prices as `catalog.pricing` works them out."""
    kinds = set(card.output_media.values()) or {card.category.rpartition("-")[2]}
    heights = _heights(card) if "video" in kinds else ()
    sizes = _sizes(card) if "image" in kinds else ()
    prices, unit, usual = _prices(card, kinds, heights, sizes)
    return Facts(
        heights=heights,
        sizes=sizes,
        longest=_longest(card) if kinds & {"video", "audio"} else UNKNOWN,
        features=features_of(card, kinds, heights, sizes),
        prices=prices,
        unit=unit,
        usual=usual,
        length=_length(card, prices[usual]) if unit == SECOND else UNKNOWN,
    )


def _height(value: object) -> int | None:
    """Return the place in `HEIGHTS` of a size such as ``1080p``, ``768P``, ``4k``, ``2160p``."""
    text = str(value).lower()
    if found := re.fullmatch(r"(?:true_)?(\d{3,4})p", text):
        height = int(found[1])
    elif text in ("2k", "4k", "8k"):
        height = {"2k": 1440, "4k": 2160, "8k": 4320}[text]
    else:
        return None
    return next(place for most, place in _PLACES if height < most)


def _heights(card: ModelCard) -> tuple[int, ...]:
    found: set[int] = set()
    for name in _SIZE_FIELDS:
        for choice in choices_of(card.properties.get(name, {})):
            if (place := _height(choice)) is not None:
                found.add(place)
    if not found:
        for height, kilo in _HEIGHT_WORD.findall(
            f"{card.endpoint_id.replace('/', ' ')} {card.summary}"
        ):
            place = _height(f"{height}p" if height else f"{kilo}k")
            if place is not None:
                found.add(place)
    return tuple(sorted(found))


def _sizes(card: ModelCard) -> tuple[int, ...]:
    found: set[int] = set()
    for name in (*_SIZE_FIELDS, "image_size"):
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
    for name in _LENGTH_FIELDS:
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


# ---------------------------------------------------------------- prices


def _prices(
    card: ModelCard, kinds: set[str], heights: tuple[int, ...], sizes: tuple[int, ...]
) -> tuple[tuple[float, ...], int, int]:
    """Return the columns, the group the card is priced in, and the column of its defaults."""
    prices = [UNKNOWN] * COLUMNS
    if card.price is None:
        return tuple(prices), REQUEST, REQUEST
    # A price cut ends on a day, and what is built from facts must not depend on the day.
    steady = replace(card, price={k: v for k, v in card.price.items() if k != "promo"})
    plain = _arguments(steady)
    prices[REQUEST], seconds = _cost(steady, plain)
    unit, usual = REQUEST, REQUEST
    if "video" in kinds or (card.price["unit"] in ("second", "minute") and "image" not in kinds):
        usual = _video_prices(steady, plain, heights, prices, seconds)
        unit = SECOND
    elif "image" in kinds:
        _picture_prices(steady, plain, sizes, prices)
        unit, usual = PICTURE, PICTURE
    if card.price["unit"] == "1000 characters":
        amount = float(card.price["amount"]) / float(card.price.get("quantity") or 1)
        prices[CHARACTERS], unit, usual = amount, CHARACTERS, CHARACTERS
    return tuple(prices), unit, usual


def _arguments(card: ModelCard) -> dict[str, Any]:
    arguments = example_arguments(card)
    for name in _LENGTH_FIELDS:
        schema = card.properties.get(name)
        if schema is None or name in arguments:
            continue
        choices = [c for c in choices_of(schema) if quantity_of(c)]
        if choices:
            arguments[name] = min(
                choices, key=lambda c: abs((quantity_of(c) or (0, ""))[0] - USUAL_SECONDS)
            )
        elif "default" not in schema:
            arguments[name] = min(
                max(USUAL_SECONDS, schema.get("minimum", 0)), schema.get("maximum", 60)
            )
        break
    return arguments


def _length(card: ModelCard, a_second: float) -> float:
    """Return the seconds of a run by default, such that at *a_second* they cost what it does.

    Below zero where no length is known and one of about `USUAL_SECONDS` is supposed.
    """
    arguments = example_arguments(card)
    arguments = {name: arguments[name] for name in arguments if name not in _LENGTH_FIELDS}
    given = with_defaults(card, arguments)
    named = next((name for name in _LENGTH_FIELDS if name in card.properties), None)
    is_told = named is not None and quantity_of(given.get(named)) is not None
    is_told = is_told or (named is None and "num_frames" in given)
    steady = replace(card, price={k: v for k, v in (card.price or {}).items() if k != "promo"})
    dollars, seconds = _cost(steady, arguments if is_told else _arguments(steady))
    # Where a price is for a run of any length, this is the share of it that a second was given.
    length = dollars / a_second if a_second and not math.isnan(dollars) else seconds
    return length if is_told else -(USUAL_SECONDS if math.isnan(length) else length)


def _cost(card: ModelCard, arguments: dict[str, Any]) -> tuple[float, float]:
    """Return dollars and seconds of *arguments*, given media being 5 s of 1080p or 1024 x 1024."""
    facts: dict[tuple[str | int, ...], MediaFacts] = {}
    for name, kind in card.media_in.items():
        value = arguments.get(name)
        if value is None:
            continue
        fact = _given(kind)
        facts[(name,)] = fact
        if isinstance(value, list):
            for at in range(len(value)):  # pyright: ignore[reportUnknownArgumentType] - any JSON
                facts[(name, at)] = fact
    quote = estimate(card, arguments, facts)
    if quote.high is None:
        return UNKNOWN, UNKNOWN
    seconds = Work(card, arguments, with_defaults(card, arguments), facts).seconds()
    return float(quote.high), float(seconds.high) if seconds else USUAL_SECONDS


def _given(kind: str) -> MediaFacts:
    known: MediaKind = "video" if kind == "video" else "audio" if kind == "audio" else "image"
    if known == "video":
        return MediaFacts("video", "video/mp4", None, 1920, 1080, USUAL_SECONDS, 24.0, 120, True)
    if known == "audio":
        return MediaFacts("audio", "audio/mpeg", seconds=USUAL_SECONDS, has_audio=True)
    return MediaFacts("image", "image/png", width=1024, height=1024)


def _video_prices(
    card: ModelCard,
    plain: dict[str, Any],
    heights: tuple[int, ...],
    prices: list[float],
    seconds: float,
) -> int:
    """Fill the columns of a second by height and sound; return the column of the defaults."""
    field = next((n for n in _SIZE_FIELDS if _height_choices(card, n)), None)
    sound = sound_field(card)
    by_height = _height_choices(card, field) if field else {}
    places = tuple(by_height) or heights or tuple(range(len(HEIGHTS)))
    known: dict[tuple[object, object], float] = {}  # most cards have few of these
    for place in places:
        for heard in (0, 1):
            arguments = dict(plain)
            if field and place in by_height:
                arguments[field] = by_height[place]
            if sound:
                arguments[sound] = bool(heard)
            key = by_height.get(place), heard if sound else None
            if key not in known:
                known[key] = _per(*_cost(card, arguments))
            prices[SECOND + 2 * place + heard] = known[key]
    default = _height(card.properties[field].get("default")) if field else None
    at = default if default in places else places[min(1, len(places) - 1)]
    heard = int(bool(card.properties[sound].get("default"))) if sound else 1
    if math.isnan(prices[SECOND + 2 * at + heard]):
        prices[SECOND + 2 * at + heard] = _per(prices[REQUEST], seconds)
    return SECOND + 2 * at + heard


def _height_choices(card: ModelCard, name: str) -> dict[int, object]:
    """Return the largest choice of each height."""
    found: dict[int, object] = {}
    for choice in choices_of(card.properties.get(name, {})):
        if (place := _height(choice)) is not None:
            found[place] = choice
    return found


def _per(dollars: float, count: float) -> float:
    return dollars / count if count else UNKNOWN


def _picture_prices(
    card: ModelCard, plain: dict[str, Any], sizes: tuple[int, ...], prices: list[float]
) -> None:
    prices[PICTURE] = prices[REQUEST]
    for name in _SIZE_FIELDS:
        for choice in choices_of(card.properties.get(name, {})):
            if (text := str(choice).lower()) in SIZES:
                prices[PICTURE + SIZES.index(text)] = _cost(card, {**plain, name: choice})[0]
    for place in sizes:
        if math.isnan(prices[PICTURE + place]) and not place:
            prices[PICTURE + place] = prices[PICTURE]
