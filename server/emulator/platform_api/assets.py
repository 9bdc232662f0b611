"""`Assets`: the account's media library, its tags and favourites."""

import sqlite3
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Annotated, Any, TypeVar

from pydantic import Field
from starlette.responses import Response
from starlette.routing import BaseRoute

from server.emulator.answers import ApiRefusal, json_answer
from server.emulator.platform_api import asset_rows
from server.emulator.platform_api.asked import Asked, Body, need_uri
from server.emulator.platform_api.asset_rows import (
    MEDIA_TYPES,
    SECTIONS,
    SOURCES,
    Choice,
    Filters,
    MediaType,
    Named,
    follow,
    tag,
)
from server.emulator.platform_api.collection_rows import held_by, need_collection
from server.emulator.platform_api.door import Door, Reply
from server.emulator.platform_api.lineage import lineage

T = TypeVar("T")


class _Tagged(Named):
    tag_ids: list[str]


class _NewTag(Body):
    name: Annotated[str, Field(min_length=1, max_length=50)]


class _ChangedTag(Body):
    name: Annotated[str, Field(min_length=1, max_length=50)] | None = None


class _Upload(Body):
    url: str
    type: MediaType
    prompt: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    collection_id: str | None = None
    favorite: bool = False
    tag_ids: Annotated[list[str], Field(default_factory=list[str])]


