"""Rules on input models: bounds, lengths, descriptions, addresses."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from server.deploy.lint.app import App
from server.deploy.lint.module import Module
from server.deploy.lint.reading import once
from server.deploy.lint.rule import Breach, Rule

_MODELS = ("BaseModel", "FalBaseModel")
_FIELDS = re.compile(r"(?:^|\.)\w*Field$")
_NUMBER = re.compile(r"\b(?:int|float)\b")
_TEXT = re.compile(r"\bstr\b")
_CLOSED = re.compile(r"\bLiteral\b|\bbool\b|\bEnum\b")
MOST_MODELS = 60


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of an input model: what its annotation says, and the keywords of ``Field()``."""

    module: Module
    node: ast.AnnAssign
    name: str
    owner: str
    words: str
    said: frozenset[str]
    has_call: bool


@once
def _fields(app: App) -> list[_Field]:
    """Return the fields of all models that endpoints take, each model once."""
    found_fields: list[_Field] = []
    seen: set[int] = set()
    stack: list[tuple[Module, ast.AST]] = [
        (endpoint.method.module, parameter.annotation)
        for endpoint in app.endpoints
        for parameter in endpoint.method.parameters
        if parameter.annotation is not None
    ]
    while stack and len(seen) < MOST_MODELS:
        module, note = stack.pop(0)
        names = [node for node in ast.walk(note) if isinstance(node, ast.Name | ast.Attribute)]
        for name in names:
            found = app.project.find_class(module, name)
            if found is None or id(found[1]) in seen or not _is_model(app, found):
                continue
            for owner_module, owner in app.project.lineage(*found):
                if id(owner) in seen:
                    continue
                seen.add(id(owner))
                for field in _of_class(owner_module, owner):
                    stack.append((field.module, field.node.annotation))
                    found_fields.append(field)
    return found_fields


def _is_model(app: App, found: tuple[Module, ast.ClassDef]) -> bool:
    return any(
        module.origin(base).endswith(_MODELS)
        for module, node in app.project.lineage(*found)
        for base in node.bases
    )


def _of_class(module: Module, owner: ast.ClassDef) -> Iterator[_Field]:
    for node in owner.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        words = module.source(node.annotation)
        if node.target.id.startswith("_") or "ClassVar" in words:
            continue
        said: set[str] = set()
        has_call = False
        for call in _field_calls(module, node):
            has_call = True
            said |= {keyword.arg or "*" for keyword in call.keywords}
        yield _Field(
            module, node, node.target.id, owner.name, _bare(words), frozenset(said), has_call
        )


def _field_calls(module: Module, node: ast.AnnAssign) -> Iterator[ast.Call]:
    for part in (node.value, node.annotation):
        for below in ast.walk(part) if part is not None else ():
            if isinstance(below, ast.Call) and _FIELDS.search(module.origin(below.func)):
                yield below


def _bare(words: str) -> str:
    """Return an annotation without strings and calls, so that only its types are left."""
    return re.sub(r"\([^()]*\)|\"[^\"]*\"|'[^']*'", "", words)


def _bounds(app: App) -> Iterator[Breach]:
    limits = {"ge", "gt", "le", "lt", "*", "multiple_of"}
    for field in _fields(app):
        is_plain = _NUMBER.search(field.words) and not _CLOSED.search(field.words)
        if is_plain and not field.said & limits and field.name != "seed":
            message = f"{field.owner}.{field.name} is a number without bounds"
            yield Breach(field.module.place(field.node), message, "Field(..., ge=..., le=...)")


def _lengths(app: App) -> Iterator[Breach]:
    limits = {"max_length", "pattern", "*"}
    for field in _fields(app):
        is_plain = _TEXT.search(field.words) and not _CLOSED.search(field.words)
        if is_plain and not field.said & limits and not _is_address(field.name):
            message = f"{field.owner}.{field.name} is text of any length"
            yield Breach(field.module.place(field.node), message, "Field(..., max_length=...)")


def _descriptions(app: App) -> Iterator[Breach]:
    for field in _fields(app):
        if not field.said & {"description", "title", "*"}:
            message = f"{field.owner}.{field.name} has no description"
            yield Breach(field.module.place(field.node), message, 'Field(..., description="...")')


def _addresses(app: App) -> Iterator[Breach]:
    for field in _fields(app):
        if _is_address(field.name) and _TEXT.search(field.words) and "pattern" not in field.said:
            message = f"{field.owner}.{field.name} is an address of any kind, as plain text"
            fix = "fal.toolkit.Image or File as type, which refuse private addresses"
            yield Breach(field.module.place(field.node), message, fix)


def _is_address(name: str) -> bool:
    return name.endswith(("url", "urls", "uri"))


RULES = (
    Rule(
        "FAL090", "info", "number without bounds",
        "A caller may ask for any number of steps or pixels, and you pay for them.",
        "Application Setup", "documentation", _bounds,
    ),
    Rule(
        "FAL091", "info", "text of any length", "A caller may send megabytes of it.",
        "Application Setup", "documentation", _lengths,
    ),
    Rule(
        "FAL092", "info", "input without a description",
        "The playground and assistants show nothing but its name.", "Application Setup",
        "documentation", _descriptions,
    ),
    Rule(
        "FAL093", "info", "address as plain text",
        "A server that fetches what it is told can be sent to places inside the network.",
        "Application Setup", "documentation", _addresses,
    ),
)  # fmt: skip
