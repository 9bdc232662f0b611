"""Every test runs on the emulator, without a key, in a home of its own."""

import gc
import os
from pathlib import Path

import certifi
import pytest

gc.disable()  # until all tests are collected; what is there then is never garbage


def pytest_collection_finish() -> None:
    """Keep what was imported and collected out of every later search for garbage."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of one authority: no test calls the world, and a hundred take long to read."""
    first, end, _ = Path(certifi.where()).read_text("ascii").partition("-----END CERTIFICATE-----")
    file = tmp_path_factory.mktemp("authority") / "one.pem"
    file.write_text(first[first.index("-----BEGIN") :] + end + "\n", "ascii")
    return file


@pytest.fixture(autouse=True)
def private_world(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, authority: Path
) -> Path:
    """Drop what a person has set for falkit and for fal, here and in processes that tests start."""
    for name in os.environ:
        if name.startswith(("FAL_", "FALKIT_")):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("FALKIT_BACKEND", "emulator")
    monkeypatch.setenv("FALKIT_HOME", str(home))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    return home
