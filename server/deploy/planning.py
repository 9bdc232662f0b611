"""From a wanted change to a plan: what would be different, what it costs, needs and risks."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any

from anyio.to_thread import run_sync

from catalog.errors import ActionableError
from server.deploy.advice import cost_as_set
from server.deploy.applied import Recalled
from server.deploy.asking import reasons
from server.deploy.checking import CheckedSource
from server.deploy.differing import (
    INHERITED,
    answers_already,
    differences,
    inherited,
    left_unknown,
    opening,
)
from server.deploy.plans import Kept, Plans
from server.deploy.policy import check_allowed, is_own, scaled
from server.deploy.prices import Prices, read_prices
from server.deploy.source import not_sent, snapshot
from server.deploy.targets import SCALING, entry_of
from server.settings import SecretSource, Settings
from tools.deploy_records import (
    Action,
    AppSettings,
    Change,
    Checked,
    DeployedApp,
    HourlyPrice,
    MachineAdvice,
    Plan,
)
from tools.deploying import machine_words

# What `settings` of a change may hold, by action.
KNOWN: Mapping[Action, tuple[str, ...]] = {
    "deploy": ("auth", "reset_scale", "message", "network"),
    "scale": SCALING,
    "roll_back": ("revision",),
    "restart": (),
    "delete": (),
    "set_secret": ("name",),
}
CALLERS: Mapping[str, str] = {
    "private": "only keys of this account",
    "shared": "any fal account, at the caller's cost",
    "public": "anybody, without a key, at your cost",
}
CALLERS_HERE: Mapping[str, str] = {
    "private": "whoever reaches this machine's falkit with a key, of any account",
    "shared": "whoever reaches this machine's falkit with a key, of any account",
    "public": "whoever reaches this machine's falkit, without a key",
}
LINES_SHOWN = 30
FILES_SHOWN = 8
MOST_MESSAGE = 500  # characters
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class Ground:
    """What a plan is drawn from: the source as it was *checked* (deploys only), and what runs."""

    checked: CheckedSource | None
    running: DeployedApp | None
    secrets: Sequence[str] = ()
    open_to: Sequence[str] = ()  # what this machine does not keep an app from
    recalled: Recalled | None = None  # what runs, with what falkit itself set last
    older: Mapping[str, Recalled] = field(default_factory=dict[str, Recalled])  # by revision
    prices: Prices = field(default_factory=dict[str, HourlyPrice])


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
    ground = await run_sync(_remembering, ground, settings, plans)
    sketch = _SKETCHES[change.action](change, ground, settings)
    checked = ground.checked
    shown = {
        "action": change.action,
        "target": change.target,
        "app": sketch.app,
        "changes": list(sketch.changes[:LINES_SHOWN]),
        "callers": sketch.callers,
        **_cost(change, sketch),
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
        blocked=sketch.blocked,
        unknown=sketch.unknown,
    )
    why = await run_sync(reasons, kept, settings, plans)
    kept = replace(kept, asks=why)
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
        unchanged=sketch.unchanged,
    )


def _callers(change: Change, after: AppSettings) -> str:
    return (CALLERS if change.target == "cloud" else CALLERS_HERE)[after.auth]


def _cost(change: Change, sketch: "_Sketch") -> dict[str, str]:
    """Return what a person is told of the cost; this machine costs nothing."""
    if change.target == "local" or sketch.machine is None:
        return {}
    return {"cost": machine_words(sketch.machine)}


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
    unknown: tuple[str, ...] = ()
    chosen: Mapping[str, str] = field(default_factory=dict[str, str])  # what was left open
    unchanged: bool = False


def _deploy(change: Change, ground: Ground, settings: Settings) -> _Sketch:
    assert ground.checked is not None  # noqa: S101  # whoever deploys has read the source
    checked = ground.checked.checked
    running = ground.running
    code = _with_auth(checked.settings, change.settings.get("auth"))
    reset = change.settings.get("reset_scale") is True
    after, kept = inherited(code, ground.recalled, reset=reset)
    unknown = left_unknown(ground.recalled, reset=reset)
    lines = differences(ground.recalled, after, leave=unknown)
    network = change.settings.get("network") is True
    source = ground.checked.source
    # Runners keep the secrets they began with: an app that has some is deployed anew.
    is_same = not lines and not checked.settings.secrets
    entry = entry_of(source.entry, checked.class_name)
    unchanged = is_same and answers_already(running, source.sha256, entry, network=network)
    changes = [*opening(running, source.sha256, entry, unchanged=unchanged), *lines, *kept]
    if change.target == "local" and network:
        changes.append("network: its code may reach others from this machine")
    errors = [finding for finding in checked.findings if finding.severity == "error"]
    blocked = tuple(
        f"{one.code} {one.file}:{one.line}: {one.message}" for one in errors[:LINES_SHOWN]
    )
    blocked += _unlisted(change, checked, ground.secrets, settings)
    if change.target == "cloud":
        blocked += tuple(not_sent(source.root, checked.settings))
    return _Sketch(
        app=change.app or checked.app,
        after=after,
        changes=tuple(changes),
        callers=_callers(change, after),
        machine=cost_as_set(after, prices=ground.prices),
        needs=(*_needs(checked, ground.secrets, settings), _files(source.paths)),
        risks=(*ground.open_to, *_risks(change, checked, after)),
        blocked=blocked,
        code=code,
        unknown=unknown,
        unchanged=unchanged,
    )


def _with_auth(code: AppSettings, auth: Any) -> AppSettings:  # noqa: ANN401  # JSON, checked
    return code if auth is None else replace(code, auth=auth)


def _remembering(ground: Ground, settings: Settings, plans: Plans) -> Ground:
    """Return *ground* with what falkit remembers of the app, and the prices; it blocks."""
    running = ground.running
    prices = read_prices(settings.deploy_prices)
    if running is None:
        return replace(ground, prices=prices)
    older = {
        one.revision: plans.applied.recall(running, one.revision)
        for one in running.revisions
        if running.target == "cloud"
    }
    recalled = plans.applied.recall(running)
    return replace(ground, prices=prices, recalled=recalled, older=older)


def _unlisted(
    change: Change, checked: Checked, kept: Sequence[str], settings: Settings
) -> tuple[str, ...]:
    """Return which secrets an app may not have; here it may lack those that were never *kept*."""
    listed = {source.name for source in settings.deploy_secrets}
    wanted = checked.settings.secrets or ()
    own = [f"{name} is a key of falkit's own, which no app sees" for name in wanted if is_own(name)]
    return (
        *own,
        *(
            f"secret {name} is not in FALKIT_DEPLOY_SECRETS, where a person lists it"
            for name in wanted
            if name not in listed
            and not is_own(name)
            and (change.target == "cloud" or name in kept)
        ),
    )


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


def _files(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - FILES_SHOWN} more" if len(paths) > FILES_SHOWN else ""
    return f"files: {', '.join(paths[:FILES_SHOWN])}{more}"


def _risks(change: Change, checked: Checked, after: AppSettings) -> list[str]:
    risks = [
        f"{finding.code} line {finding.line}: {finding.message}"
        for finding in checked.findings
        if finding.severity == "warning"
    ]
    if not checked.inspected and checked.not_inspected:
        risks.append(f"not inspected: {checked.not_inspected}")
    if after.auth == "public" and change.target == "cloud":
        risks.append("public: anybody can spend your money")
    if change.target == "local" and after.concurrency_buffer_perc:
        risks.append("concurrency_buffer_perc has no effect on this machine")
    if change.target == "cloud" and after.max_concurrency is None:
        risks.append("no max_concurrency: fal's default is the only cap on runners")
    if change.target == "local" and any(name.startswith("GPU") for name in after.machine_types):
        risks.append("it asks for a GPU; on this machine it runs with what there is")
    return risks


def _scale(change: Change, ground: Ground, settings: Settings) -> _Sketch:
    assert ground.running is not None and ground.recalled is not None  # noqa: S101, PT018  # draw
    running, recalled = ground.running, ground.recalled
    if change.target == "local" and "concurrency_buffer_perc" in change.settings:
        raise ActionableError(
            "concurrency_buffer_perc has no effect on this machine", hint="use concurrency_buffer"
        )
    after = scaled(recalled.settings, change.settings)
    unknown = tuple(sorted(recalled.unknown - {*change.settings}))
    lines = differences(recalled, after, leave=unknown) or ["nothing: it is so already"]
    lost = [name for name in change.settings if name not in INHERITED]
    risks = [f"the next deploy sets {', '.join(lost)} back to what the code says"] if lost else []
    machine = cost_as_set(after, prices=ground.prices)
    callers = _callers(change, after)
    return _Sketch(
        running.name, after, tuple(lines), callers, machine, risks=tuple(risks), unknown=unknown
    )


def _roll_back(change: Change, ground: Ground, settings: Settings) -> _Sketch:
    assert ground.running is not None and ground.recalled is not None  # noqa: S101, PT018  # draw
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
    after, unknown, more = _of_revision(ground, wanted)
    return _Sketch(
        running.name, after, (line, *more), chosen={"revision": wanted}, unknown=unknown,
        machine=cost_as_set(after, prices=ground.prices) if more or not unknown else None,
    )  # fmt: skip


def _of_revision(
    ground: Ground, revision: str
) -> tuple[AppSettings, tuple[str, ...], tuple[str, ...]]:
    """Return what an app runs with at another revision, what of it is unknown, and what differs.

    How it scales stays; machine and the like come with the revision, and only falkit's own memory
    tells those of a revision on fal.
    """
    assert ground.running is not None and ground.recalled is not None  # noqa: S101, PT018  # draw
    running = ground.recalled
    if revision not in ground.older:
        return running.settings, (), ()
    then = ground.older[revision]
    comes = [each.name for each in fields(AppSettings) if each.name not in (*INHERITED, "auth")]
    if not then.likely:
        return running.settings, tuple(sorted({*comes, *running.unknown})), ()
    after = replace(running.settings, **{name: getattr(then.settings, name) for name in comes})
    unknown = {*(then.unknown & {*comes}), *(running.unknown - {*comes})}
    known = tuple(sorted(unknown))
    return after, known, tuple(differences(running, after, leave=known))


def _restart(change: Change, ground: Ground, settings: Settings) -> _Sketch:
    assert ground.running is not None and ground.recalled is not None  # noqa: S101, PT018  # draw
    running, recalled = ground.running, ground.recalled
    count = sum(running.runners.values())
    said = (
        f"{count} runner{'' if count == 1 else 's'} replaced by new ones"
        if count
        else "nothing runs now; the next runner is a new one anyway"
    )
    unknown = tuple(sorted(recalled.unknown))
    return _Sketch(running.name, recalled.settings, (said,), unknown=unknown)


def _delete(change: Change, ground: Ground, settings: Settings) -> _Sketch:
    assert ground.running is not None  # noqa: S101  # draw has made sure
    running = ground.running
    count = len(running.revisions)
    its = f"its {count} revisions" if count > 1 else "its revision"
    lines = [f"{running.endpoint_id} and {its} go away"]
    if running.queued:
        lines.append(f"{running.queued} waiting requests are dropped")
    return _Sketch(running.name, None, tuple(lines), risks=("callers get 404 from then on",))


def _set_secret(change: Change, ground: Ground, settings: Settings) -> _Sketch:
    name = str(change.settings.get("name") or "")
    if not name:
        raise ActionableError("which secret is not said", hint='settings {"name": "HF_TOKEN"}')
    if is_own(name):
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
        risks=(*_missing(source), "apps see it when their runners start anew: restart them"),
    )  # fmt: skip


def _missing(source: SecretSource) -> list[str]:
    """Return what keeps a secret from being set, as far as it can be seen from here."""
    if source.file is None and not os.environ.get(source.name):
        return [f"the variable {source.name} is not set here; a falkit that has it must apply this"]
    if source.file is not None and not source.file.is_file():
        return [f"there is no file {source.file.name} where FALKIT_DEPLOY_SECRETS says"]
    return []


_SKETCHES = {
    "deploy": _deploy,
    "scale": _scale,
    "roll_back": _roll_back,
    "restart": _restart,
    "delete": _delete,
    "set_secret": _set_secret,
}
