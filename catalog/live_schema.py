"""Read input and output of a model from the OpenAPI document that fal publishes of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from catalog.card import TEXT_FIELDS
from catalog.live_media import input_kind, output_kind
from catalog.live_rules import sound_examples, sound_limits, sound_rules, with_default, without_null

Schema = dict[str, Any]

_DEEPEST = 12
# The largest input of the shipped catalog holds some 500 rules.
_MOST_RULES = 20_000
_NAME = re.compile(r"[\w.-]{1,100}", re.ASCII)
_UNIONS = ("anyOf", "oneOf", "allOf")


@dataclass(frozen=True, slots=True)
class LiveSchema:
    """Input and output of a model as JSON Schema without prose."""

    input: Schema
    output: Schema


def live_schema(document: Mapping[str, Any]) -> LiveSchema | None:
    """Return what *document* says of input and output, None where it holds no readable input.

    What no model needs is left out or makes it unreadable: names that are none, values that fill a
    page, references that unfold without end.
    """
    try:
        paths = cast("dict[str, dict[str, Any]]", document["paths"])
        given = next(
            operation["post"]["requestBody"]["content"]["application/json"]["schema"]
            for operation in paths.values()
            if "post" in operation
        )
        components = document["components"]["schemas"]
        read = _Reader(components, folds_files=False).read(given, "", 0)
        if not isinstance(read.get("properties", {}), dict):
            return None
        return LiveSchema(
            {"type": "object", "properties": {}, **read},
            _output(paths, _Reader(components, folds_files=True)),
        )
    except (KeyError, TypeError, AttributeError, StopIteration, IndexError, _BoundlessError):
        return None


class _BoundlessError(Exception):
    """More rules than any model has."""


def _output(paths: Mapping[str, Mapping[str, Any]], reader: "_Reader") -> Schema:
    for path, operation in paths.items():
        if path.endswith("/requests/{request_id}") and "get" in operation:
            answer = operation["get"]["responses"]["200"]["content"]["application/json"]["schema"]
            return reader.read(answer, "", 0)
    return {}


class _Reader:
    """Reads rules; of what comes back, a file object counts as one piece of media."""

    def __init__(self, components: Mapping[str, Any], *, folds_files: bool) -> None:
        self._components = components
        self._folds_files = folds_files
        self._left = _MOST_RULES

    def read(self, rule: Any, name: str, depth: int) -> Schema:  # noqa: ANN401  # JSON
        """Return *rule*, which stands under *name*, with references put in."""
        self._left -= 1
        if self._left < 0:
            raise _BoundlessError
        if not isinstance(rule, dict) or depth > _DEEPEST:
            return {}
        given = cast("dict[str, Any]", rule)
        if isinstance(reference := given.get("$ref"), str):
            return self._target(given, reference.rpartition("/")[2], name, depth)
        if len(given.get("allOf") or ()) == 1:  # how a reference carries a default
            rest = {key: value for key, value in given.items() if key != "allOf"}
            return {**self.read(given["allOf"][0], name, depth + 1), **self.read(rest, name, depth)}
        title = str(given.get("title") or "")
        if self._folds_files and (kind := _file_kind(given, title, name)):
            return {"type": "object", "x-media": kind}
        made = self._rules(given, name, depth)
        made = without_null(made, is_nullable=given.get("nullable") is True)
        if made.get("type") == "string" and (kind := input_kind(name)):
            return {"x-media": kind, **made}
        if self._folds_files or made.keys() & {"enum", "default"} or name in TEXT_FIELDS:
            return made
        return {**made, **sound_examples(given)} if "type" in made else made

    def _target(self, given: Mapping[str, Any], target: str, name: str, depth: int) -> Schema:
        """Return the component *target* in the place of *given*, which refers to it."""
        found = self._components.get(target)
        if self._folds_files and (kind := _file_kind(found, target, name)):
            return {"type": "object", "x-media": kind}
        return with_default(self.read(found, name, depth + 1), given)

    def _rules(self, given: Mapping[str, Any], name: str, depth: int) -> Schema:
        """Return what *given* says of values."""
        made = sound_rules(given)
        for key in _UNIONS:
            if isinstance(branches := given.get(key), list):
                read = [self.read(each, name, depth + 1) for each in cast("list[Any]", branches)]
                made |= {key: read} if read else {}
        if isinstance(fields := given.get("properties"), dict):
            made["properties"] = self._fields(given, cast("dict[str, Any]", fields), name, depth)
            needed = [name for name in made.pop("required", ()) if name in made["properties"]]
            made |= {"required": needed} if needed else {}
            for field, rule in cast("dict[str, Schema]", made["properties"]).items():
                if field not in needed and "default" not in rule:
                    rule.pop("x-null", None)  # it may as well be left out
        if "items" in given:
            made["items"] = self.read(given["items"], name, depth + 1)
        if limits := sound_limits(given.get("x-fal")):
            made["x-limits"] = limits
        return made

    def _fields(
        self, given: Mapping[str, Any], fields: Mapping[str, Any], around: str, depth: int
    ) -> Schema:
        """Return the rules of *fields*; the name *around* them tells what their url leads to."""
        order = given.get("x-fal-order-properties")
        names = [name for name in cast("list[Any]", order) if name in fields] if order else []
        names += [name for name in fields if name not in names]
        names = [name for name in names if _NAME.fullmatch(name)]
        return {
            name: self.read(fields[name], f"{around}_url" if name == "url" else name, depth + 1)
            for name in names
        }


def _file_kind(rule: Any, title: str, name: str) -> str:  # noqa: ANN401  # JSON
    """Return what a file object holds, empty where *rule* is not one."""
    if not isinstance(rule, dict):
        return ""
    fields = cast("dict[str, Any]", rule).get("properties")
    if not isinstance(fields, dict) or not {"url", "content_type"} <= set(cast("Schema", fields)):
        return ""
    return output_kind(title, name)
