"""Clients of the platform API: of an emulator over a folder, and of a list of answers."""

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from server.fal.platform import PlatformClient
from server.fal.sender import Sender
from server.settings import Hosts
from tests.emulated import BASE, emulated
from tests.fal_ends import HOSTS, KEY, Clock

T = TypeVar("T")


@asynccontextmanager
async def platform_at(
    folder: Path, *, key: str | None = "emulator:local", **options: Any
) -> AsyncGenerator[tuple[PlatformClient, httpx.AsyncClient]]:
    """Yield a client of an emulator over *folder*, and plain HTTP to the same."""
    async with emulated(folder, **options) as http:
        secret = SecretStr(key) if key else None
        sender = Sender(http, Hosts.under(BASE), secret, Clock().policy())
        yield PlatformClient(sender), http


@asynccontextmanager
async def platform_of(
    app: ASGIApp, clock: Clock | None = None, key: str | None = KEY
) -> AsyncGenerator[PlatformClient]:
    """Yield a client whose every host is *app*, whatever the address."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        secret = SecretStr(key) if key else None
        yield PlatformClient(Sender(http, HOSTS, secret, (clock or Clock()).policy()))


@asynccontextmanager
async def client_at(base: str, clock: Clock | None = None) -> AsyncGenerator[PlatformClient]:
    """Yield a client whose every host lies under *base*, over real sockets."""
    async with httpx.AsyncClient(trust_env=False) as http:
        policy = (clock or Clock()).policy()
        yield PlatformClient(Sender(http, Hosts.under(base), SecretStr(KEY), policy))


def refusal(status: int, kind: str, words: str, **headers: str) -> JSONResponse:
    """Return the error object of the platform API."""
    error = {"type": kind, "message": words, "request_id": "x", "docs_url": "https://fal.ai/docs"}
    return JSONResponse({"error": error}, status, headers)


async def all_of(entries: AsyncIterable[T]) -> list[T]:
    """Return everything that comes."""
    return [entry async for entry in entries]
