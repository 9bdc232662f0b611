"""`Multipart`: large files that arrive in parts, over the CDN's own way and the support host's."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from server.emulator.answers import Refusal, base_of, json_answer, json_body
from server.emulator.shelf import Shelf, Shelved, with_base
from server.emulator.storage import PROMISED, Storage, named_in_headers, write
from server.emulator.tokens import issue, stands_for

UPLOAD_SECONDS = 86_400.0
MOST_PARTS = 10_000


@dataclass(frozen=True, slots=True)
class Multipart:
    """Uploads in parts. A part answers with its ETag as header and as JSON: clients differ."""

    storage: Storage

    def routes(self) -> list[BaseRoute]:
        """Return the CDN's own way, and the one whose addresses the support host promised."""
        on_cdn = "/cdn/files/b/{file_id}/{name}/multipart/{upload_id}"
        return [
            Route("/cdn/files/upload/multipart", self.begin, methods=["POST"]),
            Route(f"{on_cdn}/complete", self.complete, methods=["POST"]),
            Route(f"{on_cdn}/{{number:int}}", self.part, methods=["PUT"]),
            Route(f"{PROMISED}/complete", self.complete, methods=["POST"]),
            Route(f"{PROMISED}/{{number:int}}", self.part, methods=["PUT"]),
        ]

    async def begin(self, request: Request) -> Response:
        """Begin an upload on the CDN: where the file will lie, and a name for the upload."""
        self.storage.need_cdn_token(request)
        file = await self.storage.place(request, *named_in_headers(request))
        await self.storage.store.do(self._shelf.announce, file)
        upload_id = issue(self.storage.store.secret, f"parts {file.file_id}", UPLOAD_SECONDS)
        url = with_base(file.url, f"{base_of(request)}/cdn")
        return json_answer({"access_url": url, "uploadId": upload_id})

    async def part(self, request: Request) -> Response:
        """Take in one part, in whatever order they come."""
        file = await self._file(request)
        number = request.path_params["number"]
        if not 1 <= number <= MOST_PARTS:
            raise Refusal(400, f"part {number} is not from 1 to {MOST_PARTS}")
        target = self._folder(file) / f".part-{number}"
        digest = await write(request, target)
        body = {"partNumber": number, "etag": f'"{digest}"'}
        return json_answer(body, 200, {"etag": f'"{digest}"'})

    async def complete(self, request: Request) -> Response:
        """Put the named parts together by their numbers, whatever their order in the list."""
        file = await self._file(request)
        parts = _parts(await json_body(request))
        whole = await anyio.to_thread.run_sync(_joined, self._folder(file), parts)
        await self.storage.store.do(self._shelf.take_in, file, whole, "")
        return json_answer({"access_url": with_base(file.url, f"{base_of(request)}/cdn")})

    @property
    def _shelf(self) -> Shelf:
        return self.storage.shelf

    def _folder(self, file: Shelved) -> Path:
        return self._shelf.path(file).parent

    async def _file(self, request: Request) -> Shelved:
        """Return the file whose parts these are.

        The upload's name stands for it on the CDN (with a token), the signature elsewhere.
        """
        file_id = request.path_params["file_id"]
        if upload_id := request.path_params.get("upload_id"):
            self.storage.need_cdn_token(request)
            wanted = stands_for(self.storage.store.secret, upload_id)
        else:
            signature = request.query_params.get("signature", "")
            wanted = stands_for(self.storage.store.secret, signature)
        if wanted not in (f"parts {file_id}", f"put {file_id}"):
            raise Refusal(403, "The name or signature of this upload is wrong or has expired")
        file = await self.storage.store.do(self._shelf.find, file_id)
        if file is None:
            raise Refusal(404, "Not Found")
        return file


def _parts(body: Any) -> list[tuple[int, str]]:  # noqa: ANN401  # JSON
    """Return numbers and ETags of the parts in *body*, sorted."""
    try:
        listed = cast("list[dict[str, Any]]", body["parts"])
        parts = sorted((int(part["partNumber"]), str(part["etag"])) for part in listed)
    except (KeyError, TypeError, ValueError):
        parts = []
    if not parts:
        raise Refusal(
            400, "parts: a list of partNumber and etag is needed", error_type="bad_request"
        )
    return parts


def _joined(folder: Path, parts: list[tuple[int, str]]) -> Path:
    """Return a file with all *parts* one after the other; the parts are gone then."""
    whole = folder / ".arriving-parts"
    with whole.open("wb") as target:
        whole.chmod(0o600)
        for number, etag in parts:
            source = folder / f".part-{number}"
            if not source.exists() or _etag(source) != etag.strip('"'):
                raise Refusal(400, f"part {number} is missing or has another etag")
            with source.open("rb") as piece:
                shutil.copyfileobj(piece, target)
    for part in folder.glob(".part-*"):
        part.unlink()
    return whole


def _etag(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
