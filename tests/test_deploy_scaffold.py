"""Templates: sixteen apps that hold to every rule, written all at once and never over anything."""

import ast
import json
from pathlib import Path

import pytest

from catalog.errors import ActionableError
from server.deploy.inspecting import inspect
from server.deploy.lint import lint
from server.deploy.scaffold import scaffold, templates
from tests.deployed import tool

ISSUE = [
    "text-to-image",
    "lora",
    "image-edit",
    "video",
    "tts",
    "speech-to-text",
    "upscaler",
    "llm",
    "comfyui",
    "proxy",
    "streaming",
    "realtime",
    "cpu",
    "container",
    "training",
    "batch",
]


def test_there_is_a_template_for_every_kind_that_the_tool_names() -> None:
    assert sorted(templates()) == sorted(ISSUE)


@pytest.mark.parametrize("name", ISSUE)
def test_a_template_breaks_no_rule_and_leaves_no_gap(name: str, tmp_path: Path) -> None:
    made = scaffold(name, tmp_path / "my-first-app")
    assert set(made.files) == {"README.md", "app.py", "request.json"}
    texts = {file: (made.folder / file).read_text("utf-8") for file in made.files}
    assert not [file for file, text in texts.items() if "@" in text.replace("@fal", "")]
    found = lint({"app.py": texts["app.py"]}, entry="app.py")
    assert [finding.code for finding in found.findings] == []
    assert found.app == "my-first-app"
    assert found.settings.auth == "private"
    assert found.settings.max_concurrency is not None
    ast.parse(texts["app.py"])
    assert json.loads(texts["request.json"])
    assert 3 <= len(made.choices) <= 8
    assert all(line in texts["README.md"] for line in made.choices)


def test_what_others_call_a_template_finds_it_and_a_stranger_is_told_the_nearest(
    tmp_path: Path,
) -> None:
    assert "app.py" in scaffold("Whisper", tmp_path / "ears").files
    with pytest.raises(ActionableError, match="did you mean upscaler"):
        scaffold("upscalar", tmp_path / "other")
    with pytest.raises(ActionableError, match=r"no machine type.*GPU-H100"):
        scaffold("cpu", tmp_path / "other", machine="h100")
    with pytest.raises(ActionableError, match="makes no name"):
        scaffold("cpu", tmp_path / "other", name="42")
    assert not (tmp_path / "other").exists()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("keep me", "utf-8")
    with pytest.raises(ActionableError, match="not empty"):
        scaffold("cpu", folder)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert scaffold("cpu", empty).folder == empty
    with pytest.raises(ActionableError, match="not empty"):
        scaffold("cpu", empty)


def test_a_folder_that_cannot_be_written_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")
    with pytest.raises(ActionableError, match="cannot be written"):
        scaffold("cpu", tmp_path / "file" / "app")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.proof
@pytest.mark.parametrize("name", ISSUE)
async def test_fal_itself_imports_a_template_without_its_heavy_packages(
    name: str, tmp_path: Path
) -> None:
    made = scaffold(name, tmp_path / "my-first-app")
    seen = await inspect(made.folder, "app.py", "", await tool(tmp_path))
    assert seen.app_name == "my-first-app"
    assert seen.routes
    properties = seen.routes[0].input_schema["properties"]
    assert set(json.loads((made.folder / "request.json").read_text("utf-8"))) <= set(properties)
