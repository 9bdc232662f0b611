"""`Registry`: the apps of this machine and their revisions, for all falkit processes."""

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast
from uuid import uuid4

from server.deploy.local.database import Database
from server.deploy.targets import Release, entry_of
from tools.deploy_records import AppSettings, Revision
from tools.errors import BackendError

REVISIONS_KEPT = 20

# Settings that may be changed without a new revision.
SCALABLE = (
    "keep_alive", "min_concurrency", "max_concurrency", "max_multiplexing", "concurrency_buffer",
    "concurrency_buffer_perc", "scaling_delay", "startup_timeout", "request_timeout",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class KnownRevision:
    """One revision with all that it takes to run it. *environment* is an `AppEnvironment`'s key."""

    revision: str
    app: str
    created: float
    state: Literal["live", "old", "failed", "rolling"]
    message: str
    source_hash: str
    folder: Path
    file: str
    class_name: str
    network: bool
    environment: str
    settings: AppSettings
    openapi: Mapping[str, Any]
    error: str

    @property
    def told(self) -> Revision:
        """The record that callers see."""
        created = datetime.fromtimestamp(self.created, UTC)
        message = self.message or self.error
        return Revision(
            self.revision, created, self.state, message, self.source_hash, self.network,
            entry_of(self.file, self.class_name),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class KnownApp:
    """One app: *live* answers, *rolling* is to take its place once healthy; either may be missing.

    *generation* grows with every rollout; runners of an earlier one are replaced. *settings* are
    those of the revision that answers, with what `scale` changed. Until *not_before* (Unix epoch)
    no runner is started, after *failures* starts that failed in a row, the last one by *failure*.
    """

    name: str
    live: KnownRevision | None
    rolling: KnownRevision | None
    generation: int
    overrides: Mapping[str, int]
    created: float
    last_call: float | None
    seconds: float
    failures: int
    not_before: float
    failure: str

    @property
    def settings(self) -> AppSettings:
        answering = self.live or self.rolling
        return self.settings_of(answering) if answering is not None else AppSettings()

    def settings_of(self, revision: KnownRevision) -> AppSettings:
        """Return what holds for *revision* of this app."""
        return replace(revision.settings, **self.overrides)


class Registry:
    """Apps and revisions. Methods are synchronous: call them through `Database.do`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def apps(self, name: str = "") -> list[KnownApp]:
        """Return the app of that name, or all of them by name."""
        where, given = (" WHERE name = ?", (name,)) if name else ("", ())
        db = self._database.reading()
        lines = db.execute(f"SELECT * FROM apps{where} ORDER BY name", given).fetchall()  # noqa: S608  # fixed words
        return [_app(db, line) for line in lines]

    def revisions(self, app: str) -> list[KnownRevision]:
        """Return the revisions of *app*, newest first."""
        found = self._database.reading().execute(
            "SELECT * FROM revisions WHERE app = ? ORDER BY created DESC", (app,)
        )
        return [_revision(line) for line in found]

    def find(self, revision: str) -> KnownRevision | None:
        """Return the revision of that id, or None."""
        return _find(self._database.reading(), revision)

    def begin(self, release: Release, environment: str) -> KnownRevision:
        """Write a new revision down that is to take over once it is healthy."""
        revision = uuid4().hex[:12]
        now = time.time()
        with self._database.writing() as db:
            db.execute(
                "INSERT INTO revisions (revision, app, created, state, message, source_hash,"
                " folder, file, class_name, network, environment, settings, openapi)"
                " VALUES (?, ?, ?, 'rolling', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    revision, release.name, now, release.message, release.source_hash,
                    str(release.folder), release.file, release.class_name, release.network,
                    environment, json.dumps(asdict(release.settings)),
                    json.dumps(dict(release.openapi)),
                ),
            )  # fmt: skip
            db.execute(
                "INSERT INTO apps (name, created) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (release.name, now),
            )
            self._roll(db, release.name, revision)
            return cast("KnownRevision", _find(db, revision))

    def begin_again(self, app: str, revision: str) -> None:
        """Let a known revision of *app* take over (again) once new runners of it are healthy.

        Raises:
            BackendError: there is no such app or revision.
        """
        with self._database.writing() as db:
            found = _find(db, revision)
            if found is None or found.app != app:
                raise BackendError(f"local app '{app}' has no revision {revision[:40]!r}")
            if found.state != "live":
                db.execute(
                    "UPDATE revisions SET state = 'rolling', error = '' WHERE revision = ?",
                    (revision,),
                )
            self._roll(db, app, revision)

    def _roll(self, db: sqlite3.Connection, app: str, revision: str) -> None:
        db.execute(
            "UPDATE apps SET rolling = ?, generation = generation + 1, failures = 0,"
            " not_before = 0, failure = '' WHERE name = ?",
            (revision, app),
        )

    def go_live(self, app: str, revision: str, openapi: Mapping[str, Any]) -> bool:
        """Let the rolling *revision* answer from now on; False when it is no longer wanted.

        What `scale` changed before belonged to the revision that was deployed over; a rollback or
        a restart keeps it. *openapi* is written down where inspection found none.
        """
        with self._database.writing() as db:
            found = db.execute(
                "SELECT live FROM apps WHERE name = ? AND rolling = ?", (app, revision)
            ).fetchone()
            if found is None:
                return False
            db.execute(
                "UPDATE revisions SET state = 'old' WHERE app = ? AND state = 'live'", (app,)
            )
            db.execute(
                "UPDATE revisions SET state = 'live', openapi = CASE WHEN openapi = '{}' THEN ?"
                " ELSE openapi END WHERE revision = ?",
                (json.dumps(dict(openapi)), revision),
            )
            db.execute("UPDATE apps SET live = ?, rolling = '' WHERE name = ?", (revision, app))
            return True

    def give_up(self, app: str, revision: str, words: str) -> None:
        """Note down that the rolling *revision* did not become healthy; what answered stays."""
        with self._database.writing() as db:
            db.execute(
                "UPDATE apps SET rolling = '' WHERE name = ? AND rolling = ?", (app, revision)
            )
            db.execute(
                "UPDATE revisions SET error = ?, state = CASE state WHEN 'rolling' THEN 'failed'"
                " ELSE state END WHERE revision = ?",
                (words, revision),
            )

    def forget_failed(self, app: str) -> list[Path]:
        """Take away an app that never answered; return the folders of its sources."""
        with self._database.writing() as db:
            found = db.execute("SELECT folder FROM revisions WHERE app = ?", (app,)).fetchall()
            if not db.execute(
                "DELETE FROM apps WHERE name = ? AND live = '' AND rolling = ''", (app,)
            ).rowcount:
                return []
            db.execute("DELETE FROM revisions WHERE app = ?", (app,))
            return [Path(line["folder"]) for line in found]

    def reset_scale(self, app: str) -> None:
        """Forget what `scale` changed."""
        with self._database.writing() as db:
            db.execute("UPDATE apps SET overrides = '{}' WHERE name = ?", (app,))

    def scale(self, app: str, settings: Mapping[str, int]) -> None:
        """Change settings of an app without a new revision.

        Raises:
            BackendError: there is no such app, or a setting cannot be changed so.
        """
        for name, value in settings.items():
            least = 1 if name in ("max_concurrency", "max_multiplexing", "startup_timeout") else 0
            if name not in SCALABLE or value < least:
                known = ", ".join(SCALABLE)
                raise BackendError(
                    f"'{name[:40]}' cannot be {value} on this machine", hint=f"settings: {known}"
                )
        with self._database.writing() as db:
            line = db.execute("SELECT * FROM apps WHERE name = ?", (app,)).fetchone()
            if line is None:
                raise BackendError(f"no app '{app}' is deployed on this machine")
            wanted = {**json.loads(line["overrides"]), **settings}
            held = replace(_app(db, line).settings, **wanted)
            if (held.min_concurrency or 0) > (held.max_concurrency or 10**6):
                raise BackendError("min_concurrency would be above max_concurrency")
            db.execute("UPDATE apps SET overrides = ? WHERE name = ?", (json.dumps(wanted), app))

    def delete(self, app: str) -> list[Path]:
        """Take an app away with its revisions; return the folders of their sources.

        Raises:
            BackendError: there is no such app.
        """
        with self._database.writing() as db:
            folders = db.execute("SELECT folder FROM revisions WHERE app = ?", (app,)).fetchall()
            if not db.execute("DELETE FROM apps WHERE name = ?", (app,)).rowcount:
                raise BackendError(f"no app '{app}' is deployed on this machine")
            db.execute("DELETE FROM revisions WHERE app = ?", (app,))
            return [Path(line["folder"]) for line in folders]

    def prune(self, app: str) -> list[Path]:
        """Forget all but the newest revisions of *app* and the one that answers."""
        with self._database.writing() as db:
            lines = db.execute(
                "SELECT revision, folder, state FROM revisions WHERE app = ? ORDER BY created DESC",
                (app,),
            ).fetchall()
            gone = [line for line in lines[REVISIONS_KEPT:] if line["state"] in ("old", "failed")]
            for line in gone:
                db.execute("DELETE FROM revisions WHERE revision = ?", (line["revision"],))
            return [Path(line["folder"]) for line in gone]

    def note_start(self, app: str, failure: str, *, gap: float = 0.0) -> None:
        """Note down how a start of a runner went: *failure* is empty where it went well.

        After a failure none is tried for *gap* seconds.
        """
        with self._database.writing() as db:
            db.execute(
                "UPDATE apps SET failure = ?, failures = CASE ? WHEN '' THEN 0 ELSE failures + 1"
                " END, not_before = ? WHERE name = ?",
                (failure, failure, time.time() + gap if failure else 0.0, app),
            )

    def note_use(self, app: str, *, seconds: float = 0.0, called: bool = False) -> None:
        """Add to the time that runners of *app* were up, and note that it was *called* now."""
        with self._database.writing() as db:
            db.execute(
                "UPDATE apps SET seconds = seconds + ?, last_call = CASE WHEN ? THEN ? ELSE"
                " last_call END WHERE name = ?",
                (seconds, called, time.time(), app),
            )


def _find(db: sqlite3.Connection, revision: str) -> KnownRevision | None:
    line = db.execute("SELECT * FROM revisions WHERE revision = ?", (revision,)).fetchone()
    return None if line is None else _revision(line)


def _app(db: sqlite3.Connection, line: sqlite3.Row) -> KnownApp:
    return KnownApp(
        name=line["name"],
        live=_find(db, line["live"]),
        rolling=_find(db, line["rolling"]),
        generation=line["generation"],
        overrides=json.loads(line["overrides"]),
        created=line["created"],
        last_call=line["last_call"],
        seconds=line["seconds"],
        failures=line["failures"],
        not_before=line["not_before"],
        failure=line["failure"],
    )


def _revision(line: sqlite3.Row) -> KnownRevision:
    return KnownRevision(
        revision=line["revision"],
        app=line["app"],
        created=line["created"],
        state=line["state"],
        message=line["message"],
        source_hash=line["source_hash"],
        folder=Path(line["folder"]),
        file=line["file"],
        class_name=line["class_name"],
        network=bool(line["network"]),
        environment=line["environment"],
        settings=settings_from(json.loads(line["settings"])),
        openapi=json.loads(line["openapi"]),
        error=line["error"],
    )


def settings_from(given: Mapping[str, Any]) -> AppSettings:
    """Return settings that were kept as JSON."""
    known = {field.name for field in fields(AppSettings)}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name in known:
            values[name] = tuple(cast("Sequence[Any]", value)) if isinstance(value, list) else value
    return AppSettings(**values)
