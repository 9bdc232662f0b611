"""`AppFiles`: the account's project storage, a folder beside the emulator's other state."""

import hashlib
import os
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import anyio
from pydantic import Field
from starlette.datastructures import UploadFile
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute

from server.emulator.answers import ApiRefusal, json_answer
from server.emulator.fetching import FetchError, fetch
from server.emulator.platform_api.asked import Asked, Body, need_uri
from server.emulator.platform_api.door import Door
from server.emulator.shelf import Shelf, file_id_in
from server.emulator.telling import instant

MOST_UNPACKED = 500 * 2**20  # bytes of one archive
MOST_PACKED = 10_000  # files of one archive


class _Source(Body):
    url: Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class AppFiles:
    """The operations under ``/serverless/files``."""

    door: Door
    shelf: Shelf
    folder: Path

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this family."""
        route = self.door.route
        reads, writes = "serverless:files:read", "serverless:files:write"
        base = "/serverless/files"
        return [
            route("GET", f"{base}/list", self.listed, reads),
            route("GET", f"{base}/list/{{dir:path}}", self.listed, reads),
            route("GET", f"{base}/file/{{file:path}}", self.content, reads),
            route("POST", f"{base}/file/url/{{file:path}}", self.from_url, writes),
            route("POST", f"{base}/file/local/{{target_path:path}}", self.from_caller, writes),
        ]

    async def listed(self, asked: Asked) -> Response:
        """List what lies directly in a folder, by name."""
        place = self._place(str(asked.request.path_params.get("dir", "")))
        entries = await anyio.to_thread.run_sync(_entries, self.folder, place)
        return json_answer(entries)

    async def content(self, asked: Asked) -> Response:
        """Answer with the bytes of a file."""
        place = self._place(asked.path("file"))
        if not await anyio.Path(place).is_file():
            raise ApiRefusal(404, f"File {asked.path('file')!r} not found")
        return FileResponse(place, media_type="application/octet-stream")

    async def from_url(self, asked: Asked) -> Response:
        """Fetch an address into a file; an address of the own file host is read from its shelf."""
        target = self._place(asked.path("file"), named=True)
        url = need_uri((await asked.body(_Source)).url, "url")
        arriving = await anyio.to_thread.run_sync(_arriving, self.folder)
        try:
            await self._fetch(asked, url, arriving)
            await anyio.to_thread.run_sync(_settle, arriving, target)
        finally:
            await anyio.Path(arriving).unlink(missing_ok=True)
        return json_answer(True)

    async def _fetch(self, asked: Asked, url: str, arriving: Path) -> None:
        file_id = file_id_in(url) if url.startswith(f"{asked.cdn}/") else None
        file = await self.door.do(self.shelf.find, file_id) if file_id else None
        if file is not None and not file.is_expired and file.bytes is not None:
            await anyio.to_thread.run_sync(shutil.copyfile, self.shelf.path(file), arriving)
            return
        try:
            await fetch(url, arriving)
        except FetchError as problem:
            raise ApiRefusal(400, f"url: {problem}") from None

    async def from_caller(self, asked: Asked) -> Response:
        """Take in a file of a form, or what an archive holds where ``unzip`` is set."""
        unzip = asked.flag("unzip")
        target = self._place(asked.path("target_path"), named=not unzip)
        async with asked.request.form() as form:
            given = form.get("file_upload")
            if not isinstance(given, UploadFile):
                raise ApiRefusal(400, "file_upload: a file is needed")
            arriving = await anyio.to_thread.run_sync(_arriving, self.folder)
            try:
                async with await anyio.open_file(arriving, "wb") as file:
                    while piece := await given.read(1 << 20):
                        await file.write(piece)
                await anyio.to_thread.run_sync(_unpack if unzip else _settle, arriving, target)
            finally:
                await anyio.Path(arriving).unlink(missing_ok=True)
        return json_answer(True)

    def _place(self, path: str, *, named: bool = False) -> Path:
        """Return where *path* lies; it may not lead out of the storage.

        Raises:
            ApiRefusal: 400; it does, or it is empty where a name is needed.
        """
        parts = PurePosixPath(path).parts
        wrong = any(part in ("..", "/", "\\") or "\x00" in part for part in parts)
        if wrong or (named and not parts):
            raise ApiRefusal(400, f"{path!r} is not a path in the storage")
        return self.folder.joinpath(*parts)


def _entries(folder: Path, place: Path) -> list[dict[str, Any]]:
    if not place.is_dir():
        if place == folder:
            return []
        raise ApiRefusal(400, f"{place.relative_to(folder).as_posix()!r} is not a folder")
    found = sorted(each for each in place.iterdir() if not each.name.startswith(".arriving-"))
    return [_entry(folder, each) for each in found]


def _entry(folder: Path, place: Path) -> dict[str, Any]:
    facts = place.stat()
    entry: dict[str, Any] = {
        "path": place.relative_to(folder).as_posix(),
        "name": place.name,
        "created_time": instant(facts.st_ctime),
        "updated_time": instant(facts.st_mtime),
        "is_file": place.is_file(),
        "size": facts.st_size if place.is_file() else 0,
    }
    if place.is_file():
        with place.open("rb") as file:
            entry["checksum_sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
            entry["checksum_md5"] = md5.hexdigest()
    return entry


def _arriving(folder: Path) -> Path:
    """Return an empty file of our own for what is still coming."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = folder / f".arriving-{os.urandom(8).hex()}"
    os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    return place


def _settle(arrived: Path, target: Path) -> None:
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.replace(arrived, target)  # noqa: PTH105  # atomic, over an earlier content
    except OSError as problem:
        raise ApiRefusal(400, f"the file cannot be kept: {problem.strerror}") from None


def _unpack(arrived: Path, target: Path) -> None:
    """Write what an archive holds under *target*; nothing of it may lead elsewhere."""
    try:
        with zipfile.ZipFile(arrived) as archive:
            infos = archive.infolist()
            _check(infos)
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            for info in infos:
                archive.extract(info, target)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as problem:
        raise ApiRefusal(400, f"the archive cannot be unpacked: {problem}") from None


def _check(infos: Sequence[zipfile.ZipInfo]) -> None:
    if len(infos) > MOST_PACKED or sum(info.file_size for info in infos) > MOST_UNPACKED:
        raise ApiRefusal(400, "the archive holds too much")
    for info in infos:
        parts = PurePosixPath(info.filename.replace("\\", "/")).parts
        if not parts or ".." in parts or parts[0] == "/":
            raise ApiRefusal(
                400, f"the archive holds {info.filename[:80]!r}, which leads out of it"
            )
