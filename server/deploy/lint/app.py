"""`App`: one `fal.App` as its source tells it, with what it inherits within the folder."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from server.deploy.lint.known import HOOKS, KEYWORDS, SETTINGS, WMA_SETTINGS
from server.deploy.lint.module import FunctionNode, Module, Unit, assigned
from server.deploy.lint.text import Place
from server.deploy.lint.values import UNKNOWN, Item, items_of, listed, value_of

if TYPE_CHECKING:
    from server.deploy.lint.project import Project

How = Literal["attribute", "keyword", "toml"]
Lineage = tuple[tuple[Module, ast.ClassDef], ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting with its value, `UNKNOWN` where only running would tell.

    *place* is that of the value. *node* is the statement or keyword, *module* where it stands;
    None in a ``pyproject.toml``. *items* are the elements of a list.
    """

    name: str
    value: object
    place: Place
    how: How
    items: tuple[Item, ...] = ()
    module: Module | None = None
    node: ast.stmt | ast.keyword | None = None


@dataclass(frozen=True, slots=True)
class Method:
    """A method with the module that it is written in."""

    module: Module
    node: FunctionNode

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def unit(self) -> Unit:
        """The method's body."""
        return self.module.unit(self.node)

    @property
    def is_async(self) -> bool:
        return isinstance(self.node, ast.AsyncFunctionDef)

    @property
    def parameters(self) -> list[ast.arg]:
        """All parameters but ``self``."""
        given = self.node.args
        named = [*given.posonlyargs, *given.args]
        return [*named[1:], *given.kwonlyargs]

    def place(self) -> Place:
        return self.module.place(self.node)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method that callers reach. *call* is its decorator, *path* its value, known or not."""

    method: Method
    kind: Literal["endpoint", "realtime"]
    decorator: ast.expr
    path: object

    @property
    def call(self) -> ast.Call | None:
        """The decorator's call; None where it was written without brackets."""
        return self.decorator if isinstance(self.decorator, ast.Call) else None

    def option(self, name: str) -> ast.expr | None:
        """Return what a keyword of the decorator was given."""
        keywords = self.call.keywords if self.call else []
        return next((keyword.value for keyword in keywords if keyword.arg == name), None)

    @property
    def path_node(self) -> ast.expr | None:
        """Where the path is written."""
        return self.call.args[0] if self.call and self.call.args else self.option("path")

    @property
    def is_websocket(self) -> bool:
        return value_of(self.method.module, self.option("is_websocket")) is True


