"""A falkit that dies at one of its labelled points: ``WORK POINT`` (0: it lives).

Points lie before and after every write of the journal, every submit, download and move of a file.
It says in lines of JSON what it did; without a point to die at, how many points it passed.
"""

import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio

from server.fal.client import FalClient
from server.jobs.journal import Journal
from server.rooms import OpenRooms, open_rooms
from server.settings import Settings
from tests.promises import UNFINISHED, is_quiet
from tools.generate import GenerateArguments, generate
from tools.ports import Call, JobQuery
from tools.run_batch import BatchArguments, run_batch
from tools.run_pipeline import PipelineArguments, run_pipeline

FLUX = "fal-ai/flux/schnell"
SMALL = {"image_size": {"width": 64, "height": 64}}
SETTLED_WITHIN = 40.0

passed = 0
deadly = 0


def point(label: str) -> None:
    """Pass the point called *label*, or die there."""
    global passed
    passed += 1
    if passed == deadly:
        say(died=label, at=passed)
        os.kill(os.getpid(), signal.SIGKILL)


def say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def around(owner: Any, name: str) -> None:
    """Put points before and after the coroutine method *name* of *owner*."""
    method: Callable[..., Awaitable[Any]] = getattr(owner, name)

    async def pointed(*given: Any, **named: Any) -> Any:
        point(f"before {name}")
        answer = await method(*given, **named)
        point(f"after {name}")
        return answer

    setattr(owner, name, pointed)


def around_moves() -> None:
    """Put points before and after files are moved to their places."""
    move = os.replace

    def pointed(source: Any, target: Any, **named: Any) -> None:
        point("before a move")
        move(source, target, **named)
        point("after a move")

    os.replace = pointed


async def make(rooms: OpenRooms, work: str) -> None:
    """Do one piece of work, as a tool call would."""
    call = Call(rooms)
    if work == "picture":
        given = GenerateArguments(
            endpoint_id=FLUX, prompt="a", arguments={**SMALL, "num_images": 2}, wait_seconds=45
        )
        await generate(call, given)
    elif work == "batch":
        prompts: list[dict[str, Any] | str] = [{"prompt": word} for word in ("one", "two", "three")]
        batch = BatchArguments(
            endpoint_ids=[FLUX], inputs=prompts, arguments=SMALL, wait_seconds=45
        )
        await run_batch(call, batch)
    elif work == "pipeline":
        steps = [
            {"name": "first", "endpoint_id": FLUX, "arguments": {"prompt": "a", **SMALL}},
            {"name": "second", "endpoint_id": "fal-ai/birefnet",
             "arguments": {"image_url": "$first"}},
        ]  # fmt: skip
        await run_pipeline(
            call, PipelineArguments.model_validate({"steps": steps, "wait_seconds": 45})
        )


async def settle(rooms: OpenRooms, home: Path) -> None:
    """Wait until nothing is unfinished, lost or missing, as an idle falkit would."""
    with anyio.move_on_after(SETTLED_WITHIN):
        while not is_quiet(home):
            states = [
                await rooms.jobs.list(JobQuery(state=state, limit=50)) for state in UNFINISHED
            ]
            done = await rooms.jobs.list(JobQuery(state="done", limit=50))
            missing = [job for job in done.jobs if not job.saved]
            for job in [*(job for page in states for job in page.jobs), *missing][:1]:
                await rooms.jobs.wait(job.job_id, 1)
            await anyio.sleep(0.05)


async def main(work: str, die_at: int) -> None:
    """Open the rooms of the home in the environment, and do *work*."""
    global deadly
    for owner, name in ((Journal, "write"), (FalClient, "submit"), (FalClient, "download")):
        around(owner, name)
    around_moves()
    settings = Settings.read(os.environ)
    async with open_rooms(settings) as rooms:
        deadly = die_at
        if work != "settle":
            await make(rooms, work)
        await settle(rooms, settings.home.parent)
    say(passed=passed)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]))
