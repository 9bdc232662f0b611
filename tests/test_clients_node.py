"""The Inspector and both TypeScript clients, unmodified, with a served falkit (`make conform`)."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.node import node, npm_install
from tests.told_stories import HERE, OURS, by_address, check, private, target, told
from tools.inventory import TOOLS

JS = HERE / "js"
MODULES = JS / "node_modules" / "@modelcontextprotocol"
INSPECTOR = MODULES / "inspector" / "clients" / "launcher" / "build" / "index.js"

pytestmark = pytest.mark.proof


@pytest.fixture(autouse=True, scope="module")
def clients() -> None:
    npm_install(JS)


def inspect(home: Path, *arguments: str) -> tuple[int, str, str]:
    """Return how the Inspector's command line ended, and what it printed."""
    done = subprocess.run(
        [node(), INSPECTOR, "--cli", *arguments, "--format", "json", "-q"],
        env=private(home),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_a_typescript_client_makes_a_picture_and_looks_at_it(
    tmp_path: Path, version: str, transport: str
) -> None:
    with target(tmp_path, transport) as there:
        check(told([node(), JS / "story.mjs", version, *there], tmp_path))


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_finds_every_schema_portable(tmp_path: Path, era: str) -> None:
    ended, said, complaints = inspect(
        tmp_path, *OURS, "--protocol-era", era, "--method", "tools/list", "--strict"
    )
    assert ended == 0, complaints
    listed: dict[str, Any] = json.loads(said)
    assert [tool["name"] for tool in listed["result"]["tools"]] == [tool.name for tool in TOOLS]


def test_the_inspector_tells_a_refused_call_from_a_good_one(tmp_path: Path) -> None:
    calling = ("--protocol-era", "modern", "--method", "tools/call", "--tool-name")
    with by_address(tmp_path) as address:
        asked = json.dumps({"endpoint_id": "fal-ai/flux/dev", "prompt": "a fox"})
        made = inspect(tmp_path, address, *calling, "generate", "--tool-args-json", asked)
        wrong = inspect(tmp_path, address, *calling, "generate", "--tool-args-json", "{}")
    assert (made[0], '"state":"done"' in made[1]) == (0, True), made
    assert (wrong[0], "search_models" in wrong[1]) == (5, True), wrong
