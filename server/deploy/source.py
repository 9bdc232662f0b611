"""`Source`: the files of an app on disk, their hash, and a copy that nobody changes any more."""

import ast
import hashlib
import os
import re
import shutil
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from catalog.errors import ActionableError
from server.deploy.lint import read_text
from tools.deploy_records import AppSettings

MOST_FILES = 2_000
MOST_BYTES = 50 * 1024 * 1024
MOST_PYTHON_BYTES = 2 * 1024 * 1024  # of one module
# What is no source: caches, environments, and whatever may hold a password.
LEFT_OUT = (
    ".*", "__pycache__", "node_modules", "venv", "env", "dist", "build", "*.egg-info", "*.pyc",
    "*.pem", "*.key", "*.p12", "*.pfx", "id_rsa*", "id_ed25519*", "credentials*", "*.sqlite",
    "*.db",
)  # fmt: skip
USUAL_ENTRIES = ("app.py", "main.py", "serve.py", "fal_app.py")


@dataclass(frozen=True, slots=True)
class Source:
    """An app's files. *entry* is its module, *paths* are all files, relative with slashes.

    *entry* is empty for a folder whose ``pyproject.toml`` names an image alone. *sha256* stands for
    names and contents of all of *paths*. *left_out* names what lies there and is no part of it.
    """

    root: Path
    entry: str
    paths: tuple[str, ...]
    sha256: str
    left_out: tuple[str, ...] = ()

    def texts(self) -> Mapping[str, str]:
        """Return what the linter reads: every module, and ``pyproject.toml`` where there is one."""
        wanted = [path for path in self.paths if path.endswith(".py") or path == "pyproject.toml"]
        return {path: _text(self.root / path) for path in wanted}


class SourceError(ActionableError):
    """A path that holds no app, or more than can be read."""


def read_source(path: Path) -> Source:
    """Return the app at *path*, a module or a folder; it blocks on the file system.

    A module brings what it imports from beside it; a folder brings everything that is source.

    Raises:
        SourceError: there is nothing, no app, or too much.
    """
    if not path.exists():
        raise SourceError(
            f"there is nothing at {str(path)[:200]!r}",
            hint="give the folder or the file of your app",
        )
    if path.is_file():
        if path.suffix != ".py":
            raise SourceError(
                f"{path.name!r} is no Python file", hint="give the one in which the app is written"
            )
        root = path.parent.resolve()
        paths = tuple(sorted(_with_imports(root, path.name)))
        return Source(root, path.name, paths, _hash(root, paths))
    root = path.resolve()
    kept, left = _walk(root)
    paths = tuple(sorted(kept))
    return Source(root, _entry(root, paths), paths, _hash(root, paths), tuple(sorted(left))[:20])


def snapshot(source: Source, folder: Path) -> Path:
    """Copy *source* below *folder* under its hash, and return where it lies; it blocks.

    Raises:
        SourceError: the files changed meanwhile, or there is no room for them.
    """
    target = folder / source.sha256[:24]
    if target.is_dir() and _hash_of(target, source.paths) == source.sha256:
        return target
    aside = folder / f".{source.sha256[:24]}-{os.getpid()}"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        for relative in source.paths:
            copy = aside / relative
            copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copyfile(source.root / relative, copy)
        if _hash_of(aside, source.paths) != source.sha256:
            raise SourceError("the source changed while it was read", hint="plan it again")
        shutil.rmtree(target, ignore_errors=True)
        aside.rename(target)
    except OSError as problem:
        reason = (problem.strerror or type(problem).__name__).lower()
        raise SourceError(f"the source cannot be copied: {reason}") from problem
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def is_intact(folder: Path, paths: Iterable[str], sha256: str) -> bool:
    """Return whether the copy in *folder* still is what it was; it blocks."""
    return _hash_of(folder, tuple(paths)) == sha256


def _walk(root: Path) -> tuple[list[str], list[str]]:
    """Return the files below *root* that are source, and names of what is not."""
    kept: list[str] = []
    left: list[str] = []
    total = 0
    for folder, folders, files in os.walk(root):
        here = Path(folder).relative_to(root)
        left += [(here / name).as_posix() + "/" for name in folders if _is_left_out(name)]
        folders[:] = sorted(
            name
            for name in folders
            if not _is_left_out(name) and not (Path(folder) / name).is_symlink()
        )
        for name in sorted(files):
            path = Path(folder) / name
            if _is_left_out(name) or path.is_symlink() or not path.is_file():
                left.append((here / name).as_posix())
                continue
            kept.append((here / name).as_posix())
            total += path.stat().st_size
            if len(kept) > MOST_FILES or total > MOST_BYTES:
                raise SourceError(
                    f"{root.name!r} holds more than {MOST_FILES} files or 50 MB",
                    hint="give the app's own folder, or its file alone; weights belong under /data",
                )
    return kept, left


