"""A clock that goes wrong: by how much the times of an answer differ from the true ones."""

import time
from contextvars import ContextVar
from email.utils import formatdate

from starlette.types import Message, Send

# Seconds, for the request that is being answered; `anyio.to_thread.run_sync` carries it along.
SKEW: ContextVar[float] = ContextVar("SKEW", default=0.0)


def told_now() -> float:
    """Return the time, in seconds of the Unix epoch, that the platform believes it is."""
    return time.time() + SKEW.get()


def dated(send: Send) -> Send:
    """Return *send* with a ``Date`` header by the platform's clock in every answer."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            headers = [pair for pair in given if pair[0].lower() != b"date"]
            moment = formatdate(told_now(), usegmt=True).encode()
            message = {**message, "headers": [*headers, (b"date", moment)]}
        await send(message)

    return sent
