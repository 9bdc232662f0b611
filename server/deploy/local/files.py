"""Files between apps and the emulator's CDN: what they hand over, and what they may read."""

import re
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import anyio
import uvicorn

from server.deploy.folders import new_folder, remove_folder
from server.deploy.isolation import FilesHost
from server.deploy.uploads import Place, Uploads, files_app, serving_socket
from server.emulator.hosted import House
from server.emulator.shelf import CDN, Lifecycle, Shelved, file_id_in, with_base
from server.listening import listener, serve_until_ended

HOST = "127.0.0.1"
# Addresses of this machine's CDN in what callers send, under whatever base they know it.
_OURS = re.compile(
    rb"(?:https?://(?:127\.0\.0\.1|localhost|\[::1\]|emulator\.invalid)(?::\d+)?/cdn|emulator-cdn:)"
    rb"(?=/files/b/[0-9a-f]{8}/)"
)


@dataclass(frozen=True, slots=True)
class Files:
    """Where apps hand files over and read them: *base* is how they know the CDN."""

    base: str
    host: FilesHost
    uploads: Path | None


def inward(body: bytes, base: str) -> bytes:
    """Return what a caller sent, with the CDN's files under *base*, where the app finds them."""
    return _OURS.sub(base.encode(), body) if b"/files/b/" in body else body


def outward(body: bytes, base: str, under: str = CDN) -> bytes:
    """Return what an app answered that knows the CDN as *base*, with its files *under* another."""
    return body.replace(base.encode(), under.encode()) if base else body


@dataclass(slots=True)
class _Depot:
    house: House
    base: str
    promised: dict[str, Shelved]

    async def place(self, name: str, media_type: str, app: str) -> Place:
        shelf = self.house.shelf
        file = await anyio.to_thread.run_sync(shelf.place, name, media_type, Lifecycle())
        url = with_base(file.url, self.base)
        self.promised[url] = file
        return Place(url, shelf.path(file))

    async def keep(self, place: Place, media_type: str, size: int) -> None:
        file = self.promised.pop(place.url, None)
        if file is not None:
            place.path.chmod(0o600)
            await self.house.store.do(self.house.shelf.announce, replace(file, bytes=size))


async def _found(house: House, path: str) -> Path | None:
    """Return the file that *path* of the CDN names, None where there is none for everybody."""
    file_id = file_id_in(f"http://{HOST}{path}")
    file = await house.store.do(house.shelf.find, file_id) if file_id else None
    if file is None or file.bytes is None or file.is_expired:
        return None
    return house.shelf.path(file) if file.acl.decide((), None) == "allow" else None


@asynccontextmanager
async def open_files(house: House) -> AsyncGenerator[Files]:
    """Yield the way of files between apps and the CDN, on loopback and on sockets."""
    listening = listener(HOST, 0)
    port = int(listening.getsockname()[1])
    base = f"http://{HOST}:{port}/cdn"
    reading = files_app(partial(_found, house))
    depot = _Depot(house, base, {})
    folder = await anyio.to_thread.run_sync(new_folder)
    try:
        async with anyio.create_task_group() as tasks, AsyncExitStack() as stack:
            config = uvicorn.Config(
                reading,
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                loop="none",
            )
            server = await tasks.start(serve_until_ended, config, listening)
            uploads = read = None
            if sys.platform != "win32":
                uploads = folder / "up"
                await stack.enter_async_context(serving_socket(Uploads(depot).app(), uploads))
                read = folder / "files"
                await stack.enter_async_context(serving_socket(reading, read))
            try:
                yield Files(base, FilesHost(HOST, port, read), uploads)
            finally:
                server.should_exit = True
    finally:
        remove_folder(folder)
