"""A request whose answer was lost is looked for in the account's history, and never guessed."""

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from server.fal.problems import LostAnswerError
from server.jobs.service import JournalJobs
from tests.jobs_platform import FolderPlatform, intent, jobs_in
from tools.ports import Job


@pytest.fixture
def platform(tmp_path: Path) -> FolderPlatform:
    """Return a platform that accepts requests, keeps their history, and loses its answers."""
    platform = FolderPlatform(tmp_path / "platform")
    platform.submit_problem, platform.loses_answers = LostAnswerError("no answer"), True
    platform.has_history = True
    return platform


async def looked_for(jobs: JournalJobs, platform: FolderPlatform, job: Job, times: int = 1) -> Job:
    """Return *job* once the history has been read so many times and what came of it stands."""
    while sum(kind == "history" for kind, _ in platform.looks) < times:
        await anyio.sleep(0.02)
    await anyio.sleep(0.1)
    return await jobs.find(job.job_id)


async def test_a_single_match_is_adopted_and_comes_home(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    async with jobs_in(tmp_path, platform) as jobs:
        job = await jobs.start(intent())
        assert job.state == "unconfirmed"
        job = await looked_for(jobs, platform, job)
        job = await jobs.wait(job.job_id, 10)
        states = [state for _, state, _ in await jobs.store.events(job.job_id)]

    assert (job.state, job.saved, job.note) == ("done", True, "")
    assert states == ["planned", "unconfirmed", "queued", "done"]
    assert job.request_id == platform.requests[0]["request_id"]
    assert len(platform.requests) == 1


async def test_two_jobs_for_the_same_call_are_not_told_apart_by_guessing(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.has_history = False
    async with jobs_in(tmp_path, platform) as jobs:
        pair = [await jobs.start(intent()), await jobs.start(intent(again=True))]
        for job in pair:
            await looked_for(jobs, platform, job, times=2)
    platform.has_history = True
    async with jobs_in(tmp_path, platform) as jobs:
        found = [await looked_for(jobs, platform, job, times=4) for job in pair]

    assert [job.state for job in found] == ["unconfirmed"] * 2
    assert len(platform.requests) == 2


async def test_two_calls_that_differ_only_in_what_was_sent_are_told_apart(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.has_history = False
    async with jobs_in(tmp_path, platform) as jobs:
        one, other = intent(), replace(intent(), arguments={"prompt": "uploaded elsewhere"})
        pair = [await jobs.start(one), await jobs.start(replace(other, again=True))]
        for job in pair:
            await looked_for(jobs, platform, job, times=2)
    platform.has_history = True
    async with jobs_in(tmp_path, platform) as jobs:
        found = [await jobs.wait(job.job_id, 10) for job in pair]
        while any(job.state == "unconfirmed" for job in found):
            found = [await jobs.wait(job.job_id, 10) for job in pair]

    assert [job.state for job in found] == ["done"] * 2
    assert {job.request_id for job in found} == {sent["request_id"] for sent in platform.requests}


async def test_a_request_that_another_job_owns_is_not_taken(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.submit_problem = None
    async with jobs_in(tmp_path, platform) as jobs:
        first = await jobs.wait((await jobs.start(intent())).job_id, 10)
        platform.submit_problem, platform.loses_answers = LostAnswerError("no answer"), False
        second = await jobs.start(intent(again=True))
        second = await looked_for(jobs, platform, second)

    assert first.saved
    assert (second.state, second.request_id) == ("unconfirmed", "")


async def test_several_matches_are_named_and_left_to_a_person(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    for _ in range(2):  # sent by something else, with the same account
        with pytest.raises(LostAnswerError):
            await platform.submit("fal-ai/flux/dev", {"prompt": "a red fox"})
    async with jobs_in(tmp_path, platform) as jobs:
        job = await jobs.start(intent())
        job = await looked_for(jobs, platform, job)

    assert job.state == "unconfirmed"
    assert all(request["request_id"] in job.note for request in platform.requests)


async def test_other_inputs_do_not_match(tmp_path: Path, platform: FolderPlatform) -> None:
    platform.loses_answers = False
    platform.submit_problem = None
    await platform.submit("fal-ai/flux/dev", {"prompt": "a blue fox"})
    platform.submit_problem = LostAnswerError("no answer")
    async with jobs_in(tmp_path, platform) as jobs:
        job = await looked_for(jobs, platform, await jobs.start(intent()))

    assert job.state == "unconfirmed"
    assert "may be one of" not in job.note


async def test_a_key_that_may_not_look_is_said_and_not_tried_again(
    tmp_path: Path, platform: FolderPlatform
) -> None:
    platform.has_history = False
    async with jobs_in(tmp_path, platform) as jobs:
        job = await looked_for(jobs, platform, await jobs.start(intent()))
        await anyio.sleep(0.3)

    assert job.note.endswith("the key may not read the account's requests to look for it")
    assert sum(kind == "history" for kind, _ in platform.looks) == 1
