"""Rules on the settings of an app: names, kinds, and what excludes what."""

import ast
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from server.deploy.lint.app import App, Setting
from server.deploy.lint.known import (
    ATTRIBUTE_ONLY,
    HOOKS,
    KEYWORD_ONLY,
    KEYWORDS,
    MISTAKEN,
    RESERVED,
    RETRY_CONDITIONS,
    SETTINGS,
    TOML_KEYS,
    WMA_SETTINGS,
)
from server.deploy.lint.module import Module
from server.deploy.lint.reading import body_start, line_end, removal
from server.deploy.lint.rule import Breach, Patch, Rule
from server.deploy.lint.values import is_strings, shown

MOST_SETTINGS = 500  # of one app that are compared with what fal knows, letter by letter


def _unknown(app: App) -> Iterator[Breach]:
    for setting in app.written[:MOST_SETTINGS]:
        if setting.how == "keyword":
            yield from _keyword(app, setting)
        else:
            yield from _attribute(app, setting)
    for name, setting in app.toml.items():
        if app.project.toml and name not in ("app_auth", "app_name") and name not in TOML_KEYS:
            close = get_close_matches(name, TOML_KEYS, 1, 0.7)
            fix = f"did you mean {close[0]!r}?" if close else "take it out"
            yield Breach(setting.place, f"fal refuses the key {name!r} in pyproject.toml", fix)


def _attribute(app: App, setting: Setting) -> Iterator[Breach]:
    name = setting.name
    known = SETTINGS | WMA_SETTINGS
    is_own = name in known or name in KEYWORD_ONLY or name.startswith("_")
    if is_own or name in app.own_uses or setting.module is None or setting.node is None:
        return
    place = setting.module.place(setting.node)
    message = f"the setting {name!r} does not exist and is ignored in silence"
    if name in MISTAKEN:
        patches = removal(place) if name in ("volumes", "termination_grace_period") else ()
        if name == "termination_grace_period":
            patches = _renamed(setting, "termination_grace_period_seconds")
        elif name == "name" and "app_name" not in app.settings:
            patches = _renamed(setting, "app_name")
        yield Breach(place, message, MISTAKEN[name], _kept(app, patches, name))
        return
    close = get_close_matches(name, known, 1, 0.82)
    if close and close[0] not in app.settings:
        yield Breach(place, message, f"did you mean {close[0]}?", _renamed(setting, close[0]))
    elif close:
        yield Breach(place, message, f"did you mean {close[0]}?")


def _kept(app: App, patches: tuple[Patch, ...], name: str) -> tuple[Patch, ...]:
    """Return *patches* unless they would empty a class body."""
    owners = [node for _, node in app.lineage if len(node.body) == 1]
    return () if owners and name == "volumes" else patches


def _renamed(setting: Setting, name: str) -> tuple[Patch, ...]:
    """Return the patch that gives an attribute another name."""
    node, module = setting.node, setting.module
    if module is None:
        return ()
    if isinstance(node, ast.AnnAssign):
        target: ast.expr = node.target
    elif isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
    else:
        return ()
    place = module.place(target)
    return ((place.start, place.end, name),)


def _keyword(app: App, setting: Setting) -> Iterator[Breach]:
    name = setting.name
    if name in KEYWORDS or setting.module is None or not isinstance(setting.node, ast.keyword):
        return
    place = setting.module.place(setting.node)
    if name in ATTRIBUTE_ONLY:
        message = f"{name!r} in the class statement makes the deploy fail: it is an attribute"
        fix = f"{name} = {setting.module.source(setting.node.value)[:60]} in the class body"
        yield Breach(place, message, fix, _into_body(app, setting))
        return
    if name in MISTAKEN:
        fix = MISTAKEN[name]
    else:
        close = get_close_matches(name, KEYWORDS | ATTRIBUTE_ONLY, 1, 0.7)
        fix = f"did you mean {close[0]!r}?" if close else "take it out"
    yield Breach(place, f"fal refuses the unknown option {name!r} of the class statement", fix)


