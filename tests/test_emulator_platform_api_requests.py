"""The search of the account's history, and the end of what is kept of a request."""

import uuid
from pathlib import Path

import anyio
import pytest

from tests.emulated import FLUX, SMALL, emulated, over, submitted

API = "/api/v1"
SEARCH = f"{API}/models/requests/search"
STUCK = {"x-emulator-fault": "stuck"}
SIZE = SMALL["image_size"]


async def test_requests_are_found_by_words_of_their_input(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            for prompt in ("a red fox in the snow", "a blue whale", "foxes at night"):
                told = await submitted(client, body={"prompt": prompt, "image_size": SIZE})
                await over(client, told["status_url"])
            page = (await client.get(SEARCH, params={"query": "red fox"})).json()
            strict = (
                await client.get(SEARCH, params={"query": "red fox", "min_similarity": 0.9})
            ).json()
            everything = (await client.get(SEARCH, params={"limit": 2})).json()

    prompts = [result["json_input"]["prompt"] for result in page["results"]]
    assert prompts[0] == "a red fox in the snow"
    assert "a blue whale" not in prompts
    assert page["results"][0]["similarity"] == 1
    assert [result["json_input"]["prompt"] for result in strict["results"]] == prompts[:1]
    assert len(everything["results"]) == 2
    assert everything["has_more"]
    assert all("similarity" not in result for result in everything["results"])


async def test_requests_are_found_by_a_picture_that_they_took_or_made(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            maker = await submitted(client)
            await over(client, maker["status_url"])
            url = (await client.get(maker["response_url"])).json()["images"][0]["url"]
            taker = await submitted(
                client, "fal-ai/flux/dev/image-to-image", {"prompt": "a fox", "image_url": url}
            )
            await over(client, taker["status_url"])
            other = await submitted(client)
            await over(client, other["status_url"])
            page = (await client.get(SEARCH, params={"image_url": url})).json()

    found = {result["request_id"] for result in page["results"]}
    assert found == {maker["request_id"], taker["request_id"]}


@pytest.mark.parametrize(
    "query",
    [
        {"query": "fox", "image_url": "https://example.com/a.png"},
        {"image_url": "fox.png"},
        {"min_similarity": "2"},
        {"exclude_api_requests": "true", "only_api_requests": "true"},
        {"exclude_api_requests": "maybe"},
    ],
)
async def test_a_search_refuses_what_it_cannot_read(tmp_path: Path, query: dict[str, str]) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            answer = await client.get(SEARCH, params=query)
            assert answer.status_code == 400


async def test_all_requests_here_came_over_the_api(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            await submitted(client, **STUCK)
            only = (await client.get(SEARCH, params={"only_api_requests": "true"})).json()
            none = (await client.get(SEARCH, params={"exclude_api_requests": "true"})).json()
    assert len(only["results"]) == 1
    assert none == {"results": [], "next_cursor": None, "has_more": False}


async def test_payloads_are_deleted_with_the_files_that_were_made_and_no_others(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            maker = await submitted(client)
            await over(client, maker["status_url"])
            given = (await client.get(maker["response_url"])).json()["images"][0]["url"]
            edit = "fal-ai/flux/dev/image-to-image"
            taker = await submitted(client, edit, {"prompt": "a fox", "image_url": given})
            await over(client, taker["status_url"])
            made = (await client.get(taker["response_url"])).json()["images"][0]["url"]

            url = f"{API}/models/requests/{taker['request_id']}/payloads"
            answer = await client.delete(url, headers={"idempotency-key": "one"})
            assert answer.json() == {"cdn_delete_results": [{"link": made, "exception": None}]}
            assert (await client.get(made)).status_code == 404
            assert (await client.get(given)).status_code == 200
            item = (
                await client.get(
                    f"{API}/models/requests/by-endpoint",
                    params={"endpoint_id": edit, "expand": "payloads"},
                )
            ).json()["items"][0]
            assert "json_input" not in item
            assert item["status_code"] == 200
            assert (await client.get(taker["response_url"])).status_code == 404
            again = await client.delete(url, headers={"idempotency-key": "one"})
            assert again.json() == answer.json()
            fresh = await client.delete(url)
            assert fresh.json() == {"cdn_delete_results": []}


async def test_payloads_of_what_is_not_there_or_not_over_are_not_deleted(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            stuck = await submitted(client, FLUX, **STUCK)
            for request_id, status in (
                (stuck["request_id"], 400),
                (str(uuid.uuid4()), 404),
                ("seven", 400),
            ):
                answer = await client.delete(f"{API}/models/requests/{request_id}/payloads")
                assert answer.status_code == status
