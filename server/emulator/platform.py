"""`open_emulator`: fal's hosts as one ASGI app over a folder."""

import logging
import sqlite3
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from catalog.index import CatalogIndex
from server.emulator.answers import (
    ApiRefusal,
    Refusal,
    Stamp,
    api_refusal_answer,
    http_answer,
    mistake_answer,
    refusal_answer,
)
from server.emulator.browsers import Browsers
from server.emulator.changes import Changes
from server.emulator.controls import Controls
from server.emulator.direct import Direct
from server.emulator.drawing import Drawers
from server.emulator.engine import Engine
from server.emulator.entrance import Entrance
from server.emulator.faults import FaultRows, StandingFaults
from server.emulator.hosted import Bell, Hosted, House
from server.emulator.hosted_rows import HostedRows
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
from server.emulator.striking import Striking
from server.emulator.void_keys import VoidKeys
from server.emulator.webhooks import Webhooks

log = logging.getLogger("falkit.emulator")

MOST_WORKERS = 2
ANSWERS: Mapping[Any, Callable[[Request, Exception], Response]] = {
    Missing: missing_answer,
    Refusal: refusal_answer,
    ApiRefusal: api_refusal_answer,
    HTTPException: http_answer,
    Exception: mistake_answer,
}


@asynccontextmanager
async def open_emulator(
    folder: Path,
    catalog: CatalogIndex,
    *,
    speed: float = 1.0,
    concurrency: int = 2,
    lease_seconds: float = 3.0,
    idle_seconds: float = 60.0,
    loopback_webhooks: bool = False,
    origins: Sequence[str] = (),
    faults: str = "",
    hosted: Hosted | None = None,
) -> AsyncGenerator[ASGIApp]:
    """Open the emulator whose state is *folder* and yield it as an ASGI app.

    Each of fal's hosts is a path: ``/run``, ``/queue``, ``/rest``, ``/api/v1``, ``/cdn``, ``/ws``,
    ``/fal``, ``/proxy``; ``/_emulator`` turns faults and the clock. *speed* is that of the clock
    (0: without waiting). *concurrency* is how many requests may be under way at once in the folder
    (a new account of fal has two: its documents of 2026), those of own apps aside, *lease_seconds*
    after what silence another process takes a request over, *idle_seconds* how long a realtime
    socket without an input stays open. *loopback_webhooks* lets webhooks go to this machine, which
    fal itself would drop; pages of *origins* may call besides those of this machine. *faults*
    strike again and again, written as in ``latency=0.2, 429@0.1``. *hosted* runs what is called as
    ``local/…``; its cards are those of *catalog*.

    Any number of processes may have one folder open. Leaving stops what this one works on and puts
    it back into the queue at once.

    Raises:
        NotConfiguredError: *faults* cannot be read.
    """
    standing = StandingFaults.read(faults)
    store = await anyio.to_thread.run_sync(_open_store, folder)
    rows = Rows(store, lease_seconds=lease_seconds, concurrency=concurrency)
    shelf, pace, asked = Shelf(folder, store), Pace(speed), FaultRows(store)
    drawers = Drawers(folder, at_most=MOST_WORKERS)
    failure: Exception | None = None
    try:
        async with anyio.create_task_group() as tasks:
            changes = Changes(store, rows, tasks)
            runs = Runs(folder, catalog, store, rows, shelf, drawers, pace)
            webhooks = Webhooks(store, rows, SigningKeys(store), pace, loopback=loopback_webhooks)
            engine = Engine(store, rows, runs, changes, webhooks.kick)
            tasks.start_soon(engine.work)
            tasks.start_soon(webhooks.work)
            bells: list[BaseRoute] = []
            if hosted is not None:
                own = HostedRows(store, lease_seconds=lease_seconds, concurrency=concurrency)
                house = House(folder, store, own, shelf, changes, engine, pace, webhooks.kick)
                tasks.start_soon(hosted.work, house)
                bells = Bell(hosted, house).routes()
            intake = Intake(catalog)
            direct = Direct(intake, store, rows, changes, engine, hosted)
            storage = Storage(store, shelf)
            routes = [
                *Queue(intake, store, rows, changes, engine, pace, hosted).routes(),
                *direct.routes(),
                *Sockets(direct, idle_seconds).routes(),
                *storage.routes(),
                *Multipart(storage).routes(),
                *webhooks.routes(),
                *platform_routes(folder, catalog, store, shelf, pace),
                *Controls(store, asked, pace).routes(),
                *Entrance().routes(),
                *bells,
            ]
            hosts = Starlette(routes=routes, exception_handlers=ANSWERS)
            app = Striking(VoidKeys(Stamp(hosts), store), store, asked, standing)
            try:
                yield Browsers(AtRoot(Proxy(app)), origins)
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
    store = Store(folder)
    try:
        prune(store, folder)
    except sqlite3.OperationalError as problem:  # such as a full disk; the next opening will do
        log.warning("the emulator's folder could not be pruned: %s", problem)
    except BaseException:
        store.close()
        raise
    return store
