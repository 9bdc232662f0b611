"""`DeployTarget`: a place where apps run, this machine or fal; both answer in the same records."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import SecretStr

from tools.deploy_records import (
    AppSettings,
    DeployedApp,
    LogPage,
    LogQuery,
    Revision,
    Target,
)

# What of an app can be scaled while it runs (fal 1.83: `fal apps scale`).
SCALING = (
    "keep_alive",
    "min_concurrency",
    "max_concurrency",
    "max_multiplexing",
    "concurrency_buffer",
    "concurrency_buffer_perc",
    "scaling_delay",
    "startup_timeout",
    "request_timeout",
)
# How a change tells where it stands: the share done (0 to 1) and what a person reads.
Tell = Callable[[float, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Release:
    """What is to be deployed under *name*.

    *folder* is a copy of the source that nobody changes any more, *file* the app's module in it
    (with slashes), *class_name* the `fal.App` there. *openapi* is what inspection found, empty
    where there was none. *message* is told with the revision, and holds the id of the plan.
    *network* lets its runners on this machine reach others, which those of fal always may.
    *settings* are those that it ends with, *code* those of the code where they are not the same: a
    redeploy takes the scale of the running app over unless *reset_scale* says otherwise.
    """

    name: str
    folder: Path
    file: str
    class_name: str
    settings: AppSettings
    source_hash: str
    openapi: Mapping[str, Any] = field(default_factory=dict[str, Any])
    message: str = ""
    network: bool = False
    code: AppSettings | None = None
    reset_scale: bool = False


def entry_of(file: str, class_name: str) -> str:
    """Return how a revision names where its app begins, such as ``app.py:Hello``."""
    return f"{file}:{class_name}"[:200]


def numbers_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of scaling in *told* that are numbers, by the names of `AppSettings`."""
    return {
        name: int(told[name])
        for name in (*SCALING, "termination_grace_period_seconds", "request_start_timeout")
        if isinstance(told.get(name), int | float)
    }


class DeployTarget(Protocol):
    """One place where apps run."""

    @property
    def target(self) -> Target: ...

    async def apps(self, name: str = "") -> Sequence[DeployedApp]:
        """Return the app of that name, or all; none where there is no such app.

        Raises:
            BackendError: the target cannot be asked.
        """
        ...

    async def release(self, release: Release, tell: Tell) -> Revision:
        """Deploy, and return the new revision once it is healthy and answers.

        An earlier revision goes on to answer until then, and stays when the new one fails.

        Raises:
            BackendError: it did not become healthy; the words hold the lines that say why.
        """
        ...

    async def scale(self, name: str, settings: Mapping[str, int], tell: Tell) -> None:
        """Change settings of a running app without a new revision; names as in `AppSettings`.

        Raises:
            BackendError: there is no such app, or the target refuses.
        """
        ...

    async def roll_back(self, name: str, revision: str, tell: Tell) -> Revision:
        """Let an earlier revision answer again; nothing is built.

        Raises:
            BackendError: there is no such app or revision, or it does not become healthy.
        """
        ...

    async def restart(self, name: str, tell: Tell) -> None:
        """Replace the runners of an app by new ones of the same revision."""
        ...

    async def delete(self, name: str, tell: Tell) -> None:
        """Take an app away: its runners end, its queue is emptied, callers get 404.

        Raises:
            BackendError: there is no such app.
        """
        ...

    async def set_secret(self, name: str, value: SecretStr) -> None:
        """Keep a secret of the account under *name*; apps that list it see it when they start."""
        ...

    async def secret_names(self) -> Sequence[str]:
        """Return the names of the secrets that are kept, never their values."""
        ...

    async def logs(self, query: LogQuery, follow_seconds: float = 0.0) -> LogPage:
        """Return lines that match, waiting at most so long for more."""
        ...
