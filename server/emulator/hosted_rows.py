"""`HostedRows`: requests to hosted applications, which only their supervisor claims."""

import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass

from server.emulator.retrying import gap_before_retry
from server.emulator.rows import HOSTED, LATE, START_TIMEOUT, Outcome, Row, Rows, broken
from server.emulator.shelf import raw_of

PREFIX = HOSTED

# Rows of hosted applications that may be worked on now, as in `rows.CLAIMABLE`, by their age.
PENDING = """
    SELECT id, app, state, priority, created, ready, json_extract(options, '$.small') AS small
    FROM requests
    WHERE state != 'COMPLETED' AND substr(app, 1, 6) = 'local/'
        AND ((state = 'IN_QUEUE' AND ready <= :now) OR (state = 'IN_PROGRESS' AND lease < :now))
    ORDER BY priority, created
"""
DISCONNECTED = broken(503, "runner_disconnected", "The runner disconnected")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits for a runner of *app* (``local/name``) since *since* (Unix epoch).

    The input of one that *is_small* may be read without the way through a thread.
    """

    request_id: str
    app: str
    since: float
    low_priority: bool
    is_small: bool = False


class HostedRows(Rows):
    """The requests of one folder, seen by the supervisor of hosted applications."""

    def waiting(self) -> list[Waiting]:
        """Return what may be worked on now, in the order in which it is to be begun.

        Those that were to have started by now are ended; so is what a lost runner left that must
        not be begun again.
        """
        now = {"now": time.time()}
        reading = self._store.reading()
        late = reading.execute(f"{LATE} AND substr(app, 1, 6) = 'local/'", now).fetchall()
        found = reading.execute(PENDING, now).fetchall()
        self.has_ended_some = bool(late) or any(line["state"] == "IN_PROGRESS" for line in found)
        if self.has_ended_some:
            with self._store.writing() as db:
                for line in late:
                    self._end(db, line["id"], START_TIMEOUT)
                for line in db.execute(PENDING, now).fetchall():
                    if line["state"] == "IN_PROGRESS":
                        self._abandoned(db, line["id"])
            found = reading.execute(PENDING, {"now": time.time()}).fetchall()
        return [
            Waiting(
                line["id"],
                line["app"],
                max(line["created"], line["ready"]),
                bool(line["priority"]),
                bool(line["small"]),
            )
            for line in found
            if line["state"] == "IN_QUEUE"
        ]

    def take(self, owner: str, request_id: str) -> Row | None:
        """Lease the request to *owner*; None when it is no longer there to be taken."""
        now = time.time()
        with self._store.writing() as db:
            changed = db.execute(
                "UPDATE requests SET state = 'IN_PROGRESS', fence = fence + 1, owner = ?,"
                " lease = ?, started = ? WHERE id = ? AND state = 'IN_QUEUE' AND ready <= ?",
                (owner, now + self.lease_seconds, now, request_id, now),
            )
            if not changed.rowcount:
                return None
            self._touch(db, request_id)
            return self._find(db, request_id)

    def due(self) -> float | None:
        """Return in how many seconds a request that is not ready yet will be; None without one."""
        now = time.time()
        found = self._store.reading().execute(
            "SELECT MIN(CASE WHEN state = 'IN_PROGRESS' THEN lease ELSE"
            " MIN(MAX(ready, :now), COALESCE(start_by, ready + 1e9)) END) FROM requests"
            " WHERE state != 'COMPLETED' AND substr(app, 1, 6) = 'local/'",
            {"now": now},
        )
        due = found.fetchone()[0]
        return None if due is None else max(0.0, due - now)

    def unfinished(self) -> dict[str, int]:
        """Return how many requests wait in the queue, by application."""
        found = self._store.reading().execute(
            "SELECT app, COUNT(*) AS n FROM requests WHERE state = 'IN_QUEUE'"
            " AND substr(app, 1, 6) = 'local/' GROUP BY app"
        )
        return {line["app"]: line["n"] for line in found}

    def end_all(self, app: str, outcome: Outcome) -> list[str]:
        """End every request of *app* that waits; return their ids."""
        with self._store.writing() as db:
            found = db.execute(
                "SELECT id FROM requests WHERE state = 'IN_QUEUE' AND app = ?", (app,)
            ).fetchall()
            for line in found:
                self._end(db, line["id"], outcome)
            return [line["id"] for line in found]

    def said(self, lines: Sequence[tuple[str, float, str, str]]) -> None:
        """Add *lines* (request id, time, level, message) to logs, of ended requests too."""
        with self._store.writing() as db:
            for request_id, at, level, message in lines:
                known = db.execute("SELECT 1 FROM requests WHERE id = ?", (request_id,)).fetchone()
                if known is None:
                    continue
                db.execute(
                    "INSERT INTO logs SELECT ?, COALESCE(MAX(seq), 0) + 1, ?, ?, ? FROM logs"
                    " WHERE request_id = ?",
                    (request_id, at, level, message, request_id),
                )
                self._touch(db, request_id)

    def release(self, owner: str) -> None:
        """Give back what *owner* holds as if its runners had been lost, which they are."""
        with self._store.writing() as db:
            held = db.execute(
                "SELECT id FROM requests WHERE owner = ? AND state = 'IN_PROGRESS'", (owner,)
            )
            for line in held.fetchall():
                self._abandoned(db, line["id"])

    def _abandoned(self, db: sqlite3.Connection, request_id: str) -> None:
        """Put a request back whose runner is gone, or end it where it must not run twice."""
        row = self._find(db, request_id)
        assert row is not None  # noqa: S101  # read in the same transaction
        if gap_before_retry(row, DISCONNECTED, 0) is None:
            self._end(db, request_id, DISCONNECTED)
            return
        self._log(db, request_id, "The runner was lost; starting again", "WARN")
        db.execute(
            "UPDATE requests SET state = 'IN_QUEUE', fence = fence + 1, owner = NULL, lease = NULL,"
            " started = NULL, attempts = attempts + 1, ready = MIN(ready, ?) WHERE id = ?",
            (time.time(), request_id),
        )
        self._touch(db, request_id)


def body_of(body: bytes, media_type: str) -> object:
    """Return a result as it is kept: JSON, else plain text as a string, else the bytes as they are.

    Raises:
        ValueError: it says that it is JSON, and is not.
    """
    if "json" in media_type or not media_type:
        return json.loads(body) if body.strip() else None
    if media_type.startswith("text/plain"):
        return body.decode("utf-8", "replace")
    return raw_of(body, media_type)
