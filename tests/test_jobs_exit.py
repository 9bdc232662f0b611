"""Processes leave at once and in order, whoever holds the journal or leaves with them."""

import sqlite3
import time
from contextlib import closing, nullcontext, suppress
from pathlib import Path

import anyio
import pytest
from PIL import Image

from tests.jobs_platform import FAST, FolderPlatform, intent, jobs_in
from tests.test_survival import RawHost

FOX = {
    "endpoint_id": "fal-ai/flux/dev",
    "prompt": "a fox",
    "arguments": {"image_size": {"width": 64, "height": 64}},
}
LOOP = {"endpoint_id": "fal-ai/davinci-magihuman", "prompt": "waves roll in", "wait_seconds": 0}


def locked(path: Path) -> closing[sqlite3.Connection]:
    """Hold the journal at *path* as another program would, until the block ends."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return closing(other)


async def test_closing_does_not_wait_for_a_program_that_holds_the_journal(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform", waits=60)
    async with jobs_in(tmp_path, platform) as jobs:
        job = await jobs.start(intent())
        other = locked(tmp_path / "journal.db")
        await anyio.sleep(3 * FAST.heartbeat)  # so that one of them waits for the other program
        begun = time.monotonic()
    assert time.monotonic() - begun < 2
    with other:
        pass
    async with jobs_in(tmp_path, platform) as jobs:
        assert (await jobs.find(job.job_id)).state == "queued"
    assert len(platform.requests) == 1


@pytest.mark.proof
async def test_a_journal_that_another_program_holds_is_opened_all_the_same(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform")
    async with jobs_in(tmp_path, platform):
        pass
    begun = time.monotonic()
    with locked(tmp_path / "journal.db"):
        async with jobs_in(tmp_path, platform):
            opened = time.monotonic() - begun
    assert opened < 2


@pytest.mark.proof
@pytest.mark.parametrize("held", [True, False], ids=["held", "free"])
def test_two_servers_that_shut_down_at_once_end_well(tmp_path: Path, held: bool) -> None:
    picture = tmp_path / "sea.png"
    Image.new("RGB", (64, 64), "blue").save(picture)
    hosts = [RawHost(tmp_path), RawHost(tmp_path)]
    for number, host in enumerate(hosts):
        call = {**LOOP, "prompt": f"waves {number}", "arguments": {"image_url": str(picture)}}
        assert host.call("generate", call)["state"] in ("queued", "running")
    path = tmp_path / "house" / "journal.db"
    with locked(path) if held else nullcontext():
        begun = time.monotonic()
        for host in hosts:
            assert host.process.stdin is not None
            host.process.stdin.close()
        codes = [host.close() for host in hosts]
        took = time.monotonic() - begun

    assert codes == [0, 0]
    assert took < 3
    with closing(sqlite3.connect(path)) as journal:
        assert journal.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = journal.execute("SELECT holder FROM jobs WHERE request_id != ''").fetchall()
    assert len(rows) == 2
    assert held or rows == [("",), ("",)]


def marked(path: Path) -> bool:
    """Return whether a submit is under way, by the journal at *path*."""
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(path)) as journal:
        return bool(journal.execute("SELECT 1 FROM jobs WHERE submitting IS NOT NULL").fetchone())
    return False


@pytest.mark.proof
def test_a_submit_accepted_while_the_journal_stays_locked_is_said_and_taken_up_by_the_next(
    tmp_path: Path,
) -> None:
    host = RawHost(tmp_path, FALKIT_EMULATOR_FAULTS="latency=1.5/submit")
    host.begin("tools/call", {"name": "generate", "arguments": FOX})
    path = tmp_path / "house" / "journal.db"
    while not marked(path):
        time.sleep(0.02)
    with locked(path):
        begun = time.monotonic()
        code, said = host.close(), host.said()
        took = time.monotonic() - begun
    with closing(sqlite3.connect(path)) as journal:
        left = journal.execute("SELECT state, request_id FROM jobs").fetchone()
    requests = tmp_path / "house" / "emulator" / "emulator.db"
    with closing(sqlite3.connect(requests)) as emulator:
        ((request_id,),) = emulator.execute("SELECT id FROM requests").fetchall()
    # A key that may not read the account's requests: only what was left behind can tell.
    second = RawHost(tmp_path, FALKIT_EMULATOR_FAULTS="500/other")
    (listed,) = second.call("list_jobs", {})["jobs"]
    job = second.call("job_status", {"job_id": listed["job_id"], "wait_seconds": 0})
    while job["state"] != "done" and time.monotonic() < begun + 30:
        job = second.call("job_status", {"job_id": listed["job_id"], "wait_seconds": 5})
    second.close()

    assert (code, left) == (0, ("planned", ""))
    assert took < 5
    assert f"was accepted as request {request_id}" in said
    assert "Traceback" not in said
    assert (job["state"], job["request_id"]) == ("done", request_id)
