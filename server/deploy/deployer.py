"""`AppDeployer`: the `Deployer` port, on this machine and on fal."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol

from anyio.to_thread import run_sync

from catalog.errors import ActionableError
from server.deploy.advice import cost_as_set
from server.deploy.applying import Applier, applied_before
from server.deploy.asking import reasons, reserve
from server.deploy.checking import CheckedSource, check_source, parted
from server.deploy.environments import ready_tool_environment
from server.deploy.isolation import exposed, rung_of
from server.deploy.local.fidelity import unlike_here
from server.deploy.planning import Ground, draw
from server.deploy.plans import Kept, Plans
from server.deploy.policy import check_allowed
from server.deploy.prices import read_prices
from server.deploy.scaffold import scaffold
from server.deploy.secret_values import hidden, values_of
from server.deploy.shelves import PlanError
from server.deploy.targets import SCALING, DeployTarget, Tell
from server.media.roots import Roots
from server.settings import Settings
from tools.deploy_records import (
    Change,
    Checked,
    DeployedApp,
    LogPage,
    LogQuery,
    Plan,
    Scaffolded,
    Target,
)
from tools.deploying import machine_words
from tools.errors import NotConfiguredError
from tools.ports import DeployIntent, Job

TargetOf = Callable[[Target], Awaitable[DeployTarget]]


class DeployJobs(Protocol):
    """What a deployer needs of the journal."""

    async def start_whole(self, intent: DeployIntent) -> Job:
        """Write the change down; it is carried out in the background, or held for a person."""
        ...

    async def find(self, job_id: str) -> Job:
        """Return a job."""
        ...


@dataclass(frozen=True, slots=True)
class AppDeployer:
    """Deploys as *settings* allow; *target_of* opens a target, *jobs* the journal, when needed."""

    settings: Settings
    roots: Roots
    plans: Plans
    target_of: TargetOf
    jobs: Callable[[], Awaitable[DeployJobs]]

    async def scaffold(self, template: str, folder: str, *, name: str, machine: str) -> Scaffolded:
        """Write an app from *template* into *folder*, which is new or empty."""
        place = await run_sync(self.roots.folder, folder)
        return await run_sync(lambda: scaffold(template, place, name=name, machine=machine))

    async def check(self, path: str, *, app: str = "", load: str = "") -> Checked:
        """Read the source at *path* against the rules, and inspect it where that is allowed."""
        return (await self._read(path, app, load)).checked

    async def _read(self, path: str, app: str = "", load: str = "") -> CheckedSource:
        if not path.strip():
            raise ActionableError("no path is given", hint="give the app's file or folder")
        named, its = parted(path)
        place = await run_sync(self.roots.locate, named)
        return await check_source(place, self.settings, self.plans, app=its or app, load=load)

    async def _chosen(self, path: str, name: str) -> CheckedSource:
        """Return the app at *path* that is to be deployed: of several the one called *name*.

        Raises:
            ActionableError: the file has several apps, and none of them was chosen.
        """
        read = await self._read(path)
        listed, chosen = ", ".join(read.classes[:8]), parted(path)[1]
        if chosen and read.classes and chosen not in read.classes:
            raise ActionableError(
                f"{read.source.entry} has no app {chosen[:60]!r}", hint=f"it has: {listed}"
            )
        if len(read.classes) < 2 or chosen:
            return read
        for each in read.classes:
            if name and (found := await self._read(path, each)).checked.app == name:
                return found
        raise ActionableError(
            f"{read.source.entry} has several apps ({listed}), and which to deploy is not said",
            hint=f"name its class behind the path: {path}::{read.classes[0]}",
        )

    async def plan(self, change: Change) -> Plan:
        """Describe *change* against what is deployed now, and remember it under its id."""
        check_allowed(self.settings, change.target)
        checked = None
        if change.action == "deploy":
            checked = await self._chosen(change.path, change.app)
            change = replace(change, app=change.app or checked.checked.app)
            if not change.app:
                raise ActionableError(
                    "the app has no name that can be read", hint="set app_name, or give app"
                )
        elif not change.app and change.action != "set_secret":
            raise ActionableError(f"which app to {change.action} is not said", hint="give app")
        target = await self.target_of(change.target)
        running = None
        if change.app:
            running = next(iter(await target.apps(change.app)), None)
        secrets = await target.secret_names() if _wants_secrets(change, checked) else ()
        open_to: tuple[str, ...] = ()
        if change.target == "local" and checked is not None:
            open_to = (
                *await self._open_to(),
                *unlike_here(checked.checked.settings),
                *checked.checked.notes,
            )
        ground = Ground(checked, running, secrets, open_to)
        return await draw(change, ground, self.settings, self.plans)

    async def _open_to(self) -> tuple[str, ...]:
        """Return what an app is not kept from on this machine."""
        given = self.settings.deploy_tools
        tool = await ready_tool_environment(self.settings.home, given=given)
        python = Path(sys.executable) if tool is None else tool.python
        return exposed((await run_sync(rung_of, python))[0])

    async def apply(self, plan_id: str, *, asked_by: str = "") -> Job:
        """Begin to carry out a plan and return its job; ``held`` while a person is to be asked."""
        kept, job_id = await run_sync(self.plans.find, plan_id)
        plan_id = plan_id.strip().lower()
        jobs = await self.jobs()
        if job_id:
            return await self._begun(jobs, plan_id, job_id)
        applier = Applier(self.settings, self.plans, self.target_of)
        try:
            await applier.check_current(plan_id, kept)
        except PlanError:
            _, job_id = await run_sync(self.plans.find, plan_id)
            if not job_id:
                raise
            return await self._begun(jobs, plan_id, job_id)  # that is what moved
        why = await self._why_asked(plan_id, kept)
        words = await run_sync(lambda: applier.words_of(plan_id, kept, asked=bool(why)))
        job = await jobs.start_whole(
            DeployIntent(
                plan_id=plan_id,
                arguments=words,
                asks="; ".join(why),
                asked_by=asked_by,
            )
        )
        await run_sync(self.plans.mark_applied, plan_id, job.job_id)
        return job

    async def _begun(self, jobs: DeployJobs, plan_id: str, job_id: str) -> Job:
        """Return the job that applies a plan already, while its end was not delivered.

        Raises:
            PlanError: it was, or the plan of a held job is outdated.
        """
        job = await jobs.find(job_id)
        if job.is_over and job.delivered:
            raise applied_before(plan_id, f"{job_id} ({job.state})")
        await self.recheck(job)
        return replace(job, repeated=True)

    async def recheck(self, job: Job) -> None:
        """Refuse a held change whose plan nobody need be asked about any more: something moved.

        Raises:
            PlanError: source, running revision or settings are not what they were.
        """
        if job.state != "held":
            return
        plan_id = str(job.arguments.get("plan_id", ""))
        kept, _ = await run_sync(self.plans.find, plan_id)
        try:
            applier = Applier(self.settings, self.plans, self.target_of)
            await applier.check_current(plan_id, kept)
        except PlanError as problem:
            drops = f'cancel_job {{"job_id":"{job.job_id}"}} drops this one'
            raise PlanError(problem.message, hint=f"{problem.hint}; {drops}") from None

    async def _why_asked(self, plan_id: str, kept: Kept) -> tuple[str, ...]:
        """Return why a person is asked now; what nobody is asked about is counted as spent."""
        why = await run_sync(reasons, kept, self.settings, self.plans)
        if why or kept.target != "cloud":
            return why
        listed = await (await self.target_of("cloud")).apps()
        await run_sync(self.plans.applied.only, [app.name for app in listed])
        return await run_sync(reserve, plan_id, kept, self.settings, self.plans)

    async def status(self, app: str = "", target: Target | None = None) -> Sequence[DeployedApp]:
        """Return the apps of that name (empty: all) on that target (None: on both)."""
        found: list[DeployedApp] = []
        for place in self._targets(target):
            apps = await (await self.target_of(place)).apps(app)
            if place == "cloud" and app:
                apps = [await run_sync(self._with_notes, one) for one in apps]
            found += apps
        if app and not found:
            raise ActionableError(f"no app {app[:60]!r} is deployed", hint=await self._near(app))
        return found

    async def _near(self, app: str) -> str:
        """Return which app may be meant by a name that none has."""
        named = [one.name for one in await self.status()]
        plain = {name.lower().replace("_", "-"): name for name in named}
        near = get_close_matches(app.lower().replace("_", "-"), plain, 1)
        return (
            f"nearest: {plain[near[0]]}" if near else "app_status without app lists what there is"
        )

    def _with_notes(self, app: DeployedApp) -> DeployedApp:
        """Return *app* with what its runners cost, and what falkit itself set of it last."""
        known = self.plans.applied.recall(app)
        notes = list(app.fidelity)
        if known.settings.machine_types and "machine_types" not in known.unknown:
            prices = read_prices(self.settings.deploy_prices)
            notes.append(machine_words(cost_as_set(known.settings, prices=prices)))
        set_last = [
            f"{name} {getattr(known.settings, name)}"
            for name in SCALING
            if name in known.likely and getattr(known.settings, name) is not None
        ]
        if set_last:
            notes.append(f"as falkit set it last: {', '.join(set_last)}")
        if untold := [name for name in SCALING if name in known.unknown]:
            notes.append(f"not known: {', '.join(untold)}")
        return replace(app, fidelity=tuple(notes))

    async def logs(self, query: LogQuery, follow_seconds: float = 0.0) -> LogPage:
        """Return lines that match, waiting for more of them when *follow_seconds* says so."""
        place = self._targets(query.target)[0]
        if query.target is None and query.app:
            try:
                place = (await self.status(query.app))[0].target
            except ActionableError:  # one that never came up has left its log all the same
                if place != "local" or not (await (await self.target_of(place)).logs(query)).lines:
                    raise
        page = await (await self.target_of(place)).logs(query, follow_seconds)
        values = await run_sync(values_of, self.settings)
        shown = [replace(line, message=hidden(line.message, values)) for line in page.lines]
        return replace(page, lines=shown)

    def _targets(self, target: Target | None) -> list[Target]:
        """Return where to look; the cloud only where it is open.

        Raises:
            NotConfiguredError: the target that is named is closed.
        """
        if target is not None:
            check_allowed(self.settings, target)
            return [target]
        if self.settings.deploy == "off":
            check_allowed(self.settings, "local")
        places: list[Target] = ["local"]
        try:
            check_allowed(self.settings, "cloud")
        except NotConfiguredError:
            return places
        return [*places, "cloud"]

    async def carry_out(self, job: Job, again: bool, tell: Tell) -> str:
        """Do what the plan of *job* says; see `Applier.carry_out`."""
        return await Applier(self.settings, self.plans, self.target_of).carry_out(job, again, tell)


def _wants_secrets(change: Change, checked: CheckedSource | None) -> bool:
    if change.action == "set_secret":
        return True
    return checked is not None and bool(checked.checked.settings.secrets)


def plans_of(home: Path) -> Plans:
    """Return the plans of a falkit home; it blocks on the disk."""
    return Plans(home / "deploy")
