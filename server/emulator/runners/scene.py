"""Landscapes and rooms as layers from back to front: sky, light, clouds, ground, a thing, weather."""

import math
import random
from collections.abc import Callable

from PIL import Image, ImageChops, ImageDraw

from server.emulator.runners import motifs
from server.emulator.runners.canvas import (
    Layer,
    Point,
    Size,
    blurred,
    glow,
    gradient,
    mask,
    noise,
    painted,
    polygons,
)
from server.emulator.runners.palette import Palette, mix, shade
from server.emulator.runners.words import Wishes

Ground = Callable[["Stage"], list[Layer]]


class Stage:
    """What all parts of one scene share: its size, colours, chance, the horizon and where the light is."""

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
            for one, other in zip(heights, heights[1:], strict=False):
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


def layers(wishes: Wishes, colours: Palette, chance: random.Random, size: Size) -> list[Layer]:
    """Return the sheets of a scene that shows what *wishes* asks for."""
    stage = Stage(wishes, colours, chance, size)
    if wishes.place == "studio":
        return [*_studio(stage), *_things(stage)]
    if wishes.place == "underwater":
        return [*_underwater(stage), *_things(stage)]
    grounds: dict[str, Ground] = {
        "sea": _sea, "city": _city, "forest": _forest, "mountain": _mountain, "desert": _desert,
        "space": _space, "sky": _nothing, "meadow": _meadow, "snow": _mountain,
    }  # fmt: skip
    ground = grounds.get(wishes.place) or chance.choice((_mountain, _meadow, _sea))
    return [*_sky(stage), *ground(stage), *_things(stage), *_weather(stage)]


def _sky(stage: Stage) -> list[Layer]:
    size, colours = stage.size, stage.colours
    top, middle, low = colours.sky
    end = min(1.0, stage.horizon / stage.height)
    sky = gradient(size, [(0, top), (end * 0.55, middle), (end, low), (1, low)])
    found = [Layer(sky.convert("RGBA"))]
    if colours.is_dark:
        found.append(Layer(painted(_stars(stage), (255, 255, 250)), drift=0.01))
    side = min(size)
    found.append(
        Layer(painted(glow(size, stage.light_at, side * 0.62, 150), colours.light), drift=0.01)
    )
    found.append(
        Layer(
            painted(_disc(stage, side * (0.05 if colours.is_dark else 0.065)), colours.light),
            drift=0.01,
        )
    )
    if stage.wishes.place != "space":
        found.append(Layer(_clouds(stage), drift=0.12, wraps=False))
    return found


def _stars(stage: Stage) -> Image.Image:
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


def _disc(stage: Stage, radius: float) -> Image.Image:
    x, y = stage.light_at
    points = [
        (x + radius * math.cos(turn / 48 * math.tau), y + radius * math.sin(turn / 48 * math.tau))
        for turn in range(48)
    ]
    return polygons(stage.size, [points])


