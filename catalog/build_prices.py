"""Work out what a card costs for the kinds of work that searches ask for."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from catalog.build_features import choices_of
from catalog.card import ModelCard
from catalog.describe import example_arguments
from catalog.field_values import near_length
from catalog.granting import LENGTH_FIELDS as LENGTHS
from catalog.granting import USUAL_SECONDS, sized_fields, sound_field
from catalog.media import MediaFacts, MediaKind
from catalog.nearest import quantity_of
from catalog.pricing import estimate
from catalog.quantity import COUNTS, Work
from catalog.schema import with_defaults
from catalog.search_tables import (
    CHARACTERS,
    COLUMNS,
    FULL_HD,
    HEIGHTS,
    PICTURE,
    REQUEST,
    SECOND,
    SIZES,
)
from catalog.tiers import conditions

UNKNOWN = math.nan
SIZE_FIELDS = ("resolution", "target_resolution", "output_resolution")
LENGTH_FIELDS = ("duration", "duration_seconds", "seconds_total", "music_duration", "max_duration")
_PLACES = ((600, 0), (800, 1), (1200, 2), (1600, 3), (100_000, 4))
# Lines of pictures of 16:9 by the columns of their prices: full HD, and what 2K and 4K mean then.
_LINES = {FULL_HD: 1080, PICTURE + 1: 1440, PICTURE + 2: 2160}
# Lengths of runs whose prices are looked at, and one that no model makes, in seconds.
_SAMPLES_LISTED = (
    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 18 20 25 30 40 45 60 75 90 120 150 180 240"
)
_SAMPLES = tuple(float(number) for number in _SAMPLES_LISTED.split())
_LONGEST = 100_000.0
# Fields that say how much is wanted; the others may be chosen for their price.
_NOT_CHOSEN = frozenset(
    (*LENGTHS, *SIZE_FIELDS, *COUNTS, "image_size", "video_size", "size", "num_frames")
)
_MOST_TRIED, _NOTHING_SAVED = 128, 0.97
# Units of which a run counts one, however long it is.
_BY_CLIP = ("video", "generation", "request", "audio")


def height_place(value: object) -> int | None:
    """Return the place in `HEIGHTS` of a size such as ``1080p``, ``768P``, ``4k``, ``2160p``."""
    text = str(value).lower()
    if found := re.fullmatch(r"(?:true_)?(\d{3,4})p", text):
        height = int(found[1])
    elif text in ("2k", "4k", "8k"):
        height = {"2k": 1440, "4k": 2160, "8k": 4320}[text]
    else:
        return None
    return next(place for most, place in _PLACES if height < most)


@dataclass(frozen=True)
class Prices:
    """What a card costs, as `catalog.pricing` works it out, in the columns that searches look up.

    *columns* are `COLUMNS` dollars, NaN where not known; *unit* is the column group the card is
    mostly priced in, *usual* the column of the price at the defaults. *length* are the seconds of a
    run of which nobody says how long, below zero where that is `USUAL_SECONDS` or near it for want
    of a default. *span* are lengths that can be made, shortest first, each with the seconds of the
    usual price that are billed of it; of *steps* nothing between them can be made. An infinite one
    stands for a clip that costs the same however long it becomes, and whose length nobody chooses.
    *least* is the share of the usual price that a run costs at its cheapest choices, but for size,
    sound and length, and those choices in words; 1 where there are none.
    """

    columns: tuple[float, ...]
    unit: int = REQUEST
    usual: int = REQUEST
    length: float = UNKNOWN
    span: tuple[tuple[float, float], ...] = ()
    steps: bool = False
    least: tuple[float, str] = (1.0, "")


def prices_of(
    card: ModelCard, kinds: set[str], heights: tuple[int, ...], sizes: tuple[int, ...]
) -> Prices:
    """Return the prices of *card*, which makes media of *kinds* at these places of sizes."""
    columns = [UNKNOWN] * COLUMNS
    if card.price is None:
        return Prices(tuple(columns))
    # A price cut ends on a day, and what is built from facts must not depend on the day.
    steady = replace(card, price={k: v for k, v in card.price.items() if k != "promo"})
    plain = _arguments(steady)
    columns[REQUEST], seconds = _cost(steady, plain)
    unit, usual = REQUEST, REQUEST
    by_time = card.price["unit"] in ("second", "minute") and "image" not in kinds
    if "video" in kinds or by_time:
        usual, plain = _video_prices(steady, plain, heights, columns, seconds)
        unit = SECOND
    elif "image" in kinds:
        _picture_prices(steady, plain, sizes, columns)
        unit, usual = PICTURE, PICTURE
    if card.price["unit"] == "1000 characters":
        amount = float(card.price["amount"]) / float(card.price.get("quantity") or 1)
        columns[CHARACTERS], unit, usual = amount, CHARACTERS, CHARACTERS
    least = _least(steady, plain)
    if unit != SECOND:
        return Prices(tuple(columns), unit, usual, least=least)
    length = _length(card, columns[usual])
    span, steps = _span(steady, plain, columns[usual])
    return Prices(tuple(columns), unit, usual, length, span, steps, least)


def _least(card: ModelCard, arguments: Mapping[str, Any]) -> tuple[float, str]:
    """Return what the cheapest choices of fields that prices speak of save, and these choices."""
    usual, _ = _cost(card, dict(arguments))
    rules: Sequence[Mapping[str, Any]] = (card.price or {}).get("qualifiers") or ()
    names = dict.fromkeys(name for rule in rules for name, _ in conditions(rule, "when"))
    choices: list[list[tuple[str, object]]] = []
    for name in names:
        if name in _NOT_CHOSEN or (name == sound_field(card)) or name not in card.properties:
            continue
        known = choices_of(card.properties[name])
        known = known or ([True, False] if card.properties[name].get("type") == "boolean" else [])
        if known:
            choices.append([(name, value) for value in known])
    if math.isnan(usual) or not usual or not choices or math.prod(map(len, choices)) > _MOST_TRIED:
        return 1.0, ""
    tried = [dict(chosen) for chosen in product(*choices)]
    costs = [(_cost(card, {**arguments, **chosen})[0], at) for at, chosen in enumerate(tried)]
    dollars, at = min((one for one in costs if not math.isnan(one[0])), default=(usual, 0))
    if dollars >= usual * _NOTHING_SAVED:
        return 1.0, ""
    defaults = with_defaults(card, arguments)
    chosen = [(name, value) for name, value in tried[at].items() if defaults.get(name) != value]
    return dollars / usual, ", ".join(f"{name}={_said(value)}" for name, value in chosen)


def _said(value: object) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _span(
    card: ModelCard, arguments: Mapping[str, Any], a_second: float
) -> tuple[tuple[tuple[float, float], ...], bool]:
    """Return the lengths that *card* makes and the seconds billed of each, and if only those."""
    name = next((name for name in LENGTHS if name in card.properties), None)
    if math.isnan(a_second) or not a_second:
        return (), False
    if name is None:
        if (card.price or {}).get("unit") not in _BY_CLIP:
            return (), False
        dollars, _ = _cost(card, dict(arguments))
        return ((math.inf, round(dollars / a_second, 3)),), True
    steps = bool(choices_of(card.properties[name]))
    longest = near_length(card, name, _LONGEST)
    if longest is None or longest[1] >= _LONGEST:  # nobody knows where it ends
        costs = {_cost(card, {**arguments, name: seconds})[0] for seconds in (5, 20)}
        if len(costs) > 1 or not costs or math.isnan(dollars := costs.pop()):
            return (), False
        billed = round(dollars / a_second, 3)
        return ((0.0, billed), (_LONGEST, billed)), False
    found: dict[float, float] = {}
    for seconds in (*_SAMPLES, longest[1]):
        near = near_length(card, name, seconds)
        if near is not None and near[1] >= seconds and near[1] not in found:
            dollars, _ = _cost(card, {**arguments, name: near[0]})
            if math.isnan(dollars):
                return (), False
            found[near[1]] = round(dollars / a_second, 3)
    return tuple(sorted(found.items())), steps


def _arguments(card: ModelCard) -> dict[str, Any]:
    arguments = example_arguments(card)
    for name in LENGTH_FIELDS:
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
    arguments = {name: arguments[name] for name in arguments if name not in LENGTH_FIELDS}
    given = with_defaults(card, arguments)
    named = next((name for name in LENGTH_FIELDS if name in card.properties), None)
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
) -> tuple[int, dict[str, Any]]:
    """Fill the columns of a second by height and sound; return that of the defaults, and those."""
    field = next((n for n in SIZE_FIELDS if _height_choices(card, n)), None)
    sound = sound_field(card)
    by_height = _height_choices(card, field) if field else {}
    sized = {} if by_height else _sized(card)
    places = tuple(by_height) or tuple(sized) or heights or tuple(range(len(HEIGHTS)))
    known: dict[tuple[object, object], float] = {}  # most cards have few of these

    def cost(place: int, heard: int) -> tuple[float, dict[str, Any]]:
        arguments = {**plain, **sized.get(place, {})}
        if field and place in by_height:
            arguments[field] = by_height[place]
        if sound:
            arguments[sound] = bool(heard)
        key = place if place in sized else by_height.get(place), heard if sound else None
        if key not in known:
            known[key] = _per(*_cost(card, arguments))
        return known[key], arguments

    own = len(HEIGHTS)  # the place of a size that has no name
    for place in (*places, own) if sized else places:
        for heard in (0, 1):
            prices[SECOND + 2 * place + heard] = cost(place, heard)[0]
    default = height_place(card.properties[field].get("default")) if field else None
    at = default if default in places else own if sized else places[min(1, len(places) - 1)]
    heard = int(bool(card.properties[sound].get("default"))) if sound else 1
    if math.isnan(prices[SECOND + 2 * at + heard]):
        prices[SECOND + 2 * at + heard] = _per(prices[REQUEST], seconds)
    return SECOND + 2 * at + heard, cost(at, heard)[1]


def _sized(card: ModelCard) -> dict[int, Mapping[str, object]]:
    """Return a width and height for each of `HEIGHTS`, empty where the card does not take such."""
    found = {place: sized_fields(card, lines, "16:9") for place, lines in enumerate(HEIGHTS)}
    return {place: fields for place, fields in found.items() if fields}


def _height_choices(card: ModelCard, name: str) -> dict[int, object]:
    """Return the choice of each height: the one of its very name, else the largest."""
    found: dict[int, object] = {}
    for choice in choices_of(card.properties.get(name, {})):
        place = height_place(choice)
        if place is not None and found.get(place) != f"{HEIGHTS[place]}p":
            found[place] = choice
    return found


def _per(dollars: float, count: float) -> float:
    return dollars / count if count else UNKNOWN


def _picture_prices(
    card: ModelCard, plain: dict[str, Any], sizes: tuple[int, ...], prices: list[float]
) -> None:
    prices[PICTURE] = prices[REQUEST]
    for name in SIZE_FIELDS:
        for choice in choices_of(card.properties.get(name, {})):
            if (text := str(choice).lower()) in SIZES:
                prices[PICTURE + SIZES.index(text)] = _cost(card, {**plain, name: choice})[0]
    for place in sizes:
        if math.isnan(prices[PICTURE + place]) and not place:
            prices[PICTURE + place] = prices[PICTURE]
    if "megapixel" not in str((card.price or {}).get("unit")):
        return
    for column, lines in _LINES.items():
        sides = sized_fields(card, lines, "16:9")
        if sides and math.isnan(prices[column]):
            prices[column] = _cost(card, {**plain, **sides})[0]


def spans_of(prices: Sequence[Prices]) -> dict[str, tuple[str, list[Any]]]:
    """Return the arrays of `catalog.search_spans.Spans` for cards of these *prices*, in order."""
    numbers: dict[tuple[object, bool], int] = {((), False): 0}
    starts, points, steps = [0, 0], list[float](), [0]
    of_cards: list[int] = []
    for one in prices:
        key = one.span, one.steps
        if key not in numbers:
            numbers[key] = len(numbers)
            points += [number for point in one.span for number in point]
            starts.append(len(points))
            steps.append(int(one.steps))
        of_cards.append(numbers[key])
    return {
        "spans": ("H", of_cards),
        "span_starts": ("I", starts),
        "span_points": ("f", points),
        "span_steps": ("B", steps),
    }


def least_of(prices: Sequence[Prices]) -> dict[str, tuple[float, str]]:
    """Return `Prices.least` by the place of a card, of those that can be had for less."""
    shares = {str(at): one.least for at, one in enumerate(prices) if one.least[1]}
    return {at: (round(share, 4), words) for at, (share, words) in shares.items()}
