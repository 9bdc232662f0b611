"""`Text`: one file as it was read, with the ways between lines, bytes and characters."""

import codecs
import re
import tokenize
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from itertools import accumulate

# What Python counts as the end of a line; `str.splitlines` knows more of them.
_LINE_END = re.compile(r"\r\n|\r|\n")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(raw: bytes) -> str:
    """Return the source that *raw* holds, by its byte order mark or coding comment; never raises.

    Without either it is UTF-8, and what is none of it becomes the replacement character.
    """
    if raw.startswith(_UTF16):
        return raw.decode("utf-16", errors="replace")
    try:
        encoding, _ = tokenize.detect_encoding(BytesIO(raw).readline)
        return raw.decode(encoding, errors="replace")
    except (SyntaxError, LookupError, ValueError):
        return raw.decode("utf-8-sig", errors="replace")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a thing stands: *line* and *column* count from 1, 0 stands for the file as a whole.

    *start* and *end* are its characters in the file, equal where only the line is known.
    """

    text: "Text"
    line: int = 0
    column: int = 0
    start: int = 0
    end: int = 0


class Text:
    """The characters of one file, *path* relative to the folder that is checked."""

    def __init__(self, path: str, content: str) -> None:
        self.path = path
        self.content = content
        self._counted: dict[int, list[int]] = {}
        self.skipped = 1 if content.startswith("\ufeff") else 0

    @cached_property
    def line_starts(self) -> list[int]:
        """The offset of each line's first character."""
        return [self.skipped, *(match.end() for match in _LINE_END.finditer(self.content))]

    @cached_property
    def _is_ascii(self) -> bool:
        return self.content.isascii()

    def line(self, number: int) -> str:
        """Return a line without its end; empty where there is none of that number."""
        starts = self.line_starts
        if not 1 <= number <= len(starts):
            return ""
        end = starts[number] if number < len(starts) else len(self.content)
        return self.content[starts[number - 1] : end].rstrip("\r\n")

    def offset(self, line: int, byte_column: int) -> int:
        """Return the character offset of a position as the parser tells it (bytes of UTF-8)."""
        starts = self.line_starts
        if not 1 <= line <= len(starts):
            return len(self.content)
        start = starts[line - 1]
        if self._is_ascii:
            return min(start + byte_column, len(self.content))
        return min(start + bisect_left(self._bytes_before(line), byte_column), len(self.content))

    def _bytes_before(self, line: int) -> list[int]:
        """Return how many bytes stand before each character of a line."""
        if line not in self._counted:
            widths = (len(char.encode("utf-8", "surrogatepass")) for char in self.line(line))
            self._counted[line] = list(accumulate(widths, initial=0))
        return self._counted[line]

    def line_of(self, offset: int) -> int:
        """Return the number of the line that holds the character at *offset*."""
        return max(bisect_right(self.line_starts, offset), 1)

    def at(self, start: int, end: int | None = None) -> Place:
        """Return the place of the characters from *start* up to *end*."""
        line = self.line_of(start)
        column = start - self.line_starts[line - 1] + 1
        return Place(self, line, max(column, 1), start, start if end is None else end)

    def whole(self) -> Place:
        """Return the place that stands for the file as a whole."""
        return Place(self)
