"""Who may call what: keys in a header, and short-lived tokens that are bound to applications."""

from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from starlette.requests import HTTPConnection

from catalog.endpoint import EndpointId
from catalog.errors import ActionableError
from server.emulator.answers import has_key
from server.emulator.tokens import issue, stands_for

TOKEN = "fal_jwt_token"  # noqa: S105  # the name of a query parameter
ADDED = ("/realtime", "/stream")  # what clients add to an endpoint id
PREFIX = "apps "
CDN, READ = "cdn ", "read "
SIGNATURE = "signature"


def app_token(secret: bytes, apps: Sequence[str], seconds: float) -> str:
    """Return a token for *apps* only, which ends in *seconds*."""
    return issue(secret, PREFIX + " ".join(apps), seconds)


def signed_url(secret: bytes, url: str, file_id: str, seconds: float) -> str:
    """Return *url*, which names the file of that id, readable by whoever has it for *seconds*."""
    return f"{url}?{SIGNATURE}={issue(secret, READ + file_id, seconds)}"


def is_signed(url: str, secret: bytes, file_id: str) -> bool:
    """Return whether *url* carries a living signature for reading the file of that id."""
    given = parse_qs(urlsplit(url).query).get(SIGNATURE, [""])[0]
    return stands_for(secret, given) == READ + file_id


def cdn_token(secret: bytes, user: str, seconds: float) -> str:
    """Return a token with which *user* writes to the CDN, and reads what others may not."""
    return issue(secret, CDN + user, seconds)


def cdn_user(asked: HTTPConnection, secret: bytes) -> str | None:
    """Return whose CDN token *asked* carries, None where it carries none that lives."""
    scheme, _, token = asked.headers.get("authorization", "").partition(" ")
    held = stands_for(secret, token) if scheme == "Bearer" else None
    return held.removeprefix(CDN) if held is not None and held.startswith(CDN) else None


def apps_in(body: Any) -> list[str] | None:  # noqa: ANN401  # JSON
    """Return the ``allowed_apps`` of *body*; None where they are not a list of words."""
    given = cast("dict[str, Any]", body).get("allowed_apps") if isinstance(body, dict) else None
    if not isinstance(given, list):
        return None
    apps = [str(app).strip("/") for app in cast("list[Any]", given)]
    return None if any(not app or " " in app for app in apps) else apps


def may_call(asked: HTTPConnection, secret: bytes, endpoint_id: str) -> bool:
    """Return whether *asked* carries a key, or a living token for *endpoint_id*."""
    if has_key(asked):
        return True
    token = asked.query_params.get(TOKEN, "")
    held = stands_for(secret, token) if token else None
    if held is None or not held.startswith(PREFIX):
        return False
    return any(_covers(app, endpoint_id) for app in held.removeprefix(PREFIX).split())


def _covers(app: str, endpoint_id: str) -> bool:
    """Return whether a token for *app* is good for *endpoint_id*.

    Released clients name the alias alone, newer documents the full path, with or without what
    the client adds to it.
    """
    try:
        wanted = EndpointId.parse(endpoint_id)
    except ActionableError:
        return False
    for added in ADDED:
        app = app.removesuffix(added)
    full = str(wanted)
    return app == wanted.alias or full == app or full.startswith(f"{app}/")
