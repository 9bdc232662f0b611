"""Continuing a batch or pipeline: what was made is kept, whoever resumes which attempt, and so is
the cap."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from tests.house import connected, record, words
from tests.test_run_pipeline import CUT, FILM, PIC, jobs_made, run

LONG: dict[str, Any] = {"prompt": "a fox", "image_size": {"width": 512, "height": 128}}
WIDE: dict[str, Any] = {**PIC, "arguments": LONG}
NIGHT = {
    "name": "night",
    "endpoint_id": "fal-ai/kling-image/v3/image-to-image",
    "arguments": {"image_url": "$pic", "prompt": "at night"},
}
SMALL = {"image_size": {"width": 64, "height": 64}}


async def failed(client: Client, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the record of a pipeline that failed."""
    answer = await client.call_tool(
        "run_pipeline", {"steps": list(steps), "wait_seconds": 45, **more}
    )
    assert answer.structured_content is not None, words(answer)
    assert answer.structured_content["state"] == "failed", words(answer)
    return answer.structured_content


async def test_an_output_that_cannot_be_made_is_refused_before_the_first_payment(
    tmp_path: Path,
) -> None:
    two = {**PIC, "arguments": {"prompt": "x", "num_images": 2}}
    async with connected(tmp_path) as client:
        said = [
            words(
                await client.call_tool(
                    "run_pipeline", {"steps": [two, {**CUT, "arguments": {"image_url": value}}]}
                )
            )
            for value in ("$pic/5", "$pic/0")
        ]
        made = await jobs_made(client)

    assert said[0] == (
        "step 'cut': image_url: $pic/5 cannot be: step 'pic' (fal-ai/flux/schnell) makes 2 "
        "($pic alone is its first fitting output) (nothing was sent)"
    )
    assert "step 'cut': image_url: '$pic/0' names step 'pic'" in said[1]
    assert made == 0


async def test_what_a_failed_continuation_made_is_kept_by_a_resume_of_the_first(
    tmp_path: Path,
) -> None:
    async with connected(tmp_path) as client:
        first = await failed(client, WIDE, NIGHT)
        # A new picture and `side` are made, and `night` fails again.
        wide, side = (
            {**WIDE, "arguments": {**LONG, "seed": 2}},
            {**CUT, "name": "side"},
        )
        second = await failed(client, wide, side, resume=first["job_id"])
        before = await jobs_made(client)
        night = {**CUT, "name": "night"}
        third = await run(client, wide, night, side, resume=first["job_id"])
        after = await jobs_made(client)
        asked = await client.call_tool(
            "run_pipeline", {"steps": [{"name": "nght"}], "resume": first["job_id"]}
        )

    assert first["error"]["charged"] is False
    assert [(step["name"], step["state"]) for step in second["steps"]] == [
        ("pic", "done"), ("night", "failed"), ("side", "done"),
    ]  # fmt: skip
    assert [step["name"] for step in third["steps"]] == ["night"]
    assert after == before + 1
    assert words(asked).startswith(f"step 'nght' is no step of {first['job_id']} (there are: pic")


async def test_the_cap_of_the_first_holds_for_what_continues_it(tmp_path: Path) -> None:
    dear = {**FILM, "name": "night"}
    async with connected(tmp_path) as client:
        first = await failed(client, WIDE, NIGHT, max_dollars=0.05)
        resume = {"steps": [dear], "resume": first["job_id"], "wait_seconds": 45}
        refused = words(await client.call_tool("run_pipeline", resume))
        named = words(await client.call_tool("run_pipeline", {**resume, "max_dollars": 0.1}))

    assert f"is left of max_dollars $0.05 of {first['job_id']}" in refused
    assert "name max_dollars for what is still to be paid; nothing was sent" in refused
    assert named.startswith("this costs up to $0.25, over max_dollars $0.1")


@pytest.mark.proof
async def test_a_batch_is_continued_with_its_missing_items_only(tmp_path: Path) -> None:
    wanted = {
        "endpoint_ids": ["fal-ai/flux/schnell"],
        "inputs": ["a", "b", "c"],
        "arguments": SMALL,
        "wait_seconds": 45,
    }
    async with connected(
        tmp_path, FALKIT_EMULATOR_SPEED="0.3", FALKIT_PARALLEL="1", FALKIT_PREVIEWS="off"
    ) as client:
        started = record(await client.call_tool("run_batch", {**wanted, "wait_seconds": 0}))
        await client.call_tool("job_status", {"job_id": started["items"][0]["job_id"]})
        stopped = record(await client.call_tool("cancel_job", {"job_id": started["job_id"]}))
        seen = record(await client.call_tool("job_status", {"job_id": started["job_id"]}))
        rest = record(
            await client.call_tool("run_batch", {"resume": started["job_id"], "wait_seconds": 45})
        )
        again = record(await client.call_tool("run_batch", {"resume": started["job_id"]}))
        table = Path(rest["outputs"][1]["path"]).read_text("utf-8")

    done = [item for item in seen["items"] if item["state"] == "done"]
    assert stopped["state"] == "cancelled"
    assert 1 <= len(done) < 3
    assert len(rest["items"]) == 3 - len(done)
    assert f"{len(done)} items kept from {started['job_id']}" in rest["notes"]
    assert [row.split(",")[0] for row in table.splitlines()[1:]] == ["1", "2", "3"]
    assert again["job_id"] == rest["job_id"]
    assert "every item of it is done" in again["notes"]


async def test_a_step_that_may_be_running_is_sent_again_only_when_that_is_said(
    tmp_path: Path,
) -> None:
    async with connected(tmp_path) as client:
        first = await failed(client, WIDE, NIGHT)
        pic, night = (step["job_id"] for step in first["steps"])
        _lose(tmp_path, night)
        changed = {**CUT, "name": "night"}
        resume = {"steps": [changed], "resume": first["job_id"], "wait_seconds": 45}
        refused = words(await client.call_tool("run_pipeline", resume))
        said = await run(client, {**changed, "again": True}, resume=first["job_id"])

    assert refused == (
        f"step 'night' (job {night}): the answer to its submit was lost, so it may be running and "
        f'may be charged (job_status {{"job_id":"{night}"}} says whether it was found; if the '
        'person wants to pay for another, resume with {"name":"night","again":true} among the '
        "steps; nothing was sent)"
    )
    assert said["state"] == "done"
    assert f"pic: kept from job {pic}" in said["notes"]


def _lose(home: Path, job_id: str) -> None:
    """Write down that the answer to a submit was lost."""
    with closing(sqlite3.connect(home / "house" / "journal.db")) as journal, journal:
        journal.execute("UPDATE jobs SET state = 'unconfirmed' WHERE job_id = ?", (job_id,))
