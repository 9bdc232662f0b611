"""`Supervisor`: while it holds the role, it starts and ends all runners and lets calls in."""

import logging
import math
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup

from server.deploy.local.calls import Calls, OpenCall
from server.deploy.local.crew import Crew
from server.deploy.local.database import Database
from server.deploy.local.fleet import REQUEST_SECONDS, Held, floor, pick, surplus, wanted
from server.deploy.local.leases import LEASE_SECONDS, SUPERVISOR, Leases
from server.deploy.local.registry import KnownApp, Registry
from server.emulator.hosted import House
from server.emulator.hosted_rows import PREFIX, Waiting
from server.emulator.rows import Outcome, Row

log = logging.getLogger("falkit.deploy")

LOOK_SECONDS = 0.05  # how often others' calls are looked for while runners are up
QUIET_SECONDS = 0.2  # the same while none is
ROLE_SECONDS = 0.3  # how often a process that is needed asks whether the role is free

GONE = Outcome(404, {"detail": "Application not found"}, "Application not found", "not_found")


@dataclass(frozen=True, slots=True)
class Shared:
    """What all parts of one process's share of the work have in common."""

    house: House
    database: Database
    registry: Registry
    calls: Calls
    leases: Leases


@dataclass(slots=True)
class _Queue:
    """What waits for one app, oldest first: rows of the queue and direct calls."""

    rows: list[Waiting] = field(default_factory=list[Waiting])
    calls: list[OpenCall] = field(default_factory=list[OpenCall])

    def ages(self, now: float) -> list[float]:
        times = [row.since for row in self.rows] + [call.created for call in self.calls]
        return [now - since for since in times]


