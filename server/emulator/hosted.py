"""`Hosted`: applications of the person's own, which somebody else runs behind the same hosts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.websockets import WebSocket

from server.emulator.answers import json_answer
from server.emulator.changes import Changes
from server.emulator.engine import Engine
from server.emulator.hosted_rows import PREFIX, HostedRows
from server.emulator.pace import Pace
from server.emulator.rows import Submission
from server.emulator.shelf import Shelf
from server.emulator.store import Store


@dataclass(frozen=True, slots=True)
class House:
    """What the emulator lends to whoever runs applications behind it.

    *engine* forwards what it hears to the engines beside it; *ended* is to be called when a request
    may have ended. *folder* is the emulator's.
    """

    folder: Path
    store: Store
    rows: HostedRows
    shelf: Shelf
    changes: Changes
    engine: Engine
    pace: Pace
    ended: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Terms:
    """What an application says of its requests in the queue where their callers say nothing.

    *start_within* is how many seconds they may wait, *retries* how often one is tried again by the
    kind of trouble, as `retrying.TROUBLES` has them.
    """

    start_within: float | None = None
    retries: Mapping[str, int] = field(default_factory=dict[str, int])

    def of(self, given: Submission) -> Submission:
        """Return *given* on these terms."""
        said: Mapping[str, int] = given.options.get("retries", {})
        within = self.start_within if given.start_within is None else given.start_within
        on_terms = replace(given, start_within=within)
        retries = {**self.retries, **said}
        return on_terms.with_options(retries=retries) if retries else on_terms


class Hosted(Protocol):
    """Runs applications whose ids begin with ``local/``."""

    def knows(self, name: str) -> bool:
        """Return whether *name* is an application of ours, or a path of one."""
        ...

    def is_public(self, name: str) -> bool:
        """Return whether whoever comes may call the application of *name* without a key."""
        ...

    def terms(self, name: str) -> Terms:
        """Return what the application of *name* says of its requests."""
        ...

    def look(self) -> None:
        """Look for work now: something was changed."""
        ...

    async def work(self, house: House) -> None:
        """Run them until cancelled; the requests in the queue are rows of the house."""
        ...

    async def run(self, request: Request, name: str) -> Response:
        """Return the answer to a call of the run host.

        Raises:
            Refusal: 404, there is no such application; 503, it does not start.
        """
        ...

    async def talk(self, socket: WebSocket, name: str) -> None:
        """Connect a socket, which is not accepted yet, with the application."""
        ...


@dataclass(frozen=True, slots=True)
class Bell:
    """Where whoever changes applications tells their host so."""

    hosted: Hosted
    house: House

    def routes(self) -> list[BaseRoute]:
        """Return the one route."""
        return [Route("/_emulator/hosted", self.on_bell, methods=["GET", "POST"])]

    async def on_bell(self, request: Request) -> Response:
        """POST has the host look for work; either says how many requests wait, by application."""
        if request.method == "POST":
            self.hosted.look()
            self.house.engine.kick()
        waiting = await self.house.store.do(self.house.rows.unfinished)
        return json_answer({"waiting": waiting})


def is_hosted(name: str) -> bool:
    """Return whether an id is one that only a host can know."""
    return name.startswith(PREFIX)
