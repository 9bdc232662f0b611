"""`Shelf`: one small database of the deploy room, opened for every use, shared by processes."""

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from catalog.errors import ActionableError
from server.home import make_private_file

T = TypeVar("T")


class PlanError(ActionableError):
    """A plan that cannot be applied: unknown, old, used, or not what it was."""


class Shelf:
    """The *tables* in *path*, which its owner alone may read. It blocks; threads may use it."""

    def __init__(self, path: Path, tables: str) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._tables = tables
        make_private_file(path)

    def do(self, act: Callable[[sqlite3.Connection], T], *, alone: bool = False) -> T:
        """Return what *act* does in one transaction; *alone* it reads nothing that others change.

        Raises:
            PlanError: the file cannot be read or written.
        """
        with self._open() as db, db:
            if alone:
                db.execute("BEGIN IMMEDIATE")
            return act(db)

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        try:
            db = sqlite3.connect(self._path, timeout=10)
        except sqlite3.Error as problem:
            raise PlanError(f"plans cannot be kept: {problem}") from problem
        try:
            db.row_factory = sqlite3.Row
            db.executescript(self._tables)
            yield db
        except sqlite3.Error as problem:
            raise PlanError(
                f"plans cannot be kept: {problem}", hint="see that the disk has room"
            ) from problem
        finally:
            db.close()
