"""What is wrong with an app's source, what it offers, and what it would cost."""

from pydantic import Field

from tools.deploy_records import Checked
from tools.deploying import (
    FINDINGS_SHOWN,
    PATCH_SHOWN,
    FindingView,
    deployer_of,
    finding_words,
    hourly,
    machine_words,
)
from tools.ports import Call
from tools.tool import Answer, Arguments, Result, Tool, Unlisted
from tools.wording import one_line, readable


class CheckArguments(Arguments):
    """Which app, and the load it is to bear."""

    path: str = Field(description="The app's file or folder")
    app: str = Field(default="", description="Class name, where there are several")
    load: str = Field(
        default="", description='For machine advice: "2 calls a minute of 8 seconds, 12 GB model"'
    )


class CheckView(Result):
    """Findings, worst first, and what is known of the app."""

    findings: Unlisted[list[FindingView]]
    routes: list[str] = []
    machine: str = ""
    dollars_per_hour: float | None = None
    patch: str = ""
    app: Unlisted[str] = ""
    notes: Unlisted[list[str]] = []


_ORDER = ("error", "warning", "info")


async def check_app(call: Call, arguments: CheckArguments) -> Answer:
    """Lint and inspect an app; nothing of it is changed."""
    checked = await deployer_of(call).check(arguments.path, app=arguments.app, load=arguments.load)
    found = sorted(
        checked.findings, key=lambda one: (_ORDER.index(one.severity), one.file, one.line)
    )
    shown = [FindingView.of(finding) for finding in found[:FINDINGS_SHOWN]]
    patch = readable(checked.patch)
    notes = _notes(checked, len(found) - len(shown), cut=len(patch) > PATCH_SHOWN)
    view = CheckView(
        findings=shown,
        routes=[f"{route.path} ({route.kind})" for route in checked.routes[:20]],
        machine=checked.machine.machine if checked.machine is not None else "",
        dollars_per_hour=hourly(checked.machine),
        patch=patch if len(patch) <= PATCH_SHOWN else "",
        app=checked.app,
        notes=notes,
    )
    errors = sum(1 for finding in found if finding.severity == "error")
    said = f"{len(found)} findings, {errors} of them errors" if found else "no findings"
    lines = [f"{checked.app or checked.class_name}: {said}"]
    lines += [finding_words(finding) for finding in shown]
    if view.routes:
        lines.append(f"routes: {', '.join(view.routes)}")
    if checked.machine is not None:
        lines.append(machine_words(checked.machine))
    lines += notes
    if view.patch:
        lines.append(f"patch for what is mechanical:\n{view.patch}")
    return Answer(view, "\n".join(lines))


def _notes(checked: Checked, more: int, *, cut: bool) -> list[str]:
    notes = [one_line(line, 200) for line in checked.notes]
    if more > 0:
        notes.append(f"{more} more findings; `falkit app check` shows all")
    if cut:
        notes.append("the patch is long; `falkit app check --fix` applies it")
    if not checked.inspected:
        notes.append(f"not inspected: {checked.not_inspected or 'read only'}")
    return notes


CHECK_APP = Tool(
    name="check_app",
    title="Check an app",
    description=(
        "Lint and inspect a fal app: errors, warnings, a patch, routes, machine and cost. "
        'Example: {"path":"hello-app/app.py"}'
    ),
    toolset="deploy",
    arguments=CheckArguments,
    result=CheckView,
    run=check_app,
    reads_only=True,
    open_world=False,
)
