"""Settings in TOML as people write them: one table put in or taken out, all other bytes kept."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_HEADER = re.compile(r"[ \t]*\[")
_IDLE = re.compile(r"[ \t]*(?:#.*)?\r?\n?\Z")  # a blank line, or one with a comment only


def with_table(text: str, path: tuple[str, str], entry: Mapping[str, Any] | None) -> str:
    """Return *text* with the table ``[path]`` holding *entry*, or with None without it.

    It is written where it stood, else at the end. Comments before the next table are not its own.
    The caller checks that the result means what it should.
    """
    ending = "\r\n" if "\r\n" in text else "\n"
    made = "" if entry is None else _rows(path, entry, ending)
    kept: list[str] = []
    place = -1
    for own, lines in _tables(text, path):
        if own and place < 0:
            place = len(kept)
            kept.append(made)
        if not own:
            kept.append("".join(lines))
    if place >= 0:
        if entry is None and not "".join(kept[place:]).strip():  # the blank line before goes, too
            before = "".join(kept[:place])
            return before[: -len(ending)] if before.endswith(ending * 2) else before
        return "".join(kept)
    if entry is None:
        return text
    if text.strip("\ufeff \t\r\n"):
        return text + ("" if text.endswith("\n") else ending) + ending + made
    return text + made


def _tables(text: str, path: tuple[str, str]) -> Iterator[tuple[bool, list[str]]]:
    """Yield the parts of *text* in their order, and whether each is of the table *path*."""
    key, name = (re.escape(one) for one in path)
    header = re.compile(
        rf"[ \t]*\[[ \t]*\"?{key}\"?[ \t]*\.[ \t]*\"?{name}\"?[ \t]*(?:\.[^\]]*)?\]"
    )
    part: list[str] = []
    own = False
    for line in text.splitlines(keepends=True):
        if _HEADER.match(line):
            idle = _idle_end(part) if own else []
            yield own, part
            if idle:
                yield False, idle
            part, own = [], header.match(line) is not None
        part.append(line)
    idle = _idle_end(part) if own else []
    yield own, part
    if idle:
        yield False, idle


def _idle_end(part: list[str]) -> list[str]:
    """Cut blank lines and comments off the end of *part*, and return them."""
    count = len(part)
    while count and _IDLE.match(part[count - 1]):
        count -= 1
    idle = part[count:]
    del part[count:]
    return idle


def _rows(path: tuple[str, str], entry: Mapping[str, Any], ending: str) -> str:
    rows = [f"[{path[0]}.{path[1]}]"]
    rows += [
        f"{name} = {json.dumps(value, ensure_ascii=False)}"
        for name, value in entry.items()
        if name != "env"
    ]
    if env := entry.get("env"):
        pairs = ", ".join(
            f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in env.items()
        )
        rows.append(f"env = {{ {pairs} }}")
    return ending.join(rows) + ending
