"""Ways to change the look of a picture; each takes RGB and gives RGB of the same size."""

import random
from collections.abc import Callable

from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from server.emulator.runners.canvas import blurred
from server.emulator.runners.palette import shade
from server.emulator.runners.words import Colour

Retouch = Callable[[Image.Image], Image.Image]


def tinted(picture: Image.Image, colour: Colour, share: float = 0.6) -> Image.Image:
    """*picture* with its greys running from dark to light *colour*, mixed in by *share*."""
    toned = ImageOps.colorize(
        picture.convert("L"), shade(colour, -0.85), shade(colour, 0.75), mid=colour
    )
    return Image.blend(picture, toned, share)


def mono(picture: Image.Image) -> Image.Image:
    """Black and white, with the contrast of film."""
    return ImageOps.autocontrast(picture.convert("L"), cutoff=1).convert("RGB")


def sepia(picture: Image.Image) -> Image.Image:
    """Brown and cream, as old prints."""
    return ImageOps.colorize(
        ImageOps.autocontrast(picture.convert("L"), cutoff=1),
        (38, 22, 12),
        (255, 240, 210),
        mid=(160, 118, 76),
    )


def balanced(picture: Image.Image, red: float, green: float, blue: float) -> Image.Image:
    """*picture* with its channels multiplied."""
    table = [min(255, round(value * part)) for part in (red, green, blue) for value in range(256)]
    return picture.point(table)


def warmer(picture: Image.Image) -> Image.Image:
    """More red, less blue."""
    return balanced(picture, 1.16, 1.02, 0.8)


def cooler(picture: Image.Image) -> Image.Image:
    """More blue, less red."""
    return balanced(picture, 0.82, 0.98, 1.18)


def brighter(picture: Image.Image) -> Image.Image:
    """Lifted, mostly in the middle."""
    return picture.point([round(255 * (value / 255) ** 0.72) for value in range(256)] * 3)


def darker(picture: Image.Image) -> Image.Image:
    """Lowered, mostly in the middle."""
    return picture.point([round(255 * (value / 255) ** 1.5) for value in range(256)] * 3)


def night(picture: Image.Image) -> Image.Image:
    """Dark and blue, with the brightest parts left glowing."""
    dark = balanced(ImageEnhance.Color(darker(picture)).enhance(0.55), 0.38, 0.46, 0.8)
    lights = picture.convert("L").point(
        [0 if value < 205 else (value - 205) * 4 for value in range(256)]
    )
    return Image.composite(balanced(picture, 1.0, 0.88, 0.6), dark, lights)


def sunset(picture: Image.Image) -> Image.Image:
    """Evening light from above."""
    from server.emulator.runners.canvas import gradient

    light = gradient(picture.size, [(0, (120, 60, 130)), (0.5, (255, 140, 84)), (1, (110, 56, 70))])
    return Image.blend(
        ImageChops.soft_light(balanced(picture, 1.08, 0.94, 0.8), light),
        ImageChops.overlay(picture, light),
        0.4,
    )


def poster(picture: Image.Image) -> Image.Image:
    """Flat colours with dark outlines, as in a cartoon."""
    smooth = picture
    for _ in range(2):
        smooth = smooth.filter(ImageFilter.MedianFilter(5 if max(picture.size) > 700 else 3))
    flat = ImageEnhance.Color(ImageOps.posterize(smooth, 3)).enhance(1.5)
    lines = ImageOps.invert(smooth.convert("L").filter(ImageFilter.FIND_EDGES)).point(
        [0 if value < 205 else 255 for value in range(256)]
    )
    lines = lines.filter(ImageFilter.GaussianBlur(0.7))
    return ImageChops.multiply(flat, lines.convert("RGB"))


def sketch(picture: Image.Image) -> Image.Image:
    """Pencil on paper."""
    grey = ImageOps.autocontrast(picture.convert("L"))
    soft = blurred(ImageOps.invert(grey), max(4.0, max(picture.size) / 120))
    table = [255 - value for value in range(256)]
    dodge = ImageChops.add(grey, soft)
    edges = ImageOps.invert(grey.filter(ImageFilter.CONTOUR).point(table)).point(
        [round(255 * (value / 255) ** 1.4) for value in range(256)]
    )
    lines = ImageChops.multiply(
        dodge.point([round(255 * (value / 255) ** 2.2) for value in range(256)]), edges
    )
    return ImageOps.colorize(lines, (44, 42, 48), (250, 247, 238))


