"""`Engine`: claims what may be worked on, keeps the leases alive, and ends what it claimed."""

import logging
import sqlite3
import uuid
from collections.abc import Callable
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from server.emulator.changes import Changes
from server.emulator.pace import Pace
from server.emulator.retrying import gap_before_retry
from server.emulator.rows import HOSTED, Row, Rows, broken
from server.emulator.runs import Ending, LostClaimError
from server.emulator.shelf import Shelf
from server.emulator.store import Store

log = logging.getLogger("falkit.emulator")

PATIENCE_SECONDS = 1.0


class Work(Protocol):
    """What there is to do, and how one piece of it is done."""

    @property
    def pace(self) -> Pace: ...

    @property
    def shelf(self) -> Shelf: ...

    async def claim(self, owner: str) -> Row | None:
        """Return a request that is *owner*'s from now on, or None."""
        ...

    def has_ended_late(self) -> bool:
        """Return whether the last claim may have ended what was to have started by now."""
        ...

    async def next_look(self) -> float | None:
        """Return in how many seconds there may be work again, None for not before a kick."""
        ...

    async def carry_out(self, row: Row) -> Ending:
        """Return how *row*, claimed by us, ends.

        Raises:
            LostClaimError: the claim went to somebody else meanwhile.
        """
        ...

    async def release(self, owner: str) -> None:
        """Give back whatever *owner* holds."""
        ...


class Engine:
    """The part of the work on a folder that this process does.

    It sleeps until it is kicked, works as long as anything in the folder is unfinished, and sleeps
    again. Any number of processes do the same over one folder; the leases keep them apart.
    """

    def __init__(
        self, store: Store, rows: Rows, work: Work, changes: Changes, ended: Callable[[], None]
    ) -> None:
        self.owner = str(uuid.uuid4())
        self._store = store
        self._rows = rows
        self._work = work
        self._changes = changes
        self._ended = ended  # hears when a request with a webhook may have ended
        self._held: dict[str, tuple[int, anyio.CancelScope]] = {}
        self._kicked = anyio.Event()
        self._beating = False
        self.beside: list[Engine] = []  # they work on the requests of hosted applications

    def kick(self) -> None:
        """Look for work now, and have those beside look."""
        for engine in (self, *self.beside):
            engine.wake()

    def kick_for(self, row: Row) -> None:
        """Have those look who may work on *row*, unless it is in work here."""
        for engine in self.beside if row.app.startswith(HOSTED) else (self,):
            if row.request_id not in engine._held:
                engine.wake()
        if "webhook" in row.options:  # whoever ends it may not live to deliver it
            self._ended()

    def wake(self) -> None:
        """Look for work now, alone."""
        self._kicked.set()

    async def work(self) -> None:
        """Claim and carry out requests until cancelled; then give back what is held."""
        try:
            async with anyio.create_task_group() as tasks:
                while True:
                    self._kicked = anyio.Event()
                    try:
                        while row := await self._work.claim(self.owner):
                            self._begin(row, tasks)
                        if self._work.has_ended_late():  # what was to have started by now
                            self._ended()
                        await self._rest()
                    except sqlite3.OperationalError as problem:
                        # Such as a full disk, or a process that was stopped within its write.
                        log.warning("the emulator's database cannot be written: %s", problem)
                        await anyio.sleep(PATIENCE_SECONDS)
        finally:
            with anyio.CancelScope(shield=True):
                await self._work.release(self.owner)

    def _begin(self, row: Row, tasks: TaskGroup) -> None:
        tasks.start_soon(self._carry_out, row, self._hold(row))
        if not self._beating:
            self._beating = True
            tasks.start_soon(self._beat)

    async def _rest(self) -> None:
        """Sleep until kicked, or until something may be claimable again."""
        seconds = await self._work.next_look()
        with anyio.move_on_after(float("inf") if seconds is None else seconds):
            await self._kicked.wait()

    async def _beat(self) -> None:
        """Renew the leases while any is held, and drop the work whose claim was lost."""
        try:
            while self._held:
                await self._renew()
                await anyio.sleep(self._rows.lease_seconds / 3)
        finally:
            self._beating = False

    async def _renew(self) -> None:
        before = dict(self._held)  # what is claimed meanwhile may be younger than the answer
        try:
            held = await self._store.do(self._rows.renew, self.owner)
        except sqlite3.OperationalError as problem:
            log.warning("leases could not be renewed: %s", problem)
            return
        for request_id, (fence, scope) in before.items():
            if held.get(request_id) != fence:
                scope.cancel()

    def drop(self, request_id: str) -> None:
        """Stop working on a request that was just cancelled."""
        for engine in (self, *self.beside):
            if request_id in engine._held:
                engine._held[request_id][1].cancel()
        self._changes.tell(request_id)
        self._ended()
        self.kick()

    def _hold(self, row: Row) -> anyio.CancelScope:
        """Note down what was claimed; an older claim of ours on the same request is void."""
        if row.request_id in self._held:
            self._held[row.request_id][1].cancel()
        scope = anyio.CancelScope()
        self._held[row.request_id] = (row.fence, scope)
        self._changes.tell(row.request_id)
        return scope

    async def _carry_out(self, row: Row, scope: anyio.CancelScope) -> None:
        try:
            with scope:
                await self._finish(row, await self._ending(row))
        except LostClaimError:
            log.info("request %s went to another process", row.request_id)
        except sqlite3.OperationalError as problem:
            log.warning("request %s could not be ended: %s", row.request_id, problem)
        finally:
            if self._held.get(row.request_id) == (row.fence, scope):
                del self._held[row.request_id]
            self._changes.tell(row.request_id)
            if "webhook" in row.options:
                self._ended()
            self.wake()

    async def _ending(self, row: Row) -> Ending:
        try:
            return await self._work.carry_out(row)
        except LostClaimError:
            raise
        except sqlite3.OperationalError as problem:  # the disk, not a mistake of ours
            log.warning("request %s failed: %s", row.request_id, problem)
            space = "; free some space" if "full" in str(problem) else ""
            words = f"the emulator's store cannot be written ({problem}){space}"
            return Ending(broken(500, "internal_error", words))
        except Exception:  # the outermost loop: a mistake of ours ends one request, not the others
            log.exception("request %s failed", row.request_id)
            return Ending(broken(500, "internal_error", "Internal server error"))

    async def _finish(self, row: Row, ending: Ending) -> None:
        """Write down how *row* ended, or that the platform tries it again."""
        gap = gap_before_retry(row, ending.outcome, self._work.pace.speed)
        if gap is not None:
            words = f"Attempt {row.attempts} failed: {ending.outcome.error}; trying again"
            if not await self._store.do(self._rows.retry, row, gap, words):
                raise LostClaimError(row.request_id)
            return
        files = [file.as_row() for file in ending.files]
        write = self._store.brief if ending.is_small else self._store.do
        if not await write(self._rows.complete, row, ending.outcome, files):
            for file in ending.files:
                await self._store.do(self._work.shelf.discard, file)
            raise LostClaimError(row.request_id)
