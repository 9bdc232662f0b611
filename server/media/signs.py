"""What the bytes of a file say it is, whatever it is called."""

import codecs
import json
import mimetypes
import re
import zipfile
from pathlib import Path, PurePosixPath

from catalog.media import MediaKind

HEAD = 4096
# Text is judged by this much of it.
TEXT_JUDGED = 2_000_000
MOST_CONTENTS = 10_000_000  # bytes of a ZIP's table of contents that are read into memory
_ZIP_TAIL = 66_000  # the longest comment at a ZIP's end, and what comes with it

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"II+\x00", "image/tiff"),
    (0, b"8BPS", "image/vnd.adobe.photoshop"),
    (0, b"\x00\x00\x00\x0cJXL ", "image/jxl"),
    (0, b"\x00\x00\x00\x0cjP  ", "image/jp2"),
    (0, b"v/1\x01", "image/x-exr"),
    (0, b"#?RADIANCE", "image/vnd.radiance"),
    (0, b"\x00\x00\x01\x00", "image/vnd.microsoft.icon"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"#!AMR", "audio/amr"),
    (0, b"caff", "audio/x-caf"),
    (0, b"FLV\x01", "video/x-flv"),
    (0, b"\x00\x00\x01\xba", "video/mpeg"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-asf"),
    (0, b"glTF", "model/gltf-binary"),
    (0, b"Kaydara FBX Binary", "model/fbx"),
    (0, b"BLENDER", "application/x-blender"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\x00", "application/x-xz"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (257, b"ustar", "application/x-tar"),
    (0, b"GGUF", "application/x-gguf"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"\x93NUMPY", "application/x-npy"),
    (0, b"OTTO", "font/otf"),
    (0, b"\x00\x01\x00\x00\x00", "font/ttf"),
    (0, b"wOFF", "font/woff"),
    (0, b"wOF2", "font/woff2"),
)

_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_OLD_QUICKTIME = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}

_ENDINGS = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/bmp": ".bmp",
    "image/tiff": ".tiff",
    "image/avif": ".avif",
    "image/heic": ".heic",
    "image/svg+xml": ".svg",
    "image/x-exr": ".exr",
    "image/vnd.microsoft.icon": ".ico",
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
    "video/x-msvideo": ".avi",
    "video/mpeg": ".mpg",
    "video/mp2t": ".ts",
    "video/ogg": ".ogv",
    "video/3gpp": ".3gp",
    "video/x-flv": ".flv",
    "video/x-ms-asf": ".wmv",
    "audio/mpeg": ".mp3",
    "audio/mp3": ".mp3",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/wave": ".wav",
    "audio/mp4": ".m4a",
    "audio/x-m4a": ".m4a",
    "audio/aac": ".aac",
    "audio/flac": ".flac",
    "audio/ogg": ".ogg",
    "audio/opus": ".opus",
    "audio/webm": ".webm",
    "audio/x-matroska": ".mka",
    "audio/aiff": ".aiff",
    "audio/amr": ".amr",
    "model/gltf-binary": ".glb",
    "model/gltf+json": ".gltf",
    "model/obj": ".obj",
    "model/stl": ".stl",
    "model/ply": ".ply",
    "model/fbx": ".fbx",
    "model/vnd.usdz+zip": ".usdz",
    "model/3mf": ".3mf",
    "application/x-blender": ".blend",
    "application/zip": ".zip",
    "application/x-zip-compressed": ".zip",
    "application/gzip": ".gz",
    "application/x-tar": ".tar",
    "application/x-safetensors": ".safetensors",
    "application/x-pytorch": ".pt",
    "application/x-gguf": ".gguf",
    "application/x-npy": ".npy",
    "application/json": ".json",
    "application/x-subrip": ".srt",
    "application/pdf": ".pdf",
    "text/plain": ".txt",
    "text/vtt": ".vtt",
    "text/csv": ".csv",
    "text/markdown": ".md",
    "text/html": ".html",
    "application/octet-stream": ".bin",
}

