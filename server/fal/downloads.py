"""Bring a file home: without a key, past no private network, over several tries, checked."""

import base64
import binascii
import hashlib
import os
import re
import urllib.parse
import urllib.request
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar, TypeVarTuple, Unpack

import anyio
import anyio.to_thread
import httpx

from server.fal.bodies import unpacked
from server.fal.origins import CDN_NAMES, is_under, shown
from server.fal.outside import Resolve, UnresolvedError, check_address, parsed
from server.fal.problems import (
    FalError,
    NetworkError,
    NotFoundError,
    PlatformError,
    TooLargeError,
)
from server.fal.retry import Pauses, RetryPolicy, retry_after
from server.fal.sender import PLAIN_TIMEOUT
from server.fal.wire import Downloaded
from server.settings import EMULATOR_BASE, Hosts
from tools.errors import MediaError

MOST_REDIRECTS = 5
MOST_TRIES = 20  # of one file, however far each got
WORTH = 256 * 1024  # bytes after which a broken try counts as one that got somewhere
SLOW_SECONDS, SLOWEST = 120.0, 1024  # over so long a time, fewer bytes a second end a try
_CHUNK = 1024 * 1024
_DATA = re.compile(r"data:(?P<type>[^;,]*)(?P<rest>(?:;[^;,]*)*),", re.IGNORECASE)
_PASSING = (408, 425, 429, 500, 502, 503, 504)

T = TypeVar("T")
P = TypeVarTuple("P")


class _BrokenError(Exception):
    """A try that did not bring the whole file; another may."""

    def __init__(self, failure: FalError, pause: float | None = None) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.pause = pause


class _Pace:
    """How fast a body comes: a byte now and then never trips a bound on single reads."""

    def __init__(self) -> None:
        self._since = anyio.current_time()
        self._bytes = 0

    def see(self, length: int) -> None:
        """Count *length* more bytes.

        Raises:
            httpx.ReadTimeout: it is too slow to come home in a lifetime.
        """
        self._bytes += length
        waited = anyio.current_time() - self._since
        if waited > SLOW_SECONDS:
            if self._bytes < SLOWEST * waited:
                raise httpx.ReadTimeout("too slow")
            self._since, self._bytes = anyio.current_time(), 0


class _Copy:
    """The file as far as it is home: open for writing, hashed, with what identifies the original.

    *most* bytes may come. *mark* is a strong entity tag or a date: a transfer goes on only when the
    original still has it.
    """

    def __init__(self, file: BinaryIO, name: str, most: int | None) -> None:
        self.file = file
        self.name = name
        self.most = most
        self.hash = hashlib.sha256()
        self.length = 0
        self.total: int | None = None
        self.mark = ""
        self.media_type = ""

    def begin(self) -> None:
        """Forget what is home."""
        self.file.seek(0)
        self.file.truncate()
        self.hash = hashlib.sha256()
        self.length = 0

    def add(self, data: bytes) -> None:
        """Append *data*; blocks."""
        self.file.write(data)
        self.hash.update(data)
        self.length += len(data)

    def check(self, length: int) -> None:
        """Refuse a file of *length* bytes that is longer than was asked for.

        Raises:
            TooLargeError: it is.
        """
        if self.most is not None and length > self.most:
            raise TooLargeError(f"{self.name} is longer than {self.most:,} bytes")


