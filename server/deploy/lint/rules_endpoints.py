"""Rules on endpoints: their paths, their signatures, and what they do while a caller waits."""

import ast
import re
from collections.abc import Iterator
from typing import Literal

from server.deploy.lint.app import App, Endpoint, Method
from server.deploy.lint.known import GONE
from server.deploy.lint.module import walk
from server.deploy.lint.packages import GPU_PACKAGES
from server.deploy.lint.reading import calls, keyword, loader_of, packages, string_patch
from server.deploy.lint.rule import Breach, Patch, Rule
from server.deploy.lint.values import UNKNOWN, shown, value_of

LONG_REQUEST = 900  # seconds after which somebody will want to stop a call
_SCALARS = frozenset({"str", "int", "float", "bool", "bytes"})
_OPEN = frozenset({"dict", "Any", "typing.Any", "object", "typing.Dict", "Dict"})
_FRAMEWORK = (
    "fastapi.", "starlette.", "WebSocket", "Request", "Response", "BackgroundTasks", "UploadFile",
)  # fmt: skip
_BLOCKING = (
    "time.sleep", "requests.get", "requests.post", "requests.put", "requests.request",
    "requests.head", "subprocess.run", "subprocess.check_output", "subprocess.check_call",
    "subprocess.call", "os.system", "urllib.request.urlopen", "urllib.request.urlretrieve",
    "httpx.get", "httpx.post", "fal_client.subscribe", "fal_client.run",
)  # fmt: skip
_MODEL_CALL = re.compile(r"self\.(?:pipe|pipeline|model|generator|transcriber|upscaler)$")
Kind = Literal["scalar", "open", "model"]


def _none(app: App) -> Iterator[Breach]:
    if not app.lineage or app.endpoints or app.is_wma or _has_foreign_base(app):
        return
    message = f"{app.class_name} has no endpoint: 'Failed to generate OpenAPI metadata'"
    yield Breach(app.place(), message, '@fal.endpoint("/")')


def _has_foreign_base(app: App) -> bool:
    """Return whether a base class stands outside of the folder, where endpoints may be."""
    for module, node in app.lineage:
        for base in node.bases:
            name = module.origin(base)
            outside = name not in ("fal.App", "fal.wma.App", "abc.ABC", "ABC", "typing.Generic")
            if outside and name not in GONE and app.project.find_class(module, base) is None:
                return True
    return False


def _paths(app: App) -> Iterator[Breach]:
    for endpoint in app.endpoints:
        path, node = endpoint.path, endpoint.path_node
        if node is None or path is UNKNOWN or (isinstance(path, str) and path.startswith("/")):
            continue
        place = endpoint.method.module.place(node)
        patches = string_patch(place, f"/{path}") if isinstance(path, str) else ()
        fix = f'"/{path}"' if isinstance(path, str) else 'such as "/generate"'
        yield Breach(place, f"the path {shown(path)} does not begin with a slash", fix, patches)


def _same_path(app: App) -> Iterator[Breach]:
    taken: dict[str, str] = {}
    for endpoint in app.endpoints:
        if not isinstance(endpoint.path, str) or endpoint.path_node is None:
            continue
        name = endpoint.method.name
        if endpoint.path in taken:
            place = endpoint.method.module.place(endpoint.path_node)
            message = f"the path {endpoint.path!r} is that of {taken[endpoint.path]!r} already"
            yield Breach(place, message, f'"/{name.replace("_", "-")}"')
        taken.setdefault(endpoint.path, name)


def _health(app: App) -> Iterator[Breach]:
    for endpoint in app.endpoints:
        call = endpoint.call
        if endpoint.path != "/health" or call is None or endpoint.option("health_check"):
            continue
        if any(item.arg is None for item in call.keywords):
            continue
        module = endpoint.method.module
        alias = next(
            (name for name, origin in module.at_import.imports.items() if origin == "fal"), ""
        )
        place = module.place(call)
        before = place.text.content[: place.end - 1].rstrip()
        patches: tuple[Patch, ...] = ()
        if alias and not before.endswith(",") and not endpoint.is_websocket:
            end = len(before)
            patches = ((end, end, f", health_check={alias}.HealthCheck()"),)
        message = (
            "an endpoint at '/health' does not tell fal that the runner is well: GET /health does"
        )
        yield Breach(place, message, "health_check=fal.HealthCheck()", patches)


