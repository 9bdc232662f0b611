"""`Deployer`: what the tools that deploy need of the world."""

from collections.abc import Sequence
from typing import Protocol

from tools.deploy_records import (
    Change,
    Checked,
    DeployedApp,
    LogPage,
    LogQuery,
    Plan,
    Scaffolded,
    Target,
)
from tools.job_records import Job


class Deployer(Protocol):
    """Serverless apps: their source, and what of them is deployed here or on fal.

    Nothing of a source tree is executed before a person said yes to it, unless a setting says so.
    """

    async def scaffold(self, template: str, folder: str, *, name: str, machine: str) -> Scaffolded:
        """Write an app from *template* into *folder*, which is new or empty.

        Raises:
            ActionableError: there is no such template or machine, or something is in the way.
        """
        ...

    async def check(self, path: str, *, app: str = "", load: str = "") -> Checked:
        """Read the source at *path* against the rules, and inspect it where that is allowed.

        *app* is the class where a file has several; *load* such as "2 calls a minute of 8 seconds".

        Raises:
            ActionableError: there is no such file or class, or *load* cannot be read.
        """
        ...

    async def plan(self, change: Change) -> Plan:
        """Describe *change* against what is deployed now, and remember it under its id.

        Raises:
            ActionableError: the change cannot be understood, or its target is not allowed.
        """
        ...

    async def apply(self, plan_id: str, *, asked_by: str = "") -> Job:
        """Begin to carry out a plan and return its job; ``held`` while a person is to be asked.

        Raises:
            ActionableError: no such plan, it was applied before, or something moved under it.
        """
        ...

    async def recheck(self, job: Job) -> None:
        """Refuse a held change, before a person is asked about it, under which something moved.

        Raises:
            ActionableError: what it was planned from is not so any more; it stays held.
        """
        ...

    async def status(self, app: str = "", target: Target | None = None) -> Sequence[DeployedApp]:
        """Return the apps of that name (empty: all) on that target (None: on both).

        Raises:
            ActionableError: there is no such app; the target cannot be asked.
        """
        ...

    async def logs(self, query: LogQuery, follow_seconds: float = 0.0) -> LogPage:
        """Return lines that match, waiting for more of them when *follow_seconds* says so.

        Raises:
            ActionableError: there is no such app; the target cannot be asked.
        """
        ...
