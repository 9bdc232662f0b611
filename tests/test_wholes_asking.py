"""A step about which a person must be asked when its turn comes waits, and goes on after a yes."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from catalog.index import CatalogIndex
from catalog.media import MediaFacts, MediaKind
from server.asking import price_of
from server.jobs.service import JournalJobs, open_jobs
from tests.jobs_platform import FAST, FolderPlatform, intent, settings_in
from tools.errors import OverBudgetError
from tools.ports import GivenMedia, Intent, Job, Placed, Use, WholeIntent

BY_THE_SECOND = "bria/video/background-removal"  # 0.0042 dollars
TEN_SECONDS = Decimal("0.042")


@dataclass
class Desk:
    """A desk at which every video is as long as *seconds*, or of a length that nobody knows."""

    seconds: float | None

    async def look(self, reference: str, kind: MediaKind | None = None) -> GivenMedia:
        facts = MediaFacts("video", "video/mp4", seconds=self.seconds)
        url = "https://files.test/made.mp4"
        return GivenMedia(reference, url, facts if self.seconds else None, url=url)

    async def place(self, given: GivenMedia) -> Placed:
        return Placed(given.url, bytes=0, sha256="", media_type="video/mp4")


@asynccontextmanager
async def jobs_with(
    home: Path, platform: FolderPlatform, seconds: float | None, budget: str = "25"
) -> AsyncGenerator[JournalJobs]:
    settings = settings_in(home, key="me:secret", budget_day=budget)
    catalog = CatalogIndex.open()
    with anyio.fail_after(20):
        async with open_jobs(
            settings, platform, catalog, FAST, desk_of=lambda _: Desk(seconds)
        ) as jobs:
            yield jobs


@pytest.fixture
def platform(tmp_path: Path) -> FolderPlatform:
    return FolderPlatform(tmp_path / "platform")


def film() -> WholeIntent:
    """Return a pipeline whose second step is priced for ten seconds of what the first makes."""
    cut = Intent(
        BY_THE_SECOND, {"video_url": "$pic"}, {"video_url": "$pic"}, TEN_SECONDS, TEN_SECONDS,
        name="cut", uses=(Use(("video_url",), "pic", 0, "video"),),
    )  # fmt: skip
    return WholeIntent("pipeline", (intent(name="pic"), cut), {"steps": []})


async def held(jobs: JournalJobs) -> Job:
    """Return the pipeline once it waits for a person."""
    whole = await jobs.start_whole(film())
    while whole.state != "held":
        whole = await jobs.wait(whole.job_id, 1)
    return whole


@pytest.mark.parametrize("approved", ["whole", pytest.param("step", marks=pytest.mark.proof)])
async def test_a_step_of_unknown_price_waits_for_a_person_and_goes_on_after_a_yes(
    tmp_path: Path, platform: FolderPlatform, approved: str
) -> None:
    async with jobs_with(tmp_path, platform, None) as jobs:
        whole = await held(jobs)
        pic, cut = await jobs.parts(whole.job_id)
        sent = len(platform.requests)
    async with jobs_with(tmp_path, platform, None) as jobs:  # a person takes a night over it
        await jobs.approve(whole.job_id if approved == "whole" else cut.job_id)
        done = whole
        while not done.is_over:
            done = await jobs.wait(whole.job_id, 5)
        states = [state for _, state, _ in await jobs.store.events(cut.job_id)]

    assert (pic.state, cut.state, sent) == ("done", "held", 1)
    assert "cut on bria/video/background-removal waits" in whole.note
    assert "its price is not known" in whole.note
    assert f"falkit approve {cut.job_id}" in whole.note
    assert (price_of(whole), price_of(cut)) == ("an unknown price", "an unknown price")
    assert cut.arguments == {"video_url": "https://files.test/made.mp4"}
    assert (done.state, len(done.outputs)) == ("done", 1)
    assert states[:3] == ["planned", "held", "approved"]
    assert len(platform.requests) == 2


async def test_a_step_whose_media_is_longer_than_was_priced_waits_at_its_real_price(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_with(tmp_path, platform, 1000) as jobs:
        whole = await held(jobs)
        waiting = whole
        spent = await jobs.store.counted_since("cloud", whole.created)
        await jobs.approve(whole.job_id)
        while not whole.is_over:
            whole = await jobs.wait(whole.job_id, 5)
        _, cut = await jobs.parts(whole.job_id)

    assert price_of(waiting) == "$4.25"
    assert spent == Decimal("0.025") + Decimal("4.2")  # reserved while a person thinks
    assert cut.estimate_high == Decimal("4.2")
    assert whole.state == "done"


async def test_a_step_whose_media_is_longer_than_the_budget_is_never_sent(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_with(tmp_path, platform, 1000, budget="4") as jobs:
        whole = await jobs.start_whole(film())
        while not whole.is_over:
            whole = await jobs.wait(whole.job_id, 1)
        _, cut = await jobs.parts(whole.job_id)

    assert whole.state == "failed"
    assert cut.error is not None
    assert "left of the day's budget of $4.00" in cut.error.message
    assert len(platform.requests) == 1


async def test_a_yes_that_a_budget_does_not_allow_any_more_leaves_it_waiting(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_with(tmp_path, platform, 1000, budget="5") as jobs:
        whole = await held(jobs)
    async with jobs_with(tmp_path, platform, 1000, budget="4") as jobs:
        with pytest.raises(OverBudgetError):
            await jobs.approve(whole.job_id)
        still = await jobs.find(whole.job_id)

    assert still.state == "held"
    assert len(platform.requests) == 1


@pytest.mark.parametrize("cancelled", ["whole", pytest.param("step", marks=pytest.mark.proof)])
async def test_a_no_keeps_what_was_made_and_sends_nothing_more(
    tmp_path: Path, platform: FolderPlatform, cancelled: str
) -> None:
    async with jobs_with(tmp_path, platform, None) as jobs:
        whole = await held(jobs)
        _, cut = await jobs.parts(whole.job_id)
        await jobs.cancel(whole.job_id if cancelled == "whole" else cut.job_id)
        while not whole.is_over:
            whole = await jobs.wait(whole.job_id, 5)
        pic, cut = await jobs.parts(whole.job_id)
        left = await jobs.store.counted_since("cloud", whole.created)

    assert (whole.state, pic.state, cut.state) == ("cancelled", "done", "cancelled")
    assert whole.cost is not None
    assert whole.cost.dollars == left
    assert len(platform.requests) == 1
