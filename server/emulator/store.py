"""`Store`: the emulator's SQLite file, written in immediate transactions from one thread."""

import secrets
import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import anyio

from server.home import make_private_file

T = TypeVar("T")
Given = TypeVarTuple("Given")

VERSION = 2

SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    id TEXT PRIMARY KEY,
    endpoint_id TEXT NOT NULL,
    app TEXT NOT NULL,
    input TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'IN_QUEUE',
    priority INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    ready REAL NOT NULL,
    start_by REAL,
    options TEXT NOT NULL DEFAULT '{}',
    fence INTEGER NOT NULL DEFAULT 0,
    owner TEXT,
    lease REAL,
    started REAL,
    ended REAL,
    status_code INTEGER,
    output TEXT,
    error TEXT,
    error_type TEXT,
    units REAL,
    changed INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX IF NOT EXISTS requests_unfinished ON requests (priority, created)
    WHERE state != 'COMPLETED';
CREATE INDEX IF NOT EXISTS requests_history ON requests (endpoint_id, created);
CREATE INDEX IF NOT EXISTS requests_changed ON requests (changed);
CREATE TABLE IF NOT EXISTS logs (
    request_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at REAL NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (request_id, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parts (
    request_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (request_id, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    bytes INTEGER,
    created REAL NOT NULL,
    expires REAL,
    access TEXT NOT NULL DEFAULT 'allow',
    rules TEXT,
    user TEXT
);
CREATE TABLE IF NOT EXISTS webhooks (
    request_id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'due',
    due REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    owner TEXT,
    lease REAL,
    last TEXT
);
CREATE INDEX IF NOT EXISTS webhooks_due ON webhooks (due) WHERE state = 'due';
CREATE TABLE IF NOT EXISTS faults (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    place TEXT NOT NULL,
    endpoint_id TEXT,
    remaining INTEGER NOT NULL,
    seconds REAL
);
CREATE TABLE IF NOT EXISTS counts (
    what TEXT NOT NULL,
    endpoint_id TEXT NOT NULL DEFAULT '',
    n INTEGER NOT NULL,
    PRIMARY KEY (what, endpoint_id)
);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
# Columns that tables of earlier versions lack.
ADDED = (
    ("requests", "attempts INTEGER NOT NULL DEFAULT 1"),
    ("files", "rules TEXT"),
    ("files", "user TEXT"),
)


class Store:
    """The database of one emulator folder, as this process has it open.

    Many processes may have the same folder open. Every write says ``BEGIN IMMEDIATE``, since a
    plain ``BEGIN`` that reads before it writes fails at once, whatever the timeout, when another
    process wrote in between. All statements run in worker threads, one at a time (`do`).
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "emulator.db"
        # SQLite gives its side files the permissions of the database itself.
        make_private_file(path)
        self._one_at_a_time = anyio.CapacityLimiter(1)
        self._db = sqlite3.connect(path, timeout=20, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._set_up()
        self.secret = self._secret()

    def _set_up(self) -> None:
        _patiently(lambda: self._db.execute("PRAGMA journal_mode = WAL"))
        self._db.execute("PRAGMA synchronous = NORMAL")
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version > VERSION:
            raise RuntimeError(f"the emulator folder is of version {version}, newer than {VERSION}")
        if version < VERSION:
            with self.writing() as db:
                for statement in SCHEMA.split(";"):
                    db.execute(statement)
                for table, column in ADDED if version else ():
                    known = {row["name"] for row in db.execute(f"PRAGMA table_info({table})")}
                    if column.partition(" ")[0] not in known:
                        db.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
                db.execute(f"PRAGMA user_version = {VERSION}")

    def _secret(self) -> bytes:
        """Return the key that signs this folder's upload tokens, made by whoever came first."""
        known = "SELECT value FROM facts WHERE name = 'secret'"
        row = self._db.execute(known).fetchone()
        if row is None:
            with self.writing() as db:
                made = secrets.token_hex(32)
                db.execute("INSERT OR IGNORE INTO facts VALUES ('secret', ?)", (made,))
                row = db.execute(known).fetchone()
        return bytes.fromhex(row["value"])

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
        """Return ``work(*given)``, run in a thread while no other work of this store runs."""
        return await anyio.to_thread.run_sync(work, *given, limiter=self._one_at_a_time)

    def close(self) -> None:
        self._db.close()


def _patiently(statement: Callable[[], object]) -> None:
    """Run *statement* again while another process is just switching the same file to WAL.

    SQLite does not wait for its busy timeout there.
    """
    for _ in range(200):
        try:
            statement()
        except sqlite3.OperationalError as problem:
            if "locked" not in str(problem):
                raise
            time.sleep(0.02)
        else:
            return
    statement()


def count(db: sqlite3.Connection, what: str, endpoint_id: str = "") -> None:
    """Add one to a counter, inside the caller's transaction."""
    db.execute(
        "INSERT INTO counts VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET n = n + 1",
        (what, endpoint_id),
    )