_KINDS: dict[str, MediaKind] = {
    "application/x-blender": "3d",
    "application/zip": "archive",
    "application/gzip": "archive",
    "application/x-tar": "archive",
    "application/x-7z-compressed": "archive",
    "application/vnd.rar": "archive",
    "application/x-bzip2": "archive",
    "application/x-xz": "archive",
    "application/zstd": "archive",
    "application/x-safetensors": "weights",
    "application/x-pytorch": "weights",
    "application/x-gguf": "weights",
    "application/json": "text",
    "application/x-subrip": "text",
}
_KINDS_BY_FAMILY: dict[str, MediaKind] = {
    "image": "image",
    "video": "video",
    "audio": "audio",
    "model": "3d",
    "text": "text",
}

_HTML = re.compile(
    r"^\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
_SVG = re.compile(
    r"^\s*(?:<\?xml[^>]*\?>\s*)?(?:<!DOCTYPE[^>\[]*(?:\[[^\]]*\])?\s*>\s*|<!--.*?-->\s*)*<(?:\w+:)?svg[\s>]",
    re.I | re.S,
)
_SRT = re.compile(r"^\s*\d+\s*\r?\n\d{1,2}:\d\d:\d\d[,.]\d{1,3}\s*-->\s*\d")
_OBJ_VERTEX = re.compile(r"^v\s+-?[\d.eE+-]+\s+-?[\d.eE+-]+\s+-?[\d.eE+-]+", re.M)
_OBJ_FACE = re.compile(r"^f\s+-?\d+(?:/[\d/-]*)?\s+-?\d+", re.M)


def media_type_of(path: Path) -> str:
    """Return the media type that the bytes of *path* show; the name plays no part.

    Text that is nothing more special is ``text/plain``, other bytes ``application/octet-stream``.
    Containers are told apart by their first bytes only: whether an MP4 holds a picture is for
    `server.media.probe` to find out.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
        size = file.seek(0, 2)
    found = _binary(head, size)
    if found == "application/zip":
        return _zipped(path)
    if found:
        return found
    with path.open("rb") as file:
        return _text(file.read(TEXT_JUDGED), whole=size <= TEXT_JUDGED)


def kind_of(media_type: str) -> MediaKind:
    """Return the kind that *media_type* belongs to; ``file`` for what is none of the others."""
    plain = media_type.partition(";")[0].strip().lower()
    return _KINDS.get(plain) or _KINDS_BY_FAMILY.get(plain.partition("/")[0], "file")


def extension_for(media_type: str) -> str:
    """Return the usual ending of *media_type* with its dot; ``.bin`` where none is known."""
    plain = media_type.partition(";")[0].strip().lower()
    return _ENDINGS.get(plain) or mimetypes.guess_extension(plain) or ".bin"


def _binary(head: bytes, size: int) -> str:
    """Return the type that magic numbers show, empty where there is none."""
    if head[4:8] == b"ftyp":
        return _iso(head)
    for offset, magic, media_type in _MAGIC:
        if head.startswith(magic, offset):
            return media_type
    if head[:4] in (b"RIFF", b"RF64"):
        return _RIFF.get(head[8:12], "")
    if head[4:8] in _OLD_QUICKTIME:
        return "video/quicktime"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "video/webm" if b"webm" in head[:80] else "video/x-matroska"
    if head.startswith(b"FORM") and head[8:12] in (b"AIFF", b"AIFC"):
        return "audio/aiff"
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in (
        12,
        40,
        52,
        56,
        64,
        108,
        124,
    ):
        return "image/bmp"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "application/zip"
    return _headless(head, size)


def _headless(head: bytes, size: int) -> str:
    """Return the type of formats that have no fixed first bytes."""
    if len(head) > 188 and head[0] == head[188] == 0x47:
        return "video/mp2t"
    if len(head) > 3 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        if head[1] & 0xF6 == 0xF0:
            return "audio/aac"
        layer, rate, sampling = head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
        if layer in (1, 2) and rate != 15 and sampling != 3:
            return "audio/mpeg"
    header = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and 2 <= header <= min(size - 8, 100_000_000):
        return "application/x-safetensors"
    if size >= 84 and size == 84 + 50 * int.from_bytes(head[80:84], "little"):
        return "model/stl"
    if re.match(rb"ply\r?\nformat ", head):
        return "model/ply"
    if head[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04") and b"torch" in head:
        return "application/x-pytorch"
    return ""


def _iso(head: bytes) -> str:
    """Return the type of a file of the ISO base media family, by its brands."""
    length = int.from_bytes(head[:4], "big")
    brand = head[8:12]
    brands = {brand, *(head[at : at + 4] for at in range(16, min(length, len(head)), 4))}
    if brands & {b"avif", b"avis"}:
        return "image/avif"
    if brand in _HEIC:
        return "image/heic"
    if brand in (b"M4A ", b"M4B "):
        return "audio/mp4"
    if brand == b"qt  ":
        return "video/quicktime"
    if brand.startswith((b"3gp", b"3g2")):
        return "video/3gpp"
    return "video/mp4"


def contents_bytes(path: Path) -> int:
    """Return how long the table of contents of a ZIP says it is, which is read as a whole; 0 where
    it says nothing."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _ZIP_TAIL))
        tail = file.read()
    end = tail.rfind(b"PK\5\6")
    wide = tail.rfind(b"PK\6\6", 0, max(end, 0))  # of a ZIP64, whose plain numbers say nothing
    start, width = (wide + 40, 8) if wide >= 0 else (end + 12, 4)
    return int.from_bytes(tail[start : start + width], "little") if end >= 0 else 0


def _zipped(path: Path) -> str:
    """Return what a ZIP container holds; a damaged one is still ``application/zip``."""
    if contents_bytes(path) > MOST_CONTENTS:
        return "application/zip"
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()[:2000]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):  # the last: odd versions
        return "application/zip"
    if any(PurePosixPath(name).name == "data.pkl" for name in names):
        return "application/x-pytorch"
    if names and names[0].lower().endswith((".usdc", ".usda", ".usd")):
        return "model/vnd.usdz+zip"
    if "3D/3dmodel.model" in names:
        return "model/3mf"
    if "[Content_Types].xml" in names or "mimetype" in names[:1]:
        return "application/octet-stream"  # an office document or a book, not an archive to unpack
    return "application/zip"


