"""`Rows`: requests as rows of the store, and the leases under which they are worked on."""

import json
import sqlite3
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from server.emulator.store import Store, count

State = Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
Cancelling = Literal["NOT_FOUND", "ALREADY_COMPLETED", "CANCELLATION_REQUESTED"]

HOSTED = "local/"  # what ids of hosted applications begin with
SMALL_BYTES = 16_384  # of an input or output that takes no time to speak of to read or write
# What may be worked on now: waiting and ready, or abandoned by a claimant whose lease ran out.
# Hosted applications (`local/…`) have a supervisor of their own, and no limit of the account.
CLAIMABLE = """
    SELECT id, state FROM requests
    WHERE state != 'COMPLETED' AND substr(app, 1, 6) != 'local/'
        AND ((state = 'IN_QUEUE' AND ready <= :now) OR (state = 'IN_PROGRESS' AND lease < :now))
    ORDER BY state, priority, created LIMIT 1
"""
LATE = "SELECT id FROM requests WHERE state = 'IN_QUEUE' AND start_by < :now"
STANDING = """
    SELECT id, endpoint_id, app, 'null' AS input, NULL AS output, state, priority, created, ready,
        start_by, options, fence, started, ended, status_code, error, error_type, units, changed,
        attempts FROM requests WHERE id = ?
"""
RUNNING = """
    SELECT COUNT(*) FROM requests WHERE state = 'IN_PROGRESS' AND substr(app, 1, 6) != 'local/'
"""


@dataclass(frozen=True, slots=True)
class Submission:
    """A request as it comes in.

    *input* is the body as given. *wait* is how long it must queue at least, *start_within* how long
    it may (both in seconds). *options* are those of `Row`.
    """

    endpoint_id: str
    app: str
    input: Any
    wait: float = 0.0
    start_within: float | None = None
    low_priority: bool = False
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def with_options(self, **more: Any) -> "Submission":  # noqa: ANN401  # JSON
        """Return the same with *more* options."""
        return replace(self, options={**self.options, **more})


@dataclass(frozen=True, slots=True)
class Row:
    """One request as the store has it; times are seconds of the Unix epoch.

    *app* is the id without its path, under which status and result are read. *options*: ``brief``
    (its output is), ``direct`` (a caller waits on the run host), ``faults`` (kinds injected),
    ``lifecycle`` (of its files), ``needs_retry`` (of its end), ``realtime`` (a socket waits),
    ``retries`` (limits by kind of trouble), ``small`` (its input is), ``store_io``, ``stream``
    (somebody hears the output before it is whole), ``tags``, ``user`` (id of the key), ``webhook``
    and ``base`` (where its files are read).
    *changed* grows over all rows with every visible change, *attempts* with every retry.
    """

    request_id: str
    endpoint_id: str
    app: str
    input: Any
    state: State
    priority: int
    created: float
    ready: float
    start_by: float | None
    options: Mapping[str, Any]
    fence: int
    started: float | None
    ended: float | None
    status_code: int | None
    output: Any
    error: str | None
    error_type: str | None
    units: float | None
    changed: int
    attempts: int = 1

    @property
    def is_over(self) -> bool:
        return self.state == "COMPLETED"

    @property
    def faults(self) -> Mapping[str, float | None]:
        """The faults injected into this request: seconds, where one needs them, by kind."""
        return self.options.get("faults", {})


