"""`Shelf`: refreshed snapshots in falkit's home, made whole before they count."""

import json
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from catalog.build import build
from catalog.current import (
    LOOKED,
    POINTER,
    READ,
    SIZES,
    current_snapshot,
    shipped_mark,
    sizes_of,
)
from catalog.fold import Difference, Record, difference_words, encoded_lines
from catalog.index import CatalogIndex
from server.home import make_private_file, make_private_folder

try:
    import fcntl
except ImportError:  # Windows, where open files keep their folder
    fcntl = None

# A folder that is being made longer than this was left behind, in seconds.
_STALE = 3600.0


class Shelf:
    """The folder of refreshed snapshots. Blocking; call it in a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.incoming = folder / "incoming"

    def prepare(self) -> None:
        """Make the folder, for its owner only.

        Raises:
            OSError: it cannot be made.
        """
        make_private_folder(self.folder)

    @contextmanager
    def lease(self) -> Generator[bool]:
        """Yield whether this process alone may refresh now; the lease ends with it, also killed.

        It is SQLite's exclusive lock on an empty database, which the operating system takes back.
        """
        path = self.folder / "lease.db"
        make_private_file(path)
        connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            try:
                connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:
                yield False
                return
            yield True
        finally:
            connection.close()

    def note_attempt(self) -> None:
        """Let the next quiet refresh wait an hour: this one may be interrupted."""
        make_private_file(self.folder / LOOKED)
        (self.folder / LOOKED).write_text("", encoding="utf-8")
        os.utime(self.folder / LOOKED)

    def note_end(self) -> None:
        """Let the next quiet refresh wait a day: this one came to its end."""
        (self.folder / LOOKED).write_text(shipped_mark(), encoding="utf-8")

    def put(self, records: Sequence[Record], told: Difference, about: dict[str, Any]) -> Path:
        """Build a snapshot of *records* beside those there are, let it count, and return it.

        Raises:
            OSError: it cannot be written; what counted before counts still.
        """
        self._sweep()
        mark = secrets.token_hex(3)
        making = self.folder / f"making-{mark}"
        making.mkdir(mode=0o700)
        try:
            source = making / "facts.jsonl"
            source.write_text(encoded_lines(records), encoding="utf-8")
            build(source, making, strict=False)
            source.unlink()
            (making / "difference.json").write_text(json.dumps(asdict(told)), encoding="utf-8")
            (making / "difference.txt").write_text(difference_words(told, 1000), encoding="utf-8")
            (making / "about.json").write_text(json.dumps(about), encoding="utf-8")
            (making / READ).touch(mode=0o600)
            _proven(making, len(records))
            (making / SIZES).write_text(sizes_of(making), encoding="utf-8")
            for path in making.iterdir():
                _flushed(path)
            whole = self.folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{mark}"
            making.rename(whole)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
        self._point_at(whole)
        self.prune()
        return whole

    def _point_at(self, whole: Path) -> None:
        side = self.folder / f"{POINTER}-{secrets.token_hex(3)}"
        try:
            side.write_text(f"{shipped_mark()} {whole.name}\n", encoding="utf-8")
            _flushed(side)
            side.replace(self.folder / POINTER)
        except BaseException:
            side.unlink(missing_ok=True)
            shutil.rmtree(whole, ignore_errors=True)
            raise

    def prune(self) -> None:
        """Remove snapshots that do not count and that no process reads."""
        current = current_snapshot(self.folder)
        for folder in self.folder.glob("2*Z-*"):
            if folder != current:
                _removed_unless_read(folder)

    def _sweep(self) -> None:
        """Remove what a process that died was making."""
        for folder in self.folder.glob("making-*"):
            with suppress(OSError):
                if abs(time.time() - folder.stat().st_mtime) > _STALE:
                    shutil.rmtree(folder, ignore_errors=True)


def noted_of(folder: Path) -> dict[str, Any]:
    """Return what is noted of a refreshed snapshot, empty where it is the shipped one."""
    try:
        noted = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Any]", noted) if isinstance(noted, dict) else {}


def _removed_unless_read(folder: Path) -> None:
    """Remove *folder* unless a process holds it; where locks are missing, open files refuse it."""
    with suppress(OSError), (folder / READ).open("rb") as mark:
        if fcntl:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            mark.close()  # ours would keep the folder as well
        away = folder.with_name(f"making-{secrets.token_hex(3)}")
        folder.rename(away)
        shutil.rmtree(away, ignore_errors=True)


def _proven(folder: Path, count: int) -> None:
    """Read back what was built.

    Raises:
        OSError: it is not whole.
    """
    index = CatalogIndex.open(folder)
    if len(index.ids) != count or index.get(index.ids[-1]).endpoint_id != index.ids[-1]:
        raise OSError(f"the snapshot in {folder} is not whole")


def _flushed(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