def _owner(app: App, setting: Setting) -> tuple[Module, ast.ClassDef] | None:
    """Return the class statement that a setting stands in."""
    for module, node in app.lineage:
        if setting.node in node.keywords or setting.node in node.body:
            return module, node
    return None


def _into_body(app: App, setting: Setting) -> tuple[Patch, ...]:
    """Return patches that make an attribute of a keyword of the class statement."""
    owner = _owner(app, setting)
    if owner is None or not isinstance(setting.node, ast.keyword):
        return ()
    module, node = owner
    start = body_start(module, node)
    place = module.place(setting.node)
    before = module.text.content[: place.start].rstrip()
    value = module.source(setting.node.value)
    if start is None or not before.endswith(",") or "\n" in value:
        return ()
    if any(setting.name in _names(statement) for statement in node.body):
        return ()
    line = f"{start[1]}{setting.name} = {value}{line_end(module.text)}"
    return ((len(before) - 1, place.end, ""), (start[0], start[0], line))


def _names(statement: ast.stmt) -> set[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _as_attribute(app: App) -> Iterator[Breach]:
    for setting in app.written:
        if setting.how != "attribute" or setting.name not in KEYWORD_ONLY:
            continue
        if setting.module is None or setting.node is None or setting.name in app.own_uses:
            continue
        value = setting.module.source(_expression(setting.node))
        message = (
            f"as an attribute {setting.name!r} is ignored: fal reads it in the class statement"
        )
        fix = f"class {app.class_name}(fal.App, {setting.name}={value[:60]})"
        place = setting.module.place(setting.node)
        yield Breach(place, message, fix, _into_statement(app, setting, value))


def _expression(node: ast.stmt | ast.keyword) -> ast.AST:
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.keyword):
        return node.value or node
    return node


def _into_statement(app: App, setting: Setting, value: str) -> tuple[Patch, ...]:
    """Return patches that make a keyword of the class statement of an attribute."""
    owner = _owner(app, setting)
    if owner is None or setting.node is None or "\n" in value:
        return ()
    module, node = owner
    gone = removal(module.place(setting.node))
    if not gone or len(node.body) < 2 or not node.bases:
        return ()
    if any(keyword.arg in (None, setting.name) for keyword in node.keywords):
        return ()
    last = max(module.place(part).end for part in [*node.bases, *node.keywords])
    return ((last, last, f", {setting.name}={value}"), *gone)


def _constructor(app: App) -> Iterator[Breach]:
    method = app.methods.get("__init__")
    if method is None:
        return
    place = method.place()
    patches: tuple[Patch, ...] = ()
    source = method.module.source(method.node)
    header = re.search(r"\bdef\s+(__init__)\b", source)
    if "setup" not in app.methods and not method.parameters and "super" not in source and header:
        start = place.start + header.start(1)
        patches = ((start, start + len("__init__"), "setup"),)
    message = "fal.App must not define __init__: the class cannot even be created"
    yield Breach(place, message, "def setup(self): runs once in each runner", patches)


def _no_path(app: App) -> Iterator[Breach]:
    taken = {endpoint.path for endpoint in app.endpoints if isinstance(endpoint.path, str)}
    for endpoint in app.endpoints:
        if endpoint.path_node is not None:
            continue
        if endpoint.call is not None and any(item.arg is None for item in endpoint.call.keywords):
            continue  # **options
        module = endpoint.method.module
        place = module.place(endpoint.decorator)
        path = "/" if "/" not in taken else f"/{endpoint.method.name.replace('_', '-')}"
        taken.add(path)
        patches: tuple[Patch, ...] = ()
        if endpoint.call is None:
            patches = ((place.end, place.end, f'("{path}")'),)
        elif not endpoint.call.keywords and module.source(endpoint.call).endswith("()"):
            patches = ((place.end - 1, place.end - 1, f'"{path}"'),)
        message = f"@fal.{endpoint.kind} of {endpoint.method.name!r} has no path"
        yield Breach(place, message, f'@fal.{endpoint.kind}("{path}")', patches)