class Downloads:
    """Reads files from the configured addresses, and from public ones over https."""

    def __init__(
        self, http: httpx.AsyncClient, hosts: Hosts, policy: RetryPolicy, resolve: Resolve
    ) -> None:
        self._http = http
        self._policy = policy
        self._resolve = resolve
        ours = (hosts.run, hosts.queue, hosts.rest, hosts.api, hosts.cdn, hosts.models)
        cdn = CDN_NAMES if hosts.cdn in CDN_NAMES else ()
        self._ours = tuple(map(httpx.URL, (*ours, *cdn)))
        self._embedded = hosts.queue.startswith(EMULATOR_BASE)
        self._threads = anyio.CapacityLimiter(8)

    async def download(self, url: str, target: Path, max_bytes: int | None) -> Downloaded:
        """Write what lies at *url* to *target*; see `FalClient.download`."""
        try:
            file = await self._off(_opened, target)
            try:
                if url[:5].lower() == "data:":
                    copy = _Copy(file, "the data URI", max_bytes)
                    await self._off(_decode, url, copy)
                else:
                    copy = _Copy(file, shown(url), max_bytes)
                    await self._fetch(url, copy)
            finally:
                with anyio.CancelScope(shield=True):
                    await self._off(file.close)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else type(error).__name__
            raise MediaError(
                f"{target.name!r} cannot be written: {reason.lower()}",
                hint="check the folder and the space on the disk",
            ) from None
        return Downloaded(copy.length, copy.hash.hexdigest(), copy.media_type)

    async def _fetch(self, url: str, copy: _Copy) -> None:
        pauses = self._policy.pauses()
        for turn in range(MOST_TRIES):
            before = copy.length
            try:
                await self._try(url, copy, turn)
                return
            except _BrokenError as error:
                broken = error
            if copy.length - before >= WORTH:
                pauses.renew()
            if not await _again(pauses, broken, turn):
                raise broken.failure

    async def _try(self, url: str, copy: _Copy, turn: int) -> None:
        """Fetch what is missing of *copy*.

        Raises:
            _BrokenError: not all of it came.
        """
        # Lengths and ranges count the file's own bytes only when it is not compressed.
        headers = {"Accept-Encoding": "identity"}
        if copy.length and copy.mark:
            headers |= {"Range": f"bytes={copy.length}-", "If-Range": copy.mark}
        broken: _BrokenError | None = None
        try:
            async with self._open(url, headers, turn) as response:
                _judge(response, copy)
                await self._write(response, copy)
        except httpx.HTTPError:
            broken = _BrokenError(
                NetworkError(f"{copy.name}: the connection broke", hint="try again")
            )
        if broken:
            raise broken

    async def _write(self, response: httpx.Response, copy: _Copy) -> None:
        """Append the body of *response* to *copy* and look whether it is all of it."""
        if response.status_code == 200:
            await self._off(copy.begin)
            _note(response, copy)
        if copy.total is not None:
            copy.check(copy.total)
        waiting = bytearray()
        pace = _Pace()
        try:
            packing = response.headers.get("content-encoding", "")
            async for chunk in unpacked(response.aiter_raw(), packing):
                waiting += chunk
                pace.see(len(chunk))
                copy.check(copy.length + len(waiting))
                if len(waiting) >= _CHUNK:
                    await self._off(copy.add, bytes(waiting))
                    waiting.clear()
        except httpx.HTTPError:
            await self._off(copy.add, bytes(waiting))  # the next try goes on behind it
            raise
        await self._off(copy.add, bytes(waiting))
        if copy.total is not None and copy.length != copy.total:
            short = f"{copy.name}: {copy.length:,} of {copy.total:,} bytes came"
            raise _BrokenError(NetworkError(short, hint="try again"))

    @asynccontextmanager
    async def _open(
        self, url: str, headers: dict[str, str], turn: int
    ) -> AsyncGenerator[httpx.Response]:
        """Yield the answer to a GET of *url*, past at most five redirects, each checked anew."""
        for _ in range(MOST_REDIRECTS + 1):
            request = await self._request(url, headers, turn)
            response = await self._http.send(
                request, stream=True, follow_redirects=False, auth=None
            )
            try:
                if not response.has_redirect_location:
                    yield response
                    return
                url = str(parsed(url).join(parsed(response.headers["location"])))
            finally:
                await response.aclose()
        raise PlatformError(
            f"{shown(url)}: more than {MOST_REDIRECTS} redirects", retry_helps=False
        )

    async def _request(self, url: str, headers: dict[str, str], turn: int) -> httpx.Request:
        """Return the request for *url*: to a configured address as it is, else to a checked one.

        The connection goes to an address that was checked, so that a name which resolves otherwise
        a moment later gains nothing. A proxy connects by itself and is given the name.
        """
        given = parsed(url)
        host = given.host
        named, extensions = headers, dict[str, str]()
        if not is_under(url, self._ours):
            address = await self._checked(url, turn)
            if address:
                # The connection is for this name only: it is not kept for others at the address.
                named = headers | {"Host": given.netloc.decode("ascii"), "Connection": "close"}
                extensions = {"sni_hostname": given.raw_host.decode("ascii")}
                host = address
        request = self._http.build_request(
            "GET",
            given.copy_with(host=host) if extensions else given,
            headers=named,
            timeout=PLAIN_TIMEOUT,
            extensions=extensions,
        )
        request.headers.pop("authorization", None)  # whatever the client usually sends
        return request

    async def _checked(self, url: str, turn: int) -> str:
        """Return the address to connect to for *url*, or nothing when a proxy connects.

        Raises:
            MediaError: it may not be read.
            _BrokenError: its host is not known now.
        """
        if self._embedded:
            raise MediaError(
                f"{shown(url)!r} lies outside the embedded emulator, which reaches no other host",
                hint="give a local file instead",
            )
        proxied = _proxied(parsed(url).host)
        try:
            addresses = await check_address(url, self._resolve)
        except UnresolvedError as error:
            if proxied:
                return ""
            raise _BrokenError(NetworkError(error.message, hint=error.hint)) from None
        return "" if proxied else addresses[turn % len(addresses)]

    async def _off(self, work: Callable[[Unpack[P]], T], *arguments: *P) -> T:
        return await anyio.to_thread.run_sync(work, *arguments, limiter=self._threads)