def paint(picture: Image.Image) -> Image.Image:
    """Broad soft strokes and richer colours."""
    size = picture.size
    factor = max(1, max(size) // 420)
    small = picture.resize(
        (max(1, size[0] // factor), max(1, size[1] // factor)), Image.Resampling.BOX
    )
    for _ in range(2):
        small = small.filter(ImageFilter.ModeFilter(5))
    small = small.filter(ImageFilter.SMOOTH_MORE)
    return ImageEnhance.Color(small.resize(size, Image.Resampling.BICUBIC)).enhance(1.3)


def pixel(picture: Image.Image) -> Image.Image:
    """Large square pixels in few colours."""
    across = 96
    down = max(1, round(across * picture.height / picture.width))
    small = picture.resize((across, down), Image.Resampling.BOX).quantize(
        24, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
    )
    return small.convert("RGB").resize(picture.size, Image.Resampling.NEAREST)


def neon(picture: Image.Image) -> Image.Image:
    """Dark with glowing edges in magenta and cyan."""
    edges = ImageOps.autocontrast(picture.convert("L").filter(ImageFilter.FIND_EDGES), cutoff=2)
    glowing = ImageChops.screen(
        ImageOps.colorize(edges, (0, 0, 0), (40, 226, 232)),
        ImageOps.colorize(blurred(edges, 6), (0, 0, 0), (240, 40, 170)),
    )
    return ImageChops.screen(tinted(darker(darker(picture)), (90, 40, 160), 0.5), glowing)


def vivid(picture: Image.Image) -> Image.Image:
    """Richer colours and contrast."""
    return ImageEnhance.Contrast(ImageEnhance.Color(picture).enhance(1.45)).enhance(1.12)


def sharper(picture: Image.Image) -> Image.Image:
    """Clearer edges."""
    return picture.filter(ImageFilter.UnsharpMask(radius=2, percent=140, threshold=2))


def softer(picture: Image.Image) -> Image.Image:
    """Out of focus by about a hundredth of the longer side."""
    return blurred(picture, max(2.0, max(picture.size) / 90))


def restored(picture: Image.Image) -> Image.Image:
    """Less noise, fuller contrast, clearer edges."""
    return sharper(ImageOps.autocontrast(picture.filter(ImageFilter.MedianFilter(3)), cutoff=0.5))


def coloured(picture: Image.Image) -> Image.Image:
    """Plausible colours for a grey picture: blue above, green and skin below, by brightness and height."""
    from server.emulator.runners.canvas import gradient

    hues = gradient(
        picture.size,
        [(0, (120, 168, 222)), (0.45, (222, 186, 150)), (0.7, (150, 170, 104)), (1, (122, 96, 66))],
    )
    grey = ImageOps.autocontrast(picture.convert("L")).convert("RGB")
    return ImageEnhance.Color(ImageChops.soft_light(ImageChops.overlay(grey, hues), hues)).enhance(
        1.25
    )


def snowed(picture: Image.Image, chance: random.Random) -> Image.Image:
    """Whitened, with flakes falling."""
    from server.emulator.runners.canvas import mask

    flakes = [(chance.random(), chance.random(), chance.random()) for _ in range(320)]
    side = min(picture.size)

    def draw(pen: object, scale: float) -> None:
        for x, y, near in flakes:
            reach = side * (0.0015 + 0.006 * near**3) * scale
            across, down = x * picture.width * scale, y * picture.height * scale
            pen.ellipse(
                (across - reach, down - reach, across + reach, down + reach),
                fill=round(140 + 110 * near),
            )  # type: ignore[attr-defined]

    pale = Image.blend(
        ImageEnhance.Color(picture).enhance(0.55),
        Image.new("RGB", picture.size, (226, 236, 248)),
        0.3,
    )
    pale.paste((255, 255, 255), (0, 0), mask(picture.size, draw))
    return pale


STYLES: dict[str, Retouch] = {
    "mono": mono,
    "sepia": sepia,
    "paint": paint,
    "poster": poster,
    "sketch": sketch,
    "pixel": pixel,
    "neon": neon,
}
