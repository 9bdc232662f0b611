"""Rules on what happens when the file is read: syntax, names of fal, imports, work at once."""

import ast
from collections.abc import Iterator
from difflib import get_close_matches

from server.deploy.lint.known import FAL_NAMES, FAL_VERSION, GONE, TOOLKIT_NAMES
from server.deploy.lint.module import Module, is_type_checking, walk
from server.deploy.lint.moving import moved_import
from server.deploy.lint.packages import BROUGHT_BY_FAL, HEAVY, is_standard
from server.deploy.lint.project import Project
from server.deploy.lint.reading import calls, first, keyword, loader_of
from server.deploy.lint.rule import Breach, Patch, Rule
from server.deploy.lint.values import UNKNOWN, shown, value_of

# Calls that may run at once: they only arrange this process.
MOST_MOVES = 30  # statements at the head of a file whose imports are moved
_HARMLESS = ("logging.", "warnings.", "sys.path.", "typing.", "nest_asyncio.", "mimetypes.")
_SLOW = (
    "requests.", "httpx.", "urllib.request.", "subprocess.", "os.system", "time.sleep",
    "torch.load", "huggingface_hub.",
)  # fmt: skip
_READS_FILE = ("dotenv.load_dotenv", "load_dotenv", "open", "io.open", "dotenv.dotenv_values")
_READS_ENVIRONMENT = ("os.getenv", "os.environ.get", "getenv", "environ.get")


def _unreadable(project: Project) -> Iterator[Breach]:
    yield from project.unreadable


def _gone(module: Module) -> Iterator[Breach]:
    for unit in module.units:
        for node in unit.of(ast.ImportFrom):
            if node.module in ("fal", "fal.toolkit") and not node.level:
                for alias in node.names:
                    yield from _judged(module, node, f"{node.module}.{alias.name}", ())
        called = {id(call.func): call for call in unit.of(ast.Call)}
        for node in unit.of(ast.Attribute):
            name = module.origin(node, unit)
            owner = "fal.toolkit" if name.startswith("fal.toolkit.") else "fal"
            if name.startswith("fal.") and name == f"{owner}.{node.attr}":
                patches = _upload(module, called.get(id(node)))
                yield from _judged(module, node, name, patches)


def _judged(
    module: Module, node: ast.AST, name: str, patches: tuple[Patch, ...]
) -> Iterator[Breach]:
    """Yield a breach if fal has nothing of that name."""
    owner, _, last = name.rpartition(".")
    known = TOOLKIT_NAMES if owner == "fal.toolkit" else FAL_NAMES
    if last in known or last.startswith("_") or last == "*":
        return
    message = f"{name} does not exist in fal {FAL_VERSION}"
    if name in GONE:
        yield Breach(module.place(node), message, GONE[name], patches)
        return
    close = get_close_matches(last, known, 1, 0.75)
    if close:
        place = module.place(node)
        written = place.text.content[place.start : place.end]
        mends = ((place.end - len(last), place.end, close[0]),) if written.endswith(last) else ()
        yield Breach(place, message, f"did you mean {owner}.{close[0]}?", mends)
    else:
        yield Breach(module.place(node), message, "see what fal exports", severity="warning")


def _upload(module: Module, call: ast.Call | None) -> tuple[Patch, ...]:
    """Return the patch of ``fal.upload_file(path)``: a File of the toolkit knows its URL."""
    if call is None or module.origin(call.func) != "fal.upload_file":
        return ()
    if len(call.args) != 1 or call.keywords or isinstance(call.args[0], ast.Starred):
        return ()
    bound = module.at_import.imports.get("File", "fal.toolkit.File")
    if bound != "fal.toolkit.File" or "File" in module.classes or "File" in module.constants:
        return ()
    whole, argument = module.place(call), module.source(call.args[0])
    swap = (whole.start, whole.end, f"File.from_path({argument}).url")
    if "File" in module.at_import.imports:
        return (swap,)
    imports = [node for node in module.tree.body if isinstance(node, ast.Import)]
    after = next((node for node in imports if any(a.name == "fal" for a in node.names)), None)
    if after is None:
        return ()
    place = module.place(after)
    if place.text.line(place.line).strip() != module.source(after):
        return ()
    return ((place.end, place.end, "\nfrom fal.toolkit import File"), swap)


