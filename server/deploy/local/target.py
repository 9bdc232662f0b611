"""`LocalTarget`: this machine as a place where apps run."""

import re
import shutil
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import anyio
import httpx
from pydantic import SecretStr
from starlette.types import ASGIApp

from catalog.index import LOCAL, CatalogIndex
from server.deploy.environments import Allowed
from server.deploy.inspecting import route_of
from server.deploy.local.calls import Calls, counted
from server.deploy.local.cards import find_card
from server.deploy.local.database import Database, database_of
from server.deploy.local.fidelity import FIDELITY
from server.deploy.local.hosting import Hosting, log_folder
from server.deploy.local.leases import LEASE_SECONDS, Leases
from server.deploy.local.logs import read_page
from server.deploy.local.registry import KnownApp, KnownRevision, Registry
from server.deploy.local.secrets import Secrets
from server.deploy.local.starting import Starter
from server.deploy.targets import Release, Tell
from server.emulator.platform import open_emulator
from server.emulator.transport import StreamingASGITransport
from server.home import is_device, taken_by
from server.settings import Settings
from tools.deploy_records import DeployedApp, LogPage, LogQuery, Revision, Route
from tools.deploying import state_words
from tools.errors import BackendError

LOOK_SECONDS = 0.03
FOLLOW_SECONDS = 0.15
WAKE_SECONDS = 1.0
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.IGNORECASE)
BASE = "http://emulator.invalid"


