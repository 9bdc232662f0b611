"""Whether the last part of a file is there, from the lengths that its headers state."""

import struct
from pathlib import Path
from typing import BinaryIO

# Writers of RIFF disagree whether the eight bytes of the header count.
_RIFF_SLACK = 8
# Writers of MP3 disagree about tags at the end.
_MP3_SLACK = 4096


def missing_bytes(path: Path, media_type: str) -> int:
    """Return how many bytes the headers of *path* promise beyond its end, 0 where none are known.

    Reads a few headers only. Streams that were written without lengths count as whole.

    Raises:
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        match media_type:
            case "video/mp4" | "video/quicktime" | "video/3gpp" | "audio/mp4" | "image/heic":
                return _iso(file, size)
            case "video/webm" | "video/x-matroska":
                return _matroska(file, size)
            case "audio/wav" | "video/x-msvideo":
                return _riff(file, size)
            case "audio/mpeg":
                return _mp3(file, size)
            case "model/gltf-binary":
                file.seek(8)
                return max(0, int.from_bytes(file.read(4), "little") - size)
            case _:
                return 0


def _iso(file: BinaryIO, size: int) -> int:
    """Walk the outermost boxes: a length of 1 is followed by a long one, 0 reaches to the end."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length == 0:
            return 0
        if length < 8:
            break
        at += length
    return max(0, at - size)


def _matroska(file: BinaryIO, size: int) -> int:
    """Read the EBML header and the length of the segment after it."""
    head = file.read(256)
    at = 4
    length, used = _vint(head, at)
    at += used + length
    if head[at : at + 4] != b"\x18\x53\x80\x67":
        return 0
    at += 4
    length, used = _vint(head, at)
    if used == 0 or length == (1 << (7 * used)) - 1:
        return 0
    return max(0, at + used + length - size)


def _vint(data: bytes, at: int) -> tuple[int, int]:
    """Return the EBML number at *at* and how many bytes it takes, zeros where there is none."""
    if at >= len(data) or data[at] == 0:
        return 0, 0
    used = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + used], "big") & ((1 << (7 * used)) - 1)
    return value, used


def _riff(file: BinaryIO, size: int) -> int:
    length = int.from_bytes(file.read(8)[4:], "little")
    if length in (0, 0xFFFFFFFF):  # written as a stream
        return 0
    missing = length + 8 - size
    return missing if missing > _RIFF_SLACK else 0


def _mp3(file: BinaryIO, size: int) -> int:
    """Read the byte count of the Xing or Info tag in the first frame, where there is one."""
    head = file.read(10)
    start = 0
    if head.startswith(b"ID3") and len(head) == 10:
        start = 10 + sum(
            (byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)
        )
    file.seek(start)
    frame = file.read(400)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0 or len(frame) < at + 16:
        return 0
    (flags,) = struct.unpack_from(">I", frame, at + 4)
    if not flags & 2:
        return 0
    (count,) = struct.unpack_from(">I", frame, at + (12 if flags & 1 else 8))
    missing = start + count - size
    return missing if missing > _MP3_SLACK else 0
