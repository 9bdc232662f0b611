"""Collections and characters as rows: characters are collections with pictures to refer to."""

import json
import re
import sqlite3
import time
import uuid
from collections.abc import Mapping
from sqlite3 import Connection
from typing import Any

from server.emulator.answers import ApiRefusal
from server.emulator.platform_api.asset_rows import Choice, Filters, chosen
from server.emulator.telling import instant

COLUMNS: Mapping[str, str] = {"cover_image_url": "cover"}  # where the wire's word differs


def need_collection(db: Connection, collection_id: str, *, character: bool | None = None) -> Any:  # noqa: ANN401  # a row
    """Return the collection of that id; *character* says whether it must be one, if it matters.

    Raises:
        ApiRefusal: 404; there is none of that sort.
    """
    row = db.execute("SELECT * FROM collections WHERE id = ?", (collection_id,)).fetchone()
    if row is None or (character is not None and (row["type"] == "character") != character):
        what = "Character" if character else "Collection"
        raise ApiRefusal(404, f"{what} {collection_id!r} not found")
    return row


def held_by(db: Connection, row: Any) -> frozenset[str]:  # noqa: ANN401  # a row
    """Return the ids of the assets in a collection; a smart one holds what its filters choose."""
    if row["type"] == "smart":
        filters = Filters.model_validate(json.loads(row["filters"]))
        return frozenset(each["id"] for each, _ in chosen(db, Choice(filters)))
    found = db.execute("SELECT asset_id FROM collected WHERE collection_id = ?", (row["id"],))
    return frozenset(each["asset_id"] for each in found.fetchall())


def insert(db: Connection, kind: str, fields: Mapping[str, Any]) -> str:
    """Write down a new collection with *fields* (columns) and return its id.

    Raises:
        ApiRefusal: 409; a character of that identifier exists already.
    """
    collection_id, now = str(uuid.uuid4()), time.time()
    columns = {"id": collection_id, "type": kind, "created": now, "updated": now, **fields}
    marks = ", ".join("?" * len(columns))
    try:
        db.execute(
            f"INSERT INTO collections ({', '.join(columns)}) VALUES ({marks})",  # noqa: S608  # columns are ours
            tuple(columns.values()),
        )
    except sqlite3.IntegrityError:
        words = f"identifier: a character {fields.get('identifier')!r} exists already"
        raise ApiRefusal(409, words) from None
    return collection_id


def update(db: Connection, collection_id: str, fields: Mapping[str, Any]) -> None:
    """Change *fields* (columns) of a collection."""
    changed = {**fields, "updated": time.time()}
    places = ", ".join(f"{name} = ?" for name in changed)
    db.execute(
        f"UPDATE collections SET {places} WHERE id = ?",  # noqa: S608  # columns are ours
        (*changed.values(), collection_id),
    )


def delete(db: Connection, row: Any) -> None:  # noqa: ANN401  # a row
    """Delete a collection, not what lies in it; collections below it move up."""
    db.execute("UPDATE collections SET parent = ? WHERE parent = ?", (row["parent"], row["id"]))
    db.execute("DELETE FROM collected WHERE collection_id = ?", (row["id"],))
    db.execute("DELETE FROM collections WHERE id = ?", (row["id"],))


def collection(db: Connection, row: Any) -> dict[str, Any]:  # noqa: ANN401  # a row
    """Return a collection as it goes over the wire."""
    told: dict[str, Any] = {
        "id": row["id"],
        "type": row["type"],
        "name": row["name"],
        "description": row["description"],
        "icon": row["icon"],
        "color": row["color"],
        "cover_image_url": row["cover"],
        "character_identifier": row["identifier"],
        "parent_collection_id": row["parent"],
        "is_favorited": bool(row["favorite"]),
        "asset_count": len(held_by(db, row)),
        "created_at": instant(row["created"]),
        "updated_at": instant(row["updated"]),
    }
    if row["type"] == "smart":
        told["filters"] = json.loads(row["filters"])
    if row["type"] == "character":
        told["reference_images"] = json.loads(row["images"])
    return told


def ancestors(db: Connection, row: Any) -> list[Any]:  # noqa: ANN401  # rows
    """Return the collections above *row*, the highest first."""
    above: list[Any] = []
    while row["parent"] is not None:
        row = need_collection(db, row["parent"])
        above.insert(0, row)
    return above


def below(db: Connection, row: Any) -> dict[str, Any]:  # noqa: ANN401  # a row
    """Return *row* and everything below it as nodes."""
    found = db.execute(
        "SELECT * FROM collections WHERE parent = ? ORDER BY created, id", (row["id"],)
    )
    return {**node(row), "children": [below(db, each) for each in found.fetchall()]}


def node(row: Any) -> dict[str, Any]:  # noqa: ANN401  # a row
    """Return a collection as a node of a hierarchy."""
    return {"id": row["id"], "name": row["name"], "type": row["type"]}


def identifier_of(name: str) -> str:
    """Return an identifier for a character of that name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:64] or "character"
