"""Pictures: open them without trust, make them small, encode them within a limit.

Imports Pillow; import this module late.
"""

import io
import struct
import warnings
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageFont, ImageOps, UnidentifiedImageError

from catalog.media import MediaFacts
from tools.errors import MediaError
from tools.ports import Picture

# As many as Pillow opens without a warning: about 9,400 x 9,400.
MOST_PIXELS = 89_478_485
# Frames of one moving picture that are counted and timed.
MOST_FRAMES = 2000

# Pillow's decoders leak all of these for damaged files (found by changing bytes at random).
_DAMAGED = (
    OSError, SyntaxError, ValueError, TypeError, RuntimeError, AttributeError, EOFError, IndexError,
    KeyError, OverflowError, ZeroDivisionError, struct.error, Warning,
)  # fmt: skip

_ORIENTATION = 0x0112  # a tag of EXIF
_MOVING = ("GIF", "WEBP", "PNG", "AVIF")
_LIGHT, _DARK, _SQUARE = (255, 255, 255), (204, 204, 204), 12
_QUALITIES = (85, 75, 62, 50, 38, 28)


@lru_cache(maxsize=1)
def _strict() -> None:
    """Let a picture that would fill the memory fail instead of warning, in the whole process."""
    warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def open_picture(path: Path, *, longest: int | None = None) -> Image.Image:
    """Return the decoded picture at *path*, upright; its first frame when it moves.

    *longest* lets a JPEG be decoded smaller, to no less than that many pixels on its longest side.

    Raises:
        MediaError: it does not open, is cut off, or has more than `MOST_PIXELS` pixels.
    """
    return _decoded(path, longest)[0]


def image_facts(path: Path, media_type: str, size: int) -> MediaFacts:
    """Return what the picture at *path* is after decoding it; moving ones with frames and seconds.

    Raises:
        MediaError: see `open_picture`; HEIC photos among those that do not open.
    """
    if media_type == "image/heic":
        raise MediaError(
            f"{path.name!r} is a HEIC photo, which cannot be opened here",
            hint="save it as JPEG or PNG",
        )
    _, (width, height) = _decoded(path, 1)
    frames, seconds = _motion(path)
    return MediaFacts(
        "image",
        media_type,
        bytes=size,
        width=width,
        height=height,
        frames=frames,
        seconds=seconds,
        fps=round(frames / seconds, 3) if seconds and frames else None,
        has_audio=False if frames and frames > 1 else None,
    )


def _decoded(path: Path, longest: int | None) -> tuple[Image.Image, tuple[int, int]]:
    """Return the picture, upright, and its whole size, of which a JPEG may be a fraction."""
    _strict()
    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise _too_large(path, f" of {opened.width}x{opened.height} pixels")
            width, height = opened.size
            if longest is not None and opened.format == "JPEG":
                opened.draft(None, (longest, longest))
            opened.load()
            turn = opened.getexif().get(_ORIENTATION, 1)
            upright = opened if turn == 1 else ImageOps.exif_transpose(opened)
            return upright, (height, width) if turn in (5, 6, 7, 8) else (width, height)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(path, "") from None
    except UnidentifiedImageError:
        raise MediaError(
            f"{path.name!r} looks like a picture but does not open", hint="save it as PNG or JPEG"
        ) from None
    except (FileNotFoundError, PermissionError):
        raise
    except _DAMAGED as problem:
        raise MediaError(
            f"{path.name!r} is damaged or cut off: {str(problem)[:80]}",
            hint="save or download it again",
        ) from None


def _motion(path: Path) -> tuple[int | None, float | None]:
    """Return how many frames there are and how many seconds they last; None for a still picture."""
    milliseconds = 0.0
    try:
        with Image.open(path, formats=_MOVING) as opened:
            frames = min(getattr(opened, "n_frames", 1), MOST_FRAMES)
            if frames < 2:
                return None, None
            for number in range(frames):
                opened.seek(number)
                opened.load()  # WebP tells the time of a frame only once it is decoded
                milliseconds += opened.info.get("duration", 0) or 0
    except UnidentifiedImageError:  # a format that never moves
        return None, None
    except _DAMAGED:
        raise MediaError(
            f"{path.name!r} is damaged or cut off in its frames", hint="save or download it again"
        ) from None
    return frames, milliseconds / 1000 or None


