"""`Crew`: the runners of this process by app, how they are started, replaced and ended."""

import json
import math
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import anyio
import httpx
from anyio.abc import TaskGroup

from catalog.errors import ActionableError
from server.deploy.local.calls import Calls, Door, RunnerRow
from server.deploy.local.database import Database
from server.deploy.local.files import Files, open_files
from server.deploy.local.fleet import GRACE_SECONDS, Held
from server.deploy.local.lines import Line
from server.deploy.local.registry import KnownApp, KnownRevision, Registry
from server.deploy.local.speech import Speech
from server.deploy.local.starting import Starter
from server.deploy.local.terms import Health, health_of
from server.deploy.local.wellness import soon_well, unwell
from server.deploy.nurseries import Cradle
from server.deploy.runners import Runner, start_runner
from server.emulator.hosted import House
from tools.deploy_records import AppSettings
from tools.errors import BackendError

HEALTH_SECONDS = 10.0
CHECK_SECONDS = 15.0  # how often runners are asked whether they are well (documented)
CLOSING_SECONDS = 3.0
LAST_SECONDS = 0.5  # what a runner has to end by itself once its connection broke
BLINK_SECONDS = 0.1  # a runner is written down as running only if it is for so long


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds until a start that failed is tried again: doubled each time (documented)."""

    first: float = 30.0
    longest: float = 600.0

    def after(self, failures: int) -> float:
        """Return the gap after so many failures in a row before this one."""
        return min(self.first * 2 ** min(failures, 10), self.longest)


class Crew:
    """The runners of this process; all of it happens in *tasks*, and *kick* has them looked at."""

    def __init__(
        self,
        house: House,
        database: Database,
        starter: Starter,
        speech: Speech,
        tasks: TaskGroup,
        kick: Callable[[], None],
        backoff: Backoff,
    ) -> None:
        self.fence = 0
        self.check_seconds = CHECK_SECONDS
        self.wrote = False  # the file of apps was changed by this process
        self._house = house
        self._database = database
        self._registry = Registry(database)
        self._calls = Calls(database)
        self._starter = starter
        self._speech = speech
        self._tasks = tasks
        self.kick = kick
        self._backoff = backoff
        self._fleets: dict[str, list[Held]] = {}
        self._begun: dict[str, int] = {}  # the last rollout that was begun here, by app
        self._rolling: set[str] = set()
        self._waiters: dict[str, anyio.Event] = {}
        self._files: Files | None = None
        self._files_wanted = anyio.Event()
        self._files_open = anyio.Event()
        self._cradle = Cradle()

    # What there is

    def any(self) -> bool:
        """Return whether there is any runner."""
        return any(self._fleets.values())

    def rolls(self) -> bool:
        """Return whether a rollout is under way."""
        return bool(self._rolling)

    def apps(self) -> Iterable[str]:
        """Return the names of apps with runners."""
        return [name for name, fleet in self._fleets.items() if fleet]

    def of(self, app: str) -> list[Held]:
        """Return the runners of *app*, those that start and end among them."""
        return list(self._fleets.get(app, ()))

    async def files(self) -> Files:
        """Return the way of files, opened with the first runner."""
        self._files_wanted.set()
        await self._files_open.wait()
        assert self._files is not None  # noqa: S101  # it is there before it is told
        return self._files

    async def keep_files(self) -> None:
        """Open the way of files when it is wanted, and hold it open until cancelled."""
        await self._files_wanted.wait()
        async with open_files(self._house) as self._files:
            self._files_open.set()
            await anyio.sleep_forever()

    async def keep_cradle(self) -> None:
        """Keep ready what makes starts fast while there are runners, until cancelled."""
        await self._cradle.keep()

    # Calls

    def look(self) -> None:
        """Have it looked whether there is something to do: the file of apps was changed."""
        self.wrote = True
        self.kick()

    def wait_for(self, call: str) -> anyio.Event:
        """Return what is set when *call* was let in or turned away by this process."""
        return self._waiters.setdefault(call, anyio.Event())

    def tell(self, call: str) -> None:
        """Wake whoever waits for *call* in this process."""
        if (waiter := self._waiters.pop(call, None)) is not None:
            waiter.set()

    def forget(self, call: str) -> None:
        """Nobody waits for *call* any more."""
        self._waiters.pop(call, None)

    def let_out(self, inside: set[str]) -> None:
        """Free the places of direct calls that are over: all but those *inside*."""
        for fleet in self._fleets.values():
            for held in fleet:
                for call in held.direct - inside:
                    held.leave(call)

    def condemn(self, runner_id: str, how: str) -> None:
        """Let a runner take no more calls, and end it as `Calls.condemn` says *how*."""
        for fleet in self._fleets.values():
            for held in fleet:
                if held.door is None or held.door.runner != runner_id:
                    continue
                if how != "lost":
                    self.condemn_held(held, kill=how == "kill")
                elif not held.is_condemned:
                    self._tasks.start_soon(self.lost, held)

    async def lost(self, held: Held) -> str:
        """End a runner whose connection broke, and return why it did, as far as that is known.

        Mostly its process is just ending; killed before that is noticed, it could not say why.
        """
        held.is_condemned = True
        if held.runner is None:
            return ""
        with anyio.move_on_after(LAST_SECONDS):
            await held.runner.ended()
        self.condemn_held(held, kill=True)
        return held.runner.reason

    def condemn_held(self, held: Held, *, kill: bool) -> None:
        """Let *held* take no more calls, and end it: at once, or after those in it."""
        if kill:
            self._end_soon(held, 0.0)
        elif not held.is_condemned:
            held.is_condemned = True
            self._tasks.start_soon(self._drain, held, GRACE_SECONDS, math.inf)

    # Starting

    def start(self, app: KnownApp) -> None:
        """Start a runner of the revision that answers."""
        assert app.live is not None  # noqa: S101  # only such apps want runners
        generation = app.generation - (1 if app.rolling is not None else 0)
        held = Held(app.name, app.live.revision, generation, is_proven=True)
        self._fleets.setdefault(app.name, []).append(held)
        self._tasks.start_soon(self._start, held, app, app.live)

    def roll(self, app: KnownApp) -> None:
        """See to it that the rolling revision, if there is one, is being started."""
        if app.rolling is None or self._begun.get(app.name, 0) >= app.generation:
            return  # what was read of it may be older than what was done since
        self._begun[app.name] = app.generation
        self._rolling.add(app.name)
        held = Held(app.name, app.rolling.revision, app.generation)
        self._fleets.setdefault(app.name, []).append(held)
        self._tasks.start_soon(self._roll, held, app, app.rolling)

    async def _start(self, held: Held, app: KnownApp, revision: KnownRevision) -> None:
        """Start a runner; a failure is noted down, and none is tried for a while."""
        failure = ""
        try:
            await self._open(held, app, revision)
        except (ActionableError, OSError) as problem:
            failure = str(problem)
            await self._discard(held)
        if held.is_stopping and failure:
            failure = ""  # it was ended before it was up, which is nobody's fault
        elif failure or app.failures:
            gap = self._backoff.after(app.failures)
            await self._database.note(lambda: self._registry.note_start(app.name, failure, gap=gap))
            if failure:
                words = f"CRASH_BACKOFF: next try in {gap:g} s: {failure}"
                self._speech.note(app.name, revision.revision, "error", words)
        self.wrote = True
        self.kick()

    async def _roll(self, held: Held, app: KnownApp, revision: KnownRevision) -> None:
        """Start the first runner of a revision, and let it answer when it is healthy."""
        try:
            await self._open(held, app, revision)
            openapi = await self._proven(held, health_of(app.settings_of(revision)))
            if not await self._database.do(
                self._registry.go_live, app.name, revision.revision, openapi
            ):
                raise BackendError(f"the rollout of '{app.name}' was overtaken by another change")
            held.is_proven = True
            for other in self.of(app.name):
                if other.generation < held.generation and not other.is_condemned:
                    other.is_condemned = True
                    limit = app.settings.request_timeout or math.inf
                    self._tasks.start_soon(self._drain, other, grace_of(app.settings), limit)
            words = f"revision {revision.revision} answers"
            self._speech.note(app.name, revision.revision, "info", words)
        except (ActionableError, httpx.HTTPError, OSError, sqlite3.Error) as problem:
            words = str(problem) or "it did not answer its health check in time"
            await self._discard(held)
            if not held.is_stopping or app.name in self._rolling:
                await self._database.note(
                    self._registry.give_up, app.name, revision.revision, words
                )
            self._speech.note(app.name, revision.revision, "error", f"rolled back: {words}")
        finally:
            if self._begun.get(app.name) == app.generation:
                self._rolling.discard(app.name)
            self.wrote = True
            self.kick()

    async def _open(self, held: Held, app: KnownApp, revision: KnownRevision) -> None:
        """Start the process of *held* and wait until it is up.

        Raises:
            ActionableError: it does not come up; the words say why.
        """
        files = await self.files()
        spec = replace(
            await self._starter.spec(app, revision), files=files.host, uploads=files.uploads
        )
        if held.is_stopping:
            raise BackendError("it was not wanted any more")
        runner = held.runner = await start_runner(
            spec, self._speech.hear, self._tasks, self._cradle.lend(spec.tool)
        )
        socket = "" if runner.socket is None else str(runner.socket)
        door = held.door = Door(socket, runner.address, runner.token, runner.runner_id, files.base)
        row = RunnerRow(runner.runner_id, app.name, revision.revision, runner.state, runner.pid, "")
        await self._database.note(self._calls.note_runner, row, held.generation, self.fence, door)
        self._tasks.start_soon(self._watch, held, runner)
        await runner.ready()
        held.line = Line(door)
        if (health := health_of(app.settings_of(revision))) is not None and health.regularly:
            self._tasks.start_soon(self._check, held, health)

    async def _proven(self, held: Held, health: Health | None) -> Mapping[str, Any]:
        """Return the app's own document once it says that it is well.

        Raises:
            BackendError: its health check fails.
            httpx.HTTPError: it cannot be reached.
            TimeoutError: it does not answer in time.
        """
        assert held.line is not None  # noqa: S101  # it is up
        with anyio.fail_after(HEALTH_SECONDS):
            answer = await held.line.get("/health")
            if answer.status_code >= 500:
                raise BackendError(f"its health check answered {answer.status_code}")
            document = await held.line.get("/openapi.json")
        if health is not None and (words := await soon_well(held.line, health, HEALTH_SECONDS)):
            raise BackendError(f"its health check {words}")
        try:
            found: Any = document.json()
        except json.JSONDecodeError:
            return {}
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}

    async def _check(self, held: Held, health: Health) -> None:
        """Ask a runner regularly whether it is well, and end it once it is not, for another."""
        line, runner = held.line, held.runner
        assert line is not None and runner is not None  # noqa: S101, PT018  # it is up
        words = await unwell(line, health, self.check_seconds, lambda: not held.counts)
        if held.counts and not runner.has_ended:
            self._speech.note(held.app, held.revision, "error", words)
            self.condemn_held(held, kill=True)

    # Ending

    def end(self, held: Held, settings: AppSettings) -> None:
        """End a runner that nobody needs, as gently as its app asks."""
        self._end_soon(held, grace_of(settings))

    def end_app(self, app: str) -> None:
        """End all runners of *app* at once, with the calls in them."""
        self._rolling.discard(app)
        self._begun.pop(app, None)
        for held in self.of(app):
            self._end_soon(held, 1.0)

    def _end_soon(self, held: Held, grace: float) -> None:
        if not held.is_stopping:
            held.is_stopping = True
            self._tasks.start_soon(self._end, held, grace)

    async def _end(self, held: Held, grace: float) -> None:
        if held.runner is not None:
            await held.runner.stop(grace)

    async def _drain(self, held: Held, grace: float, limit: float) -> None:
        """Wait until the calls in *held* are over, for *limit* seconds at the most, and end it."""
        if held.runner is not None:
            held.runner.drain()
        with anyio.move_on_after(limit):
            while held.calls:
                await held.left.wait()
        self._end_soon(held, grace)

    async def _discard(self, held: Held) -> None:
        """End a runner that is not to be used, and forget it."""
        if held.runner is not None:
            await held.runner.stop(1.0)
        self._drop(held)

    def _drop(self, held: Held) -> None:
        fleet = self._fleets.get(held.app, [])
        if held in fleet:
            fleet.remove(held)

    async def _watch(self, held: Held, runner: Runner) -> None:
        """Write down the states of a runner to its end."""
        told = ""  # what it is by now may be more than what was written down of it
        while not runner.has_ended:
            if runner.state == told:
                await runner.changed()
            if runner.state not in ("IDLE", "RUNNING"):
                self.kick()
            if runner.state == "RUNNING":
                await anyio.sleep(BLINK_SECONDS)
            if runner.state != told and not runner.has_ended:
                told = runner.state
                await self._database.note(self._calls.set_state, runner.runner_id, told)
        held.is_condemned = True
        self._drop(held)
        if held.line is not None:
            await held.line.aclose()
        await self._database.note(
            self._calls.set_state, runner.runner_id, "TERMINATED", runner.reason
        )
        seconds = runner.billed_seconds()
        await self._database.note(
            lambda: self._registry.note_use(held.app, seconds=seconds, called=bool(held.served))
        )
        self.kick()

    async def end_all(self, grace: float) -> None:
        """End every runner, and wait for it."""
        self._rolling.clear()
        self._begun.clear()
        every = [held for fleet in self._fleets.values() for held in fleet]
        for held in every:
            self._end_soon(held, grace)
        with anyio.move_on_after(grace + CLOSING_SECONDS):
            for held in every:
                if held.runner is not None:
                    await held.runner.ended()


def grace_of(settings: AppSettings) -> float:
    """Return the seconds that an app asks for between the wish to end it and its end."""
    asked = settings.termination_grace_period_seconds
    return GRACE_SECONDS if asked is None else float(asked)
