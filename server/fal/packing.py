"""Realtime's messages: msgpack in binary frames, JSON or bare text in the others."""

import json
from collections.abc import Mapping
from typing import Any, cast

import msgpack  # pyright: ignore[reportMissingTypeStubs]  # it ships none

_library = cast("Any", msgpack)


def packed(arguments: Mapping[str, Any]) -> bytes:
    """Return *arguments* as one msgpack map; bytes keep their own type.

    Raises:
        TypeError, ValueError, OverflowError, RecursionError: they cannot be packed.
    """
    return _library.packb(dict(arguments), use_bin_type=True)


def unpacked(message: str | bytes) -> Any:  # noqa: ANN401  # the JSON border
    """Return what *message* holds; a text that is no JSON as ``{"type": "text", "payload": …}``.

    Raises:
        ValueError: it is binary and not msgpack.
    """
    if isinstance(message, str):
        try:
            return json.loads(message)
        except (ValueError, RecursionError):
            return {"type": "text", "payload": message}
    return _library.unpackb(message, raw=False, strict_map_key=False)
