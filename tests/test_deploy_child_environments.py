"""Environments for apps: made once, whole or not at all, and refused in words."""

import os
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from server.deploy.environments import (
    Allowed,
    AppEnvironment,
    ToolEnvironment,
    app_environment,
    condensed,
    installer_environment,
    tool_environment,
)
from server.deploy.inspecting import inspect
from server.deploy.targets import Tell
from tests.deployed import told, tool, written
from tools.errors import BackendError, NotConfiguredError


def wheel(folder: Path, name: str, version: str, source: str, needs: str = "") -> None:
    """Write a package as an index would have it."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as made:
        made.writestr(f"{name}.py", source)
        requires = f"Requires-Dist: {needs}\n" if needs else ""
        made.writestr(
            f"{info}/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}",
        )
        made.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        made.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the option that leads to a small index; no other is asked."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_OFFLINE", "1")
    folder = tmp_path / "index"
    wheel(folder, "tinydb", "9.9", "VERSION = 'of the app'")  # fal brings another
    wheel(folder, "dish", "1.0", "NAME = 'soup'")
    wheel(folder, "spoon", "1.0", "", needs="dish==2.0")
    return f"--find-links {folder}"


@pytest.mark.proof
async def test_what_an_app_pins_wins_over_what_fal_brings_and_is_installed_once(
    tmp_path: Path, index: str
) -> None:
    source = """
import tinydb, dish, fastapi
class A(fal.App):
    app_name = "-".join([tinydb.VERSION, dish.NAME, fal.__version__])
    @fal.endpoint("/")
    def run(self, i: In) -> dict: return {}
