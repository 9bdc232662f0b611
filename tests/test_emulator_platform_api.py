from pathlib import Path

import anyio
import pytest

from tests.emulated import BASE, FLUX, SMALL, emulated, over, submitted

STUCK = {"x-emulator-fault": "stuck"}


async def test_models_are_looked_up_by_id_repeated_or_joined(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            for query in (
                "endpoint_id=fal-ai/flux/dev&endpoint_id=fal-ai/flux/schnell",
                "endpoint_id=fal-ai/flux/dev,fal-ai/flux/schnell",
            ):
                page = (
                    await client.get(f"/api/v1/models?{query}", headers={"authorization": ""})
                ).json()
                assert [model["endpoint_id"] for model in page["models"]] == [
                    "fal-ai/flux/dev",
                    "fal-ai/flux/schnell",
                ]
                assert (page["next_cursor"], page["has_more"]) == (None, False)
            metadata = page["models"][0]["metadata"]
            assert metadata["model_url"] == "https://fal.run/fal-ai/flux/dev"
            assert metadata["category"] == "text-to-image"
            assert metadata["status"] == "active"


async def test_the_catalog_is_paged_without_gap_or_repetition(tmp_path: Path) -> None:
    seen: list[str] = []
    cursor = ""
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            while True:
                page = (
                    await client.get(
                        "/api/v1/models",
                        params={"category": "text-to-3d", "limit": 5, "cursor": cursor},
                    )
                ).json()
                seen += [model["endpoint_id"] for model in page["models"]]
                if not page["has_more"]:
                    break
                cursor = page["next_cursor"]
    assert len(seen) == len(set(seen)) > 10


async def test_a_search_by_words_and_status_finds_what_carries_them(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            query = {"q": "kling pro", "category": "image-to-video", "status": "active"}
            page = (await client.get("/api/v1/models", params=query)).json()
            assert page["models"]
            for model in page["models"]:
                assert "kling" in model["endpoint_id"]
                assert model["metadata"]["status"] == "active"


async def test_the_schema_is_the_same_document_alone_and_expanded(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            url = "/fal/api/openapi/queue/openapi.json?endpoint_id="
            alone = (await client.get(url + FLUX, headers={"authorization": ""})).json()
            page = (
                await client.get(f"/api/v1/models?endpoint_id={FLUX}&expand=openapi-3.0")
            ).json()
            assert page["models"][0]["openapi"] == alone
            assert alone["openapi"] == "3.0.4"
            schemas = alone["components"]["schemas"]
            given = schemas["FluxDevInput"]
            assert given["required"] == ["prompt"]
            assert given["x-fal-order-properties"][0] == "prompt"
            assert given["properties"]["num_images"] == {
                "type": "integer", "minimum": 1, "maximum": 4, "default": 1, "title": "Num Images",
            }  # fmt: skip
            image = schemas["FluxDevOutput"]["properties"]["images"]["items"]
            assert image == {"$ref": "#/components/schemas/Image"}
            assert "width" in schemas["Image"]["properties"]
            unknown = await client.get(url + "fal-ai/none")
            assert (unknown.status_code, unknown.text) == (404, "null")


async def test_prices_come_with_unit_and_currency_and_an_unknown_id_is_404(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            prices = await client.get("/api/v1/models/pricing?endpoint_id=fal-ai/flux/dev")
            assert prices.json() == {
                "prices": [
                    {
                        "endpoint_id": "fal-ai/flux/dev",
                        "unit_price": 0.025,
                        "unit": "megapixels",
                        "currency": "USD",
                    }
                ],
                "next_cursor": None,
                "has_more": False,
            }
            unknown = await client.get("/api/v1/models/pricing?endpoint_id=fal-ai/none")
            assert unknown.status_code == 404
            assert unknown.json()["error"]["type"] == "not_found"
            assert unknown.json()["error"]["request_id"] == unknown.headers["x-fal-request-id"]


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("models/pricing", 400, "validation_error"),
        ("models?limit=0", 400, "validation_error"),
        ("models?cursor=!", 400, "validation_error"),
        ("models?status=gone", 400, "validation_error"),
        ("models/requests/by-endpoint?endpoint_id=a/b&status=failed", 400, "validation_error"),
        ("models/requests/by-endpoint?endpoint_id=a/b&request_id=7", 400, "validation_error"),
        ("models?endpoint_id=fal-ai/none", 404, "not_found"),
        ("users/me", 404, "not_found"),
    ],
)
async def test_refusals_carry_the_error_object(
    tmp_path: Path, path: str, status: int, kind: str
) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            answer = await client.get(f"/api/v1/{path}")
            assert answer.status_code == status
            assert answer.json()["error"]["type"] == kind


async def test_prices_and_requests_need_a_key(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            for path in ("pricing", "requests/by-endpoint"):
                answer = await client.get(
                    f"/api/v1/models/{path}?endpoint_id={FLUX}", headers={"authorization": ""}
                )
                assert answer.status_code == 401
                assert answer.json()["error"]["type"] == "authorization_error"


async def test_requests_are_listed_from_the_moment_they_are_accepted(tmp_path: Path) -> None:
    url = f"/api/v1/models/requests/by-endpoint?endpoint_id={FLUX}"
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            stuck = await submitted(client, **STUCK)
            good = await submitted(client)
            bad = await submitted(client, body={"prompt": 7})
            hidden = await submitted(client, body={}, **{"x-fal-store-io": "0"})
            for told in (good, bad, hidden):
                await over(client, told["status_url"])

            items = (await client.get(f"{url}&expand=payloads")).json()["items"]
            found = {item["request_id"]: item for item in items}
            assert found.keys() == {told["request_id"] for told in (stuck, good, bad, hidden)}
            under_way = found[stuck["request_id"]]
            assert under_way["ended_at"] is None
            assert under_way["status_code"] is None
            assert under_way["json_input"] == SMALL
            done = found[good["request_id"]]
            assert done["status_code"] == 200
            assert done["duration"] > 0
            assert done["json_output"]["images"][0]["url"].startswith(f"{BASE}/cdn/")
            assert "json_input" not in found[hidden["request_id"]]

            plain = (await client.get(url)).json()["items"]
            assert all("json_input" not in item for item in plain)
            for status, told in (("success", [good]), ("user_error", [bad, hidden])):
                page = (await client.get(f"{url}&status={status}")).json()
                wanted = {each["request_id"] for each in told}
                assert {item["request_id"] for item in page["items"]} == wanted
            one = (await client.get(f"{url}&request_id={good['request_id']}")).json()["items"]
            assert [item["request_id"] for item in one] == [good["request_id"]]
            later = (await client.get(f"{url}&start=2100-01-01")).json()["items"]
            assert later == []
            first = (await client.get(f"{url}&limit=1")).json()
            assert first["has_more"]
            rest = (await client.get(f"{url}&cursor={first['next_cursor']}&limit=3")).json()
            assert len(rest["items"]) == 3
            assert not rest["has_more"]
            assert first["items"][0] not in rest["items"]
