"""A full disk refuses before anything is paid, and loses nothing of what was."""

import resource
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from server.fal.options import PLAIN, CallOptions
from server.fal.wire import Submission
from server.jobs.journal import JournalError
from server.jobs.pace import Pace
from tests.jobs_platform import FolderPlatform, intent, jobs_in, png
from tools.ports import JobQuery

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files have no limit there")

# Nothing is tried again by itself before the test is over.
SLOW_TO_RETRY = Pace(poll_first=0.05, poll_gap=0.05, keep_again=60, gone_after=0)


@contextmanager
def full_beyond(most: int) -> Generator[None]:
    """Let no file of this process grow beyond *most* bytes, which a full disk looks like."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def size_of_log(home: Path) -> int:
    """Return how long the journal's write-ahead log is."""
    return (home / "journal.db-wal").stat().st_size


async def test_a_journal_without_room_refuses_before_anything_is_sent(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform")
    home = tmp_path / "home"
    async with jobs_in(home, platform) as jobs:
        first = await jobs.wait((await jobs.start(intent())).job_id, 10)
        with full_beyond(size_of_log(home)):
            with pytest.raises(JournalError, match="cannot be written") as refusal:
                await jobs.start(intent("another"))
            listed = await jobs.list(JobQuery())
            assert (await jobs.find(first.job_id)).saved
        assert "free some space" in refusal.value.hint
        assert [job.job_id for job in listed.jobs] == [first.job_id]
        assert len(platform.requests) == 1
        again = await jobs.wait((await jobs.start(intent("another"))).job_id, 10)

    assert again.saved
    assert len(platform.requests) == 2


class FillingPlatform(FolderPlatform):
    """A platform that takes a request just when the journal's disk becomes full."""

    limit: Any = None
    log: Path

    async def submit(
        self,
        endpoint_id: str,
        arguments: Mapping[str, Any],
        *,
        webhook_url: str = "",
        options: CallOptions = PLAIN,
    ) -> Submission:
        taken = await super().submit(
            endpoint_id, arguments, webhook_url=webhook_url, options=options
        )
        self.limit = full_beyond(self.log.stat().st_size)
        self.limit.__enter__()
        return taken


async def test_an_accepted_request_is_written_down_when_there_is_room_again(
    tmp_path: Path,
) -> None:
    platform = FillingPlatform(tmp_path / "platform")
    platform.log = tmp_path / "journal.db-wal"
    pace = Pace(submit_wait=0.3, poll_first=0.05, poll_gap=0.05)
    async with jobs_in(tmp_path, platform, pace) as jobs:
        try:
            told = await jobs.start(intent())
            twin = await jobs.start(intent())
        finally:
            platform.limit.__exit__(None, None, None)
        done = await jobs.wait(told.job_id, 10)

    assert (told.state, twin.job_id) == ("planned", told.job_id)
    assert done.saved
    assert done.request_id == platform.requests[0]["request_id"]
    assert len(platform.requests) == 1


async def test_a_result_without_room_is_done_and_not_saved_and_comes_home_later(
    tmp_path: Path,
) -> None:
    platform = FolderPlatform(tmp_path / "platform")
    platform.file = png() + bytes(3 * 2**20)
    async with jobs_in(tmp_path, platform, SLOW_TO_RETRY) as jobs:
        with full_beyond(2 * 2**20):
            full = await jobs.wait((await jobs.start(intent())).job_id, 10)
        left = [path.name for path in (tmp_path / "media").iterdir()]
        # Whoever failed to bring it home may still hold it for a moment: then it is as it was.
        while not (home := await jobs.wait(full.job_id, 10)).saved:
            await anyio.sleep(0.05)

    assert (full.state, full.saved, full.is_settled) == ("done", False, True)
    assert "file too large" in full.outputs[0].problem
    assert left == []
    assert home.saved
    assert await anyio.Path(home.outputs[0].path).read_bytes() == platform.file
    assert len(platform.requests) == 1
