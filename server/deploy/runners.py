"""`start_runner`: what a runner is started with, and where: anew or from a nursery."""

import json
import os
import secrets
import socket
import sys
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from server.deploy.folders import new_folder
from server.deploy.isolation import (
    Confinement,
    child_environment,
    confined,
    interpreter_folders,
)
from server.deploy.nurseries import Nursery
from server.deploy.processes import started
from server.deploy.runner import Hear, Runner, RunnerSpec, leave
from tools.errors import BackendError

PROGRAM = Path(__file__).parent / "child" / "run_app.py"
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


async def start_runner(
    spec: RunnerSpec, hear: Hear, tasks: TaskGroup, nursery: Nursery | None = None
) -> Runner:
    """Start a process for *spec* and return at once; it lives in *tasks* and ends with them.

    *hear* is called with each line that the app, or the runner about it, says. Where a *nursery*
    stands ready and fits, the process is born there, some five times as fast.

    Raises:
        BackendError: no process can be started here.
    """
    runner = Runner(spec, hear)
    own = await anyio.to_thread.run_sync(_folders, spec)
    port = 0
    if sys.platform == "win32":
        port, runner.token = _free_port(), secrets.token_hex(16)
        runner.address = f"http://127.0.0.1:{port}"
    else:
        runner.socket, runner.address = own / "app.sock", "http://runner"
    asked = {
        "folder": str(spec.folder),
        "file": spec.file,
        "class_name": spec.class_name,
        "site": str(spec.tool.site),
        "socket": str(runner.socket or ""),
        "port": port,
        "token": runner.token,
        "files": [spec.files.host, spec.files.port] if spec.files is not None else None,
    }
    wanted = Confinement(
        own=own,
        folder=spec.home,
        readable=(spec.folder, spec.tool.site, *spec.tool.base, *interpreter_folders(spec.python)),
        writable=(spec.home,),
        sockets=(spec.uploads,) if spec.uploads is not None else (),
        data=spec.home / "data",
        network=spec.network,
        files=spec.files,
        memory_bytes=spec.memory_bytes,
        processes=spec.processes,
    )
    command = (str(spec.python), "-I", str(PROGRAM), json.dumps(asked))
    kept = await confined(spec.tool.python, wanted, command)
    runner.applied, runner.not_applied = kept.applied, kept.not_applied
    environment = _environment(spec, own)
    try:
        child = None
        if nursery is not None and _may_be_born(spec):
            child = await nursery.born(kept, environment, spec.home)
        if child is None:
            child = started(kept.command, environment, spec.home, waits=kept.nested)
    except OSError as problem:
        leave(own, kept.group)
        raise BackendError(
            f"no process could be started for app '{spec.app}': {problem}", retry_helps=True
        ) from problem
    tasks.start_soon(runner.run, child, own, kept.group)
    return runner


def _may_be_born(spec: RunnerSpec) -> bool:
    """Return whether a process that has fal imported will do."""
    return spec.python == spec.tool.python and not any(
        name.startswith(("FAL_", "ISOLATE_", "PYTHON")) for name in spec.secrets
    )


def _folders(spec: RunnerSpec) -> Path:
    """Make the app's home where it is missing, and return a new folder for this runner alone.

    It holds the socket, whose path is limited to some 100 bytes.
    """
    for folder in (spec.home, spec.home / "data"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    own = new_folder()
    (own / "tmp").mkdir()
    return own


def _environment(spec: RunnerSpec, own: Path) -> dict[str, str]:
    """Return what the app sees: its secrets, and what sends the toolkit's uploads to falkit."""
    extra = {name: value.get_secret_value() for name, value in spec.secrets.items()}
    if spec.uploads is not None:
        extra |= {
            "FAL_USE_LOCAL_UPLOADER": "1",
            "FAL_API_SOCKET": str(spec.uploads),
            "FAL_KEY": extra.get("FAL_KEY", "local:local"),  # it wants one; this opens nothing
        }
    extra["FAL_APP_NAME"] = spec.app
    if spec.network:
        extra |= {name: value for name, value in os.environ.items() if name.lower() in _PROXIES}
    shown = child_environment(spec.home, own, extra)
    shown["PATH"] = os.pathsep.join([str(spec.python.parent), shown["PATH"]])  # what it installed
    return shown


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
