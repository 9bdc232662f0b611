"""What would break on Windows and macOS, as far as it shows on Linux."""

import ast
import errno
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.cli.install import HOSTS
from server.deploy.isolation import child_environment
from server.emulator.shelf import safe_name
from server.home import is_device, taken_by
from server.jobs.files import hash_of, place
from tests.house import environment

ROOT = Path(__file__).parent.parent
POSIX_ONLY = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"}
ABSENT = {"SIGKILL", "SIGHUP", "SIGALRM", "SIGUSR1", "AF_UNIX", "O_NOFOLLOW", "O_DIRECTORY"}
NAMED = re.compile(rf"\b(?:import|from) (?:{'|'.join(POSIX_ONLY)})\b|\.(?:{'|'.join(ABSENT)})\b")


def on_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run when a module is imported, but for what is tried or asked."""
    for each in body:
        if isinstance(each, ast.ClassDef):
            yield from on_import(each.body)
        elif not isinstance(each, ast.Try | ast.If | ast.FunctionDef | ast.AsyncFunctionDef):
            yield each


def test_no_module_needs_at_its_import_what_only_posix_has() -> None:
    found: list[str] = []
    for room in ("catalog", "tools", "prompts", "server", "falkit"):
        for path in (ROOT / room).rglob("*.py"):
            text = path.read_text("utf-8")
            # Programs of their own, which are started where there are namespaces only.
            if "child" in path.parts or not NAMED.search(text):
                continue
            for statement in on_import(ast.parse(text).body):
                names = {
                    *(each.name for each in getattr(statement, "names", ())),
                    getattr(statement, "module", None),
                    *(each.attr for each in ast.walk(statement) if isinstance(each, ast.Attribute)),
                }
                if names & (POSIX_ONLY | ABSENT):
                    found.append(f"{path.relative_to(ROOT)}:{statement.lineno}")
    assert found == []


def test_names_that_mean_devices_or_another_folder_are_seen() -> None:
    assert [name for name in ("con", "AUX.txt", "com1", "Nul.tar.gz") if not is_device(name)] == []
    assert [name for name in ("console", "com10", "a.con", "nil") if is_device(name)] == []
    assert safe_name("../aux.png") == "_aux.png"
    assert taken_by("Fox", ["fox", "bear"], folds=True) == "fox"
    assert taken_by("fox", ["fox", "bear"], folds=True) == ""
    assert taken_by("Fox", ["fox"], folds=False) == ""


def test_a_file_comes_home_where_windows_knows_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(source: Path, target: Path) -> None:
        raise OSError(errno.EINVAL, "Incorrect function", str(target))

    monkeypatch.setattr(os, "link", refused)
    part = tmp_path / "part"
    part.write_bytes(b"fox")
    assert place(part, tmp_path / "fox.png", hash_of(part)) == tmp_path / "fox.png"
    assert not part.exists()


@pytest.mark.parametrize(
    ("system", "file"),
    [
        ("darwin", "Library/Application Support/Claude/claude_desktop_config.json"),
        ("win32", "Roaming/Claude/claude_desktop_config.json"),
    ],
)
def test_hosts_keep_their_settings_where_the_system_does(
    system: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setenv("APPDATA", str(tmp_path / "Roaming"))
    assert HOSTS["claude-desktop"].file(tmp_path) == tmp_path / file


def test_a_child_on_windows_has_what_python_needs_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("SYSTEMROOT", r"C:\Windows")
    told = child_environment(tmp_path / "home", tmp_path / "own", {})
    assert told["SYSTEMROOT"] == r"C:\Windows"
    assert told["USERPROFILE"] == str(tmp_path / "home")


@pytest.mark.proof
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_every_verb_writes_into_pipes_of_any_encoding(tmp_path: Path, encoding: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAL")}
    env = {**kept, **environment(tmp_path), "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    for argv in (
        ["--help"],
        ["search", "Füchse ☾"],
        ["run", "fal-ai/flux/schnell", "ein Füchschen ☾"],
        ["run", "fal-ai/flux/schnell", "--help"],
        ["jobs"],
        ["show", "fal-ai/flux/schnell"],
        ["spending", "--csv"],
        ["doctor"],
        ["install", "codex", "--print"],
        ["app", "new", "cpu", "hello-app"],
        ["app", "check", "hello-app"],
        ["keep", "--once"],
    ):
        command = [sys.executable, "-m", "falkit", *argv]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=False)
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
        done.stdout.decode(encoding)
    command = [sys.executable, "-m", "falkit", "code", "fal-ai/flux/schnell", "prompt=☾"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=True)
    assert "☾" in done.stdout.decode("utf-8")  # a program is UTF-8 everywhere
