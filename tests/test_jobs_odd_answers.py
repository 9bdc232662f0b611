"""Whatever a platform answers, a paid job ends, and what it holds comes home."""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from server.fal.options import PLAIN, CallOptions
from server.fal.wire import Result, Status, Submission
from tests.jobs_platform import FolderPlatform, intent, jobs_in
from tools.ports import Job

FILE = {"url": "https://files.test/1.png", "content_type": "image/png"}


class OddPlatform(FolderPlatform):
    """A platform that puts strange numbers beside its answers."""

    units = Decimal(1)
    took = 0.1
    place = 0

    async def submit(
        self,
        endpoint_id: str,
        arguments: Mapping[str, Any],
        *,
        webhook_url: str = "",
        options: CallOptions = PLAIN,
    ) -> Submission:
        sent = await super().submit(
            endpoint_id, arguments, webhook_url=webhook_url, options=options
        )
        return Submission(sent.request_id, self.place)

    async def status(self, endpoint_id: str, request_id: str, *, logs: bool = True) -> Status:
        return Status("completed", inference_seconds=self.took)

    async def result(self, endpoint_id: str, request_id: str) -> Result:
        made = await super().result(endpoint_id, request_id)
        return Result(made.output, self.units, request_id)


async def ended(home: Path, platform: FolderPlatform) -> Job:
    async with jobs_in(home, platform) as jobs:
        started = await jobs.start(intent())
        return await jobs.wait(started.job_id, 8)


@pytest.mark.parametrize(
    "output",
    [
        pytest.param('{"output": "half a letter: \\ud83d"}', id="half a letter"),
        pytest.param('{"output": "\\ud83d' + "x" * 3000 + '"}', id="half a letter in a long text"),
        pytest.param('{"images": [{"url": "https://files.test/\\udc00.png"}]}', id="in an address"),
        pytest.param(
            json.dumps(
                {"images": [{**FILE, "file_size": 10**40, "width": 10**400, "fps": 10**400}]}
            ),
            id="numbers beyond all",
        ),
        pytest.param('{"images": [{"url": "https://files.test/1.png", "fps": 1e999}]}', id="inf"),
        pytest.param('{"a":' * 400 + "1" + "}" * 400, id="deep"),
    ],
)
async def test_a_strange_output_ends_its_job_and_is_saved(tmp_path: Path, output: str) -> None:
    platform = FolderPlatform(tmp_path / "platform")
    platform.output = json.loads(output)
    job = await ended(tmp_path, platform)
    assert (job.state, job.saved) == ("done", True)


async def test_an_output_nested_beyond_reading_ends_its_job_and_says_so(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform")
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    platform.output = deep
    job = await ended(tmp_path, platform)
    assert job.state == "done"
    assert "too deeply" in job.note


@pytest.mark.proof
async def test_an_address_that_is_none_ends_its_job_and_is_named(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform")
    platform.output = {"image": {"url": "https://[bad/x.png"}, "other_url": "http://[x.png"}
    job = await ended(tmp_path, platform)
    assert job.state == "done"


@pytest.mark.parametrize("units", ["1e1000", "1e999999", "1e-999999"])
async def test_units_that_nobody_is_billed_for_leave_the_estimate(
    tmp_path: Path, units: str
) -> None:
    platform = OddPlatform(tmp_path / "platform")
    platform.units = Decimal(units)
    job = await ended(tmp_path, platform)
    assert (job.state, job.saved) == ("done", True)
    assert job.cost is not None
    assert job.cost.dollars == Decimal("0.05")


async def test_a_time_and_a_place_beyond_all_change_nothing(tmp_path: Path) -> None:
    platform = OddPlatform(tmp_path / "platform", waits=0, runs=0)
    platform.took = 1e300
    platform.place = int(1e300)
    job = await ended(tmp_path, platform)
    assert (job.state, job.saved) == ("done", True)
