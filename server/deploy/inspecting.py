"""`inspect`: what an app is, read from the app itself in a process without key and network."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import anyio
import anyio.to_thread

from server.deploy.environments import AppEnvironment, ToolEnvironment
from server.deploy.folders import short_lived
from server.deploy.isolation import (
    Confined,
    Confinement,
    child_environment,
    confined,
    interpreter_folders,
)
from server.deploy.nurseries import Nursery
from server.deploy.processes import Child, ending, harmless, read_all, record_of, started
from server.deploy.targets import numbers_of
from server.fal.wire import plain
from tools.deploy_records import AppSettings, Route, RouteKind
from tools.errors import BackendError

PROGRAM = Path(__file__).parent / "child" / "inspect_app.py"
SECONDS = 20.0
_ANSWER_BYTES = 4 << 20
_SAID_LINES = 50
_MEMORY_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an app says it is.

    *openapi* is fal's whole document. *health* is the path of its health check, empty where there
    is none. *said* are the first lines that it printed while it was imported: other people's text.
    *applied* and *not_applied* say how it was kept apart.
    """

    app_name: str
    class_name: str
    openapi: Mapping[str, Any]
    routes: tuple[Route, ...]
    settings: AppSettings
    health: str
    python_version: str
    said: tuple[str, ...] = ()
    applied: tuple[str, ...] = ()
    not_applied: tuple[str, ...] = ()
    seconds: float = 0.0


async def inspect(
    folder: Path,
    file: str,
    class_name: str,
    tool: ToolEnvironment,
    environment: AppEnvironment | None = None,
    *,
    seconds: float = SECONDS,
    nursery: Nursery | None = None,
) -> Inspection:
    """Import *file* of *folder* in a child and return what the `fal.App` *class_name* in it is.

    An empty *class_name* stands for the only one. Without *environment* the app is imported with
    `fal` and what it brings alone: heavy imports belong into methods. Where a *nursery* stands
    ready and fits, the child is born there, some five times as fast.

    Raises:
        BackendError: it cannot be imported, is no app, or takes too long; the words hold the
            failing lines.
    """
    began = time.monotonic()
    python = environment.python if environment is not None else tool.python
    asked = {
        "folder": str(folder),
        "file": file,
        "class_name": class_name,
        "site": str(tool.site),
    }
    with short_lived() as made:
        own = await anyio.to_thread.run_sync(_own, made)
        wanted = Confinement(
            own=own,
            folder=own,
            readable=(folder, tool.site, *tool.base, *interpreter_folders(python)),
            memory_bytes=_MEMORY_BYTES,
            cpu_seconds=int(seconds) + 5,
        )
        command = (str(python), "-I", str(PROGRAM), json.dumps(asked))
        kept = await confined(tool.python, wanted, command)
        fits = nursery if python == tool.python else None
        heard, status = await _heard(kept, own, seconds, fits)
    if heard is None:
        raise BackendError(
            f"importing '{file}' did not end within {seconds:.0f} seconds",
            hint="what waits or works at module level belongs into setup()",
        )
    if heard.app is None:
        raise BackendError(
            f"'{file}' cannot be imported: {heard.reason(status)}",
            hint="mend it and check it again",
        )
    try:
        return _inspection(heard.app, tuple(heard.said), kept, began)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as problem:
        raise BackendError(
            f"'{file}' tells of itself what no fal.App is",
            hint="settings and routes must be plain values; check the file by its lint alone",
        ) from problem


def _own(made: Path) -> Path:
    (made / "tmp").mkdir()
    return made


async def _heard(
    kept: Confined, own: Path, seconds: float, nursery: Nursery | None
) -> "tuple[_Heard | None, int]":
    """Run a child and return what came of it and its status; None where it took too long."""
    environment = child_environment(own, own, {})
    child = await nursery.born(kept, environment, own) if nursery is not None else None
    if child is None:
        child = started(kept.command, environment, own, waits=kept.nested)
    heard, status = _Heard(child), 0
    with anyio.move_on_after(seconds) as bound:
        status = await read_all(child, heard.told, heard.raw)
    if kept.group is not None:
        await anyio.to_thread.run_sync(kept.group.remove)
    return (None if bound.cancelled_caught else heard), status


class _Heard:
    """What comes out of an inspecting child, bounded."""

    def __init__(self, child: Child) -> None:
        self.app: dict[str, Any] | None = None
        self.failed = ""
        self.said: list[str] = []
        self._child = child
        self._bytes = 0

    def told(self, line: bytes) -> None:
        self._count(line)
        record = record_of(line)
        if record is None:
            return
        if isinstance(record.get("app"), dict):
            self.app = record["app"]
        if isinstance(record.get("failed"), str):
            self.failed = plain(record["failed"], 1000)
        if isinstance(record.get("said"), str):
            self._say(record["said"])

    def raw(self, line: bytes) -> None:
        self._count(line)
        self._say(line.decode("utf-8", "replace"))

    def reason(self, status: int) -> str:
        if self.failed:
            return self.failed
        last = f": {self.said[-1][:200]}" if self.said else ""
        return ending(status) + last

    def _say(self, text: str) -> None:
        if len(self.said) < _SAID_LINES:
            self.said.append(harmless(text[:500]))

    def _count(self, line: bytes) -> None:
        self._bytes += len(line)
        if self._bytes > _ANSWER_BYTES:
            self.failed = f"it printed more than {_ANSWER_BYTES >> 20} MB while it was imported"
            self._child.kill()


