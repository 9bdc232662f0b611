"""Open what a running server lends to its tools, late, and close it in reverse."""

import logging
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, cast

import anyio
from starlette.types import ASGIApp

from catalog.current import current_snapshot, hold, is_due
from catalog.errors import ActionableError
from catalog.index import CatalogIndex
from prompts.guides import GUIDES
from server.asking import Approve
from server.late import Late, alongside
from server.late_emulator import hosted_card, hosted_ids, late_emulator
from server.lent import LateDeployer, LateJobs, LateMedia, Opened
from server.settings import Settings
from tools.errors import NotConfiguredError
from tools.money_records import Charge
from tools.ports import (
    AskFor,
    Intent,
    Job,
    PastRun,
    Rooms,
)

if TYPE_CHECKING:
    from catalog.fetched import FetchedCards

log = logging.getLogger("falkit.rooms")

# How often a process without open jobs looks whether another one left work behind, in seconds.
LOOK_EVERY = 2.0
CLOSED_WITHIN = 5.0  # seconds
BILL_WITHIN = 6.0  # seconds that a look at fal's bill may take
# When a server first thinks of a newer catalog, after its busiest minute, and how often then.
FRESH_AFTER, FRESH_EVERY = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class OpenRooms(Rooms):
    """What a running server has: *approve* is for what a person says, and lent to no tool.

    *end_waits* answers whoever waits for a job, when the server is to end.
    """

    approve: Approve | None = None
    end_waits: Callable[[], None] = lambda: None


@asynccontextmanager
async def open_rooms(settings: Settings) -> AsyncGenerator[OpenRooms]:
    """Yield what a server lends to its tools; nothing heavy is imported before it is asked for.

    Work that an earlier process left behind is taken up in the background.
    """
    catalog, held = open_catalog(settings)
    annexe = Annexe(settings, catalog)
    try:
        async with alongside(
            annexe.late.keep_open,
            annexe.watch_for_work,
            partial(keep_fresh, settings),
            ending=partial(annexe.late.close, CLOSED_WITHIN),
        ):
            jobs = LateJobs(annexe)
            yield OpenRooms(
                catalog=catalog,
                jobs=jobs,
                media=LateMedia(annexe),
                backend=settings.backend,
                previews=settings.previews,
                guides=GUIDES,
                deployer=None if settings.deploy == "off" else LateDeployer(annexe),
                approve=annexe.approve,
                end_waits=jobs.end_waits,
                bill=annexe.bill if settings.backend == "cloud" else None,
                ask_for=asking_fal(settings, catalog),
            )
    finally:
        if held is not None:
            os.close(held)


def open_catalog(settings: Settings) -> tuple[CatalogIndex, int | None]:
    """Return the catalog to use, and a mark to close when it is no longer read, if it needs one.

    A running server keeps what it began with. The emulator answers from the shipped snapshot.
    """
    if settings.backend == "emulator":
        home = settings.home
        beside, local = partial(hosted_card, home), partial(hosted_ids, home)
        return CatalogIndex.open(beside=beside, local=local), None
    from server.refresh.account import catalog_home

    folder = current_snapshot(catalog_home(settings))
    return CatalogIndex.open(folder, beside=fetched_cards(settings).find), hold(folder)


def fetched_cards(settings: Settings) -> "FetchedCards":
    """Return the cards that fal was asked for one by one, of this account and address alone."""
    from catalog.fetched import FetchedCards
    from server.refresh.account import catalog_home

    return FetchedCards(catalog_home(settings) / "fetched")


def asking_fal(settings: Settings, catalog: CatalogIndex) -> AskFor | None:
    """Return what finds cards and asks fal for those that *catalog* lacks, if there is a fal."""
    if settings.backend == "emulator" or settings.key is None or not settings.catalog_refresh:
        return None
    from server.refresh.on_demand import OnDemand

    async def ask(endpoint_id: str, known: dict[str, Any] | None) -> dict[str, Any] | None:
        from server.refresh.single import ask_fal

        return await ask_fal(settings, endpoint_id, known)

    return OnDemand(catalog, fetched_cards(settings), ask)


async def keep_fresh(settings: Settings) -> None:
    """Refresh the catalog once a day where there is a fal to ask, unless a setting forbids it."""
    if settings.backend == "emulator" or settings.key is None or not settings.catalog_refresh:
        return
    from server.refresh.account import catalog_home

    await anyio.sleep(FRESH_AFTER)
    while True:
        if is_due(catalog_home(settings)):
            from server.refresh.refresh import refresh_quietly

            await refresh_quietly(settings)
        await anyio.sleep(FRESH_EVERY)


