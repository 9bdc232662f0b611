"""Pictures of no particular thing, as layers: soft lights, ribbons, circles and arcs."""

import math
import random

from PIL import ImageDraw

from server.emulator.runners.canvas import (
    Layer,
    Point,
    Size,
    blurred,
    gradient,
    mapped,
    mask,
    painted,
    polygons,
    resized,
)
from server.emulator.runners.palette import Palette, mix, shade, turned
from server.emulator.runners.words import Colour, Wishes


def layers(wishes: Wishes, colours: Palette, chance: random.Random, size: Size) -> list[Layer]:
    """Return the sheets of an abstract composition in *colours*."""
    del wishes
    inks = [
        *colours.sky,
        colours.accent,
        colours.light,
        colours.water,
        turned(colours.accent, -0.04),
    ]
    form = chance.choice((_ribbons, _circles, _arcs))
    return [_lights(inks, chance, size), *form(inks, chance, size)]


def _lights(inks: list[Colour], chance: random.Random, size: Size) -> Layer:
    small = (max(24, size[0] // 8), max(24, size[1] // 8))
    sheet = gradient(small, [(0, inks[0]), (1, mix(inks[1], inks[0], 0.3))])
    pen = ImageDraw.Draw(sheet)
    for _ in range(9):
        x, y = chance.uniform(-0.1, 1.1) * small[0], chance.uniform(-0.1, 1.1) * small[1]
        reach = chance.uniform(0.15, 0.4) * max(small)
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=chance.choice(inks))
    return Layer(resized(blurred(sheet, max(small) * 0.09), size).convert("RGBA"))


def _ribbons(inks: list[Colour], chance: random.Random, size: Size) -> list[Layer]:
    width, height = size
    found: list[Layer] = []
    often, start = chance.uniform(0.8, 1.6), chance.uniform(0, math.tau)
    count = 7
    for place in range(count):
        share = place / (count - 1)
        base = height * (0.25 + 0.62 * share)
        reach = height * chance.uniform(0.05, 0.13)
        top: list[Point] = []
        for step in range(97):
            across = step / 96
            bend = math.sin(across * often * math.tau + start + share * 1.9) + 0.4 * math.sin(
                across * often * 2.3 * math.tau + share * 3
            )
            top.append((width * across, base + reach * bend))
        colour = mix(inks[place % len(inks)], inks[3], 0.25 + 0.4 * share)
        fill = gradient(
            size,
            [
                (0, shade(colour, 0.4)),
                (min(0.98, base / height), shade(colour, 0.15)),
                (1, shade(colour, -0.45)),
            ],
        )
        body = [*top, (float(width), float(height)), (0.0, float(height))]
        shadow = blurred(
            polygons(size, [[(x, y - height * 0.012) for x, y in body]]), min(size) * 0.02
        )
        found.append(
            Layer(
                painted(mapped(shadow, lambda value: value / 4), (8, 8, 24)),
                drift=0.02 + 0.1 * share,
                bob=0.01,
            )
        )
        found.append(
            Layer(
                painted(
                    mapped(polygons(size, [body]), lambda value: value * 0.93),
                    fill,
                ),
                drift=0.02 + 0.1 * share,
                bob=0.01,
            )
        )
    return found


def _circles(inks: list[Colour], chance: random.Random, size: Size) -> list[Layer]:
    found: list[Layer] = []
    side = min(size)
    for place in range(9):
        x, y = chance.uniform(0.1, 0.9) * size[0], chance.uniform(0.1, 0.9) * size[1]
        reach = side * chance.uniform(0.05, 0.24)
        colour = chance.choice(inks)
        turn = [
            (x + reach * math.cos(t / 60 * math.tau), y + reach * math.sin(t / 60 * math.tau))
            for t in range(60)
        ]
        disc = polygons(size, [turn])
        shadow = blurred(
            polygons(size, [[(px + side * 0.01, py + side * 0.018) for px, py in turn]]),
            side * 0.02,
        )
        found.append(
            Layer(
                painted(mapped(shadow, lambda value: value / 3), (8, 8, 24)),
                drift=0.02 * place,
                bob=0.012,
            )
        )
        top, low = max(0.0, (y - reach) / size[1]), min(1.0, (y + reach) / size[1])
        fill = gradient(
            size,
            [
                (0, shade(colour, 0.45)),
                (top, shade(colour, 0.45)),
                (low, shade(colour, -0.25)),
                (1, shade(colour, -0.3)),
            ],
        )
        found.append(
            Layer(
                painted(
                    mapped(disc, _faded if chance.random() < 0.3 else float),
                    fill,
                ),
                drift=0.02 * place,
                bob=0.012,
            )
        )
    return found


def _faded(value: float) -> float:
    return value * 0.75


def _arcs(inks: list[Colour], chance: random.Random, size: Size) -> list[Layer]:
    side = min(size) / chance.choice((3, 4, 5))
    columns, rows = math.ceil(size[0] / side), math.ceil(size[1] / side)
    found: list[Layer] = []
    for ink in (inks[3], inks[4], inks[1], inks[6]):
        places = [(column * side, row * side) for column in range(columns) for row in range(rows)]
        pieces = [
            (*at, chance.choice((0, 90, 180, 270)), chance.choice((0, 0, 1, 2)))
            for at in places
            if chance.random() < 0.3
        ]

        def draw(
            pen: ImageDraw.ImageDraw,
            scale: float,
            drawn: list[tuple[float, float, int, int]] = pieces,
        ) -> None:
            for x, y, turn, form in drawn:
                left, top, reach = x * scale, y * scale, side * scale
                if form == 1:
                    pen.ellipse(
                        (
                            left + reach * 0.2,
                            top + reach * 0.2,
                            left + reach * 0.8,
                            top + reach * 0.8,
                        ),
                        fill=225,
                    )
                elif form == 2:
                    pen.arc(
                        (left, top, left + reach, top + reach),
                        turn,
                        turn + 180,
                        fill=225,
                        width=round(reach * 0.14),
                    )
                else:
                    across = left - (reach if turn in (0, 270) else 0)
                    down = top - (reach if turn in (0, 90) else 0)
                    pen.pieslice(
                        (across, down, across + reach * 2, down + reach * 2),
                        turn,
                        turn + 90,
                        fill=225,
                    )

        found.append(Layer(painted(mask(size, draw), ink), bob=0.004))
    return found
