"""What a model should see of a file: a sentence, and a picture where there is something to see."""

import gzip
import io
import tarfile
import zipfile
import zlib
from pathlib import Path

from catalog.media import MediaFacts
from server.media.probe import probe, tensors
from server.media.signs import decoded
from tools.errors import MediaError
from tools.ports import View

SHEET_PIXELS = 1024
SHEET_BYTES = 150_000
TEXT_SHOWN = 2000
NAMES_SHOWN = 40
# Bytes that are unpacked to list what an archive holds, at most.
MOST_UNPACKED = 500_000_000


def sheet(path: Path, *, frames: int = 6, size: int = SHEET_PIXELS) -> View:
    """Return what *path* looks, sounds or reads like. Blocks.

    A video becomes one sheet of up to *frames* evenly spaced frames labelled with their times, a
    sound its waveform, a mesh four shaded sides, a text its first 2,000 characters. Pictures are
    JPEG, *size* pixels on their longest side at most, 150 KB at most.

    Raises:
        MediaError: it does not open.
    """
    facts = probe(path)
    match facts.kind:
        case "image":
            return _picture(path, facts, size)
        case "video":
            from server.media.contact import contact_sheet

            return contact_sheet(path, facts, frames=frames, size=size)
        case "audio":
            from server.media.waveform import waveform

            return waveform(path, facts, size=size)
        case "3d":
            return _mesh(path, facts, size)
        case "text":
            return View(_text(path, facts))
        case "archive":
            return View(f"{described(facts)}: {_contents(path, facts)}")
        case "weights":
            return View(f"{described(facts)}{_tensors(path, facts)}")
        case _:
            return View(f"{described(facts)}; it has nothing to look at")


def described(facts: MediaFacts) -> str:
    """Return *facts* as the start of a sentence, such as ``image/png, 640x480, 12 KB``."""
    words = [facts.media_type]
    if facts.width and facts.height:
        words.append(f"{facts.width}x{facts.height}")
    if facts.seconds:
        words.append(f"{facts.seconds:.2f} s")
    if facts.fps:
        words.append(f"{facts.fps:g} fps")
    if facts.frames and facts.frames > 1:
        words.append(f"{facts.frames} frames")
    if facts.kind == "video":
        words.append("with sound" if facts.has_audio else "no sound")
    if facts.bytes:
        words.append(
            f"{facts.bytes:,} bytes" if facts.bytes < 1024 else f"{facts.bytes / 1024:,.0f} KB"
        )
    return ", ".join(words)


def _picture(path: Path, facts: MediaFacts, size: int) -> View:
    if facts.width is None or facts.media_type == "image/svg+xml":
        beginning = f"\n{_text(path, facts)}" if facts.media_type == "image/svg+xml" else ""
        return View(f"{described(facts)}; it cannot be drawn here{beginning}")
    from server.media.pixels import emptiness, encoded, fitted, open_picture

    opened = fitted(open_picture(path, longest=size), size)
    empty = emptiness(opened)
    alpha = "; transparent parts lie on a checker board" if "A" in opened.getbands() else ""
    shown = encoded(opened, max_bytes=SHEET_BYTES)
    scaled = f"; shown at {shown.width}x{shown.height}" if shown.width != facts.width else ""
    warning = f". It is {empty}: probably blocked or failed" if empty else ""
    return View(f"{described(facts)}{scaled}{alpha}{warning}", (shown,))


def _mesh(path: Path, facts: MediaFacts, size: int) -> View:
    from server.media.mesh import read_mesh

    try:
        mesh = read_mesh(path, facts.media_type)
    except MediaError as problem:
        return View(f"{described(facts)}; {problem.message}")
    from server.media.solid import four_sides

    width, depth, height = mesh.extent
    words = (
        f"{described(facts)}, {mesh.triangle_count:,} triangles, {mesh.vertex_count:,} vertices, "
        f"{width:.3g} wide x {height:.3g} high x {depth:.3g} deep in its own units; "
        "front, right, back, left"
    )
    return View(words, (four_sides(mesh, size=size, max_bytes=SHEET_BYTES),))


def _text(path: Path, facts: MediaFacts) -> str:
    with path.open("rb") as file:
        text = decoded(file.read(TEXT_SHOWN * 4), whole=False) or ""
    cut = len(text) > TEXT_SHOWN or (facts.bytes or 0) > TEXT_SHOWN * 4
    rest = (
        f"\n… the first {TEXT_SHOWN:,} characters of {facts.bytes:,} bytes; the rest is in the file"
        if cut
        else ""
    )
    return f"{facts.media_type}, {facts.bytes:,} bytes:\n{text[:TEXT_SHOWN]}{rest}"


def _contents(path: Path, facts: MediaFacts) -> str:
    """Return the names inside an archive, the first of them where there are many."""
    try:
        names = _names(path, facts.media_type)
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, ValueError, zlib.error):
        return "its contents cannot be listed here"
    shown = ", ".join(_safe(name) for name in names[:NAMES_SHOWN])
    more = f" and {len(names) - NAMES_SHOWN:,} more" if len(names) > NAMES_SHOWN else ""
    return f"{len(names):,} {'file' if len(names) == 1 else 'files'}: {shown}{more}"


def _names(path: Path, media_type: str) -> list[str]:
    if media_type == "application/zip":
        with zipfile.ZipFile(path) as packed:
            return [entry.filename for entry in packed.infolist() if not entry.is_dir()]
    with path.open("rb") as plain:
        source = _Unpacked(
            gzip.GzipFile(fileobj=plain) if media_type == "application/gzip" else plain
        )
        with tarfile.open(fileobj=source, mode="r|") as packed:
            return [entry.name for entry in packed if entry.isfile()]


class _Unpacked(io.RawIOBase):
    """What comes out of a compressed file, up to a bound: a few bytes may unpack to anything."""

    def __init__(self, source: io.BufferedIOBase) -> None:
        self._source = source
        self._left = MOST_UNPACKED

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise OSError("it unpacks to too much")
        return data


def _tensors(path: Path, facts: MediaFacts) -> str:
    if facts.media_type != "application/x-safetensors":
        return ""
    entries, _ = tensors(path)
    return f", {len(entries):,} tensors: {', '.join(_safe(name) for name in list(entries)[:6])}…"


def _safe(name: str) -> str:
    """Return a name from inside a file, cut, without letters that a terminal might obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:80])
