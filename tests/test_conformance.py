"""The official conformance suite against falkit as it is served (`make conform`)."""

import os
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.node import node, npm_install

HERE = Path(__file__).parent / "conformance"
SUITE = HERE / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
# How many scenarios of a server each set scores; a run that found fewer has proven nothing.
SCORED = {"2025-11-25": 30, "2026-07-28": 37}
# Checks of scenarios that no set scores and falkit has no counterpart of: a task that ends in a
# protocol error, and one that asks two questions at once.
BESIDE = {"tasks-lifecycle": 1, "tasks-mrtr-input": 1}

pytestmark = pytest.mark.proof


@contextmanager
def served(*flags: str) -> Generator[str]:
    """Yield the address of the served program."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAL")}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.conformance.served", *flags],
        cwd=HERE.parent.parent,
        env=kept,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address, "the served program did not start"
            yield address
        finally:
            process.terminate()


@pytest.mark.parametrize(
    ("requirements", "flags"),
    [
        pytest.param("2025-11-25", ["--sessions"], id="the older set, with sessions"),
        pytest.param("2026-07-28", ["--sessions"], id="the newer set, with sessions"),
        pytest.param("2026-07-28", [], id="the newer set, as falkit serves by default"),
    ],
)
def test_every_scored_scenario_of_the_suite_passes(
    tmp_path: Path, requirements: str, flags: list[str]
) -> None:
    npm_install(HERE)
    with served(*flags) as address:
        done = subprocess.run(
            [node(), SUITE, "server", "--url", address, "--requirements", requirements],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    summary, _, unscored = done.stdout.partition("=== SUMMARY ===")[2].partition("Not scored")
    beside = set(re.findall(r"^  . ([\w-]+) \(", unscored, re.MULTILINE))
    found = re.findall(r"^(.) ([\w-]+): (\d+) passed, (\d+) failed", summary, re.MULTILINE)
    scored = {name: line for line in found if (name := line[1]) not in beside}
    wrong = [line for line in scored.values() if line[0] != "✓" or line[3] != "0"]
    assert wrong == [], done.stdout[-3000:]
    assert len(scored) == SCORED[requirements]
    assert sum(int(line[2]) for line in scored.values()) >= 2 * len(scored)
    assert done.returncode == 0
    failing = {
        name: int(line[3]) for line in found if (name := line[1]) in beside and line[3] != "0"
    }
    assert failing == (BESIDE if requirements == "2026-07-28" else {}), done.stdout[-3000:]
