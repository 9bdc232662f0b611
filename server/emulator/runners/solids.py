"""Solid shapes made of triangles: boxes, balls, turned profiles, reliefs of pictures."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image

from server.emulator.runners.canvas import blurred, resized
from server.emulator.runners.masking import subject
from server.emulator.runners.palette import palette, shade
from server.emulator.runners.words import Colour, wishes

Vector = tuple[float, float, float]


@dataclass(slots=True)
class Part:
    """One piece of one colour: points, their normals, and triangles of three points each.

    With *spots* (where on the picture a point lies, 0 to 1 each way) it wears the solid's picture.
    """

    colour: Colour
    points: list[Vector] = field(default_factory=list[Vector])
    normals: list[Vector] = field(default_factory=list[Vector])
    triangles: list[int] = field(default_factory=list[int])
    spots: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])


@dataclass(slots=True)
class Solid:
    """Parts that stand on the ground (y up, about two units high), and the picture they wear."""

    parts: list[Part]
    picture: Image.Image | None = None

    @property
    def triangle_count(self) -> int:
        """How many triangles there are."""
        return sum(len(part.triangles) // 3 for part in self.parts)


def turned(
    profile: Sequence[tuple[float, float]], colour: Colour, at: Vector = (0, 0, 0), steps: int = 32
) -> Part:
    """The body that *profile* (radius, height; from below) sweeps around the upright axis."""
    part = Part(colour)
    rings = len(profile)
    for place, (radius, height) in enumerate(profile):
        before, after = profile[max(0, place - 1)], profile[min(rings - 1, place + 1)]
        rise, run = after[1] - before[1], before[0] - after[0]
        length = math.hypot(rise, run) or 1.0
        for step in range(steps + 1):
            turn = math.tau * step / steps
            across, deep = math.cos(turn), math.sin(turn)
            part.points.append((at[0] + radius * across, at[1] + height, at[2] + radius * deep))
            part.normals.append((across * rise / length, run / length, deep * rise / length))
    for ring in range(rings - 1):
        for step in range(steps):
            one = ring * (steps + 1) + step
            over = one + steps + 1
            part.triangles += [one, over, one + 1, one + 1, over, over + 1]
    return part


def ball(radius: float, colour: Colour, at: Vector, tall: float = 1.0) -> Part:
    """A ball around *at*, *tall* times as high as wide."""
    arc = [math.pi * step / 14 - math.pi / 2 for step in range(15)]
    profile = [(radius * math.cos(t), radius * tall * math.sin(t)) for t in arc]
    return turned(profile, colour, at)


def box(low: Vector, high: Vector, colour: Colour) -> Part:
    """A box between two corners."""
    part = Part(colour)
    for axis in range(3):
        for side in (0, 1):
            normal = [0.0, 0.0, 0.0]
            normal[axis] = 1.0 if side else -1.0
            first, second = (axis + 1) % 3, (axis + 2) % 3
            start = len(part.points)
            for one, two in ((0, 0), (1, 0), (1, 1), (0, 1)):
                point = [0.0, 0.0, 0.0]
                point[axis] = (high if side else low)[axis]
                point[first] = (high if one else low)[first]
                point[second] = (high if two else low)[second]
                part.points.append((point[0], point[1], point[2]))
                part.normals.append((normal[0], normal[1], normal[2]))
            order = (0, 1, 2, 0, 2, 3) if side else (0, 2, 1, 0, 3, 2)
            part.triangles += [start + place for place in order]
    return part


def solid(text: str, chance: random.Random) -> Solid:
    """The solid that *text* names: a thing known here, else a vessel or a stack of stones."""
    wished = wishes(text)
    colours = palette(wished, chance)
    body = wished.thing_colour or (wished.colours[0] if wished.colours else colours.accent)
    for thing in wished.things:
        make = _THINGS.get(thing)
        if make:
            if not (wished.thing_colour or wished.colours):
                body = _NATURAL.get(thing, body)
            return Solid(make(body, shade(body, -0.45), colours.light))
    if chance.random() < 0.5:
        return Solid([_vessel(body, chance)])
    return Solid(_stones(body, chance))


_NATURAL: dict[str, Colour] = {
    "tree": (70, 130, 74),
    "cat": (216, 136, 64),
    "dog": (176, 124, 78),
    "robot": (150, 164, 178),
    "castle": (168, 160, 158),
}


def _vessel(body: Colour, chance: random.Random) -> Part:
    waves = [(chance.uniform(0.5, 2.5), chance.uniform(0, 6.3)) for _ in range(3)]
    profile: list[tuple[float, float]] = [(0.0, 0.0)]
    for step in range(41):
        height = step / 40
        bulge = sum(math.sin(height * often * math.pi + start) for often, start in waves) / 3
        profile.append((0.55 + 0.22 * bulge, height * 1.9))
    inner = [(max(0.02, radius - 0.05), height) for radius, height in profile[:8:-1]]
    return turned([*profile, *inner, (0.0, inner[-1][1])], body, steps=48)


def _stones(body: Colour, chance: random.Random) -> list[Part]:
    found: list[Part] = []
    height = 0.0
    for place in range(5):
        radius = 0.5 - place * 0.08
        flat = chance.uniform(0.55, 0.8)
        tone = shade(body, chance.uniform(-0.3, 0.3))
        at = (chance.uniform(-0.06, 0.06), height + radius * flat, chance.uniform(-0.06, 0.06))
        found.append(ball(radius, tone, at, flat))
        height += radius * flat * 1.86
    return found


def _bottle(body: Colour, dark: Colour, light: Colour) -> list[Part]:
    del light
    glass = [
        (0.0, 0.0),
        (0.5, 0.0),
        (0.52, 0.1),
        (0.52, 1.1),
        (0.4, 1.35),
        (0.18, 1.5),
        (0.17, 1.7),
    ]
    cap = [(0.2, 1.68), (0.22, 1.72), (0.22, 2.0), (0.0, 2.02)]
    return [turned(glass, body), turned(cap, dark)]


def _cup(body: Colour, dark: Colour, light: Colour) -> list[Part]:
    del light
    cup = [(0.0, 0.0), (0.5, 0.0), (0.62, 0.3), (0.7, 1.2), (0.66, 1.2), (0.58, 0.3), (0.0, 0.1)]
    coffee = [(0.0, 1.06), (0.65, 1.05)]
    handle = [
        ball(0.09, body, (0.72 + 0.26 * math.sin(t), 0.68 + 0.34 * math.cos(t), 0.0))
        for t in _half()
    ]
    return [turned(cup, body), turned(coffee[::-1], dark), *handle]


def _half() -> list[float]:
    return [math.pi * step / 12 for step in range(13)]


def _house(body: Colour, dark: Colour, light: Colour) -> list[Part]:
    roof = Part(dark)
    low, top = 1.0, 1.75
    for end in (-0.85, 0.85):
        roof.points += [(-0.85, low, end), (0.85, low, end), (0.0, top, end)]
        roof.normals += [(0.0, 0.0, math.copysign(1.0, end))] * 3
    roof.triangles += [0, 2, 1, 3, 4, 5]
    for side in (-1, 1):
        start = len(roof.points)
        roof.points += [
            (0.85 * side, low, -0.85),
            (0.85 * side, low, 0.85),
            (0, top, 0.85),
            (0, top, -0.85),
        ]
        roof.normals += [(0.66 * side, 0.75, 0.0)] * 4
        order = (0, 2, 1, 0, 3, 2) if side > 0 else (0, 1, 2, 0, 2, 3)
        roof.triangles += [start + place for place in order]
    door = box((-0.16, 0.0, 0.7), (0.16, 0.55, 0.73), dark)
    windows = [box((x - 0.13, 0.5, 0.7), (x + 0.13, 0.76, 0.72), light) for x in (-0.43, 0.43)]
    return [box((-0.7, 0.0, -0.7), (0.7, 1.0, 0.7), body), roof, door, *windows]


def _tree(body: Colour, dark: Colour, light: Colour) -> list[Part]:
    del light
    del dark
    trunk = turned([(0.16, 0.0), (0.12, 0.7), (0.0, 0.7)], (104, 74, 50))
    crowns = [
        turned(
            [(0.8 - 0.2 * place, 0.5 + 0.45 * place), (0.0, 1.25 + 0.42 * place)],
            shade(body, 0.1 * place),
        )
        for place in range(3)
    ]
    return [trunk, *crowns]


def _person(body: Colour, dark: Colour, light: Colour) -> list[Part]:
    del light
    skin = (226, 184, 152)
    legs = [turned([(0.12, 0.0), (0.14, 0.85), (0.0, 0.9)], dark, (x, 0, 0)) for x in (-0.16, 0.16)]
    arms = [ball(0.1, body, (x, 1.05, 0.0), 3.4) for x in (-0.46, 0.46)]
    trunk = turned([(0.0, 0.78), (0.3, 0.8), (0.38, 1.35), (0.14, 1.48), (0.0, 1.5)], body)
    return [
        *legs,
        *arms,
        trunk,
        ball(0.24, skin, (0.0, 1.72, 0.0), 1.15),
        ball(0.25, dark, (0.0, 1.8, -0.05)),
    ]


def _car(body: Colour, dark: Colour, light: Colour) -> list[Part]:
    wheels = [ball(0.24, (30, 30, 34), (x, 0.24, z)) for x in (-0.62, 0.62) for z in (-0.45, 0.45)]
    cabin = box((-0.5, 0.62, -0.42), (0.42, 1.0, 0.42), shade(dark, 0.3))
    lamps = [box((1.03, 0.38, z - 0.1), (1.06, 0.5, z + 0.1), light) for z in (-0.32, 0.32)]
    return [box((-1.05, 0.2, -0.48), (1.05, 0.62, 0.48), body), cabin, *wheels, *lamps]


def _rocket(body: Colour, dark: Colour, light: Colour) -> list[Part]:
    hull = [(0.24, 0.3), (0.36, 0.7), (0.36, 1.3), (0.22, 1.75), (0.0, 2.05)]
    fins = [
        box((-0.62, 0.2, -0.03), (0.62, 0.6, 0.03), dark),
        box((-0.03, 0.2, -0.62), (0.03, 0.6, 0.62), dark),
    ]
    flame = turned([(0.0, 0.0), (0.2, 0.28), (0.0, 0.3)], (250, 160, 50))
    return [turned(hull, body), *fins, flame, ball(0.13, light, (0.0, 1.2, 0.3))]


def _mushroom(body: Colour, dark: Colour, light: Colour) -> list[Part]:
    del dark
    stalk = turned([(0.0, 0.0), (0.26, 0.0), (0.2, 0.9), (0.0, 0.9)], (240, 234, 220))
    cap = turned([(0.0, 0.85), (0.85, 0.85), (0.8, 1.1), (0.5, 1.5), (0.0, 1.65)], body)
    dots = [
        ball(0.1, light, (0.6 * math.cos(t), 1.28, 0.6 * math.sin(t)))
        for t in (0, 1.3, 2.6, 3.9, 5.2)
    ]
    return [stalk, cap, *dots]


def _cat(body: Colour, dark: Colour, light: Colour) -> list[Part]:
    ears = [turned([(0.14, 1.42), (0.0, 1.72)], dark, (x, 0, 0.1), 4) for x in (-0.2, 0.2)]
    eyes = [ball(0.06, (24, 24, 26), (x, 1.24, 0.42)) for x in (-0.14, 0.14)]
    tail = [
        ball(0.09, body, (0.0, 0.25 + 0.09 * s, -0.5 - 0.2 * math.sin(s / 3))) for s in range(10)
    ]
    belly = ball(0.3, shade(body, 0.4), (0.0, 0.5, 0.24), 1.2)
    del light
    return [
        ball(0.5, body, (0, 0.52, 0), 1.05),
        ball(0.38, body, (0, 1.18, 0.12)),
        belly,
        *ears,
        *eyes,
        *tail,
    ]


_THINGS = {
    "bottle": _bottle,
    "cup": _cup,
    "house": _house,
    "castle": _house,
    "lighthouse": _rocket,
    "tree": _tree,
    "person": _person,
    "robot": _person,
    "car": _car,
    "rocket": _rocket,
    "mushroom": _mushroom,
    "cat": _cat,
    "dog": _cat,
}


def relief(picture: Image.Image) -> Solid:
    """The subject of *picture* as a rounded relief that wears the picture on both sides."""
    shape = subject(picture)
    tall = 56
    wide = max(4, round(tall * picture.width / picture.height))
    solid_at = resized(shape, (wide, tall), Image.Resampling.BOX)
    high = blurred(solid_at, 3.0)
    front, back = Part((255, 255, 255)), Part((255, 255, 255))
    numbers: dict[tuple[int, int], int] = {}
    for row in range(tall):
        for column in range(wide):
            if _level(solid_at, column, row) < 90:
                continue
            numbers[column, row] = len(front.points)
            x, y = (column / tall - wide / tall / 2) * 2, (1 - row / tall) * 2
            deep = 0.01 + 0.36 * math.sqrt(max(0.0, (_level(high, column, row) - 110) / 145))
            spot = (column / max(1, wide - 1), row / (tall - 1))
            slope = (_level(high, column - 1, row) - _level(high, column + 1, row)) / 90
            fall = (_level(high, column, row + 1) - _level(high, column, row - 1)) / 90
            length = math.sqrt(slope * slope + fall * fall + 1)
            for part, side in ((front, 1.0), (back, -1.0)):
                part.points.append((x, y, deep * side))
                part.normals.append((slope / length, fall / length, side / length))
                part.spots.append(spot)
    for (column, row), one in numbers.items():
        corners = [
            numbers.get(at) for at in ((column + 1, row), (column, row + 1), (column + 1, row + 1))
        ]
        right, below, across = corners
        if right is not None and below is not None and across is not None:
            front.triangles += [one, below, right, right, below, across]
            back.triangles += [one, right, below, right, across, below]
    if not front.triangles:
        return Solid([ball(0.8, (150, 150, 150), (0, 0.8, 0))])
    small = picture.convert("RGB")
    small.thumbnail((512, 512))
    return Solid([front, back], small)


def _level(channel: Image.Image, column: int, row: int) -> float:
    column, row = min(channel.width - 1, max(0, column)), min(channel.height - 1, max(0, row))
    value = channel.getpixel((column, row))
    return float(value) if isinstance(value, (int, float)) else 0.0
