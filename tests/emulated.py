"""An emulator over a folder, and a client of it in the same process."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx

from catalog.index import CatalogIndex
from server.emulator.platform import open_emulator
from server.emulator.serve import serve
from server.emulator.transport import StreamingASGITransport

BASE = "http://emulator.invalid"
FLUX = "fal-ai/flux/dev"
SMALL = {"prompt": "a red fox", "image_size": {"width": 64, "height": 64}}
KEY = {"authorization": "Key emulator:local"}


@asynccontextmanager
async def emulated(
    folder: Path, *, speed: float = 0.0, **options: Any
) -> AsyncGenerator[httpx.AsyncClient]:
    """Yield a client, with a key, of an emulator over *folder*."""
    options.setdefault("concurrency", 10)
    async with (
        open_emulator(folder, CatalogIndex.open(), speed=speed, **options) as app,
        StreamingASGITransport(app) as transport,
        httpx.AsyncClient(transport=transport, base_url=BASE, headers=KEY, timeout=20) as client,
    ):
        yield client


async def submitted(
    client: httpx.AsyncClient, endpoint_id: str = FLUX, body: Any = SMALL, **headers: str
) -> dict[str, Any]:
    """Submit and return the answer of the queue."""
    answer = await client.post(f"/queue/{endpoint_id}", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def over(client: httpx.AsyncClient, status_url: str) -> dict[str, Any]:
    """Return the status of a request once it is over."""
    while True:
        status = (await client.get(status_url, params={"logs": "1"})).json()
        if status["status"] == "COMPLETED":
            return status
        await anyio.sleep(0.01)


@asynccontextmanager
async def on_a_port(folder: Path, *, speed: float = 0.0, **options: Any) -> AsyncGenerator[int]:
    """Yield the loopback port of an emulator over *folder*, for clients that need sockets."""
    options.setdefault("concurrency", 10)
    async with (
        open_emulator(folder, CatalogIndex.open(), speed=speed, **options) as app,
        anyio.create_task_group() as tasks,
    ):
        yield await tasks.start(serve, app, 0)
        tasks.cancel_scope.cancel()


async def left_waiting(client: httpx.AsyncClient, path: str, **headers: str) -> None:
    """Call a model directly and leave as soon as its request is known, without an answer."""
    async with anyio.create_task_group() as tasks:
        post = partial(client.post, path, json=SMALL, headers=headers)
        tasks.start_soon(post)
        while not (await client.get("/_emulator/counts")).json()["requests"]:
            await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
