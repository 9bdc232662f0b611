"""Change the frame of a picture: larger canvas, more pixels, several pictures in one."""

import math
from collections.abc import Sequence
from typing import cast

from PIL import Image, ImageFilter, ImageOps

from server.emulator.runners.canvas import blurred, resized
from server.emulator.runners.request import Request
from server.emulator.runners.sizes import MAX_PIXELS, Size, asked_ratio, bounded, picture_size

Box = tuple[int, int, int, int]


def extended(picture: Image.Image, request: Request) -> Image.Image:
    """*picture* on a larger canvas, as the arguments ask; the new ground continues its edges.

    Raises:
        RunnerError: the canvas would be beyond 40 megapixels.
    """
    size, place, inner = _canvas(picture, request)
    bounded(size, MAX_PIXELS, request)
    kept = picture if inner == picture.size else resized(picture, inner, Image.Resampling.LANCZOS)
    whole = _ground(kept.convert("RGB"), size, place)
    whole.paste(kept, place, kept.getchannel("A") if kept.mode == "RGBA" else None)
    return whole


def _canvas(picture: Image.Image, request: Request) -> tuple[Size, tuple[int, int], Size]:
    """The size of the canvas, where the picture lies on it and how large it is there."""
    width, height = picture.size
    if request.arguments.get("canvas_size"):
        size = _pair(request.arguments["canvas_size"], (width, height))
        inner = _pair(request.arguments.get("original_image_size"), (width, height))
        middle = ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2)
        place = _pair(request.arguments.get("original_image_location"), middle, least=-10_000)
        return size, place, inner
    grown = {side: _pixels(request, side, picture.size) for side in _SIDES}
    if not any(grown.values()):
        share = min(90.0, request.number("zoom_out_percentage") or 0.0) / 100
        if share:
            side = 1 / (1 - share) - 1
            grown = dict(zip(_SIDES, _halves(width, height, side), strict=True))
    if any(grown.values()):
        size = (width + grown["left"] + grown["right"], height + grown["top"] + grown["bottom"])
        return size, (grown["left"], grown["top"]), picture.size
    return _reframed(picture, request)


_SIDES = ("left", "right", "top", "bottom")


def _halves(width: int, height: int, share: float) -> tuple[int, int, int, int]:
    across, down = round(width * share / 2), round(height * share / 2)
    return across, across, down, down


def _pixels(request: Request, side: str, size: Size) -> int:
    value = request.arguments.get(f"expand_{side}")
    if isinstance(value, bool):
        length = size[0] if side in ("left", "right") else size[1]
        ratio = request.number("expand_ratio") or 0.25
        return round(length * ratio) if value else 0
    return int(value) if isinstance(value, (int, float)) else 0


def _reframed(picture: Image.Image, request: Request) -> tuple[Size, tuple[int, int], Size]:
    width, height = picture.size
    asked = picture_size(request, picture.size)
    ratio = asked_ratio(request) or asked[0] / asked[1]
    if abs(ratio - width / height) < 0.01:  # nothing said: a quarter more on each side
        across, down = round(width * 0.25), round(height * 0.25)
        return (width + across * 2, height + down * 2), (across, down), picture.size
    if ratio > width / height:
        size = (round(height * ratio), height)
    else:
        size = (width, round(width / ratio))
    return size, ((size[0] - width) // 2, (size[1] - height) // 2), picture.size


def _pair(value: object, otherwise: tuple[int, int], least: int = 1) -> tuple[int, int]:
    if isinstance(value, list):
        parts = [part for part in cast("list[object]", value) if isinstance(part, (int, float))]
        if len(parts) == 2:
            return max(least, int(parts[0])), max(least, int(parts[1]))
    return otherwise


def _ground(kept: Image.Image, size: Size, place: tuple[int, int]) -> Image.Image:
    """What lies around *kept* on the canvas: its mirrored edges, ever softer to the outside."""
    left, top = place
    border = (
        max(0, left),
        max(0, top),
        max(0, size[0] - left - kept.width),
        max(0, size[1] - top - kept.height),
    )
    doubled = Image.new("RGB", (kept.width * 3, kept.height * 3))
    for row, down in enumerate((True, False, True)):
        for column, across in enumerate((True, False, True)):
            tile = ImageOps.flip(kept) if down else kept
            tile = ImageOps.mirror(tile) if across else tile
            doubled.paste(tile, (column * kept.width, row * kept.height))
    corner = (kept.width - border[0], kept.height - border[1])
    window = (*corner, kept.width * 2 + border[2], kept.height * 2 + border[3])
    ground = doubled.crop(window)
    if ground.size != size:
        ground = resized(ground, size)
    soft = blurred(ground, max(2.0, min(kept.size) / 40))
    near = Image.new("L", size, 0)
    near.paste(255, (left, top, left + kept.width, top + kept.height))
    near = blurred(near, max(2.0, min(kept.size) / 12))
    return Image.composite(ground, soft, near)


def enlarged(picture: Image.Image, request: Request) -> Image.Image:
    """*picture* at more pixels, by the asked factor or to the asked size, by Lanczos.

    Raises:
        RunnerError: the result would be beyond 40 megapixels.
    """
    size = bounded(_enlarged_size(picture.size, request), MAX_PIXELS, request)
    large = resized(picture, size, Image.Resampling.LANCZOS)
    return large.filter(ImageFilter.UnsharpMask(radius=1.5, percent=60, threshold=2))


def _enlarged_size(size: Size, request: Request) -> Size:
    width, height = size
    target = request.word("target_resolution")
    if target and request.word("upscale_mode") != "factor":
        lines = {"2k": 1440, "4k": 2160, "8k": 4320}.get(target) or int(target.rstrip("p"))
        factor = lines / min(size)
    else:
        named = request.number("upscale_factor", "scale_factor", "scale", "scale_ratio")
        factor = named if named else (1.0 if named == 0 else 2.0)
    return max(1, round(width * factor)), max(1, round(height * factor))


def covered(picture: Image.Image, size: Size) -> Image.Image:
    """*picture* at exactly *size*, its proportions kept, cut where it is too wide or too tall."""
    if picture.size == size:
        return picture
    ratio = size[0] / size[1]
    width, height = picture.size
    if width / height > ratio:
        part = height * ratio
        box = ((width - part) / 2, 0.0, (width + part) / 2, float(height))
    else:
        part = width / ratio
        box = (0.0, (height - part) / 2, float(width), (height + part) / 2)
    return resized(picture, size, Image.Resampling.LANCZOS, box)


def combined(pictures: Sequence[Image.Image], size: Size) -> Image.Image:
    """All *pictures* beside each other on *size*, in panels with soft edges (RGB)."""
    count = len(pictures)
    rows = 1 if count <= 4 else math.ceil(math.sqrt(count))
    columns = math.ceil(count / rows)
    whole = Image.new("RGB", size)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        in_row = min(columns, count - row * columns)
        left, right = round(size[0] * column / in_row), round(size[0] * (column + 1) / in_row)
        top, bottom = round(size[1] * row / rows), round(size[1] * (row + 1) / rows)
        lap = round(size[0] * 0.04) if column else 0
        after = round(size[0] * 0.04) if column < in_row - 1 else 0
        panel = (max(1, right - left + lap + after), max(1, bottom - top))
        shape = Image.new("L", panel, 255)
        if lap:
            shape.paste(resized(Image.linear_gradient("L").rotate(90), (lap * 2, panel[1])), (0, 0))
        whole.paste(covered(picture.convert("RGB"), panel), (left - lap, top), shape)
    return whole
