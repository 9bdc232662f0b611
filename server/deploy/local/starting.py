"""`Starter`: makes of a revision what a runner is started with."""

from dataclasses import dataclass, field
from pathlib import Path

from server.deploy.environments import Allowed, AppEnvironment, ToolEnvironment, app_environment
from server.deploy.environments import tool_environment as make_tools
from server.deploy.local.database import Database
from server.deploy.local.fleet import STARTUP_SECONDS
from server.deploy.local.registry import KnownApp, KnownRevision
from server.deploy.local.secrets import Secrets
from server.deploy.pythons import minor_of
from server.deploy.runners import RunnerSpec
from server.deploy.targets import Tell
from tools.deploy_records import AppSettings

# Memory of fal's machine types, in GB; what is not listed gets the most that is bounded here.
MEMORY_GB = {"XS": 0.5, "S": 1, "M": 2, "L": 15}
MOST_GB = 16
LEAST_GB = 1  # a fal app with its server takes some 200 MB before it has done anything


async def silent(share: float, words: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Starter:
    """Knows where environments lie and what secrets there are. *home* is falkit's."""

    home: Path
    tools: Path | None
    database: Database
    secrets: Secrets
    allowed: Allowed = field(default_factory=Allowed)

    async def environments(
        self, settings: AppSettings, tell: Tell = silent
    ) -> tuple[ToolEnvironment, AppEnvironment]:
        """Return the Pythons of an app, made where they are missing.

        Raises:
            ActionableError: they cannot be made, or a requirement is refused.
        """
        minor = minor_of(settings.python_version)
        tool = await make_tools(self.home, tell, given=self.tools, minor=minor)
        return tool, await app_environment(
            self.home, tool, settings.requirements, tell, allowed=self.allowed
        )

    async def spec(self, app: KnownApp, revision: KnownRevision) -> RunnerSpec:
        """Return what a runner of *revision* is started with, files aside.

        Raises:
            ActionableError: its environment cannot be made, or a secret that is kept of it may
                not be given to apps any more.
        """
        settings = app.settings_of(revision)
        secrets = await self.database.do(self.secrets.of, settings.secrets or ())
        tool, environment = await self.environments(settings)
        gigabytes = max(MEMORY_GB.get(name, MOST_GB) for name in settings.machine_types or ("S",))
        return RunnerSpec(
            app=app.name,
            folder=revision.folder,
            file=revision.file,
            class_name=revision.class_name,
            tool=tool,
            python=environment.python,
            home=self.home / "deploy" / "local" / "homes" / app.name,
            revision=revision.revision,
            secrets=secrets,
            network=revision.network,
            memory_bytes=int(max(gigabytes, LEAST_GB) * (1 << 30)),
            startup_seconds=float(settings.startup_timeout or STARTUP_SECONDS),
        )
