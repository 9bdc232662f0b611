"""`Storage`: tokens, uploads and downloads, as fal's support host and CDN answer them."""

import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response

from server.emulator.access import app_token, apps_in
from server.emulator.answers import Refusal, base_of, has_key, json_answer, json_body
from server.emulator.shelf import Lifecycle, Shelf, Shelved, with_base
from server.emulator.store import Store
from server.emulator.tokens import issue, stands_for

CDN_TOKEN_SECONDS = 30 * 60.0
LONGEST_TOKEN_SECONDS = 30 * 86_400.0
REALTIME_TOKEN_SECONDS = 120.0
UPLOAD_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Storage:
    """What the support host (`rest`) and the CDN need."""

    store: Store
    shelf: Shelf

    async def cdn_token(self, request: Request) -> Response:
        """Issue a token for writing to the CDN; its end carries ``+00:00``, which clients parse."""
        _need_key(request)
        wanted = _field(await json_body(request), "expiration_seconds")
        seconds = float(wanted) if isinstance(wanted, int | float) else CDN_TOKEN_SECONDS
        seconds = min(max(seconds, 1.0), LONGEST_TOKEN_SECONDS)
        end = datetime.now(UTC) + timedelta(seconds=seconds)
        return json_answer(
            {
                "token": issue(self.store.secret, "cdn", seconds),
                "token_type": "Bearer",
                "base_url": f"{base_of(request)}/cdn",
                "expires_at": end.isoformat(),
            }
        )

    async def realtime_token(self, request: Request) -> Response:
        """Issue a token for realtime: a bare JSON string, which is what released clients read."""
        return JSONResponse(await self._app_token(request, "token_expiration"))

    async def realtime_token_object(self, request: Request) -> Response:
        """Issue the same in the shape that newer documents show."""
        return json_answer({"token": await self._app_token(request, "duration")})

    async def _app_token(self, request: Request, field: str) -> str:
        _need_key(request)
        body = await json_body(request)
        apps = apps_in(body)
        if apps is None:
            raise Refusal(422, "allowed_apps: a list of applications is needed")
        wanted = _field(body, field)
        seconds = float(wanted) if isinstance(wanted, int | float) else REALTIME_TOKEN_SECONDS
        return app_token(self.store.secret, apps, min(seconds, LONGEST_TOKEN_SECONDS))

    async def initiate(self, request: Request) -> Response:
        """Promise a place for a file: where to put it, whole or in parts, and where to read it."""
        _need_key(request)
        if request.query_params.get("storage_type", "gcs") not in ("gcs", "fal-cdn-v3"):
            raise Refusal(400, "unknown storage_type", error_type="bad_request")
        body = await json_body(request)
        name, media_type = _field(body, "file_name"), _field(body, "content_type")
        file = await self.place(request, str(name or ""), str(media_type or ""))
        await self.store.do(self.shelf.announce, file)
        base = f"{base_of(request)}/cdn"
        signature = issue(self.store.secret, f"put {file.file_id}", UPLOAD_SECONDS)
        path = file.url.partition("/files/b/")[2]
        return json_answer(
            {
                "upload_url": f"{base}/upload/{path}?signature={signature}",
                "file_url": with_base(file.url, base),
            }
        )

    async def put(self, request: Request) -> Response:
        """Take in the content that was promised; the signature in the address is enough."""
        file_id = request.path_params["file_id"]
        signature = request.query_params.get("signature", "")
        if stands_for(self.store.secret, signature) != f"put {file_id}":
            raise Refusal(403, "The signature of this upload is wrong or has expired")
        file = await self.store.do(self.shelf.find, file_id)
        if file is None:
            raise Refusal(404, "Not Found")
        etag = await self._take_in(file, request)
        return Response(status_code=200, headers={"etag": f'"{etag}"'})

    async def upload(self, request: Request) -> Response:
        """Take in a whole file in one request and say where it lies."""
        self.need_cdn_token(request)
        file = await self.place(request, *named_in_headers(request))
        try:
            await self._take_in(file, request)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.store.do(self.shelf.discard, file)
            raise
        return json_answer({"access_url": with_base(file.url, f"{base_of(request)}/cdn")})

    async def place(self, request: Request, name: str, media_type: str) -> Shelved:
        """Return an empty place for a file, of the lifetime that the headers ask for."""
        headers = request.headers
        lifecycle = headers.get("x-fal-object-lifecycle-preference")
        return await anyio.to_thread.run_sync(
            self.shelf.place,
            name or "upload.bin",
            media_type or "application/octet-stream",
            Lifecycle.of(lifecycle or headers.get("x-fal-object-lifecycle")),
        )

    async def download(self, request: Request) -> Response:
        """Answer with a file or a part of it, as its access rule and lifetime allow."""
        file = await self.store.do(self.shelf.find, request.path_params["file_id"])
        if file is None or file.bytes is None or file.is_expired or file.access == "hide":
            raise Refusal(404, "Not Found")
        if file.name != request.path_params["name"]:
            raise Refusal(404, "Not Found")
        if file.access == "forbid":
            raise Refusal(403, "Access to this file is forbidden")
        return FileResponse(
            self.shelf.path(file),
            media_type=file.media_type,
            headers={
                "access-control-allow-origin": "*",
                "cache-control": "public, max-age=31536000, immutable",
                "x-content-type-options": "nosniff",
            },
        )

    def need_cdn_token(self, request: Request) -> None:
        """Refuse with 401 whoever has no token of `cdn_token`."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or stands_for(self.store.secret, token) != "cdn":
            raise Refusal(401, "A CDN token is needed")

    async def _take_in(self, file: Shelved, request: Request) -> str:
        """Write the body of *request* as the content of *file*; return its MD5."""
        arriving = self.shelf.path(file).parent / f".arriving-{time.time_ns()}"
        try:
            digest = await write(request, arriving)
            media_type = request.headers.get("content-type", "")
            await self.store.do(self.shelf.take_in, file, arriving, media_type)
            return digest
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.Path(arriving).unlink(missing_ok=True)


async def write(request: Request, target: Path) -> str:
    """Write the body of *request* to *target*, for its owner's eyes only; return its MD5."""
    digest = hashlib.md5(usedforsecurity=False)
    await anyio.Path(target).touch(0o600)
    try:
        async with await anyio.open_file(target, "wb") as file:
            async for piece in request.stream():
                digest.update(piece)
                await file.write(piece)
    except ClientDisconnect:
        raise Refusal(499, "Client disconnected") from None
    return digest.hexdigest()


def named_in_headers(request: Request) -> tuple[str, str]:
    """Return name and media type of an upload; names travel as UTF-8 bytes."""
    name = request.headers.get("x-fal-file-name", "").encode("latin-1")
    return name.decode(errors="replace"), request.headers.get("content-type", "")


def _field(body: Any, name: str) -> Any:  # noqa: ANN401  # JSON
    """Return a field of *body*, None where it is no object or has no such field."""
    return body.get(name) if isinstance(body, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # JSON


def _need_key(request: Request) -> None:
    if not has_key(request):
        raise Refusal(401, "Authentication is required to access this resource")
