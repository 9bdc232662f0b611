"""Read sizes, shapes and numbers from values in whatever form a model has them."""

import math
import re
from typing import NamedTuple

from catalog.asked import RATIOS, SIZE, height_of
from catalog.convert import is_object
from catalog.nearest import pair_of, quantity_of
from catalog.quantity import SQUARES, short_side

_SAME_SHAPE = 0.03
_MOST = 100_000  # nobody makes larger or more
_LARGEST_RATIO = 32  # what is larger on both sides is a size


class Size(NamedTuple):
    """A size that was said: in pixels, or in lines with the word for them (``4k``)."""

    pixels: tuple[int, int] | None
    lines: int = 0
    kilo: str = ""

    def area(self, *, moves: bool) -> float:
        """Return the pixels of it, a wide picture's where only lines are told."""
        if self.pixels:
            return self.pixels[0] * self.pixels[1]
        if self.kilo in SQUARES and not moves:
            return SQUARES[self.kilo] ** 2
        return self.lines * self.lines * 16 / 9

    def __str__(self) -> str:
        if self.pixels:
            return f"{self.pixels[0]}x{self.pixels[1]}"
        return self.kilo or f"{self.lines}p"


def size_of(value: object) -> Size | None:
    """Return the size that *value* says in whatever form, None where it says none."""
    if is_object(value):
        wide, high = whole_of(value.get("width")), whole_of(value.get("height"))
        return Size((wide, high), min(wide, high)) if wide and high else None
    if isinstance(value, int | str) and not isinstance(value, bool):
        pair = pair_of(value)
        if pair and _LARGEST_RATIO < min(pair) <= max(pair) <= _MOST:
            wide, high = int(pair[0]), int(pair[1])
            return Size((wide, high), min(wide, high))
        found = re.fullmatch(SIZE, str(value).strip().lower())
        if found:
            return Size(None, height_of(found), f"{found[2]}k" if found[2] else "")
        if (lines := short_side(value)) and lines <= _MOST:
            word = str(value).lower().removeprefix("auto_")
            return Size(None, lines, word if word in SQUARES else "")
    return None


def area_of(choice: object, *, moves: bool) -> float:
    """Return the pixels of a choice of a size, 0 where it is none."""
    size = size_of(choice)
    if size is None:
        return 0.0
    is_side = not moves and not size.pixels and not size.kilo and str(choice).isdecimal()
    return float(size.lines**2) if is_side else size.area(moves=moves)


def ratio_of(value: object) -> str:
    """Return the shape that *value* says, such as ``16:9``, empty where it says none."""
    pair = pair_of(value) if isinstance(value, str) and "_" not in value else None
    ratio = f"{pair[0]:g}:{pair[1]:g}" if pair else ""
    return ratio if ratio in RATIOS else ""


def shape_of(wide: int, high: int) -> str:
    """Return the ratio of a size, empty where it has none with a name."""

    def off(ratio: str) -> float:
        one, other = map(int, ratio.split(":"))
        return abs(math.log(wide / high * other / one))

    nearest = min(sorted(RATIOS), key=off)
    return nearest if off(nearest) < _SAME_SHAPE else ""


def whole_of(value: object) -> int:
    """Return a whole number from 1 to 100,000, 0 where *value* is none."""
    got = quantity_of(value)
    return int(got[0]) if got and 0 < got[0] <= _MOST and got[0] == int(got[0]) else 0
