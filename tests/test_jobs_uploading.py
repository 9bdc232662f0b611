"""An upload outlives the patience of who asked for it, and nobody's wait outlives a host's."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import anyio
import pytest

from server.jobs.intake import FetchedFile
from server.jobs.uploading import open_uploading
from tools.errors import BackendError, MediaError


@dataclass(frozen=True)
class Stored:
    url: str
    expires: datetime | None = None


@dataclass
class SlowClient:
    """A platform that takes a file when *opened*, and counts how each upload went."""

    opened: anyio.Event = field(default_factory=anyio.Event)
    begun: int = 0
    cancelled: int = 0
    problem: Exception | None = None

    async def upload(self, path: Path, *, media_type: str, file_name: str) -> Stored:
        self.begun += 1
        try:
            await self.opened.wait()
        except BaseException:
            self.cancelled += 1
            raise
        if self.problem is not None:
            raise self.problem
        return Stored(f"https://files.test/{file_name}")

    async def download(self, url: str, target: Path, *, max_bytes: int) -> FetchedFile:
        raise AssertionError(url)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    path.write_bytes(b"bytes")
    return path


async def test_an_upload_that_takes_long_goes_on_and_the_next_call_has_it(picture: Path) -> None:
    client = SlowClient()
    with anyio.fail_after(5):
        async with open_uploading(client, within=0.05) as uploading:
            with pytest.raises(
                BackendError, match=r"'a\.png' is not uploaded.*nothing was started"
            ):
                await uploading.upload(picture, media_type="image/png", file_name="a.png")
            client.opened.set()
            await anyio.wait_all_tasks_blocked()
            placed = await uploading.upload(picture, media_type="image/png", file_name="a.png")
    assert placed.url == "https://files.test/a.png"
    assert client.begun == 1


async def test_a_file_that_changed_is_uploaded_anew(picture: Path) -> None:
    client = SlowClient()
    with anyio.fail_after(5):
        async with open_uploading(client, within=0.05) as uploading:
            with pytest.raises(BackendError):
                await uploading.upload(picture, media_type="image/png", file_name="a.png")
            picture.write_bytes(b"other bytes")
            client.opened.set()
            await uploading.upload(picture, media_type="image/png", file_name="a.png")
    assert client.begun == 2


async def test_a_cancelled_caller_ends_its_upload_unless_another_waits(picture: Path) -> None:
    client = SlowClient()

    async def ask(scope: anyio.CancelScope) -> None:
        with scope:
            await uploading.upload(picture, media_type="image/png", file_name="a.png")

    with anyio.fail_after(5):
        async with open_uploading(client) as uploading, anyio.create_task_group() as group:
            first, second = anyio.CancelScope(), anyio.CancelScope()
            group.start_soon(ask, first)
            group.start_soon(ask, second)
            await anyio.wait_all_tasks_blocked()
            first.cancel()
            await anyio.wait_all_tasks_blocked()
            assert (client.begun, client.cancelled) == (1, 0)
            second.cancel()
            await anyio.wait_all_tasks_blocked()
            assert client.cancelled == 1


async def test_a_failed_upload_says_why_and_is_tried_anew(picture: Path) -> None:
    client = SlowClient(problem=MediaError("too large"))
    client.opened.set()
    with anyio.fail_after(5):
        async with open_uploading(client) as uploading:
            for _ in range(2):
                with pytest.raises(MediaError, match="too large"):
                    await uploading.upload(picture, media_type="image/png", file_name="a.png")
    assert client.begun == 2


async def test_closing_ends_the_uploads_under_way(picture: Path) -> None:
    client = SlowClient()
    with anyio.fail_after(5):
        async with open_uploading(client, within=0.05) as uploading:
            with pytest.raises(BackendError):
                await uploading.upload(picture, media_type="image/png", file_name="a.png")
    assert client.cancelled == 1
