"""What was made from what is found again in both directions, and any of it can be made anew."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from mcp import Client

from tests.house import connected, record, words

SMALL = {"image_size": {"width": 64, "height": 64}}
SCHNELL = "fal-ai/flux/schnell"


async def did(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    return record(await client.call_tool(tool, arguments))


async def family(client: Client, job_id: str) -> set[str]:
    return {row["job_id"] for row in (await did(client, "list_jobs", related_to=job_id))["jobs"]}


async def test_a_story_of_edits_is_found_from_every_end_and_repeated_with_changes(
    tmp_path: Path,
) -> None:
    async with connected(tmp_path) as client:
        fox = await did(
            client, "generate", endpoint_id=SCHNELL, prompt="a fox", arguments=SMALL | {"seed": 5}
        )
        cut = await did(client, "edit", operation="remove background", media=fox["job_id"])
        large = await did(client, "edit", operation="upscale", media=cut["outputs"][0]["path"])
        ids = {job["job_id"] for job in (fox, cut, large)}
        for job in (fox, cut, large):
            assert await family(client, job["job_id"]) == ids - {job["job_id"]}

        wolf = await did(client, "generate", from_job=fox["job_id"], prompt="a wolf")
        other = await did(
            client, "generate", from_job=wolf["job_id"], endpoint_id="fal-ai/flux/dev"
        )
        recut = await did(client, "generate", from_job=cut["job_id"], again=True)
        assert (wolf["seed"], other["seed"], other["endpoint_id"]) == (5, 5, "fal-ai/flux/dev")
        assert recut["endpoint_id"] == cut["endpoint_id"]
        assert await family(client, other["job_id"]) == {wolf["job_id"], fox["job_id"]}
        assert {wolf["job_id"], recut["job_id"]} <= await family(client, fox["job_id"])


async def test_a_part_of_a_batch_and_a_step_are_repeated_and_a_whole_says_how(
    tmp_path: Path,
) -> None:
    steps = [
        {"name": "pic", "endpoint_id": SCHNELL, "arguments": {"prompt": "a cat", **SMALL}},
        {
            "name": "cut",
            "endpoint_id": "fal-ai/birefnet",
            "arguments": {"image_url": "$pic"},
        },
    ]
    async with connected(tmp_path) as client:
        batch = await did(
            client,
            "run_batch",
            endpoint_ids=[SCHNELL],
            inputs=[{"prompt": "one"}, {"prompt": "two"}],
            arguments=SMALL,
        )
        part = batch["items"][1]["job_id"]
        three = await did(client, "generate", from_job=part, prompt="three")
        pipeline = await did(client, "run_pipeline", steps=steps)
        pic, cut = (step["job_id"] for step in pipeline["steps"])
        recut = await did(client, "generate", from_job=cut, again=True)
        whole = await client.call_tool("generate", {"from_job": batch["job_id"]})

        assert await family(client, three["job_id"]) == {part, batch["job_id"]}
        assert await family(client, recut["job_id"]) == {cut, pic, pipeline["job_id"]}
        assert await family(client, pipeline["job_id"]) == {pic, cut, recut["job_id"]}
        assert await family(client, batch["job_id"]) == {
            batch["items"][0]["job_id"],
            part,
            three["job_id"],
        }
    assert whole.is_error
    assert words(whole) == (
        f"job {batch['job_id']!r} is a batch of several runs; nothing was sent (give the job_id of "
        "one of them (job_status lists them), or call run_batch)"
    )


async def test_repeating_an_old_edit_warns_that_its_input_may_be_gone(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        fox = await did(client, "generate", endpoint_id=SCHNELL, prompt="a fox", arguments=SMALL)
        cut = await did(client, "edit", operation="remove background", media=fox["job_id"])
        with closing(sqlite3.connect(tmp_path / "house" / "journal.db")) as journal, journal:
            journal.execute("UPDATE jobs SET created = created - 8 * 24 * 3600000")
        again = await did(client, "generate", from_job=cut["job_id"], again=True)
        plain = await did(client, "generate", from_job=fox["job_id"], again=True)

    assert "may be gone: if it fails, give them anew" in "\n".join(again["notes"])
    assert "may be gone" not in "\n".join(plain["notes"])
