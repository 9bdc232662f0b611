"""Files come home whole and checked, under names that say what they are, or it is said why not."""

import base64
import errno
import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from server.fal.problems import NotFoundError
from server.jobs.files import name_of
from server.jobs.pace import Pace
from tests.jobs_platform import FAST, FolderPlatform, intent, jobs_in, png
from tools.ports import Job

# A next attempt that does not come by itself within a test.
SLOW_TO_RETRY = Pace(heartbeat=0.1, poll_first=0.05, keep_again=3600)


@pytest.fixture
def platform(tmp_path: Path) -> FolderPlatform:
    return FolderPlatform(tmp_path / "platform", runs=0)


async def made(home: Path, platform: FolderPlatform, **more: Any) -> Job:
    async with jobs_in(home, platform) as jobs:
        return await jobs.wait((await jobs.start(intent(**more))).job_id, 10)


async def test_a_full_disk_leaves_the_job_done_and_not_saved_until_there_is_room(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.download_problem = OSError(errno.ENOSPC, "No space left on device")
    async with jobs_in(tmp_path, platform, SLOW_TO_RETRY) as jobs:
        started = await jobs.start(intent())
        full = await jobs.wait(started.job_id, 10)
        still_full = await jobs.wait(started.job_id, 10)
        platform.download_problem = None
        home = await jobs.wait(started.job_id, 10)

    for job in (full, still_full):
        assert (job.state, job.saved, job.is_settled) == ("done", False, True)
        assert job.outputs[0].problem == (
            f"not saved: the disk of {str(tmp_path / 'media')!r} is full; free some space"
        )
        assert job.outputs[0].url.startswith("https://files.test/")
    assert home.saved
    assert home.outputs[0].problem == ""
    assert await anyio.Path(home.outputs[0].path).read_bytes() == png()


async def test_what_could_not_be_saved_is_tried_again_by_itself(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.download_problem = NotFoundError("the file is gone")
    async with jobs_in(tmp_path, platform, FAST) as jobs:
        job = await jobs.wait((await jobs.start(intent())).job_id, 10)
        assert job.outputs[0].problem == "not saved: the file is gone"
        platform.download_problem = None
        while not job.saved:
            await anyio.sleep(0.05)
            job = await jobs.find(job.job_id)
    assert sum(kind == "download" for kind, _ in platform.looks) >= 2


async def test_the_next_process_tries_again_too(tmp_path: Path, platform: FolderPlatform) -> None:
    platform.download_problem = NotFoundError("the file is gone")
    async with jobs_in(tmp_path, platform, SLOW_TO_RETRY) as jobs:
        job = await jobs.wait((await jobs.start(intent())).job_id, 10)
        assert not job.saved
    platform.download_problem = None
    async with jobs_in(tmp_path, platform, SLOW_TO_RETRY) as jobs:
        while not job.saved:
            await anyio.sleep(0.02)
            job = await jobs.find(job.job_id)


async def test_a_file_that_does_not_open_is_not_called_saved(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.file = png()[:-30]
    job = await made(tmp_path, platform)

    assert (job.state, job.saved) == ("done", False)
    assert job.outputs[0].problem == (
        "not saved: the file is damaged or cut off: image file is truncated"
    )
    assert job.outputs[0].path == ""
    assert [path async for path in anyio.Path(tmp_path / "media").iterdir()] == []


async def test_a_file_is_never_overwritten(tmp_path: Path, platform: FolderPlatform) -> None:
    taken: list[Path] = []

    class Squatter(FolderPlatform):
        async def download(self, url: str, target: Path, *, max_bytes: int | None = None) -> Any:
            arrived = await super().download(url, target, max_bytes=max_bytes)
            job_id = target.name.removeprefix(".falkit-")[:11]
            name = name_of(await jobs.find(job_id), 1, ".png")
            taken.append(target.with_name(name))
            await anyio.Path(taken[0]).write_text("mine")
            return arrived

    async with jobs_in(tmp_path, Squatter(tmp_path / "platform", runs=0)) as jobs:
        job = await jobs.wait((await jobs.start(intent())).job_id, 10)

    assert await anyio.Path(taken[0]).read_text() == "mine"
    path = Path(job.outputs[0].path)
    assert path.name == taken[0].name.replace(".png", "-again1.png")
    assert await anyio.Path(path).read_bytes() == png()


async def test_a_file_placed_by_a_process_that_died_right_after_is_taken_as_it_is(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    class Early(FolderPlatform):
        async def download(self, url: str, target: Path, *, max_bytes: int | None = None) -> Any:
            arrived = await super().download(url, target, max_bytes=max_bytes)
            job_id = target.name.removeprefix(".falkit-")[:11]
            name = name_of(await jobs.find(job_id), 1, ".png")
            await anyio.Path(target.with_name(name)).write_bytes(self.file)
            return arrived

    async with jobs_in(tmp_path, Early(tmp_path / "platform", runs=0)) as jobs:
        job = await jobs.wait((await jobs.start(intent())).job_id, 10)

    assert job.saved
    assert len(list((tmp_path / "media").glob("*.png"))) == 1


async def test_files_go_where_the_caller_wants_them(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    wanted = tmp_path / "Bilder für Jörg"
    job = await made(tmp_path / "home", platform, save_to=wanted)

    assert Path(job.outputs[0].path).parent == wanted
    assert job.saved


async def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    (tmp_path / "file").write_text("in the way")
    job = await made(tmp_path / "home", platform, save_to=tmp_path / "file" / "folder")

    assert not job.saved
    assert job.outputs[0].problem == (
        f"not saved: the folder {str(tmp_path / 'file' / 'folder')!r} cannot be written: "
        "not a directory"
    )


async def test_every_output_comes_home_and_one_failure_leaves_the_others(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    data = "data:image/png;base64," + base64.b64encode(png(9, 9)).decode()
    platform.output = {
        "images": [
            {"url": "https://files.test/a.png"},
            {"url": data},
            {"url": "data:image/png;base64,AA=="},
        ]
    }
    job = await made(tmp_path, platform)

    assert [bool(output.path) for output in job.outputs] == [True, True, False]
    assert job.outputs[1].width == 9
    assert job.outputs[1].url == Path(job.outputs[1].path).as_uri()
    assert not job.saved
    assert job.outputs[2].problem == (
        "not saved: what came is no image but application/octet-stream"
    )


async def test_a_long_text_becomes_a_file_and_a_short_one_stays_an_answer(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.output = {"output": "short"}
    short = await made(tmp_path, platform)
    platform.output = {"output": "lang, aber schön " * 500}
    long = await made(tmp_path, platform, prompt="write a lot")

    assert (short.saved, short.outputs[0].text, short.outputs[0].path) == (True, "short", "")
    path = Path(long.outputs[0].path)
    assert path.suffix == ".txt"
    assert await anyio.Path(path).read_text("utf-8") == "lang, aber schön " * 500
    assert long.saved


async def test_on_fal_the_url_stays_and_the_note_says_what_it_cost(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform, key="id:secret") as jobs:
        job = await jobs.wait((await jobs.start(intent())).job_id, 10)

    assert job.outputs[0].url == f"https://files.test/{job.request_id}.png"
    assert job.cost is not None
    assert (job.cost.kind, str(job.cost.dollars)) == ("billed", "0.025")
    note = json.loads(await anyio.Path(f"{job.outputs[0].path}.json").read_text("utf-8"))
    assert note["cost"] == {"dollars": "0.025", "kind": "billed"}
    assert note["request_id"] == job.request_id
    assert note["result"]["seed"] == 7
    assert "secret" not in json.dumps(note)


async def test_at_most_four_files_arrive_at_a_time(tmp_path: Path) -> None:
    now, most = 0, 0

    class Counting(FolderPlatform):
        async def download(self, url: str, target: Path, *, max_bytes: int | None = None) -> Any:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await anyio.sleep(0.02)
            now -= 1
            return await super().download(url, target, max_bytes=max_bytes)

    platform = Counting(tmp_path / "platform", runs=0)
    platform.output = {"images": [{"url": f"https://files.test/{n}.png"} for n in range(10)]}
    job = await made(tmp_path, platform)

    assert (len(job.outputs), job.saved, most) == (10, True, 4)


async def test_a_host_that_hangs_delays_no_files_of_another(tmp_path: Path) -> None:
    class Hanging(FolderPlatform):
        async def download(self, url: str, target: Path, *, max_bytes: int | None = None) -> Any:
            if "hangs" in url:
                await anyio.sleep_forever()
            return await super().download(url, target, max_bytes=max_bytes)

    platform = Hanging(tmp_path / "platform", runs=0)
    platform.output = {"images": [{"url": f"https://hangs.test/{n}.png"} for n in range(10)]}
    async with jobs_in(tmp_path, platform) as jobs:
        first = await jobs.start(intent("hangs"))
        assert not (await jobs.wait(first.job_id, 0.5)).saved
        platform.output = None
        assert (await jobs.wait((await jobs.start(intent("goes"))).job_id, 5)).saved


@pytest.mark.parametrize("name", ["run.exe", "run.desktop", "page.html", "go.SH"])
async def test_what_a_double_click_would_run_comes_home_as_a_text(
    tmp_path: Path, platform: FolderPlatform, name: str
) -> None:
    platform.output = {"file": {"url": f"https://files.test/{name}"}}
    platform.file = b"#!/bin/sh\necho"
    async with jobs_in(tmp_path, platform) as jobs:
        job = await jobs.wait((await jobs.start(intent())).job_id, 10)
    assert job.saved
    assert job.outputs[0].path.endswith(f"{Path(name).suffix.lower()}.txt")


@pytest.mark.parametrize(
    ("prompt", "slug"),
    [
        pytest.param("Ein süßer Fuchs!", "ein-susser-fuchs", id="umlauts"),
        pytest.param("日本の狐", "flux-dev", id="no plain letters"),
        pytest.param("x" * 100, "x" * 40, id="one long word"),
        pytest.param("many words " * 9, "many-words-many-words-many-words-many", id="long"),
    ],
)
async def test_names_are_plain_and_short(
    tmp_path: Path, platform: FolderPlatform, prompt: str, slug: str
) -> None:
    async with jobs_in(tmp_path, platform) as jobs:
        job = await jobs.start(intent(prompt))

    day = job.created.astimezone().date()
    assert name_of(job, 2, ".png") == f"{day}-{slug}-{job.job_id}-2.png"
