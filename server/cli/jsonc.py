"""Settings in JSON as people write them: one entry put in or taken out, all other bytes kept."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Blanks and comments, which stand anywhere between the words of JSON.
_GAP = re.compile(r"(?:[\s\ufeff]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_REST_OF_LINE = re.compile(r"[ \t]*(?:/\*[^\n]*?\*/[ \t]*)*(?://[^\n\r]*)?")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_PLAIN = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null")
DEEPEST = 100


@dataclass(slots=True)
class Member:
    """One ``"name": value`` of an object, by its places in the text; *comma* follows it, or -1."""

    name: str
    begin: int
    value: "Node"
    comma: int = -1


@dataclass(slots=True)
class Node:
    """A value from *begin* to *end* of the text; *members* are those of an object."""

    begin: int
    end: int
    value: Any
    members: list[Member] = field(default_factory=list[Member])

    def member(self, name: str) -> Member | None:
        """Return the member that readers of JSON take: the last of its name."""
        return next((one for one in reversed(self.members) if one.name == name), None)


def read(text: str) -> Node:
    """Return what *text* holds: JSON, with comments and commas before a closing bracket allowed.

    Raises:
        ValueError: it is not that; the message names the line.
    """
    reader = _Reader(text)
    node = reader.value(reader.gap(0), 0)
    if reader.gap(node.end) != len(text):
        raise reader.problem(reader.gap(node.end), "nothing should follow")
    return node


def with_entry(text: str, path: tuple[str, str], entry: Mapping[str, Any] | None) -> str:
    """Return *text* with *entry* under *path*, a table and a name in it, or with None without one.

    Everything else keeps its bytes: comments, order, blanks, ends of lines. An empty text becomes a
    file of its own.

    Raises:
        ValueError: the text is no JSON object, or what stands at *path* is no table.
    """
    table, name = path
    if not text.strip("\ufeff \t\r\n"):
        return text if entry is None else _whole({table: {name: entry}}, text)
    root = read(text)
    if not isinstance(root.value, dict):
        raise ValueError("the settings are no table")
    held = root.member(table)
    if held is None:
        return text if entry is None else _put(text, root, table, {name: entry})
    if not isinstance(held.value.value, dict):
        raise ValueError(f"{table} is no table")
    own = held.value.member(name)
    if entry is not None:
        return (
            _put(text, held.value, name, entry)
            if own is None
            else _replaced(text, own.value, entry)
        )
    while own is not None:  # however often it stands there
        text = _without(text, held.value, own)
        held = read(text).member(table) or held
        own = held.value.member(name)
    return text


class _Reader:
    """Reads one text from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text

    def gap(self, place: int) -> int:
        found = _GAP.match(self._text, place)
        return found.end() if found else place

    def problem(self, place: int, words: str) -> ValueError:
        line = self._text.count("\n", 0, place) + 1
        return ValueError(f"{words} in line {line}")

    def value(self, place: int, depth: int) -> Node:
        if depth > DEEPEST:
            raise self.problem(place, "it is nested too deeply")
        sign = self._text[place : place + 1]
        if sign == "{":
            return self._object(place, depth)
        if sign == "[":
            return self._list(place, depth)
        if sign == '"':
            return self._string(place)
        found = _PLAIN.match(self._text, place)
        if found is None:
            raise self.problem(place, "a value is missing or cannot be read")
        return Node(place, found.end(), json.loads(found[0]))

    def _string(self, place: int) -> Node:
        found = _STRING.match(self._text, place)
        if found is None:
            raise self.problem(place, "a text in quotes is missing or has no end")
        try:
            return Node(place, found.end(), json.loads(found[0]))
        except ValueError:
            raise self.problem(place, "a text cannot be read") from None

    def _object(self, begin: int, depth: int) -> Node:
        members: list[Member] = []
        place = self.gap(begin + 1)
        while self._text[place : place + 1] != "}":
            if members and members[-1].comma < 0:
                raise self.problem(place, "a comma is missing")
            name = self._string(place)
            place = self.gap(name.end)
            if self._text[place : place + 1] != ":":
                raise self.problem(place, "a colon is missing")
            value = self.value(self.gap(place + 1), depth + 1)
            members.append(Member(name.value, name.begin, value))
            place = self.gap(value.end)
            if self._text[place : place + 1] == ",":
                members[-1].comma = place
                place = self.gap(place + 1)
        held = {member.name: member.value.value for member in members}
        return Node(begin, place + 1, held, members)

    def _list(self, begin: int, depth: int) -> Node:
        items: list[Any] = []
        place = self.gap(begin + 1)
        comma = True
        while self._text[place : place + 1] != "]":
            if not comma:
                raise self.problem(place, "a comma is missing")
            item = self.value(place, depth + 1)
            items.append(item.value)
            place = self.gap(item.end)
            if comma := self._text[place : place + 1] == ",":
                place = self.gap(place + 1)
        return Node(begin, place + 1, items)


