"""Strokes that all pictures share: gradients, glows, noise, smooth shapes, and layers of them."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from server.emulator.runners.words import Colour

Size = tuple[int, int]
Point = tuple[float, float]
Pen = Callable[[ImageDraw.ImageDraw, float], None]


@dataclass(frozen=True, slots=True)
class Layer:
    """One sheet of a picture, RGBA and as large as it.

    *drift* and *rise* say how a video moves it: widths to the left and heights upward in a whole
    clip; *bob* is the height of its swaying; *wraps* lets it enter again on the other side.
    """

    sheet: Image.Image
    drift: float = 0.0
    rise: float = 0.0
    bob: float = 0.0
    wraps: bool = False


def flat(layers: Sequence[Layer]) -> Image.Image:
    """The layers as one RGB picture, first at the back."""
    picture = layers[0].sheet.convert("RGBA")
    for layer in layers[1:]:
        picture.alpha_composite(layer.sheet)
    return picture.convert("RGB")


def gradient(size: Size, stops: Sequence[tuple[float, Colour]]) -> Image.Image:
    """An RGB picture that runs from top to bottom through *stops* (place from 0 to 1, colour)."""
    column = Image.new("RGB", (1, 128))
    for row in range(128):
        column.putpixel((0, row), _between(stops, row / 127))
    return resized(column, size)


def _between(stops: Sequence[tuple[float, Colour]], place: float) -> Colour:
    before = stops[0]
    for stop in stops:
        if stop[0] >= place:
            width = stop[0] - before[0]
            share = (place - before[0]) / width if width > 0 else 1.0
            share = share * share * (3 - 2 * share)
            return cast(
                "Colour",
                tuple(round(a + (b - a) * share) for a, b in zip(before[1], stop[1], strict=True)),
            )
        before = stop
    return stops[-1][1]


def glow(size: Size, centre: tuple[float, float], radius: float, strength: int) -> Image.Image:
    """A soft round light as an alpha mask: *strength* (0 to 255) at *centre*, none at *radius*."""
    side = max(2, round(radius * 2))
    # The gradient is dark at the rim of its inner circle only to 76, since it reaches the corners.
    light = mapped(
        ImageChops.invert(Image.radial_gradient("L")),
        lambda value: strength * max(0.0, (value - 76) / 179) ** 2.2,
    )
    mask = Image.new("L", size, 0)
    corner = (round(centre[0] - radius), round(centre[1] - radius))
    mask.paste(resized(light, (side, side)), corner)
    return mask


def noise(size: Size, chance: random.Random, cells: int, octaves: int = 3) -> Image.Image:
    """Smooth grey noise with *cells* cells across and finer ones on top; mean about 128."""
    across = max(2, cells)
    whole: Image.Image | None = None
    for octave in range(octaves):
        columns = across * 2**octave
        rows = max(2, round(columns * size[1] / size[0]))
        fine = Image.frombytes("L", (columns, rows), chance.randbytes(columns * rows))
        fine = resized(fine, size)
        whole = fine if whole is None else Image.blend(whole, fine, 0.5 / (octave + 0.5) * 0.7)
    return cast("Image.Image", whole)


def grain(picture: Image.Image, chance: random.Random, amount: int = 4) -> Image.Image:
    """*picture* (RGB) with a fine grain of *amount* levels, which hides steps in gradients."""
    rough = Image.frombytes("L", (256, 256), chance.randbytes(65_536))
    tile = mapped(rough, lambda value: value / 255 * amount)
    sheet = Image.new("L", picture.size)
    for left in range(0, picture.width, 256):
        for top in range(0, picture.height, 256):
            sheet.paste(tile, (left, top))
    return ImageChops.subtract(picture, Image.merge("RGB", (sheet, sheet, sheet)))


def mask(size: Size, pen: Pen) -> Image.Image:
    """An alpha mask of *size* with smooth edges; *pen* draws on it at the scale it is told."""
    fine = Image.new("L", (size[0] * 2, size[1] * 2), 0)
    pen(ImageDraw.Draw(fine), 2.0)
    return fine.reduce(2)


def circle(centre: Point, radius: float) -> list[Point]:
    """The outline of a circle, in pixels."""
    steps = [step / 72 * math.tau for step in range(72)]
    return [(centre[0] + radius * math.cos(t), centre[1] + radius * math.sin(t)) for t in steps]


def polygons(size: Size, shapes: Sequence[Sequence[Point]]) -> Image.Image:
    """An alpha mask of *size* with smooth edges that is white inside *shapes*."""
    xs = [x for shape in shapes for x, _ in shape]
    ys = [y for shape in shapes for _, y in shape]
    whole = Image.new("L", size, 0)
    if not xs:
        return whole
    left, top = max(0, int(min(xs))), max(0, int(min(ys)))
    right, bottom = min(size[0], int(max(xs)) + 1), min(size[1], int(max(ys)) + 1)
    if right <= left or bottom <= top:
        return whole
    fine = Image.new("L", ((right - left) * 2, (bottom - top) * 2), 0)
    pen = ImageDraw.Draw(fine)
    for shape in shapes:
        pen.polygon([((x - left) * 2, (y - top) * 2) for x, y in shape], fill=255)
    whole.paste(fine.reduce(2), (left, top))
    return whole


def resized(
    picture: Image.Image,
    size: Size,
    how: Image.Resampling = Image.Resampling.BICUBIC,
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    """*picture*, or what of it lies in *box* (left, top, right, bottom), at *size*."""
    # Pillow's annotations name numpy, which is not installed here.
    return picture.resize(size, how, box)  # pyright: ignore[reportUnknownMemberType]


def mapped(picture: Image.Image, curve: Callable[[float], float]) -> Image.Image:
    """*picture* with each value of each channel replaced by what *curve* makes of it, 0 to 255."""
    table = [min(255, max(0, round(curve(value)))) for value in range(256)]
    return picture.point(table * len(picture.getbands()))  # pyright: ignore[reportUnknownMemberType]


def painted(shape: Image.Image, fill: Colour | Image.Image) -> Image.Image:
    """An RGBA sheet that shows *fill* (a colour or an RGB picture) through the mask *shape*."""
    sheet = fill.copy() if isinstance(fill, Image.Image) else Image.new("RGB", shape.size, fill)
    sheet.putalpha(shape)
    return sheet


def blurred(picture: Image.Image, radius: float) -> Image.Image:
    """*picture* softened by *radius* pixels; wide radii are worked out small, as good and fast."""
    if radius <= 3:
        return picture.filter(ImageFilter.GaussianBlur(radius))
    factor = max(1, int(radius / 2))
    size = (max(1, picture.width // factor), max(1, picture.height // factor))
    small = resized(picture, size, Image.Resampling.BILINEAR)
    return resized(small.filter(ImageFilter.GaussianBlur(radius / factor)), picture.size)