class Supervisor:
    """One process's share in supervising: all of it while it holds the role, none else.

    The role is taken when there is something to do that nobody does, and let go when there is
    nothing; with *keeps* it is held as long as there are apps.
    """

    def __init__(
        self, shared: Shared, crew: Crew, tasks: TaskGroup, kick: Callable[[], None], *, keeps: bool
    ) -> None:
        self.owner = str(uuid4())
        self.fence: int | None = None
        self.places: dict[str, Held] = {}
        self.has_waiting = False  # for places in runners, when it was last looked
        self._shared = shared
        self._crew = crew
        self._tasks = tasks
        self._kick = kick
        self._keeps = keeps
        self._granted: deque[Row] = deque()
        self._apps: Mapping[str, KnownApp] = {}
        self._seen: list[tuple[object, ...]] | None = None  # the apps, when they were last read
        self._deadline = math.inf
        self._is_swept = False
        self._looked = -math.inf

    @property
    def holds_role(self) -> bool:
        return self.fence is not None

    async def claim(self, owner: str) -> Row | None:
        """Return a request that was let into a runner, doing all there is to do on the way."""
        if not self._granted:
            if self._is_swept:  # all that could be let in has been, and nothing happened since
                self._is_swept = False
                return None
            if await self._supervises():
                await self._reconcile(owner)
                self._is_swept = bool(self._granted)
        return self._granted.popleft() if self._granted else None

    async def next_look(self) -> float | None:
        """Return in how many seconds there may be something to do, None for not before a kick."""
        if self.holds_role:
            busy = self._crew.any() or self._crew.rolls()
            return max(0.005, min(self._deadline, LOOK_SECONDS if busy else QUIET_SECONDS))
        if await self._is_needed():
            return ROLE_SECONDS
        due = await self._shared.house.store.peek(self._shared.house.rows.due)
        return None if due is None else max(due, ROLE_SECONDS)

    async def _supervises(self) -> bool:
        """Return whether this process has the role, taking it where it is needed and free."""
        if self.holds_role:
            return True
        if not await self._is_needed():
            return False
        shared = self._shared
        fence = await shared.database.do(shared.leases.acquire, SUPERVISOR, self.owner)
        if fence is None:
            return False
        self.fence = self._crew.fence = fence
        self._seen = None
        await shared.database.do(shared.calls.take_over, fence)
        self._tasks.start_soon(self._beat, fence)
        return True

    async def _is_needed(self) -> bool:
        shared = self._shared
        apps = await shared.database.do(shared.registry.apps)
        if any(app.rolling or (app.live and floor(app.settings)) for app in apps):
            return True
        if (self._keeps and apps) or await shared.database.peek(shared.calls.open):
            return True
        return bool(await shared.house.store.peek(shared.house.rows.waiting))

    async def _beat(self, fence: int) -> None:
        """Renew the role while it is ours; once it is lost, nothing of ours may go on."""
        shared = self._shared
        while self.fence == fence:
            await anyio.sleep(LEASE_SECONDS / 3)
            if self.fence != fence:
                return
            try:
                holds = await shared.database.do(shared.leases.renew, SUPERVISOR, self.owner, fence)
            except sqlite3.OperationalError as problem:
                log.warning("the role could not be renewed: %s", problem)
                continue
            if not holds:
                self.fence = None
                await self._crew.end_all(0.0)
                self._kick()

    def request_seconds(self, app: str) -> float:
        """Return how long a request of *app* may take."""
        known = self._apps.get(app)
        asked = None if known is None else known.settings.request_timeout
        return REQUEST_SECONDS if asked is None else float(asked)

    async def give_up_role(self) -> None:
        """Let the role go, for whoever is called next."""
        if self.holds_role:
            self.fence = None
            await self._shared.database.do(self._shared.leases.release, SUPERVISOR, self.owner)

    async def _reconcile(self, owner: str) -> None:
        """Bring what runs to what is wanted, as far as that goes at once."""
        shared = self._shared
        calls: list[OpenCall] = []
        now = time.monotonic()
        if self._crew.wrote or now - self._looked >= LOOK_SECONDS:
            self._crew.wrote, self._looked = False, now
            apps, calls, condemned = await shared.database.peek(shared.calls.state)
            if apps != self._seen:
                await self._read_apps(apps)
            self._crew.let_out({call.call for call in calls if call.runner})
            for runner, how in condemned.items():
                self._crew.condemn(runner, how)
        rows = await shared.house.store.peek(shared.house.rows.waiting)
        self._deadline = math.inf
        queues = _sorted(rows, calls)
        for name in {*self._crew.apps(), *queues} - set(self._apps):
            await self._clear_away(name, queues.get(name, _Queue()))
        for name, app in self._apps.items():
            await self._tend(app, queues.get(name, _Queue()), owner)
        self.has_waiting = any(queue.rows or queue.calls for queue in queues.values())
        if not (self._crew.any() or self._granted or self._keeps or await self._is_needed()):
            await self.give_up_role()

    async def _read_apps(self, seen: list[tuple[object, ...]]) -> None:
        shared = self._shared
        self._seen = seen
        self._apps = {app.name: app for app in await shared.database.do(shared.registry.apps)}

    async def _clear_away(self, name: str, queue: _Queue) -> None:
        """End what is left of an app that was deleted."""
        shared = self._shared
        self._crew.end_app(name)
        for call in queue.calls:
            await shared.database.do(shared.calls.fail, call.call, "404")
            self._crew.tell(call.call)
        ended = await shared.house.store.do(shared.house.rows.end_all, PREFIX + name, GONE)
        for request_id in ended:
            shared.house.changes.tell(request_id)
        if ended:
            shared.house.ended()

    async def _tend(self, app: KnownApp, queue: _Queue, owner: str) -> None:
        """Let calls of one app in, and start and end its runners."""
        self._crew.roll(app)
        settings, runners = app.settings, self._crew.of(app.name)
        while (queue.rows or queue.calls) and (held := pick(runners, settings)) is not None:
            await self._let_in(queue, held, owner)
        if app.live is None:
            return
        now = time.time()
        ages = queue.ages(now)
        delay = float(settings.scaling_delay or 0)
        pending = sum(age >= delay for age in ages)
        self._deadline = min([self._deadline, *(delay - age for age in ages if age < delay)])
        counted = [held for held in runners if held.counts]
        busy = sum(bool(held.calls) for held in counted)
        missing = wanted(settings, busy=busy, pending=pending) - len(counted)
        if missing > 0 and now < app.not_before:
            self._deadline = min(self._deadline, app.not_before - now)
            await self._put_off(app, queue)
        elif missing > 0:
            for _ in range(missing):
                self._crew.start(app)
        gone, soonest = surplus(runners, settings, time.monotonic())
        self._deadline = min(self._deadline, soonest)
        for held in gone:
            self._crew.end(held, settings)

    async def _let_in(self, queue: _Queue, held: Held, owner: str) -> None:
        """Let the oldest of what waits into a runner."""
        shared = self._shared
        row = queue.rows[0] if queue.rows else None
        call = queue.calls[0] if queue.calls else None
        if call is not None and (row is None or call.created <= row.since):
            queue.calls.pop(0)
            assert held.door is not None  # noqa: S101  # it is up
            held.enter(call.call, direct=True)
            door = replace(held.door, seconds=self.request_seconds(held.app))
            if await shared.database.do(shared.calls.grant, call.call, door):
                self._crew.tell(call.call)
            else:
                held.leave(call.call)
            return
        assert row is not None  # noqa: S101  # one of the two is there
        queue.rows.pop(0)
        store = shared.house.store
        write = store.brief if row.is_small else store.do
        taken = await write(shared.house.rows.take, owner, row.request_id)
        if taken is not None:
            held.enter(taken.request_id)
            self.places[taken.request_id] = held
            self._granted.append(taken)

    async def _put_off(self, app: KnownApp, queue: _Queue) -> None:
        """Tell direct calls that no runner starts; the queue waits for the next try."""
        for call in queue.calls:
            words = f"The runner could not start: {app.failure}"
            await self._shared.database.do(self._shared.calls.fail, call.call, words)
            self._crew.tell(call.call)
        queue.calls.clear()


def _sorted(rows: list[Waiting], calls: list[OpenCall]) -> dict[str, _Queue]:
    queues: dict[str, _Queue] = {}
    for row in rows:
        queues.setdefault(row.app.removeprefix(PREFIX), _Queue()).rows.append(row)
    for call in calls:
        if not call.runner:
            queues.setdefault(call.app, _Queue()).calls.append(call)
    return queues