def _put(text: str, table: Node, name: str, value: Mapping[str, Any]) -> str:
    """Return *text* with one more member at the end of *table*."""
    step, ending = _step(text), _ending(text)
    inside = text[table.begin : table.end]
    if not table.members:
        if "\n" not in inside and inside.strip("{} \t") == "":  # {}
            outer = _indent(text, table.begin)
            made = _member(name, value, outer + step, step, ending)
            return f"{text[: table.begin]}{{{ending}{made}{ending}{outer}}}{text[table.end :]}"
        outer = _indent(text, table.end - 1)
        made = _member(name, value, outer + step, step, ending)
        before = text[: table.end - 1].rstrip(" \t\r\n")
        return f"{before}{ending}{made}{ending}{outer}{text[table.end - 1 :]}"
    last = table.members[-1]
    if "\n" not in text[table.begin : last.begin]:  # on the line of its bracket: so is this one
        made = f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}"
        if last.comma >= 0:
            return f"{text[: last.comma + 1]} {made},{text[last.comma + 1 :]}"
        return f"{text[: last.value.end]}, {made}{text[last.value.end :]}"
    made = _member(name, value, _indent(text, last.begin), step, ending)
    if last.comma >= 0:
        end = _line_end(text, last.comma + 1)
        return f"{text[:end]}{ending}{made},{text[end:]}"
    end = _line_end(text, last.value.end)
    return f"{text[: last.value.end]},{text[last.value.end : end]}{ending}{made}{text[end:]}"


def _replaced(text: str, old: Node, value: Mapping[str, Any]) -> str:
    if "\n" not in text[old.begin : old.end]:
        made = json.dumps(value, ensure_ascii=False)
    else:
        made = _lines(value, _indent(text, old.begin), _step(text), _ending(text))
    return text[: old.begin] + made + text[old.end :]


def _without(text: str, table: Node, member: Member) -> str:
    """Return *text* without *member*, and without the comma that it needed."""
    place = table.members.index(member)
    end = member.comma + 1 if member.comma >= 0 else member.value.end
    begin = member.begin
    line = text.rfind("\n", 0, begin) + 1
    if text[line:begin].strip(" \t") == "":  # alone on its lines: they go whole
        begin = len(text[:line].rstrip("\n").rstrip("\r")) if line else 0
        rest = re.match(r"[ \t]*(?=\r?\n|$)", text[end:])
        end += rest.end() if rest else 0
    else:
        begin = len(text[:begin].rstrip(" \t"))
    kept = text[:begin] + text[end:]
    if member.comma < 0 and place > 0:
        comma = table.members[place - 1].comma
        kept = kept[:comma] + kept[comma + 1 :]
    elif len(table.members) == 1 and re.fullmatch(
        r"\{\s*\}", kept[table.begin : table.end - end + begin]
    ):
        kept = kept[: table.begin] + "{}" + kept[table.end - end + begin :]
    return kept


def _whole(value: Mapping[str, Any], text: str) -> str:
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    return mark + json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _member(name: str, value: Mapping[str, Any], indent: str, step: str, ending: str) -> str:
    return f"{indent}{json.dumps(name)}: {_lines(value, indent, step, ending)}"


def _lines(value: Mapping[str, Any], indent: str, step: str, ending: str) -> str:
    """Return *value* over lines, all but the first with *indent* before them."""
    made = json.dumps(value, indent=step, ensure_ascii=False)
    return f"{ending}{indent}".join(made.splitlines())


def _indent(text: str, place: int) -> str:
    """Return the blanks at the begin of the line of *place*."""
    line = text.rfind("\n", 0, place) + 1
    found = re.match(r"\ufeff?([ \t]*)", text[line:place])
    return found[1] if found else ""


def _step(text: str) -> str:
    """Return by how much a level goes in, as the first line that does shows."""
    found = re.search(r"^([ \t]+)\S", text, re.MULTILINE)
    return found[1] if found else "  "


def _ending(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _line_end(text: str, place: int) -> int:
    """Return where the comments end that stand behind *place* on its line."""
    found = _REST_OF_LINE.match(text, place)
    return len(text[: found.end()].rstrip(" \t")) if found else place
