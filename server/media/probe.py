"""What a file really is: its bytes decide, and it is opened before it is believed."""

import json
import zipfile
from pathlib import Path
from typing import cast

from catalog.media import MediaFacts, MediaKind
from server.media.signs import MOST_CONTENTS, contents_bytes, kind_of, media_type_of
from server.media.whole import missing_bytes
from tools.errors import MediaError

# A caller who wants the first takes also the others.
KIND_WORDS: dict[MediaKind, str] = {
    "image": "an image",
    "video": "a video",
    "audio": "audio",
    "3d": "a 3D model",
    "archive": "an archive",
    "weights": "model weights",
    "text": "text",
    "file": "a file",
}
_EXAMPLES: dict[MediaKind, str] = {
    "image": "a PNG, JPEG or WebP picture",
    "video": "an MP4, MOV or WebM video",
    "audio": "an MP3, WAV, FLAC, OGG or M4A recording",
    "3d": "a GLB, glTF, OBJ, STL or PLY mesh",
    "archive": "a ZIP, or the folder with the files: it is packed into one",
    "weights": "a safetensors file",
    "text": "a text file",
    "file": "any file",
}
_WEIGHT_ENDINGS = {".bin", ".pt", ".pth", ".ckpt", ".safetensors", ".gguf"}
# Kinds that nobody needs to ask for: what models make and take.
# A ZIP may unpack to so many bytes, and above the lesser number to so many times its own length:
# media are packed already, captions shrink ten times, and what shrinks more is made to fill a disk.
MOST_UNPACKED, ANY_UNPACKED, MOST_TIMES = 20_000_000_000, 200_000_000, 100
MEDIA: frozenset[MediaKind] = frozenset({"image", "video", "audio", "3d", "archive", "weights"})


def probe(path: Path) -> MediaFacts:
    """Return what *path* is, by its bytes, after opening it. Blocks; a large file takes a while.

    Pictures are decoded whole, of video and sound the first frame; sizes are upright, as seen.
    Bytes of no known format are ``file``, ``application/octet-stream``.

    Raises:
        MediaError: there is nothing, it is empty, cut off, damaged, too large to open, or a web
            page in place of media.
    """
    try:
        size = path.stat().st_size
        if size == 0:
            raise MediaError(f"{path.name!r} is empty (0 bytes)", hint="save or download it again")
        media_type = media_type_of(path)
        if media_type == "text/html":
            raise MediaError(
                f"{path.name!r} is a web page (HTML), not media",
                hint="the link led to a page; download the file itself",
            )
        if missing := missing_bytes(path, media_type):
            raise _cut_off(path, f"{missing:,} bytes are missing at its end")
        return _opened(path, media_type, size)
    except FileNotFoundError:
        raise MediaError(f"there is no file {path.name!r}", hint="check the path") from None
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        raise MediaError(
            f"{path.name!r} cannot be read: {reason.lower()}", hint="check the file"
        ) from None


def fits(facts: MediaFacts, wanted: MediaKind, name: str = "") -> bool:
    """Return whether something of *facts* serves where *wanted* is asked for.

    Moving GIFs serve as video, videos with sound as audio; a ``file`` field takes anything. *name*
    helps with weights, many of which have no mark of their own.
    """
    if facts.kind == wanted or wanted == "file":
        return True
    if wanted == "video":
        return facts.kind == "image" and (facts.frames or 1) > 1
    if wanted == "audio":
        return facts.kind == "video" and bool(facts.has_audio)
    if wanted == "weights":
        return facts.kind == "file" and Path(name).suffix.lower() in _WEIGHT_ENDINGS
    return False


def require(facts: MediaFacts, wanted: MediaKind | None, name: str) -> None:
    """Refuse something of *facts*, called *name*, that is not *wanted* (None: any media).

    Raises:
        MediaError: it is something else; the message says what.
    """
    found = f"{name!r} is {KIND_WORDS[facts.kind]} ({facts.media_type})"
    if wanted is None:
        if facts.kind not in MEDIA:
            raise MediaError(
                f"{found}, not media",
                hint="give a picture, video, sound, mesh, archive or weights",
            )
    elif not fits(facts, wanted, name):
        raise MediaError(
            f"{found}; {KIND_WORDS[wanted]} is wanted here", hint=f"give {_EXAMPLES[wanted]}"
        )