@dataclass(frozen=True, slots=True)
class LocalTarget:
    """Fills `DeployTarget`. What is wanted is written down; whoever supervises makes it so.

    *http* leads to this process's emulator, which looks for work when it is called.
    """

    settings: Settings
    database: Database
    starter: Starter
    http: httpx.AsyncClient

    @property
    def target(self) -> Literal["local"]:
        """Which target this is."""
        return "local"

    @property
    def _registry(self) -> Registry:
        return Registry(self.database)

    async def apps(self, name: str = "") -> Sequence[DeployedApp]:
        """Return the app of that name, or all; none where there is no such app."""
        known = await self.database.do(self._registry.apps, name)
        return [await self._told(app) for app in known if app.live or app.rolling]

    async def release(self, release: Release, tell: Tell) -> Revision:
        """Deploy, and return the new revision once it is healthy and answers.

        Raises:
            BackendError: it did not become healthy, or somebody else changes the same app.
        """
        if not NAME.fullmatch(release.name):
            raise BackendError(
                f"'{release.name[:60]}' is no name for an app",
                hint="letters, digits and dashes, at most 63",
            )
        others = [app.name for app in await self.database.do(self._registry.apps)]
        if other := taken_by(release.name, others):
            raise BackendError(
                f"'{release.name}' would share the folder of '{other}' on this machine, whose disk "
                "takes capitals for small letters",
                hint="give it another name",
            )
        if sys.platform == "win32" and is_device(release.name):
            raise BackendError(
                f"'{release.name}' means a device on Windows", hint="give it another name"
            )
        if release.settings.image:
            raise BackendError(
                f"'{release.name}' brings a container image, which is not run on this machine",
                hint="check it here, and deploy it to the cloud",
            )
        async with self._changing(release.name, "a deploy"):
            kept = await anyio.to_thread.run_sync(self._copy, release)
            await tell(0.1, "looking after its Python environment")
            _, environment = await self.starter.environments(release.settings, tell)
            known = await self.database.do(self._registry.begin, kept, environment.key)
            await tell(0.5, f"starting a runner of revision {known.revision}")
            try:
                done = await self._rolled_out(known, tell)
            except BackendError:
                gone = await self.database.do(self._registry.forget_failed, release.name)
                await anyio.to_thread.run_sync(_remove, gone)
                raise
            await self.database.do(self._registry.reset_scale, release.name)
            gone = await self.database.do(self._registry.prune, release.name)
            await anyio.to_thread.run_sync(_remove, gone)
            return done

    async def roll_back(self, name: str, revision: str, tell: Tell) -> Revision:
        """Let an earlier revision answer again; nothing is built.

        Raises:
            BackendError: there is no such app or revision, or it does not become healthy.
        """
        await self._known(name)
        async with self._changing(name, "a rollback"):
            known = await self._again(name, revision)
            await tell(0.3, f"starting a runner of revision {revision}")
            return await self._rolled_out(known, tell)

    async def restart(self, name: str, tell: Tell) -> None:
        """Replace the runners of an app by new ones of the same revision.

        Raises:
            BackendError: there is no such app, or its new runner does not become healthy.
        """
        app = await self._known(name)
        if app.live is None:
            raise BackendError(f"no revision of '{name}' answers yet", retry_helps=True)
        async with self._changing(name, "a restart"):
            known = await self._again(name, app.live.revision)
            await tell(0.3, "starting a new runner")
            await self._rolled_out(known, tell)

    async def scale(self, name: str, settings: Mapping[str, int], tell: Tell) -> None:
        """Change settings of a running app without a new revision; names as in `AppSettings`.

        Raises:
            BackendError: there is no such app, or a setting is refused.
        """
        await self._known(name)
        await self.database.do(self._registry.scale, name, settings)
        await self._wake()
        await tell(1.0, "scaled")

    async def delete(self, name: str, tell: Tell) -> None:
        """Take an app away: its runners end, its queue is emptied, callers get 404.

        Raises:
            BackendError: there is no such app, or its runners do not end.
        """
        await self._known(name)
        async with self._changing(name, "a deletion"):
            folders = await self.database.do(self._registry.delete, name)
            await tell(0.3, "ending its runners")
            with anyio.move_on_after(15) as bound:
                while await self.database.do(Calls(self.database).runners, name):
                    await self._wake()
                    await anyio.sleep(LOOK_SECONDS)
            await self._wake()
            await anyio.to_thread.run_sync(_remove, folders)
            if bound.cancelled_caught:
                raise BackendError(f"the runners of '{name}' do not end", retry_helps=True)

    async def set_secret(self, name: str, value: SecretStr) -> None:
        """Keep a secret under *name*; apps that list it see it when their runners start."""
        await self.database.do(self.starter.secrets.keep, name, value)

    async def secret_names(self) -> Sequence[str]:
        """Return the names of the secrets that are kept, never their values."""
        return await self.database.do(self.starter.secrets.names)

    async def logs(self, query: LogQuery, follow_seconds: float = 0.0) -> LogPage:
        """Return lines that match, waiting at most so long for more."""
        folder = log_folder(self.settings.home)
        page = await anyio.to_thread.run_sync(read_page, folder, query)
        with anyio.move_on_after(follow_seconds):
            while not page.lines and follow_seconds:
                await anyio.sleep(FOLLOW_SECONDS)
                newer = replace(query, cursor=page.next_cursor)
                page = await anyio.to_thread.run_sync(read_page, folder, newer)
        return page

    async def _known(self, name: str) -> KnownApp:
        found = await self.database.do(self._registry.apps, name)
        if not found:
            raise BackendError(f"no app '{name[:60]}' is deployed on this machine")
        return found[0]

    async def _again(self, app: str, revision: str) -> KnownRevision:
        await self.database.do(self._registry.begin_again, app, revision)
        found = await self.database.do(self._registry.find, revision)
        assert found is not None  # noqa: S101  # it was found a moment ago
        return found

    async def _rolled_out(self, known: KnownRevision, tell: Tell) -> Revision:
        """Return the revision once it answers.

        Raises:
            BackendError: it does not become healthy; what answered before still does.
        """
        told = ""
        while True:
            app = await self._known(known.app)
            if app.rolling is None or app.rolling.revision != known.revision:
                break
            await self._wake()
            if state := await self._state_of(known):
                if state != told:
                    await tell(0.7, f"its runner: {state_words(state)}")
                told = state
            await anyio.sleep(LOOK_SECONDS)
        found = await self.database.do(self._registry.find, known.revision)
        if found is None:
            raise BackendError(f"'{known.app}' was deleted meanwhile")
        if found.error or app.live is None or app.live.revision != known.revision:
            before = f"; revision {app.live.revision} still answers" if app.live else ""
            words = found.error or "another change overtook it"
            raise BackendError(
                f"revision {known.revision} was rolled back: {words}{before}",
                hint="mend what the words name and deploy again; "
                f'app_logs {{"app":"{known.app}"}} has all that it said',
            )
        await tell(1.0, f"revision {known.revision} answers")
        return found.told

    async def _state_of(self, known: KnownRevision) -> str:
        runners = await self.database.do(Calls(self.database).runners, known.app)
        states = [one.state for one in runners if one.revision == known.revision]
        return states[-1] if states else ""

    async def _wake(self) -> None:
        """Have this process's emulator look for work."""
        with anyio.move_on_after(WAKE_SECONDS):
            await self.http.post(f"{BASE}/_emulator/hosted")

    @asynccontextmanager
    async def _changing(self, app: str, what: str) -> AsyncGenerator[None]:
        """Be the only one who changes *app*.

        Raises:
            BackendError: somebody else is.
        """
        leases, owner = Leases(self.database), str(uuid4())
        lease, words = f"change {app}", f"{what} of '{app}'"
        fence = await self.database.do(leases.acquire, lease, owner, words)
        if fence is None:
            by = await self.database.do(leases.holder, lease)
            raise BackendError(
                f"{by or 'another change'} is under way, so {what} was not begun",
                hint="wait for its end, then plan again",
                retry_helps=True,
            )

        async def beat() -> None:
            while True:
                await anyio.sleep(LEASE_SECONDS / 3)
                await self.database.do(leases.renew, lease, owner, fence)

        failure: Exception | None = None  # a task group would wrap what its body raises
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(beat)
                try:
                    yield
                except Exception as problem:
                    failure = problem
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self.database.do(leases.release, lease, owner)
        if failure is not None:
            raise failure

    def _copy(self, release: Release) -> Release:
        """Return *release* with a copy of its source that lives as long as the revision; it blocks.

        Raises:
            BackendError: it cannot be copied.
        """
        shelf = self.settings.home / "deploy" / "local" / "sources"
        folder = shelf / f"{release.name}-{uuid4().hex[:8]}"
        try:
            shelf.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copytree(release.folder, folder)
        except OSError as problem:
            raise BackendError(f"the source cannot be copied: {problem}") from problem
        return replace(release, folder=folder)

    async def _told(self, app: KnownApp) -> DeployedApp:
        runners = await self.database.do(Calls(self.database).runners, app.name)
        revisions = await self.database.do(self._registry.revisions, app.name)
        queued = await self._queued(app.name)
        answering = app.live or app.rolling
        assert answering is not None  # noqa: S101  # only such apps are told
        states = counted(runners)
        return DeployedApp(
            target="local",
            name=app.name,
            endpoint_id=f"{LOCAL}{app.name}",
            revision=app.live.revision if app.live else "",
            auth=app.settings.auth,
            settings=app.settings,
            health=_health(app, states),
            runners=states,
            queued=queued,
            revisions=tuple(one.told for one in revisions),
            routes=routes_of(answering.openapi),
            last_call=_moment(app.last_call),
            seconds_billed=round(app.seconds, 1),
            fidelity=FIDELITY,
        )

    async def _queued(self, name: str) -> int:
        answer = await self.http.get(f"{BASE}/_emulator/hosted")
        return int(answer.json()["waiting"].get(LOCAL + name, 0))


