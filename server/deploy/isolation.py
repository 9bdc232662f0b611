"""How an app is kept apart from the rest of the machine, and what of it this machine can do."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

import anyio.to_thread

from server.deploy.folders import short_lived
from server.deploy.groups import Group, made_group

CONFINE = Path(__file__).parent / "child" / "confine.py"

# Address space that threads and allocators reserve and never use, beside the memory of an app.
_RESERVED_BYTES = 768 << 20

Rung = Literal["view", "namespaces", "limits"]


@dataclass(frozen=True, slots=True)
class FilesHost:
    """Where addresses of falkit's own files resolve for an app: ``http://host:port/…``.

    *host* is an address such as ``127.0.0.1``. A runner that is cut off from the network reaches
    *socket* there and nothing else (any *port* from 1024 is free then); with network, or where the
    machine cannot cut it off, *host* and *port* must be a real loopback address that serves the
    same. `is_cut_off` says which.
    """

    host: str
    port: int
    socket: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What a process may do.

    *own* is a new folder of the process alone, its *folder* (in *writable*) where it starts.
    *readable* folders are shown to it and *writable* ones are its own, *sockets* it may speak to;
    *data* is seen as ``/data`` where the file system can be arranged. Without *network* it reaches
    *files* only. *cpu_seconds* of processor time, 0 for no end.
    """

    own: Path
    folder: Path
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    sockets: tuple[Path, ...] = ()
    data: Path | None = None
    network: bool = False
    files: FilesHost | None = None
    memory_bytes: int = 4 << 30
    processes: int = 256
    file_bytes: int = 4 << 30
    cpu_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Confined:
    """A command that runs another one confined, and in plain words how far.

    *group* bounds its memory and processes, and must be removed after its end; None where the
    machine has no such thing for us.
    """

    command: tuple[str, ...]
    applied: tuple[str, ...]
    not_applied: tuple[str, ...]
    group: Group | None = None
    nested: bool = False  # the command stands before namespaces in which the other runs
    asked: Mapping[str, Any] = field(default_factory=dict[str, Any])  # of `confine.py`


_OWN = "its own environment, home and process group; no input; no key"
_ENDS = "ends with falkit"
_BOUND = "bounded files, open files and memory of a process"
_RIGHTS = "can gain no rights"
_NAMES = "its own processes, host name and shared memory"
_FILES = "sees its own folders and the system's programs only, may write to the former"
_CUT_OFF = "no network"
_GROUPED = "bounded memory and processes in all"


async def confined(
    python: Path, wanted: Confinement, command: tuple[str, ...], *, parent: int | None = None
) -> Confined:
    """Return what to start so that *command* runs as *wanted*, as far as this machine allows.

    *python* starts the small program that arranges it, in a process of *parent* (this one). The
    first call of a process looks for some 100 ms what the machine can do.
    """
    rung, lacks = await anyio.to_thread.run_sync(rung_of, python)
    if sys.platform == "win32":
        return Confined(command, *_words(wanted, "limits", lacks, None))
    group = await anyio.to_thread.run_sync(made_group, wanted.memory_bytes, wanted.processes)
    asked: dict[str, Any] = {
        "parent": os.getpid() if parent is None else parent,
        "groups": [str(path) for path in group.folders] if group is not None else [],
        "namespaces": rung != "limits",
        "network": wanted.network,
        "folder": str(wanted.folder),
        "bridge": None,
        "probe": False,
        "limits": _limits(wanted, in_namespace=rung != "limits"),
        "view": _view(wanted) if rung == "view" else None,
        "command": command,
    }
    files = wanted.files
    if files is not None and files.socket is not None and not wanted.network and rung != "limits":
        asked["bridge"] = {"host": files.host, "port": files.port, "outside": str(files.socket)}
    return Confined(
        (str(python), "-I", "-S", str(CONFINE), json.dumps(asked)),
        *_words(wanted, rung, lacks, group),
        group,
        nested=rung != "limits",
        asked=asked,
    )


async def is_cut_off(python: Path) -> bool:
    """Return whether this machine can run an app without network."""
    rung, _ = await anyio.to_thread.run_sync(rung_of, python)
    return rung != "limits"


