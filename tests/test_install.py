"""`falkit install`: hosts' settings keep everything else, and can be taken back."""

import json
import stat
import sys
import tomllib
from pathlib import Path

import pytest

from catalog.errors import ActionableError
from server.cli.install import (
    HOSTS,
    carry_out,
    entry_of,
    host_named,
    install,
    installed,
    taken_out,
)
from server.cli.jsonc import read

OTHERS = {"theme": "dunkel ☾", "mcpServers": {"other": {"command": "x", "args": ["-y", "ä"]}}}


@pytest.mark.parametrize("name", [name for name, host in HOSTS.items() if host.form == "json"])
def test_the_entry_is_added_with_nothing_lost_and_taken_out_again(
    tmp_path: Path, name: str
) -> None:
    host = HOSTS[name]
    path = tmp_path / "settings.json"
    before = {**OTHERS, host.key: {"other": {"command": "x"}}}
    path.write_text(json.dumps(before, indent=4, ensure_ascii=False), "utf-8")
    path.chmod(0o640)
    backup = carry_out(installed(host, path, {}))
    now = json.loads(path.read_text("utf-8"))
    assert now[host.key].pop("falkit")["args"][-1] == "serve"
    assert now == before
    assert "\n    " in path.read_text("utf-8")  # its own indentation
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert backup is not None
    assert json.loads(backup.read_text("utf-8")) == before
    carry_out(taken_out(host, path))
    assert json.loads(path.read_text("utf-8")) == before


CODEX = """# mine
model = "x"

[mcp_servers.other]
command = "y"  # stays

[mcp_servers.other.env]
A = "1"

[tools]
web = true
"""


def test_a_toml_file_keeps_its_comments_and_order(tmp_path: Path) -> None:
    host, path = HOSTS["codex"], tmp_path / "config.toml"
    path.write_text(CODEX)
    carry_out(installed(host, path, {"FAL_KEY_FILE": "/k"}))
    text = path.read_text()
    assert text.startswith(CODEX)
    assert tomllib.loads(text)["mcp_servers"]["falkit"]["env"] == {"FAL_KEY_FILE": "/k"}
    again = installed(host, path, {})
    assert again.before == again.after  # what was set for it stays
    carry_out(taken_out(host, path))
    assert path.read_text() == CODEX


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "[mcp_servers.falkit]\ncommand = 'old'\n\n# of the next\n[x]\na = 1\n", id="own"
        ),
        pytest.param("a = 1\r\n\r\n[mcp_servers.b]\r\nc = [\r\n  1,\r\n]\r\n", id="CRLF"),
        pytest.param("\ufeffa = 1", id="mark, no last line end"),
        pytest.param(
            '[ mcp_servers . "falkit" ] # mine\nx = 1\n[mcp_servers.falkit.env]\nA="1"\n',
            id="blanks",
        ),
    ],
)
def test_every_other_byte_of_a_toml_file_stays_and_undo_gives_all_of_them_back(
    tmp_path: Path, text: str
) -> None:
    host, path = HOSTS["codex"], tmp_path / "config.toml"
    path.write_bytes(text.encode())
    change = installed(host, path, {})
    carry_out(change)
    kept = [line for line in text.splitlines() if "#" in line and "mine" not in line]
    assert set(kept) <= set(path.read_bytes().decode().splitlines())
    assert path.read_bytes().count(b"\r\n") in (0, path.read_bytes().count(b"\n"))
    if "falkit" not in text:
        assert path.read_bytes().startswith(text.encode())
        carry_out(taken_out(host, path))
        assert path.read_bytes() == text.encode()


WRITTEN = {
    "comments": """{
  // my servers
  "theme": "dunkel ☾", /* yes */
  "mcpServers": {
    "b": {"command": "x"}, // keep me
    "a": {
      "args": [1, 2,],
    }  // and me
    // the end
  }
}
""",
    "tabs and a comma at the end": '{\n\t"mcpServers": {\n\t\t"a": {},\n\t},\n\t"z": 1,\n}',
    "one line": '{"z": 1, "mcpServers": {"a": {"x": "}//"}}, "b": [ ]}',
    "one line with a comma": '{"mcpServers": {"a": {},},}',
    "nothing in it": '{\n    "mcpServers": {}\n}\n',
    "only a comment": '{\n    "mcpServers": {\n        // none yet\n    }\n}\n',
    "no table": '{\r\n  "numStartups": 4,\r\n  "tips": {}\r\n}\r\n',
    "empty": "{}",
    "blank": "{ }\n",
    "a mark": '\ufeff{\n  "a": "\\u00e4"\n}\n',
    "empty file": "",
    "twice": '{"mcpServers": {"old": {}}, "mcpServers": {"a": {}}}',
    "odd numbers": '{\n "a": 1.50, "b": 1E5, "c": -0,\n "mcpServers": {"x": {"p": "\\/"}}\n}',
}


