"""Put a file on fal's CDN: streamed from disk, in one request or in parts."""

import math
import re
import unicodedata
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
from pydantic import SecretStr

from server.fal import wire
from server.fal.options import Lifecycle
from server.fal.origins import shown
from server.fal.problems import FalError, NoBalanceError, PlatformError, UnauthorisedError
from server.fal.sender import Ask, Sender
from server.fal.wire import Answer, CdnToken, UnreadableAnswerError, Uploaded
from tools.errors import MediaError

# As fal's Python client does (read in its source): larger files go in parts of this size.
THRESHOLD = 100 * 1024 * 1024
PART_BYTES = 10 * 1024 * 1024
PARTS_AT_ONCE = 4
_CHUNK = 256 * 1024
_LEEWAY = timedelta(minutes=5)

T = TypeVar("T")


class Uploads:
    """Uploads with one token for all of them, fetched when needed and again before it expires."""

    def __init__(
        self, sender: Sender, *, threshold: int = THRESHOLD, part_bytes: int = PART_BYTES
    ) -> None:
        self._sender = sender
        self._threshold = threshold
        self._part_bytes = part_bytes
        self._token: CdnToken | None = None
        self._one = anyio.Lock()
        self._threads = anyio.CapacityLimiter(8)

    async def upload(
        self, path: Path, media_type: str, file_name: str, lifecycle: Lifecycle | None = None
    ) -> Uploaded:
        """Store the file at *path*; see `FalClient.upload`."""
        try:
            size = (await anyio.to_thread.run_sync(path.stat, limiter=self._threads)).st_size
            file = _File(path, size, media_type, file_name, self._threads)
            expires = file.live(lifecycle)
            try:
                token = await self._fresh(None)
            except (UnauthorisedError, NoBalanceError):
                raise  # the other way asks for the same key
            except FalError as failure:
                return Uploaded(await self._otherwise(file, failure), expires)
            if size > self._threshold:
                return Uploaded(await self._in_parts(file, token), expires)
            return Uploaded(await self._whole(file, token), expires)
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise MediaError(
                f"{path.name!r} cannot be read: {reason}", hint="check the file"
            ) from None

    async def _whole(self, file: "_File", token: CdnToken) -> str:
        def url(answer: Answer) -> str:
            return wire.needed(answer.json(), "access_url")[0]

        headers = file.headers | {"Content-Length": str(file.size)}
        cdn = self._sender.hosts.cdn
        ask = Ask("POST", f"{cdn}/files/upload", file.name, headers=headers, content=file.stream)
        return _address(await self._with_token(ask, url, token), file.name)

    async def _otherwise(self, file: "_File", failure: FalError) -> str:
        """Store *file* where the support host says, since no token was to be had.

        As fal's clients do (read in their source), except that no key goes to the place named: its
        address is signed, and it must be one of the configured hosts or speak TLS.

        Raises:
            FalError: this failed too: *failure* is raised, which came first.
        """

        def begun(answer: Answer) -> tuple[str, ...]:
            return wire.needed(answer.json(), "upload_url", "file_url")

        ask = Ask(
            "POST",
            f"{self._sender.hosts.rest}/storage/upload/initiate",
            file.name,
            params={"storage_type": "gcs"},
            headers=file.lifecycle | {"Content-Type": "application/json"},
            content=wire.encoded({"file_name": file.sent_name, "content_type": file.media_type}),
        )
        try:
            target, url = await self._sender.read(ask, begun)
            if not self._sender.may_take_files(target):
                raise failure
            headers = {"Content-Type": file.media_type, "Content-Length": str(file.size)}
            put = Ask("PUT", target, file.name, headers=headers, content=file.stream, keyless=True)
            await self._sender.read(put, lambda answer: answer.ok)
            return _address(url, file.name)
        except FalError:
            raise failure from None

    async def _in_parts(self, file: "_File", token: CdnToken) -> str:
        def begun(answer: Answer) -> tuple[str, ...]:
            return wire.needed(answer.json(), "access_url", "uploadId")

        cdn = self._sender.hosts.cdn
        ask = Ask("POST", f"{cdn}/files/upload/multipart", file.name, headers=file.headers)
        access_url, upload_id = await self._with_token(ask, begun, token)
        if not self._sender.is_cdn(access_url) or not wire.REQUEST_ID.match(upload_id):
            raise PlatformError(
                f"{file.name}: fal wants the parts at {shown(access_url)!r}",
                hint="an upload token is sent to the configured file host only",
                retry_helps=False,
            )
        base = f"{access_url.rstrip('/')}/multipart/{upload_id}"
        tags: dict[int, str] = {}
        numbers = iter(range(1, math.ceil(file.size / self._part_bytes) + 1))

        async def send_parts() -> None:
            for number in numbers:  # shared: each part is taken by one of the senders
                tags[number] = await self._part(file, f"{base}/{number}", number)

        failures: list[Exception] = []
        try:
            async with anyio.create_task_group() as group:
                for _ in range(PARTS_AT_ONCE):
                    group.start_soon(send_parts)
        except* (FalError, MediaError, OSError) as many:
            failures += many.exceptions
        if failures:
            raise failures[0]
        await self._complete(file, base, tags)
        return access_url

    async def _part(self, file: "_File", url: str, number: int) -> str:
        """Send part *number*, from 1, and return its tag."""

        def tag(answer: Answer) -> str:
            if not answer.headers.get("etag"):
                raise UnreadableAnswerError("the answer to a part holds no ETag")
            return answer.headers["etag"]

        data = await file.part((number - 1) * self._part_bytes, self._part_bytes)
        # Identity, since a compressing proxy drops the tag (as fal's client does).
        headers = {"Content-Type": file.media_type, "Accept-Encoding": "identity"}
        ask = Ask("PUT", url, file.name, headers=headers, content=data)
        return await self._with_token(ask, tag)

    async def _complete(self, file: "_File", base: str, tags: dict[int, str]) -> None:
        parts = [{"partNumber": number, "etag": tags[number]} for number in sorted(tags)]
        ask = Ask(
            "POST",
            f"{base}/complete",
            file.name,
            headers={"Content-Type": "application/json"},
            content=wire.encoded({"parts": parts}),
        )
        await self._with_token(ask, lambda answer: answer.ok)

    async def _with_token(
        self, ask: Ask, understand: Callable[[Answer], T], token: CdnToken | None = None
    ) -> T:
        """Send *ask* with the token; a token that was refused is fetched anew, once."""
        token = token or await self._fresh(None)
        try:
            return await self._sender.read(_with(ask, token), understand)
        except UnauthorisedError:
            token = await self._fresh(token)
        return await self._sender.read(_with(ask, token), understand)

    async def _fresh(self, refused: CdnToken | None) -> CdnToken:
        """Return a token that lives five minutes at least and is not *refused*."""
        async with self._one:
            if (
                self._token is None
                or self._token is refused
                or self._token.expires - _LEEWAY <= datetime.now(UTC)
            ):
                ask = Ask(
                    "POST",
                    f"{self._sender.hosts.rest}/storage/auth/token",
                    "the upload token",
                    params={"storage_type": "fal-cdn-v3"},
                    headers={"Content-Type": "application/json"},
                    content=b"{}",
                )
                self._token = await self._sender.read(
                    ask, lambda answer: wire.cdn_token(answer.json())
                )
            return self._token


