"""`Module`: one Python file, parsed and walked once; nothing of it is run or imported."""

import ast
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TypeVar

from server.deploy.lint.known import SAME
from server.deploy.lint.text import Place, Text

# Beyond it a file is not parsed; the largest hand-written modules stay well below.
MOST_CHARACTERS = 2_000_000
# The parser of CPython gives up at 100 brackets, but its tree may nest deeper through operators.
MOST_DEPTH = 60
# Steps in reading all values of a file: names can double what they stand for again and again.
MOST_STEPS = 200_000

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
N = TypeVar("N", bound=ast.AST)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_LEAVES = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)


class UnreadableError(Exception):
    """A file is no Python source; *line* and *column* count from 1, 0 stands for the whole."""

    def __init__(self, reason: str, line: int = 0, column: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.line, self.column = reason, line, column


class Unit:
    """Code that runs together: a function with what is nested in it, or all that an import runs."""

    def __init__(self, roots: Iterable[ast.AST], *, stop_at_functions: bool) -> None:
        self._nodes = _gather(roots, stop_at_functions=stop_at_functions)

    def of(self, kind: type[N]) -> list[N]:
        """Return the nodes of exactly that type."""
        # The dictionary is keyed by the very type of what its lists hold.
        return self._nodes.get(kind, [])  # type: ignore[return-value]  # heterogeneous by key

    @cached_property
    def assigned(self) -> Mapping[str, ast.expr]:
        """Plain names that are given a value here, with the last expression each."""
        statements = [*self.of(ast.Assign), *self.of(ast.AnnAssign)]
        return {name: value for node in statements for name, value in assigned(node)}

    @cached_property
    def imports(self) -> Mapping[str, str]:
        """Names that imports bind here, with the dotted name of what they stand for."""
        bound: dict[str, str] = {}
        for node in self.of(ast.Import):
            bound.update(_bound_by_import(node))
        for node in self.of(ast.ImportFrom):
            bound.update(_bound_by_from(node))
        return bound


class Module:
    """A parsed file. *name* is what it is imported as, dotted.

    *borrowed* and *borrowed_classes* are what other modules of the folder lend: constants and
    classes by the names that they have here.
    """

    def __init__(self, text: Text, name: str) -> None:
        self.text = text
        self.name = name
        self.tree = _parse(text)
        self.top: list[ast.stmt] = list(_flat(self.tree.body))
        self.steps = MOST_STEPS
        self.borrowed: dict[str, tuple[Module, ast.expr]] = {}
        self.borrowed_classes: dict[str, tuple[Module, ast.ClassDef]] = {}

    @cached_property
    def functions(self) -> list[FunctionNode]:
        """All outermost functions, and the methods of classes, wherever they stand."""
        nodes = self.at_import
        return [*nodes.of(ast.FunctionDef), *nodes.of(ast.AsyncFunctionDef)]

    @cached_property
    def at_import(self) -> Unit:
        """What runs when the module is imported: class bodies, decorators and defaults too."""
        return Unit(self.top, stop_at_functions=True)

    @cached_property
    def units(self) -> list[Unit]:
        """All code once: what runs at import, then each function."""
        return [self.at_import, *(self.unit(node) for node in self.functions)]

    @cached_property
    def _units_of(self) -> dict[FunctionNode, Unit]:
        return {}

    def unit(self, function: FunctionNode) -> Unit:
        """Return the body of *function*, nested functions included."""
        if function not in self._units_of:
            self._units_of[function] = Unit(function.body, stop_at_functions=False)
        return self._units_of[function]

    @cached_property
    def main_guard(self) -> list[ast.stmt]:
        """What runs only when the file is started as a program."""
        return [node for node in self.tree.body if isinstance(node, ast.If) and _is_main(node.test)]

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        """The classes at module level."""
        return {node.name: node for node in self.top if isinstance(node, ast.ClassDef)}

    @cached_property
    def constants(self) -> dict[str, ast.expr]:
        """Names at module level that are assigned once, with the expression they stand for."""
        found: dict[str, ast.expr] = {}
        twice: set[str] = set()
        for node in self.top:
            for name, value in assigned(node):
                if name in found:
                    twice.add(name)
                found[name] = value
            if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                twice.add(node.target.id)
        return {name: value for name, value in found.items() if name not in twice}

    def origin(self, node: ast.AST | None, unit: Unit | None = None) -> str:
        """Return the dotted name of what *node* refers to, through imports; else empty.

        ``f.App`` after ``import fal as f`` is ``fal.App``; a method's own ``self.pipe`` stays so.
        """
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        first = node.id
        if unit is not None and first in unit.imports:
            first = unit.imports[first]
        else:
            first = self.at_import.imports.get(first, first)
        name = ".".join([first, *reversed(parts)])
        return SAME.get(name, name)

    def place(self, node: ast.AST) -> Place:
        """Return where *node* stands; a function or class at its name's line, past decorators."""
        line = getattr(node, "lineno", 0)
        if not line:
            return self.text.whole()
        start = self.text.offset(line, getattr(node, "col_offset", 0))
        end_line = getattr(node, "end_lineno", None) or line
        end = self.text.offset(end_line, getattr(node, "end_col_offset", None) or 0)
        column = start - self.text.line_starts[min(line, len(self.text.line_starts)) - 1] + 1
        return Place(self.text, line, max(column, 1), start, max(end, start))

    def source(self, node: ast.AST) -> str:
        """Return the characters of *node* as they were written."""
        place = self.place(node)
        return self.text.content[place.start : place.end]


def assigned(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """Yield the plain names that a statement binds, with the expression each."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield target.id, node.value
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
        yield node.target.id, node.value


def is_type_checking(test: ast.expr) -> bool:
    """Return whether an ``if`` holds for type checkers only."""
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def walk(root: ast.AST) -> Iterator[ast.AST]:
    """Yield *root* and all below it, without recursion, in no promised order."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(_children(node))


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, list):
            for item in value:  # pyright: ignore[reportUnknownVariableType]  # of any grammar rule
                if isinstance(item, ast.AST):
                    yield item
        elif isinstance(value, ast.AST) and not isinstance(value, _LEAVES):
            yield value


def _gather(
    roots: Iterable[ast.AST], *, stop_at_functions: bool
) -> dict[type[ast.AST], list[ast.AST]]:
    """Return all nodes below *roots* by type, in the order of the source."""
    found: dict[type[ast.AST], list[ast.AST]] = {}
    stack = list(roots)
    stack.reverse()
    while stack:
        node = stack.pop()
        kind = type(node)
        if kind in found:
            found[kind].append(node)
        else:
            found[kind] = [node]
        if stop_at_functions and isinstance(node, _FUNCTIONS):
            below = [*node.decorator_list, node.args]
            if node.returns is not None:
                below.append(node.returns)
        elif kind is ast.Name or kind is ast.Constant:
            continue
        else:
            below = list(_children(node))
        below.reverse()
        stack.extend(below)
    return found


def _flat(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that an import runs, those within ``if``, ``try`` and ``with`` too.

    Left out is what runs for type checkers or as a program only.
    """
    stack = list(body)
    stack.reverse()
    while stack:
        node = stack.pop()
        below: list[ast.stmt] = []
        if isinstance(node, ast.If):
            if not is_type_checking(node.test) and not _is_main(node.test):
                below = node.body
            below = [*below, *node.orelse]
        elif isinstance(node, ast.Try | ast.TryStar):
            below = [*node.body, *node.orelse, *node.finalbody]
        else:
            yield node
        stack.extend(reversed(below))


def _is_main(test: ast.expr) -> bool:
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and test.left.id == "__name__"
    )


def _bound_by_import(node: ast.Import) -> Iterator[tuple[str, str]]:
    for alias in node.names:
        if alias.asname:
            yield alias.asname, alias.name
        else:
            root = alias.name.split(".")[0]
            yield root, root


def _bound_by_from(node: ast.ImportFrom) -> Iterator[tuple[str, str]]:
    module = "." * node.level + (node.module or "")
    for alias in node.names:
        joined = f"{module}{alias.name}" if module.endswith(".") else f"{module}.{alias.name}"
        yield alias.asname or alias.name, joined


def _parse(text: Text) -> ast.Module:
    """Return the tree of *text*.

    Raises:
        UnreadableError: it is no Python, or more than is read.
    """
    if len(text.content) > MOST_CHARACTERS:
        raise UnreadableError(f"{len(text.content):,} characters are more than is read of one file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in a string are not ours to tell
            return ast.parse(text.content[text.skipped :])
    except SyntaxError as problem:
        reason = (problem.msg or "invalid syntax").split(" (<unknown>")[0]
        raise UnreadableError(reason, problem.lineno or 0, max(problem.offset or 0, 0)) from None
    except (RecursionError, MemoryError):
        raise UnreadableError("the source is nested too deeply to be read") from None
    except (ValueError, OverflowError) as problem:
        raise UnreadableError(str(problem).split("\n")[0][:120]) from None
