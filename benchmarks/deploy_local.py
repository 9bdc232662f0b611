"""What an app on this machine costs: its deploy, a request of it, and nothing while it is idle.

``bare`` is the same runner called without falkit in between.
"""

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from statistics import median

import anyio
import httpx

from benchmarks.start import Row
from catalog.index import CatalogIndex
from server.deploy.local.calls import Calls, Door
from server.deploy.local.cards import find_card
from server.deploy.local.database import Database
from server.deploy.local.hosting import Hosting
from server.deploy.local.target import LocalTarget, open_local
from server.deploy.targets import Release
from server.emulator.platform import open_emulator
from server.emulator.transport import StreamingASGITransport
from server.settings import Settings
from tools.deploy_records import AppSettings

BASE = "http://emulator.invalid"
KEY = {"authorization": "Key emulator:local"}
DEPLOYS = 5
CALLS = 200


async def _told(share: float, words: str) -> None:
    """Take progress that nobody reads."""


async def measured_local(home: Path, source: Path, tools: Path | None) -> list[Row]:
    """Return the rows; *home* is a falkit home of its own, *source* holds the app."""
    environ = {"FALKIT_HOME": str(home), "FALKIT_BACKEND": "emulator", "FALKIT_DEPLOY": "local"}
    if tools is not None:
        environ["FALKIT_DEPLOY_TOOLS"] = str(tools)
    settings = Settings.read(environ)
    catalog = CatalogIndex.open(beside=partial(find_card, home))
    hosting = Hosting(home, settings.deploy_tools)
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(
            open_emulator(home / "emulator", catalog, speed=0, hosted=hosting)
        )
        target = await stack.enter_async_context(open_local(settings, catalog, app=app))
        transport = await stack.enter_async_context(StreamingASGITransport(app))
        client = await stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url=BASE, headers=KEY, timeout=30)
        )
        return await _rows(target, client, source)


async def _rows(target: LocalTarget, client: httpx.AsyncClient, source: Path) -> list[Row]:
    settings = AppSettings(keep_alive=60, min_concurrency=1, max_concurrency=1)
    release = Release("bench", source, "app.py", "", settings, "0")
    deploys: list[float] = []
    for _ in range(DEPLOYS):
        began = time.perf_counter()
        await target.release(release, _told)
        deploys.append((time.perf_counter() - began) * 1e3)
    door = await _door(target.database)
    bare: list[float] = []
    runs: list[float] = []
    queued: list[float] = []
    async with httpx.AsyncClient(transport=door.transport(), base_url="http://runner") as runner:
        for _ in range(CALLS):  # in turns, so that what else the machine does strikes all alike
            bare.append(await _took(partial(runner.post, "/", json={})))
            runs.append(await _took(partial(client.post, "/run/local/bench", json={})))
            queued.append(await _took(partial(_queued, client)))
    await target.scale("bench", {"min_concurrency": 0, "keep_alive": 0}, _told)
    with anyio.move_on_after(30):
        while await target.database.do(Calls(target.database).runners, "bench"):  # noqa: ASYNC110
            await anyio.sleep(0.05)
    left = len(await target.database.do(Calls(target.database).runners, "bench"))
    return [
        Row("deploy to this machine until healthy, ms", median(deploys), 3000.0),
        Row("a call through the run host, ms", median(runs), 3.0, median(bare)),
        Row("submit, stream and result of a request, ms", median(queued), 3.0, median(bare)),
        Row("processes of an idle app", left, 0.0),
    ]


async def _took(call: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await call()
    return (time.perf_counter() - began) * 1e3


async def _queued(client: httpx.AsyncClient) -> None:
    """Submit, hear the stream to its end, and read the result, as falkit's own jobs do."""
    submitted = (await client.post("/queue/local/bench", json={})).json()
    async with client.stream("GET", f"{submitted['status_url']}/stream") as events:
        async for line in events.aiter_lines():
            if '"COMPLETED"' in line:
                break
    (await client.get(submitted["response_url"])).raise_for_status()


async def _door(database: Database) -> Door:
    """Return how the one runner that is up is reached."""
    for _ in range(600):
        found = database.reading().execute("SELECT door FROM runners WHERE state = 'IDLE'")
        if len(doors := found.fetchall()) == 1:
            return Door.read(doors[0]["door"])
        await anyio.sleep(0.05)
    raise SystemExit("no single runner is up")