def _inspection(
    app: dict[str, Any],
    said: tuple[str, ...],
    kept: Confined,
    began: float,
) -> Inspection:
    openapi = cast("dict[str, Any]", app["openapi"])
    return Inspection(
        app_name=str(app["app_name"]),
        class_name=str(app["class_name"]),
        openapi=openapi,
        routes=tuple(
            route_of(openapi, found["path"], is_websocket=found["is_websocket"])
            for found in app["routes"]
            if not found["is_health"]
        ),
        settings=settings_of(app),
        health=str(app["health"]),
        python_version=str(app["python_version"]),
        said=said,
        applied=kept.applied,
        not_applied=kept.not_applied,
        seconds=time.monotonic() - began,
    )


def settings_of(app: Mapping[str, Any]) -> AppSettings:
    """Return the settings of an app as the child told them."""
    settings = cast("Mapping[str, Any]", app["settings"])
    machines = app["machine_type"]
    listed = cast("list[Any]", machines) if isinstance(machines, list) else [machines]

    def words(name: str) -> tuple[str, ...]:
        value = settings.get(name)
        if not isinstance(value, list):
            return ()
        return tuple(str(one) for one in cast("list[Any]", value))

    flat: list[str] = []
    for one in cast("list[Any]", app["requirements"] or []):
        flat += (
            [str(part) for part in cast("list[Any]", one)] if isinstance(one, list) else [str(one)]
        )
    return AppSettings(
        machine_types=tuple(str(one) for one in listed if one),
        num_gpus=app["num_gpus"],
        auth=_auth(app["auth"]),
        regions=words("regions"),
        requirements=tuple(flat),
        secrets=words("secrets") if isinstance(settings.get("secrets"), list) else None,
        python_version=str(settings.get("python_version") or ""),
        image=bool(app["image"]),
        retry_config=_retries(settings.get("retry_config")),
        skip_retry_conditions=words("skip_retry_conditions"),
        health_check=_entries(settings.get("health_check_config")),
        **numbers_of(settings),
    )


def _retries(told: object) -> tuple[str, ...]:
    """Return how often is tried again, by condition: it is told as numbers or as fal's objects."""
    if not isinstance(told, dict):
        return ()
    counts: dict[str, object] = {}
    for name, value in cast("dict[str, object]", told).items():
        held = cast("dict[str, object]", value).get("retries") if isinstance(value, dict) else value
        counts[name] = held
    return _entries({name: held for name, held in counts.items() if type(held) is int})


def _entries(told: object) -> tuple[str, ...]:
    """Return the entries of an object that say something, each as ``name=value``."""
    if not isinstance(told, dict):
        return ()
    held = cast("dict[str, object]", told)
    return tuple(f"{name}={value}" for name, value in held.items() if value is not None)


def _auth(said: object) -> Literal["private", "public", "shared"]:
    return said if said in ("public", "shared") else "private"


def route_of(openapi: Mapping[str, Any], path: str, *, is_websocket: bool) -> Route:
    """Return one route of fal's document, with schemas that stand alone."""
    item = cast("dict[str, Any]", openapi.get("paths", {}).get(path, {}))
    operation = cast("dict[str, Any]", item.get("post") or {})
    content = operation.get("responses", {}).get("200", {}).get("content", {})
    kind: RouteKind = "call"
    if is_websocket:
        told: Any = item.get("x-fal-protocol") or operation.get("x-fal-protocol") or {}
        said = str(cast("dict[str, Any]", told).get("type"))
        kind = "realtime" if "realtime" in said else "websocket"
    elif "text/event-stream" in content or path.endswith("/stream"):
        kind = "stream"
    sent = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    got = cast("dict[str, Any]", content.get("application/json", {}))
    return Route(
        path=path,
        kind=kind,
        summary=str(operation.get("summary") or ""),
        input_schema=_alone(sent.get("schema") or {}, openapi),
        output_schema=_alone(got.get("schema") or {}, openapi),
    )


def _alone(schema: Mapping[str, Any], openapi: Mapping[str, Any]) -> dict[str, Any]:
    """Return *schema* with the components it names as its own ``$defs``."""
    components = cast("dict[str, Any]", openapi.get("components", {}).get("schemas", {}))
    defs: dict[str, Any] = {}

    def turned(node: Any) -> Any:  # noqa: ANN401
        if isinstance(node, list):
            return [turned(one) for one in cast("list[Any]", node)]
        if not isinstance(node, dict):
            return node
        held = cast("dict[str, Any]", node)
        named = held.get("$ref")
        if isinstance(named, str) and named.startswith("#/components/schemas/"):
            name = named.rsplit("/", 1)[1]
            if name not in defs and name in components:
                defs[name] = {}
                defs[name] = turned(components[name])
            return {**held, "$ref": f"#/$defs/{name}"}
        return {key: turned(value) for key, value in held.items()}

    whole = cast("dict[str, Any]", turned(schema))
    if set(whole) == {"$ref"} and (name := str(whole["$ref"]).rsplit("/", 1)[1]) in defs:
        whole = dict(defs[name])
        if not any(f"#/$defs/{name}" in json.dumps(held) for held in defs.values()):
            del defs[name]
    return {**whole, "$defs": defs} if defs else whole
