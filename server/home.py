"""Files of falkit's own: made for their owner only."""

import os
from pathlib import Path


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
