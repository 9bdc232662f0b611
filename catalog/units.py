"""How many units of a price a request uses: megapixels, seconds, characters, steps."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from catalog.quantity import MEGAPIXEL, Work
from catalog.span import ONE, Span, decimal, plain

# Units whose number is known only after the run, or never said.
UNPRICED: Mapping[str, str] = {
    "compute second": "the run time is not known before the run",
    "unit": "the source does not say what a unit is",
    "credit": "the source does not say what a credit is",
    "1000 tokens": "the tokens are not known before the run",
    "1M tokens": "the tokens are not known before the run",
    "layer": "the number of layers is not known before the run",
}
SHORT: Mapping[str, str] = {
    "second": "s",
    "minute": "min",
    "megapixel": "MP",
    "processed megapixel": "MP in and out",
    "megapixel second": "MP per second",
    "1000 characters": "1000 characters",
    "compute second": "compute second",
}
_PER_RESULT = ("image", "generation", "video", "audio", "training", "voice")


@dataclass(frozen=True, slots=True)
class Measure:
    """How many units, and how that was reached in short words."""

    span: Span
    words: str


def unit_words(unit: str, quantity: object = None) -> str:
    """Return *unit* as it follows a slash: ``s``, ``MP``, ``10 s``."""
    short = SHORT.get(unit, unit)
    if quantity is not None and unit == "frame":
        short = "frames"
    return short if quantity in (None, 1) else f"{plain(decimal(quantity))} {short}"


def measured(work: Work, unit: str, price: Mapping[str, Any]) -> Measure | None:
    """Return how many of *unit* the request uses, None where nothing bounds it.

    A *price* may say of what (``basis``), how it is rounded, and the least that is billed. Its
    ``quantity`` is applied: a price for 10 seconds counts in tens of seconds, whole ones or not.
    """
    found = _raw(work, unit, price)
    if found is None:
        return None
    span, words = found.span, found.words
    exact = span
    rounding = str(price.get("rounding") or "")
    if step := re.search(r"multiples of (\d+)", rounding):
        span = span.rounded_up(Decimal(step[1]))
    elif rounding in ("up", "up to whole seconds") and "megapixel" not in unit:
        span = span.rounded_up()
    if span != exact:
        words = f"{words} counted as {span}"
    least = price.get("minimum_quantity") or _least(price)
    if least is not None and span.low < decimal(least):
        span = span.at_least(decimal(least))
        words = f"{words}, at least {least}"
    quantity = decimal(price.get("quantity") or 1)
    if quantity != 1:
        span = span.over(quantity)
        if not rounding and span != span.rounded_up():
            work.note(f"billed in parts or in whole {unit_words(unit, quantity)}: not stated")
            span = span.hull(span.rounded_up())
        words = f"{words} / {plain(quantity)}"
    return Measure(span, words)


def _least(price: Mapping[str, Any]) -> str | None:
    found = re.search(r"(\d+) s minimum", str(price.get("basis") or ""))
    return found[1] if found else None


def _raw(work: Work, unit: str, price: Mapping[str, Any]) -> Measure | None:
    count = work.count()
    match unit:
        case "request":
            span = count if count.is_exact and count.low == 1 else Span(ONE, count.high)
            return Measure(span, f"{span} request{'s' if span.high > 1 else ''}")
        case "second" | "minute":
            return _time(work, unit, price)
        case "megapixel" | "processed megapixel":
            return _megapixels(work, unit, price)
        case "megapixel second":
            return _megapixel_seconds(work)
        case "1000 characters" | "100 characters":
            length = work.characters()
            size = Decimal(unit.split()[0])
            return Measure(length.over(size), f"{length} characters / {size}") if length else None
        case "frame":
            return _counted(work.input_frames() or work.frames(), "frames")
        case "step":
            return _steps(work, price)
        case _ if unit in _PER_RESULT:
            plural = "s" if count.high > 1 and not unit.endswith("o") else ""
            return Measure(count, f"{count} {unit}{plural}")
        case _:
            return None


def _counted(span: Span | None, noun: str) -> Measure | None:
    return Measure(span, f"{span} {noun}") if span else None


def _steps(work: Work, price: Mapping[str, Any]) -> Measure | None:
    if "layers" in str(price.get("basis")):
        work.note("the number of layers multiplies the price")
        return None
    return _counted(work.steps(), "steps")


def _time(work: Work, unit: str, price: Mapping[str, Any]) -> Measure | None:
    seconds = _seconds(work, str(price.get("basis") or ""))
    if seconds is None:
        return _one_piece(work, price)
    if unit == "minute":
        # Parts of a unit are billed in parts (observed in billing data: 3.008 seconds).
        minutes = seconds.over(Decimal(60))
        return Measure(minutes, f"{minutes} min")
    if price.get("per") == "sample" and (count := work.count()) != Span.of(1):
        return Measure(seconds * count, f"{count} x {seconds} s")
    return Measure(seconds, f"{seconds} s")


def _one_piece(work: Work, price: Mapping[str, Any]) -> Measure | None:
    """Return one piece of the length that is sold, for models that let nobody choose a length."""
    quantity = price.get("quantity")
    lasting = ("video", "audio")
    if not quantity or work.takes("duration") or any(work.media(kind) for kind in lasting):
        return None
    work.note(f"sold in pieces of {quantity} s, and no length can be chosen: one piece")
    return Measure(Span.of(quantity), f"{quantity} s")


def _seconds(work: Work, basis: str) -> Span | None:
    """Return the seconds that *basis* counts: of what comes back, of what was given, or both."""
    if basis.startswith("input+output"):
        given = work.input_seconds("video")
        # An edit is as long as what it edits.
        made = work.seconds() if work.takes("duration") else given
        if given is None or made is None:
            return None
        both = given + made
        if "twice the output" in basis:
            both = Span(max(both.low, made.low * 2), max(both.high, made.high * 2))
        return both
    if basis.startswith("input"):
        kinds = [kind for kind in ("video", "audio") if kind in basis]
        return work.input_seconds(*kinds) or work.seconds()
    return work.seconds()


def picture_megapixels(work: Work, pixels: Span, price: Mapping[str, Any]) -> Span:
    """Return the billed megapixels of one picture: rounded up, or a span where nobody says."""
    exact = pixels.over(MEGAPIXEL)
    whole = exact.rounded_up()
    if str(price.get("rounding") or "").startswith("up"):
        return whole
    if exact != whole:
        work.note("it is not stated whether a picture's megapixels are rounded up")
    return exact.hull(whole)


def _megapixels(work: Work, unit: str, price: Mapping[str, Any]) -> Measure | None:
    if "frames" in str(price.get("basis")) or work.card.category.endswith("to-video"):
        return _video_megapixels(work)
    pixels = work.pixels()
    if pixels is None:
        return None
    count = work.count()
    each = picture_megapixels(work, pixels, price)
    total = each * count
    words = f"{each} MP" if count == Span.of(1) else f"{count} x {each} MP"
    if unit == "processed megapixel" and price.get("basis") != "output":
        given = input_megapixels(work, price)
        if given.high:
            total, words = total + given, f"{given} MP in + {words} out"
    return Measure(total, words)


def input_megapixels(work: Work, price: Mapping[str, Any]) -> Span:
    """Return the billed megapixels of all given pictures, none being zero."""
    total = Span.of(0)
    most = price.get("input_resized_to_megapixels")
    for pixels in work.input_pictures():
        if most:
            pixels = pixels.at_most(decimal(most) * MEGAPIXEL)
        total = total + picture_megapixels(work, pixels, price)
    return total


def _video_megapixels(work: Work) -> Measure | None:
    frames = work.frames() or work.input_frames()
    pixels = work.pixels()
    if frames is None or pixels is None:
        return None
    return Measure(
        (pixels * frames).over(MEGAPIXEL), f"{frames} frames x {pixels.over(MEGAPIXEL)} MP"
    )


def _megapixel_seconds(work: Work) -> Measure | None:
    pixels, seconds = work.pixels(), work.seconds()
    if pixels is None or seconds is None:
        return None
    return Measure((pixels * seconds).over(MEGAPIXEL), f"{seconds} s x {pixels.over(MEGAPIXEL)} MP")
