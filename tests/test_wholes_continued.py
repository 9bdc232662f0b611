"""What continues a whole is admitted once, from however many processes, and nothing passes on a
price that is not known any more."""

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from catalog.errors import ActionableError
from server.fal.problems import NetworkError
from server.jobs.service import JournalJobs
from server.jobs.wholes import Filled
from tests.jobs_platform import FolderPlatform, intent, jobs_in
from tools.ports import WholeIntent

KEY = "key-of-a-person:secret"


def pipeline(*prompts: str, continues: str = "", seen: frozenset[str] = frozenset()) -> WholeIntent:
    """Return a pipeline of one step for each of *prompts*."""
    parts = tuple(replace(intent(prompt), name=f"s{prompt[:1]}") for prompt in prompts)
    parents = (continues,) if continues else ()
    return WholeIntent("pipeline", parts, {"steps": []}, parents=parents, continues=continues,
                       seen=seen)  # fmt: skip


async def test_the_same_continuation_from_two_processes_is_paid_once(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform")
    async with jobs_in(tmp_path, platform) as one, jobs_in(tmp_path, platform) as two:
        old = await one.wait((await one.start_whole(pipeline("a", "refuse me"))).job_id, 10)
        await one.deliver(old.job_id)
        seen = frozenset({old.job_id})
        wanted = pipeline("b", continues=old.job_id, seen=seen)
        ids: list[str] = []

        async def ask(jobs: JournalJobs) -> None:
            ids.append((await jobs.start_whole(wanted)).job_id)

        async with anyio.create_task_group() as group:
            group.start_soon(ask, one)
            group.start_soon(ask, two)
        await one.wait(ids[0], 10)
        await one.deliver(ids[0])
        # Also when the first has ended and was seen before the other, slow one, is admitted.
        late = await two.start_whole(wanted)
        with pytest.raises(ActionableError, match=r"continues .* since a moment ago"):
            await two.start_whole(pipeline("c", continues=old.job_id, seen=seen))
        tried = await two.attempts(ids[0])

    assert ids[0] == ids[1] == late.job_id
    assert late.repeated
    assert [one.job.job_id for one in tried] == [old.job_id, ids[0]]
    assert [request["arguments"]["prompt"] for request in platform.requests].count("b") == 1
    assert len(platform.requests) == 3


async def test_a_lost_answer_is_told_by_the_attempts(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform")
    platform.submit_problem, platform.loses_answers = NetworkError("gone"), True
    async with jobs_in(tmp_path, platform) as jobs:
        old = await jobs.wait((await jobs.start_whole(pipeline("a"))).job_id, 10)
        (attempt,) = await jobs.attempts(old.job_id)

    assert old.state == "failed"
    assert old.error is not None
    assert old.error.charged is None
    assert [part.state for part in attempt.parts] == ["unconfirmed"]
    assert attempt.spent > 0


@pytest.mark.parametrize("asks", [True, False])
async def test_a_step_whose_price_is_lost_on_the_way_is_not_sent_at_the_old_figure(
    tmp_path: Path, *, asks: bool
) -> None:
    platform = FolderPlatform(tmp_path / "platform")
    async with jobs_in(tmp_path, platform, key=KEY if asks else "") as jobs:
        store = jobs.store
        admitted = await store.admit_whole(pipeline("a"))
        assert admitted.claim is not None
        whole = await store.whole(admitted.job.job_id)
        part = whole.parts[0].job
        filled = Filled(part.arguments, None, None)
        if asks:
            assert await store.claim_part(admitted.claim, part.job_id, filled) is None
            held = await store.find(part.job_id)
            assert held.state == "held"
            assert "its price is not known" in held.note
        else:
            work = await store.claim_part(admitted.claim, part.job_id, filled)
            assert work is not None
            assert work.job.estimate_high is None
