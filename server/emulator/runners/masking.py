"""Work on a part of a picture: fill or erase what a mask shows, cut the subject out."""

import random

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageMath

from server.emulator.runners.canvas import blurred, mapped, resized
from server.emulator.runners.given_pictures import min_of
from server.emulator.runners.label import label
from server.emulator.runners.pictures import drawn

Box = tuple[int, int, int, int]


def filled(
    picture: Image.Image, area: Image.Image, text: str, chance: random.Random
) -> Image.Image:
    """*picture* (RGB or RGBA) with what *text* asks for drawn inside the white of *area*.

    Without a text the area is erased from its surroundings. Pixels outside stay as they are; the
    label lies inside. An empty area changes nothing.
    """
    box = area.getbbox()
    if box is None:
        return picture.copy()
    if text:
        new = picture.convert("RGB")
        size = (box[2] - box[0], box[3] - box[1])
        new.paste(drawn(text, size, chance), box[:2])
    else:
        new = erased(picture.convert("RGB"), area)
    soft = ImageChops.darker(area, blurred(area, max(1.0, min(area.size) / 160)))
    edges = ImageChops.lighter(soft, mapped(area, lambda value: value * 0.6))
    blended = Image.composite(new, picture.convert("RGB"), ImageChops.darker(edges, area))
    _label_within(blended, area, box)
    if picture.mode == "RGBA":
        blended = blended.convert("RGBA")
        blended.putalpha(ImageChops.lighter(picture.getchannel("A"), area))
    whole = picture.copy()
    whole.paste(blended, (0, 0), area)
    return whole


def erased(picture: Image.Image, area: Image.Image) -> Image.Image:
    """*picture* (RGB) with the white of *area* grown over from its surroundings."""
    width, height = picture.size
    share = min(1.0, 256 / max(width, height))
    size = (max(2, round(width * share)), max(2, round(height * share)))
    small = resized(picture, size, Image.Resampling.BOX)
    hole = mapped(resized(area, size, Image.Resampling.BOX), lambda value: 255 if value > 0 else 0)
    known = mapped(hole, lambda value: 255 - value)
    for radius in (2, 4, 8, 16, 32, 64):
        # What is known, spread; the spread weight says how much of it arrived.
        weight = known.filter(ImageFilter.GaussianBlur(radius))
        spread = ImageChops.multiply(small, known.convert("RGB")).filter(
            ImageFilter.GaussianBlur(radius)
        )
        reached = mapped(weight, lambda value: 255 if value > 12 else 0)
        fresh = ImageChops.multiply(reached, mapped(known, lambda value: 255 - value))
        small.paste(_divided(spread, weight), (0, 0), fresh)
        known = ImageChops.lighter(known, reached)
    whole = picture.copy()
    whole.paste(blurred(resized(small, picture.size), 2.0), (0, 0), area)
    return whole


def _divided(spread: Image.Image, weight: Image.Image) -> Image.Image:
    """*spread* brought back to full strength where only a share of it arrived."""
    bands = [
        ImageMath.lambda_eval(lambda a: a["one"] * 255 / (a["weight"] + 1), one=one, weight=weight)
        for one in spread.split()
    ]
    return Image.merge("RGB", [band.convert("L") for band in bands])


def _label_within(picture: Image.Image, area: Image.Image, box: Box) -> None:
    """Put the label where it is wholly inside *area*, as low and far right as can be."""
    for share in (1.0, 0.7, 0.45, 0.3):
        width, height = round((box[2] - box[0]) * share), round((box[3] - box[1]) * share)
        found = label((width, height))
        if found is None:
            continue
        tag = found[0]
        for down in range(24, -1, -1):
            top = box[1] + round((box[3] - box[1] - tag.height) * down / 24)
            for across in range(24, -1, -1):
                left = box[0] + round((box[2] - box[0] - tag.width) * across / 24)
                if left < box[0] or top < box[1]:
                    continue
                if min_of(area.crop((left, top, left + tag.width, top + tag.height))) == 255:
                    picture.paste(tag.convert("RGB"), (left, top), tag.getchannel("A"))
                    return


def subject(picture: Image.Image) -> Image.Image:
    """An alpha mask of what stands out from the border of *picture*, soft at its edges.

    Colours near those of the border count as background where they hang together with it. Where
    nothing stands out, the middle does.
    """
    if picture.mode == "RGBA" and min_of(picture.getchannel("A")) < 128:
        return picture.getchannel("A")
    rgb = picture.convert("RGB")
    share = min(1.0, 200 / max(rgb.size))
    size = (max(4, round(rgb.width * share)), max(4, round(rgb.height * share)))
    small = resized(rgb, size, Image.Resampling.BOX).filter(ImageFilter.SMOOTH)
    far = _unlike_border(small)
    sheet = Image.new("L", (size[0] + 2, size[1] + 2), 0)
    sheet.paste(far, (1, 1))
    ImageDraw.floodfill(sheet, (0, 0), 128, thresh=0)
    inside = mapped(sheet.crop((1, 1, size[0] + 1, size[1] + 1)), lambda value: value != 128)
    inside = mapped(inside, lambda value: 255 if value else 0)
    inside = inside.filter(ImageFilter.MaxFilter(3)).filter(ImageFilter.MedianFilter(5))
    covered = inside.histogram()[255] / (size[0] * size[1])
    if not 0.02 < covered < 0.95:
        inside = Image.new("L", size, 0)
        box = (size[0] * 0.18, size[1] * 0.1, size[0] * 0.82, size[1] * 0.95)
        ImageDraw.Draw(inside).ellipse(box, fill=255)
    soft = resized(inside.filter(ImageFilter.GaussianBlur(0.9)), picture.size)
    return mapped(soft, lambda value: (value - 70) * 1.8)


def _unlike_border(small: Image.Image) -> Image.Image:
    """White where a pixel differs from the border pixels of its row and column."""
    width, height = small.size
    left = resized(small.crop((0, 0, 1, height)), small.size, Image.Resampling.NEAREST)
    right = resized(small.crop((width - 1, 0, width, height)), small.size, Image.Resampling.NEAREST)
    top = resized(small.crop((0, 0, width, 1)), small.size, Image.Resampling.NEAREST)
    nearest: Image.Image | None = None
    for side in (left, right, top):
        bands = ImageChops.difference(small, blurred(side, 3.0)).split()
        apart = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
        nearest = apart if nearest is None else ImageChops.darker(nearest, apart)
    assert nearest is not None  # noqa: S101  # three sides were looked at
    return mapped(nearest, lambda value: 255 if value > 30 else 0)


def cut_out(picture: Image.Image) -> Image.Image:
    """*picture* as RGBA with its background clear."""
    whole = picture.convert("RGBA")
    whole.putalpha(subject(picture))
    return whole
