"""Every test runs on the emulator, without a key, in a home of its own."""

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def private_world(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Drop what a person has set for falkit and for fal, here and in processes that tests start."""
    for name in os.environ:
        if name.startswith(("FAL_", "FALKIT_")):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("FALKIT_BACKEND", "emulator")
    monkeypatch.setenv("FALKIT_HOME", str(home))
    return home
