"""`Database`: the file that all falkit processes share about apps on this machine."""

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVarTuple

from server.shared_file import Layout, SharedFile
from tools.errors import BackendError

log = logging.getLogger("falkit.deploy")

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


class Database(SharedFile):
    """One process's connection to the file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            super().__init__(path, Layout("the file of apps", VERSION, SCHEMA))
        except sqlite3.DatabaseError as problem:
            raise BackendError(
                f"the file of apps {str(path)!r} cannot be opened: {problem}",
                hint="where it is damaged, move it away and deploy the apps again",
            ) from problem

    async def note(self, work: Callable[[*Given], object], *given: *Given) -> None:
        """Write something down that may be missing: a full disk is told in the log alone."""
        try:
            await self.do(work, *given)
        except sqlite3.OperationalError as problem:
            log.warning("the file of apps cannot be written: %s", problem)


def database_of(home: Path) -> Path:
    """Return where the file lies for falkit's *home*."""
    return home / "deploy" / "local.db"
