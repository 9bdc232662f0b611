"""One process: from an intent to files at home."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from inline_snapshot import snapshot

from server.jobs.pace import Pace
from tests.jobs_platform import FAST, FolderPlatform, intent, jobs_in, png
from tools.errors import UnknownJobError
from tools.ports import JobQuery


async def test_a_job_is_submitted_followed_and_its_file_comes_home(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform")
    async with jobs_in(tmp_path / "home", platform) as jobs:
        started = await jobs.start(intent("A red fox, jumping!", tags=("fox",)))
        assert (started.state, started.queue_position) == ("queued", 1)
        job = await jobs.wait(started.job_id, 10)

    assert (job.state, job.saved, job.backend, job.account) == (
        "done",
        True,
        "emulator",
        "emulator",
    )
    assert job.request_id == platform.requests[0]["request_id"]
    assert platform.requests[0]["arguments"] == {"prompt": "A red fox, jumping!"}
    (output,) = job.outputs
    path = Path(output.path)
    day = datetime.now(UTC).astimezone().date().isoformat()
    assert path.name == f"{day}-a-red-fox-jumping-{job.job_id}-1.png"
    assert path.parent == tmp_path / "home" / "media"
    assert await anyio.Path(path).read_bytes() == png()
    assert (output.width, output.height, output.media_type) == (4, 3, "image/png")
    assert output.url == path.as_uri()
    note = json.loads(await anyio.Path(f"{path}.json").read_text("utf-8"))
    assert note["sha256"] == output.sha256
    assert note["arguments"] == {"prompt": "A red fox, jumping!"}
    assert note["job_id"] == job.job_id
    assert sorted(child.suffix for child in path.parent.iterdir()) == [".json", ".png"]


async def test_a_watched_job_needs_few_requests(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform", waits=0.1, runs=0.1)
    async with jobs_in(tmp_path / "home", platform, Pace()) as jobs:
        started = await jobs.start(intent())
        job = await jobs.wait(started.job_id, 10)

    assert job.saved
    assert [kind for kind, _ in platform.looks] == snapshot(
        ["submit", "watch", "result", "download"]
    )


async def test_closing_hands_its_jobs_over_at_once_and_leaves_them_running(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform", runs=0.5)
    patient = replace(FAST, lease=60)
    async with jobs_in(tmp_path, platform, patient) as heir:
        async with jobs_in(tmp_path, platform, patient) as first:
            job = await first.start(intent())
        job = await heir.wait(job.job_id, 5)

    assert job.saved
    assert not any(kind == "cancel" for kind, _ in platform.looks)


async def test_what_goes_wrong_inside_comes_out_as_itself(
    tmp_path: Path,
) -> None:
    with pytest.raises(UnknownJobError):
        async with jobs_in(tmp_path, FolderPlatform(tmp_path / "platform")) as jobs:
            await jobs.find("00000000000")


async def test_a_journal_that_fails_for_a_while_is_tended_again(tmp_path: Path) -> None:
    async with jobs_in(tmp_path, FolderPlatform(tmp_path / "platform", runs=0.2)) as jobs:
        job = await jobs.start(intent())
        with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as another:
            another.execute("ALTER TABLE jobs RENAME TO gone")
            await anyio.sleep(0.3)
            another.execute("ALTER TABLE gone RENAME TO jobs")
        while not job.saved:
            await anyio.sleep(0.05)
            job = await jobs.find(job.job_id)


async def test_jobs_are_listed_newest_first_by_page(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform")
    async with jobs_in(tmp_path / "home", platform) as jobs:
        made: list[str] = []
        for prompt in ("one", "two", "three"):
            made.append((await jobs.start(intent(prompt))).job_id)
            await anyio.sleep(0.002)  # ids of one millisecond have no order
        first = await jobs.list(JobQuery(limit=2))
        second = await jobs.list(JobQuery(limit=2, cursor=first.next_cursor))

    assert [job.job_id for job in (*first.jobs, *second.jobs)] == made[::-1]
    assert second.next_cursor == ""
