"""`Applied`: what falkit itself set of each app, and what may be spent by what nobody was asked."""

import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from server.deploy.shelves import Shelf
from tools.deploy_records import AppSettings, DeployedApp

# A change ends within an hour; what did not say how it ended by then never will.
UNSETTLED_LIVES = 24 * 3600.0
NEW = 3600.0  # seconds in which an app may not be listed yet
_TABLES = """
CREATE TABLE IF NOT EXISTS applied (
  target TEXT NOT NULL, app TEXT NOT NULL, revision TEXT NOT NULL, settings TEXT NOT NULL,
  unknown TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (target, app, revision)
) STRICT;
CREATE TABLE IF NOT EXISTS unasked (
  plan_id TEXT PRIMARY KEY, app TEXT NOT NULL, dollars TEXT NOT NULL, at REAL NOT NULL,
  settled INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS seal (one INTEGER PRIMARY KEY CHECK (one = 1), secret TEXT NOT NULL)
STRICT;
"""


@dataclass(frozen=True, slots=True)
class Recalled:
    """What an app runs with: *likely* names what falkit last set, *unknown* what nobody tells."""

    settings: AppSettings
    likely: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()


class Applied:
    """The memory of one home. Every method blocks on the disk; threads may call it."""

    def __init__(self, folder: Path) -> None:
        self._shelf = Shelf(folder / "applied.db", _TABLES)
        self._secret = b""

    def secret(self) -> bytes:
        """Return the secret of this home that seals its plans."""

        def made(db: sqlite3.Connection) -> str:
            fresh = secrets.token_hex(32)
            db.execute("INSERT OR IGNORE INTO seal VALUES (1, ?)", (fresh,))
            return db.execute("SELECT secret FROM seal").fetchone()["secret"]

        if not self._secret:
            self._secret = self._shelf.do(made).encode()
        return self._secret

    def note(self, app: DeployedApp, settings: AppSettings, unknown: Sequence[str]) -> None:
        """Keep what the revision of *app* that answers was set to, but for what is *unknown*."""
        row = (
            app.target, app.name, app.revision, json.dumps(asdict(settings)),
            json.dumps(sorted(unknown)), time.time(),
        )  # fmt: skip
        self._shelf.do(
            lambda db: db.execute("INSERT OR REPLACE INTO applied VALUES (?, ?, ?, ?, ?, ?)", row)
        )

    def recall(self, app: DeployedApp, revision: str = "") -> Recalled:
        """Return what *app* runs with, or would with another *revision* of it.

        What its target does not tell is what falkit set last for that revision, if it did.
        """
        key = (app.target, app.name, revision or app.revision)
        row = self._shelf.do(
            lambda db: db.execute(
                "SELECT * FROM applied WHERE target = ? AND app = ? AND revision = ?", key
            ).fetchone()
        )
        untold = {*app.unknown} if not revision else {each.name for each in fields(AppSettings)}
        if row is None:
            return Recalled(app.settings, unknown=frozenset(untold))
        set_last = settings_from(json.loads(row["settings"]))
        unknown = untold & {*json.loads(row["unknown"])}
        likely = untold - unknown
        told = {name: getattr(app.settings, name) for name in asdict(app.settings)}
        told |= {name: getattr(set_last, name) for name in likely}
        return Recalled(AppSettings(**told), frozenset(likely), frozenset(unknown))

    def others(self, app: str) -> Decimal:
        """Return the dollars an hour of what was deployed unasked, but for *app*."""
        return self._shelf.do(lambda db: _others(db, app))

    def reserve(
        self, plan_id: str, app: str, dollars: Decimal, over: Callable[[Decimal], list[str]]
    ) -> list[str]:
        """Count *dollars* an hour for *app*, unless that is *over*: then return why it is.

        Among processes one goes after the other, so that two never spend the same dollars.
        """

        def take(db: sqlite3.Connection) -> list[str]:
            reasons = over(_others(db, app))
            if not reasons:
                db.execute(
                    "INSERT OR IGNORE INTO unasked VALUES (?, ?, ?, ?, 0)",
                    (plan_id, app, str(dollars), time.time()),
                )
            return reasons

        return self._shelf.do(take, alone=True)

    def settle(self, plan_id: str, app: str) -> None:
        """Count for *app* what the plan took alone: it is what runs now."""

        def write(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM unasked WHERE app = ? AND plan_id != ?", (app, plan_id))
            db.execute("UPDATE unasked SET settled = 1 WHERE plan_id = ?", (plan_id,))

        self._shelf.do(write)

    def let_go(self, plan_id: str) -> None:
        """Forget what a plan took that came to nothing."""
        self._shelf.do(lambda db: db.execute("DELETE FROM unasked WHERE plan_id = ?", (plan_id,)))

    def only(self, names: Sequence[str]) -> None:
        """Forget what apps took that are gone; *names* are those that there are."""

        def write(db: sqlite3.Connection) -> None:
            now = time.time()
            for row in db.execute("SELECT plan_id, app, at, settled FROM unasked").fetchall():
                lives = NEW if row["settled"] else UNSETTLED_LIVES
                if row["app"] not in names and now - row["at"] > lives:
                    db.execute("DELETE FROM unasked WHERE plan_id = ?", (row["plan_id"],))

        self._shelf.do(write)


def _others(db: sqlite3.Connection, app: str) -> Decimal:
    """Return what other apps may cost; of one that is being changed, the dearer of its states."""
    dearest: dict[str, Decimal] = {}
    for row in db.execute("SELECT app, dollars FROM unasked WHERE app != ?", (app,)):
        dearest[row["app"]] = max(dearest.get(row["app"], Decimal(0)), Decimal(row["dollars"]))
    return sum(dearest.values(), Decimal(0))


def settings_from(given: dict[str, Any]) -> AppSettings:
    """Return settings that were kept as plain JSON; what is not there is not said."""
    values: dict[str, Any] = {}
    for field in fields(AppSettings):
        if field.name not in given:
            continue
        value = given[field.name]
        values[field.name] = tuple(cast("list[str]", value)) if isinstance(value, list) else value
    return AppSettings(**values)
