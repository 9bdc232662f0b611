"""`falkit install HOST`: put falkit into a host's settings, with nothing lost, and take it out."""

import difflib
import json
import os
import re
import stat
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from catalog.errors import ActionableError
from server.cli import interrupting, jsonc
from server.cli.connect import serve_command
from server.cli.tables import with_table
from server.cli.yes import is_person_here, says_yes
from server.settings import Settings

NAME = "falkit"
BACKUP = ".before-falkit"

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Host:
    """A program that starts MCP servers: the file of its settings, and where in it they stand."""

    name: str
    title: str
    file: Callable[[Path], Path]
    key: str = "mcpServers"
    form: Literal["json", "toml"] = "json"
    fixed: Mapping[str, str] = field(default_factory=dict[str, str])


def _data(person: Path) -> Path:
    """Return where programs of this system keep a person's settings."""
    if sys.platform == "darwin":
        return person / "Library" / "Application Support"
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or person / "AppData" / "Roaming")
    return Path(os.environ.get("XDG_CONFIG_HOME") or person / ".config")


# As the hosts document it, read in autumn 2026; only Linux was at hand to try the files on.
HOSTS = {
    host.name: host
    for host in (
        Host("claude-code", "Claude Code", lambda person: person / ".claude.json"),
        Host(
            "claude-desktop",
            "Claude Desktop",
            lambda person: _data(person) / "Claude" / "claude_desktop_config.json",
        ),
        Host("cursor", "Cursor", lambda person: person / ".cursor" / "mcp.json"),
        Host(
            "vscode",
            "VS Code",
            lambda person: _data(person) / "Code" / "User" / "mcp.json",
            key="servers",
            fixed={"type": "stdio"},
        ),
        Host(
            "codex",
            "Codex",
            lambda person: person / ".codex" / "config.toml",
            key="mcp_servers",
            form="toml",
        ),
        Host("gemini", "Gemini CLI", lambda person: person / ".gemini" / "settings.json"),
    )
}


def host_named(name: str) -> Host:
    """Return the host called *name*.

    Raises:
        ActionableError: falkit knows no such host.
    """
    plain = re.sub(r"[\s_]+", "-", name.strip().lower())
    plain = {"vs-code": "vscode", "code": "vscode", "gemini-cli": "gemini"}.get(plain, plain)
    if plain not in HOSTS:
        raise ActionableError(
            f"no host {name[:40]!r} is known", hint=f"there are {', '.join(HOSTS)}"
        )
    return HOSTS[plain]


@dataclass(frozen=True, slots=True)
class Change:
    """What a host's settings are and would be; None stands for no file."""

    host: Host
    path: Path
    before: str | None
    after: str | None

    @property
    def difference(self) -> str:
        """The lines of falkit's own entry that change, its key left out; others' are not shown."""
        lines = difflib.unified_diff(
            _own_lines(self.host, self.before, self.path),
            _own_lines(self.host, self.after, self.path),
            str(self.path),
            str(self.path),
            lineterm="",
        )
        return "\n".join(lines)


def entry_of(host: Host, path: Path) -> Entry:
    """Return the entry of falkit in the settings at *path*, empty where there is none.

    Raises:
        ActionableError: the file cannot be read as what it should be.
    """
    return _entry_in(host, _read(path), path)


def installed(host: Host, path: Path, env: Mapping[str, str]) -> Change:
    """Return the change that puts falkit into the settings at *path*, with *env* for it.

    Raises:
        ActionableError: the file cannot be read as what it should be.
    """
    command, *arguments = serve_command()
    entry: Entry = {**host.fixed, "command": command, "args": arguments}
    before = _read(path)
    kept = _entry_in(host, before, path).get("env")
    own = {**cast("dict[str, str]", kept if isinstance(kept, dict) else {}), **env}
    if own:
        entry["env"] = own
    return Change(host, path, before, _with(host, before, path, entry))


def taken_out(host: Host, path: Path) -> Change:
    """Return the change that undoes `installed`: the entry that stood there before, or none.

    Raises:
        ActionableError: there is nothing to undo.
    """
    before = _read(path)
    entry = _entry_in(host, before, path)
    if before is None or not entry:
        raise ActionableError(f"{path} has no entry for falkit", hint="there is nothing to undo")
    backup = path.with_name(path.name + BACKUP)
    earlier = _read(backup)
    if before == _with(host, earlier, path, entry):  # nobody wrote anything since
        return Change(host, path, before, earlier)
    old = _entry_in(host, earlier, backup)
    return Change(host, path, before, _with(host, before, path, old or None))


def carry_out(change: Change) -> Path | None:
    """Write the change, and return where the file as it was lies, if there was one.

    Raises:
        ActionableError: the file changed meanwhile, or cannot be written.
    """
    path = change.path.resolve()
    if _read(path) != change.before:
        raise ActionableError(f"{path} changed meanwhile; nothing was written", hint="run it again")
    backup = path.with_name(path.name + BACKUP)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if change.before is not None and not _entry_in(change.host, change.before, path):
            _write_whole(backup, change.before, path)
        if change.after is None:
            path.unlink()
        else:
            _write_whole(path, change.after, path)
    except OSError as problem:
        raise ActionableError(f"{path} cannot be written: {problem.strerror}") from problem
    return backup if backup.exists() else None


