"""`AssetRows`: media that the account made or registered, as rows that follow its requests."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from sqlite3 import Connection
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from server.emulator.answers import ApiRefusal
from server.emulator.platform_api.alike import likeness
from server.emulator.platform_api.asked import Body
from server.emulator.platform_api.requests import children, kept_id
from server.emulator.shelf import CDN, with_base
from server.emulator.telling import instant

MediaType = Literal["image", "video", "audio", "3d"]
MEDIA_TYPES: tuple[MediaType, ...] = ("image", "video", "audio", "3d")
SOURCES = ("upload", "response")
SECTIONS = ("all-media", "uploads", "favorites", "generated")
LEAST_ALIKE = 0.15
_FOLLOWED = "assets.followed"  # the change number up to which requests have become assets
_3D = (".glb", ".gltf", ".obj", ".ply", ".fbx", ".usdz", ".stl")


class Named(Body):
    """An asset by one of its three ids."""

    asset_id: str | None = None
    request_id: str | None = None
    vector_id: str | None = None


class Filters(Body):
    """What chooses assets, in a query or kept with a smart collection."""

    q: str = ""
    media_type: Annotated[list[MediaType], Field(default_factory=list[MediaType])]
    source: Annotated[list[Literal["upload", "response"]], Field(default_factory=list[Any])]
    section: Literal["all-media", "uploads", "favorites", "generated"] = "all-media"
    tag_id: Annotated[list[str], Field(default_factory=list[str])]
    tag_mode: Literal["any", "all"] = "any"


@dataclass(frozen=True, slots=True)
class Choice:
    """Filters, and where to look: within *within* (ids, None: everywhere), for a file's address."""

    filters: Filters
    file_url: str = ""
    within: Sequence[frozenset[str]] = field(default_factory=tuple[frozenset[str], ...])


def follow(db: Connection) -> None:
    """Make assets of the files that requests made since this was last called."""
    last = db.execute("SELECT COALESCE(MAX(changed), 0) FROM requests").fetchone()[0]
    known = db.execute("SELECT value FROM facts WHERE name = ?", (_FOLLOWED,)).fetchone()
    seen = int(known["value"]) if known else 0
    if last == seen:
        return
    found = db.execute(
        "SELECT * FROM requests WHERE changed > ? AND state = 'COMPLETED' AND status_code = 200"
        " AND COALESCE(json_extract(options, '$.store_io'), 1) ORDER BY changed",
        (seen,),
    )
    for row in found.fetchall():
        for key, file in files_in(json.loads(row["output"] or "null")):
            if kind := media_type_of(file):
                db.execute(
                    "INSERT OR IGNORE INTO assets VALUES"
                    " (?, ?, ?, ?, ?, ?, ?, ?, ?, 'response', ?, ?, ?, ?, 0)",
                    _of_output(row, key, file, kind),
                )
    db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (_FOLLOWED, str(last)))


