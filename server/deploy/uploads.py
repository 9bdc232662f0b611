"""Sockets through which apps hand over files that they made, and read files of falkit's."""

import json
import re
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol
from uuid import uuid4

import anyio
import anyio.to_thread
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from server.listening import serve_until_ended

LARGEST_BYTES = 1 << 30
_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file will lie: the *url* that the app tells its callers, and the *path* here."""

    url: str
    path: Path


class Depot(Protocol):
    """Keeps what apps hand over."""

    async def place(self, name: str, media_type: str, app: str) -> Place:
        """Choose a place for a file of that name; nothing is there yet, and may never be.

        The URL must be one that nobody guesses: every app may read whatever it can name.
        """
        ...

    async def keep(self, place: Place, media_type: str, size: int) -> None:
        """Take notice that the whole file now lies at its place."""
        ...


@dataclass(slots=True)
class _Session:
    place: Place
    media_type: str
    size: int = -1


class Uploads:
    """The node-local uploader that fal's toolkit speaks to, read from fal 1.83.0's own client."""

    def __init__(self, depot: Depot, largest: int = LARGEST_BYTES) -> None:
        self._depot = depot
        self._largest = largest
        self._sessions: dict[str, _Session] = {}

    def app(self) -> ASGIApp:
        """Return the uploader as an application."""
        session = "/v1/upload-sessions/{upload_id}"
        return Starlette(
            routes=[
                Route("/v1/uploads", self._upload, methods=["POST"]),
                Route("/v1/uploads/{upload_id}", self._state),
                Route("/v1/upload-sessions", self._open, methods=["POST"]),
                Route(session, self._drop, methods=["DELETE"]),
                Route(session + "/body", self._body, methods=["PUT"]),
                Route(session + "/finish", self._finish, methods=["POST"]),
            ]
        )

    async def _place(self, request: Request) -> _Session:
        given = request.headers.get("x-fal-file-name", "")
        name = _NAME.sub("_", Path(given).name)[-128:].lstrip(".") or "file.bin"
        kind = request.headers.get("content-type") or "application/octet-stream"
        app = request.headers.get("x-fal-application", "")
        return _Session(await self._depot.place(name, kind, app), kind)

    async def _upload(self, request: Request) -> Response:
        session = await self._place(request)
        if not await self._written(request, session):
            return Response(status_code=413)
        await self._depot.keep(session.place, session.media_type, session.size)
        return _receipt("accepted_local", uuid4().hex, session, 202)

    async def _state(self, request: Request) -> Response:
        return JSONResponse({"state": "completed", "upload_id": request.path_params["upload_id"]})

    async def _open(self, request: Request) -> Response:
        upload_id = uuid4().hex
        self._sessions[upload_id] = session = await self._place(request)
        return _receipt("receiving", upload_id, session, 201)

    async def _body(self, request: Request) -> Response:
        session = self._sessions.get(request.path_params["upload_id"])
        if session is None:
            return Response(status_code=404)
        return Response(status_code=204 if await self._written(request, session) else 413)

    async def _finish(self, request: Request) -> Response:
        upload_id = request.path_params["upload_id"]
        session = self._sessions.get(upload_id)
        if session is None:
            return Response(status_code=404)
        try:
            told = json.loads(await request.body())["size_bytes"]
        except (ValueError, KeyError, TypeError):
            told = None
        if told != session.size:
            return Response(status_code=422)
        del self._sessions[upload_id]
        await self._depot.keep(session.place, session.media_type, session.size)
        return _receipt("accepted_local", upload_id, session, 202)

    async def _drop(self, request: Request) -> Response:
        session = self._sessions.pop(request.path_params["upload_id"], None)
        if session is None:
            return Response(status_code=404)
        with suppress(OSError):
            session.place.path.unlink(missing_ok=True)
        return Response(status_code=202)

    async def _written(self, request: Request, session: _Session) -> bool:
        """Write the body to its place and return True, or False where it is too large."""
        with _aside(session.place.path) as file:
            size = 0
            try:
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > self._largest:
                        return False
                    await anyio.to_thread.run_sync(file.write, chunk)
            except ClientDisconnect:
                return False
            file.flush()
            await anyio.Path(file.name).replace(session.place.path)
        session.size = size
        return True


@contextmanager
def _aside(path: Path) -> Generator[IO[bytes]]:
    """Yield a file beside *path* that is gone afterwards unless it was moved."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{uuid4().hex[:8]}.part")
    try:
        with part.open("wb") as file:
            yield file
    finally:
        part.unlink(missing_ok=True)


def _receipt(state: str, upload_id: str, session: _Session, status: int) -> JSONResponse:
    told = {"state": state, "upload_id": upload_id, "file_url": session.place.url}
    return JSONResponse(told, status)


def files_app(find: Callable[[str], Awaitable[Path | None]]) -> ASGIApp:
    """Return an application that serves files only: *find* knows the file of a path, or none."""

    async def get(request: Request) -> Response:
        found = await find(request.url.path)
        if found is None or not await anyio.Path(found).is_file():
            return JSONResponse({"detail": "Not Found"}, 404)
        return FileResponse(found)

    return Starlette(routes=[Route("/{path:path}", get, methods=["GET", "HEAD"])])


@asynccontextmanager
async def serving_socket(app: ASGIApp, path: Path) -> AsyncGenerator[Path]:
    """Serve *app* on a Unix socket at *path*, for this account only, until left.

    A socket's path is limited to some 100 bytes.
    """
    listening = _listening(path)
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
    async with anyio.create_task_group() as tasks:
        server = await tasks.start(serve_until_ended, config, listening)
        try:
            yield path
        finally:
            server.should_exit = True
            _forget(path)


def _listening(path: Path) -> socket.socket:
    _forget(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(str(path))
        path.chmod(0o600)
        made.listen(128)
    except BaseException:
        made.close()
        raise
    return made


def _forget(path: Path) -> None:
    path.unlink(missing_ok=True)
