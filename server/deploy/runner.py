"""`Runner`: one process that serves one app, from its start to its end."""

import signal
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from uuid import uuid4

import anyio
import anyio.to_thread
import httpx
from pydantic import SecretStr

from server.deploy.environments import ToolEnvironment
from server.deploy.folders import remove_folder
from server.deploy.groups import Group, excess, used_up
from server.deploy.isolation import FilesHost
from server.deploy.masking import Mask
from server.deploy.processes import Child, ending, harmless, read_all, record_of
from server.fal.wire import plain
from tools.deploy_records import LogLine
from tools.errors import BackendError

RunnerState = Literal[
    "PENDING", "SETUP", "IDLE", "RUNNING", "DRAINING", "TERMINATING", "TERMINATED"
]
Hear = Callable[[LogLine], None]

_BILLED = ("SETUP", "IDLE", "RUNNING", "DRAINING", "TERMINATING")
Level = Literal["debug", "info", "warning", "error"]
_LEVELS: Mapping[object, Level] = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "error": "error",
}
_LAST_LINES = 5
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSpec:
    """What a runner runs, and what it may.

    *folder* is the app's source, *file* its module there, *class_name* the `fal.App` (empty: the
    only one). *python* is the app environment's. *home* is a folder of the app's own, kept between
    runners: its home, with ``data`` seen as ``/data``. *secrets* become its environment. *uploads*
    is the socket of `serving_uploads`. Without *network* nothing but *files* and *uploads* is
    reached. *memory_bytes* bounds it; *startup_seconds* is what `setup` may take.
    """

    app: str
    folder: Path
    file: str
    class_name: str
    tool: ToolEnvironment
    python: Path
    home: Path
    revision: str = ""
    secrets: Mapping[str, SecretStr] = field(default_factory=dict[str, SecretStr])
    network: bool = False
    files: FilesHost | None = None
    uploads: Path | None = None
    memory_bytes: int = 4 << 30
    processes: int = 256
    startup_seconds: float = 600.0


