"""`Assets`: the account's media library: files, collections, characters, tags, lineage."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from server.fal.platform_asset_records import (
    Asset,
    Collection,
    Favored,
    Hierarchy,
    Lineage,
    Tag,
)
from server.fal.platform_calls import Calls, Query, as_record, as_records, nothing, segment

MediaType = Literal["image", "video", "audio", "3d"]
Section = Literal["", "all-media", "uploads", "favorites", "generated"]


@dataclass(frozen=True, slots=True)
class AssetId:
    """An asset by one of its three ids; a request stands for what it made."""

    asset_id: str = ""
    request_id: str = ""
    vector_id: str = ""

    def wire(self) -> dict[str, str]:
        """Return it as it is sent."""
        ids = {
            "asset_id": self.asset_id,
            "request_id": self.request_id,
            "vector_id": self.vector_id,
        }
        return {name: value for name, value in ids.items() if value}


@dataclass(frozen=True, slots=True)
class Sought:
    """Which assets: by words or a file they resemble (one of them), kind, source, place, tags."""

    words: str = ""
    image_url: str = ""
    video_url: str = ""
    kinds: tuple[MediaType, ...] = ()
    sources: tuple[Literal["upload", "response"], ...] = ()
    section: Section = ""
    characters: tuple[str, ...] = ()
    tag_ids: tuple[str, ...] = ()
    all_tags: bool = False

    def query(self) -> Query:
        """Return it as parameters of a query."""
        return {
            "q": self.words,
            "search_image_url": self.image_url,
            "search_video_url": self.video_url,
            "media_type": self.kinds,
            "source": self.sources,
            "section": self.section,
            "character_identifier": self.characters,
            "tag_id": self.tag_ids,
            "tag_mode": "all" if self.all_tags else "",
        }


ANYTHING = Sought()


@dataclass(frozen=True, slots=True)
class Assets:
    """The operations under ``/assets``; they need ``assets:read`` or ``assets:write``."""

    calls: Calls

    def listed(
        self, sought: Sought = ANYTHING, *, collection_id: str = ""
    ) -> AsyncGenerator[Asset]:
        """Yield the assets that fit, in the platform's order."""
        query = {**sought.query(), "collection_id": collection_id}
        return self.calls.pages("/assets", "assets", Asset, query)

    async def get(self, asset_id: str) -> Asset:
        """Return one asset by its id or its vector id."""
        ask = self.calls.request("GET", f"/assets/{segment(asset_id)}")
        return await self.calls.ask(ask, as_record(Asset, "asset"))

    async def lineage(self, asset_id: str, *, depth: int = 5) -> Lineage:
        """Return the graph of what an asset was made from, *depth* (1 to 5) requests back."""
        ask = self.calls.request("GET", f"/assets/{segment(asset_id)}/lineage", {"depth": depth})
        return await self.calls.ask(ask, as_record(Lineage, "lineage"))

    async def register(
        self,
        url: str,
        kind: MediaType,
        *,
        prompt: str = "",
        collection_id: str = "",
        favorite: bool = False,
        tag_ids: Iterable[str] = (),
    ) -> Asset:
        """Add a file that is hosted already to the library; its bytes are not sent."""
        body: dict[str, object] = {
            "url": url,
            "type": kind,
            "favorite": favorite,
            "tag_ids": list(tag_ids),
        }
        body |= {"prompt": prompt} if prompt else {}
        body |= {"collection_id": collection_id} if collection_id else {}
        understand = as_record(Asset, "asset")
        return await self.calls.change("POST", "/assets/uploads", understand, body)

    async def favorite(self, asset: AssetId, *, favorite: bool = True) -> bool:
        """Mark an asset as a favourite, or take the mark away; return whether it is one now."""
        path = f"/assets/{_favor(favorite)}"
        made = await self.calls.change("POST", path, as_record(Favored), asset.wire())
        return made.is_favorited

    async def tags(self, asset_id: str = "") -> tuple[Tag, ...]:
        """Return the tags of one asset, or all there are."""
        path = f"/assets/{segment(asset_id)}/tags" if asset_id else "/assets/tags"
        return await self.calls.ask(self.calls.request("GET", path), as_records(Tag, "tags"))

    async def create_tag(self, name: str) -> Tag:
        """Make a tag; its name must be new."""
        return await self.calls.change(
            "POST", "/assets/tags", as_record(Tag, "tag"), {"name": name}
        )

    async def rename_tag(self, tag_id: str, name: str) -> Tag:
        """Give a tag another name."""
        path = f"/assets/tags/{segment(tag_id)}"
        return await self.calls.change("PATCH", path, as_record(Tag, "tag"), {"name": name})

    async def delete_tag(self, tag_id: str) -> None:
        """Delete a tag and take it off every asset."""
        await self.calls.change("DELETE", f"/assets/tags/{segment(tag_id)}", nothing)

    async def set_tags(self, asset: AssetId, tag_ids: Iterable[str]) -> tuple[Tag, ...]:
        """Give an asset exactly these tags and return them."""
        body = {**asset.wire(), "tag_ids": list(tag_ids)}
        return await self.calls.change("PUT", "/assets/tags", as_records(Tag, "tags"), body)

    async def assign_tag(self, tag_id: str, asset: AssetId) -> None:
        """Put a tag on an asset."""
        path = f"/assets/tags/{segment(tag_id)}/assign"
        await self.calls.change("POST", path, nothing, asset.wire())

    async def take_tag(self, tag_id: str, asset: AssetId) -> None:
        """Take a tag off an asset."""
        path = f"/assets/tags/{segment(tag_id)}/assign"
        await self.calls.change("DELETE", path, nothing, asset.wire())


