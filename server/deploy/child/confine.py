"""Confine this process as the first argument says, then run the command that it names.

On Linux with namespaces three processes stand in a row: this one, which falkit watches; the first
of a process namespace, which collects what the app leaves behind; and the app. When one of the
first two ends, the kernel ends everything below it.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

# From the kernel's headers: sched.h, mount.h, prctl.h, capability.h.
_NEW_NAMESPACES = (
    0x10000000 | 0x00020000 | 0x20000000 | 0x08000000 | 0x04000000
)  # user mount pid ipc uts
_NEW_NETWORK = 0x40000000
_NOSUID, _NODEV, _NOEXEC, _BIND, _RECURSIVE, _SLAVE = 2, 4, 8, 4096, 16384, 1 << 19
_DETACH = 2
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4
_AT_RECURSIVE, _AT_FDCWD = 0x8000, -100
_MOUNT_SETATTR = 442  # one number on all machines
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_DEATH_SIGNAL, _DROP_BOUND, _NO_NEW_PRIVS = 1, 24, 38
_CAPABILITIES_VERSION = 0x20080522

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store")
SETTINGS = (
    "ld.so.cache ld.so.conf ld.so.conf.d ssl ca-certificates pki hosts nsswitch.conf host.conf "
    "gai.conf services protocols localtime timezone passwd group fonts mime.types alternatives "
    "resolv.conf magic OpenCL"
)
DEVICES = ("null", "zero", "full", "random", "urandom")

Become = Callable[[dict[str, Any]], NoReturn]

_libc = ctypes.CDLL(None, use_errno=True)


def checked(what: str, result: int) -> None:
    """Raise the system's error of a call that failed.

    Raises:
        OSError: *result* is negative; *what* names the step.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mounted(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount, or raise `OSError`."""
    checked(
        f"mount {target}",
        _libc.mount(
            source.encode(), target.encode(), kind.encode() or None, flags, data.encode() or None
        ),
    )


def closed_to_writing(target: str, *, recursive: bool = True, writable: bool = False) -> None:
    """Let nobody gain rights by files of a mount, nor (unless *writable*) change them."""
    attributes = _ATTR_NOSUID | _ATTR_NODEV | (0 if writable else _ATTR_RDONLY)
    wanted = struct.pack("QQQQ", attributes, 0, 0, 0)
    checked(
        f"protect {target}",
        _libc.syscall(
            _MOUNT_SETATTR,
            _AT_FDCWD,
            target.encode(),
            _AT_RECURSIVE if recursive else 0,
            wanted,
            len(wanted),
        ),
    )


def limit(limits: dict[str, int]) -> None:
    """Set the limits of this process; the system's own, where lower, stay."""
    for name, value in limits.items():
        which = getattr(resource, f"RLIMIT_{name}", None)
        if which is None:
            continue
        _, hard = resource.getrlimit(which)
        cap = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with suppress(ValueError, OSError):  # macOS refuses some values
            resource.setrlimit(which, (cap, cap))


def end_with(parent: int) -> None:
    """Be killed when the process that started this one ends; where the system knows how."""
    if sys.platform == "linux":
        _libc.prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        if parent and os.getppid() != parent:
            os._exit(1)


def powerless() -> None:
    """Give up every capability and the way to new ones."""
    number = 0
    while _libc.prctl(_DROP_BOUND, number, 0, 0, 0) == 0:
        number += 1
    header = struct.pack("Ii", _CAPABILITIES_VERSION, 0)
    _libc.capset(header, struct.pack("IIIIII", 0, 0, 0, 0, 0, 0))
    no_new_rights()


def no_new_rights() -> None:
    """Let no program that is run from now on gain rights by being run."""
    if sys.platform == "linux":
        _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)


def apart(*, network: bool) -> None:
    """Enter namespaces of one's own, as the same user that one is outside.

    Raises:
        OSError: the system does not let us.
    """
    user, group = os.getuid(), os.getgid()
    checked("unshare", _libc.unshare(_NEW_NAMESPACES | (0 if network else _NEW_NETWORK)))
    Path("/proc/self/setgroups").write_text("deny", "ascii")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1", "ascii")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1", "ascii")


