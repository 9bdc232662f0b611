"""`run_pipeline`: checked and priced as a whole, each step paid once, also after a failure."""

from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot
from mcp import Client
from PIL import Image

from tests.house import connected, record, words

SMALL = {"image_size": {"width": 128, "height": 128}}
PIC = {
    "name": "pic",
    "endpoint_id": "fal-ai/flux/schnell",
    "arguments": {"prompt": "a fox", **SMALL},
}
CUT = {"name": "cut", "endpoint_id": "fal-ai/birefnet", "arguments": {"image_url": "$pic"}}
FILM = {
    "name": "film",
    "endpoint_id": "fal-ai/davinci-magihuman",
    "arguments": {"image_url": "$pic/1", "prompt": "it runs"},
}


async def run(client: Client, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the record of a pipeline that is no error."""
    wanted = {"steps": list(steps), "wait_seconds": 45, **more}
    return record(await client.call_tool("run_pipeline", wanted))


async def jobs_made(client: Client) -> int:
    """Return how many runs of models there are."""
    spent = record(await client.call_tool("spending", {"period": "all"}))
    return sum(row["jobs"] for row in spent["rows"])


async def test_steps_feed_each_other_and_the_last_ones_are_the_result(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        job = await run(client, PIC, CUT, FILM)
        related = record(await client.call_tool("list_jobs", {"related_to": job["job_id"]}))
        film = next(step for step in job["steps"] if step["name"] == "film")
        made_from = next(row for row in related["jobs"] if row["job_id"] == film["job_id"])

    assert (job["state"], job["saved"], job["endpoint_id"]) == ("done", True, "run_pipeline")
    assert [(step["name"], step["state"]) for step in job["steps"]] == [
        ("pic", "done"), ("cut", "done"), ("film", "done"),
    ]  # fmt: skip
    assert [output["kind"] for output in job["outputs"]] == ["image", "video"]
    with Image.open(job["outputs"][0]["path"]) as cut:
        assert cut.mode == "RGBA"
    assert {row["job_id"] for row in related["jobs"]} == {step["job_id"] for step in job["steps"]}
    assert made_from["parents"] == [job["job_id"], job["steps"][0]["job_id"]]


async def test_a_text_of_one_step_is_the_prompt_of_the_next(tmp_path: Path) -> None:
    words_of = {
        "name": "seen",
        "endpoint_id": "fal-ai/florence-2-large/caption",
        "arguments": {"image_url": "$pic"},
    }
    again = {
        "name": "again",
        "endpoint_id": "fal-ai/flux/schnell",
        "arguments": {"prompt": "$seen", **SMALL},
    }
    async with connected(tmp_path) as client:
        job = await run(client, PIC, words_of, again)
        listed = record(await client.call_tool("list_jobs", {"related_to": job["job_id"]}))

    assert job["state"] == "done", job
    prompts = {row["job_id"]: row.get("prompt", "") for row in listed["jobs"]}
    said, made = job["steps"][1], job["steps"][2]
    assert said["text"]
    assert said["text"].startswith(prompts[made["job_id"]][:40])


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        pytest.param(
            [PIC, {**CUT, "arguments": {"image_url": "$pik"}}],
            "step 'cut': $pik is no earlier step (there are: pic) (nothing was sent)",
            id="an unknown name",
        ),
        pytest.param(
            [CUT, PIC],
            "step 'cut': $pic is no earlier step (there are: none) (nothing was sent)",
            id="a later step",
        ),
        pytest.param(
            [PIC, FILM, {**CUT, "arguments": {"image_url": "$film"}}],
            "step 'cut': image_url takes image, but step 'film' (fal-ai/davinci-magihuman) makes "
            "video (nothing was sent)",
            id="another kind of media",
        ),
        pytest.param(
            [PIC, {**PIC, "name": "two", "arguments": {"prompt": "x", "num_images": "$pic"}}],
            "step 'two': arguments do not fit fal-ai/flux/schnell: num_images: ",
            id="a place that takes no output",
        ),
        pytest.param([PIC, PIC], "two steps are called 'pic'", id="a name twice"),
        pytest.param(
            [{"name": "9", "endpoint_id": "x"}, {"name": "b", "model": "x"}],
            "step 1: name: up to 40 letters",
            id="no steps at all",
        ),
        pytest.param([], "no steps (give steps, or resume with a pipeline's job id)", id="none"),
    ],
)
async def test_what_does_not_fit_is_named_before_anything_is_paid(
    tmp_path: Path, steps: list[dict[str, Any]], said: str
) -> None:
    async with connected(tmp_path) as client:
        answer = await client.call_tool("run_pipeline", {"steps": steps})
        made = await jobs_made(client)

    assert answer.is_error
    assert words(answer).startswith(said), words(answer)
    assert made == 0


async def test_all_steps_together_are_held_to_the_cap(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        answer = await client.call_tool("run_pipeline", {"steps": [PIC, FILM], "max_dollars": 0.1})
        made = await jobs_made(client)

    assert words(answer) == snapshot(
        "this costs up to $0.253, over max_dollars $0.1 "
        "(make it smaller or cheaper, or raise max_dollars; nothing was sent)"
    )
    assert made == 0


async def test_a_failed_step_is_changed_and_continued_and_nothing_is_paid_again(
    tmp_path: Path,
) -> None:
    wide = {**PIC, "arguments": {"prompt": "a fox", "image_size": {"width": 512, "height": 128}}}
    other = {
        "name": "other",
        "endpoint_id": "fal-ai/kling-image/v3/image-to-image",
        "arguments": {"image_url": "$pic", "prompt": "at night"},
    }
    last = {**CUT, "arguments": {"image_url": "$other"}}
    async with connected(tmp_path) as client:
        answer = await client.call_tool(
            "run_pipeline", {"steps": [wide, other, last], "wait_seconds": 45}
        )
        failed = answer.structured_content
        assert failed is not None
        before = await jobs_made(client)
        changed = {**FILM, "name": "other"}
        refused = await client.call_tool(
            "run_pipeline", {"steps": [changed], "resume": failed["job_id"]}
        )
        corrected = {**CUT, "name": "other"}
        ended = await run(client, corrected, resume=failed["job_id"])
        repeated = await run(client, corrected, resume=failed["job_id"])
        after = await jobs_made(client)

    assert answer.is_error
    assert failed["state"] == "failed"
    assert failed["error"]["message"].startswith("step 'other': ")
    assert "image_url: got 4 width to height, takes 0.4 to 2.5" in failed["error"]["message"]
    assert failed["error"]["hint"].endswith(f"continue with resume={failed['job_id']}")
    assert [step["state"] for step in failed["steps"]] == ["done", "failed", "cancelled"]
    assert "step 'cut': image_url takes image, but step 'other'" in words(refused)
    assert ended["state"] == "done"
    assert [(step["name"], step["state"]) for step in ended["steps"]] == [
        ("other", "done"), ("cut", "done"),
    ]  # fmt: skip
    assert f"pic: kept from job {failed['steps'][0]['job_id']}" in ended["notes"]
    assert repeated["job_id"] == ended["job_id"]
    assert after == before + 2


async def test_a_pipeline_that_is_done_is_not_run_again_by_resuming_it(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        job = await run(client, PIC, CUT)
        again = await run(client, resume=job["job_id"])
        made = await jobs_made(client)
        changed = {**PIC, "arguments": {"prompt": "a crow"}}
        other = await run(client, changed, resume=job["job_id"])

    assert again["job_id"] == job["job_id"]
    assert "every step of it is done" in again["notes"]
    assert made == 2
    # The cut-out was made from the other picture, so it is made again.
    assert [step["name"] for step in other["steps"]] == ["pic", "cut"]


async def test_only_a_pipeline_is_resumed(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        made = record(
            await client.call_tool(
                "generate",
                {"endpoint_id": "fal-ai/flux/schnell", "prompt": "x", "arguments": SMALL},
            )
        )
        answer = await client.call_tool("run_pipeline", {"resume": made["job_id"]})

    assert words(answer) == (
        f"job {made['job_id']!r} is no pipeline (generate with from_job repeats a single job)"
    )


async def test_a_reference_in_another_spelling_is_refused_and_nothing_is_paid(
    tmp_path: Path,
) -> None:
    async with connected(tmp_path) as client:
        for prompt in ("{{pic.outputs.0}}", "${pic}", "$pic.1", "a frame like $pic"):
            again = {**PIC, "name": "next", "arguments": {"prompt": prompt}}
            said = words(await client.call_tool("run_pipeline", {"steps": [PIC, again]}))
            assert "step 'next': prompt:" in said
            assert "a reference is the whole value: $pic" in said
        made = await jobs_made(client)

    assert made == 0
