"""`Order`: one operation on fal, and exactly which calls to fal it may make."""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from server.deploy.cloud.files import SentFile
from server.deploy.targets import Release, entry_of
from tools.deploy_records import AppSettings

# Times of `fal` where a class says none: of `fal.App`, and of the platform.
USUAL_KEEP_ALIVE = (None, 60, 10)
# Our names and those on the wire, where they differ.
WIRE_NAMES = {"scaling_delay": "scaling_delay_seconds"}
NUMBERS = (
    "num_gpus",
    "keep_alive",
    "min_concurrency",
    "max_concurrency",
    "max_multiplexing",
    "concurrency_buffer",
    "concurrency_buffer_perc",
    "scaling_delay",
    "startup_timeout",
    "request_timeout",
)
# What a redeploy takes over from the running app unless it resets the scale (`fal` 1.83).
INHERITED = (
    "keep_alive",
    "min_concurrency",
    "max_concurrency",
    "concurrency_buffer",
    "concurrency_buffer_perc",
    "scaling_delay",
    "request_timeout",
)
MARK = "falkit-plan"
ANY = "*"
READ_SECONDS = 60.0
WRITE_SECONDS = 120.0
ROLL_SECONDS = 20 * 60.0
DEPLOY_SECONDS = 60 * 60.0


@dataclass(frozen=True, slots=True)
class Order:
    """One operation: what the worker is told, and what of it the proxy lets through.

    *write* is the call that changes something, empty for a mere look. *seconds* bound all of it.
    """

    op: str
    args: Mapping[str, Any]
    seconds: float
    app: str = ""
    plan_id: str = ""
    write: str = ""
    reads: tuple[str, ...] = ()
    exact: Mapping[str, Any] = field(default_factory=dict[str, Any])
    deploy: Mapping[str, Any] = field(default_factory=dict[str, Any])
    secret: SecretStr | None = None
    files: tuple[SentFile, ...] = ()

    def plan(self) -> dict[str, Any]:
        """Return what the proxy compares calls with."""
        return {
            "write": self.write,
            "reads": list(self.reads),
            "exact": dict(self.exact),
            "deploy": dict(self.deploy),
        }


def annotations_of(release: Release) -> dict[str, str]:
    """Return what fal keeps beside a revision, from which a later plan sees whether it is so."""
    entry = entry_of(release.file, release.class_name)
    return {"falkit-source": release.source_hash[:32], "falkit-entry": entry}


def deploying(
    release: Release, plan_id: str, source: str, files: Sequence[SentFile], *, runs: bool
) -> Order:
    """Return the order for a release, whose module reads *source*; *runs* when the app does.

    *files* are those of its folder, of which the app may take some along.
    """
    confirmed: dict[str, list[str]] = {}
    for file in files:
        confirmed.setdefault(file.digest, []).append(file.relative)
    settings = release.settings
    return Order(
        op="deploy",
        args={
            "folder": str(release.folder),
            "file": release.file,
            "class_name": release.class_name,
            "project": project_app(release),
            "app_name": release.name,
            "auth": settings.auth,
            "reset_scale": release.reset_scale,
            "message": release.message,
            "annotations": {MARK: plan_id, **annotations_of(release)},
        },
        seconds=DEPLOY_SECONDS,
        app=release.name,
        plan_id=plan_id,
        write="RegisterApplication",
        reads=("BuildEnvironment",),
        deploy={
            "app": release.name,
            "auth": settings.auth,
            "machine_types": list(settings.machine_types),
            "numbers": _numbers(release, takes_over=runs and not release.reset_scale),
            "regions": _regions(release, takes_over=runs and not release.reset_scale),
            "secrets": None if settings.secrets is None else sorted(settings.secrets),
            "requirements": list(settings.requirements),
            "kind": "container" if settings.image else "virtualenv",
            "python_version": settings.python_version if _is_minor(settings) else "",
            "source_sha256": hashlib.sha256(source.encode()).hexdigest(),
            "reset_scale": release.reset_scale,
            "mark": plan_id,
            "files": confirmed,
        },
        files=tuple(files),
    )


