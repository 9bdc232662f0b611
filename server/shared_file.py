"""`SharedFile`: an SQLite file that many processes have open, each change whole or not at all."""

import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import anyio

from server.home import make_private_file

T = TypeVar("T")
Given = TypeVarTuple("Given")
TRIES, PAUSE = 200, 0.02  # while another process switches the same file to WAL, in seconds
PEEK_KILOBYTES = 256  # what the connection that only peeks remembers of the file


@dataclass(frozen=True, slots=True)
class Layout:
    """Which tables a file has. *name* is what it is called where it is too new to be read.

    *added* are columns that tables of earlier versions lack, each with its table.
    """

    name: str
    version: int
    schema: str
    added: Sequence[tuple[str, str]] = ()


class _WritesError(Exception):
    """Work that was to read only begins to write."""


class SharedFile:
    """One process's connection to the file.

    Every write says ``BEGIN IMMEDIATE``, since a plain ``BEGIN`` that reads before it writes fails
    at once, whatever the timeout, when another process wrote in between. Statements run in worker
    threads, one at a time (`do`), aside from those on a few small rows (`peek`, `brief`).
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        """Open the file at *path*, made when it is missing; it blocks.

        Raises:
            RuntimeError: a newer falkit made it.
            OSError, sqlite3.Error: it cannot be opened.
        """
        # SQLite gives its side files the permissions of the database itself.
        make_private_file(path)
        self.path = path
        self._one_at_a_time = anyio.CapacityLimiter(1)
        self._eye: sqlite3.Connection | None = None  # of `peek`, opened when first needed
        self._peeking = 0  # the thread that peeks just now
        self._may_write = False
        self._db = sqlite3.connect(path, timeout=20, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        try:
            self._set_up(layout)
        except BaseException:
            self._db.close()
            raise

    def _set_up(self, layout: Layout) -> None:
        self._switch_to_wal()
        self._db.execute("PRAGMA synchronous = NORMAL")
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version > layout.version:
            known = layout.version
            raise RuntimeError(f"{layout.name} is of version {version}, newer than {known}")
        if version < layout.version:
            with self.writing() as db:
                for statement in layout.schema.split(";"):
                    db.execute(statement)
                for table, column in layout.added if version else ():
                    known = {row["name"] for row in db.execute(f"PRAGMA table_info({table})")}
                    if column.partition(" ")[0] not in known:
                        db.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
                db.execute(f"PRAGMA user_version = {layout.version}")

    def _switch_to_wal(self) -> None:
        """Let others read while one writes; SQLite does not wait for its busy timeout here."""
        for tries in range(TRIES + 1):
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as problem:
                if "locked" not in str(problem) or tries == TRIES:
                    raise
                time.sleep(PAUSE)
            else:
                return

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """Yield the connection inside one immediate transaction: all of it happens, or nothing."""
        if self._peeks() and not self._may_write:
            raise _WritesError
        db = self.reading()
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def reading(self) -> sqlite3.Connection:
        """Return the connection for single statements that only read."""
        return self._eye if self._eye is not None and self._peeks() else self._db

    async def do(self, work: Callable[[*Given], T], *given: *Given) -> T:
        """Return ``work(*given)``, run in a thread while no other work of this file runs."""
        return await anyio.to_thread.run_sync(work, *given, limiter=self._one_at_a_time)

    async def peek(self, work: Callable[[*Given], T], *given: *Given) -> T:
        """Return ``work(*given)``, which reads a few small rows, without the way through a thread.

        That way takes some ten times as long as the reading. What begins to write, or finds the
        file locked, is done anew by `do`; until then it must have changed nothing that matters.
        """
        try:
            return self._peeked(False, work, *given)
        except (_WritesError, sqlite3.OperationalError):
            return await self.do(work, *given)

    async def brief(self, work: Callable[[*Given], T], *given: *Given) -> T:
        """Return ``work(*given)``, which may also write a few small values, as `peek` would.

        What is written is as safe as by `do`; where anybody else is writing just now, that does it.
        """
        try:
            return self._peeked(True, work, *given)
        except sqlite3.OperationalError:
            return await self.do(work, *given)

    def _peeked(self, may_write: bool, work: Callable[[*Given], T], *given: *Given) -> T:
        if self._eye is None:
            self._eye = self._opened_eye()
        self._may_write = may_write
        self._peeking = threading.get_ident()
        try:
            return work(*given)
        finally:
            self._peeking = 0

    def _peeks(self) -> bool:
        return self._peeking != 0 and self._peeking == threading.get_ident()

    def _opened_eye(self) -> sqlite3.Connection:
        """Return a connection of its own, that never waits: the other may be busy in a thread."""
        eye = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        eye.row_factory = sqlite3.Row
        eye.execute("PRAGMA synchronous = NORMAL")
        eye.execute("PRAGMA wal_autocheckpoint = 0")  # it takes long; the other one will do it
        eye.execute(f"PRAGMA cache_size = -{PEEK_KILOBYTES}")
        return eye

    def close(self) -> None:
        """Close the file."""
        if self._eye is not None:
            self._eye.close()
        self._db.close()
