"""How large a picture or a video shall be, in pixels, however its card asks for it."""

import math
import re
from typing import Any, cast

from server.emulator.runners.request import Request
from server.emulator.work import RunnerError

Size = tuple[int, int]

MAX_SIDE = 14_142
MAX_PIXELS = 40_000_000
MAX_VIDEO_PIXELS = 3840 * 2160

# Named sizes as fal documents them; the last four are set by hand, in proportion.
PRESETS: dict[str, Size] = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
    "portrait_3_2": (832, 1248),
    "landscape_3_2": (1248, 832),
    "portrait_hd": (1080, 1920),
    "landscape_hd": (1920, 1080),
    "square_uhd": (2048, 2048),
}
_SIZE_FIELDS = (
    "image_size",
    "video_size",
    "size",
    "canvas_size",
    "shot_size",
    "output_size",
    "resolution",
    "aspect_ratio",
)
_RATIO_FIELDS = ("aspect_ratio", "resolution_mode", "ratio")
_PIXELS = re.compile(r"^\s*(\d{2,5})\s*[x*]\s*(\d{2,5})")
_RATIO = re.compile(r"^(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)$")
_SIDES = {
    "0.5k": 512,
    "1k": 1024,
    "1.5k": 1536,
    "2k": 2048,
    "3k": 3072,
    "4k": 4096,
    "1mp": 1024,
    "4mp": 2048,
}
_SHORT_SIDES = {
    "low": 360,
    "medium": 480,
    "high": 720,
    "1k": 1080,
    "2k": 1440,
    "4k": 2160,
    "8k": 4320,
}


def picture_size(request: Request, source: Size | None = None) -> Size:
    """Return the asked width and height, else those of *source*, else the card's default.

    A value equal to the card's default counts as no wish where there is a source, since an edit
    follows its input.

    Raises:
        RunnerError: the size is beyond 40 megapixels.
    """
    asked = _explicit(request, of_default=source is None)
    if asked is None:
        ratio = _ratio(request, of_default=source is None)
        side = _side(request, of_default=source is None)
        if source and ratio is None:
            asked = source if side is None else _area(source[0] / source[1], side)
        else:
            kept = math.sqrt(source[0] * source[1]) if source else 1024
            asked = _area(ratio or 1.0, side or kept)
    return bounded(asked, MAX_PIXELS, request)


def video_size(request: Request, source: Size | None = None) -> Size:
    """Return the asked width and height of a video, both even; *source* lends its proportions.

    Raises:
        RunnerError: the size is beyond that of 4K.
    """
    asked = _explicit(request, of_default=source is None)
    if asked is None:
        ratio = _ratio(request, of_default=source is None)
        if ratio is None:
            ratio = source[0] / source[1] if source else 16 / 9
        short = _short_side(request) or (min(min(source), 1080) if source else 720)
        asked = (even(short * ratio), short) if ratio >= 1 else (short, even(short / ratio))
    width, height = bounded(asked, MAX_VIDEO_PIXELS, request)
    return even(width), even(height)


def even(length: float) -> int:
    """The even number nearest to *length*, at least two."""
    return max(2, round(length / 2) * 2)


def asked_ratio(request: Request) -> float | None:
    """The proportion, width by height, that the arguments name, the card's default included."""
    return _ratio(request, of_default=True)


def _explicit(request: Request, *, of_default: bool) -> Size | None:
    width, height = request.number("width"), request.number("height")
    if width and height:
        return int(width), int(height)
    for name in _SIZE_FIELDS:
        value = request.arguments.get(name)
        if value is None or (not of_default and value == _default(request, name)):
            continue
        size = _as_size(value)
        if size:
            return size
    return None


def _as_size(value: object) -> Size | None:
    if isinstance(value, dict):
        held = cast("dict[str, Any]", value)
        width, height = held.get("width"), held.get("height")
        if isinstance(width, (int, float)) and isinstance(height, (int, float)):
            return int(width), int(height)
    if isinstance(value, list) and len(cast("list[object]", value)) == 2:
        numbers = [part for part in cast("list[object]", value) if isinstance(part, (int, float))]
        return (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 else None
    if isinstance(value, str):
        found = _PIXELS.match(value)
        return (int(found[1]), int(found[2])) if found else PRESETS.get(value.lower())
    return None


def _ratio(request: Request, *, of_default: bool) -> float | None:
    for name in _RATIO_FIELDS:
        value = request.arguments.get(name)
        if not of_default and value == _default(request, name):
            continue
        if isinstance(value, dict):
            value = cast("dict[str, object]", value).get("ratio")
        if isinstance(value, str) and (found := _RATIO.match(value.strip())):
            across, down = float(found[1]), float(found[2])
            if across and down:
                return min(max(across / down, 1 / 16), 16)
    return None


def _side(request: Request, *, of_default: bool) -> float | None:
    for name in ("resolution", "image_size", "target_resolution", "image_resolution"):
        value = request.arguments.get(name)
        if not isinstance(value, (str, int)) or (
            not of_default and value == _default(request, name)
        ):
            continue
        word = str(value).lower().removeprefix("auto_").split("quality")[0].split("master")[0]
        if word in _SIDES:
            return _SIDES[word]
        if word.rstrip("p").isdigit():
            lines = int(word.rstrip("p"))
            return lines * 4 / 3 if word.endswith("p") else lines
    return None


def _short_side(request: Request) -> int | None:
    for name in (
        "resolution",
        "target_resolution",
        "output_resolution",
        "video_resolution",
        "quality",
    ):
        value = request.arguments.get(name)
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            continue
        word = str(value).lower().removeprefix("true_")
        if word in _SHORT_SIDES:
            return _SHORT_SIDES[word]
        if word.rstrip("p").isdigit() and int(word.rstrip("p")) >= 128:
            return int(word.rstrip("p"))
    return None


def _default(request: Request, name: str) -> object:
    return request.card.properties.get(name, {}).get("default")


def _area(ratio: float, side: float) -> Size:
    """The size of about *side* squared pixels in that proportion, in steps of eight."""
    width = side * math.sqrt(ratio)
    return max(8, round(width / 8) * 8), max(8, round(width / ratio / 8) * 8)


def bounded(size: Size, pixels: int, request: Request) -> Size:
    """Return *size*, at least one by one.

    Raises:
        RunnerError: it is longer than fal allows, or has more than so many *pixels*.
    """
    width, height = max(1, size[0]), max(1, size[1])
    if width > MAX_SIDE or height > MAX_SIDE or width * height > pixels:
        side = int(math.sqrt(pixels))
        field = next((name for name in _SIZE_FIELDS if name in request.arguments), "width")
        raise RunnerError(
            422,
            "image_too_large",
            f"{width} x {height} pixels are too many for a local preview, which has at most "
            f"{pixels // 1_000_000} megapixels",
            loc=(field,),
            ctx={"max_width": side, "max_height": side},
        )
    return width, height