def _own_lines(host: Host, text: str | None, path: Path) -> list[str]:
    """Return falkit's entry in *text* as lines, with the value of a key left out."""
    entry = _entry_in(host, text, path)
    if not entry:
        return []
    env = {
        name: "…" if name == "FAL_KEY" else value for name, value in entry.get("env", {}).items()
    }
    shown = {**entry, "env": env} if env else entry
    if host.form == "toml":
        return with_table("", (host.key, NAME), shown).splitlines()
    return json.dumps({host.key: {NAME: shown}}, indent=2, ensure_ascii=False).splitlines()


def _write_whole(path: Path, text: str, like: Path) -> None:
    """Write *text* to *path*, whole or not at all, with the permissions of *like*.

    What holds a key is for its owner only.
    """
    mode = stat.S_IMODE(like.stat().st_mode) if like.exists() else 0o600
    if "FAL_KEY" in text:
        mode = 0o600
    descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        os.chmod(part, mode)  # noqa: PTH101  # as the lines around it
        os.replace(part, path)  # noqa: PTH105  # atomic also where the target exists
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as problem:
        raise ActionableError(f"{path} cannot be read as text") from problem


def _parsed(host: Host, text: str | None, path: Path) -> dict[str, Any]:
    plain = (text or "").removeprefix("\ufeff")
    if not plain.strip():
        return {}
    try:
        found: Any = tomllib.loads(plain) if host.form == "toml" else jsonc.read(plain).value
    except ValueError as problem:
        raise ActionableError(
            f"{path} cannot be read as {host.form.upper()}: {problem}; nothing was written",
            hint="correct it, or add the entry that `falkit install --print` shows by hand",
        ) from problem
    table = cast("dict[str, Any]", found) if isinstance(found, dict) else {host.key: None}
    if not isinstance(table.get(host.key, {}), dict):
        raise ActionableError(f"{host.key} in {path} is no table of servers; nothing was written")
    return table


def _entry_in(host: Host, text: str | None, path: Path) -> Entry:
    entry = _parsed(host, text, path).get(host.key, {}).get(NAME, {})
    return cast("Entry", entry) if isinstance(entry, dict) else {}


def _with(host: Host, text: str | None, path: Path, entry: Entry | None) -> str:
    """Return *text* with *entry* for falkit, or without one; all other bytes stay as they are.

    Raises:
        ActionableError: that cannot be done without loss.
    """
    before = _parsed(host, text, path)
    made = (
        with_table(text or "", (host.key, NAME), entry)
        if host.form == "toml"
        else jsonc.with_entry(text or "", (host.key, NAME), entry)
    )
    try:
        after = _parsed(host, made, path)
    except ActionableError:
        after = {}
    own = after.get(host.key, {}).get(NAME)
    if own != entry or _others(after, host.key) != _others(before, host.key):
        raise ActionableError(
            f"{path} writes its servers in a way that falkit cannot change without loss; "
            "nothing was written",
            hint="add the entry that `falkit install --print` shows by hand",
        )
    return made


def _others(found: Mapping[str, Any], key: str) -> dict[str, Any]:
    servers = {name: value for name, value in found.get(key, {}).items() if name != NAME}
    return {**{name: value for name, value in found.items() if name != key}, key: servers}


def install(  # one for each option
    name: str,
    *,
    file: str,
    key_file: str,
    with_key: bool,
    undo: bool,
    yes: bool,
    show: bool,
) -> None:
    """Show the change to the settings of the host called *name*, ask, and carry it out.

    Raises:
        ActionableError: there is no such host, or its file cannot be changed without loss.
    """
    host = host_named(name)
    path = Path(file).expanduser() if file else host.file(Path.home())
    env = _env(key_file, with_key=with_key)
    if show:
        command, *arguments = serve_command()
        entry = {**host.fixed, "command": command, "args": arguments}
        blank = Change(host, path, None, _with(host, None, path, entry))
        print(blank.after or "", end="")
        return
    change = taken_out(host, path) if undo else installed(host, path, env)
    if change.before == change.after:
        print(f"{path} has it already; nothing to change")
        return
    print(change.difference)
    if not yes:
        if not is_person_here():
            raise ActionableError("nobody is there to say yes", hint="--yes says it")
        if not interrupting.run(says_yes, f"Write this to {path}?"):
            print("nothing was written")
            return
    backup = carry_out(change)
    done = "is written" if change.after is not None else "is gone again, as before falkit"
    print(f"{path} {done}" + (f"; as it was: {backup}" if backup and not undo else ""))
    back = "" if undo else f" `falkit install {host.name} --undo` takes it back."
    print(f"Start {host.title} anew.{back}")
    if not undo and "FAL_KEY" not in str(change.after) and not os.environ.get("FAL_KEY_FILE"):
        print("Without a key it uses the emulator: --key-file PATH names a file that holds one.")


def _env(key_file: str, *, with_key: bool) -> dict[str, str]:
    """Return what is written of the key: the path of its file, or itself only when told to.

    Raises:
        ActionableError: there is no key, or what there is does not look like one.
    """
    env: dict[str, str] = {}
    if key_file:
        path = Path(key_file).expanduser().resolve()
        if not path.is_file():
            raise ActionableError(f"there is no file {str(path)!r}", hint="write the key into it")
        env["FAL_KEY_FILE"] = str(path)
    if with_key:
        key = os.environ.get("FAL_KEY", "").strip()
        if not key:
            raise ActionableError("FAL_KEY is not set", hint="set it, or use --key-file PATH")
        env["FAL_KEY"] = key
    for name, value in env.items():
        Settings.read({name: value})  # a host would start a server that refuses it
    return env
