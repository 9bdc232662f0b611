"""`AppRows`: the serverless apps of a folder, their revisions and events, as rows of its store."""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Annotated, Any, Literal

from pydantic import Field

from server.emulator.answers import ApiRefusal
from server.emulator.platform_api.asked import Body
from server.emulator.platform_api.callers import ACCOUNT
from server.emulator.platform_api.door import Door
from server.emulator.telling import instant

CATEGORIES = (
    "runner_started",
    "runner_failed",
    "runner_finished",
    "runner_pending",
    "runner_startup_failure",
    "runner_docker_pull",
    "runner_setup",
    "runner_draining",
    "runner_stopping",
    "deployment_started",
    "deployment_failed",
    "deployment_ended",
    "deployment_rolling_started",
    "deployment_rolling_failed",
    "deployment_rolling_ended",
    "deployment_recreate_applied",
    "config_changed",
)


class App(Body):
    """A serverless app as whoever deploys it tells it; defaults are those of a small new app."""

    owner: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9_-]+$")] = ACCOUNT
    name: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")]
    environment: str = "main"
    machine_type: str = "XS"
    auth_mode: Literal["private", "public", "shared"] = "private"
    keep_alive: float = 60
    min_concurrency: float = 0
    max_concurrency: float = 2
    request_timeout: float = 3600
    startup_timeout: float = 600
    valid_regions: Annotated[list[str], Field(default_factory=list[str])]
    message: str | None = None
    annotations: dict[str, str] | None = None

    @property
    def app(self) -> str:
        """The id without a route."""
        return f"{self.owner}/{self.name}"

    def record(self) -> dict[str, Any]:
        """Return the fields that the list of apps shows."""
        shown = self.model_dump(exclude={"message", "annotations", "owner", "name", "environment"})
        return {
            "endpoint_id": self.app,
            "name": self.name,
            "owner": self.owner,
            "environment": self.environment,
            **shown,
        }


def register(db: Connection, app: App) -> str:
    """Write down *app* as deployed now, with a new revision and its events; return the revision."""
    now, revision = time.time(), str(uuid.uuid4())
    place = (app.owner, app.name)
    old = db.execute(
        "SELECT id FROM revisions WHERE owner = ? AND name = ? ORDER BY created DESC, rowid DESC",
        place,
    ).fetchone()
    db.execute(
        "INSERT OR REPLACE INTO apps VALUES (?, ?, ?, ?, ?)",
        (*place, app.environment, json.dumps(app.record()), now),
    )
    db.execute(
        "INSERT INTO revisions VALUES (?, ?, ?, ?, ?, ?, 'deployed', ?)",
        (*place, revision, now, app.message, json.dumps(app.annotations), ACCOUNT),
    )
    payload = {"new_application_id": revision, "actor": {"nickname": ACCOUNT}}
    if old is not None:
        payload["old_application_id"] = old["id"]
    for category in ("deployment_started", "deployment_ended"):
        note(db, app.app, category, payload)
    return revision


def note(db: Connection, app: str, category: str, payload: Any) -> None:  # noqa: ANN401  # JSON
    """Write down that something happened to *app* now."""
    owner, _, name = app.partition("/")
    db.execute(
        "INSERT INTO app_events VALUES (?, ?, ?, ?, ?, ?)",
        (str(uuid.uuid4()), owner, name, category, time.time(), json.dumps(payload)),
    )


