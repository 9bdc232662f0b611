"""Landscapes and rooms as layers from back to front: sky, ground, things, weather."""

import random

from PIL import ImageDraw

from server.emulator.runners.canvas import (
    Layer,
    Size,
    circle,
    glow,
    gradient,
    mask,
    painted,
    polygons,
)
from server.emulator.runners.grounds import GROUNDS, ROOMS
from server.emulator.runners.palette import Palette
from server.emulator.runners.stage import Stage, clouds, stars
from server.emulator.runners.things import things
from server.emulator.runners.words import Wishes


def layers(wishes: Wishes, colours: Palette, chance: random.Random, size: Size) -> list[Layer]:
    """Return the sheets of a scene that shows what *wishes* asks for."""
    stage = Stage(wishes, colours, chance, size)
    room = ROOMS.get(wishes.place)
    if room:
        return [*room(stage), *things(stage)]
    place = wishes.place or chance.choice(("mountain", "meadow", "sea"))
    return [*_sky(stage), *GROUNDS[place](stage), *things(stage), *_weather(stage)]


def _sky(stage: Stage) -> list[Layer]:
    size, colours = stage.size, stage.colours
    top, middle, low = colours.sky
    end = min(1.0, stage.horizon / stage.height)
    sky = gradient(size, [(0, top), (end * 0.55, middle), (end, low), (1, low)])
    found = [Layer(sky.convert("RGBA"))]
    if colours.is_dark:
        found.append(Layer(painted(stars(stage), (255, 255, 250)), drift=0.01))
    side = min(size)
    found.append(
        Layer(painted(glow(size, stage.light_at, side * 0.62, 150), colours.light), drift=0.01)
    )
    disc = polygons(size, [circle(stage.light_at, side * (0.05 if colours.is_dark else 0.065))])
    found.append(Layer(painted(disc, colours.light), drift=0.01))
    if stage.wishes.place != "space":
        found.append(Layer(clouds(stage), drift=0.12))
    return found


def _weather(stage: Stage) -> list[Layer]:
    weather = stage.wishes.weather or ("snow" if stage.wishes.place == "snow" else "")
    if weather == "fog":
        bank = glow(stage.size, (stage.width / 2, stage.horizon), stage.width * 0.9, 215)
        return [Layer(painted(bank, stage.colours.sky[2]), drift=0.06)]
    if weather not in ("rain", "snow"):
        return []
    chance = stage.chance
    drops = [
        (chance.random() * stage.width, chance.random() * stage.height, chance.random())
        for _ in range(420)
    ]

    def draw(pen: ImageDraw.ImageDraw, scale: float) -> None:
        for x, y, near in drops:
            reach = min(stage.size) * (0.0012 + 0.004 * near**3) * scale
            across, down = x * scale, y * scale
            if weather == "snow":
                box = (across - reach, down - reach, across + reach, down + reach)
                pen.ellipse(box, fill=round(150 + 100 * near))
            else:
                tall = stage.height * (0.02 + 0.03 * near) * scale
                line = (across, down, across - tall * 0.18, down + tall)
                pen.line(line, fill=round(50 + 80 * near), width=max(1, round(reach)))

    fall = -1.0 if weather == "snow" else -4.0
    return [Layer(painted(mask(stage.size, draw), (250, 252, 255)), rise=fall, wraps=True)]
