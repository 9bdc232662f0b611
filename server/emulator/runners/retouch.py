"""Ways to change the look of a picture; each takes RGB and gives RGB of the same size."""

import random
from collections.abc import Callable

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from server.emulator.runners.canvas import blurred, gradient, mapped, mask, resized
from server.emulator.runners.palette import shade
from server.emulator.runners.words import Colour

Retouch = Callable[[Image.Image], Image.Image]


def tinted(picture: Image.Image, colour: Colour, share: float = 0.6) -> Image.Image:
    """*picture* with its greys running from dark to light *colour*, mixed in by *share*."""
    grey = picture.convert("L")
    toned = ImageOps.colorize(grey, shade(colour, -0.85), shade(colour, 0.75), mid=colour)
    return Image.blend(picture, toned, share)


def mono(picture: Image.Image) -> Image.Image:
    """Black and white, with the contrast of film."""
    return ImageOps.autocontrast(picture.convert("L"), cutoff=1).convert("RGB")


def sepia(picture: Image.Image) -> Image.Image:
    """Brown and cream, as old prints."""
    grey = ImageOps.autocontrast(picture.convert("L"), cutoff=1)
    return ImageOps.colorize(grey, (38, 22, 12), (255, 240, 210), mid=(160, 118, 76))


def balanced(picture: Image.Image, red: float, green: float, blue: float) -> Image.Image:
    """*picture* with its channels multiplied."""
    parts = zip(picture.split(), (red, green, blue), strict=True)
    return Image.merge("RGB", [_times(channel, part) for channel, part in parts])


def _times(channel: Image.Image, part: float) -> Image.Image:
    return mapped(channel, lambda value: value * part)


def warmer(picture: Image.Image) -> Image.Image:
    """More red, less blue."""
    return balanced(picture, 1.16, 1.02, 0.8)


def cooler(picture: Image.Image) -> Image.Image:
    """More blue, less red."""
    return balanced(picture, 0.82, 0.98, 1.18)


def brighter(picture: Image.Image) -> Image.Image:
    """Lifted, mostly in the middle."""
    return mapped(picture, lambda value: 255 * (value / 255) ** 0.72)


def darker(picture: Image.Image) -> Image.Image:
    """Lowered, mostly in the middle."""
    return mapped(picture, lambda value: 255 * (value / 255) ** 1.5)


def night(picture: Image.Image) -> Image.Image:
    """Dark and blue, with the brightest parts left glowing."""
    dark = balanced(ImageEnhance.Color(darker(picture)).enhance(0.55), 0.38, 0.46, 0.8)
    lights = mapped(picture.convert("L"), lambda value: (value - 205) * 4)
    return Image.composite(balanced(picture, 1.0, 0.88, 0.6), dark, lights)


def sunset(picture: Image.Image) -> Image.Image:
    """Evening light from above."""
    light = gradient(picture.size, [(0, (120, 60, 130)), (0.5, (255, 140, 84)), (1, (110, 56, 70))])
    soft = ImageChops.soft_light(balanced(picture, 1.08, 0.94, 0.8), light)
    return Image.blend(soft, ImageChops.overlay(picture, light), 0.4)


def poster(picture: Image.Image) -> Image.Image:
    """Flat colours with dark outlines, as in a cartoon."""
    smooth = picture
    for _ in range(2):
        smooth = smooth.filter(ImageFilter.MedianFilter(3))
    flat = ImageEnhance.Color(ImageOps.posterize(smooth, 3)).enhance(1.5)
    edges = smooth.convert("L").filter(ImageFilter.FIND_EDGES)
    lines = mapped(edges, lambda value: 255 if value < 50 else 0)
    lines = lines.filter(ImageFilter.GaussianBlur(0.7))
    return ImageChops.multiply(flat, lines.convert("RGB"))


def sketch(picture: Image.Image) -> Image.Image:
    """Pencil on paper."""
    grey = ImageOps.autocontrast(picture.convert("L"))
    soft = blurred(ImageOps.invert(grey), max(4.0, max(picture.size) / 120))
    dodge = mapped(ImageChops.add(grey, soft), lambda value: 255 * (value / 255) ** 2.2)
    edges = mapped(grey.filter(ImageFilter.CONTOUR), lambda value: 255 * (value / 255) ** 1.4)
    return ImageOps.colorize(ImageChops.multiply(dodge, edges), (44, 42, 48), (250, 247, 238))


def paint(picture: Image.Image) -> Image.Image:
    """Broad soft strokes and richer colours."""
    factor = max(1.0, max(picture.size) / 360)
    size = (max(1, round(picture.width / factor)), max(1, round(picture.height / factor)))
    small = resized(picture, size, Image.Resampling.BOX).filter(ImageFilter.ModeFilter(5))
    small = small.filter(ImageFilter.SMOOTH_MORE)
    return ImageEnhance.Color(resized(small, picture.size)).enhance(1.3)


def pixel(picture: Image.Image) -> Image.Image:
    """Large square pixels in few colours."""
    across = min(96, picture.width)
    size = (across, max(1, round(across * picture.height / picture.width)))
    small = resized(picture, size, Image.Resampling.BOX)
    few = small.quantize(24, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")
    return resized(few, picture.size, Image.Resampling.NEAREST)


def neon(picture: Image.Image) -> Image.Image:
    """Dark with glowing edges in magenta and cyan."""
    edges = picture.convert("L").filter(ImageFilter.FIND_EDGES)
    edges = ImageOps.autocontrast(edges, cutoff=2)
    sharp = ImageOps.colorize(edges, (0, 0, 0), (40, 226, 232))
    soft = ImageOps.colorize(blurred(edges, 6), (0, 0, 0), (240, 40, 170))
    dark = tinted(darker(darker(picture)), (90, 40, 160), 0.5)
    return ImageChops.screen(dark, ImageChops.screen(sharp, soft))


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
    calm = picture.filter(ImageFilter.MedianFilter(3))
    return sharper(ImageOps.autocontrast(calm, cutoff=0.5))


def coloured(picture: Image.Image) -> Image.Image:
    """Plausible colours for a grey picture: blue above, skin and green below."""
    stops = [(0.0, (120, 168, 222)), (0.45, (222, 186, 150)), (0.7, (150, 170, 104))]
    hues = gradient(picture.size, [*stops, (1.0, (122, 96, 66))])
    grey = ImageOps.autocontrast(picture.convert("L")).convert("RGB")
    mixed = ImageChops.soft_light(ImageChops.overlay(grey, hues), hues)
    return ImageEnhance.Color(mixed).enhance(1.25)


def snowed(picture: Image.Image, chance: random.Random) -> Image.Image:
    """Whitened, with flakes falling."""
    flakes = [(chance.random(), chance.random(), chance.random()) for _ in range(320)]
    width, height = picture.size

    def draw(pen: ImageDraw.ImageDraw, scale: float) -> None:
        for x, y, near in flakes:
            reach = min(width, height) * (0.0015 + 0.006 * near**3) * scale
            across, down = x * width * scale, y * height * scale
            box = (across - reach, down - reach, across + reach, down + reach)
            pen.ellipse(box, fill=round(140 + 110 * near))

    white = Image.new("RGB", picture.size, (226, 236, 248))
    pale = Image.blend(ImageEnhance.Color(picture).enhance(0.55), white, 0.3)
    pale.paste((255, 255, 255), (0, 0, width, height), mask(picture.size, draw))
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
