"""Edits in words: what an instruction names is done to the picture, visibly."""

import random

from PIL import Image, ImageChops, ImageDraw

from server.emulator.runners import motifs, retouch
from server.emulator.runners.canvas import (
    circle,
    glow,
    mapped,
    mask,
    painted,
    polygons,
    resized,
)
from server.emulator.runners.palette import mix, turned
from server.emulator.runners.pictures import written
from server.emulator.runners.words import (
    Colour,
    Wishes,
    changes,
    colour_names,
    wishes,
    words_of,
)

_CHANGES: dict[str, retouch.Retouch] = {
    **retouch.STYLES,
    "warmer": retouch.warmer,
    "cooler": retouch.cooler,
    "brighter": retouch.brighter,
    "darker": retouch.darker,
    "night": retouch.night,
    "sunset": retouch.sunset,
    "softer": retouch.softer,
    "sharper": retouch.sharper,
    "vivid": retouch.vivid,
    "restored": retouch.restored,
    "coloured": retouch.coloured,
}
_MOON = frozenset({"moon", "moonlight", "moonlit"})
_STARS = frozenset({"star", "starry", "starlight"})
_SIDES = {"left": (0.1, 0.4), "right": (0.9, 0.4), "top": (0.5, 0.05), "bottom": (0.5, 0.95)}


def instructed(picture: Image.Image, text: str, hint: str, chance: random.Random) -> Image.Image:
    """*picture* (RGB or RGBA) changed as *text* says, or as *hint* (an endpoint's name) suggests.

    Where the words mean nothing to a picture, it is *picture* itself that comes back. The size
    stays, except that a quarter turn swaps width and height.
    """
    wished = wishes(text)
    named = changes(text) or changes(hint)
    means = (named, wished.colours, wished.thing_colour, wished.things, wished.caption)
    if not any(means) and "light" not in text.lower():
        return picture
    alpha = picture.getchannel("A") if picture.mode == "RGBA" else None
    new = picture.convert("RGB")
    new = _changed(new, named, text, chance)
    new = _relit(new, text, wished)
    new = _coloured(new, wished)
    if wished.things:
        _placed(new, wished, chance)
    if wished.caption:
        written(new, wished.caption)
    if alpha is not None:
        new.putalpha(alpha)
    if "mirrored" in named:
        new = new.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if "turned" in named:
        upside = "180" in text or "upside" in text.lower()
        new = new.transpose(Image.Transpose.ROTATE_180 if upside else Image.Transpose.ROTATE_270)
    return new


def _changed(
    picture: Image.Image, named: tuple[str, ...], text: str, chance: random.Random
) -> Image.Image:
    """Change the picture in each of the ways *named*, in their order."""
    for name in named:
        if name == "snowed":
            picture = retouch.snowed(picture, chance)
        elif name in _CHANGES:
            picture = _CHANGES[name](picture)
    return _heavens(picture, set(words_of(text)), chance) if "night" in named else picture


def _heavens(picture: Image.Image, words: set[str], chance: random.Random) -> Image.Image:
    """Stars and a moon over the upper part of a night, where *words* name them."""
    size, side = picture.size, min(picture.size)
    whole = picture.convert("RGBA")
    if words & _STARS:
        spots = [
            (chance.random(), chance.random() ** 1.6 * 0.5, chance.random()) for _ in range(130)
        ]

        def draw(pen: ImageDraw.ImageDraw, scale: float) -> None:
            for x, y, bright in spots:
                across, down = x * size[0] * scale, y * size[1] * scale
                reach = side * (0.0012 + 0.0036 * bright**4) * scale
                box = (across - reach, down - reach, across + reach, down + reach)
                pen.ellipse(box, fill=round(110 + 145 * bright))

        whole.alpha_composite(painted(mask(size, draw), (255, 255, 246)))
    if words & _MOON:
        at = (size[0] * chance.uniform(0.2, 0.8), size[1] * 0.2)
        whole.alpha_composite(painted(glow(size, at, side * 0.4, 130), (208, 220, 255)))
        disc = polygons(size, [circle(at, side * 0.085)])
        whole.alpha_composite(painted(disc, (246, 244, 226)))
    return whole.convert("RGB")


def _coloured(picture: Image.Image, wished: Wishes) -> Image.Image:
    """Tint with the colours that the text names; black and white are left to light and dark."""
    plain = (colour_names()["black"], colour_names()["white"], colour_names()["golden"])
    for colour in wished.colours[:2]:
        if colour not in plain:
            picture = retouch.tinted(picture, colour, 0.55)
    return picture


def _relit(picture: Image.Image, text: str, wished: Wishes) -> Image.Image:
    """Light from the side that the text names, where it speaks of light."""
    lowered = text.lower()
    if "light" not in lowered:
        return picture
    side = next((place for name, place in _SIDES.items() if name in lowered), (0.25, 0.2))
    colour: Colour = wished.colours[0] if wished.colours else (255, 236, 200)
    centre = (picture.width * side[0], picture.height * side[1])
    light = glow(picture.size, centre, max(picture.size) * 0.8, 255)
    lit = ImageChops.screen(picture, Image.new("RGB", picture.size, mix(colour, (40, 40, 40), 0.4)))
    return Image.composite(lit, retouch.darker(picture), light)


def _placed(picture: Image.Image, wished: Wishes, chance: random.Random) -> None:
    """Draw the first things that the text names onto the picture, with a soft shadow."""
    for place, name in enumerate(wished.things[:2]):
        side = max(4, round(min(picture.size) * (0.34 if place == 0 else 0.22)))
        body = wished.thing_colour if place == 0 and wished.thing_colour else (204, 120, 66)
        drawn = motifs.motif(name, side, body, turned(body, 0.5))
        left = round((picture.width - side) * (chance.uniform(0.12, 0.88)))
        top = round((picture.height - side) * (0.3 if name in motifs.ALOFT else 0.86))
        shadow = glow(picture.size, (left + side / 2, top + side * 0.96), side * 0.5, 150)
        flat = resized(shadow, (picture.width, max(2, picture.height // 5)))
        foot = round((top + side * 0.96) * 4 / 5)
        if name not in motifs.ALOFT:
            picture.paste((10, 12, 20), (0, foot), flat)
        picture.paste(drawn, (left, top), drawn.getchannel("A"))


def marked(picture: Image.Image, chance: random.Random) -> Image.Image:
    """A tint, darker corners and a few rings, all from chance: a visible trace of any words."""
    colour = chance.choice(tuple(colour_names().values())[:20])
    toned = retouch.tinted(picture, colour, 0.38)
    edge = glow(picture.size, (picture.width / 2, picture.height / 2), max(picture.size) * 0.9, 255)
    toned = Image.composite(toned, retouch.darker(toned), mapped(edge, lambda v: 60 + v * 0.9))
    rings = [(chance.random(), chance.random(), chance.uniform(0.04, 0.16)) for _ in range(5)]

    def draw(pen: ImageDraw.ImageDraw, scale: float) -> None:
        side = min(picture.size) * scale
        for x, y, reach in rings:
            across, down = x * picture.width * scale, y * picture.height * scale
            box = (
                across - reach * side,
                down - reach * side,
                across + reach * side,
                down + reach * side,
            )
            pen.ellipse(box, outline=190, width=max(1, round(side * 0.006)))

    whole = toned.convert("RGBA")
    whole.alpha_composite(painted(mask(picture.size, draw), mix(colour, (255, 255, 255), 0.6)))
    return whole.convert("RGB")