@dataclass(frozen=True, slots=True)
class Assets:
    """The operations under ``/assets`` besides collections and characters.

    Media of the account's own requests become assets by themselves, as soon as somebody looks.
    """

    door: Door

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this family; those of collections come before them."""
        route, reads, writes = self.door.route, "assets:read", "assets:write"
        return [
            route("GET", "/assets", self.listed, reads),
            route("GET", "/assets/tags", self.tags, reads),
            route("POST", "/assets/tags", self.create_tag, writes),
            route("PUT", "/assets/tags", self.set_tags, writes),
            route("PATCH", "/assets/tags/{tag_id}", self.rename_tag, writes),
            route("DELETE", "/assets/tags/{tag_id}", self.delete_tag, writes),
            route("POST", "/assets/tags/{tag_id}/assign", self.assign, writes),
            route("DELETE", "/assets/tags/{tag_id}/assign", self.unassign, writes),
            route("POST", "/assets/uploads", self.upload, writes),
            route("POST", "/assets/favorite", self.favorite, writes),
            route("POST", "/assets/unfavorite", self.unfavorite, writes),
            route("GET", "/assets/{asset_id}", self.one, reads),
            route("GET", "/assets/{asset_id}/lineage", self.lineage, reads),
            route("GET", "/assets/{asset_id}/tags", self.tags_of, reads),
        ]

    async def listed(self, asked: Asked) -> Response:
        """List or search the library, newest first or most alike first."""
        collection = asked.text("collection_id")
        return await list_assets(self.door, asked, [collection] if collection else [])

    async def one(self, asked: Asked) -> Response:
        """Return one asset by its id or its vector id."""

        def work(db: Connection) -> dict[str, Any]:
            return asset_rows.asset(db, asset_rows.find(db, asked.path("asset_id")), asked.cdn)

        return json_answer({"asset": await followed(self.door, work)})

    async def lineage(self, asked: Asked) -> Response:
        """Return the graph of what an asset was made from."""
        depth = asked.whole("depth", 1, 5, 5)

        def work(db: Connection) -> dict[str, Any]:
            row = asset_rows.find(db, asked.path("asset_id"))
            return lineage(db, row, depth, asked.cdn)

        return json_answer({"lineage": await followed(self.door, work)})

    async def upload(self, asked: Asked) -> Response:
        """Register a file that is hosted already; it is not fetched."""
        body = await asked.body(_Upload)
        need_uri(body.url, "url")

        def work(db: Connection) -> Reply:
            asset_id = asset_rows.add_upload(db, body.url, body.type, body.prompt)
            if body.collection_id is not None:
                need_collection(db, body.collection_id)
                db.execute("INSERT INTO collected VALUES (?, ?)", (body.collection_id, asset_id))
            if body.favorite:
                db.execute("UPDATE assets SET favorite = 1 WHERE id = ?", (asset_id,))
            _set_tags(db, asset_id, body.tag_ids)
            made = asset_rows.asset(db, asset_rows.find(db, asset_id), asked.cdn)
            return Reply({"asset": made}, 201)

        return await self.door.change(asked, work)

    async def favorite(self, asked: Asked) -> Response:
        """Mark an asset as a favourite."""
        return await self._mark(asked, favorite=True)

    async def unfavorite(self, asked: Asked) -> Response:
        """Take the mark away."""
        return await self._mark(asked, favorite=False)

    async def _mark(self, asked: Asked, *, favorite: bool) -> Response:
        body = await asked.body(Named)

        def work(db: Connection) -> Reply:
            follow(db)
            row = asset_rows.named(db, body)
            db.execute("UPDATE assets SET favorite = ? WHERE id = ?", (int(favorite), row["id"]))
            return Reply({"is_favorited": favorite})

        return await self.door.change(asked, work)

    async def tags(self, _: Asked) -> Response:
        """List every tag, by name."""

        def work() -> list[dict[str, Any]]:
            found = self.door.store.reading().execute("SELECT * FROM tags ORDER BY name")
            return [tag(row) for row in found.fetchall()]

        return json_answer({"tags": await self.door.do(work)})

    async def tags_of(self, asked: Asked) -> Response:
        """List the tags of one asset, by name."""

        def work(db: Connection) -> list[dict[str, Any]]:
            row = asset_rows.find(db, asked.path("asset_id"))
            return asset_rows.tags_of(db, row["id"])

        return json_answer({"tags": await followed(self.door, work)})

    async def create_tag(self, asked: Asked) -> Response:
        """Make a tag; its name must be new."""
        body = await asked.body(_NewTag)

        def work(db: Connection) -> Reply:
            tag_id = str(uuid.uuid4())
            try:
                db.execute("INSERT INTO tags VALUES (?, ?, ?)", (tag_id, body.name, time.time()))
            except sqlite3.IntegrityError:
                raise ApiRefusal(409, f"name: a tag {body.name!r} exists already") from None
            return Reply({"tag": tag(_need_tag(db, tag_id))}, 201)

        return await self.door.change(asked, work)

    async def rename_tag(self, asked: Asked) -> Response:
        """Give a tag another name."""
        body = await asked.body(_ChangedTag)

        def work(db: Connection) -> Reply:
            row = _need_tag(db, asked.path("tag_id"))
            name = body.name or row["name"]
            try:
                db.execute("UPDATE tags SET name = ? WHERE id = ?", (name, row["id"]))
            except sqlite3.IntegrityError:
                raise ApiRefusal(409, f"name: a tag {name!r} exists already") from None
            return Reply({"tag": tag(_need_tag(db, row["id"]))})

        return await self.door.change(asked, work)

    async def delete_tag(self, asked: Asked) -> Response:
        """Delete a tag and take it off every asset."""

        def work(db: Connection) -> Reply:
            row = _need_tag(db, asked.path("tag_id"))
            db.execute("DELETE FROM tagged WHERE tag_id = ?", (row["id"],))
            db.execute("DELETE FROM tags WHERE id = ?", (row["id"],))
            return Reply(None, 204)

        return await self.door.change(asked, work)

    async def set_tags(self, asked: Asked) -> Response:
        """Give an asset exactly these tags."""
        body = await asked.body(_Tagged)

        def work(db: Connection) -> Reply:
            follow(db)
            row = asset_rows.named(db, body)
            _set_tags(db, row["id"], body.tag_ids)
            return Reply({"tags": asset_rows.tags_of(db, row["id"])})

        return await self.door.change(asked, work)

    async def assign(self, asked: Asked) -> Response:
        """Put a tag on an asset; that it has it already is no failure."""
        body = await asked.body(Named)

        def work(db: Connection) -> Reply:
            follow(db)
            place = (_need_tag(db, asked.path("tag_id"))["id"], asset_rows.named(db, body)["id"])
            db.execute("INSERT OR IGNORE INTO tagged VALUES (?, ?)", place)
            return Reply({"success": True})

        return await self.door.change(asked, work)

    async def unassign(self, asked: Asked) -> Response:
        """Take a tag off an asset; that it has not got it is no failure."""
        body = await asked.body(Named)

        def work(db: Connection) -> Reply:
            follow(db)
            place = (_need_tag(db, asked.path("tag_id"))["id"], asset_rows.named(db, body)["id"])
            db.execute("DELETE FROM tagged WHERE tag_id = ? AND asset_id = ?", place)
            return Reply(None, 204)

        return await self.door.change(asked, work)


async def followed(door: Door, work: Callable[[Connection], T]) -> T:
    """Return what *work* makes of the library once it knows every request that is over."""

    def whole(db: Connection) -> T:
        follow(db)
        return work(db)

    return await door.write(whole)


async def list_assets(door: Door, asked: Asked, collections: list[str]) -> Response:
    """List the assets that lie in all of *collections* and that the query chooses."""
    addresses = [asked.text(name) for name in ("search_image_url", "search_video_url")]
    given = [text for text in (asked.text("q"), *addresses) if text]
    if len(given) > 1:
        raise ApiRefusal(400, "q, search_image_url, search_video_url: only one may be given")
    for name in ("search_image_url", "search_video_url"):
        if asked.text(name):
            asked.uri(name)
    filters = Filters.model_validate(
        {
            "q": asked.text("q"),
            "media_type": asked.many("media_type", MEDIA_TYPES),
            "source": asked.many("source", SOURCES),
            "section": asked.word("section", SECTIONS, "all-media"),
            "tag_id": asked.many("tag_id"),
            "tag_mode": asked.word("tag_mode", ("any", "all"), "any"),
        }
    )
    characters = asked.many("character_identifier")
    page = asked.page()

    def work(db: Connection) -> dict[str, Any]:
        within = [held_by(db, need_collection(db, name)) for name in collections]
        if characters:
            within.append(_of_characters(db, characters))
        choice = Choice(filters, next(filter(None, addresses), ""), tuple(within))
        found = asset_rows.chosen(db, choice)
        part, told = page.cut(found)
        assets = [asset_rows.asset(db, row, asked.cdn, alike) for row, alike in part]
        return {"assets": assets, **told, "total_count": len(found), "scope_truncated": False}

    return json_answer(await followed(door, work))


def _of_characters(db: Connection, identifiers: list[str]) -> frozenset[str]:
    """Return the assets that lie with one of the named characters."""
    marks = ", ".join("?" * len(identifiers))
    collected = "collected JOIN collections ON collection_id = id"
    found = db.execute(
        f"SELECT asset_id FROM {collected} WHERE identifier IN ({marks})",  # noqa: S608  # marks only
        identifiers,
    )
    return frozenset(row["asset_id"] for row in found.fetchall())


def _need_tag(db: Connection, tag_id: str) -> Any:  # noqa: ANN401  # a row
    row = db.execute("SELECT * FROM tags WHERE id = ?", (tag_id,)).fetchone()
    if row is None:
        raise ApiRefusal(404, f"Tag {tag_id!r} not found")
    return row


def _set_tags(db: Connection, asset_id: str, tag_ids: list[str]) -> None:
    db.execute("DELETE FROM tagged WHERE asset_id = ?", (asset_id,))
    for tag_id in dict.fromkeys(tag_ids):
        db.execute("INSERT INTO tagged VALUES (?, ?)", (_need_tag(db, tag_id)["id"], asset_id))