def _clouds(stage: Stage) -> Image.Image:
    small = (max(16, stage.width // 4), max(16, stage.height // 4))
    field = noise((small[0], small[1] * 3), stage.chance, 3, octaves=4).resize(
        small, Image.Resampling.BICUBIC
    )
    dense = 150 if stage.wishes.weather or stage.wishes.place == "sky" else 210
    cut = 116 if stage.wishes.place == "sky" else 138
    cover = field.point([min(dense, max(0, (value - cut) * 5)) for value in range(256)])
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
    return painted(shape.resize(stage.size, Image.Resampling.BICUBIC), colour)


def _hazed(stage: Stage, near: float) -> tuple[int, int, int]:
    return mix(stage.colours.far, stage.colours.near, near)


def _mountain(stage: Stage) -> list[Layer]:
    found: list[Layer] = []
    count = 5
    for place in range(count):
        near = place / (count - 1)
        base = stage.horizon * (0.68 + 0.34 * near) + stage.height * 0.06 * near
        outline = stage.ridge(base, stage.height * (0.2 - 0.13 * near), 4 + place)
        colour = _hazed(stage, near**1.2)
        fill = gradient(
            stage.size,
            [
                (0, shade(colour, 0.08)),
                (base / stage.height, colour),
                (1, mix(colour, stage.colours.sky[2], 0.35 * (1 - near))),
            ],
        )
        found.append(
            Layer(painted(polygons(stage.size, [outline]), fill), drift=0.03 + 0.12 * near)
        )
        if place < 2 or stage.wishes.place == "snow":
            found.append(
                Layer(
                    painted(
                        _caps(stage, outline, base), mix(stage.colours.sky[2], (255, 255, 255), 0.5)
                    ),
                    drift=found[-1].drift,
                )
            )
    if stage.wishes.place == "snow":
        field = stage.dunes(stage.height * 0.86, stage.height * 0.05)
        white = mix((248, 250, 255), stage.colours.sky[0], 0.45 if stage.colours.is_dark else 0.08)
        fill = gradient(
            stage.size, [(0, white), (0.84, white), (1, mix(white, stage.colours.near, 0.45))]
        )
        found.append(Layer(painted(polygons(stage.size, [field]), fill), drift=0.18))
    return found


def _caps(stage: Stage, outline: list[Point], base: float) -> Image.Image:
    """The snow on a ridge: what lies above the same outline, lowered where it is high and made ragged."""
    rugged = [
        y + max(0.0, base - stage.height * 0.04 - y) * stage.chance.uniform(0.18, 0.5)
        for _, y in outline[:-2]
    ]
    lowered = [(x, y) for (x, _), y in zip(outline, rugged, strict=False)]
    caps = ImageChops.subtract(
        polygons(stage.size, [outline]), polygons(stage.size, [[*lowered, *outline[-2:]]])
    )
    return caps.point([round(value * 0.82) for value in range(256)])


def _desert(stage: Stage) -> list[Layer]:
    found: list[Layer] = []
    for place in range(4):
        near = place / 3
        base = stage.horizon + (stage.height - stage.horizon) * near * 0.75
        colour = _hazed(stage, near)
        fill = gradient(
            stage.size,
            [
                (0, colour),
                (min(0.98, base / stage.height), shade(colour, 0.16)),
                (1, shade(colour, -0.35)),
            ],
        )
        found.append(
            Layer(
                painted(polygons(stage.size, [stage.dunes(base, stage.height * 0.07)]), fill),
                drift=0.03 + 0.14 * near,
            )
        )
    return found


def _meadow(stage: Stage) -> list[Layer]:
    found = _mountain(stage)[:4]
    green = mix((96, 150, 70), stage.colours.near, 0.55 if stage.colours.is_dark else 0.3)
    for place in range(3):
        near = place / 2
        base = stage.horizon + (stage.height - stage.horizon) * near * 0.6
        colour = mix(green, stage.colours.far, 0.4 * (1 - near))
        fill = gradient(
            stage.size,
            [
                (0, colour),
                (min(0.98, base / stage.height), shade(colour, 0.14)),
                (1, shade(colour, -0.4)),
            ],
        )
        found.append(
            Layer(
                painted(polygons(stage.size, [stage.dunes(base, stage.height * 0.05)]), fill),
                drift=0.06 + 0.12 * near,
            )
        )
    found.append(Layer(_blossoms(stage), drift=0.2))
    return found


def _blossoms(stage: Stage) -> Image.Image:
    sheet = Image.new("RGBA", stage.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(sheet)
    inks = (stage.colours.accent, shade(stage.colours.accent, 0.45), stage.colours.light)
    for _ in range(260):
        down = stage.chance.random() ** 1.4
        y = stage.horizon + (stage.height - stage.horizon) * (0.25 + 0.75 * down)
        reach = min(stage.size) * (0.002 + 0.007 * down)
        x = stage.chance.uniform(0, stage.width)
        pen.ellipse(
            (x - reach, y - reach, x + reach, y + reach), fill=(*stage.chance.choice(inks), 235)
        )
    return sheet


def _sea(stage: Stage) -> list[Layer]:
    size, colours = stage.size, stage.colours
    hills = polygons(
        size, [stage.ridge(stage.horizon - stage.height * 0.03, stage.height * 0.05, 5)]
    )
    found = [Layer(painted(hills, mix(colours.far, colours.sky[2], 0.25)), drift=0.03)]
    box = [
        (0.0, stage.horizon),
        (float(stage.width), stage.horizon),
        (float(stage.width), float(stage.height)),
        (0.0, float(stage.height)),
    ]
    start = stage.horizon / stage.height
    water = gradient(
        size,
        [
            (0, colours.sky[2]),
            (start, mix(colours.water, colours.sky[2], 0.5)),
            (start + (1 - start) * 0.35, colours.water),
            (1, shade(colours.water, -0.45)),
        ],
    )
    found.append(Layer(painted(polygons(size, [box]), water)))
    found.append(Layer(painted(_waves(stage, glitter=True), colours.light), drift=0.02, bob=0.004))
    found.append(
        Layer(
            painted(_waves(stage, glitter=False), shade(colours.water, 0.4)), drift=0.07, bob=0.006
        )
    )
    return found


def _waves(stage: Stage, *, glitter: bool) -> Image.Image:
    chance = stage.chance
    strokes: list[tuple[float, float, float, float]] = []
    for _ in range(150 if glitter else 110):
        down = chance.random() ** 1.3
        y = stage.horizon + (stage.height - stage.horizon) * down
        wide = stage.width * (0.012 + 0.06 * down) * chance.uniform(0.5, 1.5)
        spread = stage.width * (0.02 + 0.11 * down)
        x = chance.gauss(stage.light_at[0], spread) if glitter else chance.uniform(0, stage.width)
        strokes.append((x, y, wide, stage.height * (0.0012 + 0.004 * down)))

    def draw(pen: ImageDraw.ImageDraw, scale: float) -> None:
        for x, y, wide, tall in strokes:
            level = 200 if glitter else 90
            pen.ellipse(
                ((x - wide) * scale, (y - tall) * scale, (x + wide) * scale, (y + tall) * scale),
                fill=level,
            )

    return mask(stage.size, draw)


def _city(stage: Stage) -> list[Layer]:
    found: list[Layer] = []
    for place, near in enumerate((0.15, 0.5, 1.0)):
        sheet = Image.new("RGBA", stage.size, (0, 0, 0, 0))
        pen = ImageDraw.Draw(sheet)
        colour = _hazed(stage, near)
        x = -stage.width * 0.02
        while x < stage.width:
            wide = stage.width * stage.chance.uniform(0.035, 0.085) * (0.7 + 0.5 * near)
            tall = stage.height * stage.chance.uniform(0.16, 0.46) * (1.1 - 0.5 * near)
            top = stage.horizon + stage.height * 0.1 * near - tall
            tone = shade(colour, stage.chance.uniform(-0.06, 0.06))
            pen.rectangle((x, top, x + wide, stage.height), fill=(*tone, 255))
            if stage.chance.random() < 0.3:
                pen.rectangle(
                    (x + wide * 0.47, top - tall * 0.16, x + wide * 0.53, top), fill=(*tone, 255)
                )
            if place:
                _windows(
                    stage, pen, (x, top, x + wide, stage.horizon + stage.height * 0.1 * near), near
                )
            x += wide * stage.chance.uniform(0.98, 1.12)
        found.append(Layer(sheet, drift=0.04 + 0.12 * near))
    road = [
        (0.0, stage.height * 0.93),
        (float(stage.width), stage.height * 0.93),
        (float(stage.width), float(stage.height)),
        (0.0, float(stage.height)),
    ]
    found.append(
        Layer(painted(polygons(stage.size, [road]), shade(stage.colours.near, -0.3)), drift=0.16)
    )
    return found


def _windows(
    stage: Stage, pen: ImageDraw.ImageDraw, box: tuple[float, float, float, float], near: float
) -> None:
    left, top, right, bottom = box
    lit = 0.55 if stage.colours.is_dark or stage.wishes.hour == "sunset" else 0.18
    step = max(4.0, min(stage.size) * 0.016 * (0.6 + 0.6 * near))
    inks = (stage.colours.accent, stage.colours.light, shade(stage.colours.accent, 0.4))
    y = top + step
    while y < bottom - step:
        x = left + step * 0.6
        while x < right - step:
            if stage.chance.random() < lit:
                pen.rectangle(
                    (x, y, x + step * 0.45, y + step * 0.6), fill=(*stage.chance.choice(inks), 190)
                )
            x += step
        y += step * 1.25


def _forest(stage: Stage) -> list[Layer]:
    found = _mountain(stage)[:2]
    for place in range(4):
        near = place / 3
        base = stage.horizon + stage.height * (0.16 * near - 0.05)
        ground = stage.dunes(base, stage.height * 0.02)
        trees = [_spruce(stage, base, near) for _ in range(round(34 - 20 * near))]
        shape = polygons(stage.size, [ground, *trees])
        colour = _hazed(stage, 0.15 + 0.85 * near)
        fill = gradient(
            stage.size,
            [
                (0, shade(colour, 0.1)),
                (min(0.98, base / stage.height), colour),
                (1, mix(colour, stage.colours.far, 0.3 * (1 - near))),
            ],
        )
        found.append(Layer(painted(shape, fill), drift=0.03 + 0.15 * near))
        if place < 3:
            mist = glow(
                stage.size, (stage.width * stage.chance.random(), base), stage.width * 0.5, 70
            )
            found.append(Layer(painted(mist, stage.colours.sky[2]), drift=0.1))
    return found


def _spruce(stage: Stage, base: float, near: float) -> list[Point]:
    x = stage.chance.uniform(-0.02, 1.02) * stage.width
    tall = stage.height * (0.1 + 0.26 * near) * stage.chance.uniform(0.6, 1.2)
    wide = tall * stage.chance.uniform(0.16, 0.22)
    foot = base + stage.height * 0.03
    left: list[Point] = []
    right: list[Point] = []
    for step in range(6):
        reach, y = wide * (step + 1) / 6, foot - tall * (1 - (step + 1) / 6.4)
        left += [(x - reach, y), (x - reach * 0.5, y - tall * 0.015)]
        right += [(x + reach, y), (x + reach * 0.5, y - tall * 0.015)]
    return [
        (x, foot - tall),
        *right,
        (x + wide * 0.1, foot + tall * 0.1),
        (x - wide * 0.1, foot + tall * 0.1),
        *left[::-1],
    ]


def _space(stage: Stage) -> list[Layer]:
    small = (max(16, stage.width // 4), max(16, stage.height // 4))
    found: list[Layer] = []
    for ink in (stage.colours.accent, stage.colours.sky[2]):
        cloud = noise(small, stage.chance, 3, 4).point(
            [min(150, max(0, (value - 118) * 3)) for value in range(256)]
        )
        found.append(
            Layer(painted(cloud.resize(stage.size, Image.Resampling.BICUBIC), ink), drift=0.02)
        )
    found.append(Layer(painted(_stars(stage), (255, 255, 255)), drift=0.02))
    radius = min(stage.size) * stage.chance.uniform(0.16, 0.26)
    x = stage.width - stage.light_at[0]
    y = stage.height * stage.chance.uniform(0.45, 0.7)
    ball = polygons(
        stage.size,
        [
            [
                (x + radius * math.cos(t / 64 * math.tau), y + radius * math.sin(t / 64 * math.tau))
                for t in range(64)
            ]
        ],
    )
    bands = noise((small[0] // 4, small[1] * 2), stage.chance, 2, 4).resize(
        stage.size, Image.Resampling.BICUBIC
    )
    colour = stage.colours.accent
    fill = Image.merge(
        "RGB",
        [
            bands.point([min(255, round(part * (0.55 + value / 255))) for value in range(256)])
            for part in colour
        ],
    )
    dark = glow(stage.size, (x - radius * 0.5, y - radius * 0.5), radius * 2.1, 255)
    fill = Image.composite(fill, Image.new("RGB", stage.size, (6, 6, 16)), dark)
    found.append(Layer(painted(ball, fill), drift=0.05))
    return found


def _nothing(stage: Stage) -> list[Layer]:
    return [
        Layer(_clouds(stage), drift=0.2),
        Layer(_clouds(stage).transpose(Image.Transpose.FLIP_LEFT_RIGHT), drift=0.32),
    ]


def _studio(stage: Stage) -> list[Layer]:
    top, middle, low = stage.colours.sky
    if stage.colours.is_dark:
        top, middle, low = shade(top, 0.05), middle, shade(middle, 0.1)
    floor = stage.height * 0.72
    wall = gradient(
        stage.size,
        [
            (0, mix(top, middle, 0.5)),
            (0.6, mix(middle, low, 0.6)),
            (floor / stage.height, low),
            (floor / stage.height + 0.02, mix(low, middle, 0.35)),
            (1, mix(middle, top, 0.25)),
        ],
    )
    spot = glow(stage.size, (stage.width * 0.5, stage.height * 0.45), max(stage.size) * 0.55, 130)
    found = [Layer(wall.convert("RGBA")), Layer(painted(spot, stage.colours.light))]
    if "person" not in stage.wishes.things:
        ring = min(stage.size) * 0.36
        x, y = stage.width * 0.5, floor + stage.height * 0.13
        for lift, tone in ((0.05, shade(low, -0.22)), (0.0, shade(low, 0.25))):
            top_y = y + min(stage.size) * lift

            def draw(pen: ImageDraw.ImageDraw, scale: float, at: float = top_y) -> None:
                pen.ellipse(
                    (
                        (x - ring) * scale,
                        (at - ring * 0.24) * scale,
                        (x + ring) * scale,
                        (at + ring * 0.24) * scale,
                    ),
                    fill=255,
                )

            found.append(Layer(painted(mask(stage.size, draw), tone)))
    return found


def _underwater(stage: Stage) -> list[Layer]:
    water = mix((22, 120, 160), stage.colours.water, 0.5)
    found = [
        Layer(
            gradient(
                stage.size, [(0, shade(water, 0.45)), (0.4, water), (1, shade(water, -0.75))]
            ).convert("RGBA")
        )
    ]
    rays: list[list[Point]] = []
    for _ in range(7):
        x = stage.chance.uniform(-0.1, 1) * stage.width
        wide, lean = stage.width * stage.chance.uniform(0.03, 0.1), stage.width * 0.25
        rays.append(
            [
                (x, 0),
                (x + wide, 0),
                (x + wide * 2.2 + lean, stage.height * 0.9),
                (x + lean, stage.height * 0.9),
            ]
        )
    light = blurred(polygons(stage.size, rays), stage.width * 0.012).point(
        [value // 6 for value in range(256)]
    )
    found.append(Layer(painted(light, (255, 255, 255)), drift=0.04))
    for place in range(3):
        near = place / 2
        bottom = stage.dunes(stage.height * (0.8 + 0.08 * near), stage.height * 0.05)
        found.append(
            Layer(
                painted(polygons(stage.size, [bottom]), shade(water, -0.45 - 0.35 * near)),
                drift=0.05 + 0.1 * near,
            )
        )
    bubbles = Image.new("RGBA", stage.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(bubbles)
    for _ in range(40):
        x, y, reach = (
            stage.chance.random() * stage.width,
            stage.chance.random() * stage.height,
            min(stage.size) * stage.chance.uniform(0.002, 0.012),
        )
        pen.ellipse(
            (x - reach, y - reach, x + reach, y + reach),
            outline=(230, 250, 255, 150),
            width=max(1, round(reach / 5)),
        )
    found.append(Layer(bubbles, rise=0.3, wraps=True))
    return found


def _things(stage: Stage) -> list[Layer]:
    wished = stage.wishes
    things = wished.things[:2]
    if not things and wished.place == "studio":
        things = (stage.chance.choice(("bottle", "cup", "fruit")),)
    found: list[Layer] = []
    for place, name in enumerate(things):
        body = (
            wished.thing_colour if place == 0 and wished.thing_colour else _body(stage, name, place)
        )
        side = round(min(stage.size) * (_share(stage, name) if place == 0 else 0.22))
        if side < 4:
            continue
        drawn = motifs.motif(name, side, body, stage.colours.accent)
        if stage.chance.random() < 0.5 and name != "car":
            drawn = drawn.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        x = stage.width * (
            0.5
            if wished.place == "studio" and place == 0
            else stage.chance.uniform(0.3, 0.7)
            if place == 0
            else stage.chance.choice((0.2, 0.8))
        )
        foot = _foot(stage, name, side)
        sheet = Image.new("RGBA", stage.size, (*body, 0))
        if name not in motifs.ALOFT or wished.place == "studio":
            shadow = glow(stage.size, (x, foot), side * 0.5, 170).resize(
                (stage.width, max(2, stage.height // 6))
            )
            sheet.paste(painted(shadow, (8, 10, 20)), (0, round(foot - foot / 6)))
        sheet.alpha_composite(
            drawn,
            (
                max(0, min(stage.width - side, round(x - side / 2))),
                max(0, min(stage.height - side, round(foot - side))),
            ),
        )
        found.append(
            Layer(
                sheet,
                drift=-0.06 if name in ("boat", "car", "bird", "fish") else 0.1,
                bob=0.012 if name in motifs.ALOFT | motifs.AFLOAT else 0.002,
            )
        )
    return found


def _share(stage: Stage, name: str) -> float:
    if name == "person":
        return 0.86
    if stage.wishes.place == "studio":
        return 0.56
    return {"lighthouse": 0.52, "castle": 0.5, "tree": 0.5, "house": 0.36, "flower": 0.46}.get(
        name, 0.34
    )


def _foot(stage: Stage, name: str, side: int) -> float:
    if name == "person":
        return float(stage.height)
    if stage.wishes.place == "studio":
        return stage.height * 0.87
    if name in motifs.ALOFT:
        return max(side, stage.height * stage.chance.uniform(0.42, 0.6))
    if name in ("lighthouse", "castle"):
        return stage.horizon + stage.height * 0.12
    return stage.horizon + (stage.height - stage.horizon) * 0.55


def _body(stage: Stage, name: str, place: int) -> tuple[int, int, int]:
    natural = {"tree": (70, 130, 74), "cat": (216, 136, 64), "dog": (176, 124, 78), "house": (226, 208, 180), "horse": (128, 84, 56), "robot": (150, 164, 178), "castle": (168, 160, 158), "boat": (168, 62, 54), "heart": (226, 58, 84)}  # fmt: skip
    plain = natural.get(
        name,
        mix(
            stage.colours.accent,
            stage.chance.choice(((214, 70, 70), (60, 120, 190), (240, 180, 80))),
            0.5,
        ),
    )
    return mix(plain, stage.colours.near, (0.45 if stage.colours.is_dark else 0.08) + 0.1 * place)


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
            if weather == "snow":
                pen.ellipse(
                    (x * scale - reach, y * scale - reach, x * scale + reach, y * scale + reach),
                    fill=round(150 + 100 * near),
                )
            else:
                tall = stage.height * (0.02 + 0.03 * near) * scale
                pen.line(
                    (x * scale, y * scale, x * scale - tall * 0.18, y * scale + tall),
                    fill=round(50 + 80 * near),
                    width=max(1, round(reach)),
                )

    return [
        Layer(
            painted(mask(stage.size, draw), (250, 252, 255)),
            rise=-0.9 if weather == "snow" else -3.0,
            wraps=True,
        )
    ]