def project_app(release: Release) -> str:
    """Return by which name a ``pyproject.toml`` of the folder holds the app, empty without; it
    blocks on the disk.
    """
    try:
        project: Any = tomllib.loads((release.folder / "pyproject.toml").read_text("utf-8"))
        apps: dict[str, Any] = dict(project["tool"]["fal"]["apps"])
        held = {
            name: str(app.get("ref", "")).partition("::")[0].replace("\\", "/")
            for name, app in apps.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
    found = [name for name, file in held.items() if file.removeprefix("./") == release.file]
    named = [name for name in found if apps[name].get("name", name) == release.name]
    return (named or found)[0] if len(named) == 1 or len(found) == 1 else ""


def _is_minor(settings: AppSettings) -> bool:
    return settings.python_version.count(".") == 1


def _numbers(release: Release, *, takes_over: bool) -> dict[str, list[int | str | None]]:
    """Return by wire name which values a registration may carry, the confirmed one first.

    Of what a redeploy takes over from the running app, the code's own value is sent and not used:
    any, where it is not known (``*``).
    """
    allowed: dict[str, list[int | str | None]] = {}
    for name in NUMBERS:
        confirmed = getattr(release.settings, name)
        values: list[int | str | None] = [confirmed]
        if confirmed is None:
            values += USUAL_KEEP_ALIVE if name == "keep_alive" else (0,)
        if takes_over and name in INHERITED:
            values.append(ANY if release.code is None else getattr(release.code, name))
        allowed[WIRE_NAMES.get(name, name)] = list(dict.fromkeys(values))
    return allowed


def _regions(release: Release, *, takes_over: bool) -> list[list[str] | str]:
    allowed: list[list[str] | str] = [sorted(release.settings.regions)]
    if takes_over:
        allowed.append(ANY if release.code is None else sorted(release.code.regions))
    return allowed


def scaling(app: str, settings: Mapping[str, int], plan_id: str = "") -> Order:
    """Return the order that changes settings of a running app."""
    sent = {WIRE_NAMES.get(name, name): value for name, value in settings.items()}
    return Order(
        op="scale",
        args={"app": app, "settings": dict(settings)},
        seconds=WRITE_SECONDS,
        app=app,
        plan_id=plan_id,
        write="UpdateApplication",
        exact={"application_name": app, **sent},
    )


def rolling_back(app: str, revision: str) -> Order:
    """Return the order that lets an earlier revision answer."""
    return Order(
        op="roll_back",
        args={"app": app, "revision": revision},
        seconds=ROLL_SECONDS,
        app=app,
        write="SetAlias",
        exact={"alias": app, "revision": revision, "deployment_strategy": "rolling"},
    )


def restarting(app: str) -> Order:
    """Return the order that replaces an app's runners."""
    return Order(
        op="restart",
        args={"app": app},
        seconds=ROLL_SECONDS,
        app=app,
        write="RolloutApplication",
        exact={"application_name": app, "force": False},
    )


def deleting(app: str) -> Order:
    """Return the order that takes an app away."""
    return Order(
        op="delete",
        args={"app": app},
        seconds=WRITE_SECONDS,
        app=app,
        write="DeleteAlias",
        exact={"alias": app},
    )


def setting_secret(name: str, value: SecretStr, *, exposed: bool | None) -> Order:
    """Return the order that keeps a secret; *exposed* to apps that list none, None as it is."""
    exact: dict[str, Any] = {"name": name, "value": True}
    return Order(
        op="set_secret",
        args={"name": name, "exposed": exposed},
        seconds=WRITE_SECONDS,
        write="SetSecret",
        exact=exact if exposed is None else exact | {"default_exposed": exposed},
        secret=value,
    )


def unsetting_secret(name: str) -> Order:
    """Return the order that forgets a secret."""
    return Order(
        op="unset_secret",
        args={"name": name},
        seconds=WRITE_SECONDS,
        write="SetSecret",
        exact={"name": name},
    )


_LOOKS: Mapping[str, tuple[str, ...]] = {
    "list_secrets": ("ListSecrets",),
    "list_apps": ("ListAliases",),
    "list_revisions": ("ListApplications",),
    "list_runners": ("ListAliasRunners",),
    "show_app": ("ListAliases", "ListApplications", "ListAliasRunners"),
}


def looking(op: str, app: str = "") -> Order:
    """Return an order that changes nothing: ``list_secrets``, ``list_apps`` and so on."""
    return Order(
        op=op,
        args={"app": app},
        seconds=READ_SECONDS,
        app=app,
        reads=_LOOKS[op],
    )
