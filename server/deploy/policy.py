"""What may be deployed at all, and when a person must say yes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catalog.errors import ActionableError
from server.deploy.targets import SCALING
from server.settings import Settings
from tools.deploy_records import Action, AppSettings, MachineAdvice, Target
from tools.errors import NotConfiguredError

# Environment names that are falkit's or fal's own: no app ever sees their values.
OWN_NAMES = ("FAL_KEY", "FAL_KEY_ID", "FAL_KEY_SECRET", "FAL_KEY_FILE", "FALKIT_HTTP_TOKEN")


class Caps(BaseModel):
    """What ``cloud-auto`` may do without asking. Dollars count every runner that may run at once.

    Patterns match the whole name of an app; ``*`` stands for anything.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    apps: tuple[str, ...] = ()
    machine_types: tuple[str, ...] = ()
    auth: tuple[str, ...] = ("private",)
    num_gpus: int = Field(default=0, ge=0, le=64)
    max_concurrency: int = Field(default=1, ge=1, le=1000)
    min_concurrency: int = Field(default=0, ge=0, le=1000)
    concurrency_buffer: int = Field(default=0, ge=0, le=1000)
    keep_alive: int = Field(default=60, ge=0, le=86400)
    actions: tuple[str, ...] = ("deploy", "scale", "restart")
    dollars_per_hour: Decimal | None = Field(default=None, ge=0)
    dollars_per_day: Decimal | None = Field(default=None, ge=0)


def read_caps(path: Path | None) -> Caps | None:
    """Return the caps in *path*, None where no file is named; it blocks.

    Raises:
        NotConfiguredError: the file cannot be read, or says something else.
    """
    if path is None:
        return None
    try:
        return Caps.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as problem:
        reason = (problem.strerror or type(problem).__name__).lower()
        raise NotConfiguredError(f"FALKIT_DEPLOY_CAPS cannot be read: {reason}") from problem
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "the file"
        names = ", ".join(Caps.model_fields)
        raise NotConfiguredError(
            f"FALKIT_DEPLOY_CAPS: {where}: {first['msg'].lower()}", hint=f"it may say {names}"
        ) from problem


