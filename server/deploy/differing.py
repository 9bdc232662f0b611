"""What of an app a change leaves, and what it makes another, in a line each."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, cast

from server.deploy.applied import Recalled
from tools.deploy_records import AppSettings, DeployedApp, Revision

# Scale settings of the code that a redeploy leaves as they are unless it resets them
# (fal 1.83: `deploy --reset-scale`); machine, multiplexing and startup always come from the code.
INHERITED = (
    "keep_alive",
    "min_concurrency",
    "max_concurrency",
    "concurrency_buffer",
    "concurrency_buffer_perc",
    "scaling_delay",
    "request_timeout",
    "request_start_timeout",
    "regions",
)

_WELL = ("healthy", "idle", "deployed", "starting")


def inherited(
    code: AppSettings, running: Recalled | None, *, reset: bool
) -> tuple[AppSettings, list[str]]:
    """Return the settings that a redeploy ends with, and a line for each that stays unlike code."""
    if running is None or reset:
        return code, []
    kept: dict[str, Any] = {}
    lines: list[str] = []
    for name in INHERITED:
        deployed, wanted = getattr(running.settings, name), getattr(code, name)
        said = f"the code says {wanted} (reset_scale takes the code's)"
        if name in running.unknown:
            if wanted not in (None, ()):
                lines.append(f"{name}: stays as it runs, which is not known here; {said}")
            continue
        if deployed in (None, ()):
            continue
        if wanted not in (None, ()) and wanted != deployed:
            lines.append(f"{name}: stays {deployed}{_whence(name, running)}; {said}")
        kept[name] = deployed
    return replace(code, **kept), lines


def left_unknown(running: Recalled | None, *, reset: bool) -> tuple[str, ...]:
    """Return what a redeploy leaves as it runs, although nobody tells how that is."""
    if running is None or reset:
        return ()
    return tuple(name for name in INHERITED if name in running.unknown)


def answers_already(running: DeployedApp | None, source: str, entry: str, *, network: bool) -> bool:
    """Return whether *running* is well and was deployed from the *source* of that hash, with the
    same *entry* into it, as `entry_of` writes it."""
    if running is None or running.health not in _WELL:
        return False
    its = _current(running)
    if its is None or not its.source_hash or its.network != (network and running.target == "local"):
        return False
    return source.startswith(its.source_hash) and its.entry == entry


def opening(running: DeployedApp | None, source: str, entry: str, *, unchanged: bool) -> list[str]:
    """Return the first lines of what a deploy of *source* by *entry* changes."""
    if running is None:
        return ["new app"]
    if unchanged:
        return [f"nothing: {running.name} answers with this source already ({running.revision})"]
    lines = [f"new revision of {running.name}, now {running.revision}"]
    its = _current(running)
    if its and its.source_hash and source.startswith(its.source_hash) and its.entry != entry:
        lines.append(f"entry: {its.entry or 'not known'} → {entry}; the source is the same")
    return lines


def _current(running: DeployedApp) -> Revision | None:
    return next((one for one in running.revisions if one.revision == running.revision), None)


def differences(
    before: Recalled | None, after: AppSettings, *, leave: Sequence[str] = ()
) -> list[str]:
    """Return a line for every setting that becomes another; of a new app, what it sets.

    What is not known of what runs is said to be so; *leave* names what stays as it is.
    """
    lines: list[str] = []
    for each in fields(AppSettings):
        new = getattr(after, each.name)
        is_set = new not in (None, (), "", False)
        if each.name in leave:
            continue
        if before is None or each.name in before.unknown:
            if is_set:
                known = "" if before is None else "not known → "
                lines.append(f"{each.name}: {known}{_said(new)}")
        elif (old := getattr(before.settings, each.name)) != new:
            lines.append(f"{each.name}: {_said(old)}{_whence(each.name, before)} → {_said(new)}")
    return lines


def _whence(name: str, running: Recalled) -> str:
    return " (as falkit set it last)" if name in running.likely else ""


def _said(value: Any) -> str:  # noqa: ANN401  # any setting
    if value in (None, (), ""):
        return "not set"
    return ", ".join(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else str(value)
