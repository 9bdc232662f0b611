"""Describe a change to a deployed app before anything happens."""

from typing import Any, Literal

from pydantic import Field

from tools.deploy_records import Change, Plan
from tools.deploying import deployer_of, hourly, machine_words
from tools.ports import Call
from tools.tool import Answer, Arguments, Result, Tool, Unlisted
from tools.wording import one_line

LINES_SHOWN = 20


class PlanArguments(Arguments):
    """What is to change, and where."""

    action: Literal["deploy", "scale", "roll_back", "restart", "delete", "set_secret"] = Field(
        default="deploy", description="Default deploy"
    )
    target: Literal["local", "cloud"] = Field(
        default="local", description="This machine (default), or fal"
    )
    path: str = Field(default="", description="For deploy: file or folder")
    app: str = Field(default="", description="Name; for deploy its own")
    settings: dict[str, Any] = Field(
        default={},
        description="deploy: auth, reset_scale; scale: keep_alive, max_concurrency …; roll_back: "
        "revision; set_secret: name",
    )


class PlanView(Result):
    """A plan; dollars are those of one runner."""

    plan_id: str
    changes: list[str]
    dollars_per_hour: float | None = None
    needs: list[str] = []
    risks: list[str] = []
    asks: list[str] = []
    app: Unlisted[str] = ""
    callers: Unlisted[str] = ""
    blocked: Unlisted[list[str]] = []
    unchanged: Unlisted[bool] = False
    replaces: Unlisted[str] = ""
    source: Unlisted[str] = ""
    next: Unlisted[str] = ""


async def deploy_plan(call: Call, arguments: PlanArguments) -> Answer:
    """Draw a plan, which changes nothing, and answer with all that is different in it."""
    plan = await deployer_of(call).plan(
        Change(
            action=arguments.action,
            target=arguments.target,
            app=arguments.app,
            path=arguments.path,
            settings=arguments.settings,
            asked_by=call.asked_by,
        )
    )
    view = PlanView(
        plan_id=plan.plan_id,
        changes=_cut(plan.changes),
        dollars_per_hour=hourly(plan.machine),
        needs=_cut(plan.needs),
        risks=_cut(plan.risks),
        asks=_cut(plan.asks),
        app=plan.app,
        callers=plan.callers,
        blocked=_cut(plan.blocked),
        unchanged=plan.unchanged,
        replaces=plan.replaces,
        source=plan.source_hash[:16],
        next="mend what blocks it, then plan again"
        if plan.blocked
        else f'deploy_apply {{"plan_id":"{plan.plan_id}"}}',
    )
    return Answer(view, "\n".join(_words(plan, view)))


def _cut(lines: tuple[str, ...]) -> list[str]:
    shown = [one_line(line, 240) for line in lines[:LINES_SHOWN]]
    more = len(lines) - len(shown)
    return [*shown, f"{more} more"] if more > 0 else shown


def _words(plan: Plan, view: PlanView) -> list[str]:
    change = plan.change
    what = f"{change.action} {plan.app}".rstrip()
    lines = [f"{view.plan_id}: {what} on {change.target}; nothing is done yet"]
    lines += view.changes
    if view.callers:
        lines.append(f"who may call it: {view.callers}")
    if plan.machine is not None:
        where = "on fal it would be " if change.target == "local" else ""
        lines.append(f"{where}{machine_words(plan.machine)}")
    lines += [f"needs {line}" for line in view.needs]
    lines += [f"risk: {line}" for line in view.risks]
    lines += [f"blocked: {line}" for line in view.blocked]
    if not view.blocked:
        lines += [f"a person is asked: {line}" for line in view.asks]
    return [*lines, f"next: {view.next}"]


DEPLOY_PLAN = Tool(
    name="deploy_plan",
    title="Plan a deploy",
    description=(
        "Describe a change to an app: differences, cost, callers, needs, risks, who is asked. "
        'Changes nothing. Example: {"path":"hello-app"}'
    ),
    toolset="deploy",
    arguments=PlanArguments,
    result=PlanView,
    run=deploy_plan,
    reads_only=True,
)