@dataclass(frozen=True, slots=True)
class Log:
    """One line of a request's log; *seq* counts from 1."""

    seq: int
    at: float
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended: status and body of its result, words for its status, billed units.

    *needs_retry*: the application asks the platform to try again; *no_retry*: it asks not to.
    """

    status_code: int
    body: Any
    error: str | None = None
    error_type: str | None = None
    units: float = 0.0
    needs_retry: bool = False
    no_retry: bool = False


def broken(status: int, error_type: str, words: str) -> Outcome:
    """Return the outcome of a request that the platform failed, in the shape of request errors."""
    return Outcome(status, {"detail": words, "error_type": error_type}, words, error_type)


CANCELLED = broken(499, "client_cancelled", "Request was cancelled by the client")
START_TIMEOUT = broken(504, "startup_timeout", "Request did not start in time")


def _row(found: sqlite3.Row) -> Row:
    return Row(
        request_id=found["id"],
        endpoint_id=found["endpoint_id"],
        app=found["app"],
        input=json.loads(found["input"]),
        state=found["state"],
        priority=found["priority"],
        created=found["created"],
        ready=found["ready"],
        start_by=found["start_by"],
        options=json.loads(found["options"]),
        fence=found["fence"],
        started=found["started"],
        ended=found["ended"],
        status_code=found["status_code"],
        output=None if found["output"] is None else json.loads(found["output"]),
        error=found["error"],
        error_type=found["error_type"],
        units=found["units"],
        changed=found["changed"],
        attempts=found["attempts"],
    )


class Rows:
    """The requests of one folder. Methods are synchronous: call them through `Store.do`."""

    has_ended_some = False  # the last look for work ended what was not to be begun

    def __init__(self, store: Store, *, lease_seconds: float, concurrency: int) -> None:
        self._store = store
        self.lease_seconds = lease_seconds
        self.concurrency = concurrency

    def submit(self, given: Submission, longest_queue: int | None = None) -> Row | None:
        """Write a request down and return it; None when *longest_queue* others wait already."""
        request_id = str(uuid.uuid4())
        now = time.time()
        start_by = None if given.start_within is None else now + given.start_within
        with self._store.writing() as db:
            if longest_queue is not None:
                waiting = db.execute(
                    "SELECT COUNT(*) FROM requests WHERE state = 'IN_QUEUE' AND endpoint_id = ?",
                    (given.endpoint_id,),
                ).fetchone()[0]
                if waiting >= longest_queue:
                    return None
            db.execute(
                "INSERT INTO requests (id, endpoint_id, app, input, priority, created, ready,"
                " start_by, options, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
                (
                    request_id, given.endpoint_id, given.app, json.dumps(given.input),
                    int(given.low_priority), now, now + given.wait, start_by,
                    json.dumps(dict(given.options)),
                ),
            )  # fmt: skip
            self._touch(db, request_id)
            count(db, "submits", given.endpoint_id)
            return self._find(db, request_id)

    def find(self, request_id: str) -> Row | None:
        """Return the request, or None."""
        return self._find(self._store.reading(), request_id)

    def stand(self, request_id: str) -> Row | None:
        """Return the request without what it was given and what came of it: they may be large."""
        found = self._store.reading().execute(STANDING, (request_id,)).fetchone()
        return None if found is None else _row(found)

    def _find(self, db: sqlite3.Connection, request_id: str) -> Row | None:
        found = db.execute("SELECT * FROM requests WHERE id = ?", (request_id,)).fetchone()
        return None if found is None else _row(found)

    def ahead(self, row: Row) -> int:
        """Return how many requests of the same endpoint wait before *row*."""
        found = self._store.reading().execute(
            "SELECT COUNT(*) FROM requests WHERE state = 'IN_QUEUE' AND endpoint_id = ?"
            " AND (priority, created) < (?, ?)",
            (row.endpoint_id, row.priority, row.created),
        )
        return int(found.fetchone()[0])

    def logs(self, request_id: str, after: int = 0) -> list[Log]:
        """Return the log lines with a number above *after*, oldest first."""
        found = self._store.reading().execute(
            "SELECT seq, at, level, message FROM logs WHERE request_id = ? AND seq > ?"
            " ORDER BY seq",
            (request_id, after),
        )
        return [Log(*line) for line in found]

    def add_part(self, row: Row, number: int, part: Any) -> bool:  # noqa: ANN401  # JSON
        """Write down an output that is not whole yet; False when the claim is no longer ours.

        One of that *number* (from 1), which a claimant before us wrote down, stays as it is: the
        same task shows the same.
        """
        with self._store.writing() as db:
            if not self._holds(db, row.request_id, row.fence):
                return False
            db.execute(
                "INSERT OR IGNORE INTO parts VALUES (?, ?, ?)",
                (row.request_id, number, json.dumps(part)),
            )
            self._touch(db, row.request_id)
            return True

    def parts(self, request_id: str, after: int = 0) -> list[tuple[int, Any]]:
        """Return the outputs before the whole one, with their numbers, of those above *after*."""
        found = self._store.reading().execute(
            "SELECT seq, body FROM parts WHERE request_id = ? AND seq > ? ORDER BY seq",
            (request_id, after),
        )
        return [(line["seq"], json.loads(line["body"])) for line in found]

    def changes(self, after: int) -> list[tuple[str, int]]:
        """Return ids of requests that changed after change number *after*, with their numbers."""
        found = self._store.reading().execute(
            "SELECT id, changed FROM requests WHERE changed > ? ORDER BY changed", (after,)
        )
        return [(line["id"], line["changed"]) for line in found]

    def last_change(self) -> int:
        """Return the highest change number so far."""
        found = self._store.reading().execute("SELECT COALESCE(MAX(changed), 0) FROM requests")
        return int(found.fetchone()[0])

    def running(self) -> int:
        """Return how many requests are being worked on in the whole folder."""
        return int(self._store.reading().execute(RUNNING).fetchone()[0])

    def claim(self, owner: str) -> Row | None:
        """Lease the next request that may be worked on to *owner*, or return None.

        What was abandoned comes first, then normal before low priority, then age. No more than
        `concurrency` are under way in the folder. The returned fence is the only one that may write
        this request from now on.
        """
        moment = {"now": time.time()}
        reading = self._store.reading()
        self.has_ended_some = False
        if not any(reading.execute(look, moment).fetchone() for look in (CLAIMABLE, LATE)):
            return None
        with self._store.writing() as db:
            for late in db.execute(LATE, moment).fetchall():
                self._end(db, late["id"], START_TIMEOUT)
                self.has_ended_some = True
            found = db.execute(CLAIMABLE, moment).fetchone()
            if found is None:
                return None
            if found["state"] == "IN_PROGRESS":
                self._log(db, found["id"], "The runner was lost; starting again", "WARN")
            elif db.execute(RUNNING).fetchone()[0] >= self.concurrency:
                return None
            db.execute(
                "UPDATE requests SET state = 'IN_PROGRESS', fence = fence + 1, owner = ?,"
                " lease = ?, started = ? WHERE id = ?",
                (owner, moment["now"] + self.lease_seconds, moment["now"], found["id"]),
            )
            self._touch(db, found["id"])
            return self._find(db, found["id"])

    def next_look(self) -> float | None:
        """Return in how many seconds something may be claimable again, None if all is over.

        What is ready and waits for a free place is looked at again in a quarter of a second.
        """
        now = time.time()
        found = self._store.reading().execute(
            "SELECT MIN(CASE WHEN state = 'IN_PROGRESS' THEN lease WHEN ready > :now"
            " THEN MIN(ready, COALESCE(start_by, ready)) ELSE :now + 0.25 END) FROM requests"
            " WHERE state != 'COMPLETED' AND substr(app, 1, 6) != 'local/'",
            {"now": now},
        )
        due = found.fetchone()[0]
        return None if due is None else max(0.01, due - now)

    def renew(self, owner: str) -> Mapping[str, int]:
        """Lengthen every lease of *owner* and return what it still holds: fences by request id."""
        with self._store.writing() as db:
            db.execute(
                "UPDATE requests SET lease = ? WHERE owner = ? AND state = 'IN_PROGRESS'",
                (time.time() + self.lease_seconds, owner),
            )
            held = db.execute(
                "SELECT id, fence FROM requests WHERE owner = ? AND state = 'IN_PROGRESS'", (owner,)
            )
            return {line["id"]: line["fence"] for line in held}

    def log(self, request_id: str, fence: int, message: str, level: str = "INFO") -> bool:
        """Add a line to the log; False when the claim is no longer ours."""
        with self._store.writing() as db:
            if not self._holds(db, request_id, fence):
                return False
            self._log(db, request_id, message, level)
            self._touch(db, request_id)
            return True

    def progress(self, row: Row, share: str, line: str) -> bool:
        """Add *line*, which begins with *share*, to the log; False when the claim is not ours.

        Of each share one attempt has one line, also when another process takes the attempt over.
        """
        with self._store.writing() as db:
            if not self._holds(db, row.request_id, row.fence):
                return False
            said = db.execute(
                "SELECT 1 FROM logs WHERE request_id = :id AND substr(message, 1, :length) = :share"
                " AND seq > (SELECT COALESCE(MAX(seq), 0) FROM logs"
                " WHERE request_id = :id AND message LIKE 'Attempt %')",
                {"id": row.request_id, "length": len(share), "share": share},
            )
            if said.fetchone() is None:
                self._log(db, row.request_id, line, "INFO")
                self._touch(db, row.request_id)
            return True

    def _log(self, db: sqlite3.Connection, request_id: str, message: str, level: str) -> None:
        db.execute(
            "INSERT INTO logs SELECT ?, COALESCE(MAX(seq), 0) + 1, ?, ?, ? FROM logs"
            " WHERE request_id = ?",
            (request_id, time.time(), level, message, request_id),
        )

    def _holds(self, db: sqlite3.Connection, request_id: str, fence: int) -> bool:
        found = db.execute(
            "SELECT 1 FROM requests WHERE id = ? AND fence = ? AND state = 'IN_PROGRESS'",
            (request_id, fence),
        )
        return found.fetchone() is not None

    def complete(self, row: Row, outcome: Outcome, files: Sequence[tuple[Any, ...]] = ()) -> bool:
        """End the request that *row* claimed; False, and nothing written, when it is lost.

        *files* are rows of the table of files that come into being with it.
        """
        with self._store.writing() as db:
            if not self._holds(db, row.request_id, row.fence):
                return False
            self._end(db, row.request_id, outcome)
            db.executemany("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", files)
            return True

    def retry(self, row: Row, gap: float, words: str) -> bool:
        """Put the request that *row* claimed back into the queue, for *gap* seconds at the least.

        False, and nothing written, when the claim is lost.
        """
        with self._store.writing() as db:
            if not self._holds(db, row.request_id, row.fence):
                return False
            self._log(db, row.request_id, words, "WARN")
            db.execute(
                "UPDATE requests SET state = 'IN_QUEUE', fence = fence + 1, owner = NULL,"
                " lease = NULL, started = NULL, attempts = attempts + 1, ready = ? WHERE id = ?",
                (time.time() + gap, row.request_id),
            )
            self._touch(db, row.request_id)
            return True

    def _end(self, db: sqlite3.Connection, request_id: str, outcome: Outcome) -> None:
        output = json.dumps(outcome.body)
        more = {"needs_retry": outcome.needs_retry, "brief": len(output) <= SMALL_BYTES}
        db.execute(
            "UPDATE requests SET state = 'COMPLETED', fence = fence + 1, owner = NULL,"
            " lease = NULL, ended = ?, status_code = ?, output = ?, error = ?, error_type = ?,"
            " units = ?, options = json_patch(options, ?) WHERE id = ?",
            (
                time.time(), outcome.status_code, output, outcome.error, outcome.error_type,
                outcome.units, json.dumps({name: True for name in more if more[name]}), request_id,
            ),
        )  # fmt: skip
        self._touch(db, request_id)
        db.execute(
            "INSERT OR IGNORE INTO webhooks (request_id, url, due) SELECT id,"
            " json_extract(options, '$.webhook'), ended FROM requests"
            " WHERE id = ? AND json_extract(options, '$.webhook') IS NOT NULL",
            (request_id,),
        )

    def _touch(self, db: sqlite3.Connection, request_id: str) -> None:
        """Give the request the next change number."""
        db.execute(
            "UPDATE requests SET changed = (SELECT MAX(changed) + 1 FROM requests) WHERE id = ?",
            (request_id,),
        )

    def cancel(self, request_id: str, outcome: Outcome = CANCELLED) -> Cancelling:
        """End an unfinished request at once; its claimant, if any, loses its fence."""
        with self._store.writing() as db:
            row = self._find(db, request_id)
            if row is None:
                return "NOT_FOUND"
            if row.is_over:
                return "ALREADY_COMPLETED"
            self._end(db, request_id, outcome)
            return "CANCELLATION_REQUESTED"

    def release(self, owner: str) -> None:
        """Put everything that *owner* holds back into the queue, for whoever comes next."""
        with self._store.writing() as db:
            held = db.execute(
                "SELECT id FROM requests WHERE owner = ? AND state = 'IN_PROGRESS'", (owner,)
            )
            for line in held.fetchall():
                db.execute(
                    "UPDATE requests SET state = 'IN_QUEUE', fence = fence + 1, owner = NULL,"
                    " lease = NULL, started = NULL WHERE id = ?",
                    (line["id"],),
                )
                self._touch(db, line["id"])
