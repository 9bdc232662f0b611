"""Know ordinary English words, so that none of them is taken for a slip of the pen."""

import zlib
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

FILE = "english.bin"
# Bits for each word and places for each: one unknown word in five hundred passes for a known one.
_BITS, _PLACES = 13, 9


class English:
    """The English words of a snapshot; their file is read when a word is first unknown.

    It is a Bloom filter: a word that was put in is always known, another one hardly ever.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def _bits(self) -> bytes:
        return (self._folder / FILE).read_bytes()

    def __contains__(self, word: object) -> bool:
        bits = self._bits
        return all(bits[at >> 3] >> (at & 7) & 1 for at in _places(str(word), 8 * len(bits)))


def _places(word: str, size: int) -> list[int]:
    spelled = word.encode()
    first, step = zlib.crc32(spelled), zlib.crc32(spelled, 1) | 1
    return [(first + n * step) % size for n in range(_PLACES)]


def packed(words: Iterable[str]) -> bytes:
    """Return the filter of *words*."""
    known = set(words)
    bits = bytearray(len(known) * _BITS // 8 + 1)
    for word in known:
        for at in _places(word, 8 * len(bits)):
            bits[at >> 3] |= 1 << (at & 7)
    return bytes(bits)