@dataclass(frozen=True, slots=True)
class Collections:
    """The operations under ``/assets/collections``."""

    calls: Calls

    async def listed(self, *, limit: int = 50, offset: int = 0) -> tuple[Collection, ...]:
        """Return up to *limit* (to 100) collections from *offset* on."""
        return await _list(self.calls, "collections", limit, offset)

    async def get(self, collection_id: str) -> Collection:
        """Return one collection."""
        return await _get(self.calls, "collection", collection_id)

    async def create(self, name: str, **more: object) -> Collection:
        """Make a collection; *more* are fields of fal's body, such as ``parent_collection_id``.

        With ``filters`` it is a smart one, whose content follows them.
        """
        body = {"name": name, **more}
        understand = as_record(Collection, "collection")
        return await self.calls.change("POST", "/assets/collections", understand, body)

    async def change(self, collection_id: str, fields: Mapping[str, object]) -> Collection:
        """Change *fields* of a collection."""
        return await _change(self.calls, "collection", collection_id, fields)

    async def delete(self, collection_id: str) -> None:
        """Delete a collection; what lies in it stays in the library."""
        await self.calls.change("DELETE", _path("collection", collection_id), nothing)

    async def hierarchy(self, collection_id: str) -> Hierarchy:
        """Return what lies below a collection, and what it lies in."""
        return await self.calls.get(f"{_path('collection', collection_id)}/hierarchy", Hierarchy)

    async def favorite(self, collection_id: str, *, favorite: bool = True) -> Collection:
        """Mark a collection as a favourite, or take the mark away."""
        return await _mark(self.calls, "collection", collection_id, favorite)

    async def move(self, collection_id: str, parent_id: str | None) -> Collection:
        """Put a collection into another one, or out of all (None)."""
        path = f"{_path('collection', collection_id)}/move"
        body, understand = {"parent_collection_id": parent_id}, as_record(Collection, "collection")
        return await self.calls.change("POST", path, understand, body)

    def assets(self, collection_id: str, sought: Sought = ANYTHING) -> AsyncGenerator[Asset]:
        """Yield the assets in a collection that fit."""
        path = f"{_path('collection', collection_id)}/assets"
        return self.calls.pages(path, "assets", Asset, sought.query())

    async def add(self, collection_id: str, asset: AssetId) -> None:
        """Put an asset into a collection."""
        path = f"{_path('collection', collection_id)}/assets"
        await self.calls.change("POST", path, nothing, asset.wire())

    async def remove(self, collection_id: str, asset: AssetId) -> None:
        """Take an asset out of a collection."""
        path = f"{_path('collection', collection_id)}/assets"
        await self.calls.change("DELETE", path, nothing, asset.wire())


@dataclass(frozen=True, slots=True)
class Characters:
    """The operations under ``/assets/characters``."""

    calls: Calls

    async def listed(self, *, limit: int = 50, offset: int = 0) -> tuple[Collection, ...]:
        """Return up to *limit* (to 100) characters from *offset* on."""
        return await _list(self.calls, "characters", limit, offset)

    async def get(self, character_id: str) -> Collection:
        """Return one character."""
        return await _get(self.calls, "character", character_id)

    async def create(
        self,
        name: str,
        description: str,
        reference_images: Iterable[str],
        *,
        identifier: str = "",
    ) -> Collection:
        """Make a character of 1 to 20 pictures (addresses); its identifier must be new."""
        body: dict[str, object] = {
            "name": name,
            "description": description,
            "reference_images": list(reference_images),
        }
        body |= {"identifier": identifier} if identifier else {}
        understand = as_record(Collection, "character")
        return await self.calls.change("POST", "/assets/characters", understand, body)

    async def change(self, character_id: str, fields: Mapping[str, object]) -> Collection:
        """Change *fields* of a character."""
        return await _change(self.calls, "character", character_id, fields)

    async def delete(self, character_id: str) -> None:
        """Delete a character."""
        await self.calls.change("DELETE", _path("character", character_id), nothing)

    async def favorite(self, character_id: str, *, favorite: bool = True) -> Collection:
        """Mark a character as a favourite, or take the mark away."""
        return await _mark(self.calls, "character", character_id, favorite)


def _path(kind: str, its_id: str) -> str:
    return f"/assets/{kind}s/{segment(its_id)}"


async def _list(calls: Calls, kinds: str, limit: int, offset: int) -> tuple[Collection, ...]:
    ask = calls.request("GET", f"/assets/{kinds}", {"limit": limit, "offset": offset})
    return await calls.ask(ask, as_records(Collection, kinds))


async def _get(calls: Calls, kind: str, its_id: str) -> Collection:
    ask = calls.request("GET", _path(kind, its_id))
    return await calls.ask(ask, as_record(Collection, kind))


async def _change(calls: Calls, kind: str, its_id: str, fields: Mapping[str, object]) -> Collection:
    understand = as_record(Collection, kind)
    return await calls.change("PATCH", _path(kind, its_id), understand, dict(fields))


async def _mark(calls: Calls, kind: str, its_id: str, favorite: bool) -> Collection:
    path = f"{_path(kind, its_id)}/{_favor(favorite)}"
    return await calls.change("POST", path, as_record(Collection, kind))


def _favor(favorite: bool) -> str:
    return "favorite" if favorite else "unfavorite"
