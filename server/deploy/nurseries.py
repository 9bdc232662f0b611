"""`open_nursery`: a process with fal imported from which runners and inspections are forked."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio

from server.deploy.environments import ToolEnvironment
from server.deploy.folders import short_lived
from server.deploy.isolation import Confined, child_environment
from server.deploy.processes import Child

PROGRAM = Path(__file__).parent / "child" / "nursery.py"
_ANSWER_SECONDS = 2.0
_ANSWER_BYTES = 4096


class Forked:
    """A process that another one of ours has forked: not our child, so known by a descriptor."""

    def __init__(self, pid: int, handle: int) -> None:
        self.pid = pid
        self.handle = handle
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return its status if it has ended; what it was it tells on its own way out."""
        if self.returncode is None and select.select([self.handle], [], [], 0)[0]:
            self._ended()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None and not select.select([self.handle], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("runner", timeout or 0.0)
        self._ended()
        return self.returncode or -signal.SIGKILL

    def send_signal(self, sig: int) -> None:
        if self.returncode is None and sys.platform != "win32":
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.handle, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self) -> None:
        if self.returncode is None:
            self.returncode = -signal.SIGKILL  # of one that ends well the status is told
            os.close(self.handle)


class Nursery:
    """A process that stands ready to fork; all that it has borne ends with it."""

    def __init__(self, tool: ToolEnvironment) -> None:
        self.tool = tool
        self.is_ready = False
        self._is_lost = False
        self._process: subprocess.Popen[bytes] | None = None
        self._way: socket.socket | None = None
        self._lock = anyio.Lock()
        self._living: list[Forked] = []

    @property
    def is_alone(self) -> bool:
        """Nothing that was born there lives."""
        self._living = [one for one in self._living if one.poll() is None]
        return not self._living

    @property
    def has_ended(self) -> bool:
        """It was ended from outside, or answers no more."""
        return self._process is not None and (self._process.poll() is not None or self._is_lost)

    async def born(
        self, kept: Confined, environment: Mapping[str, str], working: Path
    ) -> Child | None:
        """Return a new process that runs what *kept* would; None where this is no way for it.

        *kept* must be for the tool's own interpreter.
        """
        way = self._way
        if not self.is_ready or way is None or not kept.nested or sys.platform == "win32":
            return None
        _, _, program, argument = kept.asked["command"]
        asked = {
            "confine": {**kept.asked, "parent": self.pid},
            "program": program,
            "argument": argument,
            "environment": dict(environment),
            "working": str(working),
        }
        async with self._lock:
            told, tell = os.pipe()
            printed, prints = os.pipe()
            answer = await self._answer(way, asked, (tell, prints))
        os.close(tell)
        os.close(prints)
        if answer is None:
            os.close(told)
            os.close(printed)
            return None
        process = Forked(*answer)
        self._living = [*(one for one in self._living if one.returncode is None), process]
        return Child(
            process, os.fdopen(told, "rb"), os.fdopen(printed, "rb"), waits=True, handle=answer[1]
        )

    async def _answer(
        self, way: socket.socket, asked: Mapping[str, Any], passed: tuple[int, int]
    ) -> tuple[int, int] | None:
        with anyio.move_on_after(_ANSWER_SECONDS, shield=True):  # or a process nobody knows is born
            try:
                socket.send_fds(way, [json.dumps(asked).encode()], passed)
                await anyio.wait_readable(way)
                data, got, _, _ = socket.recv_fds(way, _ANSWER_BYTES, 1)
                return int(json.loads(data)["pid"]), got[0]
            except (OSError, ValueError, KeyError, IndexError):
                pass
        self.is_ready, self._is_lost = False, True  # what answers late would be taken for another's
        return None

    @property
    def pid(self) -> int:
        """The number of the process, 0 while there is none."""
        return self._process.pid if self._process is not None else 0

    async def stand(self) -> None:
        """Start the process, and take it down when cancelled; it is no loss when it ends."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with ours, short_lived() as made:
            process = subprocess.Popen(  # noqa: ASYNC220, S603  # by this thread, as in `started`
                [str(self.tool.python), "-I", str(PROGRAM), str(os.getpid())],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=child_environment(made, made, {}),
                cwd=made,
                start_new_session=True,
            )
            theirs.close()
            self._process, self._way = process, ours
            try:
                await anyio.wait_readable(ours)
                self.is_ready = bool(ours.recv(_ANSWER_BYTES))
                await anyio.sleep_forever()
            finally:
                self.is_ready = False
                process.kill()
                process.wait()


@asynccontextmanager
async def open_nursery(tool: ToolEnvironment) -> AsyncGenerator[Nursery]:
    """Yield a nursery that will stand ready in half a second, where the system has such things.

    It takes some 75 MiB, of which what is born there shares the most. What was born there ends when
    it is left: end the runners first.
    """
    nursery = Nursery(tool)
    async with anyio.create_task_group() as tasks:
        if sys.platform == "linux" and hasattr(os, "pidfd_open"):
            tasks.start_soon(nursery.stand)
        try:
            yield nursery
        finally:
            tasks.cancel_scope.cancel()


class Cradle:
    """Keeps a nursery while runners are wanted, and for a while after; *idle* seconds."""

    def __init__(self, idle: float = 60.0) -> None:
        self._idle = idle
        self._tool: ToolEnvironment | None = None
        self._nursery: Nursery | None = None
        self._wanted = anyio.Event()
        self._lent = 0.0

    def lend(self, tool: ToolEnvironment) -> Nursery | None:
        """Return the nursery for *tool* if it stands ready; else there will soon be one."""
        self._lent, self._tool = time.monotonic(), tool
        self._wanted.set()
        found = self._nursery
        return found if found is not None and found.is_ready and found.tool == tool else None

    async def keep(self) -> None:
        """Keep the nursery, until cancelled; end what was born there first."""
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            tool = self._tool
            if tool is None or sys.platform != "linux":
                continue
            async with open_nursery(tool) as self._nursery:
                while not self._is_over(self._nursery, tool):  # noqa: ASYNC110
                    await anyio.sleep(min(self._idle / 4, 5.0))  # to look whether it is over
            self._nursery = None

    def _is_over(self, nursery: Nursery, tool: ToolEnvironment) -> bool:
        if nursery.has_ended:
            return True
        unwanted = time.monotonic() - self._lent > self._idle or self._tool != tool
        return unwanted and nursery.is_alone
