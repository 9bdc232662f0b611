"""The verbs of the Makefile: what they let through to the programs they start."""

import os
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
SPY = """#!/bin/sh
case "$*" in *compileall*) exit 0;; esac
env
ls -d "$FALKIT_HOME" && exit 3
"""


@pytest.mark.parametrize("verb", ["demo", "test", "bench", "proof"])
def test_a_persons_settings_reach_no_demo_test_or_benchmark(tmp_path: Path, verb: str) -> None:
    for program in ("python", "falkit"):  # in place of the real ones, to tell what they would see
        (tmp_path / program).write_text(SPY)
        (tmp_path / program).chmod(0o755)
    theirs = {
        "FAL_KEY": "theirs",
        "FAL_KEY_SECRET": "theirs",
        "FALKIT_BACKEND": "cloud",
        "FALKIT_HOME": "theirs",
        "FALKIT_QUEUE_URL": "theirs",
        "FALCON": "not ours to drop",
    }
    made = subprocess.run(
        [
            "make",
            verb,
            f"BIN={tmp_path}",
            "--old-file=.venv/ready",
            "--old-file=.venv-deploy/ready",
        ],
        cwd=CHECKOUT,
        env={**os.environ, **theirs},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert made.returncode != 0  # what the program ends with, the verb does
    said = made.stdout.splitlines()
    seen = dict(line.split("=", 1) for line in said if line.startswith("FAL") and "=" in line)
    home = Path(seen.pop("FALKIT_HOME"))
    assert seen == {"FALKIT_BACKEND": "emulator", "FALCON": "not ours to drop"}
    assert str(home) in said
    assert not home.exists()