@pytest.mark.parametrize("written", [pytest.param(text, id=name) for name, text in WRITTEN.items()])
def test_every_other_byte_of_a_json_file_stays_and_undo_gives_all_of_them_back(
    tmp_path: Path, written: str
) -> None:
    host, path = HOSTS["cursor"], tmp_path / "mcp.json"
    path.write_bytes(written.encode())
    carry_out(installed(host, path, {"FAL_KEY_FILE": "/k"}))
    text = path.read_bytes().decode()
    assert read(text).value["mcpServers"]["falkit"]["env"] == {"FAL_KEY_FILE": "/k"}
    letters = iter(text)
    assert all(letter in letters for letter in written)  # nothing went, nothing changed its place
    assert ("\r\n" in text) == ("\r\n" in written)
    assert entry_of(host, path)["args"][-1] == "serve"
    carry_out(installed(host, path, {"FAL_KEY_FILE": "/other"}))  # again, in its place
    carry_out(taken_out(host, path))
    assert path.read_bytes() == written.encode()


def test_undo_after_others_wrote_takes_only_the_entry(tmp_path: Path) -> None:
    host, path = HOSTS["cursor"], tmp_path / "mcp.json"
    path.write_text(WRITTEN["comments"])
    carry_out(installed(host, path, {}))
    path.write_text(path.read_text().replace('"theme"', '"new": true,\n  "theme"'))
    carry_out(taken_out(host, path))
    assert path.read_text() == WRITTEN["comments"].replace('"theme"', '"new": true,\n  "theme"')


def test_a_file_that_was_made_for_falkit_goes_again(tmp_path: Path) -> None:
    host, path = HOSTS["vscode"], tmp_path / "deep" / "mcp.json"
    assert carry_out(installed(host, path, {})) is None
    carry_out(taken_out(host, path))
    assert not path.exists()


def test_an_entry_that_stood_there_before_comes_back(tmp_path: Path) -> None:
    host, path = HOSTS["cursor"], tmp_path / "mcp.json"
    carry_out(installed(host, path, {}))
    assert set(json.loads(path.read_text())["mcpServers"]) == {"falkit"}
    carry_out(taken_out(host, path))
    with pytest.raises(ActionableError, match="no entry"):
        taken_out(host, path)


@pytest.mark.parametrize(
    "text", ["[1, 2]", '{"mcpServers": []}', "\x00", "{", '{"a": 1 "b": 2}', "{'a': 1}", "{,}"]
)
def test_a_file_that_cannot_be_changed_without_loss_is_left_alone(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(text)
    with pytest.raises(ActionableError, match="nothing was written"):
        installed(HOSTS["cursor"], path, {})
    assert path.read_text() == text


def test_a_key_is_written_only_when_told_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAL_KEY", "abc:verysecret")
    path = tmp_path / "mcp.json"
    wanted = {"file": str(path), "key_file": "", "undo": False, "yes": True, "show": False}
    install("cursor", with_key=False, **wanted)  # pyright: ignore[reportArgumentType]
    assert "verysecret" not in path.read_text()
    install("cursor", with_key=True, **wanted)  # pyright: ignore[reportArgumentType]
    assert "abc:verysecret" in path.read_text()
    assert "verysecret" not in capsys.readouterr().out
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_holds_no_key_is_refused_before_a_host_is_told_of_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("not a key")
    path = tmp_path / "mcp.json"
    with pytest.raises(ActionableError, match="does not look like a fal key"):
        install(
            "cursor", file=str(path), key_file=str(tmp_path / "key"), with_key=False, undo=False,
            yes=True, show=False,
        )  # fmt: skip
    assert not path.exists()


def test_what_others_keep_in_the_file_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    theirs = {"mcpServers": {"other": {"command": "x", "env": {"TOKEN": "ghp_theirs"}}}}
    path.write_text(json.dumps(theirs, indent=8))
    change = installed(HOSTS["cursor"], path, {})
    assert "falkit" in change.difference
    assert "ghp_theirs" not in change.difference


def test_the_change_is_shown_in_the_form_of_the_file_without_its_key(tmp_path: Path) -> None:
    change = installed(HOSTS["codex"], tmp_path / "config.toml", {"FAL_KEY": "id:secret"})
    assert "+[mcp_servers.falkit]" in change.difference
    assert 'FAL_KEY = "…"' in change.difference
    assert "id:secret" not in change.difference


def test_hosts_are_known_by_the_names_people_use() -> None:
    assert host_named("VS Code").name == "vscode"
    assert host_named("Gemini CLI").name == "gemini"
    assert host_named("claude_code").name == "claude-code"
    with pytest.raises(ActionableError, match="claude-desktop"):
        host_named("emacs")
