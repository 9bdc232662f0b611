"""Open what asks fal about models."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx

from server.fal.retry import RetryPolicy
from server.fal.sender import Sender
from server.settings import Settings

PATIENT = RetryPolicy(longest=60.0, patience=300.0)


@asynccontextmanager
async def open_sender(settings: Settings, policy: RetryPolicy = PATIENT) -> AsyncGenerator[Sender]:
    """Yield a sender to the addresses and with the key of *settings*."""
    async with httpx.AsyncClient() as http:
        yield Sender(http, settings.hosts, settings.key, policy)
