"""`Changes`: tells whoever watches a request that it changed, in this process or another."""

import logging
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from server.emulator.rows import Rows
from server.emulator.store import Store

log = logging.getLogger("falkit.emulator")

LOOK_SECONDS = 0.05


class Watch:
    """One reader's eye on one request."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self._changed = anyio.Event()

    def notice(self) -> None:
        self._changed.set()

    async def wait(self, at_most: float) -> None:
        """Return when the request changed since the last wait, or after *at_most* seconds."""
        with anyio.move_on_after(at_most):
            await self._changed.wait()
        self._changed = anyio.Event()


class Changes:
    """The watches of this process.

    One task asks the store every 50 ms what changed, and only while somebody watches; what this
    process writes itself is told at once through `tell`.
    """

    def __init__(self, store: Store, rows: Rows, tasks: TaskGroup) -> None:
        self._store = store
        self._rows = rows
        self._tasks = tasks
        self._watches: dict[str, set[Watch]] = {}
        self._looking = False
        self._seen = 0
        self._ready = anyio.Event()

    def tell(self, request_id: str) -> None:
        """Wake those who watch *request_id*."""
        for watch in self._watches.get(request_id, ()):
            watch.notice()

    @asynccontextmanager
    async def watch(self, request_id: str) -> AsyncGenerator[Watch]:
        """Yield a watch that misses nothing that is written after this line."""
        watch = Watch(request_id)
        self._watches.setdefault(request_id, set()).add(watch)
        try:
            if not self._looking:
                self._looking = True
                self._tasks.start_soon(self._look)
            await self._ready.wait()
            yield watch
        finally:
            self._watches[request_id].discard(watch)
            if not self._watches[request_id]:
                del self._watches[request_id]

    async def _tell_of_new(self) -> None:
        if not self._ready.is_set():
            self._seen = await self._store.peek(self._rows.last_change)
            self._ready.set()
            return
        for request_id, number in await self._store.peek(self._rows.changes, self._seen):
            self._seen = number
            self.tell(request_id)

    async def _look(self) -> None:
        try:
            while self._watches:
                try:
                    await self._tell_of_new()
                except sqlite3.OperationalError as problem:
                    # Such as a full disk, or a process that was stopped within its write.
                    log.warning("the emulator's database cannot be read: %s", problem)
                await anyio.sleep(LOOK_SECONDS)
        finally:
            self._looking = False
            self._ready = anyio.Event()
