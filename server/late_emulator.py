"""The embedded platform as an application that is opened when it is first called."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from starlette.types import ASGIApp, Receive, Scope, Send

from catalog.card import ModelCard
from catalog.index import LOCAL, CatalogIndex
from server.late import Late, alongside
from server.settings import Settings

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

    from server.deploy.local.hosting import Hosting
    from server.emulator.hosted import House, Terms

CLOSED_WITHIN = 10.0  # seconds


@asynccontextmanager
async def late_emulator(settings: Settings, catalog: CatalogIndex) -> AsyncGenerator[ASGIApp]:
    """Yield the emulator as an application that is opened by the first request it gets.

    Listing what was made needs the journal only; the platform costs time and memory.
    """
    late = Late(lambda: _emulator(settings, catalog))
    async with alongside(late.keep_open, ending=partial(late.close, CLOSED_WITHIN)):
        yield LateEmulator(late, settings.home / "emulator")


class LateEmulator:
    """An application in the place of one that is opened when it is first called."""

    def __init__(self, late: Late[ASGIApp], folder: Path) -> None:
        self._late = late
        self._folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            ClosedError: it cannot be opened, so that nothing arrived.
        """
        try:
            app = await self._late.opened()
        except Exception as problem:
            from server.fal.sender import ClosedError

            if self._late.is_closing:
                raise ClosedError("the emulator is closed") from problem
            raise ClosedError(
                f"the emulator in {str(self._folder)!r} cannot be opened: {problem}"
            ) from problem
        await app(scope, receive, send)


def _emulator(settings: Settings, catalog: CatalogIndex) -> AbstractAsyncContextManager[ASGIApp]:
    from server.emulator.platform import open_emulator

    return open_emulator(
        settings.home / "emulator",
        catalog,
        speed=settings.emulator_speed,
        concurrency=settings.emulator_concurrency,
        faults=settings.emulator_faults,
        hosted=LateHosted(settings),
    )


def hosted_card(home: Path, endpoint_id: str) -> ModelCard | None:
    """Return the card of an app that runs on this machine; None for any other id."""
    if not endpoint_id.startswith(LOCAL) or not _apps(home).exists():
        return None
    from server.deploy.local.cards import find_card

    return find_card(home, endpoint_id)


def hosted_ids(home: Path) -> Sequence[str]:
    """Return the ids of the apps that run on this machine, by name."""
    if not _apps(home).exists():
        return ()
    from server.deploy.local.cards import known_ids

    return known_ids(home)


class LateHosted:
    """Fills `Hosted`, and costs nothing until an app is deployed on this machine.

    With *keeps* this process runs the apps for as long as it lives, not only while it is called.
    """

    def __init__(self, settings: Settings, *, keeps: bool = False) -> None:
        self._settings = settings
        self._keeps = keeps
        self._wanted = anyio.Event()
        self._made: Hosting | None = None

    def _hosting(self) -> "Hosting | None":
        """Return the host, made when there is an app to be run."""
        if self._made is None and _apps(self._settings.home).exists():
            from server.deploy.local.hosting import Hosting

            home, tools = self._settings.home, self._settings.deploy_tools
            install = self._settings.deploy_install
            names = [source.name for source in self._settings.deploy_secrets]
            self._made = Hosting(home, tools, keeps=self._keeps, install=install, secrets=names)
            self._wanted.set()
        return self._made

    def knows(self, name: str) -> bool:
        """Return whether *name* is an app of ours, or a path of one."""
        hosting = self._hosting() if name.startswith("local/") else None
        return hosting is not None and hosting.knows(name)

    def is_public(self, name: str) -> bool:
        """Return whether whoever comes may call the app of *name* without a key."""
        hosting = self._hosting() if name.startswith("local/") else None
        return hosting is not None and hosting.is_public(name)

    def terms(self, name: str) -> "Terms":
        """Return what the app of *name* says of its requests; only asked for what is known."""
        hosting = self._hosting()
        assert hosting is not None  # noqa: S101  # it knows the name
        return hosting.terms(name)

    def look(self) -> None:
        """Look for work now: something was changed."""
        self._hosting()

    async def work(self, house: "House") -> None:
        """Run apps until cancelled, from the moment on when there are any."""
        self._hosting()
        await self._wanted.wait()
        if self._made is not None:
            await self._made.work(house)

    async def run(self, request: "Request", name: str) -> "Response":
        """Return the answer of an app; only asked for what is known."""
        hosting = self._hosting()
        assert hosting is not None  # noqa: S101  # it knows the name
        return await hosting.run(request, name)

    async def talk(self, socket: "WebSocket", name: str) -> None:
        """Connect a socket with an app; only asked for what is known."""
        hosting = self._hosting()
        assert hosting is not None  # noqa: S101  # it knows the name
        await hosting.talk(socket, name)


def _apps(home: Path) -> Path:
    return home / "deploy" / "local.db"
