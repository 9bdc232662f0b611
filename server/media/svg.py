"""The stated size of an SVG drawing, read without drawing it."""

import re
from pathlib import Path

from server.media.signs import decoded

_OPENING = re.compile(r"<(?:\w+:)?svg\b([^>]*)>", re.IGNORECASE | re.DOTALL)
_LENGTH = r"""\b{}\s*=\s*["']\s*([\d.]+)\s*(?:px)?\s*["']"""
_VIEW_BOX = re.compile(
    r"""\bviewBox\s*=\s*["']\s*[-\d.]+[\s,]+[-\d.]+[\s,]+([\d.]+)[\s,]+([\d.]+)"""
)


def svg_size(path: Path) -> tuple[int | None, int | None]:
    """Return the width and height in pixels that the drawing states, None where it does not."""
    with path.open("rb") as file:
        text = decoded(file.read(100_000), whole=False) or ""
    opening = _OPENING.search(text)
    if opening is None:
        return None, None
    attributes = opening[1]
    sides = [re.search(_LENGTH.format(name), attributes) for name in ("width", "height")]
    if all(sides):
        width, height = (_pixels(side[1]) for side in sides if side is not None)
        return width, height
    box = _VIEW_BOX.search(attributes)
    return (_pixels(box[1]), _pixels(box[2])) if box is not None else (None, None)


def _pixels(given: str) -> int | None:
    try:
        return round(float(given)) or None
    except ValueError:
        return None