def _shadowing(app: App) -> Iterator[Breach]:
    served = {endpoint.method.name for endpoint in app.endpoints}
    for name, method in app.methods.items():
        is_hook = (name in HOOKS and name not in served) or name == "handle_exit"
        if is_hook or (app.is_wma and name not in served):
            continue
        message = f"the method {name!r} takes the place of what fal.App keeps under that name"
        if name == "health" and method.parameters:  # run: GET /health then ends in 500
            message = "the method 'health' takes an input, and GET /health calls it without one"
        elif name not in RESERVED:
            continue
        source = method.module.source(method.node)
        header = re.search(rf"\bdef\s+({re.escape(name)})\b", source)
        patches: tuple[Patch, ...] = ()
        new = f"run_{name}"
        if name in served and header and name not in app.own_uses and new not in app.methods:
            start = method.place().start + header.start(1)
            patches = ((start, start + len(name), new),)
        yield Breach(method.place(), message, f"call it {new!r}; its path stays", patches)


def _excluding(app: App) -> Iterator[Breach]:
    settings = app.settings
    if "image" in settings and settings["image"].value is not None and _is_given(app, "app_files"):
        message = "'image' and 'app_files' exclude each other: a container brings its own files"
        yield Breach(settings["app_files"].place, message, "COPY them in the Dockerfile")
    if "app_files_context_dir" in settings and not _is_given(app, "app_files"):
        message = "'app_files_context_dir' without 'app_files' makes the class fail"
        yield Breach(settings["app_files_context_dir"].place, message, "name app_files, or drop it")
    raw: Mapping[str, object] = app.project.toml.raw if app.project.toml and app.toml else {}
    if "ref" in raw and "python_entry_point" in raw:
        place = app.toml["python_entry_point"].place
        yield Breach(place, "'ref' and 'python_entry_point' exclude each other", "keep one of them")
    for name, setting in app.toml.items():
        said = settings.get(name)
        if app.lineage and said and said.how != "toml" and said.value != setting.value:
            message = f"{name!r} here has no effect: the class says {shown(said.value)}"
            yield Breach(setting.place, message, "say it in one place", severity="warning")


def _is_given(app: App, name: str) -> bool:
    setting = app.settings.get(name)
    return setting is not None and setting.value not in ([], (), None)


def _conditions(app: App) -> Iterator[Breach]:
    setting = app.settings.get("skip_retry_conditions")
    if setting is None or not is_strings(setting.value):
        return
    for item in setting.items:
        if item.value not in RETRY_CONDITIONS:
            message = f"{shown(item.value)} is no retry condition"
            yield Breach(item.place, message, f"one of {', '.join(RETRY_CONDITIONS)}")


def _unknown_names(app: App) -> Iterator[Breach]:
    yield from _unknown(app)
    yield from _conditions(app)


RULES = (
    Rule(
        "FAL020", "error", "setting that does not exist",
        "fal ignores an unknown attribute in silence and refuses an unknown keyword.",
        "Application Setup", "run", _unknown_names, mends=True,
    ),
    Rule(
        "FAL021", "error", "keyword written as an attribute",
        "fal reads it in the class statement alone and ignores the attribute.",
        "Application Setup", "run", _as_attribute, mends=True,
    ),
    Rule(
        "FAL022", "error", "__init__ defined",
        "fal.App refuses the class; what an app prepares belongs into setup().",
        "App Lifecycle", "run", _constructor, mends=True,
    ),
    Rule(
        "FAL023", "error", "endpoint without a path",
        "The decorator takes the path as its first argument.", "Core Concepts", "source", _no_path,
        mends=True,
    ),
    Rule(
        "FAL024", "error", "method that shadows a setting or a method of fal.App",
        "`def image` makes a container app of it, and the deploy ends in 'Unexpected type'.",
        "Application Setup", "run", _shadowing, mends=True,
    ),
    Rule(
        "FAL025", "error", "settings that exclude each other",
        "fal refuses the combination when the class is made.", "pyproject.toml reference",
        "source", _excluding,
    ),
)  # fmt: skip
