"""`read_json` and `bounded_body`: take in what callers send, as far as it can be worked with."""

import json
from typing import Any, cast

from starlette.requests import Request

MOST_BYTES = 32 * 2**20  # of a body that is JSON; files go to the CDN
DEEPEST = 64
LARGEST_NUMBER = 10**305
KEPT = "falkit.body"  # of the scope, which every view of one request shares


class TooLargeError(ValueError):
    """A body is larger than any that is taken in."""


async def bounded_body(request: Request) -> bytes:
    """Return the body of *request*, as often as it is asked for.

    Raises:
        TooLargeError: it is larger than `MOST_BYTES`, by its own word or as it comes.
        ClientDisconnect: its sender went away.
    """
    kept: bytes | None = request.scope.get(KEPT)
    if kept is not None:
        return kept
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said[:20]) > MOST_BYTES:
        raise TooLargeError
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            raise TooLargeError
    kept = request.scope[KEPT] = bytes(body)
    return kept


def read_json(text: str | bytes) -> Any:  # noqa: ANN401  # JSON
    """Return what JSON *text* says.

    Raises:
        ValueError: it is not JSON, or has in it what cannot be told again as JSON (no number, half
            a character) or worked with (numbers beyond 1e305, more than 64 levels).
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    check(value)
    return value


def check(value: Any) -> None:  # noqa: ANN401  # JSON
    """See to it that *value* is what JSON can say.

    Raises:
        ValueError: as of `read_json`; or there are bytes, or names that are no text, in it.
    """
    left: list[tuple[Any, int]] = [(value, 0)]
    while left:
        item, depth = left.pop()
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} levels deep")
        if isinstance(item, dict):
            entries = cast("dict[Any, Any]", item)
            left += ((name, depth) for name in entries)
            left += ((part, depth + 1) for part in entries.values())
        elif isinstance(item, list):
            left += ((part, depth + 1) for part in cast("list[Any]", item))
        else:
            _check_plain(item)


def _check_plain(item: Any) -> None:  # noqa: ANN401  # JSON
    if isinstance(item, str):
        if not item.isascii():
            item.encode()  # half a surrogate pair is a ValueError
    elif isinstance(item, int | float):
        if not abs(item) <= LARGEST_NUMBER:  # no number is neither
            raise ValueError("a number in it is too large, or none")
    elif item is not None:
        raise ValueError(f"{type(item).__name__} cannot be told as JSON")
