"""Rules on packages: pins, conflicts, what is missing, and where weights go."""

import ast
import re
from collections.abc import Iterator

from server.deploy.lint.app import App
from server.deploy.lint.module import Module, Unit, is_type_checking, walk
from server.deploy.lint.packages import (
    BRINGS,
    BROUGHT_BY_FAL,
    BROUGHT_BY_SERVING,
    DISTRIBUTIONS,
    distribution,
    is_standard,
    providers,
    version_part,
)
from server.deploy.lint.reading import (
    HUB_LOADERS,
    calls,
    code,
    has_unknown_requirements,
    keyword,
    packages,
    repo_of,
)
from server.deploy.lint.rule import Breach, Patch, Rule
from server.deploy.lint.text import Place
from server.deploy.lint.values import is_strings, value_of

_COMMIT = re.compile(r"@[0-9a-f]{7,40}(?:$|[#&])")
_INJECTED = ("fastapi", "pydantic", "tblib")
_WEIGHTS = re.compile(r"https?://\S+\.(?:safetensors|ckpt|pth?|bin|gguf|onnx)\b", re.IGNORECASE)


def _unpinned(app: App) -> Iterator[Breach]:
    for item in app.requirements:
        if not isinstance(item.value, str):
            continue
        name, version = distribution(item.value), version_part(item.value)
        if "git+" in item.value:
            if not _COMMIT.search(item.value):
                message = f"{item.value[:80]!r} names no commit: what is newest is installed"
                yield Breach(item.place, message, "…@<commit>")
        elif name and "://" not in item.value and not re.match(r"={2,3}\s*[^*]+$", version):
            message = f"{item.value[:80]!r} is no exact version: a rebuild may install another one"
            yield Breach(item.place, message, f"{name}==<version>")


def _conflicting(app: App) -> Iterator[Breach]:
    if app.is_layered or app.has_image:
        return
    for item in app.requirements:
        if not isinstance(item.value, str) or distribution(item.value) not in _INJECTED:
            continue
        version = version_part(item.value)
        if re.search(r"==|<|~=|!=", version):
            message = (
                f"{item.value[:80]!r} stands against the exact version that fal adds itself:"
                " the environment cannot be built"
            )
            yield Breach(item.place, message, "drop it, or put it into a layer: [[...], [...]]")


def _twice(app: App) -> Iterator[Breach]:
    if app.is_layered:
        return
    seen: dict[str, str] = {}
    for item in app.requirements:
        name = distribution(item.value) if isinstance(item.value, str) else ""
        if not name or not isinstance(item.value, str):
            continue
        if name in seen:
            same = seen[name] == item.value.strip()
            message = f"{name!r} is listed twice: {seen[name]!r} and {item.value.strip()!r}"
            yield Breach(item.place, message, "keep one", _dropped(item.place) if same else ())
        else:
            seen[name] = item.value.strip()


def _dropped(place: Place) -> tuple[Patch, ...]:
    """Return the patch that takes an element out of a list that goes on before it."""
    before = place.text.content[: place.start].rstrip()
    return ((len(before) - 1, place.end, ""),) if before.endswith(",") else ()


def _slow_download(app: App) -> Iterator[Breach]:
    asked = packages(app)
    if not asked or app.has_image or has_unknown_requirements(app):
        return
    if asked & {"hf-transfer", "hf-xet"}:
        return
    for module, unit in code(app):
        for call, last in calls(unit):
            if last in HUB_LOADERS and repo_of(module, unit, call, app):
                message = f"{last}() fetches weights from Hugging Face without 'hf_transfer'"
                fix = 'requirements: "hf_transfer==0.1.9", environment: HF_HUB_ENABLE_HF_TRANSFER=1'
                yield Breach(module.place(call), message, fix)
                return


def _missing(app: App) -> Iterator[Breach]:
    if app.has_image or has_unknown_requirements(app):
        return
    asked = packages(app)
    brought = BROUGHT_BY_SERVING | {root for name in asked for root in BRINGS.get(name, ())}
    if app.is_wma:
        brought |= BRINGS["aiortc"]
    doubt = _doubt(app, asked)
    seen: set[tuple[str, bool]] = set()
    for module, unit in code(app):
        guarded = _guarded(unit)
        is_early = unit is module.at_import
        for node in [*unit.of(ast.Import), *unit.of(ast.ImportFrom)]:
            for root in _roots(node) if id(node) not in guarded else ():
                here = is_standard(root) or root in brought or providers(root) & asked
                if here or (root, is_early) in seen:
                    continue
                seen.add((root, is_early))
                if app.project.is_local(root):
                    yield from _unshipped(app, module, unit, node, root)
                elif not is_early:
                    yield _stranger(module, node, root, doubt)


def _doubt(app: App, asked: set[str]) -> str:
    """Return what among the requirements may bring packages that are not known here."""
    strangers = sorted(name for name in asked if name not in BRINGS)
    if strangers:
        return strangers[0]
    has_paths = any(
        isinstance(item.value, str) and not distribution(item.value) for item in app.requirements
    )
    return "a local package" if has_paths else ""


