"""The embedded platform as an application that is opened when it is first called."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from starlette.types import ASGIApp, Receive, Scope, Send

from catalog.index import CatalogIndex
from server.settings import Settings


@asynccontextmanager
async def late_emulator(settings: Settings, catalog: CatalogIndex) -> AsyncGenerator[ASGIApp]:
    """Yield the emulator as an application that is opened by the first request it gets.

    Listing what was made needs the journal only; the platform costs time and memory.
    """
    emulator = LateEmulator(settings, catalog)
    failure: Exception | None = None  # a task group would wrap what its body raises
    async with anyio.create_task_group() as group:
        group.start_soon(emulator.keep_open)
        try:
            yield emulator
        except Exception as problem:
            failure = problem
        finally:
            emulator.close()
    if failure is not None:
        raise failure


class LateEmulator:
    """An ASGI application that one task opens when it is first called, and holds open."""

    def __init__(self, settings: Settings, catalog: CatalogIndex) -> None:
        self._settings = settings
        self._catalog = catalog
        self._wanted = anyio.Event()
        self._answered = anyio.Event()
        self._closing = anyio.Event()
        self._app: ASGIApp | None = None
        self._problem: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            httpx.ConnectError: it cannot be opened, so that nothing arrived.
        """
        self._wanted.set()
        await self._answered.wait()
        if self._app is None:
            import httpx

            reason = f"cannot be opened: {self._problem}" if self._problem else "is closed"
            raise httpx.ConnectError(f"the emulator {reason}") from self._problem
        await self._app(scope, receive, send)

    def close(self) -> None:
        """Let the emulator be closed, if it was opened."""
        self._closing.set()
        self._wanted.set()

    async def keep_open(self) -> None:
        """Open the emulator when it is wanted, and close it in the same task."""
        await self._wanted.wait()
        if self._closing.is_set():
            return
        from server.emulator.platform import open_emulator

        chosen = self._settings
        folder, speed = chosen.home / "emulator", chosen.emulator_speed
        opened = open_emulator(folder, self._catalog, speed=speed, faults=chosen.emulator_faults)
        try:
            async with opened as self._app:
                self._answered.set()
                await self._closing.wait()
        except Exception as problem:
            self._problem = problem
        finally:
            self._app = None
            self._answered.set()
