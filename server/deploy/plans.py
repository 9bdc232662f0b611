"""`Plans`: changes that were described, each kept with its hash until it is applied or lapses."""

import hmac
import json
import secrets
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from server.deploy.applied import Applied
from server.deploy.shelves import PlanError, Shelf

LIVES_SECONDS = 24 * 3600.0
KEPT_SECONDS = 90 * 24 * 3600.0

_TABLES = """
CREATE TABLE IF NOT EXISTS plans (
  plan_id TEXT PRIMARY KEY, created REAL NOT NULL, body TEXT NOT NULL, sha256 TEXT NOT NULL,
  job_id TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE IF NOT EXISTS trusted (sha256 TEXT PRIMARY KEY, at REAL NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """Everything that carrying out a plan depends on.

    *source* is the hash of the source, *folder* a copy of it, *path* where it came from, *paths*
    its files. *replaces* is the revision that runs, *before* its settings, *after* those that are
    to be, *code* those of the source, as plain JSON. *shown* is what a person is told, *asks* why
    somebody must say yes. *unknown* names settings that stay as they run and that nobody tells.
    """

    action: str
    target: str
    app: str
    path: str = ""
    source: str = ""
    folder: str = ""
    paths: tuple[str, ...] = ()
    file: str = ""
    class_name: str = ""
    replaces: str = ""
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    code: Mapping[str, Any] | None = None
    openapi: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] | None = None
    shown: Mapping[str, Any] | None = None
    asks: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


class Plans:
    """The plans of one home. Every method blocks on the disk; threads may call it."""

    def __init__(self, folder: Path) -> None:
        self._shelf = Shelf(folder / "plans.db", _TABLES)
        self.applied = Applied(folder)

    def add(self, kept: Kept) -> str:
        """Keep a plan and return its id, which no other plan ever has."""
        body = json.dumps(asdict(kept), sort_keys=True, default=str)
        plan_id = f"plan-{secrets.token_hex(5)}"
        digest = self._seal(plan_id, body)

        def write(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM plans WHERE created < ?", (time.time() - KEPT_SECONDS,))
            db.execute(
                "INSERT INTO plans (plan_id, created, body, sha256) VALUES (?, ?, ?, ?)",
                (plan_id, time.time(), body, digest),
            )

        self._shelf.do(write)
        return plan_id

    def find(self, plan_id: str) -> tuple[Kept, str]:
        """Return the plan of that id, and the job that applied it or nothing.

        Raises:
            PlanError: there is none, or what is kept of it was changed.
        """
        wanted = plan_id.strip().lower()

        def read(db: sqlite3.Connection) -> sqlite3.Row | None:
            return db.execute("SELECT * FROM plans WHERE plan_id = ?", (wanted,)).fetchone()

        row = self._shelf.do(read)
        if row is None:
            raise PlanError(f"no plan {plan_id[:40]!r}", hint="deploy_plan makes one")
        if not hmac.compare_digest(self._seal(wanted, row["body"]), row["sha256"]):
            raise PlanError(f"plan {wanted} is not what it was", hint="plan the change again")
        if not row["job_id"] and time.time() - row["created"] > LIVES_SECONDS:
            raise PlanError(f"plan {wanted} is older than a day", hint="plan the change again")
        body = json.loads(row["body"])
        for name in ("paths", "asks", "blocked", "unknown"):
            body[name] = tuple(body[name])
        return Kept(**body), row["job_id"]

    def seal_of(self, plan_id: str) -> str:
        """Return what a plan is sealed with: another for another content, empty without one."""
        row = self._shelf.do(
            lambda db: db.execute(
                "SELECT sha256 FROM plans WHERE plan_id = ?", (plan_id,)
            ).fetchone()
        )
        return "" if row is None else row["sha256"]

    def check_age(self, plan_id: str) -> None:
        """Refuse a plan that was drawn too long ago to be begun, whenever it was said yes to.

        Raises:
            PlanError: it is older than a day.
        """
        row = self._shelf.do(
            lambda db: db.execute(
                "SELECT created FROM plans WHERE plan_id = ?", (plan_id,)
            ).fetchone()
        )
        if row is None or time.time() - row["created"] > LIVES_SECONDS:
            raise PlanError(f"plan {plan_id} is older than a day", hint="plan the change again")

    def _mark(self, sha256: str, network: bool) -> str:
        """Return how trust in a source is written down, which no other program can write."""
        return self._seal("trusted", f"{sha256}+network" if network else sha256)

    def _seal(self, plan_id: str, body: str) -> str:
        """Return what only who has this home's secret can say of a plan."""
        return hmac.digest(self.applied.secret(), f"{plan_id}\n{body}".encode(), "sha256").hex()

    def mark_applied(self, plan_id: str, job_id: str) -> None:
        """Note which job applies a plan."""
        self._shelf.do(
            lambda db: db.execute(
                "UPDATE plans SET job_id = ? WHERE plan_id = ? AND job_id = ''", (job_id, plan_id)
            )
        )

    def trust(self, sha256: str, *, network: bool = False) -> None:
        """Note that a person let this source run on this machine, with *network* or without."""
        row = (self._mark(sha256, network), time.time())
        self._shelf.do(lambda db: db.execute("INSERT OR IGNORE INTO trusted VALUES (?, ?)", row))

    def is_trusted(self, sha256: str, *, network: bool = False) -> bool:
        """Return whether a person let exactly this source run here before, so or more freely."""
        keys = (self._mark(sha256, network), self._mark(sha256, True))
        found = self._shelf.do(
            lambda db: db.execute("SELECT 1 FROM trusted WHERE sha256 IN (?, ?)", keys).fetchone()
        )
        return found is not None
