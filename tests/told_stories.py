"""Stories that other people's clients tell, each a program of its own, of a served falkit."""

import json
import os
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.house import environment
from tools.inventory import TOOLS

HERE = Path(__file__).parent / "clients"
OURS = (sys.executable, "-m", "falkit", "serve")


def private(home: Path) -> dict[str, str]:
    """Return the environment of a served falkit with a private *home*."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAL")}
    return {**kept, **environment(home)}


@contextmanager
def by_address(home: Path) -> Generator[str]:
    """Yield the address of `falkit serve --http`, a process of its own."""
    command = [*OURS, "--http", "127.0.0.1:0"]
    with subprocess.Popen(
        command, env=private(home), cwd=home, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            yield next(word for word in said.split() if word.startswith("http://"))
        finally:
            process.terminate()


@contextmanager
def target(home: Path, transport: str) -> Generator[Sequence[str]]:
    """Yield what a client is pointed at: a command, or an address."""
    if transport == "stdio":
        yield OURS
    else:
        with by_address(home) as address:
            yield [address]


def told(program: Sequence[str | Path], home: Path) -> dict[str, Any]:
    """Run *program*, and return the JSON of its last line."""
    done = subprocess.run(
        program,
        env=private(home),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def check(story: Mapping[str, Any]) -> None:
    """Hold what a client told against what it should have met."""
    assert story["tools"] == [tool.name for tool in TOOLS]
    assert "/" in story["model"]
    assert story["price"] in ("exact", "range")
    assert story["state"] == "done"
    assert story["told"] > 0, "no progress came"
    assert story["pictures"] == 1
    assert story["same"]
    assert "unknown tool 'no_such_tool'" in story["refused"]
    assert story["prompts"] > 0
    assert story["guide"] > 500
