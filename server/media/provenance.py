"""Where a file came from, written into it where its format has a place for that.

An XMP packet is added and no byte of picture, sound or film is touched: a chunk in PNG and WebP, a
segment in JPEG, a box at the end of MP4 and MOV. What is signed stays as it is, and a packet that
is there already keeps what it says.
"""

import shutil
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

# Larger files stay as they came: copying them takes longer than it is worth.
MOST_BYTES = 40_000_000
_LONGEST = 4000  # characters of one value
_XMP_PNG = b"XML:com.adobe.xmp"
_XMP_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_NAMESPACE = "https://falkit.invalid/ns/1.0/"


@dataclass(frozen=True, slots=True)
class _Mark:
    """What is written: a packet of its own, or an *entry* for a packet that is there already."""

    packet: bytes
    entry: bytes

    def joined(self, old: bytes) -> bytes | None:
        """Return the packet *old* with our entry; None where it is odd, or has one already."""
        end = b"</rdf:RDF>"
        if old.count(end) != 1 or b"xmlns:falkit=" in old or b"xmpNote:HasExtendedXMP" in old:
            return None
        return old.replace(end, self.entry + end)


def packet(facts: Mapping[str, str]) -> bytes:
    """Return *facts* as an XMP packet; ``prompt`` also stands where programs show a description."""
    return _mark(facts).packet


def _mark(facts: Mapping[str, str]) -> _Mark:
    told = {name: _escaped(_plain(value)) for name, value in facts.items() if value}
    words = "".join(f'\n    falkit:{name}="{value}"' for name, value in told.items())
    opening = (
        '  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        f'\n    xmlns:falkit="{_NAMESPACE}"{words}>'
    )
    described = ""
    if prompt := told.get("prompt", ""):
        described = (
            '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">'
            f"{prompt}</rdf:li></rdf:Alt></dc:description>"
        )
    whole = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        f"{opening}{described}</rdf:Description>\n"
        '</rdf:RDF></x:xmpmeta>\n<?xpacket end="r"?>'
    )
    # A property may stand once in a packet, and another one may have a description already.
    return _Mark(whole.encode(), f"{opening}</rdf:Description>\n".encode())


def _escaped(text: str) -> str:
    """Return *text* as it stands in XML, also within double quotes."""
    for letter, name in (("&", "amp"), ("<", "lt"), (">", "gt"), ('"', "quot")):
        text = text.replace(letter, f"&{name};")
    return text


def inscribed(path: Path, media_type: str, facts: Mapping[str, str], target: Path) -> bool:
    """Write the file at *path* with *facts* in it to *target*; False, and nothing, where not.

    Not where the format has no place, the file is large, odd, signed (C2PA) or has such facts. The
    same file and facts give the same bytes. Blocks.

    Raises:
        OSError: it cannot be read, or *target* not written.
    """
    splice = _SPLICES.get(media_type)
    if splice is None or path.stat().st_size > MOST_BYTES:
        return False
    data = path.read_bytes()
    marked = splice(data, _mark(facts))
    if marked is None:
        return False
    target.write_bytes(marked)
    shutil.copymode(path, target)
    return True


def _plain(value: str) -> str:
    """Return *value* without the characters that XML has no place for, cut to a length."""
    kept = "".join(letter for letter in value if letter in "\n\t" or letter >= " ")
    kept = kept.encode("utf-8", "ignore").decode().replace("\ufffe", "").replace("\uffff", "")
    return kept if len(kept) <= _LONGEST else f"{kept[:_LONGEST]}…"


def _in_png(data: bytes, mark: _Mark) -> bytes | None:
    at, seen, old = 8, list[bytes](), slice(33, 33)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + min(length, 64)]
        seen.append(name)
        if name == b"caBX":
            return None
        if name == b"iTXt" and body.startswith(_XMP_PNG):
            old = slice(at, at + 12 + length)
        at += 12 + length
        if name == b"IEND":
            break
    if seen[:1] != [b"IHDR"] or seen[-1:] != [b"IEND"] or at != len(data):
        return None
    xmp: bytes | None = mark.packet
    if old.start != old.stop:
        text = data[old][8 + len(_XMP_PNG) : -4]
        # Neither compressed nor with a language: five zeros, then the packet.
        xmp = mark.joined(text[5:]) if text.startswith(b"\0\0\0\0\0") else None
    if xmp is None:
        return None
    text = b"iTXt" + _XMP_PNG + b"\0\0\0\0\0" + xmp
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    return data[: old.start] + chunk + data[old.stop :]


