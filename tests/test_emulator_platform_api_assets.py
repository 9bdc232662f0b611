"""The account's media library: what is made shows in it, and can be sorted, tagged and traced."""

from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.emulated import FLUX, SMALL, emulated, over, submitted

API = "/api/v1/assets"
EDIT = "fal-ai/flux/dev/image-to-image"


async def made(client: httpx.AsyncClient, endpoint_id: str = FLUX, body: Any = SMALL) -> Any:
    """Return the asset that a request made."""
    told = await submitted(client, endpoint_id, body)
    await over(client, told["status_url"])
    assets = (await client.get(API)).json()["assets"]
    return next(asset for asset in assets if asset["request_id"] == told["request_id"])


async def posted(client: httpx.AsyncClient, path: str, body: Any = None, status: int = 201) -> Any:
    answer = await client.post(f"{API}/{path}", json=body or {})
    assert answer.status_code == status, answer.text
    return answer.json()


async def listed(client: httpx.AsyncClient, path: str = "", **query: Any) -> list[str]:
    answer = await client.get(f"{API}{path}", params=query)
    assert answer.status_code == 200, answer.text
    return [asset["asset_id"] for asset in answer.json()["assets"]]


async def test_what_a_request_made_is_an_asset(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            asset = await made(client)
            one = (await client.get(f"{API}/{asset['asset_id']}")).json()["asset"]
            by_vector = (await client.get(f"{API}/{asset['vector_id']}")).json()["asset"]
            assert one == by_vector == asset
            assert (await client.get(asset["url"])).status_code == 200
            assert asset == {
                "asset_id": asset["asset_id"],
                "vector_id": asset["vector_id"],
                "request_id": asset["request_id"],
                "url": asset["url"],
                "type": "image",
                "title": "a red fox",
                "endpoint": FLUX,
                "created_at": asset["created_at"],
                "source": "response",
                "prompt": "a red fox",
                "width": 64,
                "height": 64,
                "content_type": "image/jpeg",
                "is_favorited": False,
                "collection_ids": [],
                "tags": [],
                "similarity": None,
            }
            page = (await client.get(API)).json()
            assert (page["total_count"], page["scope_truncated"]) == (1, False)
            assert (await client.get(f"{API}/none")).status_code == 404


async def test_assets_are_chosen_by_kind_source_words_and_file(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            fox = await made(client)
            upload = {"url": "https://example.com/song.mp3", "type": "audio", "prompt": "a song"}
            song = (await posted(client, "uploads", {**upload, "favorite": True}))["asset"]

            fox_id, song_id = fox["asset_id"], song["asset_id"]
            assert song["url"] == upload["url"]
            assert await listed(client) == [song_id, fox_id]
            assert await listed(client, media_type=["audio", "video"]) == [song_id]
            assert await listed(client, source="response") == [fox_id]
            assert await listed(client, section="uploads") == [song_id]
            assert await listed(client, section="generated") == [fox_id]
            assert await listed(client, section="favorites") == [song_id]
            assert await listed(client, q="red foxes") == [fox_id]
            assert await listed(client, search_image_url=fox["url"]) == [fox_id]
            assert await listed(client, limit=1) == [song_id]
            found = (await client.get(API, params={"q": "red fox"})).json()["assets"][0]
            assert found["similarity"] == 1
            for odd in ({"section": "all"}, {"media_type": "text"}, {"q": "a", **_image()}):
                assert (await client.get(API, params=odd)).status_code == 400
            bad = {**upload, "type": "text"}
            assert (await client.post(f"{API}/uploads", json=bad)).status_code == 400


def _image() -> dict[str, str]:
    return {"search_image_url": "https://example.com/a.png"}


async def test_favourites_are_marked_by_any_of_three_ids(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            asset = await made(client)
            for name in ("asset_id", "request_id", "vector_id"):
                body = {name: asset[name]}
                assert await posted(client, "favorite", body, 200) == {"is_favorited": True}
                assert len(await listed(client, section="favorites")) == 1
                assert await posted(client, "unfavorite", body, 200) == {"is_favorited": False}
                assert await listed(client, section="favorites") == []
            await posted(client, "favorite", {}, 400)
            await posted(client, "favorite", {"asset_id": "none"}, 404)


async def test_tags_are_made_put_on_and_taken_off(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            asset = (await made(client))["asset_id"]
            red = (await posted(client, "tags", {"name": "red"}))["tag"]
            fox = (await posted(client, "tags", {"name": "fox"}))["tag"]
            await posted(client, "tags", {"name": "red"}, 409)
            await posted(client, "tags", {"name": "x" * 51}, 400)
            assert (await client.get(f"{API}/tags")).json() == {"tags": [fox, red]}

            body = {"asset_id": asset}
            assign = f"tags/{red['id']}/assign"
            for _ in range(2):
                assert await posted(client, assign, body, 200) == {"success": True}
            assert await listed(client, tag_id=[red["id"], fox["id"]]) == [asset]
            both: dict[str, Any] = {"tag_id": [red["id"], fox["id"]], "tag_mode": "all"}
            assert await listed(client, **both) == []
            put = await client.put(f"{API}/tags", json={**body, "tag_ids": [red["id"], fox["id"]]})
            assert put.json() == {"tags": [fox, red]}
            assert await listed(client, **both) == [asset]
            assert (await client.get(f"{API}/{asset}/tags")).json() == {"tags": [fox, red]}

            url = f"{API}/{assign}"
            assert (await client.request("DELETE", url, json=body)).status_code == 204
            renamed = await client.patch(f"{API}/tags/{fox['id']}", json={"name": "vixen"})
            assert renamed.json()["tag"]["name"] == "vixen"
            clash = await client.patch(f"{API}/tags/{fox['id']}", json={"name": "red"})
            assert clash.status_code == 409
            assert (await client.delete(f"{API}/tags/{fox['id']}")).status_code == 204
            assert (await client.delete(f"{API}/tags/{fox['id']}")).status_code == 404
            assert (await client.get(f"{API}/{asset}/tags")).json() == {"tags": []}


async def test_collections_hold_assets_and_lie_in_each_other(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            asset = (await made(client))["asset_id"]
            top = (await posted(client, "collections", {"name": "animals"}))["collection"]
            below = {"name": "foxes", "parent_collection_id": top["id"]}
            foxes = (await posted(client, "collections", below))["collection"]
            assert foxes["parent_collection_id"] == top["id"]
            assert (foxes["type"], foxes["asset_count"]) == ("manual", 0)

            place = f"collections/{foxes['id']}"
            added = await posted(client, f"{place}/assets", {"asset_id": asset}, 200)
            assert added == {"success": True}
            assert await listed(client, f"/{place}/assets") == [asset]
            assert await listed(client, collection_id=foxes["id"]) == [asset]
            assert await listed(client, collection_id=top["id"]) == []
            one = (await client.get(f"{API}/{place}")).json()["collection"]
            assert one["asset_count"] == 1

            tree = (await client.get(f"{API}/collections/{top['id']}/hierarchy")).json()
            assert [child["id"] for child in tree["hierarchy"]["children"]] == [foxes["id"]]
            up = (await client.get(f"{API}/{place}/hierarchy")).json()
            assert [each["id"] for each in up["ancestors"]] == [top["id"]]
            circle = {"parent_collection_id": foxes["id"]}
            await posted(client, f"collections/{top['id']}/move", circle, 400)
            moved = await posted(client, f"{place}/move", {"parent_collection_id": None}, 200)
            assert moved["collection"]["parent_collection_id"] is None

            liked = await posted(client, f"{place}/favorite", None, 200)
            assert liked["collection"]["is_favorited"]
            changed = await client.patch(f"{API}/{place}", json={"color": "red", "icon": None})
            assert changed.json()["collection"]["color"] == "red"
            assert changed.json()["collection"]["name"] == "foxes"

            gone = await client.request("DELETE", f"{API}/{place}/assets", json={"asset_id": asset})
            assert gone.status_code == 204
            assert await listed(client, f"/{place}/assets") == []
            assert (await client.delete(f"{API}/{place}")).status_code == 204
            assert (await client.get(f"{API}/{place}")).status_code == 404
            page = (await client.get(f"{API}/collections", params={"offset": 1})).json()
            assert page == {"collections": []}


async def test_a_smart_collection_holds_what_its_filters_choose(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            fox = (await made(client))["asset_id"]
            upload = {"url": "https://example.com/song.mp3", "type": "audio"}
            song = (await posted(client, "uploads", upload))["asset"]["asset_id"]
            body = {"name": "sound", "filters": {"media_type": ["audio"]}}
            smart = (await posted(client, "collections", body))["collection"]
            assert (smart["type"], smart["asset_count"]) == ("smart", 1)
            assert smart["filters"] == body["filters"]
            place = f"collections/{smart['id']}"
            assert await listed(client, f"/{place}/assets") == [song]
            await posted(client, f"{place}/assets", {"asset_id": fox}, 400)
            odd = {"name": "odd", "filters": {"media_type": ["text"]}}
            await posted(client, "collections", odd, 400)


async def test_characters_have_pictures_and_a_name_of_their_own(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            fox = (await made(client))["asset_id"]
            body = {
                "name": "Mr Fox",
                "description": "sly",
                "reference_images": ["https://example.com/fox.png"],
            }
            person = (await posted(client, "characters", body))["character"]
            assert person["type"] == "character"
            assert person["character_identifier"] == "mr-fox"
            assert person["reference_images"] == body["reference_images"]
            await posted(client, "characters", body, 409)
            await posted(client, "characters", {**body, "reference_images": []}, 400)

            place = f"{API}/characters/{person['id']}"
            assert (await client.get(place)).json() == {"character": person}
            await posted(client, f"collections/{person['id']}/assets", {"asset_id": fox}, 200)
            assert await listed(client, character_identifier="mr-fox") == [fox]
            assert (await client.get(f"{API}/collections/{person['id']}")).status_code == 404
            liked = await posted(client, f"characters/{person['id']}/favorite", None, 200)
            assert liked["character"]["is_favorited"]
            changed = await client.patch(place, json={"description": "slier"})
            assert changed.json()["character"]["description"] == "slier"
            (listed_one,) = (await client.get(f"{API}/characters")).json()["characters"]
            assert listed_one["name"] == "Mr Fox"
            assert (await client.get(f"{API}/collections")).json() == {"collections": []}
            assert (await client.delete(place)).status_code == 204
            assert (await client.get(place)).status_code == 404


async def test_lineage_leads_from_what_was_given_to_what_came_of_it(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            first = await made(client)
            edit = {"prompt": "a blue fox", "image_url": first["url"]}
            second = await made(client, EDIT, edit)
            graph = (await client.get(f"{API}/{second['asset_id']}/lineage")).json()["lineage"]
            near = (
                await client.get(f"{API}/{second['asset_id']}/lineage", params={"depth": 1})
            ).json()["lineage"]
            odd = await client.get(f"{API}/{second['asset_id']}/lineage", params={"depth": 6})

    assert graph["focus"] == f"asset:{second['asset_id']}"
    kinds = [node["kind"] for node in graph["nodes"]]
    assert sorted(kinds) == ["asset", "asset", "request", "request"]
    edges = {(edge["from"], edge["to"], edge["kind"], edge["role"]) for edge in graph["edges"]}
    one, two = first["request_id"], second["request_id"]
    assert edges == {
        (f"request:{one}", f"asset:{first['asset_id']}", "generated_by", None),
        (f"asset:{first['asset_id']}", f"request:{two}", "input_to", "source"),
        (f"request:{two}", f"asset:{second['asset_id']}", "generated_by", None),
    }
    assert len(near["nodes"]) == 3  # the request of the first picture is further back
    assert odd.status_code == 400


async def test_an_asset_whose_payload_is_deleted_is_a_tombstone(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            asset = await made(client)
            await client.delete(f"/api/v1/models/requests/{asset['request_id']}/payloads")
            left = (await client.get(f"{API}/{asset['asset_id']}")).json()["asset"]
            assert left["url"] is None
            graph = (await client.get(f"{API}/{asset['asset_id']}/lineage")).json()["lineage"]
            assert graph["nodes"][0]["tombstone"] is True


@pytest.mark.parametrize("other", [True, False])
async def test_what_another_process_made_shows_too(tmp_path: Path, other: bool) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as one, emulated(tmp_path) as two:
            await made(one)
            assert len(await listed(two if other else one)) == 1
