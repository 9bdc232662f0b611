"""`Journal`: one SQLite file that many processes share, reached from one thread at a time."""

import errno
import logging
import math
import os
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from functools import cache
from pathlib import Path
from typing import TypeVar

import anyio
from anyio.to_thread import run_sync

from catalog.errors import ActionableError
from server.home import make_private_file
from server.jobs.sendbook import SendBook
from server.volumes import unsafe_place

log = logging.getLogger("falkit.jobs.journal")

T = TypeVar("T")
Act = Callable[[sqlite3.Connection], T]

VERSION = 4
# How long a writer waits for another process, in seconds; BRIEF is for what is no loss.
PATIENCE = 10.0
BRIEF = 0.5
# How long SQLite itself waits at a stretch: a thread in its wait hears nothing.
STRETCH = 0.1

_SCHEMA = """
CREATE TABLE jobs (
  job_id TEXT PRIMARY KEY,
  rev INTEGER NOT NULL DEFAULT 0,          -- grows with every change that a waiter should see
  state TEXT NOT NULL,
  endpoint_id TEXT NOT NULL,
  backend TEXT NOT NULL,
  account TEXT NOT NULL,
  origin TEXT NOT NULL,
  arguments TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  words TEXT NOT NULL,                     -- what a search by text looks through, case folded
  webhook_url TEXT NOT NULL DEFAULT '',
  save_to TEXT NOT NULL DEFAULT '',
  created INTEGER NOT NULL,                -- instants are milliseconds since 1970
  submitting INTEGER,                      -- set just before the paid request is sent
  submitted INTEGER,
  started INTEGER,
  ended INTEGER,
  request_id TEXT NOT NULL DEFAULT '',
  queue_position INTEGER,
  low TEXT,
  high TEXT,
  amount INTEGER NOT NULL DEFAULT 0,       -- nanodollars: reserved, then settled
  counted INTEGER NOT NULL,                -- the instant whose day and month bear the amount
  cost TEXT,
  outputs TEXT NOT NULL DEFAULT '[]',
  result TEXT,
  logs TEXT NOT NULL DEFAULT '[]',
  error TEXT,
  note TEXT NOT NULL DEFAULT '',
  parents TEXT NOT NULL DEFAULT '[]',
  tags TEXT NOT NULL DEFAULT '[]',
  asked_by TEXT NOT NULL DEFAULT '',
  saved INTEGER NOT NULL DEFAULT 0,
  delivered INTEGER NOT NULL DEFAULT 0,
  approved INTEGER,
  keep_due INTEGER,                        -- when to bring the files home (again)
  keep_tries INTEGER NOT NULL DEFAULT 0,
  search_due INTEGER,                      -- when to look for the request of a lost answer
  holder TEXT NOT NULL DEFAULT '',
  fence INTEGER NOT NULL DEFAULT 0,
  lease_until INTEGER NOT NULL DEFAULT 0,
  wanted_until INTEGER NOT NULL DEFAULT 0  -- somebody in some process waits for it
);
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_house ON jobs (account, origin, state);
CREATE INDEX jobs_by_time ON jobs (created);
CREATE INDEX jobs_by_ledger ON jobs (backend, counted, amount);
CREATE INDEX jobs_by_call ON jobs (fingerprint);
CREATE INDEX jobs_by_request ON jobs (request_id);
CREATE INDEX jobs_to_keep ON jobs (keep_due) WHERE keep_due IS NOT NULL;
CREATE INDEX jobs_to_find ON jobs (search_due) WHERE search_due IS NOT NULL;
CREATE TABLE links (
  parent TEXT NOT NULL,
  child TEXT NOT NULL,
  PRIMARY KEY (parent, child)
) WITHOUT ROWID;
CREATE INDEX links_by_child ON links (child);
CREATE TABLE events (
  job_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL
);
CREATE INDEX events_by_job ON events (job_id);
"""

_WHOLES = """
ALTER TABLE jobs ADD COLUMN kind TEXT NOT NULL DEFAULT '';    -- batch, pipeline: it has parts
ALTER TABLE jobs ADD COLUMN whole TEXT NOT NULL DEFAULT '';   -- the job that this is a part of
ALTER TABLE jobs ADD COLUMN place INTEGER NOT NULL DEFAULT 0; -- which part, from 1
ALTER TABLE jobs ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN uses TEXT NOT NULL DEFAULT '[]';  -- outputs that its arguments wait for
ALTER TABLE jobs ADD COLUMN parallel INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN cap TEXT;                         -- dollars the caller allows for all
ALTER TABLE jobs ADD COLUMN stopping INTEGER;                 -- somebody cancelled the whole
CREATE INDEX jobs_by_whole ON jobs (whole, place) WHERE whole != '';
CREATE TABLE grants (
  account TEXT NOT NULL,
  endpoint_id TEXT NOT NULL,
  until INTEGER NOT NULL,                -- a person approved the endpoint up to then
  PRIMARY KEY (account, endpoint_id)
) WITHOUT ROWID;
"""

