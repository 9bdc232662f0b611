"""The whole way on the embedded platform: real client, real wire, real media."""

import json
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import anyio
import httpx
import pytest
from pydantic import SecretStr

from catalog.index import CatalogIndex
from server.emulator.platform import open_emulator
from server.emulator.transport import StreamingASGITransport
from server.fal.client import FalClient
from server.fal.problems import NoBalanceError
from server.jobs.backend import Backend
from server.jobs.service import JournalJobs, open_jobs
from tests.house import connected, record
from tests.jobs_platform import intent, settings_in
from tools.ports import Intent


def fox() -> Intent:
    """Return what a caller wants: a small picture, since large ones take long to draw."""
    arguments = {"prompt": "a red fox", "image_size": {"width": 64, "height": 64}}
    return replace(intent(), arguments=arguments, identity=arguments)


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
        job = await jobs.wait((await jobs.start(fox())).job_id, 20)

    assert (job.state, job.saved, job.error) == ("done", True, None)
    assert job.outputs[0].kind == "image"
    assert Path(job.outputs[0].path).stat().st_size == job.outputs[0].bytes
    assert job.outputs[0].width
    assert job.cost is not None
    assert job.cost.kind == "simulated"
    assert job.cost.dollars


async def test_a_job_that_was_left_running_is_found_and_finished(tmp_path: Path) -> None:
    async with house(tmp_path, 1) as (jobs, _):
        left = await jobs.start(fox())
    async with house(tmp_path, 0) as (jobs, _):
        job = await jobs.wait(left.job_id, 20)

    assert (job.state, job.saved, job.request_id) == ("done", True, left.request_id)


async def test_a_queued_job_is_cancelled_on_the_platform(tmp_path: Path) -> None:
    async with house(tmp_path, 0.05) as (jobs, _):
        outcome = await jobs.cancel((await jobs.start(fox())).job_id)

    assert (outcome.cancelled, outcome.job.state) == (True, "cancelled")


async def test_a_lost_answer_is_found_again_and_nothing_is_sent_twice(tmp_path: Path) -> None:
    async with house(tmp_path, 0) as (jobs, http):
        base = "http://emulator.invalid/_emulator"
        await http.post(f"{base}/faults", json={"fault": "drop", "on": "submit"})
        lost = await jobs.start(fox())
        job = lost
        while job.state == "unconfirmed":
            await anyio.sleep(0.05)
            job = await jobs.find(lost.job_id)
        job = await jobs.wait(lost.job_id, 20)
        counts = (await http.get(f"{base}/counts")).json()

    assert lost.state == "unconfirmed"
    assert (job.state, job.saved) == ("done", True)
    assert counts["submits"] == {"fal-ai/flux/dev": 1}


async def test_a_refused_submit_costs_nothing_and_may_be_made_again(tmp_path: Path) -> None:
    async with house(tmp_path, 0) as (jobs, http):
        fault = {"fault": "locked", "on": "submit"}
        await http.post("http://emulator.invalid/_emulator/faults", json=fault)
        with pytest.raises(NoBalanceError):
            await jobs.start(fox())
        job = await jobs.wait((await jobs.start(fox())).job_id, 20)

    assert (job.saved, job.repeated) == (True, False)


@pytest.mark.parametrize("fault", ["result_504", "truncated_file", "moderation"])
async def test_what_goes_wrong_after_the_submit_is_mended_or_told(
    tmp_path: Path, fault: str
) -> None:
    async with house(tmp_path, 0) as (jobs, http):
        await http.post("http://emulator.invalid/_emulator/faults", json={"fault": fault})
        job = await jobs.wait((await jobs.start(fox())).job_id, 20)

    if fault == "moderation":
        assert job.error is not None
        assert (job.state, job.error.type) == ("failed", "content_policy_violation")
    else:
        assert (job.state, job.saved) == ("done", True)


@pytest.mark.proof
async def test_tags_that_fal_takes_go_to_its_bill_and_all_stay_with_the_job(tmp_path: Path) -> None:
    tags = ["project=fox", "winter", "Client=A", "fal.team=x", "team=a,b", "run=7"]
    call = {
        "endpoint_id": "fal-ai/flux/schnell",
        "prompt": "a fox",
        "arguments": {"image_size": {"width": 64, "height": 64}},
    }
    async with connected(tmp_path) as client:
        made = record(await client.call_tool("generate", {**call, "tags": tags}))
        found = record(await client.call_tool("list_jobs", {"tag": "team=a,b"}))
    with closing(sqlite3.connect(tmp_path / "house" / "emulator" / "emulator.db")) as emulator:
        ((options,),) = emulator.execute("SELECT options FROM requests").fetchall()
    assert json.loads(options)["tags"] == {"project": "fox", "run": "7"}
    assert [job["job_id"] for job in found["jobs"]] == [made["job_id"]]
