"""Long lines, folded to the width of the terminal where a person reads."""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import TextIO, cast

from rich.cells import cell_len

HANG = 4
# Narrower than this, folding makes nothing easier to read.
_LEAST = 24
# A command to copy stays on one line if it can; data in JSON stays as it is.
_COMMAND = re.compile(r"`[^`\n]{1,100}`")
_DATA = re.compile(r'\{"|example: ')
_GLUE = "\ue000"  # of private use, in no text


def folded(
    text: str, *, whole: Iterable[str] = (), hang: int = HANG, stream: TextIO | None = None
) -> str:
    """Return *text* with its long lines folded between words, the rest of each *hang* deeper.

    That is done only where *stream* (standard output) is a terminal. What is *whole*, such as a
    path with blanks, is not broken.
    """
    if not (stream or sys.stdout).isatty():
        return text
    width = shutil.get_terminal_size().columns
    if width < _LEAST:
        return text
    kept = sorted({each for each in whole if " " in each}, key=len, reverse=True)
    return "\n".join(_folded(line, width, kept, hang) for line in text.split("\n"))


def _folded(line: str, width: int, whole: list[str], hang: int) -> str:
    if cell_len(line) <= width or _DATA.search(line):
        return line
    for each in whole:
        line = line.replace(each, each.replace(" ", _GLUE))
    line = _COMMAND.sub(lambda found: found[0].replace(" ", _GLUE), line)
    indent = " " * (len(line) - len(line.lstrip()) + hang)
    parts = textwrap.wrap(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(parts).replace(_GLUE, " ")


def texts_in(value: object) -> Iterable[str]:
    """Yield every text inside *value*, which is plain data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in cast("dict[str, object]", value).values():
            yield from texts_in(each)
    elif isinstance(value, list):
        for each in cast("list[object]", value):
            yield from texts_in(each)


def paths_in(value: object) -> list[str]:
    """Return the paths of files inside *value*, as they stand there."""
    return [text for text in texts_in(value) if re.match(r"(?:/|~|[A-Za-z]:\\|\\\\)\S", text)]
