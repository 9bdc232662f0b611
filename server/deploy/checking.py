"""Reading an app: its source against the rules, and the app itself where it may be looked into."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from anyio.to_thread import run_sync

from catalog.errors import ActionableError
from server.deploy.advice import advise
from server.deploy.environments import ready_tool_environment
from server.deploy.inspecting import Inspection, inspect
from server.deploy.isolation import rung_of
from server.deploy.lint import LintResult, apply_edits, lint, patch_of
from server.deploy.load import parse_load
from server.deploy.plans import Plans
from server.deploy.prices import read_prices
from server.deploy.pythons import minor_of, own_minor, unlike
from server.deploy.source import Source, SourceError, read_source
from server.settings import Settings
from tools.deploy_records import AppSettings, Checked, Edit


@dataclass(frozen=True, slots=True)
class CheckedSource:
    """An app at *path*: its *source* as it was read, and what was found in it.

    *classes* are all apps of the entry, of which one was checked.
    """

    path: Path
    source: Source
    checked: Checked
    openapi: Mapping[str, Any]
    classes: tuple[str, ...] = ()


def parted(path: str) -> tuple[str, str]:
    """Return a path and the class that it names behind ``::``, as fal writes it, or nothing."""
    place, _, app = path.rpartition("::")
    return (place, app) if place and app.isidentifier() else (path, "")


async def check_source(
    path: Path, settings: Settings, plans: Plans, *, app: str = "", load: str = ""
) -> CheckedSource:
    """Return what is known of the app at *path*; nothing of it is changed.

    It is looked into, which imports it, only where it can be kept from network, keys and files, or
    where a person let the same source run before.

    Raises:
        ActionableError: there is no app, no class *app*, or *load* cannot be understood.
    """
    wanted = parse_load(load)
    prices = await run_sync(read_prices, settings.deploy_prices)
    source = await run_sync(read_source, path)
    texts = await run_sync(source.texts)
    found = await run_sync(lambda: lint(texts, entry=source.entry, class_name=app))
    seen, why_not = await _looked_into(source, found, settings, plans)
    said = found.settings if seen is None else _completed(seen.settings, found.settings)
    weights = found.weights.gigabytes if found.weights is not None else None
    checked = Checked(
        app=found.app or (seen.app_name if seen is not None else ""),
        class_name=found.class_name or (seen.class_name if seen is not None else ""),
        findings=found.findings,
        settings=said,
        routes=seen.routes if seen is not None else found.routes,
        inspected=seen is not None,
        not_inspected=why_not,
        patch=patch_of(texts, found.edits),
        machine=advise(said, wanted, weights_gb=weights, uses_gpu=found.uses_gpu, prices=prices),
        edits=found.edits,
        notes=tuple(filter(None, [await _unlike_python(said, settings)])),
    )
    openapi: Mapping[str, Any] = {} if seen is None else seen.openapi
    return CheckedSource(path, source, checked, openapi, found.class_names)


async def _unlike_python(said: AppSettings, settings: Settings) -> str:
    """Return how the Python that the app wants is not the one of this machine, if it is not."""
    if not minor_of(said.python_version):
        return ""
    with suppress(ActionableError):
        tool = await ready_tool_environment(settings.home, given=settings.deploy_tools)
        return await unlike(said.python_version, tool.minor if tool else own_minor())
    return ""


async def _looked_into(
    source: Source, found: LintResult, settings: Settings, plans: Plans
) -> tuple[Inspection | None, str]:
    """Return what the app says of itself, or why it was not asked."""
    if not source.entry:
        return None, "it is an image, which falkit does not start to look into it"
    if found.settings.image:
        return None, "apps with an image of their own are not imported here"
    if any(finding.code in ("FAL001", "FAL003", "FAL010") for finding in found.findings):
        return None, "it cannot be imported as it is; see the errors"
    try:
        tool = await ready_tool_environment(settings.home, given=settings.deploy_tools)
        if tool is None:
            return None, "fal's own package is not here yet: `falkit app tools` brings it"
        rung, _ = await run_sync(rung_of, tool.python)
        if rung != "view" and not await run_sync(plans.is_trusted, source.sha256):
            return None, "this machine cannot keep its code apart, and nobody let it run here yet"
        return await inspect(source.root, source.entry, found.class_name, tool), ""
    except ActionableError as problem:
        return None, problem.message[:600]


def _completed(seen: AppSettings, read: AppSettings) -> AppSettings:
    """Return what an app says of itself, with what only its source tells.

    A ``pyproject.toml`` counts where the class says nothing, which then shows fal's default.
    """
    silent, unread = AppSettings(keep_alive=60), AppSettings()
    of_project = {
        each.name: getattr(read, each.name)
        for each in fields(AppSettings)
        if getattr(seen, each.name) == getattr(silent, each.name)
        and getattr(read, each.name) != getattr(unread, each.name)
    }
    return replace(
        replace(seen, **of_project),
        requirements=seen.requirements or read.requirements,
        python_version=read.python_version or seen.python_version,
    )


async def fixed(path: Path, edits: Sequence[Edit]) -> tuple[str, ...]:
    """Write *edits* into the files of the app at *path*, and return which were changed.

    They must come from a check of the same files; a file that changed since is left alone, and so
    is one that is not UTF-8.

    Raises:
        SourceError: a file cannot be written.
    """
    return await run_sync(_fixed, path, edits)


def _fixed(path: Path, edits: Sequence[Edit]) -> tuple[str, ...]:
    source = read_source(path)
    texts = source.texts()
    changed: list[str] = []
    for relative, text in apply_edits(texts, edits).items():
        place = source.root / relative
        try:
            if place.read_bytes() != texts[relative].encode():
                continue
            place.write_text(text, encoding="utf-8", newline="")
            changed.append(relative)
        except OSError as problem:
            reason = (problem.strerror or type(problem).__name__).lower()
            raise SourceError(f"{relative!r} cannot be written: {reason}") from problem
    return tuple(sorted(changed))
