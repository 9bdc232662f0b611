"""`carried_out`: one order in a process without the key, through a proxy that has it and looks."""

import json
import os
import secrets
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from anyio.to_thread import run_sync
from pydantic import SecretStr

from server.deploy.cloud.files import SentFile
from server.deploy.cloud.orders import Order
from server.deploy.cloud.outcome import Outcome
from server.deploy.cloud.speaking import Spoken, start
from server.deploy.environments import ToolEnvironment
from server.deploy.folders import new_folder, remove_folder
from server.deploy.isolation import (
    Confined,
    Confinement,
    FilesHost,
    child_environment,
    confined,
    interpreter_folders,
)
from server.deploy.processes import Child, exited, lines, read_all
from server.deploy.targets import Tell
from server.fal.wire import plain
from tools.errors import BackendError

CHILDREN = Path(__file__).parent.parent / "child"
IMPORT_SECONDS = 120.0
START_SECONDS = 60.0
# How long the proxy may still hear fal's answer after the worker is gone.
SETTLE_SECONDS = 10.0
MEMORY_BYTES = 4 << 30
MOST_OUTPUT_BYTES = 32 << 20
LINES_KEPT = 200
# What of this process's environment leads to fal from behind a company's proxy, with its trust.
_PASSED = ("HTTPS_PROXY", "https_proxy", "GRPC_PROXY", "grpc_proxy", "NO_PROXY", "no_proxy",
           "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "SYSTEMROOT")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Upstream:
    """fal's control plane: *address* is host and port, *audit* the file where calls are noted."""

    address: str
    key: SecretStr
    audit: Path

    @property
    def is_local(self) -> bool:
        """It lies on this machine, where there is no TLS."""
        return self.address.rpartition(":")[0] in ("127.0.0.1", "localhost", "[::1]")


Send = Callable[[Sequence[SentFile]], Awaitable[int]]


async def carried_out(
    order: Order, tool: ToolEnvironment, upstream: Upstream, tell: Tell, send: Send
) -> Outcome:
    """Carry out *order*; whatever goes wrong is in the outcome.

    *send* brings files of the order to fal that the app takes along.

    Cancelled, both processes end at once; what was sent to fal may still be done there.

    Raises:
        BackendError: the processes cannot be started.
    """
    outcome = Outcome()
    folder = await run_sync(new_folder)
    try:
        await run_sync(_furnish, folder)
        async with _proxied(order, tool, upstream, folder, outcome, send) as proxy:
            await _worked(order, tool, proxy, folder / "own", outcome, tell)
            if outcome.forwarded and outcome.write_answer is None:
                with anyio.move_on_after(SETTLE_SECONDS):
                    await proxy.written.wait()
    finally:
        with anyio.CancelScope(shield=True):
            await run_sync(remove_folder, folder)
    return outcome


def _furnish(folder: Path) -> None:
    (folder / "own" / "tmp").mkdir(parents=True)


@dataclass(slots=True)
class _Proxy:
    """A proxy that listens. *written* is set when fal has answered the order's write."""

    token: str
    socket: Path | None
    port: int = 0
    listens: anyio.Event = field(default_factory=anyio.Event)
    written: anyio.Event = field(default_factory=anyio.Event)

    def heard(self, line: bytes, order: Order, outcome: Outcome) -> list[str]:
        """Take a line of the proxy; return the digests of files that it waits for."""
        with suppress(ValueError):
            record = cast("dict[str, Any]", json.loads(line))
            if "port" in record:
                self.port = int(record["port"])
                self.listens.set()
            elif "refused" in record:
                outcome.refused = plain(record.get("why"), 400)
            elif record.get("forwarded") == order.write:
                outcome.forwarded = True
            elif "answered" in record:
                outcome.answer = record
                if record["answered"] == order.write:
                    outcome.write_answer = record
                    self.written.set()
            elif "wanted" in record:
                return [str(digest) for digest in record["wanted"]]
        return []


async def _bring(spoken: Spoken, order: Order, wanted: Sequence[str], send: Send) -> None:
    """Send files that the proxy waits for, and tell it when they are there."""
    files = [file for file in order.files if file.digest in wanted]
    try:
        await send(files)
        spoken.put({"sent": True})
    except BackendError as problem:
        spoken.put({"failed": str(problem)})


@asynccontextmanager
async def _proxied(
    order: Order,
    tool: ToolEnvironment,
    upstream: Upstream,
    folder: Path,
    outcome: Outcome,
    send: Send,
) -> AsyncGenerator[_Proxy]:
    """Yield a proxy for *order*; it ends with the block, or with this process."""
    socket = None if sys.platform == "win32" else folder / "s"
    proxy = _Proxy(secrets.token_urlsafe(24), socket)
    asked: dict[str, Any] = {
        "upstream": upstream.address,
        "local": upstream.is_local,
        "key": upstream.key.get_secret_value(),
        "token": proxy.token,
        "socket": str(socket or ""),
        "audit": str(upstream.audit),
        "noted": {"plan": order.plan_id, "op": order.op, "app": order.app},
        "plan": order.plan(),
    }
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    if upstream.is_local:
        passed["NO_PROXY"] = passed["no_proxy"] = "*"
    await run_sync(_make_parent, upstream.audit)
    spoken = start(
        (str(tool.python), "-I", str(CHILDREN / "policy_proxy.py")),
        child_environment(folder, folder, passed),
        folder,
    )
    child = spoken.child
    said: list[str] = []
    over = anyio.Event()

    async def listen() -> None:
        async for line in lines(child.told, over):
            if wanted := proxy.heard(line, order, outcome):
                tasks.start_soon(_bring, spoken, order, wanted, send)
        proxy.listens.set()
        proxy.written.set()

    async def overhear() -> None:
        async for line in lines(child.raw, over):
            if len(said) < LINES_KEPT:
                said.append(line.decode("utf-8", "replace")[:300])

    tasks = anyio.create_task_group()
    try:
        spoken.put(asked)
        async with tasks:
            tasks.start_soon(listen)
            tasks.start_soon(overhear)
            tasks.start_soon(exited, child)
            with anyio.move_on_after(START_SECONDS):
                await proxy.listens.wait()
            if not proxy.port:
                tasks.cancel_scope.cancel()
            else:
                yield proxy
                over.set()
                spoken.close()
                tasks.cancel_scope.cancel()
    finally:
        spoken.close()
        child.kill()
        child.process.wait()
        child.told.close()
        child.raw.close()
    if not proxy.port:
        raise BackendError(
            f"the way to fal could not be prepared: {plain(said[-1] if said else '', 200)}",
            hint="falkit doctor looks at the environment that has fal",
        )


async def _worked(
    order: Order, tool: ToolEnvironment, proxy: _Proxy, own: Path, outcome: Outcome, tell: Tell
) -> None:
    """Run the worker to its end, or to the end of its time."""
    shown = [Path(str(order.args["folder"]))] if "folder" in order.args else []
    wanted = Confinement(
        own=own,
        folder=own,
        readable=(*shown, tool.site, *tool.base, *interpreter_folders(tool.python)),
        sockets=() if proxy.socket is None else (proxy.socket,),
        files=FilesHost("127.0.0.1", proxy.port, proxy.socket),
        memory_bytes=MEMORY_BYTES,
        cpu_seconds=600,
    )
    command = (str(tool.python), "-I", str(CHILDREN / "cloud_worker.py"))
    kept = await confined(tool.python, wanted, command)
    outcome.applied, outcome.not_applied = kept.applied, kept.not_applied
    if order.op == "deploy" and kept.not_applied:
        await tell(0.05, f"this machine does not keep the app apart by: {_words(kept)}")
    host = f"127.0.0.1:{proxy.port}"
    environment = child_environment(
        own,
        own,
        {
            "ISOLATE_TEST_MODE": "1",  # no TLS on the way to the proxy
            "FAL_HOST": host,
            "FAL_GRPC_HOST": host,
            "FAL_REST_HOST": host,
            "FAL_KEY": "falkit:no-key-here",
            "FAL_HOME_DIR": str(own),
            "NO_PROXY": "*",
        },
    )
    args = dict(order.args)
    if order.secret is not None:
        args["value"] = order.secret.get_secret_value()
    asked = {"op": order.op, "host": host, "token": proxy.token, "args": args}
    to_tell, told = anyio.create_memory_object_stream[tuple[float, str]](256)
    async with anyio.create_task_group() as tasks, to_tell:
        tasks.start_soon(_tell_all, told, tell)
        with anyio.move_on_after(order.seconds) as bound:
            spoken = start(kept.command, environment, own, waits=kept.nested)
            hearing = _Hearing(spoken.child, outcome, to_tell, bound, order.seconds)
            try:
                spoken.put(asked)
                spoken.close()
                outcome.status = await read_all(spoken.child, hearing.told, hearing.raw)
            finally:
                spoken.close()
                if kept.group is not None:
                    with anyio.CancelScope(shield=True):
                        await run_sync(kept.group.remove)
        outcome.expired = bound.cancelled_caught


def _words(kept: Confined) -> str:
    return "; ".join(kept.not_applied)[:300]


async def _tell_all(told: MemoryObjectReceiveStream[tuple[float, str]], tell: Tell) -> None:
    async with told:
        async for share, words in told:
            await tell(share, words)


@dataclass(slots=True)
class _Hearing:
    """What comes out of the worker, bounded; stages move the end of its time."""

    child: Child
    outcome: Outcome
    to_tell: MemoryObjectSendStream[tuple[float, str]]
    bound: anyio.CancelScope
    seconds: float
    share: float = 0.1
    count: int = 0

    def told(self, line: bytes) -> None:
        self._add(line)
        try:
            record: object = json.loads(line)
        except ValueError:
            return
        if isinstance(record, dict):
            self._take(cast("dict[str, Any]", record))

    def _take(self, record: Mapping[str, Any]) -> None:
        match record:
            case {"stage": "importing"}:
                self.outcome.stage = "importing"
                self.bound.deadline = anyio.current_time() + min(self.seconds, IMPORT_SECONDS)
                self._say("importing the app")
            case {"stage": "building"}:
                self.outcome.stage = "building"
                self.bound.deadline = anyio.current_time() + self.seconds
                self.share = 0.2
                self._say("building its environment on fal")
            case {"log": words, "step": step}:
                self.share = min(0.95, max(self.share, 0.2 if step == "build" else 0.7) + 0.002)
                _keep(self.outcome.log, plain(words, 400))
                self._say(plain(words, 200))
            case {"said": words}:
                _keep(self.outcome.said, plain(words, 300))
            case {"done": _}:
                self.outcome.done = _object(record["done"])
            case {"failed": _}:
                self.outcome.failed = _object(record["failed"])
            case _:
                pass

    def raw(self, line: bytes) -> None:
        self._add(line)
        _keep(self.outcome.said, plain(line.decode("utf-8", "replace"), 300))

    def _say(self, words: str) -> None:
        with suppress(anyio.WouldBlock):  # whoever listens slowly hears less
            self.to_tell.send_nowait((self.share, words))

    def _add(self, line: bytes) -> None:
        self.count += len(line)
        if self.count > MOST_OUTPUT_BYTES:
            _keep(self.outcome.said, "it printed more than 32 MB")
            self.child.kill()


def _object(raw: Any) -> dict[str, Any]:  # noqa: ANN401  # the JSON border
    return cast("dict[str, Any]", raw) if isinstance(raw, dict) else {}


def _keep(kept: list[str], line: str) -> None:
    if line:
        kept.append(line)
        del kept[:-LINES_KEPT]


def _make_parent(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
