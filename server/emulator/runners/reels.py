"""Moving pictures, worked out frame by frame: a drawn scene, a given picture, a change."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image, ImageChops

from server.emulator.runners.canvas import Layer, Size, flat, glow, resized
from server.emulator.runners.framing import covered
from server.emulator.runners.pictures import sheets
from server.emulator.runners.words import wishes

# How much wider than its frame a scene is drawn, so that there is room to move.
_ROOM = 1.16


class Reel(Protocol):
    """Frames of one size for each moment of a clip."""

    def frame(self, share: float) -> Image.Image:
        """The frame (RGB) at *share* of the clip, from 0 to 1."""
        ...


@dataclass(slots=True)
class _Sheet:
    """A layer ready to be pasted: colours, alpha, and where there is anything on it."""

    colours: Image.Image
    alpha: Image.Image
    box: tuple[int, int, int, int]
    layer: Layer


class SceneReel:
    """A scene of the words, with a slow camera, drifting clouds, falling snow, bobbing boats."""

    def __init__(self, text: str, size: Size, chance: random.Random, seconds: float) -> None:
        self.size = size
        self.seconds = seconds
        self.wide = (round(size[0] * _ROOM), round(size[1] * 1.06))
        groups = _grouped(sheets(wishes(text), chance, self.wide))
        self.ground = flat([groups[0]])
        self.sheets = [_ready(layer) for layer in groups[1:]]
        self.turn = chance.choice((1.0, -1.0))

    def frame(self, share: float) -> Image.Image:
        """The frame at *share* of the clip."""
        width, height = self.size
        room = self.wide[0] - width
        down = (self.wide[1] - height) // 2
        whole = self.ground.crop(self._window(0.0, share, room, down))
        for sheet in self.sheets:
            layer = sheet.layer
            sway = layer.bob * math.sin(share * self.seconds * 1.7) * height
            if layer.wraps:
                self._fall(whole, sheet, share, room, down)
                continue
            left, top, _, _ = self._window(layer.drift, share, room, round(down - sway))
            self._paste(whole, sheet, left, top)
        return whole

    def _window(
        self, drift: float, share: float, room: int, down: int
    ) -> tuple[int, int, int, int]:
        across = 0.5 + self.turn * (share - 0.5) * min(1.0, 0.25 + abs(drift) * 3.4)
        if drift < 0:  # what drives or sails by crosses half of the frame, to the right
            left = round(room / 2 - (share - 0.5) * self.size[0] * 0.5)
        else:
            left = round(room * min(1.0, max(0.0, across)))
        return left, down, left + self.size[0], down + self.size[1]

    def _paste(self, whole: Image.Image, sheet: _Sheet, left: int, top: int) -> None:
        x0, y0, x1, y1 = sheet.box
        cut = (
            max(x0, left),
            max(y0, top),
            min(x1, left + self.size[0]),
            min(y1, top + self.size[1]),
        )
        if cut[2] > cut[0] and cut[3] > cut[1]:
            place = (cut[0] - left, cut[1] - top)
            whole.paste(sheet.colours.crop(cut), place, sheet.alpha.crop(cut))

    def _fall(self, whole: Image.Image, sheet: _Sheet, share: float, room: int, down: int) -> None:
        """What falls or rises enters again on the other side."""
        left = room // 2
        moved = round(share * sheet.layer.rise * self.wide[1] * self.seconds / 5)
        start = (down + moved) % self.wide[1]
        self._paste(whole, sheet, left, start)
        self._paste(whole, sheet, left, start - self.wide[1])


def _grouped(layers: Sequence[Layer]) -> list[Layer]:
    """The layers, with those that move alike on one sheet."""
    groups: list[list[Layer]] = []
    for layer in layers:
        alike = groups and not layer.wraps and not groups[-1][0].wraps
        if alike and abs(groups[-1][0].drift - layer.drift) < 0.06 and layer.drift >= 0:
            groups[-1].append(layer)
        else:
            groups.append([layer])
    return [_merged(group) for group in groups]


def _merged(group: Sequence[Layer]) -> Layer:
    first = group[0]
    sheet = first.sheet.copy()
    for layer in group[1:]:
        sheet.alpha_composite(layer.sheet)
    return Layer(sheet, first.drift, first.rise, max(layer.bob for layer in group), first.wraps)


def _ready(layer: Layer) -> _Sheet:
    alpha = layer.sheet.getchannel("A")
    return _Sheet(layer.sheet.convert("RGB"), alpha, alpha.getbbox() or (0, 0, 0, 0), layer)


class StillReel:
    """A given picture come alive: a slow zoom and light that drifts across.

    It begins with the whole picture, or with *ends* ends with it.
    """

    def __init__(
        self, picture: Image.Image, size: Size, chance: random.Random, *, ends: bool = False
    ) -> None:
        self.size = size
        self.wide = (round(size[0] * 1.12), round(size[1] * 1.12))
        self.picture = covered(picture.convert("RGB"), self.wide)
        self.inward = not ends
        self.lean = (chance.uniform(-1, 1), chance.uniform(-0.6, 0.6))
        light = glow(size, (size[0] / 2, size[1] / 2), max(size) * 0.5, 70)
        self.light = light

    def frame(self, share: float) -> Image.Image:
        """The frame at *share* of the clip."""
        eased = share * share * (3 - 2 * share)
        near = eased if self.inward else 1 - eased
        width = self.wide[0] - (self.wide[0] - self.size[0]) * near
        height = self.wide[1] - (self.wide[1] - self.size[1]) * near
        left = (self.wide[0] - width) / 2 * (1 + self.lean[0] * near)
        top = (self.wide[1] - height) / 2 * (1 + self.lean[1] * near)
        box = (left, top, left + width, top + height)
        whole = resized(self.picture, self.size, Image.Resampling.BILINEAR, box)
        across = round((share * 1.6 - 0.8) * self.size[0] / 2)
        whole.paste((255, 244, 220), (0, 0, *self.size), ImageChops.offset(self.light, across, 0))
        return whole


class CrossReel:
    """One reel that turns into another in the second half of the clip."""

    def __init__(self, first: Reel, last: Reel) -> None:
        self.first, self.last = first, last

    def frame(self, share: float) -> Image.Image:
        """The frame at *share* of the clip."""
        mixed = min(1.0, max(0.0, (share - 0.3) / 0.55))
        if mixed <= 0:
            return self.first.frame(share)
        if mixed >= 1:
            return self.last.frame(share)
        return Image.blend(self.first.frame(share), self.last.frame(share), mixed)


class ChainReel:
    """Several reels one after the other, each for its share of the clip."""

    def __init__(self, reels: Sequence[tuple[float, Reel]]) -> None:
        self.reels = reels
        self.total = sum(part for part, _ in reels)

    def frame(self, share: float) -> Image.Image:
        """The frame at *share* of the clip."""
        at = share * self.total
        for part, reel in self.reels:
            if at <= part:
                return reel.frame(at / part if part else 0.0)
            at -= part
        return self.reels[-1][1].frame(1.0)


class StandReel:
    """A picture that stands still."""

    def __init__(self, picture: Image.Image, size: Size) -> None:
        self.picture = covered(picture.convert("RGB"), size)

    def frame(self, share: float) -> Image.Image:
        """The picture, at any *share*."""
        del share
        return self.picture
