"""The cards of apps that run on this machine, derived from their OpenAPI documents."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from catalog.card import OWN_SOURCE, ModelCard
from catalog.index import LOCAL
from catalog.live_media import media_of
from catalog.live_schema import live_schema
from server.deploy.local.database import database_of

PRICE_SOURCE = "it runs on this machine, which charges nothing (simulated zero)"
# What comes out decides the category, with what goes in before it.
_MADE = ("video", "image", "audio", "3d")
_LONGEST_MEANING = 160  # characters
MOST_KNOWN = 256
_found: dict[tuple[Path, str], tuple[tuple[int, ...], Mapping[str, Any] | None]] = {}


def split_id(endpoint_id: str) -> tuple[str, str]:
    """Return the app of an id ``local/<app>/<path>`` and its path, which begins with a slash."""
    app, _, path = endpoint_id.removeprefix(LOCAL).strip("/").partition("/")
    return app, f"/{path}"


def find_app(home: Path, name: str) -> Mapping[str, Any] | None:
    """Return the revision that answers for the app *name*, as a row; None where there is none."""
    path = database_of(home)
    marks = _marks(path)
    if marks is None:
        return None
    known = _found.get((path, name))
    if known is None or known[0] != marks:
        if len(_found) >= MOST_KNOWN:
            _found.clear()
        known = _found[path, name] = (marks, _read(path, name))
    return known[1]


def _marks(path: Path) -> tuple[int, ...] | None:
    """Return when and how large the file and its log were last written; None without a file."""
    try:
        marks = [path.stat().st_mtime_ns]
    except OSError:
        return None
    with suppress(OSError):
        log = path.with_name(f"{path.name}-wal").stat()
        marks += [log.st_mtime_ns, log.st_size]
    return tuple(marks)


def _read(path: Path, name: str) -> Mapping[str, Any] | None:
    try:
        with closing(sqlite3.connect(path, timeout=5)) as db:
            db.row_factory = sqlite3.Row
            line = db.execute(
                "SELECT revision, app, revisions.created, openapi, settings FROM apps"
                " JOIN revisions ON revision = CASE live WHEN '' THEN rolling ELSE live END"
                " WHERE name = ?",
                (name,),
            ).fetchone()
    except sqlite3.Error:
        return None
    return None if line is None else dict(line)


def find_card(home: Path, endpoint_id: str) -> ModelCard | None:
    """Return the card of ``local/<app>`` or ``local/<app>/<path>``, None where there is none.

    It reads the file of apps anew, which takes a fraction of a millisecond.
    """
    if not endpoint_id.startswith(LOCAL):
        return None
    app, path = split_id(endpoint_id)
    found = find_app(home, app)
    if found is None:
        return None
    return _card(found["app"], path, found["openapi"], float(found["created"]))


def known_ids(home: Path) -> tuple[str, ...]:
    """Return the ids of all apps, each with those of its further paths; none where nothing is."""
    try:
        with closing(sqlite3.connect(database_of(home), timeout=5)) as db:
            lines = db.execute(
                "SELECT name, openapi FROM apps JOIN revisions"
                " ON revision = CASE live WHEN '' THEN rolling ELSE live END ORDER BY name"
            ).fetchall()
    except sqlite3.Error:
        return ()
    ids: list[str] = []
    for name, openapi in lines:
        paths = cast("Mapping[str, Any]", json.loads(openapi).get("paths") or {})
        calls = [path for path, does in paths.items() if isinstance(does, dict) and "post" in does]
        ids += [f"{LOCAL}{name}{'' if path == '/' else path}" for path in calls]
    return tuple(ids)


@lru_cache(maxsize=64)
def _card(app: str, path: str, openapi: str, created: float) -> ModelCard | None:
    return card_of(app, path, json.loads(openapi), datetime.fromtimestamp(created, UTC))


def card_of(app: str, path: str, openapi: Mapping[str, Any], created: datetime) -> ModelCard | None:
    """Return the card of *path* of *app*, None where its document knows no call of that path."""
    paths = cast("Mapping[str, Any]", openapi.get("paths") or {})
    operation: Any = cast("Mapping[str, Any]", paths.get(path) or {}).get("post")
    if not isinstance(operation, dict):
        return None
    told = cast("dict[str, Any]", operation)
    read = live_schema(_alone(path, told, openapi))
    empty: dict[str, Any] = {"type": "object", "properties": {}}
    given = empty if read is None else _with_meanings(read.input, told, openapi)
    returned: dict[str, Any] = {} if read is None else read.output
    media = media_of(returned)
    day = created.date().isoformat()
    name = path.strip("/")
    return ModelCard.from_record(
        {
            "id": f"{LOCAL}{app}/{name}" if name else f"{LOCAL}{app}",
            "title": app,
            "variant": name,
            "category": _category(given, media),
            "summary": _summary(app, path, told),
            "status": "active",
            "maker": "this machine",
            "published": day,
            "updated": day,
            "streaming": f"{path.rstrip('/')}/stream" in paths,
            "realtime": f"{path.rstrip('/')}/realtime" in paths,
            "input": given,
            "output": returned,
            "output_media": media,
            "schema": {"completeness": "full", "source": OWN_SOURCE, "date": day},
            "price": {
                "amount": 0,
                "currency": "USD",
                "unit": "request",
                "qualifiers": [],
                "source": PRICE_SOURCE,
                "as_of": day,
            },
        }
    )


def _alone(path: str, operation: Mapping[str, Any], openapi: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of one call in the form in which fal publishes that of a model."""
    components = cast("Mapping[str, Any]", openapi.get("components") or {})
    answers: dict[str, Any] = {"get": {"responses": operation.get("responses") or {}}}
    return {
        "paths": {path: {"post": operation}, f"{path}/requests/{{request_id}}": answers},
        "components": {"schemas": components.get("schemas") or {}},
    }


def _with_meanings(
    given: dict[str, Any], operation: Mapping[str, Any], openapi: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the inputs *given* with what the app itself says of each, which may be nothing.

    What a name means on fal's models it need not mean here.
    """
    said: Any = operation
    for key in ("requestBody", "content", "application/json", "schema"):
        said = _table(said, key)
    name = str(said.get("$ref") or "").rpartition("/")[2]
    whole = _table(_table(_table(openapi, "components"), "schemas"), name) or said
    fields = _table(whole, "properties")
    meant = {
        field: {**rule, "x-meaning": _meaning(fields.get(field))}
        for field, rule in cast("dict[str, dict[str, Any]]", given.get("properties") or {}).items()
    }
    return {**given, "properties": meant}


def _table(given: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found: Any = given.get(key)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _meaning(rule: Any) -> str:  # noqa: ANN401  # JSON
    said = cast("dict[str, Any]", rule).get("description") if isinstance(rule, dict) else ""
    return " ".join(str(said or "").split())[:_LONGEST_MEANING]


def _category(given: Mapping[str, Any], media: Mapping[str, str]) -> str:
    made = next((kind for kind in _MADE if kind in media.values()), "")
    fields = cast("Mapping[str, Mapping[str, Any]]", given.get("properties") or {})
    taken = {str(rule["x-media"]) for rule in fields.values() if rule.get("x-media")}
    source = next((kind for kind in ("video", "image", "audio") if kind in taken), "text")
    return f"{source}-to-{made}" if made else "json"  # as fal calls what answers with values


def _summary(app: str, path: str, operation: Mapping[str, Any]) -> str:
    said = str(operation.get("description") or operation.get("summary") or "")
    words = " ".join(said.split())[:200]
    return f"App {app!r} on this machine, {path}" + (f": {words}" if words else "")
