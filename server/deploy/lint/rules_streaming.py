"""Rules on streams and on several calls at once in one runner."""

import ast
import re
from collections.abc import Iterator

from server.deploy.lint.app import App
from server.deploy.lint.rule import Breach, Patch, Rule

_ITERATES = re.compile(r"\b(?:Async)?(?:Iterator|Iterable|Generator)\b")
_STREAMS = re.compile(r"\b(?:StreamingResponse|EventSourceResponse)\b")


def _elsewhere(app: App) -> Iterator[Breach]:
    for endpoint in app.endpoints:
        path, method = endpoint.path, endpoint.method
        if endpoint.kind != "endpoint" or not isinstance(path, str) or endpoint.is_websocket:
            continue
        if path.rstrip("/").endswith("/stream") or not _STREAMS.search(
            method.module.source(method.node)
        ):
            continue
        place = method.module.place(endpoint.path_node or endpoint.decorator)
        message = f"{method.name!r} streams at {path!r}, and clients ask for '/stream'"
        yield Breach(place, message, f'"{path.rstrip("/")}/stream"')


def _unbuffered(app: App) -> Iterator[Breach]:
    for endpoint in app.endpoints:
        call, method = endpoint.call, endpoint.method
        if endpoint.kind != "realtime" or call is None or endpoint.option("buffering"):
            continue
        returns = method.node.returns
        if returns is None or not _ITERATES.search(method.module.source(returns)):
            continue
        place = method.module.place(call)
        before = place.text.content[: place.end - 1].rstrip()
        patches: tuple[Patch, ...] = ()
        if not any(item.arg is None for item in call.keywords) and not before.endswith((",", "(")):
            patches = ((len(before), len(before), ", buffering=16"),)
        message = f"{method.name!r} streams without buffering: messages overtake each other (2 fit)"
        yield Breach(place, message, "buffering=16", patches)


def _threads(app: App) -> Iterator[Breach]:
    many = app.number("max_multiplexing") or 1
    if many > 1 and app.endpoints and not any(method.is_async for method in app.serving):
        message = f"max_multiplexing {many} with endpoints that are not async: they run in threads"
        yield Breach(
            app.place_of("max_multiplexing"), message, "a thread-safe model, or async endpoints"
        )


def _shared(app: App) -> Iterator[Breach]:
    many = app.number("max_multiplexing") or 1
    if many <= 1:
        return
    for method in app.serving:
        unit = method.unit
        targets = [target for node in unit.of(ast.Assign) for target in node.targets]
        targets += [node.target for node in unit.of(ast.AugAssign)]
        targets += [node.target for node in unit.of(ast.AnnAssign) if node.value]
        for target in targets:
            if isinstance(target, ast.Attribute) and method.module.origin(target.value) == "self":
                name = f"self.{target.attr}"
                message = f"{name} is shared by {many} calls at once, and {method.name!r} sets it"
                yield Breach(method.module.place(target), message, "keep it in a local variable")


RULES = (
    Rule(
        "FAL078", "info", "stream at an unusual path",
        "The clients' stream() asks for /stream unless told otherwise.", "Streaming", "source",
        _elsewhere,
    ),
    Rule(
        "FAL082", "warning", "realtime stream without buffering",
        "The outgoing queue holds two messages; beyond it their order is lost.", "Realtime", "run",
        _unbuffered, mends=True,
    ),
    Rule(
        "FAL084", "info", "several calls at once in threads",
        "Most models cannot be called from two threads at once.", "Scaling Parameter Reference",
        "judgement", _threads,
    ),
    Rule(
        "FAL085", "warning", "state of one call on self",
        "Another call at the same time reads or replaces it.", "Scaling Parameter Reference",
        "judgement", _shared,
    ),
)  # fmt: skip
