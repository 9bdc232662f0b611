"""An interpreter that has fal, and hosts for apps, for proofs that run other people's code."""

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import anyio
import httpx
import pytest

from server.deploy.environments import ToolEnvironment, tool_environment
from server.deploy.isolation import rung_of
from server.deploy.nurseries import Nursery, open_nursery
from server.deploy.runner import Runner, RunnerSpec
from server.deploy.runners import start_runner
from tools.deploy_records import LogLine

READY = Path(__file__).parent.parent / ".venv-deploy" / "bin" / "python"

HEAD = """
import os, sys, time
import fal
from pydantic import BaseModel

class In(BaseModel):
    text: str = ""

"""


def missing(words: str) -> NoReturn:
    """Skip, or fail where the proof decides on a change (`make deploy`)."""
    if os.environ.get("PROOF_NEEDED"):
        pytest.fail(words)
    pytest.skip(words)


def needs_namespaces() -> None:
    """Skip where this machine lets nobody have namespaces; what is promised there is little."""
    if not READY.exists():
        missing("there is no environment with fal for this proof: `make deploy-tools` makes it")
    if rung_of(READY)[0] != "view":
        pytest.skip("this machine gives no namespaces to set apps apart with")


async def told(share: float, words: str) -> None:
    """Take progress that nobody reads."""


async def tool(home: Path) -> ToolEnvironment:
    """Return the tool environment that `make deploy-tools` made; skip without one."""
    if not READY.exists():
        missing("there is no environment with fal for this proof: `make deploy-tools` makes it")
    return await tool_environment(home, told, given=READY)


def written(folder: Path, source: str, *, head: str = HEAD) -> Path:
    """Write an app into *folder* and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "app.py").write_text(head + source, "utf-8")
    return folder


@dataclass
class Hosted:
    """A runner, an HTTP client that speaks to it, and every line that it said."""

    runner: Runner
    http: httpx.AsyncClient
    lines: list[LogLine] = field(default_factory=list[LogLine])

    def said(self) -> str:
        return "\n".join(line.message for line in self.lines)

    async def call(
        self, path: str = "/", *, request_id: str = "", text: str = ""
    ) -> httpx.Response:
        headers = {"x-fal-request-id": request_id} if request_id else {}
        return await self.http.post(path, json={"text": text}, headers=headers)


@asynccontextmanager
async def standing(fal: ToolEnvironment, *, wanted: bool = True) -> AsyncGenerator[Nursery | None]:
    """Yield a nursery that stands ready, or none."""
    if not wanted:
        yield None
        return
    async with open_nursery(fal) as nursery:
        with anyio.fail_after(20):
            while not nursery.is_ready:
                await anyio.sleep(0.01)
        yield nursery


@asynccontextmanager
async def hosted(
    folder: Path,
    source: str,
    *,
    change: Callable[[RunnerSpec], RunnerSpec] = lambda spec: spec,
    born: bool = False,
) -> AsyncGenerator[Hosted]:
    """Start a runner for an app written into *folder*/source, and stop it at the end.

    It is started anew, or *born* in a nursery.
    """
    fal = await tool(folder / "falkit-home")
    spec = RunnerSpec(
        app="kitchen",
        folder=written(folder / "source", source),
        file="app.py",
        class_name="",
        tool=fal,
        python=fal.python,
        home=folder / "home-of-app",
    )
    lines: list[LogLine] = []
    async with standing(fal, wanted=born) as nursery, anyio.create_task_group() as tasks:
        runner = await start_runner(change(spec), lines.append, tasks, nursery)
        async with httpx.AsyncClient(
            transport=runner.transport(), base_url=runner.address, timeout=10
        ) as http:
            try:
                yield Hosted(runner, http, lines)
            finally:
                with anyio.CancelScope(shield=True):
                    await runner.stop(grace=2)
