"""One small picture of a result, light enough for every answer."""

from pathlib import Path

from server.media.signs import kind_of, media_type_of
from tools.errors import MediaError
from tools.ports import Picture

# No picture inside an answer is wider than this; design: at most 24 KB, 512 pixels.
PREVIEW_PIXELS = 512
PREVIEW_BYTES = 24_000


def preview(
    path: Path, *, size: int = PREVIEW_PIXELS, max_bytes: int = PREVIEW_BYTES
) -> Picture | None:
    """Return a JPEG of *path*: a picture whole, alpha on a checker board; a video's middle frame.

    *size* bounds the longest side in pixels, *max_bytes* the encoded length. None for what has no
    look (sound, text, archives) and for files that are gone or damaged. Blocks.
    """
    try:
        media_type = media_type_of(path)
        match kind_of(media_type):
            case "image":
                return _of_picture(path, media_type, size, max_bytes)
            case "video":
                return _of_video(path, media_type, size, max_bytes)
            case _:
                return None
    except (OSError, MediaError):
        return None


def _of_picture(path: Path, media_type: str, size: int, max_bytes: int) -> Picture | None:
    if media_type == "image/svg+xml":
        return None
    from server.media.pixels import encoded, fitted, open_picture

    return encoded(fitted(open_picture(path, longest=size), size), max_bytes=max_bytes)


def _of_video(path: Path, media_type: str, size: int, max_bytes: int) -> Picture | None:
    from server.media.moving import frames_at, length_of
    from server.media.pixels import emptiness, encoded

    seconds = length_of(path, media_type)
    frames = frames_at(path, media_type, [seconds / 2], size)
    if frames and emptiness(frames[0].picture):  # a fade or a cut; another moment says more
        others = frames_at(path, media_type, [seconds / 4, seconds * 3 / 4], size)
        frames = [frame for frame in others if not emptiness(frame.picture)] or frames
    return encoded(frames[0].picture, max_bytes=max_bytes) if frames else None
