"""Processes that run other people's code: started, heard, and ended with all that they started."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol, cast

import anyio
import anyio.to_thread

# Escape sequences: of colours and cursors, and of titles and links up to their end.
_STEERING = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\\\)?|[@-_])")

# What a process may still say after its end, from pipes that its own children hold open.
_LAST_WORDS_SECONDS = 0.2
_ENDS_SECONDS = 2.0
LONGEST_LINE = 8 << 20
_SIGNALLED = 128

# An app that prints without end is slowed down, not falkit: bytes at once, and bytes a second.
_BURST_BYTES, _PACE_BYTES = 8 << 20, 1 << 20


class Started(Protocol):
    """A process, as `subprocess.Popen` has it."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int) -> None: ...

    def kill(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Child:
    """A running process: *told* is its own protocol, *raw* whatever else came out of it.

    One that *waits* only stands before namespaces: it ends by itself, once all in them are gone.
    """

    process: Started
    told: IO[bytes]
    raw: IO[bytes]
    waits: bool = False
    handle: int | None = None  # of a process that is not our child: it is readable at its end
    status: list[int] = field(default_factory=list[int])  # what such a one tells of its end

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: int) -> None:
        """Send a signal to the process itself; one that is gone is left in peace."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    def kill(self) -> None:
        """End the process and its group at once, unless it has been collected already."""
        if self.process.returncode is not None:
            return  # the numbers may be another's by now
        if self.waits and (first := self._below()):
            for pid in first:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return
        if sys.platform != "win32":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        with suppress(ProcessLookupError, PermissionError):
            self.process.kill()

    def _below(self) -> list[int]:
        try:
            found = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("ascii")
        except OSError:
            return []
        return [int(pid) for pid in found.split()]


def started(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    *,
    waits: bool = False,
) -> Child:
    """Start *command* in a group of its own, with nothing but that environment.

    It is started by the calling thread: Linux ends a child that asked for it when the thread ends
    that started it, and worker threads come and go.

    Raises:
        OSError: it cannot be started.
    """
    process = subprocess.Popen(  # noqa: S603  # running other people's code is what this room is for
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment),
        cwd=folder,
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # on Windows
        umask=-1 if sys.platform == "win32" else 0o077,
    )
    assert process.stdout is not None  # noqa: S101  # asked for
    assert process.stderr is not None  # noqa: S101
    return Child(process, process.stdout, process.stderr, waits)


async def exited(child: Child) -> int:
    """Wait for the end of the process itself, kill what it left behind, and return its status.

    asyncio's own wait goes on until every pipe is closed, and a grandchild may hold one for ever.
    """
    if hasattr(os, "pidfd_open"):
        handle = os.pidfd_open(child.pid) if child.handle is None else os.dup(child.handle)
        try:
            await anyio.wait_readable(handle)
        finally:
            os.close(handle)
        child.kill()  # the group still has its number: its leader is not yet collected
        return child.process.wait()
    while child.process.poll() is None:  # noqa: ASYNC110
        await anyio.sleep(0.05)  # there is nothing to wait on
    if sys.platform != "win32":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    return child.process.returncode or 0


async def lines(pipe: IO[bytes], over: anyio.Event) -> AsyncGenerator[bytes]:
    """Yield the lines of *pipe*, until it is closed or a moment after *over*.

    A line longer than `LONGEST_LINE` bytes comes in pieces.
    """
    rest = b""
    async for chunk in _chunks(pipe, over):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line
        if len(rest) > LONGEST_LINE:
            yield rest
            rest = b""
    if rest:
        yield rest


async def _chunks(pipe: IO[bytes], over: anyio.Event) -> AsyncGenerator[bytes]:
    if sys.platform == "win32":
        while chunk := await anyio.to_thread.run_sync(
            lambda: os.read(pipe.fileno(), 65536), abandon_on_cancel=True
        ):
            yield chunk
        return
    os.set_blocking(pipe.fileno(), False)
    ends: float | None = None
    allowed, counted = float(_BURST_BYTES), time.monotonic()
    while True:
        try:
            chunk = os.read(pipe.fileno(), 65536)
        except BlockingIOError:
            if ends is None and over.is_set():
                ends = time.monotonic() + _LAST_WORDS_SECONDS
            if ends is not None and time.monotonic() > ends:
                return
            with anyio.move_on_after(_LAST_WORDS_SECONDS):
                await anyio.wait_readable(pipe)
            continue
        if not chunk:
            return
        yield chunk
        now = time.monotonic()
        allowed = min(allowed + (now - counted) * _PACE_BYTES, _BURST_BYTES) - len(chunk)
        counted = now
        await anyio.sleep(max(-allowed / _PACE_BYTES, 0))


async def read_all(
    child: Child, told: Callable[[bytes], None], raw: Callable[[bytes], None]
) -> int:
    """Hand every line to *told* or *raw* until the process has ended; return its status.

    A signal that ended it is negative, also where a process between us and it told it as 128 more.
    Cancelled, the process and what it started are killed.
    """
    over = anyio.Event()
    status = 0

    async def hear(pipe: IO[bytes], take: Callable[[bytes], None]) -> None:
        async for line in lines(pipe, over):
            if child.handle is not None and line.startswith(b'{"status"'):
                child.status[:] = [_status_in(line)]
            else:
                take(line)

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hear, child.told, told)
            tasks.start_soon(hear, child.raw, raw)
            status = await exited(child)
            over.set()
        status = child.status[-1] if child.status else status
    finally:
        child.kill()
        try:
            child.process.wait(_ENDS_SECONDS)
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
        child.told.close()
        child.raw.close()
    return status if status <= _SIGNALLED else _SIGNALLED - status


def _status_in(line: bytes) -> int:
    status = (record_of(line) or {}).get("status")
    return status if isinstance(status, int) else 1


def harmless(text: str) -> str:
    """Return *text* without colours and what else steers a terminal; lines and tabs stay."""
    bare = _STEERING.sub("", text)
    return "".join(c for c in bare if c.isprintable() or c in "\n\t")


def record_of(line: bytes) -> dict[str, Any] | None:
    """Return the record that a line of a child's protocol holds; none where it holds no such."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", record) if isinstance(record, dict) else None


def ending(status: int) -> str:
    """Return in words how a process ended."""
    if status >= 0:
        return f"its process ended with status {status}"
    try:
        return f"it was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"it was ended by signal {-status}"
