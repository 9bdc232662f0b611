"""How an app is kept apart from the rest of the machine, and what of it this machine can do."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

CONFINE = Path(__file__).parent / "child" / "confine.py"


@dataclass(frozen=True, slots=True)
class FilesHost:
    """Where addresses of falkit's own files resolve for an app: ``http://host:port/…``.

    A runner without network reaches *socket* there and nothing else; with network, or where the
    machine cannot cut it off, *host* and *port* must be a real loopback address.
    """

    host: str
    port: int
    socket: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What a process may do.

    *readable* folders are shown to it, *writable* ones are its own; *data* is seen as ``/data``
    where the file system can be arranged. Without *network* it reaches *files* only. *cpu_seconds*
    of processor time, 0 for no end.
    """

    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    data: Path | None = None
    network: bool = False
    files: FilesHost | None = None
    memory_bytes: int = 4 << 30
    processes: int = 256
    file_bytes: int = 4 << 30
    cpu_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Confined:
    """A command that runs another one confined, and in plain words how far."""

    command: tuple[str, ...]
    applied: tuple[str, ...]
    not_applied: tuple[str, ...] = field(default=())


def confined(python: Path, wanted: Confinement, command: tuple[str, ...]) -> Confined:
    """Return what to start so that *command* runs as *wanted*, as far as this machine allows.

    *python* starts the small program that arranges it. It may look for a moment (some 50 ms, once
    for a process of falkit) what the machine can do.
    """
    if sys.platform == "win32":
        return Confined(command, ("own process group, own environment",), ("everything else",))
    limits = {
        "NOFILE": 1024,
        "CORE": 0,
        "FSIZE": wanted.file_bytes,
        "NPROC": wanted.processes,
        "DATA": wanted.memory_bytes,
        **({"CPU": wanted.cpu_seconds} if wanted.cpu_seconds else {}),
    }
    asked = json.dumps({"limits": limits, "command": command})
    return Confined((str(python), "-I", "-S", str(CONFINE), asked), ("limits",))


def child_environment(home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of a child: a list of what it may know, and *extra*."""
    path = "/usr/local/bin:/usr/bin:/bin"
    shown = {"PATH": path, "HOME": str(home), "TMPDIR": str(home / "tmp"), "LANG": "C.UTF-8"}
    if sys.platform == "win32":
        shown["PATH"] = os.environ.get("PATH", "")
        shown["SYSTEMROOT"] = os.environ.get("SYSTEMROOT", "")
        shown["TEMP"] = shown["TMP"] = shown["TMPDIR"]
    return {
        **shown,
        "PYTHONNOUSERSITE": "1",
        "PYTHONUNBUFFERED": "1",
        "FAL_CONFIG_PATH": str(home / "no-config.toml"),
        **extra,
    }
