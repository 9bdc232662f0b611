"""From a wanted change to a plan: what would be different, what it costs, needs and risks."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, cast

from anyio.to_thread import run_sync

from catalog.errors import ActionableError
from server.deploy.advice import cost_as_set
from server.deploy.checking import CheckedSource
from server.deploy.plans import Kept, Plans
from server.deploy.policy import (
    OWN_NAMES,
    Proposal,
    asks,
    check_allowed,
    read_caps,
    scaled,
)
from server.deploy.source import snapshot
from server.deploy.targets import SCALING
from server.settings import Settings
from tools.deploy_records import (
    Action,
    AppSettings,
    Change,
    Checked,
    DeployedApp,
    MachineAdvice,
    Plan,
)

# What `settings` of a change may hold, by action.
KNOWN: Mapping[Action, tuple[str, ...]] = {
    "deploy": ("auth", "reset_scale", "message", "network"),
    "scale": SCALING,
    "roll_back": ("revision",),
    "restart": (),
    "delete": (),
    "set_secret": ("name",),
}
# Scale settings of the code that a redeploy leaves as they are unless it resets them
# (fal 1.83: `deploy --reset-scale`); machine, multiplexing and startup always come from the code.
INHERITED = (
    "keep_alive",
    "min_concurrency",
    "max_concurrency",
    "concurrency_buffer",
    "scaling_delay",
    "request_timeout",
    "regions",
)
CALLERS: Mapping[str, str] = {
    "private": "only keys of this account",
    "shared": "any fal account, at the caller's cost",
    "public": "anybody, without a key, at your cost",
}
LINES_SHOWN = 30
MOST_MESSAGE = 500  # characters
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class Ground:
    """What a plan is drawn from: the source as it was *checked* (deploys only), and what runs."""

    checked: CheckedSource | None
    running: DeployedApp | None
    secrets: Sequence[str] = ()
    open_to: Sequence[str] = ()  # what this machine does not keep an app from


def check_settings(change: Change) -> None:
    """Refuse settings that mean nothing for the action.

    Raises:
        ActionableError: a name is unknown; the nearest is named.
    """
    known = KNOWN[change.action]
    for name in change.settings:
        if name in known:
            continue
        near = get_close_matches(name, known, 1)
        said = f"did you mean {near[0]}?" if near else f"it takes {', '.join(known) or 'none'}"
        raise ActionableError(f"{change.action} has no setting {name[:60]!r}", hint=said)
    for name in ("reset_scale", "network"):
        if not isinstance(change.settings.get(name, False), bool):
            raise ActionableError(f"{name} must be true or false")
    said = change.settings.get("message", "")
    if not isinstance(said, str) or len(said) > MOST_MESSAGE:
        raise ActionableError(f"message must be a text of at most {MOST_MESSAGE} characters")
    if change.app and not NAME.fullmatch(change.app):
        raise ActionableError(
            f"{change.app[:60]!r} is no name for an app",
            hint="letters, digits, - and _, 63 at most",
        )
    if change.action == "deploy" and change.settings.get("auth") not in (None, *CALLERS):
        raise ActionableError(
            f"auth {change.settings['auth']!r} is unknown", hint="private, shared or public"
        )


async def draw(change: Change, ground: Ground, settings: Settings, plans: Plans) -> Plan:
    """Return the plan of *change*, kept under its id.

    Raises:
        ActionableError: it cannot be understood, there is no such app, or its target is closed.
    """
    check_allowed(settings, change.target)
    check_settings(change)
    running = ground.running
    if running is None and change.action not in ("deploy", "set_secret"):
        raise ActionableError(
            f"no app {change.app[:60]!r} on {change.target}", hint="app_status lists what there is"
        )
    sketch = _SKETCHES[change.action](change, ground, settings)
    caps = await run_sync(read_caps, settings.deploy_caps)
    checked = ground.checked
    network = change.settings.get("network") is True
    trusted = checked is not None and await run_sync(
        lambda: plans.is_trusted(checked.source.sha256, network=network)
    )
    proposal = Proposal(
        action=change.action,
        target=change.target,
        app=sketch.app,
        before=None if running is None else running.settings,
        after=sketch.after,
        machine=sketch.machine,
        trusted=trusted,
        network=network,
    )
    why = asks(proposal, settings, caps)
    shown = {
        "action": change.action,
        "target": change.target,
        "app": sketch.app,
        "changes": list(sketch.changes[:LINES_SHOWN]),
        "callers": sketch.callers,
        "risks": list(sketch.risks[:8]),
        **({"source": str(checked.path), "sha256": checked.source.sha256} if checked else {}),
    }
    folder = ""
    if checked is not None and not sketch.blocked:
        folder = str(await run_sync(snapshot, checked.source, settings.home / "deploy" / "sources"))
    kept = Kept(
        action=change.action,
        target=change.target,
        app=sketch.app,
        path="" if checked is None else str(checked.path),
        source="" if checked is None else checked.source.sha256,
        folder=folder,
        paths=() if checked is None else checked.source.paths,
        file="" if checked is None else checked.source.entry,
        class_name="" if checked is None else checked.checked.class_name,
        replaces="" if running is None else running.revision,
        before=None if running is None else asdict(running.settings),
        after=None if sketch.after is None else asdict(sketch.after),
        code=None if sketch.code is None else asdict(sketch.code),
        openapi=None if checked is None else checked.openapi,
        settings={**change.settings, **sketch.chosen},
        shown=shown,
        asks=why,
        blocked=sketch.blocked,
    )
    return Plan(
        plan_id=await run_sync(plans.add, kept),
        change=change,
        app=sketch.app,
        source_hash=kept.source,
        replaces=kept.replaces,
        changes=sketch.changes,
        machine=sketch.machine,
        callers=sketch.callers,
        needs=sketch.needs,
        risks=sketch.risks,
        asks=why,
        blocked=sketch.blocked,
    )


@dataclass(frozen=True, slots=True)
class _Sketch:
    app: str
    after: AppSettings | None
    changes: tuple[str, ...]
    callers: str = ""
    machine: MachineAdvice | None = None
    needs: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    code: AppSettings | None = None
    chosen: Mapping[str, str] = field(default_factory=dict[str, str])  # what was left open


def _deploy(change: Change, ground: Ground, settings: Settings) -> _Sketch:
    assert ground.checked is not None  # noqa: S101  # whoever deploys has read the source
    checked = ground.checked.checked
    running = ground.running
    code = _with_auth(checked.settings, change.settings.get("auth"))
    after, kept = _inherited(code, running, reset=change.settings.get("reset_scale") is True)
    before = None if running is None else running.settings
    changes = [f"new revision of {running.name}, now {running.revision}" if running else "new app"]
    changes += differences(before, after)
    changes += kept
    if change.target == "local" and change.settings.get("network") is True:
        changes.append("network: its code may reach others from this machine")
    errors = [finding for finding in checked.findings if finding.severity == "error"]
    blocked = tuple(
        f"{one.code} {one.file}:{one.line}: {one.message}" for one in errors[:LINES_SHOWN]
    )
    return _Sketch(
        app=change.app or checked.app,
        after=after,
        changes=tuple(changes),
        callers=CALLERS[after.auth],
        machine=cost_as_set(after),
        needs=tuple(_needs(checked, ground.secrets, settings)),
        risks=(*ground.open_to, *_risks(change, checked, after)),
        blocked=blocked,
        code=code,
    )


def _with_auth(code: AppSettings, auth: Any) -> AppSettings:  # noqa: ANN401  # JSON, checked
    return code if auth is None else replace(code, auth=auth)


def _inherited(
    code: AppSettings, running: DeployedApp | None, *, reset: bool
) -> tuple[AppSettings, list[str]]:
    """Return the settings that a redeploy ends with, and a line for each that stays unlike code."""
    if running is None or reset:
        return code, []
    kept: dict[str, Any] = {}
    lines: list[str] = []
    for name in INHERITED:
        deployed, wanted = getattr(running.settings, name), getattr(code, name)
        if deployed in (None, ()):
            continue
        if wanted not in (None, ()) and wanted != deployed:
            lines.append(
                f"{name}: stays {deployed}; the code says {wanted} (reset_scale takes the code's)"
            )
        kept[name] = deployed
    return replace(code, **kept), lines


def differences(before: AppSettings | None, after: AppSettings) -> list[str]:
    """Return a line for every setting that becomes another; of a new app, what it sets."""
    base = before or AppSettings()
    lines: list[str] = []
    for each in fields(AppSettings):
        old, new = getattr(base, each.name), getattr(after, each.name)
        if before is None:
            if new not in (None, (), "", False):
                lines.append(f"{each.name}: {_said(new)}")
        elif old != new:
            lines.append(f"{each.name}: {_said(old)} → {_said(new)}")
    return lines


def _said(value: Any) -> str:  # noqa: ANN401  # any setting
    if value in (None, (), ""):
        return "not set"
    return ", ".join(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else str(value)


def _needs(checked: Checked, secrets: Sequence[str], settings: Settings) -> list[str]:
    needs: list[str] = []
    listed = {source.name for source in settings.deploy_secrets}
    for name in checked.settings.secrets or ():
        if name in secrets:
            needs.append(f"secret {name} (is set)")
        elif name in listed:
            needs.append(f"secret {name} (not set; deploy_plan set_secret sets it)")
        else:
            needs.append(f"secret {name} (a person lists it in FALKIT_DEPLOY_SECRETS first)")
    if checked.settings.requirements:
        needs.append(f"packages: {', '.join(checked.settings.requirements[:12])}")
    return needs


def _risks(change: Change, checked: Checked, after: AppSettings) -> list[str]:
    risks = [
        f"{finding.code} line {finding.line}: {finding.message}"
        for finding in checked.findings
        if finding.severity == "warning"
    ]
    if not checked.inspected and checked.not_inspected:
        risks.append(f"not inspected: {checked.not_inspected}")
    if after.auth == "public":
        risks.append("public: anybody can spend your money")
    if change.target == "cloud" and after.max_concurrency is None:
        risks.append("no max_concurrency: fal's default is the only cap on runners")
    if change.target == "local" and any(name.startswith("GPU") for name in after.machine_types):
        risks.append("it asks for a GPU; on this machine it runs with what there is")
    return risks


def _scale(change: Change, ground: Ground, settings: Settings) -> _Sketch:
    assert ground.running is not None  # noqa: S101  # draw has made sure
    running = ground.running
    after = scaled(running.settings, change.settings)
    lines = differences(running.settings, after) or ["nothing: it is so already"]
    lost = [name for name in change.settings if name not in INHERITED]
    risks = [f"the next deploy sets {', '.join(lost)} back to what the code says"] if lost else []
    callers, machine = CALLERS[after.auth], cost_as_set(after)
    return _Sketch(running.name, after, tuple(lines), callers, machine, risks=tuple(risks))


def _roll_back(change: Change, ground: Ground, settings: Settings) -> _Sketch:
    assert ground.running is not None  # noqa: S101  # draw has made sure
    running = ground.running
    wanted = str(change.settings.get("revision") or "")
    older = [one for one in running.revisions if one.state == "old"]
    if not wanted:
        if not older:
            raise ActionableError(f"{running.name} has no earlier revision to go back to")
        wanted = older[0].revision
    if wanted == running.revision:
        raise ActionableError(f"{running.name} already answers with revision {wanted}")
    if wanted not in {one.revision for one in running.revisions}:
        known = ", ".join(one.revision for one in older[:5]) or "none"
        raise ActionableError(
            f"no revision {wanted[:60]!r} of {running.name}", hint=f"old: {known}"
        )
    line = f"revision: {running.revision} → {wanted}"
    return _Sketch(running.name, running.settings, (line,), chosen={"revision": wanted})


def _restart(change: Change, ground: Ground, settings: Settings) -> _Sketch:
    assert ground.running is not None  # noqa: S101  # draw has made sure
    running = ground.running
    count = sum(running.runners.values())
    return _Sketch(running.name, running.settings, (f"{count} runners are replaced by new ones",))


def _delete(change: Change, ground: Ground, settings: Settings) -> _Sketch:
    assert ground.running is not None  # noqa: S101  # draw has made sure
    running = ground.running
    lines = [f"{running.endpoint_id} and its {len(running.revisions)} revisions go away"]
    if running.queued:
        lines.append(f"{running.queued} waiting requests are dropped")
    return _Sketch(running.name, None, tuple(lines), risks=("callers get 404 from then on",))


def _set_secret(change: Change, ground: Ground, settings: Settings) -> _Sketch:
    name = str(change.settings.get("name") or "")
    if not name:
        raise ActionableError("which secret is not said", hint='settings {"name": "HF_TOKEN"}')
    if name in OWN_NAMES:
        raise ActionableError(f"{name} is a key of falkit's own and never becomes a secret")
    source = next((one for one in settings.deploy_secrets if one.name == name), None)
    if source is None:
        listed = ", ".join(one.name for one in settings.deploy_secrets) or "none"
        raise ActionableError(
            f"secret {name[:60]!r} is not in FALKIT_DEPLOY_SECRETS",
            hint=f"a person lists it there (now: {listed}); its value is never an argument",
        )
    whence = f"the file {source.file.name}" if source.file else f"the variable {name}"
    word = "replaced" if name in ground.secrets else "set"
    return _Sketch(
        change.app, None, (f"secret {name} is {word} from {whence}",),
        risks=("apps see it when their runners start anew: restart them",),
    )  # fmt: skip


_SKETCHES = {
    "deploy": _deploy,
    "scale": _scale,
    "roll_back": _roll_back,
    "restart": _restart,
    "delete": _delete,
    "set_secret": _set_secret,
}