def _stranger(module: Module, node: ast.AST, root: str, doubt: str) -> Breach:
    """Return the breach of an import that no requirement is known to bring."""
    if root in BROUGHT_BY_FAL and not doubt:
        doubt = "fal"  # it depends on it, and may lie beside the app on a runner
    message = f"{root!r} is imported, and no requirement brings it"
    if doubt:
        message += f" (unless {doubt!r} does)"
    fix = f'add "{DISTRIBUTIONS.get(root, root)}==<version>" to requirements'
    return Breach(module.place(node), message, fix, severity="warning" if doubt else None)


def _unshipped(
    app: App, module: Module, unit: Unit, node: ast.Import | ast.ImportFrom, root: str
) -> Iterator[Breach]:
    """Yield a breach if a local module stays behind on the machine that deploys."""
    shipped = app.value("local_python_modules")
    names = set(shipped) if is_strings(shipped) else set[str]()
    if root in names or "app_files" in app.settings or "." in app.module.name:
        return
    if shipped is not None and not is_strings(shipped):
        return
    if unit is module.at_import and _only_bases(app, module, root):
        return
    message = f"the local module {root!r} is imported, and it does not travel with the app"
    yield Breach(
        module.place(node), message, f'local_python_modules = ["{root}"]', severity="warning"
    )


def _only_bases(app: App, module: Module, root: str) -> bool:
    """Return whether the app itself stands in that local module, which then travels along."""
    return app.module.name.split(".")[0] == root and module.name != root


def _roots(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [] if node.level or not node.module else [node.module.split(".")[0]]
    return [alias.name.split(".")[0] for alias in node.names]


def _guarded(unit: Unit) -> set[int]:
    """Return the imports whose failure is caught, or that are for type checkers."""
    found: set[int] = set()
    for node in unit.of(ast.Try):
        if node.handlers:
            found |= {id(below) for statement in node.body for below in walk(statement)}
    for node in unit.of(ast.If):
        if is_type_checking(node.test):
            found |= {id(below) for statement in node.body for below in walk(statement)}
    return found


def _lost_weights(app: App) -> Iterator[Breach]:
    for module, unit in code(app):
        if unit is module.at_import:
            continue
        for call, last in calls(unit):
            if what := _left_behind(module, unit, call, last):
                yield _lost(module, call, what)
        for node in unit.of(ast.Constant):
            if isinstance(node.value, str) and _is_shell_download(node.value):
                yield _lost(module, node, f"{node.value[:60]!r} fetches weights")


def _left_behind(module: Module, unit: Unit, call: ast.Call, last: str) -> str:
    """Return what a call keeps in a folder that no other runner sees, or nothing."""
    origin = module.origin(call.func, unit)
    if origin in ("torch.hub.load", "torch.hub.load_state_dict_from_url"):
        return "" if _is_kept(module) else f"{origin}() keeps weights in the runner's own folder"
    if last in ("urlretrieve", "download_url_to_file", "wget", "gdown"):
        target = value_of(module, call.args[1]) if len(call.args) > 1 else None
        if isinstance(target, str) and target.startswith("/data"):
            return ""
        return f"{last}() keeps a file in the runner's own folder"
    for name in ("cache_dir", "local_dir", "download_root", "model_dir"):
        folder = value_of(module, keyword(call, name))
        if isinstance(folder, str) and not folder.startswith("/data"):
            return f"{name}={folder[:60]!r} lies outside of /data"
    return ""


def _is_kept(module: Module) -> bool:
    return "set_dir" in module.text.content or "TORCH_HOME" in module.text.content


def _is_shell_download(words: str) -> bool:
    is_fetching = re.match(r"\s*(?:wget|curl)\b", words) and _WEIGHTS.search(words)
    return bool(is_fetching) and "/data" not in words


def _lost(module: Module, node: ast.AST, what: str) -> Breach:
    message = f"{what}: each new runner fetches it again"
    return Breach(
        module.place(node), message, "fal.toolkit.download_model_weights(url) keeps it on /data"
    )


RULES = (
    Rule(
        "FAL060", "warning", "requirement without an exact version",
        "Two builds of the same source may differ.", "Application Setup", "documentation",
        _unpinned,
    ),
    Rule(
        "FAL061", "warning", "pin against a package that fal adds",
        "fal adds exact versions of fastapi, pydantic and tblib to every app.",
        "Application Setup", "run", _conflicting,
    ),
    Rule(
        "FAL062", "error", "package listed twice",
        "The installer refuses two demands for one name.",
        "Application Setup", "source", _twice, mends=True,
    ),
    Rule(
        "FAL063", "info", "slow download of weights",
        "hf_transfer fetches from Hugging Face several times faster.", "Docker Templates",
        "documentation", _slow_download,
    ),
    Rule(
        "FAL064", "error", "import without a requirement",
        "The runner has what requirements list, and nothing else of the machine that deploys.",
        "Application Setup", "source", _missing,
    ),
    Rule(
        "FAL065", "info", "weights outside of /data",
        "/data is kept and shared by all runners; any other folder is empty on the next one.",
        "Persistent Storage", "documentation", _lost_weights,
    ),
)  # fmt: skip
