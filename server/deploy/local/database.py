"""`Database`: the file that all falkit processes share about apps on this machine."""

import logging
import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import anyio

from server.home import make_private_file

log = logging.getLogger("falkit.deploy")

T = TypeVar("T")
Given = TypeVarTuple("Given")

VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS apps (
    name TEXT PRIMARY KEY,
    live TEXT NOT NULL DEFAULT '',
    rolling TEXT NOT NULL DEFAULT '',
    generation INTEGER NOT NULL DEFAULT 0,
    overrides TEXT NOT NULL DEFAULT '{}',
    created REAL NOT NULL,
    last_call REAL,
    seconds REAL NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,
    failure TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS revisions (
    revision TEXT PRIMARY KEY,
    app TEXT NOT NULL,
    created REAL NOT NULL,
    state TEXT NOT NULL,
    message TEXT NOT NULL,
    source_hash TEXT NOT NULL,
    folder TEXT NOT NULL,
    file TEXT NOT NULL,
    class_name TEXT NOT NULL,
    network INTEGER NOT NULL,
    environment TEXT NOT NULL,
    settings TEXT NOT NULL,
    openapi TEXT NOT NULL,
    error TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS revisions_of_app ON revisions (app, created);
CREATE TABLE IF NOT EXISTS runners (
    runner TEXT PRIMARY KEY,
    app TEXT NOT NULL,
    revision TEXT NOT NULL,
    generation INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    state TEXT NOT NULL,
    pid INTEGER NOT NULL,
    door TEXT NOT NULL,
    condemned TEXT NOT NULL DEFAULT '',
    started REAL NOT NULL,
    reason TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS calls (
    call TEXT PRIMARY KEY,
    app TEXT NOT NULL,
    path TEXT NOT NULL,
    kind TEXT NOT NULL,
    owner TEXT NOT NULL,
    lease REAL NOT NULL,
    created REAL NOT NULL,
    runner TEXT NOT NULL DEFAULT '',
    door TEXT NOT NULL DEFAULT '',
    failed TEXT NOT NULL DEFAULT '',
    ended REAL,
    status INTEGER
);
CREATE INDEX IF NOT EXISTS calls_open ON calls (created) WHERE ended IS NULL;
CREATE TABLE IF NOT EXISTS leases (
    what TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    fence INTEGER NOT NULL,
    lease REAL NOT NULL,
    words TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS secrets (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    changed REAL NOT NULL
);
"""
PATIENCE = 200


class Database:
    """One process's connection to the file; every write is immediate and whole.

    All statements run one at a time in worker threads (`do`).
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_private_file(path)
        self.path = path
        self._one_at_a_time = anyio.CapacityLimiter(1)
        self._db = sqlite3.connect(path, timeout=20, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        try:
            self._set_up()
        except BaseException:
            self._db.close()
            raise

    def _set_up(self) -> None:
        for _ in range(PATIENCE):  # SQLite does not wait while another process switches to WAL
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as problem:
                if "locked" not in str(problem):
                    raise
                time.sleep(0.02)
        self._db.execute("PRAGMA synchronous = NORMAL")
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version > VERSION:
            raise RuntimeError(f"the apps of this home are of version {version}, over {VERSION}")
        if version < VERSION:
            with self.writing() as db:
                for statement in SCHEMA.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {VERSION}")

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
        """Return the connection for statements that only read."""
        return self._db

    def version(self) -> int:
        """Return a number that another process's writes change."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    async def do(self, work: Callable[[*Given], T], *given: *Given) -> T:
        """Return ``work(*given)``, run in a thread while no other work of this file runs."""
        return await anyio.to_thread.run_sync(work, *given, limiter=self._one_at_a_time)

    async def note(self, work: Callable[[*Given], object], *given: *Given) -> None:
        """Write something down that may be missing: a full disk is told in the log alone."""
        try:
            await self.do(work, *given)
        except sqlite3.OperationalError as problem:
            log.warning("the file of apps cannot be written: %s", problem)

    def close(self) -> None:
        self._db.close()


def database_of(home: Path) -> Path:
    """Return where the file lies for falkit's *home*."""
    return home / "deploy" / "local.db"