def _of_output(row: Any, key: str, file: Mapping[str, Any], kind: MediaType) -> tuple[Any, ...]:  # noqa: ANN401  # a row
    name = f"{row['id']}/{key}"
    given = json.loads(row["input"])
    prompt = given.get("prompt") if isinstance(given, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # JSON
    text = prompt if isinstance(prompt, str) else None
    title = (text or str(file.get("file_name") or key))[:80]
    return (
        str(uuid.uuid5(uuid.NAMESPACE_URL, f"asset:{name}")),
        str(uuid.uuid5(uuid.NAMESPACE_URL, f"vector:{name}")),
        row["id"], key, file["url"], kind, title, row["endpoint_id"], row["ended"], text,
        file.get("width"), file.get("height"), file.get("content_type"),
    )  # fmt: skip


def files_in(value: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:  # noqa: ANN401  # JSON
    """Yield every file object on the own shelf in *value*, with its path, such as ``images.0``."""
    if isinstance(value, dict):
        entry = cast("Mapping[str, Any]", value)
        url = entry.get("url")
        if isinstance(url, str) and url.startswith(CDN):
            yield path or "output", entry
        for name, inner in entry.items():
            yield from files_in(inner, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for place, inner in enumerate(children(value)):
            yield from files_in(inner, f"{path}.{place}".lstrip("."))


def media_type_of(file: Mapping[str, Any]) -> MediaType | None:
    """Return of which of the library's four kinds *file* is, None where of none."""
    kind = str(file.get("content_type") or "").partition("/")[0]
    if kind in ("image", "video", "audio"):
        return cast("MediaType", kind)  # one of the three
    name = str(file.get("file_name") or file.get("url") or "").lower()
    return "3d" if kind == "model" or name.endswith(_3D) else None


def add_upload(db: Connection, url: str, kind: MediaType, prompt: str | None) -> str:
    """Register a hosted file as an asset and return its id."""
    asset_id = str(uuid.uuid4())
    name = url.rstrip("/").rpartition("/")[2] or url
    db.execute(
        "INSERT INTO assets VALUES (?, ?, NULL, 'upload', ?, ?, ?, NULL, ?, 'upload', ?,"
        " NULL, NULL, NULL, 0)",
        (asset_id, str(uuid.uuid4()), url, kind, (prompt or name)[:80], time.time(), prompt),
    )
    return asset_id


def find(db: Connection, asset_id: str) -> Any:  # noqa: ANN401  # a row
    """Return the asset of that id, or of that vector id.

    Raises:
        ApiRefusal: 404; there is none.
    """
    row = db.execute(
        "SELECT * FROM assets WHERE id = :id OR vector_id = :id", {"id": asset_id}
    ).fetchone()
    if row is None:
        raise ApiRefusal(404, f"Asset {asset_id!r} not found")
    return row


def named(db: Connection, given: Named) -> Any:  # noqa: ANN401  # a row
    """Return the asset that a body names; a request stands for the first that it made.

    Raises:
        ApiRefusal: 400 without exactly one id, 404 where there is none.
    """
    ids = [given.asset_id, given.vector_id, given.request_id]
    if sum(each is not None for each in ids) != 1:
        raise ApiRefusal(400, "one of asset_id, request_id, vector_id is needed")
    if given.request_id is None:
        return find(db, given.asset_id or given.vector_id or "")
    row = db.execute(
        "SELECT * FROM assets WHERE request_id = ? ORDER BY output_key", (given.request_id,)
    ).fetchone()
    if row is None:
        raise ApiRefusal(404, f"Request {given.request_id!r} made no asset")
    return row


def chosen(db: Connection, choice: Choice) -> list[tuple[Any, float | None]]:
    """Return the assets of *choice*, most alike first, then newest; with how alike, if asked."""
    wanted, found = choice.filters, list[tuple[Any, float | None]]()
    for row in db.execute("SELECT * FROM assets ORDER BY created DESC, id").fetchall():
        if not _fits(row, wanted) or not all(row["id"] in ids for ids in choice.within):
            continue
        if wanted.tag_id:
            tags = {tag["id"] for tag in tags_of(db, row["id"])} & set(wanted.tag_id)
            if not tags or (wanted.tag_mode == "all" and len(tags) < len(set(wanted.tag_id))):
                continue
        alike = _likeness(row, wanted.q, choice.file_url)
        if alike is None or alike >= LEAST_ALIKE:
            found.append((row, alike))
    return sorted(found, key=lambda each: -(each[1] or 0.0))


def _fits(row: Any, wanted: Filters) -> bool:  # noqa: ANN401  # a row
    section = {"uploads": "upload", "generated": "response"}.get(wanted.section, row["source"])
    return (
        (not wanted.media_type or row["type"] in wanted.media_type)
        and (not wanted.source or row["source"] in wanted.source)
        and row["source"] == section
        and (wanted.section != "favorites" or bool(row["favorite"]))
    )


def _likeness(row: Any, words: str, file_url: str) -> float | None:  # noqa: ANN401  # a row
    if file_url:
        file_id = kept_id(file_url)
        same = row["url"] == file_url or (file_id and file_id == kept_id(row["url"] or ""))
        return 1.0 if same else 0.0
    if words:
        text = (row["title"], row["prompt"] or "", row["endpoint"] or "")
        return round(likeness(words, " ".join(text)), 4)
    return None


def tags_of(db: Connection, asset_id: str) -> list[dict[str, Any]]:
    """Return the tags of an asset, by name."""
    found = db.execute(
        "SELECT tags.* FROM tags JOIN tagged ON tag_id = id WHERE asset_id = ? ORDER BY name",
        (asset_id,),
    )
    return [tag(row) for row in found.fetchall()]


def tag(row: Any) -> dict[str, Any]:  # noqa: ANN401  # a row
    """Return a tag as it goes over the wire."""
    return {"id": row["id"], "name": row["name"], "created_at": instant(row["created"])}


def asset(db: Connection, row: Any, cdn: str, alike: float | None = None) -> dict[str, Any]:  # noqa: ANN401  # a row
    """Return an asset as it goes over the wire; *cdn* is the base of the file host."""
    collections = db.execute(
        "SELECT collection_id FROM collected WHERE asset_id = ? ORDER BY collection_id",
        (row["id"],),
    )
    return {
        "asset_id": row["id"],
        "vector_id": row["vector_id"],
        "request_id": row["request_id"],
        "url": with_base(row["url"], cdn),
        "type": row["type"],
        "title": row["title"],
        "endpoint": row["endpoint"],
        "created_at": instant(row["created"]),
        "source": row["source"],
        "prompt": row["prompt"],
        "width": row["width"],
        "height": row["height"],
        "content_type": row["content_type"],
        "is_favorited": bool(row["favorite"]),
        "collection_ids": [each["collection_id"] for each in collections.fetchall()],
        "tags": tags_of(db, row["id"]),
        "similarity": alike,
    }
