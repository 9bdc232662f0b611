"""Uploads that go on when their caller's time is up, and that the next call finds."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from server.jobs.intake import FetchedFile, FileClient, PlacedFile
from tools.errors import BackendError

log = logging.getLogger("falkit.jobs.uploading")

# Hosts end a call after 60 seconds, and after the upload comes the submit.
WITHIN = 20.0
# How many finished uploads that nobody waited for are kept for the next call.
MOST_KEPT = 64

_Key = tuple[Path, tuple[int, ...], str, str]


@asynccontextmanager
async def open_uploading(client: FileClient, within: float = WITHIN) -> AsyncGenerator["Uploading"]:
    """Yield *client* with uploads that answer *within* seconds; those under way end with it."""
    failure: Exception | None = None  # a task group would wrap what its body raises
    async with anyio.create_task_group() as tasks:
        try:
            yield Uploading(client, tasks, within)
        except Exception as problem:
            failure = problem
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


@dataclass(slots=True)
class _Sending:
    """One upload: how many callers wait for it, and how it ended."""

    waiters: int = 0
    over: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    placed: PlacedFile | None = None
    problem: Exception | None = None


class Uploading:
    """A `FileClient` whose uploads do not end with the patience of who asked for them."""

    def __init__(self, client: FileClient, tasks: TaskGroup, within: float) -> None:
        self._client = client
        self._tasks = tasks
        self._within = within
        self._sendings: dict[_Key, _Sending] = {}

    async def upload(self, path: Path, *, media_type: str, file_name: str) -> PlacedFile:
        """Upload the file at *path*, or join the upload of it that is under way.

        A caller that is cancelled ends the upload unless another one waits for it.

        Raises:
            BackendError: it failed, or is not over in time; then it goes on.
            OSError: there is no such file.
        """
        found = await anyio.Path(path).stat()
        key = (path, (found.st_size, found.st_mtime_ns, found.st_ino), media_type, file_name)
        sending = self._sendings.get(key)
        if sending is None:
            sending = self._sendings[key] = _Sending()
            self._tasks.start_soon(self._send, key, sending)
        sending.waiters += 1
        try:
            with anyio.move_on_after(self._within):
                await sending.over.wait()
        except BaseException:
            if sending.waiters == 1 and not sending.over.is_set():
                sending.scope.cancel()
                self._sendings.pop(key, None)
            raise
        finally:
            sending.waiters -= 1
        if not sending.over.is_set():
            raise BackendError(
                f"{path.name!r} is not uploaded after {self._within:.0f} seconds; nothing was "
                "started with it",
                hint="the upload goes on: make the same call again in half a minute",
                retry_helps=True,
            )
        self._sendings.pop(key, None)
        if sending.placed is None:
            raise sending.problem or BackendError(f"the upload of {path.name!r} was ended")
        return sending.placed

    async def download(self, url: str, target: Path, *, max_bytes: int) -> FetchedFile:
        """Write what lies at *url* into *target*."""
        return await self._client.download(url, target, max_bytes=max_bytes)

    async def _send(self, key: _Key, sending: _Sending) -> None:
        path, _, media_type, file_name = key
        try:
            with sending.scope:
                sending.placed = await self._client.upload(
                    path, media_type=media_type, file_name=file_name
                )
        except Exception as problem:
            sending.problem = problem
            if not sending.waiters:
                log.warning("the upload of %s failed: %s", path.name, problem)
        finally:
            sending.over.set()
            self._forget()

    def _forget(self) -> None:
        """Drop the oldest uploads that ended and that nobody asked for again."""
        ended = [
            key for key, one in self._sendings.items() if one.over.is_set() and not one.waiters
        ]
        for key in ended[: max(0, len(ended) - MOST_KEPT)]:
            del self._sendings[key]