_HISTORY = """
CREATE INDEX jobs_by_model ON jobs (endpoint_id, job_id) WHERE state = 'done';
"""

# A list of one state or model begins with its newest job, and a search by text reads its words
# without the wide rows that hold them.
_LISTS = """
DROP INDEX jobs_by_state;
CREATE INDEX jobs_by_state ON jobs (state, job_id);
CREATE INDEX jobs_by_endpoint ON jobs (endpoint_id, job_id);
CREATE INDEX jobs_by_words ON jobs (job_id, words) WHERE words IS NOT NULL; -- for searches
"""

# MIGRATIONS[n] turns a journal of version n into one of version n + 1.
MIGRATIONS: dict[int, str] = {0: _SCHEMA, 1: _WHOLES, 2: _HISTORY, 3: _LISTS}


class JournalError(ActionableError):
    """The journal cannot be read or written."""


class Journal:
    """An open journal: writers take turns in one worker thread at a time, readers in another.

    Readers have a connection of their own, so that they never wait for a writer, here or elsewhere.
    """

    def __init__(
        self, path: Path, writing: sqlite3.Connection, reading: sqlite3.Connection
    ) -> None:
        self.path = path
        self.book = SendBook(path.parent)
        self._writing = writing
        self._reading = reading
        self._write_turn = anyio.CapacityLimiter(1)
        self._read_turn = anyio.CapacityLimiter(1)
        self._place = _place(path)
        self._latest = math.inf

    async def read(self, act: Act[T]) -> T:
        """Return what *act* reads.

        Raises:
            JournalError: the file cannot be read.
        """
        return await run_sync(self._guarded, act, self._reading, limiter=self._read_turn)

    async def foreign_version(self) -> int:
        """Return a number that changes when another process has written.

        Raises:
            JournalError: the file cannot be read.
        """

        def version(connection: sqlite3.Connection) -> int:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])

        # Asked of the connection that writes: what it wrote itself is not foreign to it.
        return await run_sync(self._guarded, version, self._writing, limiter=self._write_turn)

    async def write(self, act: Act[T], *, durable: bool = False, patience: float = PATIENCE) -> T:
        """Return what *act* returns from within one immediate transaction; all of it or nothing.

        *durable* means that the disk has it before this returns, power loss included. Another
        process that writes is waited for, *patience* seconds from now and not from this one's turn.

        Raises:
            JournalError: the file cannot be written.
        """
        ends = time.monotonic() + patience

        def transaction(connection: sqlite3.Connection) -> T:
            connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._begin(connection, ends)
            try:
                done = act(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return done

        return await run_sync(self._guarded, transaction, self._writing, limiter=self._write_turn)

    def hurry(self) -> None:
        """Let whoever waits for another process to write, now or later, give up soon."""
        self._latest = time.monotonic() + BRIEF

    def _begin(self, connection: sqlite3.Connection, ends: float) -> None:
        """Begin to write, once no other process does; in vain at *ends*, or when hurried."""
        while True:
            left = max(0.0, min(ends, self._latest) - time.monotonic())
            connection.execute(f"PRAGMA busy_timeout={min(left, STRETCH) * 1000:.0f}")
            try:
                # A plain BEGIN that reads before it writes fails when another process wrote
                # between, whatever the busy timeout.
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as problem:
                if left == 0 or "locked" not in str(problem):
                    raise
            else:
                return

    def check_place(self) -> None:
        """Look that the open file is still the one at its path, where the next process finds it.

        Raises:
            JournalError: it was deleted or replaced, and what is written now would be lost.
        """
        if _place(self.path) != self._place:
            raise JournalError(
                f"the journal {str(self.path)!r} was moved or deleted while falkit ran, so nothing "
                "is sent",
                hint="put it back, or start falkit anew",
            )

    async def close(self) -> None:
        """Close the file; a write under way is finished first."""
        await run_sync(self._reading.close, limiter=self._read_turn)
        await run_sync(self._writing.close, limiter=self._write_turn)

    def _guarded(self, act: Act[T], connection: sqlite3.Connection) -> T:
        try:
            return act(connection)
        except sqlite3.DatabaseError as problem:
            raise explained(problem, self.path) from problem


@asynccontextmanager
async def open_journal(path: Path) -> AsyncGenerator[Journal]:
    """Yield the journal at *path*, made or brought up to date if need be.

    Raises:
        JournalError: the folder cannot be written, the file is damaged or of a newer falkit.
    """
    writing = await run_sync(connect, path)
    if words := await run_sync(unsafe_place, path.parent):
        _warn_once(words)
    try:
        reading = await run_sync(connect, path)
    except BaseException:
        writing.close()
        raise
    journal = Journal(path, writing, reading)
    try:
        yield journal
    finally:
        with anyio.CancelScope(shield=True):
            await journal.close()


@cache
def _warn_once(words: str) -> None:
    log.warning(
        "%s, where the journal may break: set FALKIT_HOME to a folder on a disk of this machine",
        words,
    )


def _place(path: Path) -> tuple[int, int] | None:
    """Return what tells the file at *path* from another, None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection to the journal at *path*, in the current version. Blocks.

    The folder is made for its owner only, and so is the file.

    Raises:
        JournalError: see `open_journal`.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_private_file(path)
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "permission denied")
    except OSError as problem:
        reason = (problem.strerror or type(problem).__name__).lower()
        raise JournalError(
            f"the journal {str(path)!r} cannot be written: {reason}",
            hint="set FALKIT_HOME to a folder of your own",
        ) from None
    connection = sqlite3.connect(
        path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        connection.row_factory = sqlite3.Row
        _share(connection)
        _bring_up_to_date(connection, path)
    except sqlite3.DatabaseError as problem:
        connection.close()
        raise explained(problem, path) from None
    except BaseException:
        connection.close()
        raise
    return connection


def _share(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging; processes that open a new file together take turns."""
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as problem:
            # The switch does not honour the busy timeout.
            if "locked" not in str(problem) or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection, path) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for version in range(_version(connection, path), VERSION):
            for statement in _statements(MIGRATIONS[version]):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise JournalError(
            f"the journal {str(path)!r} is of a newer falkit (format {version}, this one knows "
            f"{VERSION})",
            hint="update falkit, or set FALKIT_HOME to another folder",
        )
    return version


