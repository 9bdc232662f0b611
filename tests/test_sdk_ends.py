"""The lowest and the highest SDK that falkit may be installed with, each under a served falkit."""

import site
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from mcp import Client
from packaging.requirements import Requirement

from tests.house import Era, pictures, record, serving
from tests.told_stories import HERE
from tools.inventory import TOOLS

pytestmark = pytest.mark.proof


def allowed() -> Requirement:
    """Return what falkit asks of the SDK."""
    asked = [Requirement(one) for one in requires("falkit") or ()]
    return next(one for one in asked if one.name == "mcp")


def lowest() -> str:
    """Return the version at the lower end of the range."""
    (floor,) = [one.version for one in allowed().specifier if one.operator == ">="]
    return f"=={floor}"


ENDS = {"lowest": lowest(), "highest": str(allowed().specifier)}


def python_with(end: str) -> tuple[Path, str]:
    """Return an interpreter with the SDK of that *end* and all else of ours, and its version.

    The highest is asked for anew each time: it moves.
    """
    room = HERE / ".venv" / f"sdk_{end}"
    program = room / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    pins = [f"{name}{ENDS[end]}" for name in ("mcp", "mcp-types")]
    for command in (
        [sys.executable, "-m", "venv", "--clear", room],
        [program, "-m", "pip", "install", "--quiet", "--no-deps", *pins],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            pytest.skip(f"{', '.join(pins)} cannot be fetched: {done.stderr[-200:]}")
    ask = "import mcp, sysconfig; from importlib.metadata import version; "
    places = (
        f"{ask}print(sysconfig.get_path('purelib')); print(version('mcp')); print(mcp.__file__)"
    )
    (purelib,) = _said(program, "import sysconfig; print(sysconfig.get_path('purelib'))")
    ours = "\n".join(f"import site; site.addsitedir({path!r})" for path in site.getsitepackages())
    (Path(purelib) / "ours.pth").write_text(f"{ours}\n")
    _, version, file = _said(program, places)
    assert Path(file).is_relative_to(room)
    return program, version


def _said(program: Path, code: str) -> list[str]:
    done = subprocess.run([program, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize("end", ENDS)
async def test_falkit_serves_both_eras_with_the_sdk_at_either_end(tmp_path: Path, end: str) -> None:
    program, version = python_with(end)
    assert allowed().specifier.contains(version)
    eras: tuple[Era, ...] = ("auto", "legacy")
    for era in eras:
        home = tmp_path / era
        home.mkdir()
        server = serving(home).model_copy(update={"command": str(program)})
        async with Client(server, mode=era) as client:
            told = [tool.name for tool in (await client.list_tools()).tools]
            assert told == [tool.name for tool in TOOLS]
            found = await client.call_tool("search_models", {"query": "a fast cheap picture"})
            model = record(found)["models"][0]["endpoint_id"]
            made = await client.call_tool("generate", {"endpoint_id": model, "prompt": "a fox"})
            assert record(made)["state"] == "done"
            assert len(pictures(made)) == 1
            refused = await client.call_tool("generate", {"endpoint_id": model, "promt": "a fox"})
            assert refused.is_error
            prompt = await client.get_prompt("text_to_image", {"subject": "a fox"})
            assert "a fox" in prompt.model_dump_json()
