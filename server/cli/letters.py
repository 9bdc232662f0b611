"""Letters on terminals and pipes that are not set to Unicode."""

import io
import json
import os
import sys
from shlex import quote
from subprocess import list2cmdline
from typing import TextIO, cast


def let_all_letters_through() -> None:
    """Have letters that an output has not written as a sign for them: they are no failure."""
    for stream in (sys.stdout, sys.stderr):
        if not is_unicode(stream) and isinstance(stream, io.TextIOWrapper):
            cast("io.TextIOWrapper", stream).reconfigure(errors="replace")  # of whatever bytes


def write_utf_8() -> None:
    """Have standard output take every letter, as a file of code does on every machine."""
    stream: object = sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        cast("io.TextIOWrapper", stream).reconfigure(encoding="utf-8", errors="replace")


def is_unicode(stream: TextIO) -> bool:
    """Return whether every letter can be written to *stream*."""
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")


def whole(word: str) -> str:
    """Return a *word* of the command line as UTF-8 where Python read its bytes as none it knows.

    With a locale such as ``C``, a terminal still sends UTF-8.
    """
    try:
        word.encode()
    except UnicodeEncodeError:
        return os.fsencode(word).decode("utf-8", "replace")
    return word


def quoted(word: str) -> str:
    """Return *word* as it is typed in a command of this system's shell."""
    return list2cmdline([word]) if sys.platform == "win32" else quote(word)


def json_text(value: object, indent: int | None = None) -> str:
    """Return *value* as JSON for standard output, where every letter of it can be written."""
    return json.dumps(value, indent=indent, ensure_ascii=not is_unicode(sys.stdout))