def _statements(script: str) -> list[str]:
    """Return the statements of *script*; `executescript` would commit before each."""
    lines = [line.split("--")[0] for line in script.splitlines()]
    return [statement for statement in "\n".join(lines).split(";") if statement.strip()]


def explained(problem: sqlite3.DatabaseError, path: Path) -> JournalError:
    """Return in plain words why the journal at *path* cannot be used."""
    said = str(problem).lower()
    if "full" in said:
        return JournalError(
            "the journal cannot be written: the disk is full", hint="free some space"
        )
    if "disk i/o" in said:
        return JournalError(
            f"the journal {str(path)!r} cannot be written: its disk answers with an error",
            hint="free some space there, and look whether the disk is well",
        )
    if "locked" in said or "busy" in said:
        return JournalError(
            "the journal is held by another process for too long", hint="try again in a moment"
        )
    if "readonly" in said or "unable to open" in said or "permission" in said:
        return JournalError(
            f"the journal {str(path)!r} cannot be written",
            hint="set FALKIT_HOME to a folder of your own",
        )
    if "not a database" in said or "malformed" in said or "no such" in said:
        return JournalError(
            f"the journal {str(path)!r} is damaged",
            hint="move it away and start again; what fal has run is listed on its dashboard",
        )
    return JournalError(f"the journal {str(path)!r} failed: {said[:120]}", hint="try again")


def has_unfinished(path: Path) -> bool:
    """Return whether the journal at *path* holds work for anybody, held or not. Blocks.

    Jobs that wait for a person are no work. Nothing is written, and no journal is made.

    Raises:
        JournalError: it cannot be read.
    """
    if not path.exists():
        return False
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            row = connection.execute(
                "SELECT EXISTS (SELECT 1 FROM jobs"
                " WHERE state IN ('planned', 'approved', 'queued', 'running'))"
                " OR EXISTS (SELECT 1 FROM jobs WHERE keep_due IS NOT NULL)"
                " OR EXISTS (SELECT 1 FROM jobs WHERE search_due IS NOT NULL)"
            ).fetchone()
            return bool(row[0])
    except sqlite3.DatabaseError as problem:
        raise explained(problem, path) from problem
