"""Read values along a JSON Schema: what fits, what was repaired, what is wrong, what is media."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from catalog.convert import (
    MISFIT,
    converted,
    fits,
    is_list,
    is_object,
    matching_choice,
    near_number,
    number_rule,
    type_words,
    types_of,
    unsendable,
)
from catalog.errors import Problem
from catalog.nearest import media_meant, nearest_name, nearest_value, quantity_of, same_name
from catalog.saying import listed, named, shown

Path = tuple[str | int, ...]

# Schemas may refer to themselves; nothing real is nested deeper.
_DEEPEST = 40
# Unions inside unions, of which each branch is tried.
_MOST_UNIONS = 8
# Who is told so many problems has enough of them; a list may hold thousands.
_MOST_PROBLEMS = 200
# Beyond this many wrong names nobody reads on, and looking for kin costs time.
_NEAREST_SOUGHT = 20
# Input names that take media where no schema says so.
_MEDIA_NAME = re.compile(r"(?:^|_)(image|video|audio|mask|frame|file)(?:_data)?_urls?$")
# Weights are named by URL or by a repository on a model hub; only what is plainly a file is one.
_LOCAL_WEIGHTS = re.compile(r"(file:|~|\.{0,2}[/\\]|[A-Za-z]:\\)|[^/:]+\.safetensors\Z")
_SWITCHES = {"yes": True, "on": True, "y": True, "1": True, "enabled": True, "no": False,
             "off": False, "n": False, "0": False, "disabled": False}  # fmt: skip
_MEDIA_KIN = {"mask": "image", "frame": "image"}


@dataclass(frozen=True, slots=True)
class MediaUse:
    """One media reference found in arguments: where it stands, what it must be, and its text.

    *kind* is the schema's word (image, video, audio, 3d, archive, weights, file); *value* is as
    given: a path, URL, data URI or earlier job.
    """

    path: Path
    kind: str
    value: str


def dotted(path: Sequence[str | int]) -> str:
    """Return *path* as people write it: ``loras[0].scale``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{named(step)}" if text else named(step)
    return text