def _too_large(path: Path, size: str) -> MediaError:
    return MediaError(
        f"{path.name!r} is a picture{size} too large to open",
        hint=f"scale it down to at most {MOST_PIXELS // 1_000_000} megapixels first",
    )


def as_rgb(picture: Image.Image) -> Image.Image:
    """Return *picture* in plain RGB: alpha on a checker board, deep greys and floats scaled."""
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    if picture.mode in ("I", "F", "I;16", "I;16L", "I;16B", "I;16N"):
        return _scaled_grey(picture).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        board = _checker(rgba.size)
        board.paste(rgba, mask=rgba.getchannel("A"))
        return board
    return picture.convert("RGB")


def _scaled_grey(picture: Image.Image) -> Image.Image:
    """Return a grey picture of many levels in 256: whole numbers by 16 bits, floats by range."""
    floats = picture.convert("F") if picture.mode == "F" else picture.convert("I").convert("F")
    low, high = _range(floats)
    if picture.mode != "F" and low >= 0 and 255 < high <= 65535:
        low, high = 0.0, 65535.0
    elif picture.mode != "F" and low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    span = (high - low) or 1.0
    scaled = floats.point(  # pyright: ignore[reportUnknownMemberType]  # numpy, untyped here
        lambda value: value * (255 / span) + (-low * 255 / span)
    )
    return scaled.convert("L")


def _range(picture: Image.Image) -> tuple[float, float]:
    low, high = picture.getextrema()
    if isinstance(low, tuple) or isinstance(high, tuple):  # only for pictures of several bands
        return 0.0, 255.0
    return float(low), float(high)


def _checker(size: tuple[int, int]) -> Image.Image:
    tile = Image.new("RGB", (_SQUARE * 2, _SQUARE * 2), _LIGHT)
    for left, top in ((0, 0), (_SQUARE, _SQUARE)):
        tile.paste(_DARK, (left, top, left + _SQUARE, top + _SQUARE))
    board = Image.new("RGB", size)
    for left in range(0, size[0], _SQUARE * 2):
        board.paste(tile, (left, 0))
    strip = board.crop((0, 0, size[0], _SQUARE * 2))
    for top in range(_SQUARE * 2, size[1], _SQUARE * 2):
        board.paste(strip, (0, top))
    return board


def fitted(picture: Image.Image, longest: int) -> Image.Image:
    """Return *picture* with its longest side at most *longest* pixels, never enlarged."""
    scale = longest / max(picture.size)
    if scale >= 1:
        return picture
    width, height = (max(1, round(side * scale)) for side in picture.size)
    if picture.mode in ("P", "PA", "1"):
        picture = picture.convert("RGBA")
    elif picture.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
        picture = as_rgb(picture)
    return resized(picture, (width, height))


def resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return *picture* in exactly *size* (width, height), smoothly."""
    return picture.resize(  # pyright: ignore[reportUnknownMemberType]  # numpy, untyped here
        size, Image.Resampling.LANCZOS, reducing_gap=3.0
    )


def encoded(picture: Image.Image, *, max_bytes: int) -> Picture:
    """Return *picture* as a JPEG of at most *max_bytes*: worse first, then smaller."""
    shown = as_rgb(picture)
    while True:
        for quality in _QUALITIES:
            file = io.BytesIO()
            shown.save(file, "JPEG", quality=quality, optimize=True)
            if file.tell() <= max_bytes or max(shown.size) <= 16:
                return Picture(file.getvalue(), "image/jpeg", *shown.size)
        shown = fitted(shown, max(16, max(shown.size) * 3 // 4))


def emptiness(picture: Image.Image) -> str:
    """Return in words why a picture shows nothing; empty when it shows something."""
    if "A" in picture.getbands() and _range(picture.getchannel("A"))[1] == 0:
        return "entirely transparent"
    small = as_rgb(fitted(picture, 256))
    low, high = _range(small.convert("L"))
    if high < 24:
        return "nearly black"
    if low > 248:
        return "nearly white"
    if high - low <= 3:
        red, green, blue = (round(_range(small.getchannel(band))[1]) for band in "RGB")
        return f"one even colour, #{red:02x}{green:02x}{blue:02x}"
    return ""


@lru_cache(maxsize=4)
def lettering(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Return the font for labels at *size* pixels."""
    return ImageFont.load_default(size)