@dataclass(frozen=True, slots=True)
class AppRows:
    """Reads the apps. Its methods are synchronous: call them through `Door.do`."""

    door: Door

    def listed(self) -> list[dict[str, Any]]:
        """Return every app in every environment, by its id."""
        found = self.door.store.reading().execute(
            "SELECT record, updated FROM apps ORDER BY owner, name, environment"
        )
        return [
            {**json.loads(row["record"]), "updated_at": instant(row["updated"])}
            for row in found.fetchall()
        ]

    def names(self) -> list[str]:
        """Return the id of every app, sorted."""
        found = self.door.store.reading().execute(
            "SELECT DISTINCT owner || '/' || name AS app FROM apps ORDER BY app"
        )
        return [row["app"] for row in found.fetchall()]

    def need(self, app: str) -> str:
        """Return *app*, which must be one of the account's own.

        Raises:
            ApiRefusal: 403 where it is somebody else's, 404 where there is none.
        """
        if app in self.names():
            return app
        place = f"{app}/"
        if any(name == app or name.startswith(place) for name in self.door.catalog.ids):
            raise ApiRefusal(403, f"App {app!r} belongs to somebody else")
        raise ApiRefusal(404, f"App {app!r} not found")

    def covered(self, endpoint_ids: Sequence[str]) -> dict[str, list[str]]:
        """Return for each id the ids of requests that it covers: an app covers its routes.

        Raises:
            ApiRefusal: as in `need`.
        """
        covers: dict[str, list[str]] = {}
        for name in endpoint_ids:
            owner, _, rest = name.partition("/")
            alias, _, route = rest.partition("/")
            app = self.need(f"{owner}/{alias}")
            covers[name] = [name] if route else [app, *self.routes(app)]
        return covers

    def routes(self, app: str) -> list[str]:
        """Return the ids of *app* with a route, as far as requests came to them."""
        found = self.door.store.reading().execute(
            "SELECT DISTINCT endpoint_id FROM requests WHERE app = ? AND endpoint_id != ?"
            " ORDER BY endpoint_id",
            (app, app),
        )
        return [row["endpoint_id"] for row in found.fetchall()]

    def waiting(self, app: str) -> int:
        """Return how many requests to *app* wait."""
        found = self.door.store.reading().execute(
            "SELECT COUNT(*) FROM requests WHERE app = ? AND state = 'IN_QUEUE'", (app,)
        )
        return int(found.fetchone()[0])

    def running(self, app: str) -> int:
        """Return how many requests to *app* are worked on."""
        found = self.door.store.reading().execute(
            "SELECT COUNT(*) FROM requests WHERE app = ? AND state = 'IN_PROGRESS'", (app,)
        )
        return int(found.fetchone()[0])

    def revisions(self, app: str) -> list[dict[str, Any]]:
        """Return the revisions of *app*, newest first."""
        owner, _, name = app.partition("/")
        found = self.door.store.reading().execute(
            "SELECT * FROM revisions WHERE owner = ? AND name = ?"
            " ORDER BY created DESC, rowid DESC",
            (owner, name),
        )
        recent = time.time() - 30 * 86_400  # status and deployer come from events of 30 days
        return [
            {
                "revision_id": row["id"],
                "created_at": instant(row["created"]),
                "is_current": place == 0,
                "message": row["message"],
                "annotations": json.loads(row["annotations"]),
                "status": row["status"] if row["created"] >= recent else None,
                "deployed_by": row["deployed_by"] if row["created"] >= recent else None,
            }
            for place, row in enumerate(found.fetchall())
        ]

    def events(
        self, app: str, categories: Sequence[str], start: float, end: float
    ) -> list[dict[str, Any]]:
        """Return what happened to *app* from *start* to before *end*, newest first."""
        owner, _, name = app.partition("/")
        found = self.door.store.reading().execute(
            "SELECT * FROM app_events WHERE owner = ? AND name = ? AND at >= ? AND at < ?"
            " ORDER BY at DESC, rowid DESC",
            (owner, name, start, end),
        )
        return [
            {
                "event_id": row["id"],
                "category": row["category"],
                "created_at": instant(row["at"]),
                "payload": json.loads(row["payload"]),
            }
            for row in found.fetchall()
            if not categories or row["category"] in categories
        ]

    def spans(self, app: str, start: float, end: float) -> list[Any]:
        """Return when the requests of *app* that touch a range came, began and ended."""
        found = self.door.store.reading().execute(
            "SELECT created, started, ended FROM requests WHERE app = ? AND created < ?"
            " AND COALESCE(ended, ?) >= ?",
            (app, end, end, start),
        )
        return found.fetchall()