class Runner:
    """A runner that was started. Times are seconds."""

    def __init__(self, spec: RunnerSpec, hear: Hear) -> None:
        self.spec = spec
        self.runner_id = uuid4().hex[:12]
        self.state: RunnerState = "PENDING"
        self.reason = ""  # why it ended, in words; empty while it lives or when it was stopped
        self.status: int | None = None  # of the process, once it ended; a signal is negative
        self.applied: tuple[str, ...] = ()  # how it is kept apart, in plain words
        self.not_applied: tuple[str, ...] = ()
        self.busy = 0  # requests in it
        self.served = 0
        self.token = ""
        self.address = ""
        self.socket: Path | None = None
        self._hear = hear
        self._masked = Mask(spec.secrets)
        self._since = time.monotonic()
        self._seconds: dict[str, float] = {}
        self._changed = anyio.Event()
        self._unbounded = anyio.Event()  # the kernel bounds memory and processes by no group
        self._failed = ""
        self._last: list[str] = []
        self._stopping = False
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """The number of its process, 0 where none was started."""
        return self._child.pid if self._child is not None else 0

    @property
    def is_up(self) -> bool:
        """It answers requests."""
        return self.state in ("IDLE", "RUNNING")

    @property
    def has_ended(self) -> bool:
        return self.state == "TERMINATED"

    def billed_seconds(self) -> float:
        """Return how long it was in states that the cloud would bill."""
        running = {**self._seconds}
        running[self.state] = running.get(self.state, 0.0) + time.monotonic() - self._since
        return sum(running.get(state, 0.0) for state in _BILLED)

    def transport(self) -> httpx.AsyncHTTPTransport:
        """Return a new transport to it; every address leads there, such as ``http://runner/``.

        Where `token` is set, each request must bear it as ``x-falkit-token``.
        """
        if self.socket is not None:
            return httpx.AsyncHTTPTransport(uds=str(self.socket))
        return httpx.AsyncHTTPTransport()

    @contextmanager
    def serving(self) -> Generator[None]:
        """Count a request that is in it: IDLE becomes RUNNING, and back after the last."""
        self.busy += 1
        if self.state == "IDLE":
            self._become("RUNNING")
        try:
            yield
        finally:
            self.busy -= 1
            self.served += 1
            if self.state == "RUNNING" and not self.busy:
                self._become("IDLE")

    async def ready(self) -> None:
        """Wait until it answers requests.

        Raises:
            BackendError: it ended or took longer than its start may; the words say why.
        """
        while not self.is_up:
            if self.has_ended:
                raise BackendError(
                    f"app '{self.spec.app}' did not start: {self.reason or 'it was stopped'}"
                )
            await self.changed()

    async def changed(self) -> None:
        """Wait for its next state."""
        await self._changed.wait()

    async def ended(self) -> None:
        """Wait until its process, and all that it started, is gone."""
        while not self.has_ended:
            await self.changed()

    def drain(self) -> None:
        """Let it take no more requests; those in it go on."""
        if self.state in ("PENDING", "SETUP", "IDLE", "RUNNING"):
            self._become("DRAINING")

    async def stop(self, grace: float = 5.0) -> None:
        """End it: `handle_exit` and `teardown` have *grace* seconds, then it is killed.

        Requests in it are cut off after that; `drain` and wait first to spare them.
        """
        if self.has_ended or self._child is None:
            return
        self._stopping = True
        if self.state != "TERMINATING":
            self._become("TERMINATING")
        with anyio.move_on_after(grace) as bound:
            self._child.signal(signal.SIGTERM)
            await self.ended()
        if bound.cancelled_caught:
            if grace > 0:
                self._say("warning", f"it did not end within {grace:g} seconds and was killed")
            self._child.kill()
            with anyio.CancelScope(shield=True), anyio.move_on_after(10):
                await self.ended()

    async def run(self, child: Child, own: Path, group: Group | None) -> None:
        """Hear the process to its end and clear up after it; cancelled, it is killed."""
        self._child = child
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._bound_start)
                if group is None:
                    self._unbounded.set()
                tasks.start_soon(self._watch)
                self.status = await read_all(child, self._told, self._raw)
                tasks.cancel_scope.cancel()
        finally:
            if not self._stopping:
                self.reason = self._why(group)
                if self.reason:
                    self._say("error", f"the runner ended: {self.reason}")
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(leave, own, group)
            self._become("TERMINATED")

    async def _bound_start(self) -> None:
        with anyio.move_on_after(self.spec.startup_seconds) as bound:
            while self.state in ("PENDING", "SETUP"):
                await self.changed()
        if bound.cancelled_caught and self._child is not None:
            self._failed = (
                f"it was not ready within {self.spec.startup_seconds:g} seconds (startup_timeout)"
            )
            self._child.kill()

    async def _watch(self) -> None:
        """End it when it takes more than it may, where the kernel does not."""
        await self._unbounded.wait()
        if sys.platform != "linux":
            return
        words = ""
        while not words:
            await anyio.sleep(_LOOK_SECONDS)
            words = await anyio.to_thread.run_sync(self._excess)
        self._failed = words
        if self._child is not None:
            self._child.kill()

    def _excess(self) -> str:
        return excess(self.pid, self.spec.memory_bytes, self.spec.processes)

    def _become(self, state: RunnerState) -> None:
        now = time.monotonic()
        self._seconds[self.state] = self._seconds.get(self.state, 0.0) + now - self._since
        self._since, self.state = now, state
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    def _told(self, line: bytes) -> None:
        record = record_of(line)
        if record is None:
            self._raw(line)
            return
        said = record.get("said")
        if isinstance(said, str):
            level = record.get("level")
            self._say(
                _LEVELS.get(level, "info"),
                said,
                request_id=str(record.get("request") or ""),
                at=record.get("t"),
            )
        if isinstance(record.get("failed"), str):
            self._failed = plain(self._shown(record["failed"]), 1000)
        if record.get("unbounded") is True:
            self._unbounded.set()
        self._follow(record.get("state"))

    def _follow(self, state: object) -> None:
        if self.state == "PENDING" and state == "SETUP":
            self._become("SETUP")
        elif self.state in ("PENDING", "SETUP") and state == "IDLE":
            self._become("IDLE")
        elif state == "TERMINATING" and self.state in ("SETUP", "IDLE", "RUNNING", "DRAINING"):
            self._become("TERMINATING")

    def _raw(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip("\r")
        if text.strip():
            self._say("info", text)

    def _say(
        self,
        level: Level,
        text: str,
        *,
        request_id: str = "",
        at: object = None,
    ) -> None:
        text = self._shown(text)
        self._last = [*self._last[1 - _LAST_LINES :], text[:300]]
        self._hear(
            LogLine(
                at=_moment(at),
                level=level,
                message=text[:16_000],
                app=self.spec.app,
                revision=self.spec.revision,
                request_id=request_id,
                runner=self.runner_id,
            )
        )

    def _shown(self, text: str) -> str:
        """Return *text* with its secrets' values replaced by names, and nothing that steers."""
        return self._masked(harmless(text))

    def _why(self, group: Group | None) -> str:
        """Return why the process ended on its own, in one line."""
        if self._failed:
            return self._failed
        status = self.status if self.status is not None else 0
        if group is not None and group.killed_for_memory():
            return used_up(self.spec.memory_bytes)
        last = f"; the last it said: {self._last[-1]}" if self._last else ""
        return plain(ending(status) + last, 1000)


def leave(own: Path, group: Group | None) -> None:
    """Remove what a runner had for itself: its folder and its group."""
    remove_folder(own)
    if group is not None:
        group.remove()


def _moment(told: object) -> datetime:
    """Return the instant that a child told, if it is one of these days; else this one."""
    now = datetime.now(UTC)
    if isinstance(told, float) and abs(told - now.timestamp()) < timedelta(days=1).total_seconds():
        return datetime.fromtimestamp(told, UTC)
    return now
