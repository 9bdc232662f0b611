"""How an import moves from module level into the functions that use it."""

import ast

from server.deploy.lint.module import FunctionNode, Module, walk
from server.deploy.lint.reading import body_start, line_end, removal
from server.deploy.lint.rule import Patch

MOST_FUNCTIONS = 200  # of a file into which an import is moved


def moved_import(module: Module, node: ast.Import | ast.ImportFrom) -> tuple[Patch, ...]:
    """Return patches that take the import into each function that uses it; none if that is unsafe.

    It is unsafe where a name is used by what an import of the module runs, such as annotations,
    defaults and base classes, or where some function binds it itself.
    """
    names = {alias.asname or alias.name.split(".")[0] for alias in node.names}
    gone = removal(module.place(node))
    if (
        len(module.functions) > MOST_FUNCTIONS
        or "*" in names
        or not gone
        or node not in module.tree.body
        or len(module.tree.body) < 2
    ):
        return ()
    if any(used.id in names for used in module.at_import.of(ast.Name)) or _in_guard(module, names):
        return ()
    statement = " ".join(module.source(node).split())
    patches: list[Patch] = [*gone]
    for function in module.functions:
        if _mentions_in_lambda(module, function, names):
            return ()
        unit = module.unit(function)
        used = [found for found in unit.of(ast.Name) if found.id in names]
        if not used:
            continue
        start = body_start(module, function)
        if start is None or any(not isinstance(found.ctx, ast.Load) for found in used):
            return ()
        if names & unit.imports.keys() or _binds(function, names):
            return ()
        patches.append((start[0], start[0], f"{start[1]}{statement}{line_end(module.text)}"))
    if "\\" in statement or "#" in statement:
        return ()
    return tuple(patches)


def _binds(function: FunctionNode, names: set[str]) -> bool:
    """Return whether the function itself gives one of the names a meaning."""
    for found in walk(function):
        if isinstance(found, ast.arg) and found.arg in names:
            return True
        if isinstance(found, ast.Global) and names & set(found.names):
            return True
    return False


def _in_guard(module: Module, names: set[str]) -> bool:
    """Return whether code that runs as a program only uses one of the names."""
    return any(
        isinstance(found, ast.Name) and found.id in names
        for statement in module.main_guard
        for found in walk(statement)
    )


def _mentions_in_lambda(module: Module, function: FunctionNode, names: set[str]) -> bool:
    """Return whether a default of the function uses one of the names."""
    given = [*function.args.defaults, *(item for item in function.args.kw_defaults if item)]
    return any(
        isinstance(found, ast.Name) and found.id in names
        for default in given
        for found in walk(default)
    )
