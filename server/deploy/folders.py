"""Short-lived folders of this process, and the sweeping of those that killed ones left behind.

They lie in the system's temporary folder because the path of a socket may have some 100 bytes only.
"""

import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

_NAME = re.compile(r"fk\d+-\w+")
_YOUNG_SECONDS = 60.0  # what a folder has, at the most, until its owner has locked it
_locks: dict[Path, int] = {}


def new_folder() -> Path:
    """Return a new folder for this account alone, ours until `remove_folder`; it blocks.

    The first one of a process is made after what dead processes left was removed.
    """
    shared = Path(tempfile.gettempdir())
    sweep(shared)
    made = Path(tempfile.mkdtemp(prefix=f"fk{os.getpid()}-", dir=shared)).resolve()
    if (lock := _locked(made)) is not None:
        _locks[made] = lock
    return made


def remove_folder(folder: Path) -> None:
    """Remove a folder of ours with all that is in it; it blocks."""
    shutil.rmtree(folder, ignore_errors=True)
    if (lock := _locks.pop(folder, None)) is not None:
        os.close(lock)


@contextmanager
def short_lived() -> Generator[Path]:
    """Yield a new folder of ours, and remove it at the end; it blocks."""
    folder = new_folder()
    try:
        yield folder
    finally:
        remove_folder(folder)


@lru_cache
def sweep(shared: Path) -> None:
    """Remove folders in *shared* whose owners are dead; once for a process.

    Their owners hold a lock on them, which ends with a process however it ends, and which those see
    too that cannot see the process, as from another container.
    """
    if sys.platform == "win32":  # a folder cannot be locked there
        return
    for left in shared.glob("fk*-*"):
        with suppress(OSError):
            about = left.lstat()
            is_ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid()
            is_young = time.time() - about.st_mtime < _YOUNG_SECONDS
            if not is_ours or is_young or not _NAME.fullmatch(left.name):
                continue
            lock = _locked(left)
            if lock is not None:
                shutil.rmtree(left, ignore_errors=True)
                os.close(lock)


def _locked(folder: Path) -> int | None:
    """Return what holds a lock on *folder*, None where another process does or none can."""
    if sys.platform == "win32":
        return None
    import fcntl  # noqa: PLC0415  # POSIX only

    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock
