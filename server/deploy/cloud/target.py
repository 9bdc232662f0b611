"""`CloudTarget`: apps on fal, written by a worker without the key, read over the platform API."""

import re
import sys
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from ctypes import CDLL
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
import httpx
from anyio.to_thread import run_sync
from pydantic import SecretStr

from server.deploy.cloud.failures import CloudError, check
from server.deploy.cloud.files import SentFile, files_in, send_files
from server.deploy.cloud.logs import read_logs
from server.deploy.cloud.orders import (
    Order,
    annotations_of,
    deleting,
    deploying,
    looking,
    restarting,
    rolling_back,
    scaling,
    setting_secret,
    unsetting_secret,
)
from server.deploy.cloud.outcome import Outcome
from server.deploy.cloud.reading import CloudReader, revision_of, settings_of_alias, untold
from server.deploy.cloud.workers import Upstream, carried_out
from server.deploy.environments import tool_environment
from server.deploy.pythons import minor_of
from server.deploy.targets import Release, Tell
from server.fal.platform import PlatformClient
from server.fal.platform_app_records import Revision as RevisionRecord
from server.fal.problems import NotFoundError, UnauthorisedError
from server.fal.retry import RetryPolicy
from server.fal.sender import Sender
from server.settings import Settings
from tools.deploy_records import DeployedApp, LogPage, LogQuery, Revision, Target
from tools.errors import BackendError, NotConfiguredError

USUAL_CONTROL_PLANE = "https://api.alpha.fal.ai"
# The applier puts it at the end; what stands before is the caller's, and may name other plans.
PLAN = re.compile(r"\[(plan-[0-9a-z]+)\]$")
PR_SET_DUMPABLE = 4
LOOKS = 5  # for a change whose answer was lost, a pause apart
# The platform API offers this nowhere here, or not to a key that may only deploy.
NOT_TOLD = (NotFoundError, UnauthorisedError)
SETTLES = 30  # for a new revision to answer


@asynccontextmanager
async def open_cloud(
    settings: Settings, platform: PlatformClient | None = None, *, pause: float = 2.0
) -> AsyncGenerator["CloudTarget"]:
    """Yield apps on fal; *platform* is for who has a client of the platform API already.

    *pause* is the seconds between looks at what became of a change.

    Raises:
        NotConfiguredError: there is no key, or jobs go to the emulator by choice.
    """
    if settings.key is None:
        raise NotConfiguredError("the cloud needs a key of fal", hint="set FAL_KEY")
    if settings.backend != "cloud":
        raise NotConfiguredError(
            "FALKIT_BACKEND is emulator, so nothing is deployed to fal",
            hint='unset it, or deploy to target "local"',
        )
    control = urlsplit(settings.grpc_url or USUAL_CONTROL_PLANE)
    upstream = Upstream(
        f"{control.hostname}:{control.port or 443}",
        settings.key,
        settings.home / "deploy" / "audit.jsonl",
    )
    with _hidden():
        if platform is not None:
            yield CloudTarget(settings, upstream, CloudReader(platform), pause)
            return
        async with httpx.AsyncClient() as http:
            sender = Sender(http, settings.hosts, settings.key, RetryPolicy())
            yield CloudTarget(settings, upstream, CloudReader(PlatformClient(sender)), pause)


