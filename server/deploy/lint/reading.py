"""Questions that several families of rules ask of the source."""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from server.deploy.lint.app import App, Method
from server.deploy.lint.module import Module, Unit, walk
from server.deploy.lint.packages import GPU_PACKAGES, distribution
from server.deploy.lint.rule import Patch
from server.deploy.lint.text import Place, Text
from server.deploy.lint.values import UNKNOWN, value_of

T = TypeVar("T")


def once(function: Callable[[App], T]) -> Callable[[App], T]:
    """Return *function* so that it answers a second time from what it found the first time."""
    known: WeakKeyDictionary[App, T] = WeakKeyDictionary()

    @wraps(function)
    def answer(app: App) -> T:
        if app not in known:
            known[app] = function(app)
        return known[app]

    return answer


_CUDA_WORDS = re.compile(r"""["']cuda(?::\d+)?["']|\.cuda\b|\bnvidia\b""")
_HEAVY_IMPORTS = frozenset({"torch", "vllm", "diffusers", "tensorflow", "jax", "faster_whisper"})
# Calls that read a model's weights from the network or a disk.
LOADERS = frozenset(
    {
        "from_pretrained", "from_single_file", "load_model", "load_checkpoint", "snapshot_download",
        "hf_hub_download", "load_state_dict", "download_model_weights", "from_ckpt",
    }
)  # fmt: skip
HUB_LOADERS = frozenset({"from_pretrained", "snapshot_download", "hf_hub_download"})


def calls(unit: Unit) -> Iterator[tuple[ast.Call, str]]:
    """Yield each call with the last part of what is called."""
    for node in unit.of(ast.Call):
        function = node.func
        if isinstance(function, ast.Attribute):
            yield node, function.attr
        elif isinstance(function, ast.Name):
            yield node, function.id


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """Return what the call gives for *name*, or None."""
    return next((item.value for item in call.keywords if item.arg == name), None)


def first(call: ast.Call, *names: str) -> ast.expr | None:
    """Return the call's first argument, by place or by one of *names*."""
    if call.args:
        return call.args[0]
    return next((value for name in names if (value := keyword(call, name)) is not None), None)


def loader_of(module: Module, unit: Unit, call: ast.Call, last: str) -> str:
    """Return the dotted name of a call that loads weights, else empty."""
    if last in LOADERS or last == "pipeline":
        origin = module.origin(call.func, unit) or last
        if origin.startswith("self.") or (last == "pipeline" and "transformers" not in origin):
            return ""
        return origin
    return ""


def code(app: App) -> Iterator[tuple[Module, Unit]]:
    """Yield all code that belongs to an app: of every module that it reaches."""
    for module in app.project.modules:
        for unit in module.units:
            yield module, unit


def own_methods(app: App) -> Iterable[Method]:
    """Return the app's methods, inherited ones too."""
    return app.methods.values()


def repo_of(module: Module, unit: Unit, call: ast.Call, names: App | None = None) -> str:
    """Return the repository that a loader is told, such as ``owner/name``; else empty."""
    node = first(call, "pretrained_model_name_or_path", "repo_id", "model", "name")
    known = {
        **(names.class_names if names else {}),
        **{name: (module, value) for name, value in unit.assigned.items()},
    }
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and names:
        entry = names.class_names.get(node.attr)
        value = value_of(entry[0], entry[1], known) if entry else UNKNOWN
    else:
        value = value_of(module, node, known)
    return value if isinstance(value, str) and is_repository(value) else ""


def is_repository(name: str) -> bool:
    """Return whether *name* looks like a repository of Hugging Face and no path."""
    return bool(re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", name))


def packages(app: App) -> set[str]:
    """Return the normal names of all packages that the app asks for."""
    return {
        name
        for item in app.requirements
        if isinstance(item.value, str) and (name := distribution(item.value))
    }


def has_unknown_requirements(app: App) -> bool:
    """Return whether some of what the app asks for is only known when it runs."""
    return any(not isinstance(item.value, str) for item in app.requirements)


@once
def wants_gpu(app: App) -> str:
    """Return what in the app's source speaks of a GPU, or nothing."""
    found = sorted(packages(app) & GPU_PACKAGES)
    if found:
        return f"the requirement {found[0]!r}"
    for _, unit in code(app):
        for name in unit.imports.values():
            root = name.split(".")[0]
            if root in _HEAVY_IMPORTS:
                return f"the import of {root!r}"
    for module in app.project.modules:
        if (word := _CUDA_WORDS.search(module.text.content)) is not None:
            return f"{word[0]} in {module.text.path}"
    return ""


def without_comment(text: Text, start: int, end: int) -> tuple[int, int] | None:
    """Return the whole lines of a statement, or None where something else stands on them."""
    line, last = text.line_of(start), text.line_of(max(end - 1, start))
    begin = text.line_starts[line - 1]
    after = text.line_starts[last] if last < len(text.line_starts) else len(text.content)
    before, rest = text.content[begin:start], text.content[end:after].strip()
    if before.strip() or (rest and not rest.startswith("#")):
        return None
    return begin, after


def removal(place: Place) -> tuple[Patch, ...]:
    """Return the patch that takes a statement away with its lines; none where it shares them."""
    lines = without_comment(place.text, place.start, place.end)
    return ((*lines, ""),) if lines else ()


def indent_of(text: Text, start: int) -> str:
    """Return the white space before the first character of the line that holds *start*."""
    line = text.content[text.line_starts[text.line_of(start) - 1] : start]
    return line[: len(line) - len(line.lstrip())]


def line_end(text: Text) -> str:
    """Return how this file ends its lines."""
    return "\r\n" if "\r\n" in text.content else "\n"


def body_start(
    module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
) -> tuple[int, str] | None:
    """Return where a body begins after its docstring, with its indentation; None on one line."""
    place = 0
    if ast.get_docstring(node, clean=False) is not None and len(node.body) > 1:
        place = 1
    statement = node.body[place]
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    line = module.place(decorators[0] if decorators else statement).line
    written = module.text.line(line)
    indent = written[: len(written) - len(written.lstrip())]
    start = module.text.line_starts[line - 1]
    first_character = start + len(indent)
    expected = module.place(decorators[0] if decorators else statement).start
    if first_character < expected - (1 if decorators else 0):
        return None  # `class A(fal.App): x = 1`
    return start, indent


def string_patch(place: Place, value: str) -> tuple[Patch, ...]:
    """Return the patch that puts another string where a plain quoted one stands."""
    written = place.text.content[place.start : place.end]
    quote = written[:1]
    if quote not in "\"'" or len(written) < 2 or written[:3] == quote * 3 or "\n" in written:
        return ()
    if not written.endswith(quote) or quote in value or "\\" in value:
        return ()
    return ((place.start, place.end, f"{quote}{value}{quote}"),)


def below(node: ast.AST, kind: type[ast.AST]) -> bool:
    """Return whether a node of that type lies in *node*."""
    return any(isinstance(found, kind) for found in walk(node))
