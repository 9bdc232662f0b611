"""Things that stand in a picture, such as a cat or a boat, drawn in any colours."""

from functools import cache
from pathlib import Path
from typing import cast

from PIL import Image, ImageDraw

from server.emulator.runners.palette import Colour, shade

Shape = tuple[str, str, tuple[float, ...]]

AFLOAT = frozenset({"boat"})
ALOFT = frozenset({"bird", "balloon", "butterfly", "rocket", "heart", "fish"})


@cache
def shapes() -> dict[str, list[Shape]]:
    """All things by name, each as its shapes from back to front."""
    found: dict[str, list[Shape]] = {}
    name = ""
    text = (Path(__file__).parent / "motifs.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("  "):
            form, ink, *numbers = line.split()
            found[name].append((form, ink, tuple(float(number) for number in numbers)))
        elif not line.startswith("#"):
            name = line
            found[name] = []
    return found


def motif(name: str, side: int, body: Colour, accent: Colour) -> Image.Image:
    """An RGBA picture of *side* by *side* pixels that shows the thing *name* in these colours."""
    fine = max(1, min(4, 3000 // max(1, side)))
    large = side * fine
    sheet = Image.new("RGBA", (large, large), (*body, 0))
    pen = ImageDraw.Draw(sheet)
    inks: dict[str, Colour] = {
        "body": body,
        "dark": shade(body, -0.45),
        "light": shade(body, 0.45),
        "accent": accent,
        "white": (250, 250, 246),
        "black": (24, 22, 28),
        "skin": (232, 190, 160),
    }
    for form, ink, numbers in shapes()[name]:
        _draw(pen, (form, ink, numbers), inks[ink], large)
    return sheet.reduce(fine) if fine > 1 else sheet


def _draw(pen: ImageDraw.ImageDraw, shape: Shape, ink: Colour, side: int) -> None:
    form, _, numbers = shape
    at = [number * side for number in numbers]
    box = cast("tuple[float, float, float, float]", tuple(at[:4]))
    match form:
        case "oval":
            pen.ellipse(box, fill=ink)
        case "box":
            radius = min(box[2] - box[0], box[3] - box[1]) * 0.12
            pen.rounded_rectangle(box, radius=radius, fill=ink)
        case "poly":
            pen.polygon(at, fill=ink)
        case "line":
            pen.line(box, fill=ink, width=max(1, round(at[4])))
        case _:
            pen.arc(box, numbers[4], numbers[5], fill=ink, width=max(1, round(at[6])))