class _File:
    """A file of known size on its way."""

    def __init__(
        self,
        path: Path,
        size: int,
        media_type: str,
        file_name: str,
        threads: anyio.CapacityLimiter,
    ) -> None:
        self.path = path
        self.size = size
        self.name = path.name
        self.media_type = (
            media_type
            if re.fullmatch(r"[\w.+-]+/[\w.+-]+(; ?[\w.+-]+=[\w.+-]+)*", media_type, re.ASCII)
            else "application/octet-stream"
        )
        self.sent_name = ascii_name(file_name)
        self.headers = {"Content-Type": self.media_type, "X-Fal-File-Name": self.sent_name}
        self.lifecycle: dict[str, str] = {}
        self._threads = threads

    def live(self, lifecycle: Lifecycle | None) -> datetime | None:
        """Have the headers ask for *lifecycle*, and return the instant it ends the file."""
        asked = lifecycle.as_header() if lifecycle else ""
        if asked:  # fal's client sends both names (read in its source)
            names = ("X-Fal-Object-Lifecycle", "X-Fal-Object-Lifecycle-Preference")
            self.lifecycle = dict.fromkeys(names, asked)
            self.headers |= self.lifecycle
        seconds = lifecycle.seconds if lifecycle else None
        return None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the file from disk, exactly as many bytes as were announced.

        Raises:
            MediaError: it became shorter or longer meanwhile.
        """
        left = self.size
        file = await anyio.to_thread.run_sync(self.path.open, "rb", limiter=self._threads)
        try:
            while chunk := await anyio.to_thread.run_sync(file.read, _CHUNK, limiter=self._threads):
                left -= len(chunk)
                if left < 0:
                    break
                yield chunk
        finally:
            file.close()
        if left:
            raise self._changed()

    async def part(self, start: int, length: int) -> bytes:
        """Return *length* bytes from *start*, fewer at the end.

        Raises:
            MediaError: the file became shorter meanwhile.
        """

        def read() -> bytes:
            with self.path.open("rb") as file:
                file.seek(start)
                return file.read(length)

        data = await anyio.to_thread.run_sync(read, limiter=self._threads)
        if len(data) != min(length, self.size - start):
            raise self._changed()
        return data

    def _changed(self) -> MediaError:
        return MediaError(f"{self.name!r} changed while it was sent", hint="send it again")


def ascii_name(name: str) -> str:
    """Return *name* as a header can carry it: ASCII, no path, 120 characters, its ending kept."""
    plain = unicodedata.normalize("NFKD", name.replace("\\", "/").rsplit("/", 1)[-1])
    kept = re.sub(r"[^A-Za-z0-9._ -]+", "_", plain.encode("ascii", "ignore").decode()).strip(" _")
    stem, dot, ending = kept.rpartition(".")
    if not dot:
        stem, ending = kept, ""
    return f"{stem.strip(' .')[:100] or 'file'}{dot}{ending[:19]}"


def _with(ask: Ask, token: CdnToken) -> Ask:
    return replace(ask, bearer=SecretStr(f"{token.scheme} {token.token}"))


def _address(url: str, name: str) -> str:
    """Return *url* if models can read it.

    Raises:
        PlatformError: it is not an http address.
    """
    if not re.match(r"https?://[^\s/]+/", url):
        raise PlatformError(f"{name}: fal gave no address for the file")
    return url
