"""The stage of a scene: what its sky, ground, things and weather share."""

import math
import random
from itertools import pairwise

from PIL import Image, ImageDraw

from server.emulator.runners.canvas import (
    Point,
    Size,
    gradient,
    mapped,
    mask,
    noise,
    painted,
    resized,
)
from server.emulator.runners.palette import Palette, mix
from server.emulator.runners.words import Colour, Wishes


class Stage:
    """What all parts of one scene share: size, colours, chance, the horizon, the light's place."""

    def __init__(self, wishes: Wishes, colours: Palette, chance: random.Random, size: Size) -> None:
        self.wishes, self.colours, self.chance, self.size = wishes, colours, chance, size
        self.width, self.height = size
        low = {
            "sky": 0.97,
            "space": 1.05,
            "mountain": 0.74,
            "sea": 0.58,
            "city": 0.8,
            "forest": 0.8,
        }
        self.horizon = self.height * (low.get(wishes.place, 0.66) + chance.uniform(-0.05, 0.05))
        self.light_at = (
            self.width * chance.uniform(0.18, 0.82),
            self.horizon * chance.uniform(0.3, 0.8),
        )

    def ridge(self, base: float, rough: float, peaks: int) -> list[Point]:
        """The outline of hills whose tops reach *rough* pixels above and below *base*."""
        heights = [self.chance.uniform(-1, 1) for _ in range(peaks + 1)]
        step, reach = 0.62, 1.0
        while len(heights) < 257:
            reach *= step
            fine: list[float] = []
            for one, other in pairwise(heights):
                fine += [one, (one + other) / 2 + self.chance.uniform(-reach, reach) * 0.5]
            heights = [*fine, heights[-1]]
        last = len(heights) - 1
        top = [
            (self.width * place / last, base - rough * height)
            for place, height in enumerate(heights)
        ]
        return [*top, (float(self.width), float(self.height)), (0.0, float(self.height))]

    def dunes(self, base: float, rough: float) -> list[Point]:
        """The outline of soft hills around *base*."""
        waves = [
            (
                self.chance.uniform(0.7, 2.6),
                self.chance.uniform(0, 6.3),
                self.chance.uniform(0.2, 1),
            )
            for _ in range(3)
        ]
        top: list[Point] = []
        for place in range(129):
            across = place / 128
            height = sum(
                tall * math.sin(across * often * math.pi + start) for often, start, tall in waves
            )
            top.append((self.width * across, base - rough * height / 2))
        return [*top, (float(self.width), float(self.height)), (0.0, float(self.height))]


def hazed(stage: Stage, near: float) -> Colour:
    """The colour of things that are *near* (0 far away, 1 close)."""
    return mix(stage.colours.far, stage.colours.near, near)


def stars(stage: Stage) -> Image.Image:
    """An alpha mask of stars, few of them bright."""
    chance, count = stage.chance, 220
    spots = [
        (chance.uniform(0, stage.width), chance.uniform(0, stage.height) * 0.8, chance.random())
        for _ in range(count)
    ]

    def draw(pen: ImageDraw.ImageDraw, scale: float) -> None:
        for x, y, bright in spots:
            reach = min(stage.size) / 1000 * (0.5 + 1.6 * bright**4) * scale
            pen.ellipse(
                (x * scale - reach, y * scale - reach, x * scale + reach, y * scale + reach),
                fill=round(90 + 165 * bright),
            )

    return mask(stage.size, draw)


def clouds(stage: Stage) -> Image.Image:
    """Clouds in the sky of *stage*, thinner towards the horizon."""
    small = (max(16, stage.width // 4), max(16, stage.height // 4))
    field = resized(noise((small[0], small[1] * 3), stage.chance, 3, octaves=4), small)
    dense = 150 if stage.wishes.weather or stage.wishes.place == "sky" else 210
    cut = 116 if stage.wishes.place == "sky" else 138
    cover = mapped(field, lambda value: min(dense, (value - cut) * 5))
    fade = gradient(
        small,
        [
            (0, (255, 255, 255)),
            (min(1.0, stage.horizon / stage.height) * 0.9, (40, 40, 40)),
            (1, (0, 0, 0)),
        ],
    ).getchannel(0)
    shape = Image.new("L", small)
    shape.paste(cover, (0, 0), fade)
    colour = mix(stage.colours.light, stage.colours.sky[1], 0.75 if stage.colours.is_dark else 0.25)
    return painted(resized(shape, stage.size), colour)
