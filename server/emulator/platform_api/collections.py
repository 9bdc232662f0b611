"""`Collections`: folders and characters of the account's media library."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Annotated, Any

from pydantic import Field, ValidationError
from starlette.responses import Response
from starlette.routing import BaseRoute

from server.emulator.answers import ApiRefusal, json_answer
from server.emulator.platform_api import asset_rows
from server.emulator.platform_api import collection_rows as rows
from server.emulator.platform_api.asked import Asked, Body, complaints, need_uri
from server.emulator.platform_api.asset_rows import Filters, Named, follow
from server.emulator.platform_api.assets import followed, list_assets
from server.emulator.platform_api.door import Door, Reply

Name = Annotated[str, Field(min_length=1, max_length=255)]
Words = Annotated[str, Field(min_length=1, max_length=2000)]
Images = Annotated[list[str], Field(min_length=1, max_length=20)]


class _NewCollection(Body):
    name: Name
    description: str | None = None
    icon: str | None = None
    color: str | None = None
    cover_image_url: str | None = None
    parent_collection_id: str | None = None
    filters: Any = None


class _ChangedCollection(Body):
    name: Name | None = None
    description: str | None = None
    icon: str | None = None
    color: str | None = None
    cover_image_url: str | None = None
    filters: Any = None


class _Moved(Body):
    parent_collection_id: str | None


class _NewCharacter(Body):
    name: Name
    identifier: Annotated[str, Field(max_length=64)] | None = None
    description: Words
    reference_images: Images
    cover_image_url: str | None = None


class _ChangedCharacter(Body):
    name: Name | None = None
    description: Words | None = None
    reference_images: Images | None = None
    cover_image_url: str | None = None


@dataclass(frozen=True, slots=True)
class Collections:
    """The operations under ``/assets/collections`` and ``/assets/characters``."""

    door: Door

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this family."""
        route, reads, writes = self.door.route, "assets:read", "assets:write"
        base, one = "/assets/collections", "/assets/collections/{id}"
        people, person = "/assets/characters", "/assets/characters/{id}"
        return [
            route("GET", base, self.listed, reads),
            route("POST", base, self.create, writes),
            route("GET", one, self.one, reads),
            route("PATCH", one, self.change, writes),
            route("DELETE", one, self.delete, writes),
            route("GET", f"{one}/hierarchy", self.hierarchy, reads),
            route("POST", f"{one}/favorite", self.favorite, writes),
            route("POST", f"{one}/unfavorite", self.unfavorite, writes),
            route("POST", f"{one}/move", self.move, writes),
            route("GET", f"{one}/assets", self.assets, reads),
            route("POST", f"{one}/assets", self.add, writes),
            route("DELETE", f"{one}/assets", self.remove, writes),
            route("GET", people, self.characters, reads),
            route("POST", people, self.create_character, writes),
            route("GET", person, self.character, reads),
            route("PATCH", person, self.change_character, writes),
            route("DELETE", person, self.delete_character, writes),
            route("POST", f"{person}/favorite", self.favorite_character, writes),
            route("POST", f"{person}/unfavorite", self.unfavorite_character, writes),
        ]

    async def listed(self, asked: Asked) -> Response:
        """List collections, oldest first."""
        return await self._list(asked, character=False)

    async def characters(self, asked: Asked) -> Response:
        """List characters, oldest first."""
        return await self._list(asked, character=True)

    async def _list(self, asked: Asked, *, character: bool) -> Response:
        limit = asked.whole("limit", 1, 100, 50)
        offset = asked.whole("offset", 0, 10**9, 0)
        sign = "=" if character else "!="

        def work(db: Connection) -> list[dict[str, Any]]:
            found = db.execute(
                f"SELECT * FROM collections WHERE type {sign} 'character'"  # noqa: S608  # a sign
                " ORDER BY created, id LIMIT ? OFFSET ?",
                (limit, offset),
            )
            return [rows.collection(db, row) for row in found.fetchall()]

        found = await followed(self.door, work)
        return json_answer({"characters" if character else "collections": found})

    async def create(self, asked: Asked) -> Response:
        """Make a collection: a smart one where filters are given."""
        body = await asked.body(_NewCollection)
        fields = _fields(body)
        kind = "smart" if body.filters else "manual"

        def work(db: Connection) -> Reply:
            follow(db)
            if body.parent_collection_id is not None:
                rows.need_collection(db, body.parent_collection_id, character=False)
            made = rows.insert(db, kind, fields)
            return Reply({"collection": _told(db, made)}, 201)

        return await self.door.change(asked, work)

    async def create_character(self, asked: Asked) -> Response:
        """Make a character; its identifier, by default made from its name, must be new."""
        body = await asked.body(_NewCharacter)
        fields = {**_fields(body), "identifier": body.identifier or rows.identifier_of(body.name)}

        def work(db: Connection) -> Reply:
            made = rows.insert(db, "character", fields)
            return Reply({"character": _told(db, made)}, 201)

        return await self.door.change(asked, work)

    async def one(self, asked: Asked) -> Response:
        """Return one collection."""
        return json_answer({"collection": await self._told(asked, character=False)})

    async def character(self, asked: Asked) -> Response:
        """Return one character."""
        return json_answer({"character": await self._told(asked, character=True)})

    async def _told(self, asked: Asked, *, character: bool) -> dict[str, Any]:
        def work(db: Connection) -> dict[str, Any]:
            row = rows.need_collection(db, asked.path("id"), character=character)
            return rows.collection(db, row)

        return await followed(self.door, work)

    async def change(self, asked: Asked) -> Response:
        """Change the given fields of a collection."""
        return await self._change(asked, _fields(await asked.body(_ChangedCollection)))

    async def change_character(self, asked: Asked) -> Response:
        """Change the given fields of a character."""
        fields = _fields(await asked.body(_ChangedCharacter))
        return await self._change(asked, fields, character=True)

    async def favorite(self, asked: Asked) -> Response:
        """Mark a collection as a favourite."""
        return await self._change(asked, {"favorite": 1})

    async def unfavorite(self, asked: Asked) -> Response:
        """Take the mark of a collection away."""
        return await self._change(asked, {"favorite": 0})

    async def favorite_character(self, asked: Asked) -> Response:
        """Mark a character as a favourite."""
        return await self._change(asked, {"favorite": 1}, character=True)

    async def unfavorite_character(self, asked: Asked) -> Response:
        """Take the mark of a character away."""
        return await self._change(asked, {"favorite": 0}, character=True)

    async def _change(
        self, asked: Asked, fields: Mapping[str, Any], *, character: bool = False
    ) -> Response:
        def work(db: Connection) -> Reply:
            follow(db)
            row = rows.need_collection(db, asked.path("id"), character=character)
            if "filters" in fields and row["type"] != "smart":
                raise ApiRefusal(400, "filters: only a smart collection has filters")
            rows.update(db, row["id"], fields)
            return Reply({"character" if character else "collection": _told(db, row["id"])})

        return await self.door.change(asked, work)

    async def delete(self, asked: Asked) -> Response:
        """Delete a collection; what lies in it stays in the library."""
        return await self._delete(asked, character=False)

    async def delete_character(self, asked: Asked) -> Response:
        """Delete a character."""
        return await self._delete(asked, character=True)

    async def _delete(self, asked: Asked, *, character: bool) -> Response:
        def work(db: Connection) -> Reply:
            rows.delete(db, rows.need_collection(db, asked.path("id"), character=character))
            return Reply(None, 204)

        return await self.door.change(asked, work)

    async def hierarchy(self, asked: Asked) -> Response:
        """Return what lies below a collection, and what it lies in."""

        def work() -> dict[str, Any]:
            db = self.door.store.reading()
            row = rows.need_collection(db, asked.path("id"), character=False)
            above = [rows.node(each) for each in rows.ancestors(db, row)]
            return {"hierarchy": rows.below(db, row), "ancestors": above}

        return json_answer(await self.door.do(work))

    async def move(self, asked: Asked) -> Response:
        """Put a collection into another one, or out of all; never into what lies in it."""
        body = await asked.body(_Moved)

        def work(db: Connection) -> Reply:
            follow(db)
            row = rows.need_collection(db, asked.path("id"), character=False)
            if body.parent_collection_id is not None:
                parent = rows.need_collection(db, body.parent_collection_id, character=False)
                line = [parent["id"], *(each["id"] for each in rows.ancestors(db, parent))]
                if row["id"] in line:
                    raise ApiRefusal(400, "parent_collection_id: it lies in this collection")
            rows.update(db, row["id"], {"parent": body.parent_collection_id})
            return Reply({"collection": _told(db, row["id"])})

        return await self.door.change(asked, work)

    async def assets(self, asked: Asked) -> Response:
        """List what lies in a collection, as the library lists it."""
        return await list_assets(self.door, asked, [asked.path("id")])

    async def add(self, asked: Asked) -> Response:
        """Put an asset into a collection; that it is there already is no failure."""
        body = await asked.body(Named)

        def work(db: Connection) -> Reply:
            db.execute("INSERT OR IGNORE INTO collected VALUES (?, ?)", _place(db, asked, body))
            return Reply({"success": True})

        return await self.door.change(asked, work)

    async def remove(self, asked: Asked) -> Response:
        """Take an asset out of a collection; that it is not there is no failure."""
        body = await asked.body(Named)

        def work(db: Connection) -> Reply:
            place = _place(db, asked, body)
            db.execute("DELETE FROM collected WHERE collection_id = ? AND asset_id = ?", place)
            return Reply(None, 204)

        return await self.door.change(asked, work)