@contextmanager
def _hidden() -> Generator[None]:
    """Keep processes of the same account from reading the memory and environment of this one.

    Where a machine cannot give the worker processes of its own, an app could else find the key.
    """
    if sys.platform != "linux":
        yield
        return
    libc = CDLL(None)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class CloudTarget:
    """Apps of the key's account on fal, in its main environment."""

    settings: Settings
    upstream: Upstream
    reader: CloudReader
    pause: float = 2.0

    @property
    def target(self) -> Target:
        return "cloud"

    async def apps(self, name: str = "") -> Sequence[DeployedApp]:
        """Return the app of that name, or all; none where there is no such app."""
        try:
            return await self.reader.apps(name)
        except NOT_TOLD:
            return await self._apps_of_control_plane(name)

    async def _apps_of_control_plane(self, name: str) -> list[DeployedApp]:
        done = await self._asked(looking("show_app", name) if name else looking("list_apps"))
        found: list[DeployedApp] = []
        for alias in cast("list[dict[str, Any]]", done.get("apps") or []):
            settings = settings_of_alias(alias)
            app = DeployedApp(
                target="cloud",
                name=str(alias.get("alias")),
                endpoint_id=str(alias.get("alias")),
                revision=str(alias.get("revision") or ""),
                auth=settings.auth,
                settings=settings,
                health="healthy" if alias.get("active_runners") else "idle",
                unknown=untold(settings),
                runners={"RUNNING": int(alias.get("active_runners") or 0)},
            )
            found.append(_with_history(app, done) if name else app)
        return found

    async def release(self, release: Release, tell: Tell) -> Revision:
        """Deploy, and return the new revision; what carries the plan's id already is not repeated.

        Raises:
            CloudError: it failed, or nobody knows (`is_unknown`) and no revision carries the plan.
        """
        found = PLAN.search(release.message)
        plan_id = found[1] if found else ""
        runs = await self._runs(release.name)
        if runs and plan_id and (known := await self._marked(release.name, plan_id)):
            await tell(0.9, "fal has this plan's revision already")
            return await self._settled(release.name, known, tell)
        source = await run_sync(_text, release.folder / release.file) if release.file else ""
        files = await run_sync(files_in, release.folder)
        order = await run_sync(partial(deploying, release, plan_id, source, files, runs=runs))
        try:
            outcome = await self._done(order, tell)
        except CloudError as problem:
            if not problem.is_unknown or not plan_id:
                raise
            revision = await self._looked_for(release.name, plan_id, problem, tell)
        else:
            answer = outcome.write_answer or {}
            revision = RevisionRecord(
                revision_id=str(answer.get("revision")),
                created_at=datetime.now(UTC),
                message=release.message,
                annotations=annotations_of(release),
            )
        return await self._settled(release.name, revision, tell)

    async def _runs(self, name: str) -> bool:
        try:
            return bool(await self.reader.listed(name))
        except NOT_TOLD:
            return bool(await self._apps_of_control_plane(name))

    async def _marked(self, name: str, plan_id: str) -> RevisionRecord | None:
        try:
            return await self.reader.marked(name, plan_id)
        except NOT_TOLD:
            return None

    async def _looked_for(
        self, name: str, plan_id: str, lost: CloudError, tell: Tell
    ) -> RevisionRecord:
        """Return the revision that carries the plan, looked for a while.

        Raises:
            CloudError: *lost*, with what the search found.
        """
        await tell(0.9, "no answer came; looking whether fal has the revision")
        for again in range(LOOKS):
            if again:
                await anyio.sleep(self.pause)
            try:
                found = await self.reader.marked(name, plan_id)
            except BackendError as problem:
                lost.message += f"; looking for it failed too: {problem.message}"
                break
            if found is not None:
                return found
        else:
            lost.message += f"; no revision of {name} carries {plan_id} so far"
        lost.hint = "app_status shows whether it came; it is not sent again by itself"
        raise lost

    async def _settled(self, name: str, revision: RevisionRecord, tell: Tell) -> Revision:
        """Return *revision* once it answers, or as it stands after a minute.

        Raises:
            CloudError: it failed to start.
        """
        told = revision_of(_with_current(revision, current=True))
        for again in range(SETTLES):
            if again:
                await tell(0.97, "waiting for the new revision to answer")
                await anyio.sleep(self.pause)
            known = await self._listed_revision(name, revision.revision_id)
            if known is None:  # not told by the platform API: what the control plane said stands
                return told
            told = revision_of(known)
            if told.state == "failed":
                raise CloudError(
                    "rollout_failed",
                    f"revision {told.revision} of {name} did not become healthy; "
                    "the one before it answers",
                    "app_logs shows why",
                )
            if told.state == "live":
                return told
        return replace(told, state="rolling")

    async def _listed_revision(self, name: str, revision: str) -> RevisionRecord | None:
        with suppress(BackendError):
            for app in await self.reader.listed(name):
                for known in await self.reader.revisions(app):
                    if known.revision_id == revision:
                        return known
        return None

    async def scale(self, name: str, settings: Mapping[str, int], tell: Tell) -> None:
        """Change settings of a running app without a new revision."""
        try:
            await self._done(scaling(name, settings), tell)
        except CloudError as problem:
            if not problem.is_unknown or not await self._is_scaled(name, settings):
                raise

    async def _is_scaled(self, name: str, settings: Mapping[str, int]) -> bool:
        with suppress(BackendError):
            for app in await self.reader.apps(name):
                return all(getattr(app.settings, key) == value for key, value in settings.items())
        return False

    async def roll_back(self, name: str, revision: str, tell: Tell) -> Revision:
        """Let an earlier revision answer again; nothing is built."""
        try:
            await self._done(rolling_back(name, revision), tell)
        except CloudError as problem:
            known = await self._listed_revision(name, revision) if problem.is_unknown else None
            if known is None or not known.is_current:
                raise
        known = await self._listed_revision(name, revision)
        if known is None:
            return Revision(revision, datetime.now(UTC), "live")
        return replace(revision_of(known), state="live")

    async def restart(self, name: str, tell: Tell) -> None:
        """Replace the runners of an app by new ones of the same revision."""
        await self._done(restarting(name), tell)

    async def delete(self, name: str, tell: Tell) -> None:
        """Take an app away; one that is not there is an error."""
        try:
            await self._done(deleting(name), tell)
        except CloudError as problem:
            if not problem.is_unknown or await self._is_there(name):
                raise

    async def _is_there(self, name: str) -> bool:
        with suppress(BackendError):
            return bool(await self.reader.listed(name))
        return True

    async def set_secret(self, name: str, value: SecretStr) -> None:
        """Keep a secret; a new one is shown to those apps only that list it."""
        known = name in await self.secret_names()
        try:
            order = setting_secret(name, value, exposed=None if known else False)
            await self._done(order, _quietly)
        except CloudError as problem:  # whatever fal says of it
            problem.message = problem.message.replace(value.get_secret_value(), f"[{name}]")
            problem.args = (problem.message,)
            raise

    async def unset_secret(self, name: str) -> None:
        """Forget a secret.

        Raises:
            CloudError: there is none of that name.
        """
        if name not in await self.secret_names():
            raise CloudError("not_found", f"there is no secret {name[:60]!r}", "")
        await self._done(unsetting_secret(name), _quietly)

    async def secret_names(self) -> Sequence[str]:
        """Return the names of the secrets that are kept, never their values."""
        done = await self._asked(looking("list_secrets"))
        return sorted(str(name) for name in done.get("names") or ())

    async def logs(self, query: LogQuery, follow_seconds: float = 0.0) -> LogPage:
        """Return lines that match, waiting at most so long for more.

        Raises:
            CloudError: there is no such app.
            BackendError: the logs cannot be read.
        """
        ids: list[str] = []
        if query.app:
            ids = [app.endpoint_id for app in await self.reader.listed(query.app)]
            if not ids:
                raise CloudError(
                    "not_found", f"no app {query.app[:60]!r} on fal", "app_status lists the apps"
                )
        return await read_logs(self.reader.platform, query, ids, follow_seconds)

    async def _asked(self, order: Order) -> Mapping[str, Any]:
        return (await self._done(order, _quietly)).done or {}

    async def _done(self, order: Order, tell: Tell) -> Outcome:
        given, minor = self.settings.deploy_tools, minor_of(order.deploy.get("python_version", ""))
        tool = await tool_environment(self.settings.home, tell, given=given, minor=minor)

        async def send(files: Sequence[SentFile]) -> int:
            total = sum(file.size for file in files) / 1e6
            await tell(0.15, f"sending {len(files)} files ({total:.1f} MB) that fal may lack")
            return await send_files(self.reader.platform.serverless.calls.sender, files)

        outcome = await carried_out(order, tool, self.upstream, tell, send)
        check(order, outcome)
        return outcome


def _with_history(app: DeployedApp, done: Mapping[str, Any]) -> DeployedApp:
    """Return *app* with the revisions and runners that the worker told."""
    counts: dict[str, int] = {}
    for runner in cast("list[dict[str, Any]]", done.get("runners") or []):
        counts[str(runner["state"])] = counts.get(str(runner["state"]), 0) + 1
    rows = cast("list[dict[str, Any]]", done.get("revisions") or [])
    told = [
        Revision(
            revision=str(row["revision"]),
            created=datetime.fromisoformat(str(row["created"])),
            state="live" if row["revision"] == app.revision else "old",
        )
        for row in rows
    ]
    newest_first = sorted(told, key=lambda one: one.created, reverse=True)
    return replace(app, runners=counts, revisions=tuple(newest_first))


def _with_current(record: RevisionRecord, *, current: bool) -> RevisionRecord:
    """Return *record* as one that answers, or no longer."""
    return record.model_copy(update={"is_current": current})


def _text(path: Path) -> str:
    """Return a module as `fal` reads it: with line ends of one kind.

    Raises:
        CloudError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise CloudError("no_app", f"{path.name!r} cannot be read as UTF-8", "mend it") from problem


async def _quietly(share: float, words: str) -> None:
    """Tell nobody."""