def _opened(path: Path, media_type: str, size: int) -> MediaFacts:
    match kind_of(media_type):
        case "image":
            return _image(path, media_type, size)
        case "video" | "audio":
            from server.media.moving import moving_facts

            return moving_facts(path, media_type, size)
        case "3d":
            _check_mesh(path, media_type)
        case "archive":
            _check_archive(path, media_type)
        case "weights":
            _check_weights(path, media_type, size)
        case _:
            pass
    return MediaFacts(kind_of(media_type), media_type, bytes=size)


def _image(path: Path, media_type: str, size: int) -> MediaFacts:
    if media_type == "image/svg+xml":
        from server.media.svg import svg_size

        width, height = svg_size(path)
        return MediaFacts("image", media_type, bytes=size, width=width, height=height)
    if media_type in (
        "image/x-exr",
        "image/jxl",
        "image/vnd.radiance",
    ):  # nothing here decodes them
        return MediaFacts("image", media_type, bytes=size)
    from server.media.pixels import image_facts

    return image_facts(path, media_type, size)


def _check_mesh(path: Path, media_type: str) -> None:
    """Refuse a mesh whose description cannot be read; its triangles are not looked at."""
    if media_type != "model/gltf-binary":
        return
    with path.open("rb") as file:
        header = file.read(20)
        length = int.from_bytes(header[12:16], "little")
        try:
            described = json.loads(file.read(min(length, 200_000_000)))
        except (ValueError, RecursionError):
            described = None
    if header[16:20] != b"JSON" or not isinstance(described, dict):
        raise MediaError(f"{path.name!r} is a damaged GLB", hint="export or download it again")


def _check_archive(path: Path, media_type: str) -> None:
    if media_type != "application/zip":
        return
    if (length := contents_bytes(path)) > MOST_CONTENTS:
        raise MediaError(
            f"the table of contents of {path.name!r} alone has {length / 1e6:.0f} MB",
            hint="an archive may hold some 100,000 files",
        )
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):  # the last: odd versions
        raise _cut_off(path, "its table of contents is missing") from None
    packed = path.stat().st_size
    if unpacked > MOST_UNPACKED or (unpacked > ANY_UNPACKED and unpacked > packed * MOST_TIMES):
        raise MediaError(
            f"{path.name!r} has {packed / 1e6:.1f} MB and would unpack to {unpacked / 1e9:.1f} GB",
            hint="an archive of media grows little; pack the files themselves, or name the folder",
        )


def _check_weights(path: Path, media_type: str, size: int) -> None:
    """Hold the header of safetensors against the file: every tensor must lie inside it."""
    if media_type != "application/x-safetensors":
        return
    header, length = tensors(path)
    ends = [
        cast("dict[str, list[int]]", entry).get("data_offsets", [0, 0])[1]
        for entry in header.values()
    ]
    if missing := max(0, max(ends, default=0) + 8 + length - size):
        raise _cut_off(path, f"{missing:,} bytes are missing at its end")


def tensors(path: Path) -> tuple[dict[str, object], int]:
    """Return the tensors that a safetensors file describes, by name, and the header's length.

    Raises:
        MediaError: the header cannot be read.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header: object = json.loads(file.read(length))
        except (ValueError, RecursionError):
            header = None
    if not isinstance(header, dict):
        raise MediaError(f"{path.name!r} is a damaged safetensors file", hint="download it again")
    entries = cast("dict[str, object]", header)
    entries.pop("__metadata__", None)
    if not all(isinstance(entry, dict) for entry in entries.values()):
        raise MediaError(f"{path.name!r} is a damaged safetensors file", hint="download it again")
    return entries, length


def _cut_off(path: Path, what: str) -> MediaError:
    return MediaError(f"{path.name!r} is cut off: {what}", hint="save or download it again")
