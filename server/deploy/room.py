"""The deploy room as it is lent to the house: opened by whoever needs it first."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from starlette.types import ASGIApp

from catalog.errors import ActionableError
from catalog.index import CatalogIndex
from server.late import Late, alongside
from server.settings import Settings
from tools.deploy_records import Target
from tools.ports import Job

if TYPE_CHECKING:
    from server.deploy.deployer import AppDeployer, DeployJobs
    from server.deploy.targets import DeployTarget, Tell

CLOSED_WITHIN = 10.0  # seconds


@asynccontextmanager
async def open_deploying(
    settings: Settings, catalog: CatalogIndex, app: ASGIApp | None = None
) -> AsyncGenerator["Deploying"]:
    """Yield what deploys; targets are opened at their first use, and closed in reverse.

    *app* is this process's emulator, where it has one: apps of this machine run behind it.
    """
    doors: dict[Target, Late[DeployTarget]] = {
        "local": Late(lambda: _local(settings, catalog, app)),
        "cloud": Late(lambda: _cloud(settings)),
    }

    async def close() -> None:
        for door in doors.values():
            await door.close(CLOSED_WITHIN)

    async with alongside(*(door.keep_open for door in doors.values()), ending=close):
        yield Deploying(settings, doors)


def _local(
    settings: Settings, catalog: CatalogIndex, app: ASGIApp | None
) -> AbstractAsyncContextManager["DeployTarget"]:
    from server.deploy.local.target import open_local

    return open_local(settings, catalog, app=app)


def _cloud(settings: Settings) -> AbstractAsyncContextManager["DeployTarget"]:
    from server.deploy.cloud.target import open_cloud

    return open_cloud(settings)


class Deploying:
    """Makes the deployer when it is first needed. *jobs* is set once the journal is open."""

    def __init__(self, settings: Settings, doors: Mapping[Target, Late["DeployTarget"]]) -> None:
        self._settings = settings
        self._deployer: AppDeployer | None = None
        self.jobs: DeployJobs | None = None
        self._doors = doors

    async def deployer(self) -> "AppDeployer":
        """Return what fills the `Deployer` port."""
        if self._deployer is None:
            from server.deploy.deployer import AppDeployer, plans_of
            from server.media.roots import Roots

            plans = await anyio.to_thread.run_sync(plans_of, self._settings.home)
            roots = await anyio.to_thread.run_sync(Roots, self._settings)
            self._deployer = AppDeployer(self._settings, roots, plans, self._target, self._journal)
        return self._deployer

    async def carry_out(self, job: Job, again: bool, tell: "Tell") -> str:
        """Do what the plan of *job* says, and return what came of it in words."""
        return await (await self.deployer()).carry_out(job, again, tell)

    async def _target(self, target: Target) -> "DeployTarget":
        return await self._doors[target].opened()

    async def _journal(self) -> "DeployJobs":
        if self.jobs is None:
            raise ActionableError("falkit is shutting down")
        return self.jobs