"""
    home, lines = tmp_path / "home", list[str]()

    async def tell(share: float, words: str) -> None:
        lines.append(words)

    fal = await tool(home)
    with anyio.fail_after(60):
        made = await app_environment(home, fal, [index, "tinydb==9.9", "dish"], tell)
        count = len(lines)
        again = await app_environment(home, fal, [index, "tinydb==9.9", "dish"], tell)
        folder = written(tmp_path / "source", source)
        app = await inspect(folder, "app.py", "", fal, made)

    assert app.app_name == f"of the app-soup-{fal.fal_version}"
    assert again == made
    assert len(lines) == count
    assert lines[0] == "installing 3 requirements, once"
    assert any(line.startswith(("Installing", "Installed", "Prepared")) for line in lines)


@pytest.mark.proof
async def test_two_who_need_the_same_at_once_get_one_and_a_dead_one_s_leavings_are_cleared(
    tmp_path: Path, index: str
) -> None:
    home, lines = tmp_path / "home", list[str]()
    fal = await tool(home)
    found: list[AppEnvironment] = []

    async def tell(share: float, words: str) -> None:
        lines.append(words)

    async def make() -> None:
        found.append(await app_environment(home, fal, [index, "dish"], tell))

    shelf = home / "deploy" / "envs"
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(make)
            tasks.start_soon(make)
        first, second = found
        (shelf / f"{first.key}.json").unlink()  # as when the process died before it was whole
        renewed = await app_environment(home, fal, [index, "dish"], tell)

    assert first == second
    assert "another falkit is making this environment; waiting for it" in lines
    assert renewed.folder != first.folder
    assert [one.name for one in shelf.iterdir() if one.is_dir()] == [renewed.folder.name]


@pytest.mark.proof
async def test_an_interrupted_install_leaves_nothing_half(tmp_path: Path, index: str) -> None:
    home = tmp_path / "home"
    fal = await tool(home)
    with anyio.fail_after(60), anyio.CancelScope() as scope:

        async def tell(share: float, words: str) -> None:
            if share:
                scope.cancel()
                await anyio.sleep(10)

        await app_environment(home, fal, [index, "dish"], tell)

    assert scope.cancelled_caught
    left = [one.name for one in (home / "deploy" / "envs").iterdir()]
    assert [name for name in left if not name.endswith(".lock")] == []


@pytest.mark.proof
@pytest.mark.parametrize(
    ("requirements", "words"),
    [
        (["dish==7.0"], ["dish==7.0", "check the name and version"]),
        (["spoon"], ["dish==2.0"]),
        (["dish==1.0", "dish==2.0"], ["dish", "2.0"]),
    ],
    ids=["version", "need", "conflict"],
)
async def test_an_install_that_fails_says_which_requirement_and_what_next(
    tmp_path: Path, index: str, requirements: Sequence[str], words: Sequence[str]
) -> None:
    fal = await tool(tmp_path / "home")
    with anyio.fail_after(60), pytest.raises(BackendError) as failure:
        await app_environment(tmp_path / "home", fal, [index, *requirements], told)

    for part in words:
        assert part in str(failure.value)
    assert len(str(failure.value)) < 800


@pytest.mark.parametrize(
    ("requirement", "allowed", "words"),
    [
        ("torch==2.9.0", Allowed(), "sized for a GPU"),
        ("Torch", Allowed(source=True), "sized for a GPU"),
        ("nvidia-cublas-cu12", Allowed(), "sized for a GPU"),
        ("flash_attn>=2", Allowed(), "sized for a GPU"),
        ("git+https://example.com/x.git", Allowed(large=True), "built from source"),
        ("dish @ https://example.com/dish.tar.gz", Allowed(), "built from source"),
        (".[dev]", Allowed(), "a folder or file of this machine"),
        ("./dish", Allowed(source=True, large=True), "a folder or file of this machine"),
        ("-r /etc/passwd", Allowed(source=True), "an option"),
        ("--no-binary :all:", Allowed(), "an option"),
        ("dish --config-settings=x", Allowed(), "an option"),
        ("dish\n--no-binary :all:", Allowed(), "an option"),
    ],
)
async def test_requirements_that_this_machine_should_not_install_are_refused(
    tmp_path: Path, requirement: str, allowed: Allowed, words: str
) -> None:
    nowhere = ToolEnvironment(Path(sys.executable), tmp_path, "1.83.0")

    with pytest.raises(BackendError, match=words):
        await app_environment(tmp_path, nowhere, [requirement], told, allowed=allowed)

    assert list(tmp_path.iterdir()) == []


async def test_an_app_without_requirements_runs_with_the_tool_s_own_python(tmp_path: Path) -> None:
    fal = ToolEnvironment(Path("/somewhere/bin/python"), tmp_path, "1.83.0")

    made = await app_environment(tmp_path, fal, ["", " "], told)

    assert (made.python, made.key) == (fal.python, "")


async def test_an_interpreter_without_fal_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://example.com/simple")
    monkeypatch.setenv("FAL_KEY", "real:secret")
    monkeypatch.setenv("HF_TOKEN", "secret")
    tell: Tell = told
    with pytest.raises(NotConfiguredError, match="has no fal"):
        await tool_environment(tmp_path, tell, given=Path(sys.executable))
    with pytest.raises(NotConfiguredError, match="is no Python that runs"):
        await tool_environment(tmp_path, tell, given=tmp_path / "python")

    seen = installer_environment()
    assert seen["PIP_INDEX_URL"] == os.environ["PIP_INDEX_URL"]
    assert not {"FAL_KEY", "HF_TOKEN", "FALKIT_HOME"} & set(seen)


def test_an_installer_s_page_of_words_becomes_the_lines_that_say_why() -> None:
    pip = (
        "Looking in links: /index\nProcessing ./spoon-1.0-py3-none-any.whl\n"
        "ERROR: Could not find a version that satisfies the requirement dish==2.0 (from spoon)\n"
        "ERROR: No matching distribution found for dish==2.0\n"
    )
    uv = (
        "  \u00d7 No solution found when resolving dependencies:\n"
        "  ╰─▶ Because there is no version of dish==2.0 and spoon depends on dish==2.0, we can\n"
        "      conclude that your requirements are unsatisfiable.\n"
    )

    assert condensed(pip.splitlines()) == (
        "Could not find a version that satisfies the requirement dish==2.0 (from spoon);"
        " No matching distribution found for dish==2.0"
    )
    assert condensed(uv.splitlines()) == (
        "No solution found when resolving dependencies:; Because there is no version of dish==2.0"
        " and spoon depends on dish==2.0, we can conclude that your requirements are unsatisfiable."
    )
