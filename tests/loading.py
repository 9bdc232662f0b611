"""A falkit that is kept busy until it is killed: ``SEED``, or ``idle`` to settle what others left.

It says ``ready`` when its rooms are open, and ends in order when its stdin is closed.
"""

import os
import random
import sys
from typing import Any

import anyio

from catalog.errors import ActionableError
from server.fal.client import FalClient
from server.fal.wire import Submission
from server.rooms import OpenRooms, open_rooms
from server.settings import Settings
from tests.dying import FLUX, SMALL, say
from tests.promises import UNFINISHED
from tools.generate import GenerateArguments, generate
from tools.ports import Call, JobQuery
from tools.run_batch import BatchArguments, run_batch
from tools.run_pipeline import PipelineArguments, run_pipeline

SIDE_BY_SIDE = 3
# Calls that several processes make alike, so that each must know of the others' ones.
SHARED = 6


async def picture(call: Call, chance: random.Random) -> None:
    """Make one picture, sometimes one that others ask for too."""
    shared = chance.random() < 0.3
    words = f"shared {chance.randrange(SHARED)}" if shared else f"alone {chance.random()}"
    given = GenerateArguments(
        endpoint_id=FLUX, prompt=words, arguments=SMALL, wait_seconds=chance.choice((0, 1, 5))
    )
    await generate(call, given)


async def batch(call: Call, chance: random.Random) -> None:
    """Make a few pictures as a batch, two at a time."""
    inputs: list[dict[str, Any] | str] = [f"item {chance.random()}" for _ in range(3)]
    await run_batch(
        call,
        BatchArguments(
            endpoint_ids=[FLUX], inputs=inputs, arguments=SMALL, parallel=2, wait_seconds=2
        ),
    )


async def pipeline(call: Call, chance: random.Random) -> None:
    """Make a picture and cut it out."""
    steps = [
        {"name": "first", "endpoint_id": FLUX,
         "arguments": {"prompt": f"step {chance.random()}", **SMALL}},
        {"name": "second", "endpoint_id": "fal-ai/birefnet", "arguments": {"image_url": "$first"}},
    ]  # fmt: skip
    await run_pipeline(call, PipelineArguments.model_validate({"steps": steps, "wait_seconds": 2}))


async def other_hand(call: Call, chance: random.Random) -> None:
    """Cancel a job, whoever carries it, or wait for it."""
    jobs = (await call.rooms.jobs.list(JobQuery(limit=20))).jobs
    if not jobs:
        return
    job = chance.choice(jobs)
    if chance.random() < 0.3:
        await call.rooms.jobs.cancel(job.job_id)
    else:
        await call.rooms.jobs.wait(job.job_id, 2)


async def be_busy(rooms: OpenRooms, chance: random.Random) -> None:
    """Make one call after another; what is refused is no end."""
    call = Call(rooms)
    acts = (picture, picture, picture, batch, pipeline, other_hand, other_hand)
    while True:
        try:
            await chance.choice(acts)(call, chance)
        except ActionableError as problem:
            say(refused=str(problem))


async def bring_home(rooms: OpenRooms) -> None:
    """Wait for whatever is unfinished, so that it is watched and not only looked at in turn."""
    while True:
        pages = [await rooms.jobs.list(JobQuery(state=state, limit=20)) for state in UNFINISHED]
        async with anyio.create_task_group() as group:
            for job in [job for page in pages for job in page.jobs]:
                group.start_soon(rooms.jobs.wait, job.job_id, 5)
            await anyio.sleep(0.5)


def answer_late(chance: random.Random) -> None:
    """Let answers to submits be on their way for up to half a second, so that deaths fall there."""
    submit = FalClient.submit

    async def late(*given: Any, **named: Any) -> Submission:
        answer = await submit(*given, **named)
        await anyio.sleep(chance.uniform(0, 0.5))
        return answer

    FalClient.submit = late


async def main(seed: str) -> None:
    """Open the rooms of the home in the environment, and be busy there or settle."""
    if seed != "idle":
        answer_late(random.Random(seed))  # noqa: S311  # chance, not secrets
    async with open_rooms(Settings.read(os.environ)) as rooms:
        await rooms.jobs.list(JobQuery(limit=1))
        say(ready=True)
        async with anyio.create_task_group() as group:
            if seed == "idle":
                group.start_soon(bring_home, rooms)
            else:
                for number in range(SIDE_BY_SIDE):
                    group.start_soon(be_busy, rooms, random.Random(f"{seed} {number}"))  # noqa: S311  # chance, not secrets
            await anyio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
            group.cancel_scope.cancel()
    say(left=True)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1])
