"""What may be deployed at all, and when a person must say yes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from catalog.errors import ActionableError
from server.deploy.caps import Caps, over
from server.deploy.proposals import Proposal, gpus, idle
from server.deploy.targets import SCALING
from server.settings import Settings
from tools.deploy_records import Action, AppSettings, Target
from tools.errors import NotConfiguredError

# Environment names that are falkit's or fal's own: no app ever sees their values.
OWN_NAMES = ("FAL_KEY", "FAL_KEY_ID", "FAL_KEY_SECRET", "FAL_KEY_FILE", "FALKIT_HTTP_TOKEN")


def is_own(name: str) -> bool:
    """Return whether *name* is that of a key of falkit's own, however it is written."""
    return name.strip().upper() in OWN_NAMES


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


def asks(proposal: Proposal, settings: Settings, caps: Caps | None) -> tuple[str, ...]:
    """Return why a person must say yes to *proposal*; nothing where nobody is asked."""
    if proposal.target == "local":
        return _asks_locally(proposal)
    if settings.deploy == "cloud-auto":
        if caps is None:
            return ("FALKIT_DEPLOY_CAPS names no file of caps",)
        return tuple(over(proposal, caps))
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
        said = f"this source has not run {how}on this machine before: deploying runs its code"
        return (said, *_secrets(proposal.after))
    return ()


def _secrets(after: AppSettings | None) -> list[str]:
    listed = () if after is None else after.secrets or ()
    return [f"it sees the secrets {', '.join(listed[:8])}"] if listed else []


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
    was = gpus(before) if proposal.before else 0
    other = set(after.machine_types) - set(before.machine_types)
    if gpus(after) > was or (gpus(after) and other):
        reasons.append(f"GPUs: {gpus(after)} of {' or '.join(after.machine_types)} in each runner")
    if idle(after) > (idle(before) if proposal.before else 0):
        reasons.append(f"{idle(after)} runners are paid for while nobody calls")
    return [*reasons, *_secrets(after)]


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