class Annexe:
    """The late part of the house, with what can be known without opening it."""

    def __init__(self, settings: Settings, catalog: CatalogIndex) -> None:
        self.settings = settings
        # Search, prices and descriptions go on where it cannot be opened.
        self.late = Late(lambda: open_annexe(settings, catalog), _mendable)
        self._reads_bill = True

    async def opened(self) -> Opened:
        """Return the open rooms, opening them if need be.

        Raises:
            ActionableError: they cannot be opened; the next call tries again.
        """
        return await self.late.opened()

    async def past_runs(self, endpoint_id: str) -> Sequence[PastRun]:
        """Return what past runs cost, as far as there is a journal that can be read."""
        if not self.late.is_open and _mark(self.settings.home / "journal.db") == (0, 0):
            return ()
        try:
            return await (await self.opened()).jobs.past_runs(endpoint_id)
        except ActionableError as problem:
            log.warning("past runs cannot be read: %s", problem)
            return ()

    async def approve(self, job_id: str, *, today: bool = False) -> Job:
        """Mark a held job approved, as a person said."""
        return await (await self.opened()).approve(job_id, today=today)

    async def bill(self, since: datetime | None) -> Sequence[str]:
        """Return where fal's bill since then differs from the ledger; nothing where it cannot be
        read, or not soon."""
        from server.fal.problems import UnauthorisedError
        from server.jobs.reconciling import beside_the_bill, brief

        if not self._reads_bill:
            return ()
        with anyio.move_on_after(BILL_WITHIN):
            try:
                return brief(await beside_the_bill(await self.opened(), since))
            except UnauthorisedError:
                self._reads_bill = False  # most keys may not: it is not asked for again
            except ActionableError as problem:
                log.info("fal's bill cannot be read: %s", problem)
        return ()

    async def watch_for_work(self) -> None:
        """Open the rooms when the journal holds work that no process is doing."""
        journal = self.settings.home / "journal.db"
        seen: tuple[int, int] | None = None
        while not self.late.is_open and not self.late.is_closing:
            await anyio.sleep(LOOK_EVERY)
            mark = _mark(journal)
            if mark == (0, 0) or mark == seen or self.late.is_open:
                continue
            from server.jobs.journal import has_unfinished

            try:
                if await anyio.to_thread.run_sync(has_unfinished, journal):
                    await self.opened()
                seen = mark
            except ActionableError as problem:
                seen = mark
                log.warning("the journal cannot be read: %s", problem)


def _mendable(problem: Exception) -> ActionableError:
    """Return what a caller is told of *problem*; one of ours goes into the log."""
    if isinstance(problem, ActionableError):
        return problem
    log.error("jobs and media could not be kept open", exc_info=problem)
    return ActionableError(
        "jobs and media are closed through a fault of falkit",
        hint="the details are in the server's log; the next call tries to open them again",
    )


def _mark(journal: Path) -> tuple[int, int]:
    """Return when the journal and its log were last written, zeros where there is none."""
    marks = [0, 0]
    for place, suffix in enumerate(("", "-wal")):
        try:
            marks[place] = journal.with_name(journal.name + suffix).stat().st_mtime_ns
        except OSError:
            continue
    return marks[0], marks[1]


@asynccontextmanager
async def open_annexe(settings: Settings, catalog: CatalogIndex) -> AsyncGenerator[Opened]:
    """Yield jobs and media on the backend that *settings* name, cloud or emulator.

    Raises:
        ActionableError: the home cannot be used.
    """
    import sqlite3

    async with AsyncExitStack() as stack:
        try:
            opened = await _furnished(stack, settings, catalog)
        except (OSError, sqlite3.Error) as problem:
            reason = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
            raise NotConfiguredError(
                f"falkit's home {str(settings.home)!r} cannot be used: {reason.lower()}",
                hint="set FALKIT_HOME to a folder of your own, on a disk with space",
            ) from problem
        yield opened


async def _furnished(stack: AsyncExitStack, settings: Settings, catalog: CatalogIndex) -> Opened:
    """Return jobs and media, which *stack* will close."""
    # httpx imports its own command line if it can, and with it rich and pygments: 2 MB of memory
    # that nothing here uses. It is prepared for not finding it.
    cast("dict[str, ModuleType | None]", sys.modules).setdefault("httpx._main", None)
    import httpx
    from pydantic import SecretStr

    from server.deploy.room import open_deploying
    from server.fal.client import FalClient
    from server.jobs.intake import MediaDesk
    from server.jobs.service import open_jobs
    from server.jobs.uploading import open_uploading
    from server.media.roots import Roots

    transport: httpx.AsyncBaseTransport | None = None
    app: ASGIApp | None = None
    key = settings.key
    if settings.backend == "emulator":
        from server.emulator.transport import StreamingASGITransport

        app = await stack.enter_async_context(late_emulator(settings, catalog))
        transport = await stack.enter_async_context(StreamingASGITransport(app))
        key = SecretStr("emulator:local")
    http = await stack.enter_async_context(
        # More than the streams of those who wait, so that a submit finds a free connection.
        httpx.AsyncClient(
            transport=transport,
            trust_env=transport is None,
            limits=httpx.Limits(max_connections=200, max_keepalive_connections=20),
        )
    )
    client = FalClient(http, settings.hosts, key)
    uploading = await stack.enter_async_context(open_uploading(client))
    desk_of = partial(MediaDesk, settings, Roots(settings), uploading)
    deploying = await stack.enter_async_context(open_deploying(settings, catalog, app))
    carry_out = deploying.carry_out
    opened = open_jobs(settings, client, catalog, desk_of=desk_of, carry_out=carry_out)
    jobs = deploying.jobs = await stack.enter_async_context(opened)

    async def charges(since: datetime) -> Sequence[Charge]:
        from server.fal.billed import charges_since

        return await charges_since(client.sender, since)

    async def live(
        intent: Intent,
        kind: Literal["stream", "realtime"],
        hear: Callable[[Any], Awaitable[None]],
        *,
        asked: bool = False,
    ) -> Job:
        from server.live import Live

        house = Live(jobs, catalog, client, http, settings.hosts, key, app)
        return await house.start(intent, kind, hear, asked=asked)

    approve, entries, prune, deployer = jobs.approve, jobs.entries, jobs.prune, deploying.deployer
    return Opened(jobs, desk_of(jobs), approve, entries, prune, charges, live, deployer)
