"""Memory and processes of an app bounded together: by the kernel where we may, else by looking."""

import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Group:
    """Folders of one group: one of version 2, or one each for memory and processes."""

    folders: tuple[Path, ...]

    def killed_for_memory(self) -> bool:
        """Return whether the kernel has ended a process of the group for its memory."""
        for folder in self.folders:
            for name in ("memory.events", "memory.oom_control"):
                with suppress(OSError):
                    for line in (folder / name).read_text("ascii").splitlines():
                        if line.startswith("oom_kill ") and line.split()[1] != "0":
                            return True
        return False

    def remove(self) -> None:
        """Remove it; its processes are gone, or are just going."""
        for folder in self.folders:
            for _ in range(20):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.01)
                else:
                    break


def made_group(memory_bytes: int, processes: int) -> Group | None:
    """Return a new group with these bounds, or None where this account may make none."""
    if sys.platform != "linux":
        return None
    name = f"falkit-{os.getpid()}-{uuid4().hex[:8]}"
    made: list[Path] = []
    try:
        said = Path("/proc/self/cgroup").read_text("utf-8")
        for parent, values in parents(ROOT, said, memory_bytes, processes):
            _sweep(parent)
            folder = parent / name
            folder.mkdir()
            made.append(folder)
            for file, value in values.items():
                (folder / file).write_text(str(value), "ascii")
            if not os.access(folder / "cgroup.procs", os.W_OK):
                raise PermissionError(folder)
    except OSError:
        Group(tuple(made)).remove()
        return None
    return Group(tuple(made)) if made else None


def is_running(pid: int) -> bool:
    """Return whether there is a process of that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@lru_cache
def _sweep(parent: Path) -> None:
    """Remove groups of falkits that were killed; once for a process. A group in use stays."""
    for left in parent.glob("falkit-*-*"):
        number = left.name.split("-")[1]
        if number.isdigit() and not is_running(int(number)):
            with suppress(OSError):
                left.rmdir()


def parents(
    root: Path, membership: str, memory_bytes: int, processes: int
) -> list[tuple[Path, dict[str, int]]]:
    """Return the folders under *root* in which to make groups, each with what is to be written.

    *membership* is what ``/proc/self/cgroup`` says. In version 2 a group that holds processes has
    no bounded groups below it, so ours stands beside the one that we are in; it must be one for us
    (a user's session has such).

    Raises:
        OSError: there is no place.
    """
    lines = [line.split(":", 2) for line in membership.splitlines()]
    ours = {tuple(sorted(names.split(","))): path.lstrip("/") for _, names, path in lines}
    tasks = {"pids.max": processes}
    if ("memory",) in ours and ("pids",) in ours:
        bound = {"memory.limit_in_bytes": memory_bytes}
        return [
            (root / "memory" / ours[("memory",)], bound),
            (root / "pids" / ours[("pids",)], tasks),
        ]
    if ("",) not in ours:
        raise FileNotFoundError(root)
    here = root / ours[("",)]
    parent = here.parent if here != root else here
    enabled = (parent / "cgroup.subtree_control").read_text("ascii").split()
    if not {"memory", "pids"} <= set(enabled):
        raise PermissionError(parent)
    return [(parent, {"memory.max": memory_bytes, "memory.swap.max": 0, **tasks})]


def excess(pid: int, memory_bytes: int, processes: int) -> str:
    """Return in words what *pid* and all below it use too much of, empty where nothing.

    It is for machines where no group can be made; Linux only, a matter of a millisecond.
    """
    family = _family(pid)
    if len(family) > processes:
        return f"it had more than {processes} processes"
    resident = sum(_kilobytes(one, "status", "VmRSS:") for one in family)
    if resident << 10 > memory_bytes:
        # Pages that forked processes share count once in the proportional size, which costs more.
        shared = sum(_kilobytes(one, "smaps_rollup", "Pss:") for one in family)
        if shared << 10 > memory_bytes:
            return used_up(memory_bytes)
    return ""


def used_up(memory_bytes: int) -> str:
    """Return the words for an app that took more memory than it may."""
    return f"it used more than its {memory_bytes >> 20} MB of memory"


def _family(pid: int) -> list[int]:
    found, asked = [pid], [pid]
    while asked:
        with suppress(OSError):
            for task in Path(f"/proc/{asked.pop()}/task").iterdir():
                with suppress(OSError):
                    below = [int(one) for one in (task / "children").read_text("ascii").split()]
                    found += below
                    asked += below
    return found


def _kilobytes(pid: int, file: str, name: str) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/{file}").read_text("utf-8").splitlines():
            if line.startswith(name):
                return int(line.split()[1])
    return 0
