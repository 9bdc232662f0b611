"""What an app on this machine costs: its deploy, a request of it, and nothing while it is idle.

``bare`` is the same runner called without falkit in between. Processor time is that of this process
and of all below it, so that it says the same on a busy machine.
"""

import os
import sys
import time
import zipfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
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


async def measured_local(home: Path, source: Path, template: Path, tools: Path | None) -> list[Row]:
    """Return the rows; *home* is a falkit home of its own, *source* and *template* hold apps.

    *template* is what is deployed over and over, *source* what is called.
    """
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
        return [await _deployed(target, template), *await _rows(target, client, source)]


async def _deployed(target: LocalTarget, template: Path) -> Row:
    """Return how long a deploy takes whose requirements are there, as from the second one on."""
    settings = AppSettings(
        keep_alive=60,
        min_concurrency=1,
        max_concurrency=1,
        requirements=(f"--find-links {_index(template.parent / 'index')}", "dish==1.0"),
    )
    release = Release("template", template, "app.py", "", settings, "0")
    await target.release(release, _told)
    deploys: list[float] = []
    for _ in range(DEPLOYS):
        began = time.perf_counter()
        await target.release(release, _told)
        deploys.append((time.perf_counter() - began) * 1e3)
    await target.delete("template", _told)
    return Row("deploy the CPU template until healthy, ms", median(deploys), 3000.0)


def _index(folder: Path) -> Path:
    """Write a package as an index would have it, and let the installers ask no other."""
    os.environ.update(PIP_NO_INDEX="1", UV_OFFLINE="1")
    folder.mkdir()
    info = "dish-1.0.dist-info"
    about = "Metadata-Version: 2.1\nName: dish\nVersion: 1.0\n"
    tag = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(folder / "dish-1.0-py3-none-any.whl", "w") as made:
        made.writestr("dish.py", "")
        made.writestr(f"{info}/METADATA", about)
        made.writestr(f"{info}/WHEEL", tag)
        made.writestr(f"{info}/RECORD", "")
    return folder


async def _rows(target: LocalTarget, client: httpx.AsyncClient, source: Path) -> list[Row]:
    settings = AppSettings(keep_alive=60, min_concurrency=1, max_concurrency=1)
    await target.release(Release("bench", source, "app.py", "", settings, "0"), _told)
    door = await _door(target.database)
    bare, runs, queued = Took(), Took(), Took()
    async with httpx.AsyncClient(transport=door.transport(), base_url="http://runner") as runner:
        for _ in range(CALLS):  # in turns, so that what else the machine does strikes all alike
            await bare.by(partial(runner.post, "/", json={}))
            await runs.by(partial(client.post, "/run/local/bench", json={}))
            await queued.by(partial(_queued, client))
    await target.scale("bench", {"min_concurrency": 0, "keep_alive": 0}, _told)
    with anyio.move_on_after(30):
        while await target.database.do(Calls(target.database).runners, "bench"):  # noqa: ASYNC110
            await anyio.sleep(0.05)
    left = len(await target.database.do(Calls(target.database).runners, "bench"))
    return [
        Row("a call through the run host, ms", runs.wall, 3.0, bare.wall),
        Row("submit, stream and result of a request, ms", queued.wall, 3.0, bare.wall),
        *([Row("the same, processor ms", queued.cpu, 3.0, bare.cpu)] if bare.cpu else []),
        Row("processes of an idle app", left, 0.0),
    ]


@dataclass(slots=True)
class Took:
    """What calls of one kind took, in milliseconds; processor time is 0 where it is not told."""

    walls: list[float] = field(default_factory=list[float])
    cpus: list[float] = field(default_factory=list[float])

    async def by(self, call: Callable[[], Awaitable[object]]) -> None:
        """Make a call and note down what it took."""
        spent, began = _spent(), time.perf_counter()
        await call()
        self.walls.append((time.perf_counter() - began) * 1e3)
        self.cpus.append(_spent() - spent)

    @property
    def wall(self) -> float:
        return median(self.walls)

    @property
    def cpu(self) -> float:
        return median(self.cpus)


def _spent() -> float:
    """Return the processor time of this process and all below it; 0 where it is not told."""
    if sys.platform != "linux":
        return 0.0
    spent, asked = time.process_time() * 1e3, _below("self")
    while asked:
        pid = asked.pop()
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                spent += int((task / "schedstat").read_text("ascii").split()[0]) / 1e6
            asked += _below(pid)
        except OSError:
            continue
    return spent


def _below(pid: str) -> list[str]:
    return [
        child
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text("ascii").split()
    ]


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
