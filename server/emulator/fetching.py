"""`fetch`: bring one public file home, never anything from a private address."""

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import anyio
import httpx

MOST_BYTES = 200 * 2**20
SECONDS = 20.0
CONNECT_SECONDS = 5.0
MOST_REDIRECTS = 3


class FetchError(Exception):
    """The file could not be had; the text says why."""


async def fetch(url: str, target: Path) -> None:
    """Write what lies at the http(s) address *url* into *target*.

    The host's address is looked up once, checked, and connected to as such, so that a name
    cannot lead elsewhere afterwards; each redirect is checked in the same way.

    Raises:
        FetchError: no such file, a private address, more than 200 MB, or over 20 seconds.
    """
    try:
        with anyio.fail_after(SECONDS):
            for _ in range(MOST_REDIRECTS + 1):
                following = await _get(url, target)
                if following is None:
                    return
                url = urljoin(url, following)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, TimeoutError) as problem:
        raise FetchError(str(problem) or type(problem).__name__) from problem
    raise FetchError("too many redirects")


@dataclass(frozen=True, slots=True)
class Aim:
    """How to ask the very address that was checked, whatever its name leads to by then."""

    url: httpx.URL
    headers: dict[str, str]
    extensions: dict[str, Any]


async def aim(url: str, *, loopback: bool = False) -> Aim:
    """Return how to reach *url* at an address that was checked; *loopback* allows this machine's.

    Raises:
        FetchError: not an http(s) address, or a private one.
        OSError: there is no such host.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise FetchError("not an http(s) address")
    address = await _public_address(parts.hostname, parts.port or 443, loopback=loopback)
    return Aim(
        httpx.URL(url).copy_with(host=address),
        {"Host": parts.netloc.rpartition("@")[2]},
        {"sni_hostname": parts.hostname},
    )


async def _get(url: str, target: Path) -> str | None:
    """Write the file and return None, or return where a redirect leads."""
    aimed = await aim(url)
    async with httpx.AsyncClient(trust_env=False, timeout=CONNECT_SECONDS) as http:
        request = http.build_request(
            "GET", aimed.url, headers=aimed.headers, extensions=aimed.extensions
        )
        answer = await http.send(request, stream=True)
        try:
            if answer.is_redirect:
                return answer.headers["location"]
            if answer.status_code != 200:
                raise FetchError(f"the server answered {answer.status_code}")
            await _keep(answer, target)
        finally:
            await answer.aclose()
    return None


async def _keep(answer: httpx.Response, target: Path) -> None:
    size = 0
    async with await anyio.open_file(target, "wb") as file:
        async for chunk in answer.aiter_bytes():
            size += len(chunk)
            if size > MOST_BYTES:
                raise FetchError(f"it is larger than {MOST_BYTES} bytes")
            await file.write(chunk)


async def _public_address(host: str, port: int, *, loopback: bool) -> str:
    """Return an address of *host*, if all its addresses are public ones, or may be loopback."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    for address in addresses:
        found_at = ipaddress.ip_address(address)
        if not found_at.is_global and not (loopback and found_at.is_loopback):
            raise FetchError("it leads to a private address")
    if not addresses:
        raise FetchError("no such host")
    return addresses[0]
