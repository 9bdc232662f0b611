"""`Storage`: tokens, uploads and downloads, as fal's support host and CDN answer them."""

import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from server.emulator.access import (
    app_token,
    apps_in,
    cdn_token,
    cdn_user,
    is_signed,
    signed_url,
)
from server.emulator.acl import Acl
from server.emulator.answers import Refusal, base_of, has_key, json_answer, json_body, user_of
from server.emulator.shelf import Shelf, Shelved, file_id_in, with_base
from server.emulator.skew import told_now
from server.emulator.store import Store
from server.emulator.tokens import issue, stands_for

CDN_TOKEN_SECONDS = 30 * 60.0
LONGEST_TOKEN_SECONDS = 30 * 86_400.0
REALTIME_TOKEN_SECONDS = 120.0
UPLOAD_SECONDS = 3600.0
PROMISED = "/cdn/upload/{file_id}/{name}"  # where the support host says a file should be put
SIGNED_SECONDS = 86_400.0  # of a signed address, when nobody says how long
LONGEST_SIGNED_SECONDS = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Storage:
    """What the support host (`rest`) and the CDN need."""

    store: Store
    shelf: Shelf

    def routes(self) -> list[BaseRoute]:
        """Return the routes of tokens, of uploads as a whole, and of what is there."""
        on_shelf = "/cdn/files/b/{file_id}/{name}"
        return [
            Route("/rest/tokens/", self.realtime_token, methods=["POST"]),
            Route("/rest/tokens", self.realtime_token, methods=["POST"]),
            Route("/rest/tokens/realtime", self.realtime_token_object, methods=["POST"]),
            Route("/rest/storage/auth/token", self.cdn_token, methods=["POST"]),
            Route("/rest/storage/upload/initiate", self.initiate, methods=["POST"]),
            Route("/rest/storage/upload/initiate-multipart", self.initiate, methods=["POST"]),
            Route("/rest/storage/files/acl", self.access, methods=["GET", "PUT"]),
            Route("/cdn/files/upload", self.upload, methods=["POST"]),
            Route(PROMISED, self.put, methods=["PUT"]),
            Route(on_shelf, self.download),
            Route(f"{on_shelf}/sign", self.sign, methods=["POST"]),
        ]

    async def cdn_token(self, request: Request) -> Response:
        """Issue a token for writing to the CDN; its end carries ``+00:00``, which clients parse."""
        _need_key(request)
        wanted = _field(await json_body(request), "expiration_seconds")
        seconds = float(wanted) if isinstance(wanted, int | float) else CDN_TOKEN_SECONDS
        seconds = min(max(seconds, 1.0), LONGEST_TOKEN_SECONDS)
        end = datetime.fromtimestamp(told_now(), UTC) + timedelta(seconds=seconds)
        return json_answer(
            {
                "token": cdn_token(self.store.secret, user_of(request), seconds),
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
        asked = headers.get("x-fal-object-lifecycle-preference")
        user = cdn_user(request, self.store.secret) or user_of(request)
        lifecycle = await self.store.do(
            self.shelf.lifecycle, asked or headers.get("x-fal-object-lifecycle"), user
        )
        return await anyio.to_thread.run_sync(
            self.shelf.place,
            name or "upload.bin",
            media_type or "application/octet-stream",
            lifecycle,
        )

    async def download(self, request: Request) -> Response:
        """Answer with a file or a part of it, as its access rules and lifetime allow.

        Whoever is named by a CDN token is that user; a signed address is as good as its owner.
        """
        file = await self._readable(request)
        is_open = file.acl.decide((), None) == "allow"
        cached = "public, max-age=31536000, immutable" if is_open else "private, no-store"
        return FileResponse(
            self.shelf.path(file),
            media_type=file.media_type,
            headers={
                "access-control-allow-origin": "*",
                "cache-control": cached,
                "x-content-type-options": "nosniff",
            },
        )

    async def _readable(self, request: Request) -> Shelved:
        file = await self._named(request)
        if is_signed(str(request.url), self.store.secret, file.file_id):
            return file
        user = cdn_user(request, self.store.secret)
        match file.acl.decide((user,) if user else (), file.user):
            case "allow":
                return file
            case "hide":
                raise Refusal(404, "Not Found")
            case "forbid":
                raise Refusal(403, "Access to this file is forbidden")

    async def _named(self, request: Request) -> Shelved:
        """Return the file that the path names, whoever asks."""
        file = await self.store.do(self.shelf.find, request.path_params["file_id"])
        if file is None or file.bytes is None or file.is_expired:
            raise Refusal(404, "Not Found")
        if file.name != request.path_params["name"]:
            raise Refusal(404, "Not Found")
        return file

    async def sign(self, request: Request) -> Response:
        """Answer with an address, as text, under which anyone reads this file for a while."""
        file = await self._named(request)
        await self._need_owner(request, file)
        body = await json_body(request)
        seconds = _field(body, "duration")
        seconds = SIGNED_SECONDS if seconds is None else seconds
        if not isinstance(seconds, int | float) or not 1 <= seconds <= LONGEST_SIGNED_SECONDS:
            words = f"duration is not from 1 to {LONGEST_SIGNED_SECONDS:g} seconds"
            raise Refusal(400, words, error_type="bad_request")
        if (_field(body, "scope") or ["read"]) != ["read"]:
            raise Refusal(400, "scope: only read can be signed", error_type="bad_request")
        url = with_base(file.url, f"{base_of(request)}/cdn")
        return PlainTextResponse(signed_url(self.store.secret, url, file.file_id, seconds))

    async def access(self, request: Request) -> Response:
        """Say who may read the file at ``url``, or change it (PUT)."""
        _need_key(request)
        file_id = file_id_in(request.query_params.get("url", ""))
        file = await self.store.do(self.shelf.find, file_id) if file_id else None
        if file is None or file.is_expired:
            raise Refusal(404, "Not Found")
        await self._need_owner(request, file)
        if request.method != "PUT":
            return json_answer(file.acl.as_json())
        acl = Acl.of(await json_body(request))
        if acl is None:
            raise Refusal(400, "an object with default and rules is needed")
        await self.store.do(self.shelf.restrict, file.file_id, acl)
        return json_answer(acl.as_json())

    async def _need_owner(self, request: Request, file: Shelved) -> None:
        """Refuse whoever does not own *file* in the words that its rules have for them."""
        user = cdn_user(request, self.store.secret) or user_of(request)
        if not user:
            raise Refusal(401, "Authentication is required to access this resource")
        if file.user and user != file.user:
            hidden = file.acl.decide((user,), file.user) == "hide"
            raise Refusal(404, "Not Found") if hidden else Refusal(403, "The file is another's")

    def need_cdn_token(self, request: Request) -> None:
        """Refuse with 401 whoever has no token of `cdn_token`."""
        if cdn_user(request, self.store.secret) is None:
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