def check_allowed(settings: Settings, target: Target) -> None:
    """Refuse a target that the person did not open.

    Raises:
        NotConfiguredError: it is closed; the words name the setting.
    """
    if settings.deploy == "off":
        raise NotConfiguredError(
            "deploying is off", hint="a person sets FALKIT_DEPLOY to local or cloud"
        )
    if target == "cloud" and settings.deploy == "local":
        raise NotConfiguredError(
            "FALKIT_DEPLOY allows this machine only (local)",
            hint='target "local" tries the app here; a person sets FALKIT_DEPLOY=cloud',
        )
    if target == "cloud" and settings.backend == "emulator" and settings.key is not None:
        raise NotConfiguredError(
            "FALKIT_BACKEND is emulator, so nothing is deployed to fal",
            hint='target "local" runs it here; a person sets FALKIT_BACKEND=auto or cloud',
        )
    if target == "cloud" and settings.key is None:
        raise NotConfiguredError(
            "the cloud needs a key of fal", hint="set FAL_KEY; one with the DEPLOY scope is enough"
        )


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change as a policy sees it: *before* is what runs (None: nothing), *after* what would."""

    action: Action
    target: Target
    app: str
    before: AppSettings | None
    after: AppSettings | None
    machine: MachineAdvice | None = None
    trusted: bool = False
    network: bool = False


def asks(proposal: Proposal, settings: Settings, caps: Caps | None) -> tuple[str, ...]:
    """Return why a person must say yes to *proposal*; nothing where nobody is asked."""
    if proposal.target == "local":
        return _asks_locally(proposal)
    if settings.deploy == "cloud-auto":
        if caps is None:
            return ("FALKIT_DEPLOY_CAPS names no file of caps",)
        return tuple(_over(proposal, caps))
    reasons = [_WHY[proposal.action]]
    reasons += _grown(proposal)
    return tuple(reasons)


_WHY: Mapping[Action, str] = {
    "deploy": "it deploys to fal, where runners are billed",
    "scale": "it changes what runs on fal",
    "roll_back": "another revision will answer on fal",
    "restart": "runners on fal are replaced",
    "delete": "the app and its address go away",
    "set_secret": "a secret of the fal account is set",
}


def _asks_locally(proposal: Proposal) -> tuple[str, ...]:
    if proposal.action == "set_secret":
        return ("apps on this machine that list the secret will see it",)
    if proposal.action == "deploy" and not proposal.trusted:
        how = "with network " if proposal.network else ""
        return (f"this source has not run {how}on this machine before: deploying runs its code",)
    return ()


def _grown(proposal: Proposal) -> list[str]:
    """Return what of *proposal* is more open or dearer than what runs now."""
    after = proposal.after
    if after is None:
        return []
    before = proposal.before or AppSettings()
    reasons: list[str] = []
    if after.auth != "private" and (proposal.before is None or before.auth != after.auth):
        who = {"public": "anybody may call it at your cost", "shared": "others may call it"}
        reasons.append(who[after.auth])
    if _gpus(after) > (_gpus(before) if proposal.before else 0):
        reasons.append(f"GPUs: {_gpus(after)} of {after.machine_types[0]} in each runner")
    if _idle(after) > (_idle(before) if proposal.before else 0):
        reasons.append(f"{_idle(after)} runners are paid for while nobody calls")
    if after.secrets:
        reasons.append(f"it sees the secrets {', '.join(after.secrets[:8])}")
    return reasons


def _over(proposal: Proposal, caps: Caps) -> list[str]:
    """Return where *proposal* goes beyond *caps*."""
    reasons: list[str] = []
    if proposal.action not in caps.actions:
        reasons.append(f"the caps do not allow {proposal.action} unasked")
    if not any(fnmatchcase(proposal.app, pattern) for pattern in caps.apps):
        reasons.append(f"the caps do not name the app {proposal.app!r}")
    after = proposal.after
    if after is None:
        return reasons
    foreign = [name for name in after.machine_types if name not in caps.machine_types]
    if foreign:
        reasons.append(f"the caps do not allow machine {foreign[0]}")
    if after.auth not in caps.auth:
        reasons.append(f"the caps do not allow {after.auth} access")
    if after.secrets:
        reasons.append(f"it sees the secrets {', '.join(after.secrets[:8])}")
    most = {
        "GPUs": (_gpus(after), caps.num_gpus),
        "max_concurrency": (after.max_concurrency, caps.max_concurrency),
        "min_concurrency": (after.min_concurrency or 0, caps.min_concurrency),
        "concurrency_buffer": (after.concurrency_buffer or 0, caps.concurrency_buffer),
        "keep_alive": (after.keep_alive or 0, caps.keep_alive),
    }
    for name, (wanted, cap) in most.items():
        if wanted is None:
            reasons.append(f"{name} is not said, and the caps allow {cap}")
        elif wanted > cap:
            reasons.append(f"{name} {wanted} is over the cap {cap}")
    reasons += _dear(proposal.machine, caps)
    return reasons


def _dear(machine: MachineAdvice | None, caps: Caps) -> list[str]:
    busy = None if machine is None else machine.busy_hour
    if caps.dollars_per_hour is None and caps.dollars_per_day is None:
        return ["the caps name no dollars an hour or a day"]
    if busy is None:
        return ["what its machine costs is not known"]
    reasons: list[str] = []
    if caps.dollars_per_hour is not None and busy > caps.dollars_per_hour:
        reasons.append(f"${busy:.2f} an hour is over the cap ${caps.dollars_per_hour:.2f}")
    if caps.dollars_per_day is not None and busy * 24 > caps.dollars_per_day:
        reasons.append(f"${busy * 24:.2f} a day is over the cap ${caps.dollars_per_day:.2f}")
    return reasons


def _gpus(settings: AppSettings) -> int:
    has_gpu = any(name.startswith("GPU") for name in settings.machine_types)
    return (settings.num_gpus or 1) if has_gpu else 0


def _idle(settings: AppSettings) -> int:
    return max(settings.min_concurrency or 0, settings.concurrency_buffer or 0)


def scaled(before: AppSettings, wanted: Mapping[str, Any]) -> AppSettings:
    """Return *before* with what is *wanted* of its scaling.

    Raises:
        ActionableError: a name or number is none of scaling.
    """
    changed: dict[str, int] = {}
    for name, value in wanted.items():
        if name not in SCALING:
            raise ActionableError(
                f"{name[:60]!r} cannot be scaled", hint=f"there are {', '.join(SCALING)}"
            )
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1_000_000:
            raise ActionableError(f"{name} must be a whole number of zero or more")
        changed[name] = value
    if not changed:
        raise ActionableError(
            "nothing to scale is given",
            hint=f'settings {{"keep_alive": 300}}; {", ".join(SCALING)}',
        )
    after = replace(before, **changed)
    low, high = after.min_concurrency, after.max_concurrency
    if high == 0:
        raise ActionableError("max_concurrency must be 1 or more", hint="delete ends an app")
    if low is not None and high is not None and low > high:
        raise ActionableError(f"min_concurrency {low} is over max_concurrency {high}")
    return after
