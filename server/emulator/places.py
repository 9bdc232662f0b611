"""`Place`: which of fal's surfaces a path means, and what it names there."""

import re
from dataclasses import dataclass
from typing import Literal

Surface = Literal[
    "submit", "run", "status", "stream", "result", "cancel", "upload", "download", "other"
]

REQUEST = re.compile(
    r"(?P<app>.+?)/requests/(?P<id>[^/]+)(?:/(?P<tail>status/stream|status|cancel|response))?\Z"
)
TAILS: dict[str, Surface] = {
    "status": "status",
    "status/stream": "stream",
    "cancel": "cancel",
    "response": "result",
    "": "result",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request goes. *name* is an endpoint id or, with a *request_id*, its app."""

    surface: Surface
    name: str = ""
    request_id: str = ""


def place_of(method: str, path: str) -> Place:
    """Return what *method* on *path* means. Slashes at its end do not count.

    Status and result are read under ``owner/alias``; the full id and a ``/response`` suffix, which
    older documents show, are accepted as well.
    """
    host, _, rest = path.strip("/").partition("/")
    if host == "queue":
        if found := REQUEST.match(rest):
            return Place(TAILS[found["tail"] or ""], found["app"], found["id"])
        return Place("submit", rest)
    if host == "run":
        return Place("run", rest)
    if host == "cdn":
        return Place("download" if method in ("GET", "HEAD") else "upload")
    return Place("other")