def _health(app: KnownApp, states: Mapping[str, int]) -> str:
    if app.failure:
        again = datetime.fromtimestamp(app.not_before, UTC).strftime("%H:%M:%S")
        return f"does not start, next try at {again} UTC: {app.failure}"
    if app.live is None:
        return "starting"
    if any(state in states for state in ("IDLE", "RUNNING")):
        return "healthy"
    return "starting" if states else "idle"


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def routes_of(openapi: Mapping[str, Any]) -> tuple[Route, ...]:
    """Return the ways to call an app that its document names."""
    paths: Mapping[str, Any] = openapi.get("paths") or {}
    return tuple(
        route_of(openapi, path, is_websocket="x-fal-protocol" in item)
        for path, item in paths.items()
        if "post" in item or "x-fal-protocol" in item
    )


def _remove(folders: Sequence[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def open_local(
    settings: Settings, catalog: CatalogIndex | None = None, *, app: ASGIApp | None = None
) -> AsyncGenerator[LocalTarget]:
    """Yield this machine as a target.

    *app* is this process's emulator, if it has one open; else one is opened for the while, whose
    runners end with it, on *catalog*, by default the shipped one.
    """
    path = database_of(settings.home)
    names = [source.name for source in settings.deploy_secrets]
    database = await anyio.to_thread.run_sync(Database, path)
    try:
        async with AsyncExitStack() as stack:
            opened = app or await stack.enter_async_context(
                open_emulator(
                    settings.home / "emulator",
                    catalog or CatalogIndex.open(beside=partial(find_card, settings.home)),
                    speed=settings.emulator_speed,
                    concurrency=settings.emulator_concurrency,
                    hosted=Hosting(
                        settings.home,
                        settings.deploy_tools,
                        install=settings.deploy_install,
                        secrets=names,
                    ),
                )
            )
            transport = await stack.enter_async_context(StreamingASGITransport(opened))
            http = await stack.enter_async_context(
                httpx.AsyncClient(transport=transport, timeout=30)
            )
            allowed = Allowed.of(settings.deploy_install)
            secrets = Secrets(database, names)
            starter = Starter(settings.home, settings.deploy_tools, database, secrets, allowed)
            yield LocalTarget(settings, database, starter, http)
    finally:
        database.close()
