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
    drop = f'cancel_job {{"job_id":"{held["job_id"]}"}}'
    assert f"its price counts in the budgets, {drop} frees it" in held["next"]
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
        digits = {"endpoint_id": FLUX, "prompt": 42, "wait_seconds": 0}
        assert record(await client.call_tool("generate", digits))["state"] != "failed"
    assert len(found["models"]) == 3
    assert "within $1,000.5" in found["models"][0]["why"]


async def test_one_value_serves_where_a_list_of_them_may_stand(tmp_path: Path) -> None:
    batch = {"endpoint_ids": FLUX, "inputs": "a fox", "wait_seconds": 0}
    search = {"query": "text to video", "features": "sound", "media_in": "", "limit": 1}
    async with connected(tmp_path) as client:
        made = record(await client.call_tool("run_batch", batch))
        found = record(await client.call_tool("search_models", search))
    assert [item["endpoint_id"] for item in made["items"]] == [FLUX]
    assert len(found["models"]) == 1


async def test_a_step_named_without_its_sign_is_told_how_it_is_referred_to(tmp_path: Path) -> None:
    steps = [
        {"name": "pic", "endpoint_id": FLUX, "arguments": {"prompt": "a fox"}},
        {"name": "cut", "endpoint_id": "fal-ai/birefnet", "arguments": {"image_url": "pic"}},
    ]
    async with connected(tmp_path) as client:
        answer = await client.call_tool("run_pipeline", {"steps": steps})
    assert answer.is_error
    assert 'write "$pic" for what it makes' in words(answer)


async def test_what_a_prompt_says_and_the_arguments_do_not_is_told_for_a_named_model(
    tmp_path: Path,
) -> None:
    prompt = "three versions of a fox in 9:16"
    make = {"endpoint_id": FLUX, "prompt": prompt, "wait_seconds": 0}
    async with connected(tmp_path) as client:
        loose = record(await client.call_tool("generate", make))
        told = {"num_images": 3, "image_size": "portrait_16_9"}
        set_up = record(await client.call_tool("generate", {**make, "arguments": told}))
        batch = {"endpoint_ids": [FLUX], "inputs": [prompt], "wait_seconds": 0}
        several = record(await client.call_tool("run_batch", batch))
    assert any('"num_images":3' in note for note in loose["notes"])
    assert not set_up.get("notes")
    assert any('"num_images":3' in note for note in several["notes"])


async def test_a_list_for_a_model_that_is_none_names_the_nearest(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        answer = await client.call_tool("list_jobs", {"endpoint_id": "flux schnell"})
        right = await client.call_tool("list_jobs", {"endpoint_id": FLUX})
    assert FLUX in words(answer)
    assert words(right) == "no jobs fit"


async def test_choices_go_by_the_words_of_others(tmp_path: Path) -> None:
    calls = [
        ("list_jobs", {"state": "COMPLETED"}),
        ("list_jobs", {"state": "in progress"}),
        ("spending", {"by": "Endpoint"}),
        ("describe_model", {"endpoint_id": FLUX, "detail": "all"}),
    ]
    async with connected(tmp_path) as client:
        for name, given in calls:
            record(await client.call_tool(name, given))
        odd = await client.call_tool("list_jobs", {"state": "ripe"})
    assert odd.is_error
    assert "'done'" in words(odd)


async def test_a_price_that_is_wide_says_what_was_left_open(tmp_path: Path) -> None:
    make = {"endpoint_id": "bytedance/seedance-2.5/text-to-video", "prompt": "waves"}
    async with connected(tmp_path) as client:
        loose = record(await client.call_tool("generate", {**make, "wait_seconds": 0}))
        set_up = {**make, "arguments": {"duration": "5"}, "wait_seconds": 0}
        firm = record(await client.call_tool("generate", set_up))
    assert any("priced at its most, $14.19" in note for note in loose["notes"])
    assert any("duration left open: 4 to 30" in note for note in loose["notes"])
    assert not firm.get("notes")
