"""`Hosting`: apps of this machine behind one process's emulator."""

import json
import logging
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskGroup
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from server.deploy.environments import Allowed
from server.deploy.local.calls import Calls
from server.deploy.local.cards import find_app, split_id
from server.deploy.local.crew import CHECK_SECONDS, Backoff, Crew
from server.deploy.local.database import Database, database_of
from server.deploy.local.direct import DirectAnswer, DirectCalls
from server.deploy.local.leases import Leases
from server.deploy.local.logs import LogBook
from server.deploy.local.registry import Registry
from server.deploy.local.secrets import Secrets
from server.deploy.local.speech import Speech
from server.deploy.local.starting import Starter
from server.deploy.local.supervisor import Shared, Supervisor
from server.deploy.local.talking import converse, talk
from server.deploy.local.terms import found_terms
from server.deploy.local.work import HostedWork
from server.emulator.answers import Refusal
from server.emulator.engine import Engine
from server.emulator.hosted import House, Terms, is_hosted
from server.emulator.sockets import REALTIME

log = logging.getLogger("falkit.deploy")

ENDING_SECONDS = 1.5  # what runners have to end when their falkit does


def log_folder(home: Path) -> Path:
    """Return where the logs of apps lie for falkit's *home*."""
    return home / "deploy" / "local" / "logs"


class Hosting:
    """Fills `Hosted`: any process may answer, and the one that holds the role runs the runners.

    *home* is falkit's, *tools* the interpreter with `fal` where a setting names one. With *keeps*
    the role is held for as long as there are apps, not only while there is something to do.
    *secrets* are the names of those that apps may have. Runners are asked every *check_seconds*
    whether they are well.
    """

    def __init__(
        self,
        home: Path,
        tools: Path | None = None,
        *,
        keeps: bool = False,
        install: Sequence[str] = (),
        secrets: Collection[str] = (),
        backoff: Backoff | None = None,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self._home = home
        self._tools = tools
        self._keeps = keeps
        self._allowed = Allowed.of(install)
        self._secrets = secrets
        self._backoff = backoff or Backoff()
        self._check_seconds = check_seconds
        self._direct: DirectCalls | None = None
        self._opened = anyio.Event()

    def knows(self, name: str) -> bool:
        """Return whether *name* is an app of ours, or a path of one."""
        return is_hosted(name) and find_app(self._home, split_id(name)[0]) is not None

    def is_public(self, name: str) -> bool:
        """Return whether whoever comes may call the app of *name* without a key."""
        found = find_app(self._home, split_id(name)[0]) if is_hosted(name) else None
        return found is not None and json.loads(found["settings"]).get("auth") == "public"

    def terms(self, name: str) -> Terms:
        """Return what the app of *name* says of its requests."""
        return found_terms(self._home, name)

    def look(self) -> None:
        """Look for work now: something was changed."""
        if self._direct is not None:
            self._direct.crew.look()

    async def run(self, request: Request, name: str) -> Response:
        """Return the answer of an app to a call of the run host.

        Raises:
            Refusal: the call cannot be read.
        """
        app, path = split_id(name)
        return await DirectAnswer(await self._calls(), request, app, path).begin()

    async def talk(self, socket: WebSocket, name: str) -> None:
        """Connect a socket with an app; on the socket host, with any of its calls."""
        app, path = split_id(name)
        if socket.url.path.startswith("/ws/") and not self._is_socket(app, path):
            await converse(await self._calls(), socket, app, path)
        else:
            await talk(await self._calls(), socket, app, path)

    def _is_socket(self, app: str, path: str) -> bool:
        """Return whether *path* of *app* is one that speaks in a socket itself."""
        found = find_app(self._home, app)
        document: Mapping[str, Any] = {} if found is None else json.loads(found["openapi"])
        paths: Mapping[str, Any] = document.get("paths") or {}
        return path.endswith(REALTIME) or "x-fal-protocol" in paths.get(path, {})

    async def _calls(self) -> DirectCalls:
        with anyio.move_on_after(10):
            await self._opened.wait()
        if self._direct is None:
            raise Refusal(503, "Apps of this machine cannot be run", error_type="internal_error")
        return self._direct

    async def work(self, house: House) -> None:
        """Do this process's share of running apps until cancelled, and end its runners then."""
        over = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._shielded, house, over)
            try:
                await anyio.sleep_forever()
            finally:
                over.set()

    async def _shielded(self, house: House, over: anyio.Event) -> None:
        """Work until *over*, then end in order: a cancelled task could not."""
        with anyio.CancelScope(shield=True):
            try:
                database = await anyio.to_thread.run_sync(Database, database_of(self._home))
            except (OSError, RuntimeError, sqlite3.Error) as problem:
                # The models of the emulator are there all the same.
                log.error("apps of this machine cannot be run: %s", problem)
                self._opened.set()
                return
            try:
                async with anyio.create_task_group() as tasks:
                    await self._run(house, database, tasks, over)
                    tasks.cancel_scope.cancel()
            finally:
                database.close()

    async def _run(
        self, house: House, database: Database, tasks: TaskGroup, over: anyio.Event
    ) -> None:
        registry, calls, secrets = (
            Registry(database),
            Calls(database),
            Secrets(database, self._secrets),
        )
        shared = Shared(house, database, registry, calls, Leases(database))
        starter = Starter(self._home, self._tools, database, secrets, self._allowed)
        speech = Speech(house, LogBook(log_folder(self._home)))

        def kick() -> None:
            engine.kick()

        crew = Crew(house, database, starter, speech, tasks, kick, self._backoff)
        crew.check_seconds = self._check_seconds
        supervisor = Supervisor(shared, crew, tasks, kick, keeps=self._keeps)
        work = HostedWork(house, supervisor, crew, speech, tasks)
        engine = Engine(house.store, house.rows, work, house.changes, house.ended)
        direct = DirectCalls(database, calls, crew, supervisor, tasks)
        self._direct = direct
        house.engine.beside.append(engine)
        working = anyio.CancelScope()

        async def work_on() -> None:
            with working:
                await engine.work()

        tasks.start_soon(work_on)
        tasks.start_soon(crew.keep_files)
        tasks.start_soon(crew.keep_cradle)
        tasks.start_soon(speech.work)
        tasks.start_soon(direct.beat)
        self._opened.set()
        try:
            await over.wait()
        finally:
            self._direct = None
            house.engine.beside.remove(engine)
            working.cancel()
            await crew.end_all(ENDING_SECONDS)
            await direct.aclose()
            with suppress(sqlite3.OperationalError):  # the lease ends by itself
                await supervisor.give_up_role()
            await database.note(calls.leave_all, supervisor.owner)
