"""Grounds that a scene can stand on, as layers from back to front."""

from collections.abc import Callable

from PIL import Image, ImageChops, ImageDraw, ImageOps

from server.emulator.runners.canvas import (
    Layer,
    Point,
    blurred,
    circle,
    glow,
    gradient,
    mapped,
    mask,
    noise,
    painted,
    polygons,
    resized,
)
from server.emulator.runners.palette import mix, shade
from server.emulator.runners.stage import Stage, clouds, hazed, stars


def _mountain(stage: Stage) -> list[Layer]:
    found: list[Layer] = []
    count = 5
    for place in range(count):
        near = place / (count - 1)
        base = stage.horizon * (0.68 + 0.34 * near) + stage.height * 0.06 * near
        outline = stage.ridge(base, stage.height * (0.2 - 0.13 * near), 4 + place)
        colour = hazed(stage, near**1.2)
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
    """The snow on a ridge: what lies above the same outline, lowered and made ragged."""
    rugged = [
        y + max(0.0, base - stage.height * 0.04 - y) * stage.chance.uniform(0.18, 0.5)
        for _, y in outline[:-2]
    ]
    lowered = [(x, y) for (x, _), y in zip(outline, rugged, strict=False)]
    caps = ImageChops.subtract(
        polygons(stage.size, [outline]), polygons(stage.size, [[*lowered, *outline[-2:]]])
    )
    return mapped(caps, lambda value: value * 0.82)


def _desert(stage: Stage) -> list[Layer]:
    found: list[Layer] = []
    for place in range(4):
        near = place / 3
        base = stage.horizon + (stage.height - stage.horizon) * near * 0.75
        colour = hazed(stage, near)
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
        colour = hazed(stage, near)
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
        colour = hazed(stage, 0.15 + 0.85 * near)
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
        field = noise(small, stage.chance, 3, 4)
        cloud = mapped(field, lambda value: min(150, (value - 118) * 3))
        found.append(Layer(painted(resized(cloud, stage.size), ink), drift=0.02))
    found.append(Layer(painted(stars(stage), (255, 255, 255)), drift=0.02))
    radius = min(stage.size) * stage.chance.uniform(0.16, 0.26)
    x = stage.width - stage.light_at[0]
    y = stage.height * stage.chance.uniform(0.45, 0.7)
    ball = polygons(stage.size, [circle((x, y), radius)])
    bands = resized(noise((small[0] // 4, small[1] * 2), stage.chance, 2, 4), stage.size)
    accent = stage.colours.accent
    fill = ImageOps.colorize(bands, shade(accent, -0.55), shade(accent, 0.5), mid=accent)
    dark = glow(stage.size, (x - radius * 0.5, y - radius * 0.5), radius * 2.7, 255)
    fill = Image.composite(fill, Image.new("RGB", stage.size, (6, 6, 16)), dark)
    found.append(Layer(painted(ball, fill), drift=0.05))
    return found


def _clouds_only(stage: Stage) -> list[Layer]:
    return [
        Layer(clouds(stage), drift=0.2),
        Layer(clouds(stage).transpose(Image.Transpose.FLIP_LEFT_RIGHT), drift=0.32),
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
    light = blurred(polygons(stage.size, rays), stage.width * 0.012)
    light = mapped(light, lambda value: value / 6)
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


Ground = Callable[[Stage], list[Layer]]

GROUNDS: dict[str, Ground] = {
    "sea": _sea,
    "city": _city,
    "forest": _forest,
    "mountain": _mountain,
    "desert": _desert,
    "space": _space,
    "sky": _clouds_only,
    "meadow": _meadow,
    "snow": _mountain,
}
# Places that have no sky.
ROOMS: dict[str, Ground] = {"studio": _studio, "underwater": _underwater}
