"""Every answer comes before a host ends the call, whatever hangs, and carries the handle."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from anyio import fail_after
from mcp import Client
from PIL import Image

from server.app import build_server
from server.jobs import intake
from server.jobs.pace import Pace
from server.rooms import open_rooms
from server.settings import Settings
from tests.emulated import emulated
from tests.house import Era, connected, environment, record, words
from tests.jobs_platform import FolderPlatform, intent, jobs_in
from tools import making
from tools.errors import BackendError
from tools.inventory import TOOLS
from tools.ports import Job, Jobs

FLUX = {"endpoint_id": "fal-ai/flux/dev", "prompt": "a fox"}
QUICK = Pace(heartbeat=0.1, poll_first=0.05, poll_gap=0.05, submit_wait=0.2, cancel_answer=0.2)


class SilentPlatform(FolderPlatform):
    """A platform that never answers a cancellation."""

    async def cancel(self, endpoint_id: str, request_id: str) -> Any:
        await anyio.sleep_forever()


async def strike(home: Path, **fault: Any) -> None:
    async with emulated(home / "house" / "emulator") as control:
        assert (await control.post("/_emulator/faults", json=fault)).is_success


async def test_a_submit_without_an_answer_is_told_as_planned_and_goes_on(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform")
    platform.answers_after = 1.0
    with fail_after(10):
        async with jobs_in(tmp_path, platform, QUICK) as jobs:
            started = await jobs.start(intent())
            assert started.state == "planned"
            again = await jobs.start(intent())
            assert (again.job_id, again.repeated) == (started.job_id, True)
            done = await jobs.wait(started.job_id, 8)
    assert (done.state, done.saved) == ("done", True)
    assert len(platform.requests) == 1


async def test_a_cancellation_without_an_answer_is_told(tmp_path: Path) -> None:
    platform = SilentPlatform(tmp_path / "platform", runs=60)
    with fail_after(10):
        async with jobs_in(tmp_path, platform, QUICK) as jobs:
            started = await jobs.start(intent())
            with pytest.raises(BackendError, match="did not answer"):
                await jobs.cancel(started.job_id)
            assert not (await jobs.find(started.job_id)).is_over


async def test_what_went_before_shortens_the_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "ANSWERED_WITHIN", 0.5)
    await strike(tmp_path, fault="stuck")
    begun = time.monotonic()
    with fail_after(20):
        async with connected(tmp_path) as client:
            job = record(await client.call_tool("generate", {**FLUX, "wait_seconds": 45}))
    assert time.monotonic() - begun < 15
    assert job["state"] in ("queued", "running")
    assert job["job_id"] in job["next"]


async def test_uploads_that_take_long_start_nothing_and_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png")
    call = {"operation": "instruct", "media": "a.png", "instruction": "make it blue"}
    with fail_after(20):
        async with connected(tmp_path) as client:
            monkeypatch.setattr(making, "UPLOADS_BEGIN_WITHIN", -1.0)
            told = await client.call_tool("edit", call)
            assert told.is_error
            assert "nothing was started" in words(told)
            assert record(await client.call_tool("list_jobs", {}))["jobs"] == []


async def test_a_file_that_never_comes_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png")
    monkeypatch.setattr(intake, "FETCHED_WITHIN", 0.3)
    with fail_after(20):
        async with connected(tmp_path) as client:
            url = record(await client.call_tool("upload_file", {"path": "a.png"}))["url"]
            await strike(tmp_path, fault="latency", on="download", seconds=60)
            told = await client.call_tool("view_media", {"media": url})
    assert told.is_error
    assert "did not arrive" in words(told)


async def test_a_file_that_would_hang_whoever_reads_it_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    call = {"operation": "instruct", "media": "pipe.png", "instruction": "make it blue"}
    with fail_after(10):
        async with connected(tmp_path) as client:
            told = await client.call_tool("edit", call)
    assert told.is_error
    assert "pipe.png" in words(told)


@pytest.mark.proof
@pytest.mark.parametrize(
    ("hangs", "said"),
    [
        pytest.param("upload", "nothing was started", id="an upload"),
        pytest.param("submit", "planned", id="a submit"),
        pytest.param("any", "nothing was started", id="everything"),
    ],
)
async def test_whatever_hangs_is_told_before_a_host_gives_up_by_the_real_clock(
    tmp_path: Path, hangs: str, said: str
) -> None:
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png")
    call = {"operation": "instruct", "media": "a.png", "instruction": "blue", "wait_seconds": 45}
    begun = time.monotonic()
    async with connected(tmp_path, FALKIT_EMULATOR_FAULTS=f"latency=300/{hangs}") as client:
        told = await client.call_tool("edit", call)
        took = time.monotonic() - begun
        priced = await client.call_tool("estimate_cost", {"endpoint_id": FLUX["endpoint_id"]})
        left = time.monotonic() - begun - took
    assert took < 52
    assert left < 2
    assert not priced.is_error
    assert said in words(told)


class Counted:
    """The jobs, and how many callers wait for one."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self.waiting = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, name)

    async def wait(self, *given: Any) -> Job:
        self.waiting += 1
        try:
            return await self._jobs.wait(*given)
        finally:
            self.waiting -= 1


@pytest.mark.proof
@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_call_that_the_host_cancels_ends_its_wait_and_the_job_runs_on(
    tmp_path: Path, era: Era
) -> None:
    settings = Settings.read(environment(tmp_path, FALKIT_EMULATOR_SPEED="1"))
    async with open_rooms(settings) as rooms:
        jobs = Counted(rooms.jobs)
        server = build_server(replace(rooms, jobs=cast("Jobs", jobs)), TOOLS)
        with fail_after(20):
            async with Client(server, mode=era) as client:
                with anyio.CancelScope() as call:

                    async def tell(
                        progress: float, total: float | None, message: str | None
                    ) -> None:
                        if jobs.waiting:
                            call.cancel()

                    await client.call_tool(
                        "generate", {**FLUX, "wait_seconds": 45}, progress_callback=tell
                    )
                assert call.cancelled_caught
                while jobs.waiting:
                    await anyio.sleep(0.01)
                [job] = record(await client.call_tool("list_jobs", {}))["jobs"]
                assert job["state"] in ("planned", "queued", "running")
                ended = await client.call_tool(
                    "job_status", {"job_id": job["job_id"], "wait_seconds": 15}
                )
                assert record(ended)["state"] == "done"