class View:
    """A file system of one's own under *root*: what is not put into it is not there."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.lacks: list[str] = []
        mounted("none", "/", flags=_RECURSIVE | _SLAVE)
        mounted("tmpfs", root, "tmpfs", _NOSUID | _NODEV, "size=16m,mode=755")

    def show(self, source: str, at: str = "", *, writable: bool = False) -> None:
        """Show *source*, a folder or file, where it lies or *at*."""
        target = self.root + (at or source)
        real = os.path.realpath(source)
        if Path(real).is_dir():
            Path(target).mkdir(parents=True, exist_ok=True)
        else:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            Path(target).touch()
        mounted(real, target, flags=_BIND | _RECURSIVE)
        closed_to_writing(target, writable=writable)

    def system(self) -> None:
        """Show the system's programs and libraries, and the settings that libraries look for."""
        for name in SYSTEM:
            path = Path(name)
            if path.is_symlink():
                Path(self.root + name).symlink_to(path.readlink())
            elif path.is_dir():
                self.show(name)
        Path(self.root + "/etc").mkdir()
        for name in SETTINGS.split():
            path = Path("/etc", name)
            if path.is_dir():
                self.show(str(path))
            elif path.is_file():
                with suppress(OSError):
                    Path(self.root, "etc", name).write_bytes(path.read_bytes())

    def devices(self) -> None:
        """Show the devices that every program expects, processes, and shared memory."""
        for name in DEVICES:
            target = Path(self.root, "dev", name)
            target.parent.mkdir(exist_ok=True)
            target.touch()
            mounted(f"/dev/{name}", str(target), flags=_BIND)
        shared = Path(self.root, "dev", "shm")
        shared.mkdir()
        mounted("tmpfs", str(shared), "tmpfs", _NOSUID | _NODEV, "size=25%,mode=1777")
        Path(self.root, "dev", "fd").symlink_to("/proc/self/fd")
        Path(self.root, "proc").mkdir()
        try:
            mounted("proc", self.root + "/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
            mounted(self.root + "/proc/sys", self.root + "/proc/sys", flags=_BIND | _RECURSIVE)
            closed_to_writing(self.root + "/proc/sys")
        except OSError:
            self.lacks.append("/proc")
        with suppress(OSError):  # how many processors there are
            self.show("/sys/devices/system/cpu")

    def enter(self, folder: str) -> None:
        """Make it the only file system, and *folder* the working folder."""
        os.chdir(self.root)
        number = _PIVOT_ROOT[os.uname().machine]
        checked("pivot_root", _libc.syscall(number, b".", b"."))
        checked("umount", _libc.umount2(b".", _DETACH))
        closed_to_writing("/", recursive=False)
        os.chdir(folder)


def view_of(asked: dict[str, Any]) -> View:
    """Put together what the app may see, outermost folders first."""
    view = View(asked["root"])
    view.system()
    view.devices()
    shown = [(path, "", False) for path in asked["readable"]]
    shown += [(path, "", True) for path in asked["writable"]]
    shown.append((asked["temporary"], "/tmp", True))  # noqa: S108  # a private one
    if asked["data"]:
        shown.append((asked["data"], "/data", True))
    for source, at, writable in sorted(shown, key=lambda one: len(Path(one[1] or one[0]).parts)):
        view.show(source, at, writable=writable)
    return view


def raise_loopback() -> None:
    """Switch on the only network device there is."""
    import fcntl  # noqa: PLC0415  # POSIX only, and seldom

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        asked = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(device, 0x8913, asked))[1]
        fcntl.ioctl(device, 0x8914, struct.pack("16sH14x", b"lo", flags | 1))


class Bridge:
    """Leads one loopback address to one socket outside, byte for byte."""

    def __init__(self, host: str, port: int, outside: str) -> None:
        self._outside = outside
        self._listening = socket.create_server((host, port))

    def open(self) -> None:
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            inner, _ = self._listening.accept()
            outer = socket.socket(socket.AF_UNIX)
            try:
                outer.connect(self._outside)
            except OSError:
                inner.close()
                continue
            for way in ((inner, outer), (outer, inner)):
                threading.Thread(target=_pumped, args=way, daemon=True).start()


def _pumped(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def heeded(process: int) -> None:
    """Hand requests to end on to *process*."""

    def on(number: int, _: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.kill(process, number)

    signal.signal(signal.SIGTERM, on)
    signal.signal(signal.SIGINT, on)


def outlived(process: int, *, telling: bool = False) -> NoReturn:
    """Collect every child until *process* has ended, and end as it did (a signal is 128 more).

    With *telling* the status is said too, for a falkit that is not our parent.
    """
    while True:
        gone, status = os.waitpid(-1, 0)
        if gone == process:
            code = os.waitstatus_to_exitcode(status)
            code = code if code >= 0 else 128 - code
            if telling:
                with suppress(OSError):
                    said(status=code)
            os._exit(code)


def forked(run: Callable[[], NoReturn]) -> int:
    """Run *run* in a child of this process and return its number; it learns of signals later."""
    process = os.fork()
    if not process:
        try:
            run()
        except BaseException as problem:
            said(failed=f"the app could not be set apart: {problem}", state="FAILED")
        finally:
            os._exit(70)
    return process


def said(**record: Any) -> None:  # noqa: ANN401
    """Tell falkit, in the way of the programs beside this one."""
    os.write(1, json.dumps(record).encode() + b"\n")


def first(asked: dict[str, Any], become: Become) -> NoReturn:
    """Be the first process of the namespaces: arrange them, start the app, and outlive it."""
    end_with(0)
    checked("sethostname", _libc.sethostname(b"app", 3))
    lacks: Iterable[str] = ()
    bridge = None
    if not asked["network"]:
        raise_loopback()
    if asked["view"] is not None:
        view = view_of(asked["view"])
        lacks = view.lacks
        if asked["bridge"] is not None:
            view.show(asked["bridge"]["outside"], "/run/files.sock", writable=True)
            asked["bridge"]["outside"] = "/run/files.sock"
        view.enter(asked["folder"])
    if asked["bridge"] is not None:
        bridge = Bridge(**asked["bridge"])
    powerless()
    if asked["probe"]:
        said(lacks=list(lacks))
    app = forked(lambda: become(asked))
    heeded(app)
    if bridge is not None:
        bridge.open()
    outlived(app)


def run(asked: dict[str, Any]) -> NoReturn:
    """Run the command in this process, under its limits."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    limit(asked["limits"])
    no_new_rights()
    os.execv(asked["command"][0], asked["command"])  # noqa: S606


def confine(asked: dict[str, Any], become: Become, *, telling: bool = False) -> NoReturn:
    """Arrange what is asked and let *become* be the app in it."""
    end_with(asked["parent"])
    try:
        for group in asked["groups"]:
            Path(group, "cgroup.procs").write_text("0", "ascii")
    except OSError:  # a group that we may make but not enter, as between two sessions of a user
        said(unbounded=True)
    if not asked["namespaces"]:
        become(asked)
    try:
        apart(network=asked["network"])
    except OSError as problem:
        said(failed=f"the app could not be set apart: {problem}", state="FAILED")
        os._exit(70)
    process = forked(lambda: first(asked, become))
    heeded(process)
    outlived(process, telling=telling)


if __name__ == "__main__":
    confine(json.loads(sys.argv[1]), run)
