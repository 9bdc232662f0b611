"""`Calls`: direct calls that wait for a runner or are in one, and the runners that there are."""

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from uuid import uuid4

import httpx

from server.deploy.local.database import Database

LEASE_SECONDS = 5.0
KEPT_SECONDS = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Door:
    """How a runner is reached: by *socket* or, where it is empty, at *address* with *token*.

    *base* is how it knows the emulator's CDN; *seconds* is how long a call may take.
    """

    socket: str
    address: str
    token: str
    runner: str
    base: str = ""
    seconds: float = 3600.0

    def transport(self) -> httpx.AsyncHTTPTransport:
        """Return a new transport to it, without a limit of connections."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
        return httpx.AsyncHTTPTransport(uds=self.socket or None, limits=limits)

    @property
    def headers(self) -> dict[str, str]:
        """What each request to it must bear."""
        return {"x-falkit-token": self.token} if self.token else {}

    def as_text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> "Door":
        """Return the door that `as_text` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A direct call that is not over: of the app *app*, in *runner* or, where that is empty, in
    wait since *created* (Unix epoch)."""

    call: str
    app: str
    created: float
    runner: str


@dataclass(frozen=True, slots=True)
class RunnerRow:
    """A runner as the supervisor noted it down; *state* is in fal's words."""

    runner: str
    app: str
    revision: str
    state: str
    pid: int
    condemned: str


class Calls:
    """Direct calls and runners. Methods are synchronous: call them through `Database.do`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def enter(self, app: str, path: str, kind: str, owner: str) -> str:
        """Write a call down that waits for a runner, and return its id, which is a request's."""
        call = str(uuid4())
        now = time.time()
        with self._database.writing() as db:
            db.execute(
                "INSERT INTO calls (call, app, path, kind, owner, lease, created)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (call, app, path, kind, owner, now + LEASE_SECONDS, now),
            )
        return call

    def look(self, call: str) -> tuple[str, str]:
        """Return the door that *call* was given and why it got none, each empty until it is so."""
        found = self._database.reading().execute(
            "SELECT door, failed FROM calls WHERE call = ?", (call,)
        )
        line = found.fetchone()
        return ("", "the call is gone") if line is None else (line["door"], line["failed"])

    def beat(self, owner: str) -> int:
        """Renew all open calls of *owner*; return how many there are."""
        with self._database.writing() as db:
            return db.execute(
                "UPDATE calls SET lease = ? WHERE owner = ? AND ended IS NULL",
                (time.time() + LEASE_SECONDS, owner),
            ).rowcount

    def leave(self, call: str, status: int) -> None:
        """Note down that a call is over, with the status of its answer (0: there was none)."""
        with self._database.writing() as db:
            db.execute(
                "UPDATE calls SET ended = ?, status = ? WHERE call = ?", (time.time(), status, call)
            )

    def leave_all(self, owner: str) -> None:
        """End every open call of *owner*, which closes."""
        with self._database.writing() as db:
            db.execute(
                "UPDATE calls SET ended = ?, status = 0 WHERE owner = ? AND ended IS NULL",
                (time.time(), owner),
            )

    def open(self) -> list[OpenCall]:
        """Return the calls that are not over, oldest first; those of dead processes are ended."""
        now = time.time()
        reading = self._database.reading()
        found = reading.execute(
            "SELECT call, app, created, runner, lease FROM calls WHERE ended IS NULL"
            " AND failed = '' ORDER BY created"
        ).fetchall()
        if any(line["lease"] < now for line in found):
            with self._database.writing() as db:
                db.execute(
                    "UPDATE calls SET ended = ?, status = 0 WHERE ended IS NULL AND lease < ?",
                    (now, now),
                )
        return [OpenCall(*tuple(line)[:4]) for line in found if line["lease"] >= now]

    def state(self) -> tuple[list[tuple[object, ...]], list[OpenCall], Mapping[str, str]]:
        """Return what tells a change of any app, `open` and `condemned`, in one reading."""
        apps = self._database.reading().execute("SELECT * FROM apps ORDER BY name").fetchall()
        return [tuple(line) for line in apps], self.open(), self.condemned()

    def grant(self, call: str, door: Door) -> bool:
        """Let *call* in; False when nobody waits for it any more."""
        with self._database.writing() as db:
            changed = db.execute(
                "UPDATE calls SET runner = ?, door = ? WHERE call = ? AND ended IS NULL",
                (door.runner, door.as_text(), call),
            )
            return bool(changed.rowcount)

    def fail(self, call: str, words: str) -> None:
        """Tell a call that there will be no runner for it."""
        with self._database.writing() as db:
            db.execute("UPDATE calls SET failed = ? WHERE call = ?", (words, call))

    def condemn(self, runner: str, how: str) -> None:
        """Ask the supervisor to end a runner: ``drain`` (after its calls), ``kill``, or ``lost``
        (its connection broke)."""
        with self._database.writing() as db:
            db.execute(
                "UPDATE runners SET condemned = ? WHERE runner = ? AND condemned != 'kill'",
                (how, runner),
            )

    def condemned(self) -> Mapping[str, str]:
        """Return how runners are to be ended, by id."""
        found = self._database.reading().execute(
            "SELECT runner, condemned FROM runners WHERE condemned != '' AND state != 'TERMINATED'"
        )
        return {line["runner"]: line["condemned"] for line in found}

    def note_runner(self, row: RunnerRow, generation: int, fence: int, door: Door) -> None:
        """Write a new runner down."""
        with self._database.writing() as db:
            db.execute(
                "INSERT INTO runners (runner, app, revision, generation, fence, state, pid, door,"
                " started) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    row.runner, row.app, row.revision, generation, fence, row.state, row.pid,
                    door.as_text(), time.time(),
                ),
            )  # fmt: skip

    def set_state(self, runner: str, state: str, reason: str = "") -> None:
        """Write down in which state a runner is now."""
        with self._database.writing() as db:
            db.execute(
                "UPDATE runners SET state = ?, reason = ? WHERE runner = ?", (state, reason, runner)
            )

    def take_over(self, fence: int) -> None:
        """Write off what an earlier supervisor ran; calls that wait are let in anew."""
        now = time.time()
        with self._database.writing() as db:
            db.execute(
                "UPDATE runners SET state = 'TERMINATED', reason = 'its falkit ended'"
                " WHERE state != 'TERMINATED' AND fence < ?",
                (fence,),
            )
            db.execute("DELETE FROM runners WHERE started < ?", (now - KEPT_SECONDS,))
            db.execute("DELETE FROM calls WHERE ended < ?", (now - KEPT_SECONDS,))

    def runners(self, app: str = "") -> list[RunnerRow]:
        """Return the runners that live, of *app* or of all."""
        return _runners(self._database.reading(), app)


def _runners(db: sqlite3.Connection, app: str) -> list[RunnerRow]:
    where, given = (" AND app = ?", (app,)) if app else ("", ())
    found = db.execute(
        "SELECT runner, app, revision, state, pid, condemned FROM runners"  # noqa: S608  # fixed words
        f" WHERE state != 'TERMINATED'{where}",
        given,
    )
    return [RunnerRow(*line) for line in found]


def counted(runners: Sequence[RunnerRow]) -> dict[str, int]:
    """Return how many runners there are in each state."""
    states = [runner.state for runner in runners]
    return {state: states.count(state) for state in dict.fromkeys(states)}
