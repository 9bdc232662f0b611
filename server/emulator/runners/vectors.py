"""Pictures as SVG: drawn from words, or traced from a given picture."""

import html
import math

from PIL import Image

from server.emulator.runners.canvas import resized
from server.emulator.runners.given_pictures import ordered
from server.emulator.runners.motifs import shapes
from server.emulator.runners.palette import Palette, mix, palette, shade
from server.emulator.runners.picture_file import NOTE, opened
from server.emulator.runners.request import Request
from server.emulator.runners.sizes import picture_size
from server.emulator.runners.words import Colour, Wishes, wishes
from server.emulator.work import Made


def draws_svg(request: Request) -> bool:
    """Whether the pictures of *request* are vectors."""
    name = request.task.endpoint_id.lower()
    return (
        any(word in name for word in ("svg", "vector", "vecglypher"))
        or request.word("output_format") == "svg"
    )


def svg_all(request: Request) -> list[Made]:
    """Write the picture that *request* asks for as SVG."""
    path = request.new_file("image", ".svg")
    path.write_text(svg_text(request), encoding="utf-8")
    return [Made(path, "image/svg+xml")]


def svg_text(request: Request) -> str:
    """Return the SVG of what *request* asks for, with its note and label."""
    given = ordered(request)
    if given:
        picture = opened(given[0])
        width, height = picture.size
        body = traced(picture)
    else:
        width, height = picture_size(request)
        body = _drawn(request, width, height)
    note = html.escape(
        f"{NOTE} Model: {request.task.endpoint_id}. Seed: {request.seed}.", quote=False
    )
    letters = max(9, round(min(width, height) * 0.026))
    tag = (
        f'<text x="{width - letters}" y="{height - letters}" font-size="{letters}" fill="#fff" '
        f'stroke="#12141c" stroke-width="{letters / 5:.1f}" paint-order="stroke" '
        'text-anchor="end" font-family="sans-serif">falkit local preview</text>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}"><title>falkit local preview</title><desc>{note}</desc>'
        f"{body}{tag}</svg>\n"
    )


def traced(picture: Image.Image) -> str:
    """*picture* as runs of equal colour, 96 across, in sixteen colours."""
    across = min(96, picture.width)
    down = max(1, round(across * picture.height / picture.width))
    small = resized(picture.convert("RGB"), (across, down), Image.Resampling.BOX)
    few = small.quantize(16, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    inks = few.getpalette() or []
    places = few.tobytes()
    step_x, step_y = picture.width / across, picture.height / down
    parts: list[str] = []
    for row in range(down):
        column = 0
        while column < across:
            ink, start = places[row * across + column], column
            while column < across and places[row * across + column] == ink:
                column += 1
            colour = "#{:02x}{:02x}{:02x}".format(*inks[ink * 3 : ink * 3 + 3])
            parts.append(
                f'<rect x="{start * step_x:.2f}" y="{row * step_y:.2f}" fill="{colour}" '
                f'width="{(column - start) * step_x + 0.3:.2f}" height="{step_y + 0.3:.2f}"/>'
            )
    return "".join(parts)


def _drawn(request: Request, width: int, height: int) -> str:
    wished = wishes(request.text)
    chance = request.chance("svg")
    colours = palette(wished, chance)
    top, middle, low = (_hex(colour) for colour in colours.sky)
    parts = [
        f'<defs><linearGradient id="sky" x1="0" y1="0" x2="0" y2="1"><stop stop-color="{top}"/>'
        f'<stop offset=".55" stop-color="{middle}"/><stop offset="1" stop-color="{low}"/>'
        f'</linearGradient></defs><rect width="{width}" height="{height}" fill="url(#sky)"/>',
        f'<circle cx="{width * chance.uniform(0.2, 0.8):.0f}" cy="{height * 0.3:.0f}" '
        f'r="{min(width, height) * 0.08:.0f}" fill="{_hex(colours.light)}"/>',
    ]
    for place in range(4):
        near = place / 3
        base = height * (0.55 + 0.13 * place)
        waves = [(chance.uniform(1, 3), chance.uniform(0, 6.3)) for _ in range(2)]
        points: list[str] = []
        for step in range(25):
            rise = sum(math.sin(step / 24 * often * 6.3 + start) for often, start in waves)
            points.append(f"{width * step / 24:.0f},{base - height * 0.05 * rise:.0f}")
        ink = _hex(mix(colours.far, colours.near, near))
        parts.append(
            f'<polygon points="0,{height} {" ".join(points)} {width},{height}" fill="{ink}"/>'
        )
    parts.append(_thing(wished, colours, width, height))
    return "".join(parts)


def _thing(wished: Wishes, colours: Palette, width: int, height: int) -> str:
    if not wished.things:
        return ""
    body = wished.thing_colour or colours.accent
    inks: dict[str, Colour] = {
        "body": body,
        "dark": shade(body, -0.45),
        "light": shade(body, 0.45),
        "accent": colours.accent,
        "white": (250, 250, 246),
        "black": (24, 22, 28),
        "skin": (232, 190, 160),
    }
    side = min(width, height) * 0.5
    left, top = (width - side) / 2, height * 0.92 - side
    drawn = [
        _shape(form, _hex(inks[ink]), numbers) for form, ink, numbers in shapes()[wished.things[0]]
    ]
    return f'<g transform="translate({left:.0f} {top:.0f}) scale({side:.0f})">{"".join(drawn)}</g>'


def _shape(form: str, ink: str, n: tuple[float, ...]) -> str:
    match form:
        case "oval":
            middle = f'cx="{(n[0] + n[2]) / 2:.3f}" cy="{(n[1] + n[3]) / 2:.3f}"'
            reach = f'rx="{(n[2] - n[0]) / 2:.3f}" ry="{(n[3] - n[1]) / 2:.3f}"'
            return f'<ellipse {middle} {reach} fill="{ink}"/>'
        case "box":
            size = f'width="{n[2] - n[0]:.3f}" height="{n[3] - n[1]:.3f}"'
            return f'<rect x="{n[0]:.3f}" y="{n[1]:.3f}" {size} rx=".01" fill="{ink}"/>'
        case "poly":
            points = " ".join(f"{n[at]:.3f},{n[at + 1]:.3f}" for at in range(0, len(n), 2))
            return f'<polygon points="{points}" fill="{ink}"/>'
        case "line":
            ends = f'x1="{n[0]:.3f}" y1="{n[1]:.3f}" x2="{n[2]:.3f}" y2="{n[3]:.3f}"'
            return f'<line {ends} stroke="{ink}" stroke-width="{n[4]:.3f}"/>'
        case _:
            return _arc(ink, n)


def _arc(ink: str, n: tuple[float, ...]) -> str:
    reach_x, reach_y = (n[2] - n[0]) / 2, (n[3] - n[1]) / 2
    middle = (n[0] + reach_x, n[1] + reach_y)
    start, end = n[4], n[5] if n[5] > n[4] else n[5] + 360
    ends = [
        (middle[0] + reach_x * math.cos(t), middle[1] + reach_y * math.sin(t))
        for t in (math.radians(start), math.radians(end))
    ]
    large = 1 if end - start > 180 else 0
    path = (
        f"M{ends[0][0]:.3f} {ends[0][1]:.3f}A{reach_x:.3f} {reach_y:.3f} 0 {large} 1 "
        f"{ends[1][0]:.3f} {ends[1][1]:.3f}"
    )
    return f'<path d="{path}" fill="none" stroke="{ink}" stroke-width="{n[6]:.3f}"/>'


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
