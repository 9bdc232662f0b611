"""`Project`: the files of one folder as an app sees them, from its entry through its imports."""

import ast
from collections.abc import Iterator, Mapping
from functools import cached_property

from server.deploy.lint.app import App, Lineage, Setting
from server.deploy.lint.module import Module, UnreadableError
from server.deploy.lint.rule import Breach
from server.deploy.lint.text import Text
from server.deploy.lint.toml import TomlApp, read_toml

PYPROJECT = "pyproject.toml"
APP_BASES = frozenset({"fal.App", "fal.wma.App"})
MOST_MODULES = 200
MOST_BASES = 20


class Project:
    """What is checked together. *entry* is the app's module; a ``pyproject.toml`` may name more.

    *class_name* chooses among several apps: a class, or the name of one in ``pyproject.toml``.
    """

    def __init__(self, files: Mapping[str, str], entry: str, class_name: str = "") -> None:
        self.files = files
        self.unreadable: list[Breach] = []
        self.toml_text = Text(PYPROJECT, files[PYPROJECT]) if PYPROJECT in files else None
        self.toml_apps: tuple[TomlApp, ...] = ()
        if self.toml_text is not None:
            self.toml_apps, broken = read_toml(self.toml_text)
            self.unreadable += broken
        self.toml = self._chosen_toml(entry, class_name)
        path, named = self._reference(entry, class_name)
        self.class_name = named
        self.entry = Text(path, files.get(path, ""))
        self.has_entry = path in files and path != PYPROJECT
        self.main = self._module(path) if self.has_entry else None
        self.modules: list[Module] = []
        self.at_import: set[str] = set()
        self._read_imports()
        self._lend()

    def _chosen_toml(self, entry: str, class_name: str) -> TomlApp | None:
        """Return the app of ``pyproject.toml`` that is meant, or None."""
        for app in self.toml_apps:
            if class_name and class_name == app.name:
                return app
        fitting = [
            app
            for app in self.toml_apps
            if entry in ("", PYPROJECT)
            or (app.file == entry and (not class_name or app.class_name in ("", class_name)))
        ]
        return fitting[0] if len(fitting) == 1 else None

    def _reference(self, entry: str, class_name: str) -> tuple[str, str]:
        """Return the module that is meant and the class in it, each empty where there is none."""
        if self.toml is None:
            return entry or PYPROJECT, class_name
        named = self.toml.class_name if class_name in ("", self.toml.name) else class_name
        return self.toml.file or PYPROJECT, named

    def _module(self, path: str) -> Module | None:
        """Return the parsed file, or None after saying why it cannot be read."""
        text = self.entry if path == self.entry.path else Text(path, self.files[path])
        try:
            return Module(text, module_name(path))
        except UnreadableError as problem:
            place = text.whole()
            if problem.line:
                place = text.at(text.offset(problem.line, 0))
            self.unreadable.append(Breach(place, problem.reason, "mend it, then check again"))
            return None

    def _read_imports(self) -> None:
        """Read the local modules that the entry brings in, at import or later."""
        if self.main is None:
            return
        self.modules = [self.main]
        self.at_import = {self.main.name}
        seen = {self.main.text.path}
        for module in self.modules:
            for path, is_early in sorted(self._imported(module).items()):
                if path in seen or len(self.modules) >= MOST_MODULES:
                    continue
                seen.add(path)
                found = self._module(path)
                if found is not None:
                    self.modules.append(found)
                    if is_early and module.name in self.at_import:
                        self.at_import.add(found.name)

    def _lend(self) -> None:
        """Tell each module what the constants and classes are that it imports from the others."""
        by_name = {module.name: module for module in self.modules}
        for module in self.modules if len(self.modules) > 1 else ():
            for node in module.at_import.of(ast.ImportFrom):
                lender = by_name.get(absolute(module, node))
                for alias in node.names if lender else ():
                    name = alias.asname or alias.name
                    if lender and alias.name in lender.constants:
                        module.borrowed[name] = lender, lender.constants[alias.name]
                    elif lender and alias.name in lender.classes:
                        module.borrowed_classes[name] = lender, lender.classes[alias.name]

    def _imported(self, module: Module) -> dict[str, bool]:
        """Return the local files that *module* imports, each with whether it does so at once."""
        found: dict[str, bool] = {}
        for number, unit in enumerate(module.units):
            names = [alias.name for node in unit.of(ast.Import) for alias in node.names]
            for node in unit.of(ast.ImportFrom):
                base = absolute(module, node)
                names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
            for name in names:
                for path in self.paths_of(name):
                    found[path] = found.get(path, False) or number == 0
        return found

    def paths_of(self, name: str) -> Iterator[str]:
        """Yield the local files that importing *name* runs: the module and its packages."""
        parts = name.strip(".").split(".")
        folder = self.entry.path.rpartition("/")[0]
        for count in range(1, len(parts) + 1):
            stem = "/".join(parts[:count])
            for root in dict.fromkeys((f"{folder}/" if folder else "", "")):
                for path in (f"{root}{stem}.py", f"{root}{stem}/__init__.py"):
                    if path in self.files:
                        yield path

    def is_local(self, root: str) -> bool:
        """Return whether the first part of an import names something of this folder."""
        folder = self.entry.path.rpartition("/")[0]
        prefixes = {"", f"{folder}/" if folder else ""}
        return any(
            path == f"{prefix}{root}.py" or path.startswith(f"{prefix}{root}/")
            for path in self.files
            for prefix in prefixes
            if path.endswith(".py")
        )

    @cached_property
    def early(self) -> list[Module]:
        """The modules that run on the machine that deploys."""
        return [module for module in self.modules if module.name in self.at_import]

    @cached_property
    def classes(self) -> Mapping[str, tuple[Module, ast.ClassDef]]:
        """All classes at module level, by dotted name and by where they are defined."""
        return {
            f"{module.name}.{name}": (module, node)
            for module in self.modules
            for name, node in module.classes.items()
        }

    def find_class(self, module: Module, node: ast.AST) -> tuple[Module, ast.ClassDef] | None:
        """Return the class of this folder that *node* refers to, in *module*; else None."""
        name = module.origin(node)
        if not name:
            return None
        if name in module.classes:
            return module, module.classes[name]
        if name.startswith("."):
            name = relative(module, name)
        if name in self.classes:
            return self.classes[name]
        owner, _, last = name.rpartition(".")
        for other in self.modules:  # re-exported by a package
            if other.name == owner and last in other.at_import.imports:
                onward = absolute_name(other, other.at_import.imports[last])
                return self.classes.get(onward)
        return None

    def lineage(self, module: Module, node: ast.ClassDef) -> Lineage:
        """Return the class and its bases within this folder, nearest first."""
        found: list[tuple[Module, ast.ClassDef]] = [(module, node)]
        for owner, current in found:
            for base in current.bases:
                target = base.value if isinstance(base, ast.Subscript) else base
                other = self.find_class(owner, target)
                if other is not None and other not in found and len(found) < MOST_BASES:
                    found.append(other)
        return tuple(found)

    def is_app(self, lineage: Lineage) -> bool:
        """Return whether a class is a `fal.App`, itself or through its bases."""
        return any(
            module.origin(base) in APP_BASES for module, node in lineage for base in node.bases
        )

    @cached_property
    def app_classes(self) -> Mapping[str, Lineage]:
        """The apps at module level of the entry, those that it imports from beside it too."""
        if self.main is None:
            return {}
        found: dict[str, Lineage] = {}
        for name, node in self.main.classes.items():
            lineage = self.lineage(self.main, node)
            if self.is_app(lineage):
                found[name] = lineage
        for name in self.main.at_import.imports:
            other = self.find_class(self.main, ast.Name(name, ast.Load()))
            if other is not None and self.is_app(lineage := self.lineage(*other)):
                found.setdefault(name, lineage)
        return found

    @cached_property
    def apps(self) -> list[App]:
        """The apps that are checked: the chosen one, or all that are there."""
        toml: Mapping[str, Setting] = self.toml.settings if self.toml else {}
        name = self.toml.name if self.toml else ""
        if self.toml is not None and not self.toml.file:
            return [App(self, (), toml, name=name)]
        chosen = [
            lineage
            for key, lineage in self.app_classes.items()
            if not self.class_name or key == self.class_name
        ]
        bases = {id(node) for lineage in chosen for _, node in lineage[1:]}
        if not self.class_name and len(chosen) > 1:  # a base of another app is no app to deploy
            chosen = [lineage for lineage in chosen if id(lineage[0][1]) not in bases] or chosen
        return [App(self, lineage, toml, name=name) for lineage in chosen]


def module_name(path: str) -> str:
    """Return what a file is imported as: ``pkg/tool.py`` is ``pkg.tool``."""
    stem = path.removesuffix(".py").removesuffix("/__init__")
    return stem.replace("/", ".")


def relative(module: Module, name: str) -> str:
    """Return the dotted name that a relative one stands for in *module*."""
    level = len(name) - len(name.lstrip("."))
    package = module.name.split(".")
    if not module.text.path.endswith("__init__.py"):
        package = package[:-1]
    base = package[: len(package) - (level - 1)] if level > 1 else package
    return ".".join([*base, name.lstrip(".")])


def absolute_name(module: Module, name: str) -> str:
    """Return *name* without leading dots."""
    return relative(module, name) if name.startswith(".") else name


def absolute(module: Module, node: ast.ImportFrom) -> str:
    """Return the dotted module that a from-import names."""
    name = "." * node.level + (node.module or "")
    return relative(module, name).strip(".") if node.level else name
