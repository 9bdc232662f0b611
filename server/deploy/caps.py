"""`Caps`: what ``cloud-auto`` may do unasked, as a person's file says it."""

from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.deploy.proposals import Proposal, gpus
from tools.deploy_records import AppSettings
from tools.errors import NotConfiguredError

# What costs, and so must be known of an app before it is changed unasked.
COUNTED = ("machine_types", "num_gpus", "max_concurrency", "min_concurrency", "concurrency_buffer")
KEEP_ALIVE = 60  # seconds, where an app says nothing (fal 1.83)


class Caps(BaseModel):
    """What ``cloud-auto`` may do without asking.

    Dollars count every runner that may run at once, of all apps that were deployed unasked
    together. Patterns match the whole name of an app; ``*`` stands for anything.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    apps: tuple[str, ...] = ()
    machine_types: tuple[str, ...] = ()
    auth: tuple[str, ...] = ("private",)
    num_gpus: int = Field(default=0, ge=0, le=64)
    max_concurrency: int = Field(default=1, ge=1, le=1000)
    min_concurrency: int = Field(default=0, ge=0, le=1000)
    concurrency_buffer: int = Field(default=0, ge=0, le=1000)
    concurrency_buffer_perc: int = Field(default=0, ge=0, le=1000)
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


def over(proposal: Proposal, caps: Caps) -> list[str]:
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
    reasons += _seen(proposal, after)
    reasons += [
        f"{name} of what runs is not known"
        for name in COUNTED
        if name in proposal.unknown and (name != "num_gpus" or gpus(after))
    ]
    most = {
        "GPUs": (gpus(after), caps.num_gpus),
        "max_concurrency": (after.max_concurrency, caps.max_concurrency),
        "min_concurrency": (after.min_concurrency or 0, caps.min_concurrency),
        "concurrency_buffer": (after.concurrency_buffer or 0, caps.concurrency_buffer),
        "concurrency_buffer_perc": (
            after.concurrency_buffer_perc or 0,
            caps.concurrency_buffer_perc,
        ),
        "keep_alive": (_keep_alive(after), caps.keep_alive),
    }
    for name, (wanted, cap) in most.items():
        if wanted is None:
            reasons.append(f"{name} is not said, and the caps allow {cap}")
        elif wanted > cap:
            reasons.append(f"{name} {wanted} is over the cap {cap}")
    return [*reasons, *dear(proposal, caps)]


def _seen(proposal: Proposal, after: AppSettings) -> list[str]:
    if after.secrets:
        return [f"it sees the secrets {', '.join(after.secrets[:8])}"]
    if after.secrets is None and proposal.action == "deploy":
        return [
            "its class lists no secrets, so it sees those that the account shows to every app "
            "(secrets = [] ends that)"
        ]
    return []


def _keep_alive(after: AppSettings) -> int:
    return KEEP_ALIVE if after.keep_alive is None else after.keep_alive


def dear(proposal: Proposal, caps: Caps) -> list[str]:
    """Return where *proposal*, with all else that was deployed unasked, costs more than the caps.

    A day counts as 24 hours of the most runners, so that no midnight renews it.
    """
    if caps.dollars_per_hour is None and caps.dollars_per_day is None:
        return ["the caps name no dollars an hour or a day"]
    if proposal.most is None:
        return ["what its machine costs at the most is not known"]
    whole = proposal.most + proposal.others
    beside = f", with ${proposal.others:.2f} of other apps," if proposal.others else ""
    reasons: list[str] = []
    if caps.dollars_per_hour is not None and whole > caps.dollars_per_hour:
        reasons.append(f"${whole:.2f} an hour{beside} is over the cap ${caps.dollars_per_hour:.2f}")
    if caps.dollars_per_day is not None and whole * 24 > caps.dollars_per_day:
        reasons.append(
            f"${whole * 24:.2f} a day{beside} is over the cap ${caps.dollars_per_day:.2f}"
        )
    return reasons
