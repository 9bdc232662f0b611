"""This machine as a deploy target in a home of a test's own, and apps to deploy there."""

import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
from starlette.types import ASGIApp

from catalog.index import CatalogIndex
from server.deploy.environments import tool_environment
from server.deploy.inspecting import inspect
from server.deploy.local.cards import find_card
from server.deploy.local.crew import CHECK_SECONDS, Backoff
from server.deploy.local.hosting import Hosting
from server.deploy.local.starting import silent
from server.deploy.local.target import LocalTarget, open_local
from server.deploy.targets import Release
from server.emulator.platform import open_emulator
from server.emulator.transport import StreamingASGITransport
from server.settings import Settings
from tests.deployed import READY, missing
from tests.emulated import BASE, KEY
from tests.local_kitchen import KITCHEN
from tools.deploy_records import AppSettings


def tools() -> Path:
    """Return the interpreter with `fal`; without one the test is skipped, or fails if asked to."""
    if not READY.exists():
        missing("there is no environment with fal for this proof: `make deploy-tools` makes it")
    return READY


def settings_of(home: Path, **more: str) -> Settings:
    environ = {
        "FALKIT_HOME": str(home),
        "FALKIT_BACKEND": "emulator",
        "FALKIT_DEPLOY": "local",
        "FALKIT_DEPLOY_TOOLS": str(tools()),
        "FALKIT_EMULATOR_SPEED": "0",
        **more,
    }
    return Settings.read(environ)


@dataclass(frozen=True, slots=True)
class Machine:
    target: LocalTarget
    client: httpx.AsyncClient
    app: ASGIApp
    told: list[str]

    async def tell(self, share: float, words: str) -> None:
        self.told.append(words)

    async def deploy(self, given: Release) -> str:
        return (await self.target.release(given, self.tell)).revision


@asynccontextmanager
async def machine(
    home: Path,
    *,
    keeps: bool = False,
    backoff: Backoff | None = None,
    check_seconds: float = CHECK_SECONDS,
    secrets: Sequence[str] = (),
    **options: Any,
) -> AsyncGenerator[Machine]:
    """Yield this machine with an emulator, as any falkit process has it."""
    settings = settings_of(home, FALKIT_DEPLOY_SECRETS=",".join(secrets))
    catalog = CatalogIndex.open(beside=partial(find_card, home))
    hosting = Hosting(
        home,
        settings.deploy_tools,
        keeps=keeps,
        secrets=secrets,
        backoff=backoff,
        check_seconds=check_seconds,
    )
    async with (
        open_emulator(home / "emulator", catalog, speed=0, hosted=hosting, **options) as app,
        open_local(settings, catalog, app=app) as target,
        StreamingASGITransport(app) as transport,
        httpx.AsyncClient(transport=transport, base_url=BASE, headers=KEY, timeout=30) as client,
    ):
        yield Machine(target, client, app, [])


async def release_of(
    home: Path,
    text: str = KITCHEN,
    name: str = "kitchen",
    *,
    changed: Mapping[str, str] | None = None,
    **settings: Any,
) -> Release:
    """Return an app as it is to be deployed, with words of its source *changed*."""
    for old, new in (changed or {}).items():
        assert old in text
        text = text.replace(old, new)
    sha = hashlib.sha256(text.encode()).hexdigest()
    folder = home / "sources" / sha[:16]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "app.py").write_text(text, encoding="utf-8")
    return Release(
        name=name,
        folder=folder,
        file="app.py",
        class_name="",
        settings=replace(
            AppSettings(keep_alive=2, max_concurrency=2, startup_timeout=20, request_timeout=10),
            **settings,
        ),
        source_hash=sha,
    )


async def inspected(given: Release, home: Path, *, settings: bool = False) -> Release:
    """Return *given* with the document that inspection finds, and what else its code says.

    With *settings* those of its code that `release_of` does not make up hold too.
    """
    tool = await tool_environment(home, silent, given=tools())
    found = await inspect(given.folder, given.file, given.class_name, tool)
    if not settings:
        return replace(given, openapi=found.openapi)
    said = replace(
        given.settings,
        regions=found.settings.regions,
        retry_config=found.settings.retry_config,
        skip_retry_conditions=found.settings.skip_retry_conditions,
        request_start_timeout=found.settings.request_start_timeout,
        health_check=found.settings.health_check,
    )
    return replace(given, openapi=found.openapi, settings=said)


async def ended(client: httpx.AsyncClient, submitted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status of a request, with its logs, once it is over."""
    while True:
        answer = await client.get(submitted["status_url"], params={"logs": "1"})
        status: dict[str, Any] = answer.json()
        if status["status"] == "COMPLETED":
            return status
        await anyio.sleep(0.01)
