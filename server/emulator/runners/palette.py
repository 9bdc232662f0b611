"""The colours of a picture, from its hour, its colour words and chance."""

import colorsys
import random
from dataclasses import dataclass, replace

from server.emulator.runners.words import Colour, Wishes


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by what they paint; *far* and *near* are the ends of the haze between them."""

    sky: tuple[Colour, Colour, Colour]
    far: Colour
    near: Colour
    water: Colour
    light: Colour
    accent: Colour
    is_dark: bool


_HOURS: dict[str, tuple[Palette, ...]] = {
    "day": (
        Palette(
            ((72, 146, 214), (142, 196, 232), (232, 240, 236)),
            (142, 176, 196),
            (42, 92, 74),
            (34, 112, 150),
            (255, 246, 214),
            (236, 110, 78),
            is_dark=False,
        ),
        Palette(
            ((54, 120, 190), (122, 186, 214), (250, 230, 202)),
            (154, 172, 190),
            (66, 98, 60),
            (28, 124, 140),
            (255, 240, 190),
            (240, 176, 60),
            is_dark=False,
        ),
        Palette(
            ((96, 170, 216), (180, 214, 226), (246, 244, 232)),
            (160, 188, 190),
            (52, 108, 84),
            (48, 132, 156),
            (255, 250, 230),
            (216, 84, 96),
            is_dark=False,
        ),
    ),
    "sunset": (
        Palette(
            ((52, 40, 98), (214, 92, 98), (255, 196, 112)),
            (170, 92, 112),
            (34, 22, 54),
            (112, 60, 106),
            (255, 226, 150),
            (255, 142, 88),
            is_dark=False,
        ),
        Palette(
            ((36, 58, 108), (226, 122, 84), (255, 214, 138)),
            (184, 110, 98),
            (40, 30, 48),
            (130, 84, 96),
            (255, 236, 176),
            (250, 170, 70),
            is_dark=False,
        ),
    ),
    "dawn": (
        Palette(
            ((126, 150, 206), (244, 190, 190), (255, 232, 204)),
            (190, 168, 190),
            (84, 84, 122),
            (146, 150, 190),
            (255, 244, 220),
            (240, 140, 140),
            is_dark=False,
        ),
        Palette(
            ((104, 158, 196), (216, 208, 214), (255, 222, 190)),
            (172, 174, 190),
            (70, 92, 104),
            (122, 158, 178),
            (255, 240, 214),
            (238, 160, 120),
            is_dark=False,
        ),
    ),
    "night": (
        Palette(
            ((8, 12, 36), (22, 34, 78), (58, 74, 122)),
            (50, 62, 104),
            (8, 12, 28),
            (16, 28, 66),
            (240, 240, 226),
            (255, 196, 104),
            is_dark=True,
        ),
        Palette(
            ((10, 8, 32), (42, 24, 80), (108, 56, 118)),
            (66, 46, 98),
            (12, 8, 28),
            (30, 22, 70),
            (246, 236, 220),
            (250, 110, 160),
            is_dark=True,
        ),
    ),
}
_NEON = Palette(
    ((10, 6, 40), (72, 14, 96), (230, 44, 132)),
    (110, 36, 128),
    (10, 6, 34),
    (36, 16, 90),
    (255, 214, 120),
    (40, 226, 232),
    is_dark=True,
)


def palette(wishes: Wishes, chance: random.Random) -> Palette:
    """Return the palette of *wishes*; colour words tint sky, haze and accents, in their order."""
    hour = wishes.hour or chance.choice(("day", "sunset", "dawn", "day", "sunset"))
    if wishes.place in ("space",):
        hour = "night"
    found = _NEON if "neon" in wishes.styles else chance.choice(_HOURS[hour])
    found = _turned(found, chance.uniform(-0.03, 0.03))
    if wishes.weather in ("fog", "rain"):
        grey = (92, 100, 112) if found.is_dark else (196, 202, 206)
        found = _tinted(found, grey, 0.45)
    if wishes.weather == "snow" or wishes.place == "snow":
        found = replace(
            found,
            near=mix(found.near, (70, 92, 130), 0.45),
            far=mix(found.far, (176, 194, 220), 0.45),
        )
    if wishes.place == "desert":
        found = replace(
            found,
            near=mix((196, 112, 58), found.near, 0.25),
            far=mix((224, 170, 122), found.far, 0.35),
        )
    if wishes.place == "forest":
        found = replace(found, near=mix((22, 58, 40), found.near, 0.3))
    for colour in wishes.colours[:1]:
        found = replace(_tinted(found, colour, 0.42), accent=colour)
    for colour in wishes.colours[1:2]:
        found = replace(
            found,
            accent=colour,
            water=mix(found.water, colour, 0.6),
            near=mix(found.near, colour, 0.35),
        )
    return found


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """The colour *share* of the way (0 to 1) from *one* to *other*."""
    share = min(1.0, max(0.0, share))
    return (
        round(one[0] + (other[0] - one[0]) * share),
        round(one[1] + (other[1] - one[1]) * share),
        round(one[2] + (other[2] - one[2]) * share),
    )


def shade(colour: Colour, light: float) -> Colour:
    """*colour* towards white (*light* above 0, at most 1) or black (below 0, at least -1)."""
    return mix(colour, (255, 255, 255), light) if light >= 0 else mix(colour, (0, 0, 0), -light)


def turned(colour: Colour, share: float) -> Colour:
    """*colour* with its hue turned by *share* of the circle."""
    hue, light, depth = colorsys.rgb_to_hls(*(part / 255 for part in colour))
    red, green, blue = colorsys.hls_to_rgb((hue + share) % 1, light, depth)
    return round(red * 255), round(green * 255), round(blue * 255)


def _turned(found: Palette, share: float) -> Palette:
    top, middle, low = (turned(colour, share) for colour in found.sky)
    return replace(
        found,
        sky=(top, middle, low),
        far=turned(found.far, share),
        near=turned(found.near, share),
        water=turned(found.water, share),
    )


def _tinted(found: Palette, colour: Colour, share: float) -> Palette:
    top, middle, low = found.sky
    return replace(
        found,
        sky=(
            mix(top, shade(colour, -0.35), share),
            mix(middle, colour, share),
            mix(low, shade(colour, 0.5), share),
        ),
        far=mix(found.far, colour, share * 0.8),
        near=mix(found.near, shade(colour, -0.6), share),
        water=mix(found.water, shade(colour, -0.2), share),
    )