def _websocket(app: App) -> Iterator[Breach]:
    for endpoint in app.endpoints:
        if not endpoint.is_websocket:
            continue
        method = endpoint.method
        if not method.is_async:
            message = f"the websocket endpoint {method.name!r} is not async"
            yield Breach(method.place(), message, f"async def {method.name}(...)")
        elif not any(_words(method, item).endswith("WebSocket") for item in method.parameters):
            message = f"the websocket endpoint {method.name!r} takes no parameter of type WebSocket"
            yield Breach(method.place(), message, "ws: fastapi.WebSocket")
        if endpoint.option("health_check") is not None:
            message = "a websocket endpoint cannot be the health check"
            yield Breach(method.place(), message, "an ordinary endpoint")


def _words(method: Method, parameter: ast.arg) -> str:
    """Return a parameter's annotation as a dotted name, quotes taken off; else empty."""
    note = parameter.annotation
    if isinstance(note, ast.Constant) and isinstance(note.value, str):
        return note.value.strip()
    return method.module.origin(note, method.unit) if note is not None else ""


def kind_of(method: Method, parameter: ast.arg) -> tuple[Kind, str]:
    """Return what a parameter is to FastAPI, with its type in words.

    A scalar becomes a query parameter, an open one has no schema, a model is the body.
    """
    note = parameter.annotation
    if note is None:
        return "model", ""
    names = _type_names(method, note)
    words = method.module.source(note)
    if names and all(name in _SCALARS for name in names):
        return "scalar", words
    if names and all(name in _OPEN for name in names):
        return "open", words
    return "model", words


def _type_names(method: Method, note: ast.expr) -> list[str]:
    """Return the types that an annotation allows, the outer ones of containers."""
    names: list[str] = []
    stack = [note]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.BinOp):
            stack += [node.left, node.right]
        elif isinstance(node, ast.Subscript):
            outer = method.module.origin(node.value).rpartition(".")[2]
            if outer in ("Optional", "Union"):
                stack += node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            else:
                names.append("str" if outer == "Literal" else outer)
        elif isinstance(node, ast.Constant):
            stack += _unquoted(node.value) if isinstance(node.value, str) else []
        else:
            names.append(method.module.origin(node))
    return names


def _unquoted(words: str) -> list[ast.expr]:
    """Return the expression of an annotation that is written as a string."""
    try:
        return [ast.parse(words[:500], mode="eval").body]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _signatures(app: App) -> Iterator[Breach]:
    for endpoint in app.endpoints:
        if endpoint.is_websocket:
            continue
        method = endpoint.method
        has_path = {
            f"{{{item.arg}" for item in method.parameters if f"{{{item.arg}" in str(endpoint.path)
        }
        for parameter, default in _with_defaults(method):
            if f"{{{parameter.arg}" in has_path or _is_framework(method, parameter, default):
                continue
            yield from _signature(endpoint, parameter)


def _signature(endpoint: Endpoint, parameter: ast.arg) -> Iterator[Breach]:
    method = endpoint.method
    place = method.module.place(parameter)
    is_realtime = endpoint.kind == "realtime"
    if parameter.annotation is None:
        message = f"parameter {parameter.arg!r} of {method.name!r} has no type, so no schema"
        fix = "a pydantic model: input: Input"
        yield Breach(place, message, fix, severity="warning" if is_realtime else None)
        return
    kind, words = kind_of(method, parameter)
    if kind == "open":
        message = f"parameter {parameter.arg!r} of {method.name!r} is {words}: it has no schema"
        yield Breach(place, message, "a pydantic model", severity="warning")
    elif kind == "scalar" and not is_realtime:
        message = (
            f"parameter {parameter.arg!r} of {method.name!r} is {words}: it becomes a query"
            " parameter, and clients send JSON"
        )
        yield Breach(place, message, "a field of a pydantic model")


