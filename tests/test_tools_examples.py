"""Every example that a tool's description gives runs through as it stands, and asks nobody."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from PIL import Image

from tests.house import connected, record, words
from tools.inventory import TOOLS

PLACEHOLDER = "01k9x2m4q7a"  # the job that stands in examples for one of the caller's own
ASKING = {"FALKIT_ASK_ON_EMULATOR": "on"}
UNDER_WAY = ("planned", "approved", "queued", "running", "done")


def example(name: str, job: str) -> dict[str, Any]:
    tool = next(tool for tool in TOOLS if tool.name == name)
    given = json.loads(tool.description.split("Example: ")[1].replace(PLACEHOLDER, job))
    media = {"media": "photo.png"} if "media" in given else {}
    return {**given, **media}


async def examples(client: Client, **more: float) -> dict[str, dict[str, Any]]:
    """Return what became of the example of each tool but those that show pixels or deploy."""
    first = record(await client.call_tool("generate", {**example("generate", ""), **more}))
    made = {"generate": first}
    for tool in TOOLS:
        if tool.toolset != "deploy" and tool.name not in ("generate", "view_media"):
            given = example(tool.name, first["job_id"])
            given |= more if "wait_seconds" in tool.arguments.model_fields else {}
            made[tool.name] = record(await client.call_tool(tool.name, given))
    seen = await client.call_tool("view_media", example("view_media", ""))
    assert not seen.is_error, words(seen)
    return made


async def test_the_examples_of_all_tools_are_taken_and_none_is_held(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "photo.png")
    async with connected(tmp_path, **ASKING) as client:
        made = await examples(client, wait_seconds=0)
    for name in ("generate", "edit", "run_pipeline", "run_batch"):
        assert made[name]["state"] in UNDER_WAY, f"{name}: {made[name]}"
        assert made[name]["cost"]["dollars"] > 0


@pytest.mark.proof
async def test_the_examples_of_all_tools_run_to_their_end(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "photo.png")
    async with connected(tmp_path, **ASKING) as client:
        with anyio.fail_after(60):
            made = await examples(client, wait_seconds=45)
            for name in ("scaffold_app", "check_app", "deploy_plan"):
                record(await client.call_tool(name, example(name, "")))
    for name in ("generate", "edit", "run_pipeline", "run_batch", "cancel_job"):
        assert made[name]["state"] == "done", f"{name}: {made[name]}"
