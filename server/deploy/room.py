"""The deploy room as it is lent to the house: opened by whoever needs it first."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
from starlette.types import ASGIApp

from catalog.errors import ActionableError
from catalog.index import CatalogIndex
from server.settings import Settings
from tools.deploy_records import Target
from tools.ports import Job

if TYPE_CHECKING:
    from server.deploy.deployer import AppDeployer, DeployJobs
    from server.deploy.targets import DeployTarget

Tell = Callable[[float, str], Awaitable[None]]


@asynccontextmanager
async def open_deploying(
    settings: Settings, catalog: CatalogIndex, app: ASGIApp | None = None
) -> AsyncGenerator["Deploying"]:
    """Yield what deploys; targets are opened at their first use, and closed in reverse.

    *app* is this process's emulator, where it has one: apps of this machine run behind it.
    """
    deploying = Deploying(settings, Opener(settings, catalog, app))
    failure: Exception | None = None  # a task group would wrap what its body raises
    async with anyio.create_task_group() as group:
        for door in deploying.doors.values():
            group.start_soon(door.keep_open)
        try:
            yield deploying
        except Exception as problem:
            failure = problem
        finally:
            for door in deploying.doors.values():
                door.close()
            with anyio.CancelScope(shield=True), anyio.move_on_after(10):
                for door in deploying.doors.values():
                    await door.closed.wait()
            group.cancel_scope.cancel()
    if failure is not None:
        raise failure


class Door:
    """One target, opened and closed by one task, since task groups must end where they began."""

    def __init__(self, opener: "Opener", target: Target) -> None:
        self._opener = opener
        self._target: Target = target
        self.closed = anyio.Event()
        self._wanted = anyio.Event()
        self._answered = anyio.Event()
        self._closing = anyio.Event()
        self._opened: DeployTarget | None = None
        self._problem: Exception | None = None

    async def opened(self) -> "DeployTarget":
        """Return the target, opening it if need be.

        Raises:
            ActionableError: it cannot be opened; the next call tries again.
        """
        if self._opened is None:
            answered = self._answered
            self._wanted.set()
            await answered.wait()
        if self._opened is None:
            if isinstance(self._problem, ActionableError):
                raise self._problem
            raise ActionableError(f"{self._target} apps cannot be reached") from self._problem
        return self._opened

    def close(self) -> None:
        """Let the target be closed; `closed` is set when it is."""
        self._closing.set()
        self._wanted.set()

    async def keep_open(self) -> None:
        """Open the target when it is wanted and hold it open to the end."""
        try:
            while not self._closing.is_set():
                await self._wanted.wait()
                if self._closing.is_set():
                    return
                try:
                    async with AsyncExitStack() as stack:
                        self._opened = await self._opener.open(stack, self._target)
                        self._answered.set()
                        await self._closing.wait()
                except Exception as problem:
                    self._problem = problem
                    self._wanted = anyio.Event()
                    answered, self._answered = self._answered, anyio.Event()
                    answered.set()
                finally:
                    self._opened = None
        finally:
            self._answered.set()
            self.closed.set()


@dataclass(frozen=True, slots=True)
class Opener:
    """Opens targets, each with what it needs."""

    settings: Settings
    catalog: CatalogIndex
    app: ASGIApp | None

    async def open(self, stack: AsyncExitStack, target: Target) -> "DeployTarget":
        """Return the target, which *stack* will close."""
        if target == "cloud":
            from server.deploy.cloud.target import open_cloud

            return await stack.enter_async_context(open_cloud(self.settings))
        from server.deploy.local.target import open_local

        opened = open_local(self.settings, self.catalog, app=self.app)
        return await stack.enter_async_context(opened)


class Deploying:
    """Makes the deployer when it is first needed. *jobs* is set once the journal is open."""

    def __init__(self, settings: Settings, opener: Opener) -> None:
        self._settings = settings
        self._deployer: AppDeployer | None = None
        self.jobs: DeployJobs | None = None
        self.doors: dict[Target, Door] = {
            "local": Door(opener, "local"),
            "cloud": Door(opener, "cloud"),
        }

    async def deployer(self) -> "AppDeployer":
        """Return what fills the `Deployer` port."""
        if self._deployer is None:
            from server.deploy.deployer import AppDeployer, plans_of
            from server.media.roots import Roots

            plans = await anyio.to_thread.run_sync(plans_of, self._settings.home)
            roots = await anyio.to_thread.run_sync(Roots, self._settings)
            self._deployer = AppDeployer(self._settings, roots, plans, self._target, self._journal)
        return self._deployer

    async def carry_out(self, job: Job, again: bool, tell: Tell) -> str:
        """Do what the plan of *job* says, and return what came of it in words."""
        return await (await self.deployer()).carry_out(job, again, tell)

    async def _target(self, target: Target) -> "DeployTarget":
        return await self.doors[target].opened()

    async def _journal(self) -> "DeployJobs":
        if self.jobs is None:
            raise ActionableError("falkit is shutting down")
        return self.jobs
