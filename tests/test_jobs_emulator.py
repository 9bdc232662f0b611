"""The whole way on the embedded platform: real client, real wire, real media."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
from pydantic import SecretStr

from catalog.index import CatalogIndex
from server.emulator.platform import open_emulator
from server.emulator.transport import StreamingASGITransport
from server.fal.client import FalClient
from server.jobs.backend import Backend
from server.jobs.service import JournalJobs, open_jobs
from tests.jobs_platform import intent, settings_in


@asynccontextmanager
async def house(home: Path, speed: float) -> AsyncGenerator[tuple[JournalJobs, httpx.AsyncClient]]:
    settings = settings_in(home)
    catalog = CatalogIndex.open()
    with anyio.fail_after(30):
        async with (
            open_emulator(home / "emulator", catalog, speed=speed) as app,
            StreamingASGITransport(app) as transport,
            httpx.AsyncClient(transport=transport) as http,
        ):
            client: Backend = FalClient(http, settings.hosts, SecretStr("emulator:local"))
            async with open_jobs(settings, client, catalog) as jobs:
                yield jobs, http


async def test_a_picture_is_made_and_comes_home(tmp_path: Path) -> None:
    async with house(tmp_path, 0) as (jobs, _):
        job = await jobs.wait((await jobs.start(intent("a red fox"))).job_id, 20)

    assert (job.state, job.saved, job.error) == ("done", True, None)
    assert job.outputs[0].kind == "image"
    assert Path(job.outputs[0].path).stat().st_size == job.outputs[0].bytes
    assert job.outputs[0].width
    assert job.cost is not None
    assert job.cost.kind == "simulated"
    assert job.cost.dollars


async def test_a_job_that_was_left_running_is_found_and_finished(tmp_path: Path) -> None:
    async with house(tmp_path, 1) as (jobs, _):
        left = await jobs.start(intent("a red fox"))
    async with house(tmp_path, 0) as (jobs, _):
        job = await jobs.wait(left.job_id, 20)

    assert (job.state, job.saved, job.request_id) == ("done", True, left.request_id)


async def test_a_queued_job_is_cancelled_on_the_platform(tmp_path: Path) -> None:
    async with house(tmp_path, 0.05) as (jobs, _):
        outcome = await jobs.cancel((await jobs.start(intent("a red fox"))).job_id)

    assert (outcome.cancelled, outcome.job.state) == (True, "cancelled")
