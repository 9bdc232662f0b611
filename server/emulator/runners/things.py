"""The things that a prompt names, placed on a stage with their shadows."""

from PIL import Image

from server.emulator.runners import motifs
from server.emulator.runners.canvas import Layer, glow, painted, resized
from server.emulator.runners.palette import mix
from server.emulator.runners.stage import Stage
from server.emulator.runners.words import Colour

_NATURAL: dict[str, Colour] = {
    "tree": (70, 130, 74),
    "cat": (216, 136, 64),
    "dog": (176, 124, 78),
    "house": (226, 208, 180),
    "horse": (128, 84, 56),
    "robot": (150, 164, 178),
    "castle": (168, 160, 158),
    "boat": (168, 62, 54),
    "heart": (226, 58, 84),
}
# Height of a thing as a share of the picture's shorter side, where it differs from a third.
_SHARES = {"lighthouse": 0.52, "castle": 0.5, "tree": 0.5, "house": 0.36, "flower": 0.46}
# They face and move to the right.
_MOVING = frozenset({"boat", "car", "bird", "fish"})


def things(stage: Stage) -> list[Layer]:
    """The layers of the first two things that are wished for; a studio is never empty."""
    names = stage.wishes.things[:2]
    if not names and stage.wishes.place == "studio":
        names = (stage.chance.choice(("bottle", "cup", "fruit")),)
    found = [_placed(stage, name, is_first=place == 0) for place, name in enumerate(names)]
    return [layer for layer in found if layer]


def _placed(stage: Stage, name: str, *, is_first: bool) -> Layer | None:
    wished = stage.wishes
    in_studio = wished.place == "studio"
    mine = wished.thing_colour if is_first else None
    body = mine or _body(stage, name)
    side = round(min(stage.size) * (_share(name, in_studio=in_studio) if is_first else 0.22))
    if side < 4:
        return None
    drawn = motifs.motif(name, side, body, stage.colours.accent)
    if name in ("bird", "fish") or (stage.chance.random() < 0.5 and name != "car"):
        drawn = drawn.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    x = stage.width * _across(stage, is_first=is_first)
    foot = _foot(stage, name, side)
    sheet = Image.new("RGBA", stage.size, (*body, 0))
    if name not in motifs.ALOFT or in_studio:
        flat = (stage.width, max(2, stage.height // 6))
        shadow = resized(glow(stage.size, (x, foot), side * 0.5, 170), flat)
        sheet.paste(painted(shadow, (8, 10, 20)), (0, round(foot - foot / 6)))
    left = max(0, min(stage.width - side, round(x - side / 2)))
    top = max(0, min(stage.height - side, round(foot - side)))
    sheet.alpha_composite(drawn, (left, top))
    floats = name in motifs.ALOFT or name in motifs.AFLOAT
    return Layer(
        sheet,
        drift=-0.3 if name in _MOVING else 0.1,
        bob=0.012 if floats else 0.002,
    )


def _across(stage: Stage, *, is_first: bool) -> float:
    if not is_first:
        return stage.chance.choice((0.2, 0.8))
    return 0.5 if stage.wishes.place == "studio" else stage.chance.uniform(0.3, 0.7)


def _share(name: str, *, in_studio: bool) -> float:
    if name == "person":
        return 0.86
    return 0.56 if in_studio else _SHARES.get(name, 0.34)


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


def _body(stage: Stage, name: str) -> Colour:
    some = stage.chance.choice(((214, 70, 70), (60, 120, 190), (240, 180, 80)))
    plain = _NATURAL.get(name) or mix(stage.colours.accent, some, 0.5)
    return mix(plain, stage.colours.near, 0.45 if stage.colours.is_dark else 0.1)