def _limits(wanted: Confinement, *, in_namespace: bool) -> dict[str, int]:
    limits = {
        "NOFILE": 1024,
        "CORE": 0,
        "FSIZE": wanted.file_bytes,
        "DATA": wanted.memory_bytes + _RESERVED_BYTES,
    }
    if in_namespace:  # else it counts everything that the person runs
        limits["NPROC"] = wanted.processes
    if wanted.cpu_seconds:
        limits["CPU"] = wanted.cpu_seconds
    return limits


def _view(wanted: Confinement) -> dict[str, Any]:
    for name in ("root", "tmp"):
        (wanted.own / name).mkdir(exist_ok=True)
    readable = {*wanted.readable, *(path.resolve() for path in wanted.readable), CONFINE.parent}
    writable = {*wanted.writable, *wanted.sockets, wanted.own}
    return {
        "root": str(wanted.own / "root"),
        "temporary": str(wanted.own / "tmp"),
        "readable": sorted(str(path) for path in readable - writable),
        "writable": sorted(str(path) for path in writable),
        "data": str(wanted.data) if wanted.data is not None else "",
    }


def _words(
    wanted: Confinement, rung: Rung, lacks: tuple[str, ...], group: Group | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return in plain words what is applied and what is not."""
    applied, missing = [_OWN], list[str]()
    (missing if sys.platform == "win32" else applied).append(_BOUND)
    for words in (_ENDS, _RIGHTS):
        (applied if sys.platform == "linux" else missing).append(words)
    (missing if rung == "limits" else applied).append(_NAMES)
    (applied if rung == "view" else missing).append(_FILES)
    if wanted.network:
        missing.append(f"{_CUT_OFF} (it was allowed)")
    else:
        (missing if rung == "limits" else applied).append(_CUT_OFF)
    (applied if group is not None else missing).append(_GROUPED)
    return tuple(applied), (*missing, *(f"it does not see {name}" for name in lacks))


@lru_cache
def rung_of(python: Path) -> tuple[Rung, tuple[str, ...]]:
    """Return how far up this machine lets us, and what is missing there; tried once.

    ``view`` is a file system of one's own in namespaces, ``namespaces`` the latter alone.
    """
    if sys.platform != "linux":
        return "limits", ()
    for rung in ("view", "namespaces"):
        with short_lived() as own:
            wanted = Confinement(own=own, folder=own, readable=(python.parent.parent,))
            asked = {
                "parent": 0,
                "groups": (),
                "namespaces": True,
                "network": False,
                "folder": str(own),
                "bridge": None,
                "probe": True,
                "limits": {},
                "view": _view(wanted) if rung == "view" else None,
                "command": ("/bin/sh", "-c", "exit 0"),
            }
            tried = subprocess.run(  # noqa: S603  # our own program
                [str(python), "-I", "-S", str(CONFINE), json.dumps(asked)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        if tried.returncode == 0:
            told = cast("dict[str, Any]", json.loads(tried.stdout.splitlines()[0]))
            return rung, tuple(str(name) for name in told["lacks"])
    return "limits", ()


def exposed(rung: Rung) -> tuple[str, ...]:
    """Return what an app is not kept from on this machine, each as a person is told before."""
    if rung == "view":
        return ()
    files = "its code can read and write what this account can: this machine cannot keep it apart"
    if rung == "namespaces":
        return (files,)
    return (files, "its code reaches the network: this machine cannot cut it off")


def interpreter_folders(python: Path) -> tuple[Path, ...]:
    """Return the folders that the file *python* leads to, link by link, with its environment's."""
    found = [python.parent.parent]
    here = python
    for _ in range(8):
        if not here.is_symlink():
            break
        here = here.parent / here.readlink()
        found.append(Path(os.path.normpath(here.parent.parent)))
    return tuple(dict.fromkeys(found))


def child_environment(home: Path, own: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of a child: a list of what it may know, and *extra*."""
    temporary = str(own / "tmp")
    shown = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": temporary,
        "LANG": "C.UTF-8",
    }
    if sys.platform == "win32":
        shown["PATH"] = os.environ.get("PATH", "")
        shown["SYSTEMROOT"] = os.environ.get("SYSTEMROOT", "")
        shown["TEMP"] = shown["TMP"] = temporary
        shown["USERPROFILE"] = str(home)  # what is home there
    return {
        **shown,
        "PYTHONNOUSERSITE": "1",
        "PYTHONUNBUFFERED": "1",
        "FAL_CONFIG_PATH": str(own / "no-config.toml"),
        **extra,
    }
