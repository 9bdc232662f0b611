"""`Store`: the emulator's SQLite file, written in immediate transactions from one thread."""

import secrets
import sqlite3
from pathlib import Path

from server.shared_file import Layout, SharedFile

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


LAYOUT = Layout("the emulator's folder", VERSION, SCHEMA, ADDED)


class Store(SharedFile):
    """The database of one emulator folder, as this process has it open."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "emulator.db", LAYOUT)
        self.secret = self._secret()

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


def count(db: sqlite3.Connection, what: str, endpoint_id: str = "") -> None:
    """Add one to a counter, inside the caller's transaction."""
    db.execute(
        "INSERT INTO counts VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET n = n + 1",
        (what, endpoint_id),
    )
