"""The Python that an app asks for: found, brought, or plainly said not to be here."""

import sys
from pathlib import Path

import pytest

from server.deploy.pythons import interpreter, minor_of, own_minor, unlike


def test_the_minor_version_is_read_off_what_an_app_says() -> None:
    said = ("3.12", "3.12.4", " 3.9", "3.123", "2.7", "", "python3")
    assert [minor_of(one) for one in said] == ["3.12", "3.12", "3.9", "", "", "", ""]


@pytest.mark.skipif(sys.platform == "win32", reason="scripts start otherwise there")
async def test_a_python_is_used_only_where_it_is_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    def script(name: str, body: str) -> None:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{body}\n", "utf-8")
        path.chmod(0o755)

    script("python3.98", "echo 3.98 /opt/python3.98")
    script("python3.97", "exit 127")  # a version manager's name for what is not installed
    script("python3.96", "echo 3.11 /usr/bin/python3")
    assert await interpreter("3.98") == "/opt/python3.98"
    assert [await interpreter(one) for one in ("3.97", "3.96", "3.95")] == [None] * 3
    assert await interpreter(own_minor()) == sys.executable
    assert "runs with 3.11" in await unlike("3.97.2", "3.11")
    assert "environment of its own" in await unlike("3.98", "3.11")
    assert await unlike("3.11", "3.11") == await unlike("", "3.11") == ""
    script("uv", "exit 1")
    assert await interpreter("3.95") == "3.95"
