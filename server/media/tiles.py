"""Tiles side by side on one picture.

Imports Pillow; import this module late.
"""

import io
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

from server.media.overview import Tile
from server.media.pixels import encoded, lettering
from server.media.sheet import sheet
from tools.errors import MediaError
from tools.ports import Picture

_GAP = 8
_LARGEST = 512
_LETTERS = 15
_CAPTION = 24
_BACKGROUND = (24, 24, 24)
_EMPTY = (52, 52, 52)
_WORDS = (235, 235, 235)


def arranged(tiles: Sequence[Tile], size: int, max_bytes: int) -> Picture:
    """Return *tiles* in rows on a picture of *size* pixels at most, as JPEG."""
    columns = math.ceil(math.sqrt(len(tiles)))
    side = min(_LARGEST, (size - _GAP) // columns - _GAP)
    rows = -(-len(tiles) // columns)
    canvas = Image.new(
        "RGB",
        (_GAP + columns * (side + _GAP), _GAP + rows * (side + _CAPTION + _GAP)),
        _BACKGROUND,
    )
    draw = ImageDraw.Draw(canvas)
    for number, tile in enumerate(tiles):
        left = _GAP + number % columns * (side + _GAP)
        top = _GAP + number // columns * (side + _CAPTION + _GAP)
        shown = _picture(tile, side)
        if shown is None:
            draw.rectangle((left, top, left + side - 1, top + side - 1), fill=_EMPTY)
        else:
            across = left + (side - shown.width) // 2
            canvas.paste(shown, (across, top + (side - shown.height) // 2))
        draw.text((left + 2, top + side + 3), _cut(tile.caption, side), _WORDS, lettering(_LETTERS))
    if max(canvas.size) > size:
        canvas.thumbnail((size, size))
    return encoded(canvas, max_bytes=max_bytes)


def _picture(tile: Tile, side: int) -> Image.Image | None:
    """Return what *tile* looks like within *side* pixels; None where there is nothing to see."""
    if tile.path is None:
        return None
    try:
        view = sheet(tile.path, frames=1, size=side)
    except (MediaError, OSError):
        return None
    if not view.pictures:
        return None
    with Image.open(io.BytesIO(view.pictures[0].data)) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((side, side))
    return picture


def _cut(caption: str, side: int) -> str:
    """Return as much of *caption* as is *side* pixels wide."""
    letters = lettering(_LETTERS)
    if letters.getlength(caption) <= side:
        return caption
    while caption and letters.getlength(f"{caption}…") > side:
        caption = caption[:-1]
    return f"{caption}…"
