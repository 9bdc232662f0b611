"""Which addresses are fal's: origins that a credential may go to, and their second names."""

import re

import httpx

from server.fal.outside import url_of

# fal's file host has two names (documented): uploads go to the first, files lie under the second.
CDN_NAMES = ("https://v3.fal.media", "https://v3b.fal.media")

# fal's second names of two hosts (read in its Python client 1.0.3): asked once, with the same
# request, when the first cannot be connected to. Only fal's own hosts have one.
_BACKUPS = {
    httpx.URL("https://fal.run"): "falrun.com",
    httpx.URL("https://queue.fal.run"): "queue.falrun.com",
}


def is_under(url: str, bases: tuple[httpx.URL, ...]) -> bool:
    """Say whether *url* has the origin and begins with the path of one of *bases*.

    Steps upward in the path and a user name in the address disqualify it.
    """
    given = url_of(url)
    if given is None or given.userinfo or ".." in given.path.split("/"):
        return False
    for base in bases:
        path = base.path.rstrip("/")
        if _origin(given) == _origin(base) and (given.path + "/").startswith(f"{path}/"):
            return True
    return False


def is_named_host(url: str) -> bool:
    """Say whether *url* speaks TLS to a host with a name of the open internet, and to no user."""
    given = url_of(url)
    if given is None or given.scheme != "https" or given.userinfo:
        return False
    return re.fullmatch(r"([\w-]+\.)+[a-z][a-z0-9-]+", given.host, re.ASCII) is not None


def shown(url: str) -> str:
    """Return *url* without user name, query and fragment, which may hold secrets."""
    given = url_of(url)
    if given is None:
        return "an unreadable address"
    if not given.host:  # a path of the same host
        return given.path[:160]
    port = f":{given.port}" if given.port else ""
    return f"{given.scheme}://{given.host}{port}{given.path}"[:160]


def socket_url(url: str) -> str:
    """Return *url* with the scheme of a WebSocket."""
    return f"ws{url.removeprefix('http')}" if url.startswith("http") else url


def backup_of(request: httpx.Request) -> httpx.Request | None:
    """Return *request* for the second name of its host, None where it has none."""
    for primary, host in _BACKUPS.items():
        if _origin(request.url) == _origin(primary) and isinstance(
            request.stream, httpx.ByteStream
        ):
            headers = [(name, value) for name, value in request.headers.raw if name != b"Host"]
            return httpx.Request(
                request.method,
                request.url.copy_with(host=host),
                headers=headers,
                content=b"".join(request.stream),
                extensions=request.extensions,
            )
    return None


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Return scheme, host and port; the scheme's usual port counts as none."""
    return url.scheme, url.host, url.port
