"""`tags_of`: the labels by which a caller wants its costs told apart."""

import re

from server.emulator.answers import Refusal

MOST_TAGS, LONGEST_KEY, LONGEST_VALUE, MOST_BYTES = 10, 64, 256, 1024
KEY = re.compile(r"[a-z0-9._-]+\Z")
RESERVED = "fal."


def tags_of(header: str | None) -> dict[str, str]:
    """Return the tags in an ``X-Fal-Tags`` header, ``key=value`` joined by commas.

    Raises:
        Refusal: 400; a rule of the documentation is broken.
    """
    if not (header or "").strip():
        return {}
    given = header or ""
    if len(given.encode()) > MOST_BYTES:
        raise _bad(f"more than {MOST_BYTES} bytes")
    pairs = [part.strip() for part in given.split(",") if part.strip()]
    if len(pairs) > MOST_TAGS:
        raise _bad(f"more than {MOST_TAGS} tags")
    tags: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or len(key) > LONGEST_KEY or not KEY.match(key):
            raise _bad(f"{pair[:80]!r} is not key=value with a key of a-z, 0-9, '.', '_', '-'")
        if key.startswith(RESERVED):
            raise _bad(f"keys that begin with {RESERVED!r} are reserved")
        if len(value) > LONGEST_VALUE:
            raise _bad(f"the value of {key!r} is longer than {LONGEST_VALUE} characters")
        tags[key] = value
    return tags


def _bad(words: str) -> Refusal:
    return Refusal(400, f"X-Fal-Tags: {words}", error_type="bad_request")