def _in_jpeg(data: bytes, mark: _Mark) -> bytes | None:
    at, place, old = 2, 2, b""
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:
            break
        segment = data[at : at + 2 + length]
        if marker == 0xEB:  # JUMBF, where C2PA lies
            return None
        if marker == 0xE1 and segment[4:].startswith(_XMP_JPEG):
            if old:
                return None
            place, old = at, segment
        at += 2 + length
        if marker in (0xE0, 0xE1) and not old:
            place = at
    else:
        return None
    xmp = mark.joined(old[4 + len(_XMP_JPEG) :]) if old else mark.packet
    if xmp is None or len(xmp) + len(_XMP_JPEG) + 2 > 65_535:
        return None
    body = _XMP_JPEG + xmp
    segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    return data[:place] + segment + data[place + len(old) :]


def _in_webp(data: bytes, mark: _Mark) -> bytes | None:
    if data[:4] + data[8:12] != b"RIFFWEBP":
        return None
    if int.from_bytes(data[4:8], "little") + 8 != len(data) or len(data) < 30:
        return None
    chunks: list[bytes] = []
    at, old = 12, slice(len(data), len(data))
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        chunks.append(data[at : at + 4])
        if chunks[-1] == b"XMP ":
            old = slice(at, at + 8 + length + length % 2)
        at += 8 + length + length % 2
    if at != len(data) or b"C2PA" in chunks or chunks.count(b"XMP ") > 1:
        return None
    xmp = mark.packet if old.start == len(data) else mark.joined(_webp_body(data[old]))
    first, body = data[12:16], data[20:]
    if first == b"VP8X":
        head = data[12:20] + bytes([body[0] | 0x04]) + body[1:10]
        start = 30
    else:
        found = _webp_size(first, body)
        if found is None:
            return None
        width, height, alpha = found
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        head = b"VP8X" + struct.pack("<I", 10) + bytes([0x04 | alpha, 0, 0, 0]) + sides
        start = 12
    if xmp is None:
        return None
    added = b"XMP " + struct.pack("<I", len(xmp)) + xmp + b"\0" * (len(xmp) % 2)
    inside = b"WEBP" + head + data[start : old.start] + data[old.stop :] + added
    return b"RIFF" + struct.pack("<I", len(inside)) + inside


def _webp_body(chunk: bytes) -> bytes:
    return chunk[8 : 8 + int.from_bytes(chunk[4:8], "little")]


def _webp_size(first: bytes, body: bytes) -> tuple[int, int, int] | None:
    """Return width, height and the alpha flag of a plain WebP, from its only chunk's *body*."""
    if first == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF, 0
    if first == b"VP8L" and body[:1] == b"\x2f":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 0x10 if bits >> 28 & 1 else 0
    return None


def _in_mp4(data: bytes, mark: _Mark) -> bytes | None:
    at = 0
    while at + 8 <= len(data):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        # A box without an end takes all that follows; an index of fragments has to be the last.
        # C2PA and XMP lie in boxes of this name.
        if length < 8 or name in (b"mfra", b"uuid", b"jumb"):
            return None
        at += length
    if at != len(data):
        return None
    return data + struct.pack(">I", 24 + len(mark.packet)) + b"uuid" + _XMP_BOX + mark.packet


_SPLICES: Mapping[str, Callable[[bytes, _Mark], bytes | None]] = {
    "image/png": _in_png,
    "image/jpeg": _in_jpeg,
    "image/webp": _in_webp,
    "video/mp4": _in_mp4,
    "video/quicktime": _in_mp4,
}
