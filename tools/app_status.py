"""What is deployed, and how it is."""

from typing import Annotated, Any, Literal

from pydantic import Field

from tools.deploy_records import DeployedApp, Target
from tools.deploying import deployer_of, state_words
from tools.ports import Call
from tools.tool import Answer, Arguments, Result, Tool
from tools.whole_view import OBJECTS
from tools.wording import one_line

APPS_SHOWN = 20


class AppStatusArguments(Arguments):
    """Which apps."""

    app: str = Field(default="", description="Name; default: all")
    target: Literal["", "local", "cloud"] = Field(default="", description="Default: both")


class AppView(Result):
    """One app."""

    name: str
    target: str
    endpoint_id: str
    revision: str
    health: str
    auth: str = ""
    runners: dict[str, int] = {}
    queued: int = 0
    settings: dict[str, Any] = {}
    revisions: list[str] = []
    routes: list[str] = []
    last_call: str = ""
    seconds_billed: float | None = None
    notes: list[str] = []

    @classmethod
    def of(cls, app: DeployedApp, *, whole: bool) -> "AppView":
        return cls(
            name=app.name,
            target=app.target,
            endpoint_id=app.endpoint_id,
            revision=app.revision,
            health=one_line(app.health, 300),
            auth=app.auth,
            runners={state_words(state): count for state, count in app.runners.items() if count},
            queued=app.queued,
            settings=_settings(app) if whole else {},
            revisions=[
                f"{one.revision} {one.state} {one.created:%Y-%m-%dT%H:%M:%SZ} "
                f"{one_line(one.message, 80)}"
                for one in app.revisions[:8]
            ]
            if whole
            else [],
            routes=[f"{route.path} ({route.kind})" for route in app.routes[:12]] if whole else [],
            last_call="" if app.last_call is None else f"{app.last_call:%Y-%m-%dT%H:%M:%SZ}",
            seconds_billed=app.seconds_billed,
            notes=[one_line(line, 160) for line in app.fidelity[:8]] if whole else [],
        )


class AppStatusView(Result):
    """The apps."""

    apps: Annotated[list[AppView], OBJECTS]


def _settings(app: DeployedApp) -> dict[str, Any]:
    told = {
        "machine_type": ", ".join(app.settings.machine_types),
        "num_gpus": app.settings.num_gpus,
        "keep_alive": app.settings.keep_alive,
        "min_concurrency": app.settings.min_concurrency,
        "max_concurrency": app.settings.max_concurrency,
        "max_multiplexing": app.settings.max_multiplexing,
    }
    return {name: value for name, value in told.items() if value not in (None, "")}


async def app_status(call: Call, arguments: AppStatusArguments) -> Answer:
    """List apps; one that is named is told whole."""
    target: Target | None = arguments.target or None
    apps = await deployer_of(call).status(arguments.app, target)
    whole = bool(arguments.app)
    view = AppStatusView(apps=[AppView.of(app, whole=whole) for app in apps[:APPS_SHOWN]])
    lines = [line for app in view.apps for line in _words(app)] or ["nothing is deployed"]
    if len(apps) > APPS_SHOWN:
        lines.append(f"{len(apps) - APPS_SHOWN} more; name one")
    return Answer(view, "\n".join(lines))


def _words(app: AppView) -> list[str]:
    runners = ", ".join(f"{count} {state}" for state, count in app.runners.items()) or "no runner"
    queued = f", {app.queued} waiting" if app.queued else ""
    lines = [
        f"{app.name} on {app.target}: {app.health}; call {app.endpoint_id}; revision "
        f"{app.revision}; {app.auth}; {runners}{queued}"
    ]
    if app.settings:
        lines.append(", ".join(f"{name} {value}" for name, value in app.settings.items()))
    lines += app.revisions
    if app.routes:
        lines.append(f"routes: {', '.join(app.routes)}")
    return [*lines, *app.notes]


APP_STATUS = Tool(
    name="app_status",
    title="Deployed apps",
    description=(
        'Deployed apps: health, revisions, runners, queue, settings. Example: {"app":"hello-app"}'
    ),
    toolset="deploy",
    arguments=AppStatusArguments,
    result=AppStatusView,
    run=app_status,
    reads_only=True,
)
