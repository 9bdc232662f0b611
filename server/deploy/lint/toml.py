"""The apps that a ``pyproject.toml`` names under ``[tool.fal.apps]``, with their settings."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from server.deploy.lint.app import Setting
from server.deploy.lint.rule import Breach
from server.deploy.lint.text import Place, Text
from server.deploy.lint.values import Item, listed

# Keys whose name in a class is another.
_IN_CLASS = {"auth": "app_auth", "name": "app_name"}
MOST_CHARACTERS = 500_000


@dataclass(frozen=True, slots=True)
class TomlApp:
    """One app of the file. *file* and *class_name* are its reference, empty for an image alone.

    *settings* are by their names in a class; *raw* is the table as it was read.
    """

    name: str
    file: str
    class_name: str
    settings: Mapping[str, Setting]
    raw: Mapping[str, object]
    place: Place


def read_toml(text: Text) -> tuple[tuple[TomlApp, ...], list[Breach]]:
    """Return the apps that the file names, and why it cannot be read where it cannot."""
    if len(text.content) > MOST_CHARACTERS or "fal" not in text.content:
        return (), []
    try:
        table: object = tomllib.loads(text.content[text.skipped :])
        for key in ("tool", "fal", "apps"):
            table = _table(table).get(key)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as problem:
        line = re.search(r"at line (\d+)", str(problem))
        place = text.at(text.offset(int(line[1]), 0)) if line else text.whole()
        return (), [Breach(place, f"pyproject.toml: {problem}"[:200], "mend it, then check again")]
    apps = _table(table)
    return tuple(_app(text, name, _table(raw)) for name, raw in apps.items() if _table(raw)), []


def _table(value: object) -> dict[str, object]:
    """Return a table; empty for anything else."""
    if not isinstance(value, dict):
        return {}
    return {str(key): inner for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]  # keys are strings in TOML


def _app(text: Text, name: str, raw: dict[str, object]) -> TomlApp:
    begin = _header(text, name)
    file, class_name = _reference(raw)
    settings: dict[str, Setting] = {}
    for key, value in raw.items():
        place = _key(text, key, begin)
        items = tuple(Item(item, place) for item in listed(value) or ())
        inside = _IN_CLASS.get(key, key)
        settings[inside] = Setting(inside, value, place, "toml", items)
    return TomlApp(name, file, class_name, settings, raw, text.at(begin))


def _reference(raw: Mapping[str, object]) -> tuple[str, str]:
    """Return the file and class of ``app.py::MyApp`` or of an entry point ``app.main:MyApp``."""
    reference = raw.get("ref")
    if isinstance(reference, str):
        file, _, class_name = reference.partition("::")
        return file.removeprefix("./"), class_name
    point = raw.get("python_entry_point")
    if isinstance(point, str) and point:
        module, _, class_name = point.partition(":")
        return module.replace(".", "/") + ".py", class_name.strip(":")
    return "", ""


def _header(text: Text, name: str) -> int:
    """Return where the app's table begins."""
    pattern = rf"""^[ \t]*\[\s*tool\.fal\.apps\.["']?{re.escape(name)}["']?\s*[\].]"""
    found = re.search(pattern, text.content, re.MULTILINE)
    return found.start() if found else 0


def _key(text: Text, key: str, begin: int) -> Place:
    """Return where a key of the table stands, or the table itself."""
    line = re.compile(rf"""^[ \t]*["']?{re.escape(key)}["']?[ \t]*[=.]""", re.MULTILINE)
    found = line.search(text.content, begin)
    if found is None:
        return text.at(begin)
    end = text.content.find("\n", found.end())
    return text.at(found.start(), len(text.content) if end < 0 else end)