def _is_left_out(name: str) -> bool:
    return any(fnmatchcase(name.lower(), pattern) for pattern in LEFT_OUT)


def _entry(root: Path, paths: tuple[str, ...]) -> str:
    """Return the module that holds the app.

    Raises:
        SourceError: none does, or several do and none is named.
    """
    if "pyproject.toml" in paths and (named := _named_in_project(root)) is not None:
        if named and named not in paths:
            raise SourceError(f"pyproject.toml names {named!r}, which is not there")
        return named
    modules = [path for path in paths if path.endswith(".py") and _has_app(root / path)]
    usual = [path for path in modules if path in USUAL_ENTRIES]
    if len(modules) == 1 or len(usual) == 1:
        return (usual or modules)[0]
    if not modules:
        raise SourceError(
            f"there is no app in the folder {str(root)[-200:]!r}: {_why_none(paths)}",
            hint="give the folder or the file of your app; scaffold_app begins a new one",
        )
    raise SourceError(
        f"several files hold an app: {', '.join(modules[:6])}", hint="give one of the files"
    )


def _why_none(paths: tuple[str, ...]) -> str:
    count = sum(path.endswith(".py") for path in paths)
    if not count:
        return "it holds no Python file"
    its = "its one Python file" if count == 1 else f"its {count} Python files"
    return f"no class in {its} derives from fal.App"


def _named_in_project(root: Path) -> str | None:
    """Return the module that ``[tool.fal.apps]`` names, empty for an image alone, None without."""
    try:
        apps = tomllib.loads(_text(root / "pyproject.toml"))["tool"]["fal"]["apps"]
        (app,) = apps.values()
        point = str(app.get("python_entry_point", "")).partition(":")[0]
        module = f"{point.replace('.', '/')}.py" if point else ""
        named = str(app.get("ref", "")).partition("::")[0].replace("\\", "/")
        return named.removeprefix("./") or module
    except (KeyError, ValueError, AttributeError, TypeError):
        return None


def not_sent(root: Path, settings: AppSettings) -> list[str]:
    """Return what of an app falkit does not bring to fal; it blocks."""
    found = [
        f"requirement {wanted[:60]!r} is a folder of this machine, which falkit does not send: "
        "name a released package"
        for wanted in settings.requirements
        if _is_folder(root, wanted)
    ]
    with suppress(KeyError, ValueError, AttributeError, TypeError, SourceError):
        apps = tomllib.loads(_text(root / "pyproject.toml"))["tool"]["fal"]["apps"]
        if any("python_entry_point" in app for app in apps.values()):
            found.append("python_entry_point is not deployed by falkit: name the file as ref")
    return found


def _is_folder(root: Path, requirement: str) -> bool:
    bare = re.sub(r"\[[^\]]*\]$", "", requirement.strip())
    try:
        return bare != "" and (root / bare).is_dir()
    except OSError:
        return False


def _has_app(path: Path) -> bool:
    try:
        text = _text(path)
    except SourceError:
        return False
    return "fal" in text and "App" in text and "class " in text


def _with_imports(root: Path, entry: str) -> set[str]:
    """Return *entry* and the modules beside it that it imports, directly or not."""
    found = {entry}
    waiting = [entry]
    while waiting:
        for name in _imports(root / waiting.pop()):
            base = PurePosixPath(*name.split("."))
            for candidate in (f"{base}.py", f"{base}/__init__.py"):
                path = root / candidate
                if candidate not in found and path.is_file() and not path.is_symlink():
                    found.add(candidate)
                    waiting.append(candidate)
                    if len(found) > MOST_FILES:
                        raise SourceError(f"{entry!r} imports more than {MOST_FILES} modules")
    return found


def _imports(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(_text(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module:
                yield module
            yield from (f"{module}.{alias.name}" if module else alias.name for alias in node.names)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_PYTHON_BYTES:
            raise SourceError(f"{path.name!r} is larger than 2 MB", hint="no module needs to be")
        return read_text(path.read_bytes())
    except OSError as problem:
        reason = (problem.strerror or type(problem).__name__).lower()
        raise SourceError(f"{path.name!r} cannot be read: {reason}") from problem


def _hash(root: Path, paths: tuple[str, ...]) -> str:
    try:
        return _digest(root, paths)
    except OSError as problem:
        reason = (problem.strerror or type(problem).__name__).lower()
        raise SourceError(f"the source cannot be read: {reason}") from problem


def _hash_of(folder: Path, paths: tuple[str, ...]) -> str:
    try:
        return _digest(folder, paths)
    except OSError:
        return ""


def _digest(root: Path, paths: tuple[str, ...]) -> str:
    whole = hashlib.sha256()
    for relative in sorted(paths):
        content = hashlib.sha256((root / relative).read_bytes()).hexdigest()
        whole.update(f"{relative}\0{content}\n".encode())
    return whole.hexdigest()
