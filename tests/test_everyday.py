"""Everyday tasks reach their end in as few calls as a model with a small context has."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from PIL import Image

from prompts.library import PROMPTS, PromptText
from server.app import instructions
from server.cli.demo import Story, main_job
from tests.house import connected, environment, record, words
from tools.inventory import TOOLS

SCHNELL: dict[str, Any] = {
    "endpoint_id": "fal-ai/flux/schnell",
    "arguments": {"image_size": {"width": 64, "height": 64}},
}


async def told(client: Client, tool: str, **arguments: Any) -> str:
    """Return the text of an answer."""
    return words(await client.call_tool(tool, arguments))


async def made(client: Client, tool: str = "generate", **arguments: Any) -> dict[str, Any]:
    """Return the record of an answer that is no error."""
    return record(await client.call_tool(tool, arguments))


@pytest.fixture
def picture(tmp_path: Path) -> str:
    path = tmp_path / "holiday photo.png"
    Image.new("RGB", (96, 64), "teal").save(path)
    return str(path)


async def test_a_task_passes_over_models_that_do_not_take_the_arguments(
    tmp_path: Path, picture: str
) -> None:
    async with connected(tmp_path) as client:
        given = {"image_url": picture, "duration": 5}
        job = await made(client, task="image-to-video", prompt="waves", arguments=given)
        mesh = await made(client, task="image-to-3d", arguments={"image_url": picture})
    assert job["state"] == mesh["state"] == "done"
    assert any("that takes these arguments" in note for note in mesh["notes"])


async def test_a_task_chooses_a_model_within_max_dollars(tmp_path: Path, picture: str) -> None:
    asked: dict[str, Any] = {
        "task": "image-to-video",
        "prompt": "waves",
        "arguments": {"image_url": picture, "duration": 5, "generate_audio": True},
    }
    async with connected(tmp_path) as client:
        dear = await made(client, **asked, wait_seconds=0)
        await client.call_tool("cancel_job", {"job_id": dear["job_id"]})
        job = await made(client, **asked, max_dollars=0.3, wait_seconds=0)
        await client.call_tool("cancel_job", {"job_id": job["job_id"]})
    assert dear["cost"]["dollars"] > 0.3
    assert job["cost"]["dollars"] <= 0.3
    assert any("within $0.3" in note for note in job["notes"])


@pytest.mark.parametrize(
    "task", ["Text_To-Image", pytest.param("text to image", marks=pytest.mark.proof)]
)
async def test_a_task_may_be_written_as_people_write_it(tmp_path: Path, task: str) -> None:
    async with connected(tmp_path) as client:
        job = await made(client, task=task, prompt="a cat")
    assert job["outputs"][0]["kind"] == "image"


async def test_a_misspelt_argument_of_a_task_is_refused_and_not_passed_on(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        text = await told(
            client,
            "generate",
            task="text-to-image",
            prompt="a cat",
            arguments={"num_imges": 2},
        )
    assert "num_imges" in text
    assert "nearest: num_images" in text


async def test_the_job_that_made_a_file_is_found_by_the_file(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        await made(client, **SCHNELL, prompt="a dog")
        job = await made(client, **SCHNELL, prompt="a cat")
        path = job["outputs"][0]["path"]
        for name in (path, Path(path).name, f"{path}.json", job["job_id"]):
            found = await made(client, "list_jobs", text=name)
            assert [row["job_id"] for row in found["jobs"]] == [job["job_id"]], name
        by_file = await made(client, "job_status", job_id=path)
        by_output = await made(client, "job_status", job_id=f"{job['job_id']}/1")
        like_a_job = await made(client, "list_jobs", text="photography")
    assert by_file["job_id"] == by_output["job_id"] == job["job_id"]
    assert like_a_job["jobs"] == []


async def test_a_list_of_jobs_says_how_many_files_it_leaves_out(
    tmp_path: Path, picture: str
) -> None:
    mesh = "fal-ai/hunyuan-3d/v3.1/pro/image-to-3d"
    async with connected(tmp_path) as client:
        job = await made(client, endpoint_id=mesh, arguments={"input_image_url": picture})
        listed = await client.call_tool("list_jobs", {})
    more = len(job["outputs"]) - 4
    assert record(listed)["jobs"][0]["more_files"] == more
    assert f"{more} more files" in words(listed)


async def test_a_cancellation_that_came_too_late_says_so_in_both_parts(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        job = await made(client, **SCHNELL, prompt="a cat")
        late = await client.call_tool("cancel_job", {"job_id": job["job_id"]})
    assert record(late)["cancelled"] is False
    assert "not cancelled: it was too late" in words(late)
    assert record(late)["charged"] is False  # the emulator charges nothing
    assert words(late).startswith("not cancelled: it was too late\n")


@pytest.mark.parametrize(
    "query",
    [
        "a picture of a cat in a spacesuit, square",
        "animate my picture, 5 seconds, with sound, under 50 cents",
        "read a sentence aloud in Spanish",
        "3D model from a picture",
        "turn a storyboard with several reference pictures into one video with a voice",
    ],
)
async def test_each_part_of_a_search_says_what_a_model_does_within_its_bytes(
    tmp_path: Path, query: str
) -> None:
    async with connected(tmp_path) as client:
        found = await client.call_tool("search_models", {"query": query})
    models = record(found)["models"]
    assert len(json.dumps(record(found))) <= 2100
    for model in models:
        assert model["summary"] in words(found)
        assert not model["why"].endswith("…"), model
        assert len(model["summary"]) >= 40 or not model["summary"].endswith("…"), model


async def test_a_description_says_once_that_no_price_is_known_and_what_fal_no_longer_lists(
    tmp_path: Path,
) -> None:
    async with connected(tmp_path) as client:
        gone = await told(client, "describe_model", endpoint_id="fal-ai/imagen4/preview")
        perhaps = await told(client, "describe_model", endpoint_id="fal-ai/live-avatar")
    assert "price: not known" in gone
    assert "retired: fal no longer lists it" in gone
    assert "perhaps retired" in perhaps


async def test_a_comparison_gives_the_price_also_of_a_model_that_lacks_an_argument(
    tmp_path: Path,
) -> None:
    models = ["fal-ai/flux/dev", "fal-ai/z-image/turbo", "fal-ai/nano-banana-2"]
    asked = {"prompt": "a cat", "image_size": "square"}
    async with connected(tmp_path) as client:
        text = await told(client, "estimate_cost", endpoint_ids=models, arguments=asked, runs=20)
    dev, turbo, banana = text.splitlines()
    assert "for 20 runs" in dev
    assert "prices of 20" in turbo
    assert "$1.2 for 20 runs" in banana
    assert "$0.08/image x 0.75 (0.5K)" in banana  # 512 x 512 as that model says it


async def test_a_mask_of_another_size_is_refused_with_the_right_size(
    tmp_path: Path, picture: str
) -> None:
    small, whole = tmp_path / "small.png", tmp_path / "whole.png"
    Image.new("L", (32, 32), 255).save(small)
    Image.new("L", (96, 64), 255).save(whole)
    asked = {"operation": "inpaint", "media": picture, "instruction": "a sunset sky"}
    async with connected(tmp_path) as client:
        refused = await told(client, "edit", **asked, mask=str(small))
        unmasked = await told(client, "edit", **asked)
        gone = await told(client, "edit", **asked, mask="gone.png")
        painted = await made(client, "edit", **asked, mask=str(whole))
    assert "mask: it is 32x32, the picture 96x64" in refused
    assert "white where to change" in unmasked
    assert gone.startswith("mask: there is no file 'gone.png'")
    assert painted["state"] == "done"


async def test_a_price_over_max_dollars_is_refused_before_a_file_is_sent(
    tmp_path: Path, picture: str
) -> None:
    async with connected(tmp_path) as client:
        refused = await told(
            client,
            "generate",
            endpoint_id="fal-ai/bytedance/seedance/v1.5/pro/image-to-video",
            prompt="waves",
            arguments={"image_url": picture},
            max_dollars=0.01,
        )
        sent = await made(client, "upload_file", path=picture)
    assert "over max_dollars $0.01" in refused
    assert "nothing was sent" in refused
    assert "reused" not in sent


@pytest.mark.parametrize(
    ("tool", "wrong", "right"),
    [
        ("generate", "model", "endpoint_id"),
        ("generate", "input", "arguments"),
        ("edit", "image_url", "media"),
        ("job_status", "request_id", "job_id"),
    ],
)
async def test_an_argument_named_as_elsewhere_leads_to_ours(
    tmp_path: Path, tool: str, wrong: str, right: str
) -> None:
    async with connected(tmp_path) as client:
        text = await told(client, tool, **{wrong: "x"})
    assert text == f"{tool} has no argument {wrong!r} (did you mean {right!r}?)"


async def test_dollars_and_small_files_are_shown_as_they_are(tmp_path: Path, picture: str) -> None:
    mesh = "fal-ai/hunyuan-3d/v3.1/pro/image-to-3d"
    video = "fal-ai/bytedance/seedance/v1.5/pro/image-to-video"
    async with connected(tmp_path) as client:
        files = await told(
            client, "generate", endpoint_id=mesh, arguments={"input_image_url": picture}
        )
        job = await made(
            client,
            endpoint_id=video,
            prompt="waves",
            arguments={"image_url": picture},
            wait_seconds=0,
        )
        await client.call_tool("cancel_job", {"job_id": job["job_id"]})
    assert " bytes: " in files
    assert " 0 KB" not in files
    assert job["cost"]["dollars"] == 0.26


def test_a_server_that_only_looks_promises_no_making() -> None:
    looking = [tool.name for tool in TOOLS if tool.reads_only]
    told = instructions(looking, "emulator")
    assert "makes nothing" in told
    assert "submitting again" not in told
    assert "view_media" in told
    whole = instructions([tool.name for tool in TOOLS], "emulator")
    assert "then generate" in whole


async def test_what_a_model_requires_but_has_a_default_for_is_filled_in_and_said(
    tmp_path: Path, picture: str
) -> None:
    async with connected(tmp_path) as client:
        job = await made(
            client,
            endpoint_id="minimax/h3-max/image-to-video",
            prompt="waves",
            arguments={"image_url": picture},
        )
    assert job["state"] == "done"
    assert 'prompt_expansion_mode: "balanced" sent, its default' in job["notes"]


@pytest.mark.proof  # every change plays it as `make demo`
async def test_the_demonstration_reaches_its_end(tmp_path: Path) -> None:
    story = Story(tmp_path)
    async with connected(tmp_path) as client:
        await main_job(client, story)
    assert len(story.chapters) == 10
    assert [len(chapter["files"]) for chapter in story.chapters if chapter["files"]] == [1] * 4


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=lambda prompt: prompt.name)
def test_a_prompt_reads_well_with_every_optional_gap_left_out(prompt: PromptText) -> None:
    text = prompt.filled({gap.name: "x" for gap in prompt.gaps if gap.required})
    assert "not said seconds" not in text
    assert text.count("not said") == sum(not gap.required for gap in prompt.gaps)


def falkit(home: Path, *given: str) -> tuple[int, str, str]:
    """Run a command as a person would; return its code and what it said."""
    env = {**os.environ, **environment(home)}
    command = [sys.executable, "-m", "falkit", *given]
    done = subprocess.run(
        command, env=env, cwd=home, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_a_taken_port_is_one_line_that_names_another_way(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said, problem = falkit(tmp_path, "emulate", "--port", str(port))
    assert (code, said) == (1, "")
    assert problem.count("\n") == 1
    assert f"port {port} of 127.0.0.1 cannot be used" in problem
    assert "--port" in problem


def test_keeping_once_says_when_nothing_is_unfinished(tmp_path: Path) -> None:
    code, said, _ = falkit(tmp_path, "keep", "--once")
    assert code == 0
    assert said.endswith("nothing is unfinished\n")
