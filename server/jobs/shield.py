"""Work that no cancellation around it may interrupt."""

from collections.abc import Awaitable
from typing import TypeVar

import anyio

T = TypeVar("T")


async def shielded(act: Awaitable[T]) -> T:
    """Return what *act* returns; a cancellation around it waits until it has."""
    done: list[T] = []
    with anyio.CancelScope(shield=True):
        done.append(await act)
    return done[0]
