"""`Request`: a task with its card, read for what a maker wants to know."""

import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from catalog.card import TEXT_FIELDS, ModelCard
from server.emulator.work import RunnerError, Task

_OPENED = ("image", "video", "audio", "3d", "archive")
_ADDRESSES = ("http://", "https://", "data:", "file:")
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)")

Place = tuple[str | int, ...]

_KIND_BY_SUFFIX = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tiff", ".avif"), "image"),
    **dict.fromkeys((".mp4", ".mov", ".webm", ".mkv", ".avi", ".m4v"), "video"),
    **dict.fromkeys((".mp3", ".wav", ".flac", ".ogg", ".opus", ".m4a", ".aac"), "audio"),
    **dict.fromkeys((".glb", ".gltf", ".obj", ".fbx", ".stl", ".ply"), "3d"),
    ".zip": "archive",
    ".safetensors": "weights",
}
_KIND_BY_WORD = (
    ("video", "video"),
    ("audio", "audio"),
    ("voice", "audio"),
    ("image", "image"),
    ("mask", "image"),
    ("frame", "image"),
    ("photo", "image"),
    ("mesh", "3d"),
    ("model", "3d"),
)


@dataclass(frozen=True, slots=True)
class Given:
    """One piece of media among the arguments: where it stands, what it should be, its file."""

    at: Place
    kind: str
    file: Path

    @property
    def field(self) -> str:
        """The name of the field that holds it, list positions aside."""
        return next((part for part in reversed(self.at) if isinstance(part, str)), "")

    @property
    def is_mask(self) -> bool:
        """It says where to work, not on what."""
        return "mask" in self.field


class Request:
    """One task, its card and its given media; numbers, words and chance are read through it."""

    def __init__(self, task: Task, card: ModelCard, report: Callable[[float, str], None]) -> None:
        self.task = task
        self.card = card
        self.report = report
        self.arguments = task.arguments
        given = task.arguments.get("seed")
        self.seed: int = given if isinstance(given, int) and given >= 0 else task.seed
        self._files = 0

    @cached_property
    def given(self) -> tuple[Given, ...]:
        """All media among the arguments, in the order of the card's fields.

        Raises:
            RunnerError: a media field names a URL that could not be fetched.
        """
        order = {name: place for place, name in enumerate(self.card.properties)}
        names = sorted(self.arguments, key=lambda name: order.get(name, len(order)))
        found: list[Given] = []
        for name in names:
            schema = self.card.properties.get(name, {})
            found += self._media((name,), self.arguments[name], schema)
        return tuple(found)

    def _media(self, at: Place, value: object, schema: Mapping[str, Any]) -> Iterator[Given]:
        if isinstance(value, str):
            kind = str(_look(schema, "x-media") or "")
            if value in self.task.inputs:
                file = self.task.inputs[value]
                yield Given(at, kind or _kind_of(at, file), file)
            elif kind in _OPENED and value.startswith(_ADDRESSES):
                raise RunnerError(
                    422, "file_download_error", f"could not download {value[:200]!r}", loc=at
                )
        elif isinstance(value, dict):
            for name, part in cast("dict[str, object]", value).items():
                inner = cast("Mapping[str, Any]", _look(schema, "properties") or {})
                yield from self._media((*at, name), part, inner.get(name, {}))
        elif isinstance(value, list):
            items = cast("Mapping[str, Any]", _look(schema, "items") or {})
            for place, part in enumerate(cast("list[object]", value)):
                yield from self._media((*at, place), part, items)

    def media(self, kind: str) -> tuple[Given, ...]:
        """The given media of *kind* that are not masks."""
        return tuple(given for given in self.given if given.kind == kind and not given.is_mask)

    @cached_property
    def text(self) -> str:
        """The main text of the request, or of all shots of a multi-shot prompt, or nothing."""
        parts = [self.arguments.get(name) for name in TEXT_FIELDS if name in self.arguments]
        words = [part for part in parts if isinstance(part, str) and part.strip()][:1]
        for name in (
            "multi_prompt",
            "prompts",
            "inputs",
            "messages",
            "structured_prompt",
            "object_name",
            "style",
            "tags",
        ):
            if not words:
                words += list(_strings(self.arguments.get(name)))
        return " ".join(words)[:4000]

    @property
    def is_flagged(self) -> bool:
        """Whether the safety checker is on and the text holds the word that sets it off."""
        checks = self.flag("enable_safety_checker", "enable_safety_checks") is True
        # The word itself, so that whoever tests can see what a flagged picture is like.
        return checks and re.search(r"\bnsfw\b", self.text.lower()) is not None

    def number(self, *names: str) -> float | None:
        """The first of *names* that holds a number, or text that begins with one such as ``8s``."""
        for name in names:
            value = self.arguments.get(name)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return float(value)
            if isinstance(value, str) and (found := _NUMBER.match(value)):
                return float(found[1])
        return None

    def word(self, *names: str) -> str:
        """The first of *names* that holds text, lower case, or an empty text."""
        for name in names:
            value = self.arguments.get(name)
            if isinstance(value, str) and value:
                return value.lower()
        return ""

    def flag(self, *names: str) -> bool | None:
        """The first of *names* that holds yes or no, or None."""
        return next((v for name in names if isinstance(v := self.arguments.get(name), bool)), None)

    def boxes(self, name: str) -> list[tuple[int, int, int, int]]:
        """The boxes in the list *name*, each left, top, right, bottom in pixels."""
        found: list[tuple[int, int, int, int]] = []
        given: object = self.arguments.get(name)
        for box in cast("list[object]", given) if isinstance(given, list) else ():
            held = cast("dict[str, object]", box) if isinstance(box, dict) else {}
            sides = [held.get(side) for side in ("x_min", "y_min", "x_max", "y_max")]
            left, top, right, bottom = (
                int(side) if isinstance(side, (int, float)) else 0 for side in sides
            )
            if right > left and bottom > top:
                found.append((left, top, right, bottom))
        return found

    def chance(self, *salt: object) -> random.Random:
        """A source of chance fixed by the request's seed, its endpoint and *salt*."""
        return random.Random(f"{self.seed}/{self.task.endpoint_id}/{salt}")  # noqa: S311  # drawing, no secret

    def new_file(self, stem: str, suffix: str) -> Path:
        """A path in the task's folder that no other output of this request has."""
        self._files += 1
        self.task.folder.mkdir(parents=True, exist_ok=True)
        return self.task.folder / f"{stem}-{self._files}{suffix}"


def _look(schema: Mapping[str, Any], key: str) -> object:
    if key in schema:
        return schema[key]
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        if key in choice:
            return choice[key]
    return None


def _kind_of(at: Place, file: Path) -> str:
    by_suffix = _KIND_BY_SUFFIX.get(file.suffix.lower())
    if by_suffix:
        return by_suffix
    name = next((part for part in reversed(at) if isinstance(part, str)), "")
    return next((kind for word, kind in _KIND_BY_WORD if word in name), "file")


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in cast("dict[str, object]", value).values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in cast("list[object]", value):
            yield from _strings(part)
