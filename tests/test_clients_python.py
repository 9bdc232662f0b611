"""An older Python SDK and two agent frameworks with a served falkit (`make proof`).

The models of the frameworks are scripts that read only what they are shown.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.told_stories import HERE, check, target, told
from tools.inventory import TOOLS

PROGRAMS = HERE / "python"
# Each client in an environment of its own: two of them need an SDK older than ours.
PINS = {
    "old": ("mcp==1.30.0",),
    "pydantic_story": ("pydantic-ai-slim[mcp]==2.68.0",),
    "langchain_story": ("langchain==1.5.2", "langchain-mcp-adapters==0.3.2"),
}
STORY = ["search_models", "estimate_cost", "generate", "view_media", "job_status"]

pytestmark = pytest.mark.proof


def python_of(client: str) -> Path:
    """Return the interpreter of *client*'s environment, made when it is not there."""
    room = HERE / ".venv" / client
    program = room / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    kept = room / "pins.json"
    pins = PINS[client]
    if kept.exists() and json.loads(kept.read_text("utf-8")) == list(pins):
        return program
    for command in (
        [sys.executable, "-m", "venv", "--clear", room],
        [program, "-m", "pip", "install", "--quiet", *pins],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            pytest.skip(f"{', '.join(pins)} cannot be fetched: {done.stderr[-200:]}")
    kept.write_text(json.dumps(pins), "utf-8")
    return program


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_a_client_of_the_first_sdk_makes_a_picture_and_looks_at_it(
    tmp_path: Path, transport: str
) -> None:
    program = python_of("old")
    with target(tmp_path, transport) as there:
        check(told([program, PROGRAMS / "old.py", *there], tmp_path))


@pytest.mark.parametrize("framework", ["pydantic_story", "langchain_story"])
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_an_agent_plays_a_whole_story_with_what_its_framework_shows_it(
    tmp_path: Path, framework: str, transport: str
) -> None:
    program = python_of(framework)
    with target(tmp_path, transport) as there:
        story = told([program, PROGRAMS / f"{framework}.py", *there], tmp_path)
    assert story["calls"] == STORY
    assert story["tools"] == [tool.name for tool in TOOLS]
    assert "0.00" in story["price"]
    assert story["job"] in story["last"]
    assert "done" in story["last"]
