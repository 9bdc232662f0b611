"""Pictures drawn from a prompt and a seed."""

import random

from PIL import Image, ImageDraw, ImageFont

from server.emulator.runners import abstract, retouch, scene
from server.emulator.runners.canvas import Layer, Size, flat, grain, resized
from server.emulator.runners.label import stamped
from server.emulator.runners.palette import palette
from server.emulator.runners.picture_file import keep
from server.emulator.runners.request import Request
from server.emulator.runners.sizes import picture_size
from server.emulator.runners.words import Wishes, wishes
from server.emulator.work import Made

# Drawing is worked out on at most so many pixels; larger pictures are enlarged from it.
MAX_DRAWN_PIXELS = 2_400_000


def draw_all(request: Request) -> list[Made]:
    """Draw as many pictures as *request* asks for, each from a seed of its own.

    Raises:
        RunnerError: the asked size is absurd.
    """
    size = picture_size(request)
    count = picture_count(request)
    made: list[Made] = []
    for place in range(count):
        request.report(
            place / count, f"drawing picture {place + 1} of {count} at {size[0]} x {size[1]}"
        )
        if request.is_flagged:  # comes back black, as on fal
            picture = Image.new("RGB", size)
        else:
            picture = drawn(request.text, size, request.chance("picture", place))
        made.append(keep(stamped(picture), request))
    return made


def picture_count(request: Request) -> int:
    """How many pictures are asked for, from one to sixteen."""
    return int(
        min(
            16,
            max(
                1,
                request.number("num_images", "num_samples", "n", "num_outputs", "batch_size") or 1,
            ),
        )
    )


def drawn(text: str, size: Size, chance: random.Random) -> Image.Image:
    """Return an RGB picture of *size* that shows what *text* asks for, without a label."""
    wished = wishes(text)
    inner = _inner(size)
    picture = flat(sheets(wished, chance, inner))
    for style, change in retouch.STYLES.items():
        if style in wished.styles and style != "neon":
            picture = change(picture)
    picture = grain(picture, chance)
    if inner != size:
        picture = resized(picture, size, Image.Resampling.LANCZOS)
    if wished.caption:
        written(picture, wished.caption)
    return picture


def sheets(wished: Wishes, chance: random.Random, size: Size) -> list[Layer]:
    """Return the layers of a picture of *wished*, a scene or an abstract composition."""
    colours = palette(wished, chance)
    return (abstract if wished.is_abstract else scene).layers(wished, colours, chance, size)


def _inner(size: Size) -> Size:
    width, height = size
    small = min(size)
    if small < 96:  # fine strokes need some room, so tiny pictures are drawn larger
        return round(width * 96 / small), round(height * 96 / small)
    share = (MAX_DRAWN_PIXELS / (width * height)) ** 0.5
    return size if share >= 1 else (max(1, round(width * share)), max(1, round(height * share)))


def written(picture: Image.Image, caption: str) -> None:
    """Write *caption* across the upper part of *picture*, which is changed."""
    letters = max(10, round(min(picture.width / max(4, len(caption)) * 1.5, picture.height * 0.16)))
    font = ImageFont.load_default(size=letters)
    pen = ImageDraw.Draw(picture)
    middle = (picture.width / 2, picture.height * 0.2)
    pen.text(
        middle,
        caption,
        font=font,
        anchor="mm",
        fill=(255, 252, 244),
        stroke_width=max(1, letters // 14),
        stroke_fill=(24, 22, 32),
    )
