"""`open_emulator`: fal's hosts as one ASGI app over a folder."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp

from catalog.index import CatalogIndex
from server.emulator.answers import (
    ApiRefusal,
    Refusal,
    Stamp,
    api_refusal_answer,
    mistake_answer,
    refusal_answer,
)
from server.emulator.browsers import Browsers
from server.emulator.changes import Changes
from server.emulator.controls import Controls
from server.emulator.direct import Direct
from server.emulator.drawing import Drawers
from server.emulator.engine import Engine
from server.emulator.faults import FaultRows, Faults
from server.emulator.hosts import AtRoot
from server.emulator.intake import Intake
from server.emulator.multipart import Multipart
from server.emulator.pace import Pace
from server.emulator.platform_api.api import platform_routes
from server.emulator.proxy import Proxy
from server.emulator.pruning import prune
from server.emulator.queue import Missing, Queue, missing_answer
from server.emulator.rows import Rows
from server.emulator.runs import Runs
from server.emulator.shelf import Shelf
from server.emulator.signing import SigningKeys
from server.emulator.sockets import Sockets
from server.emulator.storage import Storage
from server.emulator.store import Store
from server.emulator.webhooks import Webhooks

MOST_WORKERS = 2
EVERY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


@asynccontextmanager
async def open_emulator(
    folder: Path,
    catalog: CatalogIndex,
    *,
    speed: float = 1.0,
    concurrency: int = 10,
    lease_seconds: float = 3.0,
    idle_seconds: float = 60.0,
    loopback_webhooks: bool = False,
    origins: Sequence[str] = (),
) -> AsyncGenerator[ASGIApp]:
    """Open the emulator whose state is *folder* and yield it as an ASGI app.

    Each of fal's hosts is a path: ``/run``, ``/queue``, ``/rest``, ``/api/v1``, ``/cdn``, ``/ws``,
    ``/fal``, ``/proxy``; ``/_emulator`` turns faults and the clock. *speed* is that of the clock
    (0: without waiting). *concurrency* is how many requests may be under way at once in the folder,
    *lease_seconds* after what silence another process takes a request over, *idle_seconds* how long
    a realtime socket without an input stays open. *loopback_webhooks* lets webhooks go to this
    machine, which fal itself would drop; pages of *origins* may call besides those of this machine.

    Any number of processes may have one folder open. Leaving stops what this one works on and puts
    it back into the queue at once.
    """
    store = await anyio.to_thread.run_sync(_open_store, folder)
    await store.do(prune, store, folder)
    rows = Rows(store, lease_seconds=lease_seconds, concurrency=concurrency)
    shelf, pace, faults = Shelf(folder, store), Pace(speed), FaultRows(store)
    keys = SigningKeys(store)
    drawers = Drawers(folder, at_most=MOST_WORKERS)
    failure: Exception | None = None
    try:
        async with anyio.create_task_group() as tasks:
            changes = Changes(store, rows, tasks)
            runs = Runs(folder, catalog, store, rows, shelf, drawers, pace)
            webhooks = Webhooks(store, rows, keys, pace, loopback=loopback_webhooks)
            engine = Engine(store, rows, runs, changes, webhooks.kick)
            tasks.start_soon(engine.work)
            tasks.start_soon(webhooks.work)
            intake = Intake(catalog)
            queue = Queue(intake, store, rows, changes, engine, pace)
            direct = Direct(intake, store, rows, changes, engine)
            sockets = Sockets(direct, idle_seconds)
            controls = Controls(store, faults, pace)
            app = _app(
                queue,
                direct,
                sockets,
                Storage(store, shelf),
                platform_routes(folder, catalog, store, shelf, pace),
                controls,
                webhooks,
            )
            try:
                yield Browsers(AtRoot(Proxy(Faults(Stamp(app), store, faults))), origins)
            except Exception as problem:  # else it would come out wrapped in a group
                failure = problem
            tasks.cancel_scope.cancel()
    finally:
        await drawers.aclose()
        store.close()
    if failure is not None:
        raise failure


def _open_store(folder: Path) -> Store:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Store(folder)


def _app(
    queue: Queue,
    direct: Direct,
    sockets: Sockets,
    storage: Storage,
    api: Sequence[BaseRoute],
    controls: Controls,
    webhooks: Webhooks,
) -> Starlette:
    parts = Multipart(storage)
    on_cdn = "/cdn/files/b/{file_id}/{name}/multipart/{upload_id}"
    promised = "/cdn/upload/{file_id}/{name}"
    return Starlette(
        routes=[
            Route("/queue/{path:path}", queue.on_queue, methods=EVERY_METHOD),
            Route("/run/{path:path}", direct.on_run, methods=EVERY_METHOD),
            WebSocketRoute("/run/{path:path}", sockets.on_run),
            WebSocketRoute("/ws/{path:path}", sockets.on_http),
            Route("/rest/tokens/", storage.realtime_token, methods=["POST"]),
            Route("/rest/tokens", storage.realtime_token, methods=["POST"]),
            Route("/rest/tokens/realtime", storage.realtime_token_object, methods=["POST"]),
            Route("/rest/storage/auth/token", storage.cdn_token, methods=["POST"]),
            Route("/rest/storage/upload/initiate", storage.initiate, methods=["POST"]),
            Route("/rest/storage/upload/initiate-multipart", storage.initiate, methods=["POST"]),
            Route("/cdn/files/upload", storage.upload, methods=["POST"]),
            Route("/cdn/files/upload/multipart", parts.begin, methods=["POST"]),
            Route(f"{on_cdn}/complete", parts.complete, methods=["POST"]),
            Route(f"{on_cdn}/{{number:int}}", parts.part, methods=["PUT"]),
            Route(promised, storage.put, methods=["PUT"]),
            Route(f"{promised}/complete", parts.complete, methods=["POST"]),
            Route(f"{promised}/{{number:int}}", parts.part, methods=["PUT"]),
            Route("/cdn/files/b/{file_id}/{name}", storage.download),
            Route("/cdn/files/b/{file_id}/{name}/sign", storage.sign, methods=["POST"]),
            Route("/rest/storage/files/acl", storage.access, methods=["GET", "PUT"]),
            *api,
            Route("/rest/.well-known/jwks.json", webhooks.keys.on_jwks),
            Route("/_emulator/keys", webhooks.keys.on_rotate, methods=["POST"]),
            Route("/_emulator/webhooks", webhooks.on_list),
            Route("/_emulator/faults", controls.on_faults, methods=["GET", "POST", "DELETE"]),
            Route("/_emulator/clock", controls.on_clock, methods=["GET", "POST"]),
            Route("/_emulator/counts", controls.on_counts),
        ],
        exception_handlers={
            Missing: missing_answer,
            Refusal: refusal_answer,
            ApiRefusal: api_refusal_answer,
            Exception: mistake_answer,
        },
    )
