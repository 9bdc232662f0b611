"""Pictures that say something of a picture: edges, depth, surfaces, pose, areas."""

import random
from collections.abc import Callable

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from server.emulator.runners.canvas import blurred, gradient, mapped, resized
from server.emulator.runners.masking import subject

Guide = Callable[[Image.Image], Image.Image]


def edges(picture: Image.Image) -> Image.Image:
    """White lines where brightness changes."""
    grey = blurred(picture.convert("L"), 1.2).filter(ImageFilter.FIND_EDGES)
    lines = mapped(ImageOps.autocontrast(grey, cutoff=1), lambda value: 255 if value > 70 else 0)
    return lines.convert("RGB")


def lines(picture: Image.Image) -> Image.Image:
    """Soft white lines, as drawn with chalk."""
    grey = picture.convert("L").filter(ImageFilter.FIND_EDGES)
    return mapped(ImageOps.autocontrast(blurred(grey, 1.0), cutoff=1), float).convert("RGB")


def depth(picture: Image.Image) -> Image.Image:
    """Light is near: what is low and what stands out from the border."""
    ground = gradient(picture.size, [(0, (20, 20, 20)), (1, (170, 170, 170))]).convert("L")
    stands = mapped(blurred(subject(picture), min(picture.size) / 60), lambda value: value * 0.85)
    relief = mapped(blurred(picture.convert("L"), min(picture.size) / 80), lambda v: 200 + v * 0.2)
    return ImageChops.lighter(ground, ImageChops.multiply(stands, relief)).convert("RGB")


def normals(picture: Image.Image) -> Image.Image:
    """Surface directions as red and green, from the slopes of brightness."""
    grey = blurred(picture.convert("L"), 2.0)
    across = grey.filter(ImageFilter.Kernel((3, 3), (-1, 0, 1, -2, 0, 2, -1, 0, 1), 2, 128))
    down = grey.filter(ImageFilter.Kernel((3, 3), (1, 2, 1, 0, 0, 0, -1, -2, -1), 2, 128))
    return Image.merge("RGB", (across, down, Image.new("L", picture.size, 232)))


def areas(picture: Image.Image) -> Image.Image:
    """Areas of like colour, each in a colour of its own."""
    few = resized(picture.convert("RGB"), (160, 160), Image.Resampling.BOX).filter(
        ImageFilter.ModeFilter(7)
    )
    parts = few.quantize(8, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    chance = random.Random(8)  # noqa: S311  # a fixed set of colours
    parts.putpalette([chance.randrange(40, 250) for _ in range(24)])
    return resized(parts.convert("RGB"), picture.size, Image.Resampling.NEAREST)


def pose(picture: Image.Image) -> Image.Image:
    """A stick figure where the subject stands."""
    sheet = Image.new("RGB", picture.size)
    left, top, right, bottom = subject(picture).getbbox() or (0, 0, *picture.size)
    width, height = right - left, bottom - top

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x * width, top + y * height

    joints = {
        "head": at(0.5, 0.1),
        "neck": at(0.5, 0.22),
        "hip": at(0.5, 0.55),
        "elbow": at(0.25, 0.38),
        "hand": at(0.2, 0.55),
        "elbow2": at(0.75, 0.38),
        "hand2": at(0.8, 0.55),
        "knee": at(0.4, 0.75),
        "foot": at(0.38, 0.97),
        "knee2": at(0.6, 0.75),
        "foot2": at(0.62, 0.97),
    }
    bones = ("head neck", "neck hip", "neck elbow", "elbow hand", "neck elbow2", "elbow2 hand2")
    legs = ("hip knee", "knee foot", "hip knee2", "knee2 foot2")
    pen = ImageDraw.Draw(sheet)
    inks = ((255, 60, 60), (255, 170, 0), (200, 255, 0), (60, 255, 60), (0, 255, 170))
    thick = max(2, min(width, height) // 60)
    for place, bone in enumerate((*bones, *legs)):
        one, other = bone.split()
        pen.line((*joints[one], *joints[other]), fill=inks[place % 5], width=thick)
    for x, y in joints.values():
        pen.ellipse((x - thick, y - thick, x + thick, y + thick), fill=(60, 120, 255))
    return sheet


_GUIDES: dict[str, Guide] = {
    "depth": depth,
    "midas": depth,
    "zoe": depth,
    "marigold": depth,
    "normal": normals,
    "canny": edges,
    "mlsd": edges,
    "lineart": lines,
    "hed": lines,
    "pidi": lines,
    "scribble": lines,
    "teed": lines,
    "pose": pose,
    "segment": areas,
    "sam": areas,
}


def guide(endpoint_id: str) -> Guide | None:
    """The guide that a preprocessor of that id draws, or None for other endpoints."""
    told = endpoint_id.split("/", 1)[-1]
    if not any(word in told for word in ("preprocessor", "imageutils", "dwpose", "marigold")):
        return None
    name = told.split("/", 1)[-1]
    return next((draw for word, draw in _GUIDES.items() if word in name), None)