def _place(db: Connection, asked: Asked, body: Named) -> tuple[str, str]:
    follow(db)
    row = rows.need_collection(db, asked.path("id"))
    if row["type"] == "smart":
        raise ApiRefusal(400, "a smart collection holds what its filters choose")
    return row["id"], asset_rows.named(db, body)["id"]


def _told(db: Connection, collection_id: str) -> dict[str, Any]:
    return rows.collection(db, rows.need_collection(db, collection_id))


def _fields(body: Body) -> dict[str, Any]:
    """Return the columns that *body* sets; a name or a description of None is not given."""
    fields = {name: getattr(body, name) for name in body.model_fields_set}
    if fields.get("name", "") is None:
        del fields["name"]
    if (cover := fields.pop("cover_image_url", None)) is not None:
        fields["cover"] = need_uri(cover, "cover_image_url")
    elif "cover_image_url" in body.model_fields_set:
        fields["cover"] = None
    if "parent_collection_id" in fields:
        fields["parent"] = fields.pop("parent_collection_id")
    if (images := fields.pop("reference_images", None)) is not None:
        fields["images"] = json.dumps([need_uri(url, "reference_images") for url in images])
    if "filters" in fields:
        fields["filters"] = _filters(fields["filters"])
    fields.pop("identifier", None)
    return fields


def _filters(given: Any) -> str:  # noqa: ANN401  # JSON
    """Return the filters of a smart collection as they are kept."""
    try:
        Filters.model_validate(given or {})
    except ValidationError as problem:
        raise ApiRefusal(400, f"filters: {complaints(problem)}") from None
    return json.dumps(given)
