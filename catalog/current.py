"""Which snapshot counts: a refreshed one in falkit's home, or the one that is shipped."""

import os
import time
from contextlib import suppress
from pathlib import Path

from catalog.index import SNAPSHOT

try:
    import fcntl
except ImportError:  # Windows, where open files keep their folder
    fcntl = None

POINTER, LOOKED, READ, SIZES = "current", "looked", "in-use", "sizes.tsv"
DAY = 24 * 3600.0
# After a try that came to nothing, or was for another release, the next waits so long, in seconds.
RETRY = 3600.0
# The sizes of these tell one shipped snapshot from another well enough.
_TELLING = ("cards.jsonl", "search.bin", "search.json", "tongues.json")


def shipped_mark() -> str:
    """Return a mark of the shipped snapshot: a refreshed one counts only for what it came from."""
    return ".".join(str((SNAPSHOT / name).stat().st_size) for name in _TELLING)


def current_snapshot(catalog_home: Path) -> Path:
    """Return the folder of the snapshot to use; *catalog_home* is where refreshed ones lie.

    A refreshed snapshot of another version of falkit does not count (its search index may be
    written otherwise), nor does one that is not whole. Without one this costs one failed open.
    """
    try:
        mark, _, name = (catalog_home / POINTER).read_text(encoding="utf-8").strip().partition(" ")
        folder = catalog_home / name
        if not name or Path(name).name != name or mark != shipped_mark():
            return SNAPSHOT
        if _is_whole(folder):
            return folder
    except (OSError, ValueError):
        pass
    return SNAPSHOT


def _is_whole(folder: Path) -> bool:
    """Whether the files of *folder* are as long as when they were written.

    Raises:
        OSError, ValueError: one is gone, or the list of them is damaged.
    """
    lines = (folder / SIZES).read_text(encoding="utf-8").splitlines()
    told = [line.split("\t") for line in lines]
    return len(told) > len(_TELLING) and all(
        (folder / name).stat().st_size == int(size) for name, size in told
    )


def sizes_of(folder: Path) -> str:
    """Return what `SIZES` holds of a whole snapshot in *folder*."""
    files = sorted(path for path in folder.iterdir() if path.name != SIZES)
    return "".join(f"{path.name}\t{path.stat().st_size}\n" for path in files)


def hold(folder: Path) -> int | None:
    """Return a descriptor that marks *folder* as read until it is closed or the process ends.

    None where there is nothing to hold: the shipped snapshot is never removed.
    """
    try:
        mark = os.open(folder / READ, os.O_RDONLY)
    except OSError:
        return None
    if fcntl:
        with suppress(OSError):
            fcntl.flock(mark, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return mark


def is_due(catalog_home: Path) -> bool:
    """Whether no refresh came to its end for a day, and none was tried for an hour.

    One for another version of falkit does not count, nor does a try in the future.
    """
    try:
        noted = catalog_home / LOOKED
        age = time.time() - noted.stat().st_mtime
        is_done = noted.read_text(encoding="utf-8") == shipped_mark()
    except (OSError, ValueError):
        return True
    return not 0 <= age < (DAY if is_done else RETRY)
