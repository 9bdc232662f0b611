"""Lists that tell what was found in given media: phrases with times, boxes, points, labels."""

from collections.abc import Mapping
from typing import Any

from server.emulator.runners.request import Request


def listed(
    name: str, request: Request, items: Mapping[str, Any], at: tuple[str, ...]
) -> list[Any] | None:
    """Return what belongs into the list *name*, or None where nothing is known of it."""
    del items, at
    if name == "messages":
        return [{"role": "user", "content": request.text}]
    return None