def _text(data: bytes, *, whole: bool) -> str:
    text = decoded(data, whole=whole)
    if text is None:
        return "application/octet-stream"
    if _HTML.match(text[:20_000]):
        return "text/html"
    if _SVG.match(text[:20_000]):
        return "image/svg+xml"
    if text.startswith("WEBVTT"):
        return "text/vtt"
    if _SRT.match(text):
        return "application/x-subrip"
    if text.lstrip().startswith("solid") and "facet" in text[:2000] and "vertex" in text[:4000]:
        return "model/stl"
    if _OBJ_VERTEX.search(text) and _OBJ_FACE.search(text):
        return "model/obj"
    return _data_text(text, whole=whole)


def _data_text(text: str, *, whole: bool) -> str:
    start = text.lstrip()[:1]
    if start not in ("{", "["):
        return "text/plain"
    if not whole:
        return "application/json"
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return "text/plain"
    if isinstance(value, dict) and {"asset", "scenes"} & value.keys() and "asset" in value:
        asset: object = value["asset"]  # pyright: ignore[reportUnknownVariableType]  # any JSON
        if isinstance(asset, dict) and "version" in asset:
            return "model/gltf+json"
    return "application/json"


def decoded(data: bytes, *, whole: bool = True) -> str | None:
    """Return *data* as text, or None where it is none; *whole* False allows a cut last letter."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif b"\x00" in data:
        return None
    else:
        encoding = "utf-8-sig"
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data, final=whole)
    except UnicodeDecodeError:
        text = _latin(data)
    return text


def _latin(data: bytes) -> str | None:
    """Return *data* as Western 8-bit text if that is plausible: few high bytes, no controls."""
    controls = sum(data.count(code) for code in range(32) if code not in (9, 10, 12, 13, 27))
    high = sum(1 for byte in data[:10_000] if byte > 127)
    if controls or high > len(data[:10_000]) // 5:
        return None
    return data.decode("cp1252", errors="replace")