def _no_app(project: Project) -> Iterator[Breach]:
    if project.apps or project.unreadable:
        return
    whole = project.entry.whole()
    if not project.has_entry:
        if project.toml is not None:
            missing = (
                f"{project.toml.file!r}, which app {project.toml.name!r} refers to, is missing"
            )
            yield Breach(project.toml.place, missing, 'ref = "app.py::MyApp"')
        elif project.toml_apps:
            names = _some([app.name for app in project.toml_apps])
            yield Breach(whole, f"pyproject.toml names several apps: {names}", "say which one")
        else:
            yield Breach(whole, "there is no file that holds an app", "class MyApp(fal.App): ...")
        return
    there = _some(list(project.app_classes)) or "none"
    if project.class_name:
        message = f"no fal.App named {project.class_name!r} in {project.entry.path}"
        yield Breach(whole, message, f"there: {there}")
    elif functions := functions_of(project):
        message = f"no fal.App subclass at module level, only @fal.function: {functions[0]!r}"
        yield Breach(
            whole, message, "functions are run by `fal run`; an app is a class MyApp(fal.App)"
        )
    else:
        yield Breach(whole, "no fal.App subclass at module level", "class MyApp(fal.App): ...")


def _some(names: list[str]) -> str:
    """Return the first few of *names* in words."""
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(name[:60] for name in names[:6]) + more


def functions_of(project: Project) -> list[str]:
    """Return the names of the entry's ``@fal.function`` functions."""
    if project.main is None:
        return []
    return [
        node.name
        for node in project.main.functions
        for decorator in node.decorator_list
        if project.main.origin(decorator.func if isinstance(decorator, ast.Call) else decorator)
        == "fal.function"
    ]


def _several(project: Project) -> Iterator[Breach]:
    if len(project.apps) > 1:
        names = [app.class_name for app in project.apps]
        path = project.entry.path
        yield Breach(
            project.apps[1].place(),
            f"{len(names)} apps in one file ({_some(names)}): a deploy has to name one",
            f"{path}::{names[0]}",
        )


def _heavy(module: Module) -> Iterator[Breach]:
    guarded = _guarded(module)
    for number, node in enumerate(module.top):
        if not isinstance(node, ast.Import | ast.ImportFrom) or id(node) in guarded:
            continue
        if isinstance(node, ast.ImportFrom):
            roots = [(node.module or "").split(".")[0]] if not node.level else []
        else:
            roots = [alias.name.split(".")[0] for alias in node.names]
        for root in dict.fromkeys(roots):
            if root in HEAVY:
                yield Breach(
                    module.place(node),
                    f"`{module.source(node)[:80]}` at module level runs where the app is deployed"
                    f" from, which has no {root!r}",
                    "import it in setup() and in the methods that use it",
                    moved_import(module, node) if number < MOST_MOVES else (),
                )
                break


