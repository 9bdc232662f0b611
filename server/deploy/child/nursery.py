"""Stand ready with fal imported, and become a runner or an inspection by forking when asked.

What comes in on the socket that is descriptor 0 is one JSON object a request, with two descriptors:
where the new process tells and where it prints. The answer is its number, with a descriptor that
becomes readable when it ends. Nothing of an app ever runs in this process itself.
"""

import gc
import importlib.util
import json
import os
import selectors
import signal
import socket
import sys
import threading
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

# What an app imports anyway, fal's toolkit among it.
_AHEAD = (
    "uvicorn fastapi fal fal.app fal.api.api fal.toolkit uvicorn.lifespan.on "
    "uvicorn.loops.auto uvicorn.protocols.http.auto uvicorn.protocols.websockets.auto"
)
_REQUEST_BYTES = 1 << 20


def beside(name: str) -> ModuleType:
    """Return the module of that name in this folder."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"_falkit_{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def born(asked: dict[str, Any], told: int, printed: int, confine: ModuleType) -> NoReturn:
    """Be the new process: cut off from this one, confined, and then the program that is asked."""
    os.setsid()
    os.umask(0o077)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (told, 1), (printed, 2)):
        os.dup2(source, target)
    os.closerange(3, 256)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["working"])
    sys.argv = [asked["program"], asked["argument"]]
    program = beside(Path(asked["program"]).stem)

    def become(_: dict[str, Any]) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        confine.limit(asked["confine"]["limits"])
        confine.no_new_rights()
        os._exit(program.main())

    confine.confine(asked["confine"], become, telling=True)
    raise AssertionError("confine does not return")


def handed(way: socket.socket) -> tuple[dict[str, Any], int, int] | None:
    """Return the next request and its descriptors; None when falkit has gone."""
    data, passed, _, _ = socket.recv_fds(way, _REQUEST_BYTES, 2)
    if not data:
        return None
    told, printed = passed
    return json.loads(data), told, printed


def collect() -> None:
    """Take notice of processes that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main() -> None:
    """Import, then serve requests until falkit closes the socket or ends."""
    confine = beside("confine")
    confine.end_with(int(sys.argv[1]))
    way = socket.socket(fileno=os.dup(0))
    for name in _AHEAD.split():
        with suppress(ImportError):
            import_module(name)
    if threading.active_count() > 1:
        os._exit(75)  # what has threads cannot be forked safely
    gc.collect()
    gc.freeze()  # a collection would copy every page that is shared
    way.send(b"{}")
    with selectors.DefaultSelector() as selector:
        selector.register(way, selectors.EVENT_READ)
        while True:
            ready = selector.select(timeout=5)
            collect()
            if not ready:
                continue
            request = handed(way)
            if request is None:
                return
            asked, told, printed = request
            process = os.fork()
            if not process:
                try:
                    born(asked, told, printed, confine)
                finally:
                    os._exit(70)
            watch = os.pidfd_open(process)
            socket.send_fds(way, [json.dumps({"pid": process}).encode()], [watch])
            for one in (told, printed, watch):
                os.close(one)


if __name__ == "__main__":
    main()
