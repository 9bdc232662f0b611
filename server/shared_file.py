"""`SharedFile`: an SQLite file that many processes have open, each change whole or not at all."""

import sqlite3
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


@dataclass(frozen=True, slots=True)
class Layout:
    """Which tables a file has. *name* is what it is called where it is too new to be read.

    *added* are columns that tables of earlier versions lack, each with its table.
    """

    name: str
    version: int
    schema: str
    added: Sequence[tuple[str, str]] = ()


class SharedFile:
    """One process's connection to the file.

    Every write says ``BEGIN IMMEDIATE``, since a plain ``BEGIN`` that reads before it writes fails
    at once, whatever the timeout, when another process wrote in between. All statements run in
    worker threads, one at a time (`do`).
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
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def reading(self) -> sqlite3.Connection:
        """Return the connection for single statements that only read."""
        return self._db

    async def do(self, work: Callable[[*Given], T], *given: *Given) -> T:
        """Return ``work(*given)``, run in a thread while no other work of this file runs."""
        return await anyio.to_thread.run_sync(work, *given, limiter=self._one_at_a_time)

    def close(self) -> None:
        self._db.close()
