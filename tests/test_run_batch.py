"""`run_batch`: checked as a whole, a row for each run, and at the end a sheet and a table."""

import csv
from pathlib import Path

import anyio
import pytest
from inline_snapshot import snapshot
from PIL import Image

from tests.house import connected, pictures, record, words

SCHNELL = "fal-ai/flux/schnell"
DEV = "fal-ai/flux/dev"


async def test_one_model_over_many_prompts_ends_with_rows_a_sheet_and_a_table(
    tmp_path: Path,
) -> None:
    async with connected(tmp_path) as client:
        answer = await client.call_tool(
            "run_batch",
            {
                "endpoint_ids": [SCHNELL],
                "inputs": ["a red fox", {"prompt": "a blue fox", "seed": 5}],
                "arguments": {"image_size": "square"},
                "wait_seconds": 45,
            },
        )
    job = record(answer)
    assert (job["state"], job["saved"], job["endpoint_id"]) == ("done", True, "run_batch")
    assert [item["state"] for item in job["items"]] == ["done", "done"]
    assert job["items"][1]["seed"] == 5
    assert job["cost"]["kind"] == "simulated"
    assert job["cost"]["dollars"] == sum(item["dollars"] for item in job["items"])
    for item in job["items"]:
        assert item["seconds"] >= 0
        assert item["job_id"] in words(answer)
        with Image.open(item["file"]) as picture:
            assert picture.size == (512, 512)
    sheet, table = (output["path"] for output in job["outputs"])
    with Image.open(sheet) as picture:
        assert picture.width > picture.height
    rows = list(csv.DictReader((await anyio.Path(table).read_text("utf-8")).splitlines()))
    assert [row["job_id"] for row in rows] == [item["job_id"] for item in job["items"]]
    assert len(pictures(answer)) == 1


async def test_one_prompt_over_many_models_goes_to_the_main_text_of_each(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        job = record(
            await client.call_tool(
                "run_batch", {"endpoint_ids": [SCHNELL, DEV], "arguments": {"prompt": "a fox"}}
            )
        )
    assert [item["endpoint_id"] for item in job["items"]] == [SCHNELL, DEV]
    assert {item["state"] for item in job["items"]} == {"done"}


async def test_a_file_alone_is_the_media_of_a_model_without_text(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Image.new("RGB", (64, 48), "teal").save(tmp_path / f"{name}.png")
    async with connected(tmp_path) as client:
        job = record(
            await client.call_tool(
                "run_batch",
                {
                    "endpoint_ids": ["fal-ai/birefnet"],
                    "inputs": [str(tmp_path / "one.png"), str(tmp_path / "two.png")],
                },
            )
        )
    assert [item["state"] for item in job["items"]] == ["done", "done"]


async def test_every_item_that_does_not_fit_is_named_and_nothing_runs(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        answer = await client.call_tool(
            "run_batch",
            {
                "endpoint_ids": [SCHNELL, "fal-ai/flux/dve"],
                "inputs": ["fine", {"prompt": "wrong", "num_images": 99}],
            },
        )
        listed = record(await client.call_tool("list_jobs", {"text": "fine"}))

    assert answer.is_error
    told = words(answer)
    assert told.startswith("3 of 4 items do not fit: item 2 (fal-ai/flux/schnell): ")
    assert "num_images" in told
    assert "item 3 (fal-ai/flux/dve): no model" in told
    assert "(correct them or leave them out; " in told
    assert told.endswith("; nothing was sent)")
    assert listed["jobs"] == []


async def test_the_cap_holds_for_all_of_it(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        answer = await client.call_tool(
            "run_batch",
            {"endpoint_ids": [DEV], "inputs": ["a", "b", "c"], "max_dollars": 0.03},
        )
        spent = record(await client.call_tool("spending", {}))

    assert words(answer) == snapshot(
        "this costs up to $0.075, over max_dollars $0.03 "
        "(make it smaller or cheaper, or raise max_dollars; nothing was sent)"
    )
    assert spent["spent"] == spent["reserved"] == 0


async def test_a_batch_of_none_or_too_many_is_refused(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        none = await client.call_tool("run_batch", {"endpoint_ids": []})
        many = await client.call_tool(
            "run_batch", {"endpoint_ids": [SCHNELL], "inputs": [{"seed": n} for n in range(101)]}
        )
    assert "0 runs in one batch" in words(none)
    assert "101 runs in one batch (it takes 1 to 100; nothing was sent)" in words(many)


async def test_job_status_shows_the_items_and_cancel_job_ends_the_whole(tmp_path: Path) -> None:
    async with connected(tmp_path, FALKIT_EMULATOR_SPEED="0.2", FALKIT_PARALLEL="1") as client:
        job = record(
            await client.call_tool(
                "run_batch",
                {"endpoint_ids": [DEV], "inputs": ["a", "b", "c"], "wait_seconds": 0},
            )
        )
        running = record(
            await client.call_tool("job_status", {"job_id": job["job_id"], "wait_seconds": 0})
        )
        ended = record(await client.call_tool("cancel_job", {"job_id": job["job_id"]}))
        after = await client.call_tool("job_status", {"job_id": job["job_id"]})

    assert running["state"] in ("planned", "queued", "running")
    assert len(running["items"]) == 3
    assert "do not resubmit" in running["next"]
    assert (ended["cancelled"], ended["state"]) == (True, "cancelled")
    assert {item["state"] for item in record(after)["items"]} == {"cancelled"}


@pytest.mark.proof
async def test_a_large_batch_stays_a_small_answer(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        answer = await client.call_tool(
            "run_batch",
            {
                "endpoint_ids": [SCHNELL],
                "inputs": [f"fox number {number}" for number in range(40)],
                "arguments": {"image_size": {"width": 64, "height": 64}},
                "wait_seconds": 45,
            },
        )
    job = record(answer)
    assert job["state"] == "done", words(answer)
    assert len(job["items"]) == 25
    assert "15 more parts; the table has all" in words(answer)
    assert len(words(answer).encode()) < 10_000


@pytest.mark.proof
async def test_models_side_by_side_take_arguments_of_their_own_under_their_ids(
    tmp_path: Path,
) -> None:
    ids = [SCHNELL, "fal-ai/nano-banana", "fal-ai/ideogram/v3", "fal-ai/flux-pro/v1.1-ultra"]
    call = {"endpoint_ids": ids, "arguments": {"prompt": "a fox", "image_size": "square"}}
    square = {"aspect_ratio": "1:1"}
    own = {
        "prompt": "a fox",
        SCHNELL: {"image_size": {"width": 64, "height": 64}},
        ids[1]: square,
        ids[2]: {"image_size": "square"},
        ids[3]: {**square, "seed": 7},
    }
    async with connected(tmp_path) as client:
        refused = await client.call_tool("run_batch", call)
        wrong = await client.call_tool(
            "run_batch", {**call, "arguments": {**own, ids[3]: "square", "fal-ai/other": square}}
        )
        job = record(
            await client.call_tool("run_batch", {**call, "arguments": own, "wait_seconds": 45})
        )
    assert refused.is_error
    assert "item 2 (fal-ai/nano-banana)" in words(refused)
    assert f'goes under its id, "arguments":{{"{ids[3]}":{{…}}}}' in words(refused)
    assert wrong.is_error
    assert "fal-ai/other: is not" in words(wrong)
    assert "'square' is no set of arguments" in words(wrong)
    assert [item["endpoint_id"] for item in job["items"]] == ids
    assert {item["state"] for item in job["items"]} == {"done"}
    assert job["items"][3]["seed"] == 7