def _with_defaults(method: Method) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    given = method.node.args
    named = [*given.posonlyargs, *given.args]
    blanks: list[ast.expr | None] = [None] * (len(named) - len(given.defaults))
    pairs = list(zip(named, [*blanks, *given.defaults], strict=True))
    yield from pairs[1:]
    yield from zip(given.kwonlyargs, given.kw_defaults, strict=True)


def _is_framework(method: Method, parameter: ast.arg, default: ast.expr | None) -> bool:
    """Return whether FastAPI fills the parameter by itself: a request, a header, a dependency."""
    if _words(method, parameter).startswith(_FRAMEWORK):
        return True
    return isinstance(default, ast.Call) and method.module.origin(default.func).startswith(
        ("fastapi.", "Header", "Depends", "Body", "Query")
    )


def _no_answer(app: App) -> Iterator[Breach]:
    for endpoint in app.endpoints:
        method = endpoint.method
        if endpoint.is_websocket or method.node.returns is not None:
            continue
        if _streams(endpoint) or str(endpoint.path).endswith("/cancel"):
            continue
        message = (
            f"{method.name!r} names no return type: callers and playground see no output schema"
        )
        yield Breach(method.place(), message, "-> Output, a pydantic model")


def _streams(endpoint: Endpoint) -> bool:
    """Return whether the endpoint answers with a stream."""
    method = endpoint.method
    names = {node.id for node in method.unit.of(ast.Name)}
    names |= {node.attr for node in method.unit.of(ast.Attribute)}
    if method.node.returns is not None:
        names |= set(re.findall(r"\w+", method.module.source(method.node.returns)))
    return bool(names & {"StreamingResponse", "EventSourceResponse"})


def _no_cancel(app: App) -> Iterator[Breach]:
    limit = app.number("request_timeout")
    if limit is None or limit < LONG_REQUEST or not app.endpoints:
        return
    if any(str(endpoint.path).endswith("/cancel") for endpoint in app.endpoints):
        return
    path = next((str(item.path) for item in app.endpoints if isinstance(item.path, str)), "/")
    message = f"calls may run for {limit} seconds, and no endpoint lets a caller stop one"
    yield Breach(
        app.place_of("request_timeout"), message, f'@fal.endpoint("{path.rstrip("/")}/cancel")'
    )


def _loads_per_call(app: App) -> Iterator[Breach]:
    for method in app.serving:
        cached = _under_condition(method)
        for call, last in calls(method.unit):
            name = loader_of(method.module, method.unit, call, last)
            if name and id(call) not in cached:
                message = f"{name}() in the endpoint {method.name!r} loads weights at every call"
                yield Breach(method.module.place(call), message, "load in setup(), keep on self")


def _under_condition(method: Method) -> set[int]:
    """Return what runs only while something on ``self`` is missing: that loads once."""
    found: set[int] = set()
    for node in method.unit.of(ast.If):
        if any(isinstance(below, ast.Name) and below.id == "self" for below in walk(node.test)):
            found |= {id(below) for statement in node.body for below in walk(statement)}
    return found


def _blocks(app: App) -> Iterator[Breach]:
    for method in app.serving:
        if not method.is_async:
            continue
        elsewhere = _elsewhere(method)
        for call in method.unit.of(ast.Call):
            name = method.module.origin(call.func, method.unit)
            if id(call) in elsewhere or not (name in _BLOCKING or _MODEL_CALL.match(name)):
                continue
            message = f"{name}() stops the event loop of the async endpoint {method.name!r}"
            yield Breach(
                method.module.place(call), message, "def instead of async def, or asyncio.to_thread"
            )


def _elsewhere(method: Method) -> set[int]:
    """Return what an async method awaits, or leaves to functions that run elsewhere."""
    found = {id(node.value) for node in method.unit.of(ast.Await)}
    for node in [*method.unit.of(ast.FunctionDef), *method.unit.of(ast.Lambda)]:
        found |= {id(below) for below in walk(node)}
    return found