def resolved(root: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what *schema* refers to inside *root*, empty where the reference leads nowhere.

    Some of fal's documents hold references to parts that they do not have (observed 2025).
    """
    for _ in range(_DEEPEST):
        ref = schema.get("$ref")
        if ref is None:
            return schema
        place: Any = root
        for step in str(ref).removeprefix("#/").split("/"):
            place = (
                cast("Mapping[str, Any]", place).get(step) if isinstance(place, Mapping) else None
            )
        if not isinstance(place, Mapping):
            return {}
        schema = cast("Mapping[str, Any]", place)
    return {}


def _last_name(path: Path) -> str:
    return next((step for step in reversed(path) if isinstance(step, str)), "")


def takes_null(root: Mapping[str, Any], schema: Mapping[str, Any], depth: int = 0) -> bool:
    """Tell whether *schema* names null among what it takes."""
    schema = resolved(root, schema)
    if "null" in types_of(schema) or None in schema.get("enum", ()) or schema.get("x-null"):
        return True
    branches: Sequence[Mapping[str, Any]] = schema.get("anyOf") or schema.get("oneOf") or ()
    return depth < _MOST_UNIONS and any(takes_null(root, one, depth + 1) for one in branches)


def _is_kin(schema: Mapping[str, Any], value: object) -> bool:
    """Tell whether *value* is of a type that *schema* names, whatever else is wrong with it."""
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        return isinstance(converted(schema, value), dict)
    return any(fits(name, value) for name in types_of(schema))


def _as_file_object(schema: Mapping[str, Any], text: str) -> dict[str, object]:
    """Return the file object that *text* stands for where *schema* wants one around its URL."""
    known: Mapping[str, Mapping[str, Any]] = schema.get("properties") or {}
    holders = [name for name, inner in known.items() if "x-media" in inner]
    required = set(cast("Sequence[str]", schema.get("required") or ()))
    alone = len(holders) == 1 and required <= set(holders) and text.strip()
    return {holders[0]: text} if alone else {}


def _near(schema: Mapping[str, Any], value: object) -> object:
    """Return the switch or number that *value*, of another type, most likely means, or None."""
    if "boolean" in types_of(schema):
        return _SWITCHES.get(str(value).lower())
    return near_number(schema, value)


def _as_entry(items: Mapping[str, Any], value: object) -> object:
    """Return the list of one object that *value*, a text, most likely stands for, or None."""
    required = cast("Sequence[str]", items.get("required") or ())
    known: Mapping[str, Any] = items.get("properties") or {}
    if not isinstance(value, str) or len(required) != 1 or required[0] not in known:
        return None
    return [{required[0]: value}] if "string" in types_of(known[required[0]]) else None


def _as_size(branches: Sequence[Mapping[str, Any]], value: object) -> object:
    """Return the object with width and height that a list of two numbers stands for, or None."""
    sized = any({"width", "height"} <= set(branch.get("properties") or ()) for branch in branches)
    if not sized or not is_list(value) or len(value) != 2:
        return None
    pair = [quantity_of(side) for side in value]
    if any(side is None for side in pair):
        return None
    return {"width": value[0], "height": value[1]}


def _count(low: int, high: int | None) -> str:
    """Return in words how many from *low* to *high* are."""
    if high is None:
        return f"at least {low}"
    if low == high:
        return f"{low}"
    return f"{low} to {high}" if low else f"at most {high}"


def all_texts(value: list[object]) -> bool:
    """Return whether *value* holds nothing but texts, and at least one."""
    return bool(value) and all(isinstance(entry, str) and entry for entry in value)


@dataclass(slots=True)
class Reader:
    """One reading of values along a schema; what it finds stands in its lists."""

    root: Mapping[str, Any]
    problems: list[Problem] = field(default_factory=list[Problem])
    repairs: list[str] = field(default_factory=list[str])
    media: list[MediaUse] = field(default_factory=list[MediaUse])
    depth: int = 0

    def refuse(self, path: Path, value: object, rule: str, nearest: object = None) -> None:
        near = "" if nearest is None else listed([nearest])
        self.problems.append(Problem(dotted(path), shown(value), rule, near))

    def repair(self, path: Path, value: object, now: object) -> None:
        self.repairs.append(f"{dotted(path)}: {shown(value)} read as {shown(now)}")

    def read(self, schema: Mapping[str, Any], value: object, path: Path) -> object:
        """Return *value* as *schema* takes it; a misfit is noted and returned as it is."""
        schema = resolved(self.root, schema)
        if not schema or len(path) > _DEEPEST or self.depth > _MOST_UNIONS:
            return self.pass_on(value, path)
        if value is None and ("null" in types_of(schema) or schema.get("x-null")):
            return None
        if parts := schema.get("allOf"):
            for part in parts:
                value = self.read(part, value, path)
        if branches := schema.get("anyOf") or schema.get("oneOf"):
            return self._bounded(schema, self._read_union(branches, value, path), path)
        if "x-media" in schema and "string" in types_of(schema):
            return self._read_media(schema, value, path)
        choices = schema.get("enum", [schema["const"]] if "const" in schema else None)
        if choices is not None:
            return self._read_choice(choices, value, path)
        if not types_of(schema):
            return self._bounded(schema, self.pass_on(value, path), path)
        return self._read_typed(schema, value, path)

    def pass_on(self, value: object, path: Path) -> object:
        """Return *value* as it is; only media that its name betrays and unsendable values show."""
        if problem := unsendable(value):
            self.refuse(path, value, problem)
        kind = _MEDIA_NAME.search(_last_name(path))
        if kind and is_list(value):
            for index, entry in enumerate(value):
                self._guess(entry, (*path, index), kind[1])
        elif kind:
            self._guess(value, path, kind[1])
        return value

    def _guess(self, value: object, path: Path, word: str) -> None:
        if isinstance(value, str) and value:
            self.media.append(MediaUse(path, _MEDIA_KIN.get(word, word), value))

    def _unlisted(self, value: object, path: Path) -> object:
        """Return the one value of a list where a single value is wanted."""
        if not is_list(value) or len(value) != 1:
            return value
        self.repairs.append(f"{dotted(path)}: the one value taken out of its list")
        return value[0]

    def _read_typed(self, schema: Mapping[str, Any], value: object, path: Path) -> object:
        name = _last_name(path)
        seconds = "duration" in name or "second" in name
        if "array" not in types_of(schema):
            value = self._unlisted(value, path)
        now = converted(schema, value, seconds=seconds)
        if now is MISFIT and "array" in types_of(schema) and value is not None:
            return self._read_lone(schema, value, path)
        if now is MISFIT and isinstance(value, str) and (wrapped := _as_file_object(schema, value)):
            self.repairs.append(f"{dotted(path)}: the text put into its object")
            now = value = wrapped
        if now is MISFIT:
            self.refuse(path, value, f"must be {type_words(schema)}", _near(schema, value))
            return value
        if now is not value:
            self.repair(path, value, now)
        if is_object(now):
            return self._read_object(schema, now, path)
        if is_list(now):
            return self._read_array(schema, now, path)
        if isinstance(now, str | float) and (problem := unsendable(now)):
            self.refuse(path, now, problem)
            return now
        if name == "path" and isinstance(now, str) and _LOCAL_WEIGHTS.match(now):
            self.media.append(MediaUse(path, "weights", now))
        return self._bounded(schema, now, path)

    def _read_lone(self, schema: Mapping[str, Any], value: object, path: Path) -> object:
        """Read a single value where a list is wanted: it becomes the list's one entry."""
        trial = Reader(self.root, depth=self.depth)
        entries = trial.read(schema, [value], path)
        if trial.problems and not is_object(value):
            near = _as_entry(resolved(self.root, schema.get("items") or {}), value)
            self.refuse(path, value, f"must be {type_words(schema)}", near)
            return value
        self.repairs.append(f"{dotted(path)}: one value put into a list")
        self.adopt(trial)
        return entries

    def _read_media(self, schema: Mapping[str, Any], value: object, path: Path) -> object:
        value = self._unlisted(value, path)
        if schema["x-media"] == "archive" and is_list(value) and all_texts(value):
            # Several files where one archive is wanted: whoever finds media packs them.
            value = json.dumps(value, ensure_ascii=False)
        if is_object(value) and isinstance(url := value.get("url"), str) and url:
            self.repairs.append(f"{dotted(path)}: the url taken out of its object")
            value = url
        if value == "" == schema.get("default"):
            return value  # some models spell "none" so
        if not isinstance(value, str) or not value.strip():
            self.refuse(path, value, f"must be {type_words(schema)}")
        elif problem := unsendable(value):
            self.refuse(path, value, problem)
        else:
            self.media.append(MediaUse(path, str(schema["x-media"]), value))
        return value

    def _read_choice(self, choices: Sequence[object], value: object, path: Path) -> object:
        value = self._unlisted(value, path)
        now = matching_choice(value, choices)
        if now is MISFIT:
            self.refuse(path, value, f"is one of {listed(choices)}", nearest_value(value, choices))
            return value
        if now is not value:
            self.repair(path, value, now)
        return now

    def _read_object(
        self, schema: Mapping[str, Any], value: Mapping[str, object], path: Path
    ) -> dict[str, object]:
        known: Mapping[str, Mapping[str, Any]] = schema.get("properties") or {}
        others: object = schema.get("additionalProperties", not known)
        required = cast("Sequence[str]", schema.get("required") or ())
        result: dict[str, object] = {}
        for name, entry in value.items():
            inner = known.get(name)
            if inner is None:
                inner = cast("Mapping[str, Any]", others) if isinstance(others, Mapping) else None
            if inner is not None:
                if entry is None and name not in required and not takes_null(self.root, inner):
                    self.repairs.append(f"{dotted((*path, name))}: null dropped")
                    continue
                result[name] = self.read(inner, entry, (*path, name))
            elif others is False:
                rule = f"is not a field of {dotted(path)}"
                self.unknown((*path, name), rule, known, isinstance(entry, bool))
            else:
                result[name] = self.pass_on(entry, (*path, name))
        for name in required:
            if name not in value:
                self.missing(known.get(name, {}), (*path, name))
        return result

    def _read_array(
        self, schema: Mapping[str, Any], value: Sequence[object], path: Path
    ) -> list[object]:
        items: Mapping[str, Any] = schema.get("items") or {}
        low, high = schema.get("minItems", 0), schema.get("maxItems")
        entries: list[object] = []
        for index, entry in enumerate(value[:high]):
            if len(self.problems) >= _MOST_PROBLEMS:
                break
            entries.append(self.read(items, entry, (*path, index)))
        if len(value) < low or (high is not None and len(value) > high):
            words = _count(low, high)
            noun = "entry" if words.rpartition(" ")[2] == "1" else "entries"
            self.refuse(path, value, f"takes {words} {noun}, {len(value)} were given")
        if schema.get("uniqueItems") and len({repr(entry) for entry in entries}) < len(entries):
            self.refuse(path, value, "must not hold the same entry twice")
        return entries

    def _read_union(
        self, branches: Sequence[Mapping[str, Any]], value: object, path: Path
    ) -> object:
        best: tuple[tuple[bool, int, int], Reader, object] | None = None
        for branch in branches:
            trial = Reader(self.root, depth=self.depth + 1)
            now = trial.read(branch, value, path)
            kin = not trial.problems or _is_kin(resolved(self.root, branch), value)
            rank = (not kin, len(trial.problems), len(trial.repairs))
            if best is None or rank < best[0]:
                best = rank, trial, now
            if rank == (False, 0, 0):
                break
        if best is None:
            return self.pass_on(value, path)
        rank, trial, now = best
        if rank[0]:
            parts = [resolved(self.root, branch) for branch in branches]
            words = "; or ".join(type_words(part) for part in parts)
            self.refuse(path, value, f"must be {words}", _as_size(parts, value))
            return value
        self.adopt(trial)
        return now

    def _bounded(self, schema: Mapping[str, Any], value: object, path: Path) -> object:
        """Note where a number or text lies outside the bounds of *schema*."""
        if isinstance(value, str):
            self._bounded_text(schema, value, path)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            rule, nearest = number_rule(schema, value)
            if span := schema.get("x-range-seconds"):
                rule = "" if span[0] <= value <= span[1] else f"is {span[0]} to {span[1]} seconds"
            if rule:
                self.refuse(path, value, rule, nearest)
        return value

    def _bounded_text(self, schema: Mapping[str, Any], value: str, path: Path) -> None:
        if span := schema.get("x-range-seconds"):
            quantity = quantity_of(value)
            if quantity and not span[0] <= quantity[0] <= span[1]:
                self.refuse(path, value, f"is {span[0]} to {span[1]} seconds")
        low, high = schema.get("minLength", 0), schema.get("maxLength")
        if len(value) < low:
            rule = "must not be empty" if low == 1 else f"takes at least {low} characters"
            self.refuse(path, value, rule)
        elif high is not None and len(value) > high:
            rule = f"takes at most {high} characters, {len(value)} were given"
            self.refuse(path, value, rule)

    def unknown(
        self, path: Path, rule: str, names: Mapping[str, object], is_switch: bool = False
    ) -> None:
        """Note that there is no such name as *path* ends in among *names*, and the nearest.

        With *is_switch* true or false was given, which means a switch rather than media.
        """
        sought = len(self.problems) < _NEAREST_SOUGHT and isinstance(path[-1], str)
        near = self._named(str(path[-1]), names) if sought else ""
        if near and is_switch and (switches := self._switches(names)) and near not in switches:
            near = nearest_name(str(path[-1]), switches) or near
        if sought and not near and (kind := media_meant(str(path[-1]))):
            rule += f"; it takes no {kind}"
        if near == "width" and "height" in names and "w" not in str(path[-1]).lower():
            near = "width and height"  # a size or a ratio is said by both
        self.problems.append(Problem(dotted(path), "", rule, near))

    def _switches(self, names: Mapping[str, object]) -> list[str]:
        rules = (
            (name, resolved(self.root, rule)) for name, rule in names.items() if is_object(rule)
        )
        return [name for name, rule in rules if "boolean" in types_of(rule)]

    def _named(self, name: str, names: Mapping[str, object]) -> str:
        """Return the nearest of *names*, or the field of an object among them that is meant."""
        fields = {known: self._fields(rule) for known, rule in names.items()}
        for known, inner in fields.items():
            if name in inner:
                return f"{known}.{name}"
        near = nearest_name(name, names.keys())
        alone = near and "anyOf" not in cast("Mapping[str, Any]", names[near] or {})
        alone = alone and not same_name(name, near)
        inner = nearest_name(name, fields[near], sure=True) if alone and fields[near] else ""
        return f"{near}.{inner}" if inner else near

    def _fields(self, rule: object) -> Mapping[str, object]:
        """Return the fields of an object that *rule* takes, empty where it takes none."""
        if not is_object(rule):
            return {}
        found = resolved(self.root, rule)
        for part in (found, *(found.get("anyOf") or ())):
            if held := resolved(self.root, part).get("properties"):
                return cast("Mapping[str, object]", held)
        return {}

    def missing(self, schema: Mapping[str, Any], path: Path) -> None:
        words = type_words(resolved(self.root, schema)) if schema else "a value"
        self.problems.append(Problem(dotted(path), "", f"is required: {words}"))

    def adopt(self, other: "Reader") -> None:
        self.problems += other.problems
        self.repairs += other.repairs
        self.media += other.media
