"""Mend what cards say of the kind of media at a place where its name tells otherwise."""

import re
from collections.abc import Mapping
from typing import Any, cast

from catalog.live_media import input_kind

# Outputs whose last name tells what they hold; what was read from types alone took the kind of the
# model for that of each of its files.
_OUTPUTS: Mapping[str, str] = {
    "base_color": "image", "caption_file": "file", "visualization": "image",
}  # fmt: skip
# Checkpoints, not meshes.
_WEIGHTS = re.compile(r"(?:base|ic_light)_model_url")


def with_media(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return *record* with the kinds of its media mended, which a second time changes nothing."""
    made = dict(record)
    if isinstance(given := record.get("input"), dict):
        made["input"] = _input(given, "")
    returned = cast("Mapping[str, str]", record.get("output_media") or {})
    kinds = {path: _OUTPUTS.get(path.rpartition(".")[2], kind) for path, kind in returned.items()}
    if kinds != returned:
        made |= {"output_media": kinds, "output": _output(record.get("output"), "")}
    return made


def _input(rule: Any, name: str) -> Any:  # noqa: ANN401  # JSON
    """Return *rule*, which stands under *name*, as it is but for the kinds in it."""
    if isinstance(rule, list):
        return [_input(each, name) for each in cast("list[Any]", rule)]
    if not isinstance(rule, dict):
        return rule
    made = dict(cast("dict[str, Any]", rule))
    if made.get("x-media") == "3d" and _WEIGHTS.fullmatch(name):
        made["x-media"] = "weights"
    for part in ("items", "anyOf", "oneOf", "allOf"):
        if part in made:
            made[part] = _input(made[part], name)
    if isinstance(fields := made.get("properties"), dict):
        made["properties"] = {
            key: _url(_input(inner, key), name) if key == "url" else _input(inner, key)
            for key, inner in cast("dict[str, Any]", fields).items()
        }
    return made


def _url(rule: dict[str, Any], around: str) -> dict[str, Any]:
    """Return *rule* of a url with the kind that the name *around* its object means."""
    kind = input_kind(f"{around}_url") if rule.get("x-media") == "file" else ""
    return {**rule, "x-media": kind} if kind else rule


def _output(rule: Any, name: str) -> Any:  # noqa: ANN401  # JSON
    if isinstance(rule, list):
        return [_output(each, name) for each in cast("list[Any]", rule)]
    if not isinstance(rule, dict):
        return rule
    given = cast("dict[str, Any]", rule)
    if "x-media" in given and name in _OUTPUTS:
        return {**given, "x-media": _OUTPUTS[name]}
    made = {key: _output(value, name) for key, value in given.items() if key != "properties"}
    if isinstance(fields := given.get("properties"), dict):
        inner = cast("dict[str, Any]", fields)
        made["properties"] = {key: _output(value, key) for key, value in inner.items()}
    return {key: made[key] for key in given}