def _no_setup(app: App) -> Iterator[Breach]:
    if not app.endpoints or "setup" in app.methods or app.is_wma or _has_foreign_base(app):
        return
    found = sorted(packages(app) & GPU_PACKAGES)
    if found:
        message = (
            f"{found[0]!r} is required and there is no setup(): the first call pays for loading"
        )
        yield Breach(app.place(), message, "def setup(self): self.model = ...")


def _unavailable(app: App) -> Iterator[Breach]:
    for endpoint in app.endpoints:
        if endpoint.option("health_check") is not None:
            continue
        method = endpoint.method
        for node in method.unit.of(ast.Raise):
            if isinstance(node.exc, ast.Call) and (code := _code_503(method, node.exc)) is not None:
                place = method.module.place(code)
                message = f"raising 503 in {method.name!r} makes fal kill the runner"
                patches: tuple[Patch, ...] = ()
                if place.text.content[place.start : place.end] == "503":
                    patches = ((place.start, place.end, "500"),)
                yield Breach(place, message, "500, or a 4xx where the caller is wrong", patches)


def _code_503(method: Method, call: ast.Call) -> ast.expr | None:
    """Return where an exception is given the status 503."""
    given = [
        *call.args,
        keyword(call, "status_code"),
        keyword(call, "code"),
        keyword(call, "status"),
    ]
    for node in given:
        if node is not None and value_of(method.module, node) == 503:
            return node
        if method.module.origin(node).endswith("HTTP_503_SERVICE_UNAVAILABLE"):
            return node
    return None


RULES = (
    Rule(
        "FAL070", "error", "no endpoint", "An app needs at least one route.", "Core Concepts",
        "run", _none,
    ),
    Rule(
        "FAL071", "error", "path without a slash",
        "The deploy goes through, and every call of the endpoint is answered 404.", "Core Concepts",
        "run", _paths, mends=True,
    ),
    Rule(
        "FAL072", "error", "two endpoints at one path", "Only one of them is ever called.",
        "Core Concepts", "source", _same_path,
    ),
    Rule(
        "FAL073", "warning", "/health that fal does not ask",
        "fal asks an endpoint for the runner's health only if it has health_check=.",
        "Add Health Check Endpoint", "run", _health, mends=True,
    ),
    Rule(
        "FAL074", "error", "websocket endpoint of the wrong shape",
        "The description of the app cannot be made, and the deploy ends.", "Realtime", "run",
        _websocket,
    ),
    Rule(
        "FAL075", "error", "input without a model",
        "Clients send one JSON object; a scalar parameter is sought in the address.",
        "Core Concepts", "run", _signatures,
    ),
    Rule(
        "FAL076", "warning", "no return type", "There is no output schema to describe or check.",
        "Core Concepts", "documentation", _no_answer,
    ),
    Rule(
        "FAL077", "info", "long calls that cannot be stopped",
        "fal tells a running call that it is cancelled by POST to <path>/cancel.",
        "Handle Cancellations", "documentation", _no_cancel,
    ),
    Rule(
        "FAL080", "warning", "weights loaded at every call",
        "A call then takes as long as a start.", "App Lifecycle", "documentation", _loads_per_call,
    ),
    Rule(
        "FAL081", "warning", "blocking call in an async endpoint",
        "Meanwhile nothing else is answered, health checks included.", "Readiness and Liveness",
        "judgement", _blocks,
    ),
    Rule(
        "FAL083", "warning", "no setup()",
        "A runner counts as ready before its model is loaded.", "Readiness and Liveness",
        "documentation", _no_setup,
    ),
    Rule(
        "FAL086", "warning", "503 for an ordinary failure",
        "fal takes 503 as a sick runner: it is killed and the call repeated.",
        "Retries and Error Handling", "documentation", _unavailable, mends=True,
    ),
)  # fmt: skip