class App:
    """An app: a class (*lineage*, the class itself first), or an image alone."""

    def __init__(
        self, project: "Project", lineage: Lineage, toml: Mapping[str, Setting], *, name: str = ""
    ) -> None:
        self.project = project
        self.lineage = lineage
        self.toml = toml
        self.toml_name = name

    @property
    def module(self) -> Module:
        """The module of the class; only where there is a class."""
        return self.lineage[0][0]

    @property
    def node(self) -> ast.ClassDef:
        """The class statement; only where there is a class."""
        return self.lineage[0][1]

    @property
    def class_name(self) -> str:
        return self.node.name if self.lineage else ""

    @property
    def is_wma(self) -> bool:
        """It serves live sessions over WebRTC, by `fal.wma.App`."""
        return any(
            module.origin(base) == "fal.wma.App"
            for module, node in self.lineage
            for base in node.bases
        )

    def place(self) -> Place:
        """Return where the app is named: its class, or the file that names an image."""
        if self.lineage:
            return self.module.place(self.node)
        return next(iter(self.toml.values())).place if self.toml else self.project.entry.whole()

    @cached_property
    def written(self) -> list[Setting]:
        """What the classes say, base first: keywords and attributes, known to fal or not."""
        return [setting for pair in reversed(self.lineage) for setting in _written(*pair)]

    @cached_property
    def settings(self) -> Mapping[str, Setting]:
        """What counts in the end, by name; what a class says counts before ``pyproject.toml``."""
        found = {name: setting for name, setting in self.toml.items() if name != "name"}
        for setting in self.written:
            if setting.value is None:
                continue
            if setting.how == "keyword" and setting.name in KEYWORDS:
                found["app_name" if setting.name == "name" else setting.name] = setting
            elif setting.how == "attribute" and setting.name in SETTINGS | WMA_SETTINGS:
                found[setting.name] = setting
        return found

    def value(self, name: str, default: object = None) -> object:
        """Return a setting's value, *default* where it is not said, or `UNKNOWN`."""
        setting = self.settings.get(name)
        return default if setting is None else setting.value

    def number(self, name: str) -> int | None:
        """Return a whole number that a setting says; None where it says none."""
        value = self.value(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def place_of(self, name: str) -> Place:
        """Return where a setting stands, or the app where it is not said."""
        setting = self.settings.get(name)
        return setting.place if setting else self.place()

    @cached_property
    def machines(self) -> list[Item]:
        """The machine types that are tried in order; fal's ``S`` where none is said."""
        setting = self.settings.get("machine_type")
        if setting is None:
            return [Item("S", self.place())]
        if isinstance(setting.value, list | tuple):
            return list(setting.items)
        return [Item(setting.value, setting.place)]

    @cached_property
    def requirements(self) -> list[Item]:
        """The packages that are asked for, layers flattened; `UNKNOWN` parts are kept."""
        setting = self.settings.get("requirements")
        if setting is None:
            return []
        flat: list[Item] = []
        for item in setting.items:
            if isinstance(item.value, list | tuple):
                flat += self._layer(setting, item)
            else:
                flat.append(item)
        if not setting.items and setting.value is UNKNOWN:
            flat.append(Item(UNKNOWN, setting.place))
        return flat

    def _layer(self, setting: Setting, layer: Item) -> list[Item]:
        """Return the elements of one layer, each where it is written if that can be told."""
        node = setting.node
        if setting.module and isinstance(node, ast.Assign | ast.AnnAssign):
            for below in ast.iter_child_nodes(node.value or node):
                if isinstance(below, ast.List | ast.Tuple):
                    place = setting.module.place(below)
                    if (place.text, place.start) == (layer.place.text, layer.place.start):
                        return items_of(setting.module, below)
        values = listed(layer.value) or []
        return [Item(value, layer.place) for value in values]

    @cached_property
    def is_layered(self) -> bool:
        """The requirements are lists of lists, installed one after the other."""
        setting = self.settings.get("requirements")
        return bool(setting) and any(isinstance(item.value, list) for item in setting.items)

    @property
    def has_image(self) -> bool:
        """It brings a container image of its own."""
        return "image" in self.settings

    @cached_property
    def methods(self) -> Mapping[str, Method]:
        """All methods by name, the most derived of each."""
        return {
            node.name: Method(module, node)
            for module, owner in reversed(self.lineage)
            for node in owner.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }

    @cached_property
    def endpoints(self) -> list[Endpoint]:
        """All methods that callers reach."""
        return [
            endpoint
            for method in self.methods.values()
            if (endpoint := _endpoint(method, self.class_names)) is not None
        ]

    @cached_property
    def class_names(self) -> Mapping[str, tuple[Module, ast.expr]]:
        """What the class bodies bind, for expressions within them."""
        return {
            name: (module, value)
            for module, owner in reversed(self.lineage)
            for statement in owner.body
            for name, value in assigned(statement)
        }

    @cached_property
    def serving(self) -> list[Method]:
        """The methods that run for each call: endpoints, and not `setup` and its like."""
        return [endpoint.method for endpoint in self.endpoints]

    @cached_property
    def own_uses(self) -> frozenset[str]:
        """Names that the app's own code reads as attributes: ``self.upstream``, ``MyApp.limit``."""
        return frozenset(
            node.attr
            for module in self.project.modules
            for unit in module.units
            for node in unit.of(ast.Attribute)
            if isinstance(node.ctx, ast.Load)
        )

    def helpers(self) -> Iterator[Method]:
        """Yield the methods that are neither endpoints nor called by fal itself."""
        endpoints = {endpoint.method.name for endpoint in self.endpoints}
        for name, method in self.methods.items():
            if name not in endpoints and name not in HOOKS:
                yield method


def _written(module: Module, owner: ast.ClassDef) -> Iterator[Setting]:
    """Yield what one class statement says: its keywords, then its attributes."""
    names: dict[str, tuple[Module, ast.expr]] = {}
    for keyword in owner.keywords:
        if keyword.arg:
            yield _setting(module, keyword.arg, keyword.value, "keyword", keyword, names)
    for statement in owner.body:
        for name, value in assigned(statement):
            yield _setting(module, name, value, "attribute", statement, names)
            names[name] = module, value


def _setting(
    module: Module,
    name: str,
    value: ast.expr,
    how: How,
    node: ast.stmt | ast.keyword,
    names: Mapping[str, tuple[Module, ast.expr]],
) -> Setting:
    known: object = value_of(module, value, names)
    is_list = name in SETTINGS and (known is UNKNOWN or listed(known) is not None)
    items = tuple(items_of(module, value, names)) if is_list else ()
    return Setting(name, known, module.place(value), how, items, module, node)


def _endpoint(method: Method, names: Mapping[str, tuple[Module, ast.expr]]) -> Endpoint | None:
    """Return the endpoint that a method's decorators make of it, or None."""
    for decorator in method.node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        origin = method.module.origin(target)
        if origin == "fal.endpoint":
            kind: Literal["endpoint", "realtime"] = "endpoint"
        elif origin == "fal.realtime":
            kind = "realtime"
        else:
            continue
        endpoint = Endpoint(method, kind, decorator, None)
        path = value_of(method.module, endpoint.path_node, names) if endpoint.path_node else None
        return Endpoint(method, kind, decorator, path)
    return None
