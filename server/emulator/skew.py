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
    """Return *send* with a ``Date`` header, by the platform's clock, where it lacks one."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if not any(name.lower() == b"date" for name, _ in headers):
                headers.append((b"date", formatdate(told_now(), usegmt=True).encode()))
            message = {**message, "headers": headers}
        await send(message)

    return sent
