"""What a caller would have to guess otherwise is said: what is set aside, what nobody looked at."""

from pathlib import Path

from tests.house import connected, record, words

FLUX = "fal-ai/flux/schnell"


async def test_a_held_job_says_that_it_sets_its_price_aside_and_a_cancelled_one_frees_it(
    tmp_path: Path,
) -> None:
    asking = {"FALKIT_ASK_ON_EMULATOR": "on", "FALKIT_APPROVE_ABOVE": "0.001"}
    async with connected(tmp_path, **asking) as client:
        held = record(await client.call_tool("generate", {"endpoint_id": FLUX, "prompt": "a fox"}))
        kept = record(await client.call_tool("spending", {}))
        await client.call_tool("cancel_job", {"job_id": held["job_id"]})
        freed = record(await client.call_tool("spending", {}))
    assert held["state"] == "held"
    assert "its price counts in the budgets, cancel_job frees it" in held["next"]
    assert (kept["reserved"], kept["left"]["day"]) == (0.003, 24.997)
    assert (freed["reserved"], freed["left"]["day"]) == (0, 25)


async def test_a_url_that_is_passed_on_says_that_nobody_fetched_it(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        answer = await client.call_tool("upload_file", {"url": "https://example.com/fox.png"})
    assert record(answer)["url"] == "https://example.com/fox.png"
    assert "neither fetched nor copied" in record(answer)["note"]
    assert "neither fetched nor copied" in words(answer)


async def test_numbers_may_come_as_people_write_them(tmp_path: Path) -> None:
    search = {"query": "text to video", "limit": "3", "max_dollars": "$1,000.50"}
    async with connected(tmp_path) as client:
        found = record(await client.call_tool("search_models", search))
    assert len(found["models"]) == 3
    assert "within $1,000.5" in found["models"][0]["why"]
