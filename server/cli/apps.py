"""`falkit app …`: serverless apps, from an empty folder to what runs, for a person."""

import json
import os
import sys
from dataclasses import asdict
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from server.cli import examples, fail, interrupting
from server.cli.folding import folded
from server.cli.letters import json_text
from server.cli.shown import log_lines
from server.cli.speaking import (
    ASKED_BY,
    CODES,
    RUNNING,
    answer_of,
    here,
    job_told,
    print_answer,
    settled,
    shown_progress,
    speak,
)
from server.cli.spoken import for_person
from server.cli.verbs import AsJson
from server.cli.yes import is_person_here, read_before, says_yes
from server.rooms import OpenRooms, open_rooms
from server.settings import Settings
from tools.app_logs import APP_LOGS, AppLogsArguments, AppLogsView
from tools.app_status import APP_STATUS, AppStatusArguments
from tools.deploy_apply import ApplyArguments, deploy_apply
from tools.deploy_plan import PlanArguments, PlanView, deploy_plan
from tools.deploy_records import Action, Checked, Target
from tools.ports import Call
from tools.tool import Answer, Result

apps = typer.Typer(
    help="Serverless apps: begin, check, deploy here or on fal, watch.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Where(StrEnum):
    """Where apps run."""

    LOCAL = "local"
    CLOUD = "cloud"


class Form(StrEnum):
    """How findings are written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


AppName = Annotated[str, typer.Argument(help="The app's name.")]
On = Annotated[Where, typer.Option("--on", help="This machine, or fal.")]
Anywhere = Annotated[str, typer.Option("--on", help="local or cloud; both without.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it unasked, where no person need say yes.")]


@apps.command(help="Write an app from a template into a new or empty folder.")
def new(
    template: Annotated[str, typer.Argument(help="Such as cpu, text-to-image, llm, streaming.")],
    folder: str,
    name: Annotated[str, typer.Option(help="Its name; the folder's without.")] = "",
    machine: Annotated[str, typer.Option(help="Such as S or GPU-H100.")] = "",
    as_json: AsJson = False,
) -> None:
    """Begin an app."""
    from tools.scaffold_app import SCAFFOLD_APP, ScaffoldArguments

    given = ScaffoldArguments(template=template, folder=folder, name=name, machine=machine)
    speak(SCAFFOLD_APP, given, as_json=as_json)


@apps.command(help="Lint and inspect an app; exit code 1 where a rule of severity error is broken.")
def check(
    path: Annotated[str, typer.Argument(help="The app's file or folder.")] = ".",
    app: Annotated[str, typer.Option(help="Class, where there are several.")] = "",
    load: Annotated[str, typer.Option(help='Such as "2 calls a minute of 8 seconds".')] = "",
    fix: Annotated[bool, typer.Option("--fix", help="Write the mechanical fixes.")] = False,
    form: Annotated[Form, typer.Option("--format", help="text, json or sarif.")] = Form.TEXT,
) -> None:
    """Check an app."""
    from server.deploy.checking import fixed, parted

    _refuse_home(path)
    checked = interrupting.run(_checked, path, app, load)
    if fix and checked.edits:
        for name in interrupting.run(fixed, Path(parted(path)[0]), checked.edits):
            print(f"fixed {name}", file=sys.stderr)
        checked = interrupting.run(_checked, path, app, load)
    print(_written(checked, form))
    if checked.has_errors:
        raise SystemExit(1)


def _refuse_home(path: str) -> None:
    """Take no home folder and no root for an app: all that lies there would belong to it."""
    from server.media.roots import is_workplace

    folder = Path(path).expanduser()
    if folder.is_dir() and not is_workplace(folder):
        fail(f"{path} is {folder.resolve()}, which is no app's folder: name the folder of the app")


async def _checked(path: str, app: str, load: str) -> Checked:
    from server.deploy.checking import check_source, parted
    from server.deploy.deployer import plans_of

    settings = Settings.read(os.environ)
    plans = await anyio.to_thread.run_sync(plans_of, settings.home)
    named, its = parted(path)
    place = await anyio.Path(named).expanduser()
    found = await check_source(Path(place), settings, plans, app=its or app, load=load)
    return found.checked


def _written(checked: Checked, form: Form) -> str:
    from server.deploy.sarif import lines_of, sarif_text
    from tools.deploying import machine_words

    if form is Form.SARIF:
        return sarif_text(checked.findings, checked.edits, version=version("falkit")).rstrip()
    if form is Form.JSON:
        return json.dumps(_plain(checked), indent=2, default=str)
    lines = [lines_of(checked.findings).rstrip()]
    if checked.routes:
        lines.append("routes: " + ", ".join(f"{one.path} ({one.kind})" for one in checked.routes))
    if checked.machine is not None:
        lines.append(machine_words(checked.machine))
    lines += checked.notes
    if not checked.inspected:
        lines.append(f"not inspected: {checked.not_inspected}")
    return "\n".join(lines)


def _plain(checked: Checked) -> dict[str, Any]:
    whole = asdict(checked)
    return {name: value for name, value in whole.items() if name != "edits"}


@apps.command(help="Deploy an app: show the plan, ask, carry it out, and follow it.")
def deploy(
    path: Annotated[str, typer.Argument(help="The app's file or folder.")] = ".",
    on: On = Where.LOCAL,
    name: Annotated[str, typer.Option(help="Its name; its own without.")] = "",
    auth: Annotated[str, typer.Option(help="private, shared or public.")] = "",
    reset_scale: Annotated[
        bool, typer.Option("--reset-scale", help="Take the scaling that the code says.")
    ] = False,
    message: Annotated[str, typer.Option(help="Kept with the revision.")] = "",
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Deploy it also where nothing is different.")
    ] = False,
) -> None:
    """Deploy an app."""
    settings: dict[str, Any] = {}
    if auth:
        settings["auth"] = auth
    if reset_scale:
        settings["reset_scale"] = True
    if message:
        settings["message"] = message
    _refuse_home(path)
    asked = _asked("deploy", on, app=name, path=path, settings=settings)
    _carry_out(asked, yes=yes, dry_run=dry_run, force=force)


@apps.command(help="Change how a running app scales: falkit app scale NAME keep_alive=300 …")
def scale(
    app: AppName,
    fields: Annotated[list[str], typer.Argument(help="Such as keep_alive=300.")],
    on: On = Where.LOCAL,
    yes: Yes = False,
) -> None:
    """Scale an app."""
    settings: dict[str, Any] = {}
    for field in fields:
        name, _, value = field.partition("=")
        if not value.isdigit():
            fail(f"{field[:60]!r} is no field=number, such as keep_alive=300")
        settings[name.strip().lstrip("-").replace("-", "_")] = int(value)
    _change("scale", on, app=app, settings=settings, yes=yes)


@apps.command("roll-back", help="Let an earlier revision answer again.")
def roll_back(
    app: AppName,
    revision: Annotated[str, typer.Option(help="Which; the one before without.")] = "",
    on: On = Where.LOCAL,
    yes: Yes = False,
) -> None:
    """Roll an app back."""
    settings = {"revision": revision} if revision else {}
    _change("roll_back", on, app=app, settings=settings, yes=yes)


@apps.command(help="Replace an app's runners by new ones.")
def restart(app: AppName, on: On = Where.LOCAL, yes: Yes = False) -> None:
    """Restart an app."""
    _change("restart", on, app=app, yes=yes)


@apps.command(help="Take an app away.")
def delete(app: AppName, on: On = Where.LOCAL, yes: Yes = False) -> None:
    """Delete an app."""
    _change("delete", on, app=app, yes=yes)


@apps.command(help="Set a secret that FALKIT_DEPLOY_SECRETS lists, from its variable or file.")
def secret(name: str, on: On = Where.LOCAL, yes: Yes = False) -> None:
    """Set a secret."""
    _change("set_secret", on, settings={"name": name}, yes=yes)


@apps.command(help="What is deployed, and how it is.")
def status(
    app: Annotated[str, typer.Argument(help="Its name; all without.")] = "",
    on: Anywhere = "",
    as_json: AsJson = False,
) -> None:
    """Show apps."""
    given = AppStatusArguments.model_validate({"app": app, "target": _target(on)})
    speak(APP_STATUS, given, as_json=as_json)


@apps.command(help="What apps said; --follow goes on until Ctrl-C.")
def logs(
    app: Annotated[str, typer.Argument(help="Its name; all without.")] = "",
    on: Anywhere = "",
    request: Annotated[str, typer.Option(help="Only of this request.")] = "",
    level: Annotated[str, typer.Option(help="debug, info, warning or error, or worse.")] = "",
    text: Annotated[str, typer.Option(help="Words in the line.")] = "",
    since: Annotated[str, typer.Option(help="An age such as 2h, or a time.")] = "",
    follow_on: Annotated[bool, typer.Option("--follow", help="Wait for more.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show logs."""
    asked: dict[str, Any] = {
        "app": app,
        "target": _target(on),
        "request_id": request,
        "level": level,
        "text": text,
        "since": since,
    }
    while True:
        seconds = 45.0 if follow_on else 0.0
        given = AppLogsArguments.model_validate({**asked, "follow_seconds": seconds})
        if not follow_on:
            speak(APP_LOGS, given, as_json=as_json, words=lambda told: log_lines(told) or told.text)
            return
        told = interrupting.run(answer_of, APP_LOGS, given).result
        _print_new(told, as_json=as_json)
        if isinstance(told, AppLogsView) and told.next_cursor:
            asked["since"] = told.next_cursor


def _print_new(told: Result | None, *, as_json: bool) -> None:
    """Print the lines that came, on a terminal as words, anywhere else one line of JSON each."""
    if not isinstance(told, AppLogsView):
        return
    if as_json or not sys.stdout.isatty():
        for line in told.lines:
            print(json_text(line.model_dump(exclude_defaults=True)), flush=True)
    elif words := log_lines(Answer(told, "")):
        print(words, flush=True)


@apps.command(help="Bring fal's own package into an environment of its own, once.")
def tools() -> None:
    """Make the tool environment."""
    from server.deploy.environments import tool_environment

    async def tell(share: float, words: str) -> None:
        print(words, file=sys.stderr)

    async def bring() -> None:
        settings = Settings.read(os.environ)
        made = await tool_environment(settings.home, tell, given=settings.deploy_tools)
        print(f"fal {made.fal_version} in {made.python}")

    interrupting.run(bring)


def _target(on: str) -> str:
    if on not in ("", "local", "cloud"):
        fail(f"--on takes local or cloud, not {on[:40]!r}")
    return on


def _asked(
    action: Action, on: Where, *, app: str = "", path: str = "", settings: dict[str, Any]
) -> PlanArguments:
    target: Target = "cloud" if on is Where.CLOUD else "local"
    return PlanArguments(action=action, target=target, app=app, path=path, settings=settings)


def _change(
    action: Action,
    on: Where,
    *,
    app: str = "",
    settings: dict[str, Any] | None = None,
    yes: bool = False,
) -> None:
    _carry_out(_asked(action, on, app=app, settings=settings or {}), yes=yes)


def _carry_out(
    asked: PlanArguments, *, yes: bool, dry_run: bool = False, force: bool = False
) -> None:
    """Plan a change, show it, ask, and carry it out."""
    state = interrupting.run(_carried_out, asked, yes, dry_run, force)
    raise SystemExit(CODES.get(state, RUNNING))


async def _carried_out(asked: PlanArguments, yes: bool, dry_run: bool, force: bool) -> str:
    """Return the state of the job, ``held`` where a person has still to say yes."""
    async with open_rooms(here()) as rooms:
        call = Call(rooms, asked_by=ASKED_BY)
        planned = await deploy_plan(call, asked)
        plan = planned.result
        assert isinstance(plan, PlanView)  # noqa: S101  # the tool answers with nothing else
        shown = for_person(planned.text.rpartition("\nnext: ")[0])
        print(folded(shown, stream=sys.stderr), file=sys.stderr)
        if plan.blocked or dry_run:
            return "failed" if plan.blocked else "done"
        if plan.unchanged and not force:
            print("nothing was done; --force deploys it all the same", file=sys.stderr)
            return "done"
        can_answer = is_person_here()
        agreed = (yes and not plan.asks) or (can_answer and await says_yes("Carry it out?"))
        # Where nobody can answer, a plan that asks for a person's word becomes a job that waits.
        if not agreed and (can_answer or not plan.asks):
            print(f"not carried out; `falkit app apply {plan.plan_id}` does it", file=sys.stderr)
            return "held"
        begun = await deploy_apply(call, ApplyArguments(plan_id=plan.plan_id, wait_seconds=0))
        told = begun.result.model_dump() if begun.result is not None else {}
        job_id = str(told.get("job_id", ""))
        if told.get("state") == "held" and agreed and rooms.approve is not None:
            await rooms.approve(job_id)
        return await _followed(rooms, job_id)


async def _followed(rooms: OpenRooms, job_id: str) -> str:
    """Follow a change to its end, print what came of it, and return its state."""
    async with shown_progress() as tell:
        call = Call(rooms, tell, asked_by=ASKED_BY)
        job = await settled(rooms, call, job_id, None)
    if job.is_over:
        await rooms.jobs.deliver(job_id)
    print_answer(await job_told(rooms, call, job), as_json=False)
    return job.state


@apps.command(help="Carry out a plan that was drawn, by you or an assistant, and follow it.")
def apply(plan_id: str) -> None:
    """Apply a plan."""
    state = interrupting.run(_applied, plan_id)
    raise SystemExit(CODES.get(state, RUNNING))


async def _applied(plan_id: str) -> str:
    async with open_rooms(here()) as rooms:
        asked = ApplyArguments(plan_id=plan_id, wait_seconds=0)
        begun = await deploy_apply(Call(rooms, asked_by=ASKED_BY), asked)
        told = begun.result.model_dump() if begun.result is not None else {}
        job_id = str(told.get("job_id", ""))
        if told.get("state") == "held" and is_person_here() and rooms.approve is not None:
            print(read_before(await rooms.jobs.find(job_id)))
            if await says_yes("Carry it out?"):
                await rooms.approve(job_id)
        return await _followed(rooms, job_id)


examples.add(apps, examples.APPS)