def _foreign(module: Module, project: Project) -> Iterator[Breach]:
    """Yield imports of packages that fal does not bring and that are not heavy."""
    guarded = _guarded(module)
    for number, node in enumerate(module.top):
        if not isinstance(node, ast.Import | ast.ImportFrom) or id(node) in guarded:
            continue
        names = (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
        if isinstance(node, ast.ImportFrom) and node.level:
            continue
        for root in (name.split(".")[0] for name in names):
            here = is_standard(root) or root in BROUGHT_BY_FAL or project.is_local(root)
            if root and not here and root not in HEAVY:
                yield Breach(
                    module.place(node),
                    f"{root!r} is imported at module level: the machine that deploys needs it too",
                    "import it in setup() and in the methods that use it",
                    moved_import(module, node) if number < MOST_MOVES else (),
                    severity="warning",
                )
                break


def _early_imports(project: Project) -> Iterator[Breach]:
    for module in project.early:
        yield from _heavy(module)
        yield from _foreign(module, project)


def _guarded(module: Module) -> set[int]:
    """Return the imports within a ``try`` that catches their failure, or for type checkers."""
    found: set[int] = set()
    for node in module.tree.body:
        if (isinstance(node, ast.Try) and node.handlers) or (
            isinstance(node, ast.If) and is_type_checking(node.test)
        ):
            found |= {id(below) for statement in node.body for below in walk(statement)}
    return found


def _work_at_once(project: Project) -> Iterator[Breach]:
    for module in project.early:
        for node in module.top:
            what = _work(module, node)
            if what:
                yield Breach(
                    module.place(node),
                    f"{what} at module level happens on the machine that deploys, not on a runner",
                    "move it into setup(), or below `if __name__ == '__main__':`",
                )


def _work(module: Module, node: ast.stmt) -> str:
    """Return what a statement at module level does at once, or nothing."""
    if isinstance(node, ast.For | ast.While | ast.AsyncFor | ast.With | ast.AsyncWith):
        return f"a `{type(node).__name__.lower().removeprefix('async')}` block"
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        name = module.origin(node.value.func) or "a call"
        if name in _READS_FILE or name.startswith(_HARMLESS):
            return ""
        return f"{name}()" if name != "a call" else name
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Subscript) and module.origin(target.value) == "os.environ":
                return f"setting os.environ[{module.source(target.slice)[:40]}]"
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    if isinstance(value, ast.Call):
        name = module.origin(value.func)
        last = name.rpartition(".")[2]
        slow = name.startswith(_SLOW) or loader_of(module, module.at_import, value, last)
        if slow:
            return f"{name}()"
    return ""


def _reads_at_once(project: Project) -> Iterator[Breach]:
    for module in project.early:
        unit = module.at_import
        for call, last in calls(unit):
            name = module.origin(call.func, unit)
            if name in _READS_ENVIRONMENT:
                yield _environment(module, call, first(call, "key"))
            elif name in _READS_FILE or last in ("read_text", "read_bytes"):
                mode = value_of(module, keyword(call, "mode") or (call.args[1:2] or [None])[0])
                if isinstance(mode, str) and set(mode) & set("wax"):
                    continue
                yield Breach(
                    module.place(call),
                    f"{name or last}() reads a file of the machine that deploys",
                    "name it in app_files and read it in setup()",
                )
        for node in unit.of(ast.Subscript):
            is_read = isinstance(node.ctx, ast.Load)
            if is_read and module.origin(node.value, unit) == "os.environ":
                yield _environment(module, node, node.slice)


def _environment(module: Module, node: ast.AST, name: ast.expr | None) -> Breach:
    value = value_of(module, name)
    what = shown(value) if value is not UNKNOWN else "a name"
    return Breach(
        module.place(node),
        f"the environment variable {what} is read on the machine that deploys, and its value"
        " travels with the app",
        "read it in setup(), and bring it with secrets = [...]",
    )


RULES = (
    Rule(
        "FAL001", "error", "file that cannot be read",
        "Python cannot parse it, so nothing can be deployed.", "Core Concepts", "run", _unreadable,
    ),
    Rule(
        "FAL003", "error", "no app",
        "A deploy looks for a class that derives from fal.App.", "Core Concepts", "run", _no_app,
    ),
    Rule(
        "FAL004", "warning", "several apps in one file",
        "A deploy ends in 'Multiple fal.Apps found' unless it names the class.",
        "Deploy to Production", "run", _several,
    ),
    Rule(
        "FAL010", "error", "heavy import at module level",
        "A deploy runs the file on the machine that deploys, and ends where a package is missing.",
        "Core Concepts", "run", _early_imports, mends=True,
    ),
    Rule(
        "FAL011", "warning", "work at module level",
        "It happens once, on the machine that deploys, with that machine's files and keys.",
        "Core Concepts", "source", _work_at_once,
    ),
    Rule(
        "FAL012", "warning", "file or environment read at module level",
        "The value is taken from the machine that deploys, and is frozen into the app.",
        "Core Concepts", "documentation", _reads_at_once,
    ),
)  # fmt: skip
MODULE_RULES = (
    Rule(
        "FAL002", "error", "name that fal does not have",
        "It was removed or never existed: the import or the call fails.",
        "CLI reference", "run", _gone, mends=True,
    ),
)  # fmt: skip
