"""Files of falkit's own: made for their owner only, under names that every system takes."""

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

# Names that mean devices on Windows, whatever ending they have.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[1-9]|lpt[1-9])(?:\..*)?", re.IGNORECASE | re.DOTALL)
# Where `Fox` and `fox` are one folder.
_FOLDS = sys.platform in ("win32", "darwin")


def is_device(name: str) -> bool:
    """Return whether *name* cannot be a file on Windows, although its letters can."""
    return _DEVICE.fullmatch(name) is not None


def taken_by(name: str, others: Iterable[str], *, folds: bool = _FOLDS) -> str:
    """Return which of *others* the system would put into the same folder as *name*, if any.

    *folds* says whether it takes capitals for small letters.
    """
    same = (other for other in others if other != name and other.lower() == name.lower())
    return next(same, "") if folds else ""


def make_private_folder(path: Path) -> None:
    """Make the folder *path*, and those above it that are missing, for their owner only.

    `Path.mkdir` gives its mode to the last of them alone.

    Raises:
        OSError: it cannot be made.
    """
    for folder in [*reversed(path.parents), path]:
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)


def make_private_file(path: Path) -> None:
    """Make an empty file at *path*, readable by its owner only, unless there is one.

    A file that exists is not opened: SQLite's locks on it are POSIX locks, and a process loses all
    of them when it closes any descriptor of the file. Another process that ends then takes itself
    for the last one and removes the write-ahead log from under the connections of this one
    (documented in SQLite's "How To Corrupt", section 2.2; observed here).

    Raises:
        OSError: it cannot be made.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
