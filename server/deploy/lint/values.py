"""What an expression is worth where that can be told without running it."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeGuard

from server.deploy.lint.module import MOST_DEPTH, Module, assigned
from server.deploy.lint.text import Place


class Unknown:
    """The type of `UNKNOWN`."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN: Final = Unknown()  # a value that only running the source would tell
MOST_STEPS = 20_000  # in reading one expression, since names can double what they stand for
Names = Mapping[str, tuple[Module, ast.expr]]


@dataclass(frozen=True, slots=True)
class Item:
    """One element of a list, with its value (or `UNKNOWN`) and where it stands."""

    value: object
    place: Place


def value_of(module: Module, node: ast.expr | None, names: Names | None = None) -> object:
    """Return the value of *node*, or `UNKNOWN`.

    Constants, containers, sums, f-strings of known parts, and names: those in *names*, and those
    that the module binds once.
    """
    reader = _Reader(module, names or {})
    value = reader.value(node, 0)
    module.steps -= reader.used
    return value


def items_of(module: Module, node: ast.expr | None, names: Names | None = None) -> list[Item]:
    """Return the elements of a list or tuple, through sums, stars and names.

    A part that is not known is one item of the value `UNKNOWN`.
    """
    found: list[Item] = []
    reader = _Reader(module, names or {})
    reader.items(node, 0, found)
    module.steps -= reader.used
    return found


def listed(value: object) -> list[object] | None:
    """Return a list or tuple as a list of objects, or None."""
    if not isinstance(value, list | tuple):
        return None
    return list(value)  # pyright: ignore[reportUnknownArgumentType]  # of whatever was written


def is_strings(value: object) -> TypeGuard[list[str] | tuple[str, ...]]:
    """Return whether *value* is a list or tuple of strings."""
    items = listed(value)
    return items is not None and all(isinstance(item, str) for item in items)


def shown(value: object) -> str:
    """Return *value* as it would be written, cut to a line."""
    try:
        words = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits
        return "a number too long to show"
    return words if len(words) <= 60 else f"{words[:57]}..."


class _Reader:
    """Reads one expression, with so many steps at most."""

    def __init__(self, module: Module, names: Names) -> None:
        self.module = module
        self.names = names
        self.given = self.left = max(min(MOST_STEPS, module.steps), 50)

    @property
    def used(self) -> int:
        """The steps that were taken beyond the first few, which every reading may take."""
        return max(self.given - self.left - 50, 0)

    def value(self, node: ast.expr | None, depth: int) -> object:
        self.left -= 1
        if node is None or depth > MOST_DEPTH or self.left < 0:
            return UNKNOWN
        match node:
            case ast.Constant():
                return node.value
            case ast.Name() | ast.Attribute():
                return self._named(node, depth)
            case ast.List() | ast.Tuple() | ast.Set():
                values = self._elements(node, depth)
                if values is None:
                    return UNKNOWN
                return tuple(values) if isinstance(node, ast.Tuple) else values
            case ast.Dict():
                return self._dictionary(node, depth)
            case ast.UnaryOp(op=ast.USub()):
                inner = self.value(node.operand, depth + 1)
                return -inner if isinstance(inner, int | float) else UNKNOWN
            case ast.BinOp():
                left, right = self.value(node.left, depth + 1), self.value(node.right, depth + 1)
                return _combined(node.op, left, right)
            case ast.JoinedStr():
                return self._joined(node, depth)
            case _:
                return UNKNOWN

    def _elements(self, node: ast.List | ast.Tuple | ast.Set, depth: int) -> list[object] | None:
        """Return the values of the elements; None where one of them is not known."""
        values: list[object] = []
        for element in node.elts:
            is_starred = isinstance(element, ast.Starred)
            value = self.value(element.value if is_starred else element, depth + 1)
            inner = listed(value) if is_starred else [value]
            if self.left < 0 or value is UNKNOWN or inner is None:
                return None
            values += inner
        return values

    def items(self, node: ast.expr | None, depth: int, found: list[Item]) -> None:
        """Add to *found* the elements of *node*."""
        self.left -= 1
        if node is None or depth > MOST_DEPTH or self.left < 0:
            return
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            for element in node.elts:
                if self.left < 0:
                    return
                if isinstance(element, ast.Starred):
                    self.items(element.value, depth + 1, found)
                else:
                    value = self.value(element, depth + 1)
                    found.append(Item(value, self.module.place(element)))
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            self.items(node.left, depth + 1, found)
            self.items(node.right, depth + 1, found)
        elif isinstance(node, ast.Name | ast.Attribute) and (entry := self._entry(node)):
            self.module, kept = entry[0], self.module
            self.items(entry[1], depth + 1, found)
            self.module = kept
        elif not isinstance(node, ast.Constant):
            found.append(Item(UNKNOWN, self.module.place(node)))

    def _entry(self, node: ast.Name | ast.Attribute) -> tuple[Module, ast.expr] | None:
        """Return the expression that a name or a class's attribute stands for, where it stands."""
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        name = node.id
        if name in self.names:
            return self.names[name]
        if name in self.module.constants:
            return self.module, self.module.constants[name]
        return self.module.borrowed.get(name)

    def _attribute(self, node: ast.Attribute) -> tuple[Module, ast.expr] | None:
        if not isinstance(node.value, ast.Name):
            return None
        owner = node.value.id
        found = self.module.borrowed_classes.get(owner)
        if owner in self.module.classes:
            found = self.module, self.module.classes[owner]
        for statement in found[1].body if found else ():
            for name, value in assigned(statement):
                if found and name == node.attr:
                    return found[0], value
        return None

    def _named(self, node: ast.Name | ast.Attribute, depth: int) -> object:
        entry = self._entry(node)
        if entry is None:
            return UNKNOWN
        self.module, kept = entry[0], self.module
        value = self.value(entry[1], depth + 1)
        self.module = kept
        return value

    def _dictionary(self, node: ast.Dict, depth: int) -> object:
        found: dict[object, object] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            name = self.value(key, depth + 1)
            if not isinstance(name, str | int | float | bytes | None):
                return UNKNOWN
            found[name] = self.value(value, depth + 1)
        return found

    def _joined(self, node: ast.JoinedStr, depth: int) -> object:
        parts: list[str] = []
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                value = self.value(part.value, depth + 1)
                plain = part.conversion == -1 and part.format_spec is None
                if not plain or not isinstance(value, str | int) or isinstance(value, bool):
                    return UNKNOWN
            else:
                value = self.value(part, depth + 1)
            try:
                parts.append(str(value))
            except ValueError:  # an integer of thousands of digits
                return UNKNOWN
            if len(parts[-1]) > 100_000:
                return UNKNOWN
        return "".join(parts)


def _combined(operator: ast.operator, left: object, right: object) -> object:
    """Return the sum, difference, product or whole quotient of two known values."""
    if isinstance(operator, ast.Add) and isinstance(left, str) and isinstance(right, str):
        return left + right if len(left) + len(right) < 100_000 else UNKNOWN
    first, second = listed(left), listed(right)
    if isinstance(operator, ast.Add) and first is not None and second is not None:
        return [*first, *second] if len(first) + len(second) < MOST_STEPS else UNKNOWN
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        return UNKNOWN
    if abs(left) > 1e12 or abs(right) > 1e12:
        return UNKNOWN
    match operator:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.FloorDiv() if right:
            return left // right
        case _:
            return UNKNOWN
