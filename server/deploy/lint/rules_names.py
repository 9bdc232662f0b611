"""Rules on the app's name."""

import re
from collections.abc import Iterator

from server.deploy.lint.app import App
from server.deploy.lint.reading import body_start, line_end
from server.deploy.lint.rule import Breach, Patch, Rule


def derived_name(class_name: str) -> str:
    """Return the name that fal makes of a class name (run): ``SDXL`` becomes ``s-d-x-l``."""
    parts = re.findall(r"[A-Z][a-z]*", class_name)
    if parts:
        return "-".join(part.lower() for part in parts)
    return class_name.lower().replace("_", "-")


def plain_name(class_name: str) -> str:
    """Return the name that a person expects: ``TextToImage2`` is ``text-to-image2``."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", class_name)
    return re.sub(r"[-_]+", "-", split).strip("-").lower()


def app_name(app: App) -> str:
    """Return the name that the app is deployed under; empty where it is only known when run."""
    if app.toml_name:
        named = app.toml.get("app_name")
        return str(named.value) if named else app.toml_name
    setting = app.settings.get("app_name")
    if setting is not None:
        return setting.value if isinstance(setting.value, str) else ""
    return derived_name(app.class_name)


def _derived(app: App) -> Iterator[Breach]:
    if not app.lineage or "app_name" in app.settings or app.toml_name:
        return
    derived, plain = derived_name(app.class_name), plain_name(app.class_name)
    if derived == plain or not plain.isascii():
        return
    start = body_start(app.module, app.node)
    patches: tuple[Patch, ...] = ()
    if start is not None:
        line = f'{start[1]}app_name = "{plain}"{line_end(app.module.text)}'
        patches = ((start[0], start[0], line),)
    message = f"fal derives the name {derived!r} from the class {app.class_name!r}"
    fix = f'app_name = "{plain}" (or "{derived}" where it is deployed under that name)'
    yield Breach(app.place(), message, fix, patches)


RULES = (
    Rule(
        "FAL095", "warning", "name that fal derives oddly",
        "SDXL becomes s-d-x-l, and TextToImage2 loses its digit: two classes may share one app.",
        "Deploy to Production", "run", _derived, mends=True,
    ),
)  # fmt: skip
