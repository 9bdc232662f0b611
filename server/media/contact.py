"""A video as one picture: evenly spaced frames with their times.

Imports Pillow and av; import this module late.
"""

from pathlib import Path

from PIL import Image, ImageDraw

from catalog.media import MediaFacts
from server.media.moving import Frame, frames_at, length_of
from server.media.pixels import emptiness, encoded, lettering
from server.media.sheet import SHEET_BYTES, described
from tools.ports import View

_GAP = 4
_BACKGROUND = (24, 24, 24)


def contact_sheet(path: Path, facts: MediaFacts, *, frames: int, size: int) -> View:
    """Return up to *frames* frames of the video at *path* on one sheet of *size* pixels at most.

    Raises:
        MediaError: it does not open.
    """
    seconds = facts.seconds or length_of(path, facts.media_type)
    times = [seconds * (number + 0.5) / frames for number in range(frames)]
    columns, tile = layout(frames, (facts.width or 16) / (facts.height or 9), size)
    shown = frames_at(path, facts.media_type, times, tile)
    if not shown:
        return View(f"{described(facts)}; no frame of it decodes")
    columns = min(columns, len(shown))
    picture = encoded(_arranged(shown, columns), max_bytes=SHEET_BYTES)
    moments = ", ".join(f"{frame.seconds:.2f}" for frame in shown)
    order = "left to right, top to bottom" if len(shown) > 1 else "the only one"
    text = f"{described(facts)}; frames at {moments} s, {order}{_complaint(shown)}"
    return View(text, (picture,))


def layout(count: int, aspect: float, size: int) -> tuple[int, int]:
    """Return how many columns show *count* frames largest, and a frame's longest side in pixels.

    *aspect* is width by height of one frame; the sheet is *size* pixels wide and high at most.
    """
    best = (1, 1)
    widest = 0.0
    for columns in range(1, count + 1):
        rows = -(-count // columns)
        width = min(
            (size - _GAP * (columns + 1)) / columns, (size - _GAP * (rows + 1)) / rows * aspect
        )
        if width > widest:
            widest = width
            best = (columns, max(16, int(max(width, width / aspect))))
    return best


def _arranged(frames: list[Frame], columns: int) -> Image.Image:
    width = max(frame.picture.width for frame in frames)
    height = max(frame.picture.height for frame in frames)
    rows = -(-len(frames) // columns)
    sheet = Image.new(
        "RGB", (_GAP + columns * (width + _GAP), _GAP + rows * (height + _GAP)), _BACKGROUND
    )
    for number, frame in enumerate(frames):
        left = _GAP + number % columns * (width + _GAP)
        top = _GAP + number // columns * (height + _GAP)
        sheet.paste(frame.picture, (left, top))
        _label(sheet, (left, top), f"{frame.seconds:.2f} s", max(11, min(22, width // 14)))
    return sheet


def _label(sheet: Image.Image, corner: tuple[int, int], text: str, size: int) -> None:
    """Write *text* on a dark ground into the upper left corner of a frame."""
    draw = ImageDraw.Draw(sheet)
    place = (corner[0] + 5, corner[1] + 3)
    left, top, right, bottom = draw.textbbox(place, text, font=lettering(size))
    draw.rectangle((left - 4, top - 3, right + 4, bottom + 3), fill=(0, 0, 0))
    draw.text(place, text, fill=(255, 255, 255), font=lettering(size))


def _complaint(frames: list[Frame]) -> str:
    """Return a warning when frames show nothing, or all show the same."""
    empty = [emptiness(frame.picture) for frame in frames]
    if all(empty):
        return f". Every frame is {empty[0]}: probably blocked or failed"
    if any(empty):
        moments = ", ".join(
            f"{frame.seconds:.2f} s {words}"
            for frame, words in zip(frames, empty, strict=True)
            if words
        )
        return f". Showing nothing: {moments}"
    if len(frames) > 1 and all(
        frame.picture.tobytes() == frames[0].picture.tobytes() for frame in frames
    ):
        return ". All these frames are the same: nothing moves"
    return ""