def _opened(target: Path) -> BinaryIO:
    return target.open("wb")


async def _again(pauses: Pauses, broken: _BrokenError, turn: int) -> bool:
    return turn + 1 < MOST_TRIES and await pauses.again(broken.pause)


def _judge(response: httpx.Response, copy: _Copy) -> None:
    """Refuse an answer that is not the file, or not the missing part of it.

    Raises:
        NotFoundError: there is nothing (any more).
        PlatformError: the host refuses.
        _BrokenError: another try may bring it.
    """
    status = response.status_code
    if status in (403, 404, 410):
        raise NotFoundError(
            f"{copy.name} is not there (HTTP {status})",
            hint="files on fal expire or may be protected; make or upload it again",
        )
    failure = PlatformError(f"{copy.name}: its host answered HTTP {status}")
    if status in _PASSING:
        raise _BrokenError(failure, retry_after(response.headers.get("retry-after")))
    if status == 416 or (status == 206 and not _continues(response, copy)):
        copy.mark = ""  # begin again, whole
        raise _BrokenError(failure)
    if status not in (200, 206):
        failure.retry_helps = False
        raise failure


def _continues(response: httpx.Response, copy: _Copy) -> bool:
    """Say whether a partial answer begins where *copy* ends, within the same original."""
    said = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("content-range", ""))
    if not said or not copy.mark or int(said[1]) != copy.length:
        return False
    return copy.total is None or said[2] in ("*", str(copy.total))


def _note(response: httpx.Response, copy: _Copy) -> None:
    """Remember what the beginning of a whole answer says of the file."""
    headers = response.headers
    encoded = headers.get("content-encoding", "identity") != "identity"
    length = headers.get("content-length", "")
    copy.total = int(length) if length.isdecimal() and not encoded else None
    tag = headers.get("etag", "")
    mark = tag if tag.startswith('"') else "" if tag else headers.get("last-modified", "")
    copy.mark = "" if encoded else mark
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    copy.media_type = kind if re.fullmatch(r"[\w.+-]+/[\w.+-]+", kind) else ""


def _decode(url: str, copy: _Copy) -> None:
    """Write the bytes of a data URI; blocks.

    Raises:
        MediaError: it is not one.
        TooLargeError: it is too long.
    """
    head = _DATA.match(url[:1000])
    if not head:
        raise MediaError("the data URI has no comma", hint="it reads data:image/png;base64,…")
    body = url[head.end() :]
    if ";base64" in head["rest"].lower():
        copy.check(len(body) * 3 // 4 - 2 if "%" not in body else 0)
        try:
            data = _from_base64(body)
        except (binascii.Error, ValueError):
            raise MediaError(
                "the data URI is not base64", hint="it reads data:image/png;base64,…"
            ) from None
    else:
        data = urllib.parse.unquote_to_bytes(body)
    copy.check(len(data))
    copy.media_type = head["type"].strip().lower() or "text/plain"
    copy.add(data)


def _from_base64(body: str) -> bytes:
    """Return the bytes of *body*, in either alphabet, with or without padding and line breaks."""
    text = "".join(urllib.parse.unquote(body).split()).replace("-", "+").replace("_", "/")
    return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)


def _proxied(host: str) -> bool:
    """Say whether this machine's settings send https traffic for *host* through a proxy."""
    proxies = urllib.request.getproxies()
    named = proxies.get("https") or proxies.get("all")
    return bool(named) and not urllib.request.proxy_bypass(host)
