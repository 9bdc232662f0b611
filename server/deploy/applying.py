"""Carrying a plan out: everything it was drawn from is looked at again before anything moves."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from anyio.to_thread import run_sync

from catalog.errors import ActionableError
from server.deploy.applied import settings_from
from server.deploy.asking import reasons
from server.deploy.plans import Kept, Plans
from server.deploy.policy import check_allowed
from server.deploy.secret_values import secret_value
from server.deploy.shelves import PlanError
from server.deploy.source import is_intact, read_source
from server.deploy.targets import DeployTarget, Release, Tell
from server.settings import Settings
from tools.deploy_records import AppSettings, DeployedApp, Target
from tools.ports import Job

SEAL = 32  # characters
# After these an app costs what this plan says, whatever earlier ones took.
ENDING = ("deploy", "scale", "delete")


@dataclass(frozen=True, slots=True)
class Applier:
    """Carries out plans on the targets that *target_of* opens."""

    settings: Settings
    plans: Plans
    target_of: Callable[[Target], Awaitable[DeployTarget]]

    def words_of(self, plan_id: str, kept: Kept, *, asked: bool) -> dict[str, Any]:
        """Return what a job says of the plan that it carries out; it blocks.

        *seal* says which plan that is, to the letter, ``unasked`` that no person was *asked*.
        """
        seal = self.plans.seal_of(plan_id)[:SEAL]
        unasked = {} if asked else {"unasked": True}
        return {"plan_id": plan_id, **(kept.shown or {}), **unasked, "seal": seal}

    async def check_current(self, plan_id: str, kept: Kept) -> None:
        """Refuse a plan under which something has moved.

        Raises:
            PlanError: source, running revision or settings are not what they were.
        """
        if kept.blocked:
            raise PlanError(
                f"plan {plan_id} is blocked: {kept.blocked[0]}", hint="mend it and plan again"
            )
        check_allowed(self.settings, _target(kept))
        await run_sync(self.plans.check_age, plan_id)
        if kept.source:
            now = await run_sync(read_source, Path(kept.path))
            if now.sha256 != kept.source:
                raise PlanError(
                    f"the source changed after plan {plan_id}", hint="plan the change again"
                )
        await self._check_running(plan_id, kept)

    async def _check_running(self, plan_id: str, kept: Kept) -> None:
        if kept.action == "set_secret":
            return
        running = await self._running(kept)
        revision = "" if running is None else running.revision
        if revision != kept.replaces:
            raise PlanError(
                f"{kept.app} is at {revision or 'no revision'} now, plan {plan_id} was drawn at "
                f"{kept.replaces or 'none'}",
                hint="plan the change again",
            )
        before = None if running is None else _plain(running.settings)
        if before != (None if kept.before is None else _listed(kept.before)):
            raise PlanError(
                f"the settings of {kept.app} changed after plan {plan_id}",
                hint="plan the change again",
            )

    async def _running(self, kept: Kept) -> DeployedApp | None:
        target = await self.target_of(_target(kept))
        return next(iter(await target.apps(kept.app)), None)

    async def carry_out(self, job: Job, again: bool, tell: Tell) -> str:
        """Do what the plan of *job* says, and return what came of it in words.

        When an earlier process had begun (*again*), what is already so is only told.

        Raises:
            PlanError: something moved under the plan.
            BackendError: the target refused or failed.
        """
        plan_id = str(job.arguments.get("plan_id", ""))
        kept, begun_by = await run_sync(self.plans.find, plan_id)
        if not again and begun_by not in ("", job.job_id):  # two began it at the same instant
            raise applied_before(plan_id, begun_by)
        target = await self.target_of(_target(kept))
        if again and (done := await self._already(plan_id, kept)):
            await self._remember(job, plan_id, kept)
            return done
        await tell(0.02, "checking that nothing moved under the plan")
        try:
            if again:
                check_allowed(self.settings, _target(kept))
                await self._check_running(plan_id, kept)
            else:
                await run_sync(self._check_word, job, plan_id, kept)
                await self.check_current(plan_id, kept)
            words = await self._changed(target, plan_id, kept, tell)
        except ActionableError as problem:
            is_unknown = getattr(problem, "error_type", "") == "unknown_outcome"
            if not again and not is_unknown:  # else it may run all the same, and counts
                await run_sync(self.plans.applied.let_go, plan_id)
            raise
        await self._remember(job, plan_id, kept)
        return words

    def _check_word(self, job: Job, plan_id: str, kept: Kept) -> None:
        """Refuse what is not what a person said yes to, or what nobody need have been asked about.

        Raises:
            PlanError: the plan was changed, or the policy asks now and nobody was asked.
        """
        if job.arguments.get("seal") != self.plans.seal_of(plan_id)[:SEAL]:
            raise PlanError(
                f"plan {plan_id} is not the one that was begun", hint="plan the change again"
            )
        if job.arguments.get("unasked") and (why := reasons(kept, self.settings, self.plans)):
            raise PlanError(
                f"a person must be asked about plan {plan_id} now: {why[0]}",
                hint="plan the change again",
            )

    async def _remember(self, job: Job, plan_id: str, kept: Kept) -> None:
        """Keep what an app on fal was set to, for what will not be told of it, and what it costs.

        Where a person let an app be deployed, scaled or deleted, what it took unasked is over. The
        change is made: that it cannot be remembered does not make it fail.
        """
        if kept.target != "cloud":
            return
        with suppress(ActionableError):
            if kept.action in ENDING or job.arguments.get("unasked"):
                await run_sync(self.plans.applied.settle, plan_id, kept.app)
            if kept.after is None or kept.action == "restart":
                return
            if (running := await self._running(kept)) is not None:
                settings = settings_from(dict(kept.after))
                await run_sync(self.plans.applied.note, running, settings, kept.unknown)

    async def _changed(self, target: DeployTarget, plan_id: str, kept: Kept, tell: Tell) -> str:
        match kept.action:
            case "deploy":
                return await self._deploy(target, plan_id, kept, tell)
            case "scale":
                wanted = {name: int(value) for name, value in (kept.settings or {}).items()}
                await target.scale(kept.app, wanted, tell)
                told = ", ".join(f"{name} {value}" for name, value in wanted.items())
                return f"{kept.app}: {told}"
            case "roll_back":
                revision = await target.roll_back(kept.app, _wanted(kept), tell)
                return f"{kept.app} answers with revision {revision.revision}"
            case "restart":
                await target.restart(kept.app, tell)
                return f"the runners of {kept.app} are new"
            case "delete":
                await target.delete(kept.app, tell)
                return f"{kept.app} is gone"
            case _:
                name = str((kept.settings or {}).get("name") or "")
                await target.set_secret(name, await run_sync(secret_value, name, self.settings))
                return f"secret {name} is set; restart the apps that use it"

    async def _already(self, plan_id: str, kept: Kept) -> str:
        """Return what came of a change that was begun before, if it came to its end."""
        running = await self._running(kept)
        if kept.action == "delete":
            return f"{kept.app} is gone" if running is None else ""
        if running is None:
            return ""
        if kept.action == "deploy":
            live = [one for one in running.revisions if one.revision == running.revision]
            if any(one.message.endswith(f"[{plan_id}]") for one in live):
                return _deployed(running, running.revision)
        if kept.action == "roll_back" and running.revision == _wanted(kept):
            return f"{kept.app} answers with revision {running.revision}"
        return ""

    async def _deploy(self, target: DeployTarget, plan_id: str, kept: Kept, tell: Tell) -> str:
        folder = Path(kept.folder)
        if not await run_sync(is_intact, folder, kept.paths, kept.source):
            raise PlanError(
                f"the copy of the source that plan {plan_id} keeps was changed",
                hint="plan the change again",
            )
        network = (kept.settings or {}).get("network") is True
        if kept.target == "local":
            await run_sync(lambda: self.plans.trust(kept.source, network=network))
        said = str((kept.settings or {}).get("message") or "")
        revision = await target.release(
            Release(
                name=kept.app,
                folder=folder,
                file=kept.file,
                class_name=kept.class_name,
                settings=settings_from(dict(kept.after or {})),
                source_hash=kept.source,
                openapi=kept.openapi or {},
                message=f"{said} [{plan_id}]".strip(),
                network=network,
                code=None if kept.code is None else settings_from(dict(kept.code)),
                reset_scale=(kept.settings or {}).get("reset_scale") is True,
            ),
            tell,
        )
        running = await self._running(kept)
        return _deployed(running, revision.revision)


def applied_before(plan_id: str, job: str) -> PlanError:
    """Return why a plan that *job* has applied is not applied again."""
    return PlanError(
        f"plan {plan_id} was applied by job {job}",
        hint="a plan is applied once; plan the change again",
    )


def _deployed(running: DeployedApp | None, revision: str) -> str:
    if running is None:
        return f"revision {revision} is deployed"
    words = f"{running.name} answers as {running.endpoint_id}, revision {revision}"
    paths = [route.path for route in running.routes if route.path not in ("/", "/health")]
    return f"{words}; also {', '.join(paths[:8])}" if paths else words


def _wanted(kept: Kept) -> str:
    return str((kept.settings or {}).get("revision") or "")


def _target(kept: Kept) -> Target:
    return "cloud" if kept.target == "cloud" else "local"


def _plain(settings: AppSettings) -> dict[str, Any]:
    return _listed(asdict(settings))


def _listed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: list(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else value
        for name, value in values.items()
    }
