"""The front door, in a folder that holds strangers of the same names."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.raw import speak

SCRIPT = Path(sys.executable).with_name("falkit")
WAYS = {
    "the command": [SCRIPT],
    "python -m": [sys.executable, "-m", "falkit"],
    "python -P -m": [sys.executable, "-P", "-m", "falkit"],
}
EASIER = ("the command", "python -P -m")  # the folder is not on their path
STRANGERS = (
    "tools.py",
    "catalog.py",
    "server/__init__.py",
    "prompts/__init__.py",
    "mcp.py",
    "mcp_types.py",
    "pydantic.py",
    "anyio.py",
    "jinja2.py",
    "typer.py",
    "rich.py",
    "httpx.py",
    "pathlib.py",
    "json.py",
    "gc.py",
    "asyncio.py",
    "argparse.py",
    "logging.py",
)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Make a folder of modules that leave a mark when they are run."""
    folder = tmp_path / "hostile"
    for name in STRANGERS:
        stranger = folder / name
        stranger.parent.mkdir(parents=True, exist_ok=True)
        stranger.write_text(
            f"open({str(tmp_path / 'mark')!r}, 'a').write(__file__ + '\\n')\n"
            "raise SystemExit('a stranger was let in')\n"
        )
    return folder


@pytest.mark.parametrize(
    "way", ["python -m", *(pytest.param(way, marks=pytest.mark.proof) for way in EASIER)]
)
def test_the_server_serves_and_runs_nothing_of_the_folder_it_is_started_in(
    hostile: Path, way: str
) -> None:
    spoken = speak([*WAYS[way], "serve"], ("tools/list", {}), cwd=hostile)
    assert spoken.results[0]["serverInfo"]["name"] == "falkit"
    assert spoken.results[1]["tools"][0]["name"] == "search_models"
    assert (spoken.code, spoken.errors) == (0, "")
    assert not (hostile.parent / "mark").exists()


def test_the_other_commands_run_nothing_of_that_folder_either(hostile: Path) -> None:
    asked = subprocess.run(
        [sys.executable, "-m", "falkit", "--help"],
        cwd=hostile,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    assert "serve" in asked.stdout
    assert not (hostile.parent / "mark").exists()


def test_a_folder_named_like_a_room_elsewhere_on_the_path_does_not_win(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    for room in ("server", "tools", "prompts", "catalog"):
        (elsewhere / room).mkdir(parents=True)
        (elsewhere / room / "__init__.py").write_text("raise SystemExit('the wrong house')\n")
    spoken = speak(
        [*WAYS["python -m"], "serve"],
        ("tools/list", {}),
        cwd=tmp_path,
        env={"PYTHONPATH": str(elsewhere)},
    )
    assert spoken.results[1]["tools"]
    assert spoken.code == 0
