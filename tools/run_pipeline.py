"""Steps that feed each other, checked and priced as a whole before the first runs."""

import time
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

from pydantic import Field

from catalog.errors import ActionableError
from tools.making import check_cap, intent_of
from tools.naming import meant
from tools.ports import Call, Job, JobQuery, WholeIntent
from tools.run_batch import followed
from tools.steps import Step, plan, read_steps
from tools.tool import Answer, Arguments, Tool
from tools.whole_view import PipelineView


class PipelineArguments(Arguments):
    """The steps, or what to continue."""

    steps: list[dict[str, Any]] = Field(
        default=[],
        description="Each {name, endpoint_id, arguments}; a value $name or $name/2 is an earlier "
        "step's output",
    )
    max_dollars: float = Field(default=0, ge=0, description="Refuse above this for all")
    wait_seconds: float = Field(default=30, ge=0, le=45, description="0 to 45")
    resume: str = Field(
        default="", description="Pipeline to continue: done steps are kept, given ones replaced"
    )


async def run_pipeline(call: Call, arguments: PipelineArguments) -> Answer:
    """Check and price all steps, start them as one job, and show it after the wait."""
    begun = time.monotonic()
    steps = read_steps(arguments.steps)
    kept: dict[str, Job] = {}
    parents: tuple[str, ...] = ()
    if arguments.resume:
        old = await call.rooms.jobs.find(meant(arguments.resume))
        _check_resumable(old, steps)
        if not old.is_over:
            return await followed(call, old, arguments.wait_seconds, begun, ("it still runs",))
        steps, kept = await _continued(call, old, steps)
        if all(step.name in kept for step in steps):
            return await followed(call, old, 0, begun, ("every step of it is done",))
        if (later := await _continuation(call, old, steps)) is not None:
            notes = ("it was continued so before, and here is that job",)
            return await followed(call, later, arguments.wait_seconds, begun, notes)
        parents = (old.job_id,)
    elif not steps:
        raise ActionableError("no steps", hint="give steps, or resume with a pipeline's job id")
    planned, repairs = await plan(call, [one for one in steps if one.name not in kept], kept)
    most = Decimal(str(arguments.max_dollars)) if arguments.max_dollars else None
    highs = [one.prepared.price.high for one in planned]
    check_cap(sum((high for high in highs if high is not None), Decimal(0)), most)
    parts = [
        replace(await intent_of(call, one.prepared, begun), name=one.name, uses=one.uses)
        for one in planned
    ]
    intent = WholeIntent(
        kind="pipeline",
        parts=tuple(parts),
        arguments={
            "steps": [step.model_dump() for step in steps],
            "kept": {name: job.job_id for name, job in kept.items()},
        },
        max_dollars=most,
        parents=parents,
        asked_by=call.asked_by,
    )
    started = await call.rooms.jobs.start_whole(intent)
    notes = [f"{name}: kept from job {job.job_id}" for name, job in kept.items()] + repairs[:6]
    return await followed(call, started, arguments.wait_seconds, begun, tuple(notes))


def _check_resumable(old: Job, steps: Sequence[Step]) -> None:
    if old.kind != "pipeline":
        raise ActionableError(
            f"job {old.job_id!r} is no pipeline",
            hint="generate with from_job repeats a single job",
        )
    if steps and not old.is_over:
        raise ActionableError(
            f"pipeline {old.job_id} is still {old.state}",
            hint="wait for its end or cancel_job it, then change its steps",
        )


async def _continued(
    call: Call, old: Job, changed: Sequence[Step]
) -> tuple[list[Step], dict[str, Job]]:
    """Return all steps of *old* with the *changed* ones in their places, and what is kept.

    A step is kept when it is done, as it was, and so is everything that it was made from.
    """
    before = [Step.model_validate(one) for one in cast("list[Any]", old.arguments["steps"])]
    new = {step.name: step for step in changed}
    steps = [new.pop(step.name, step) for step in before] + list(new.values())
    done = {part.name: part for part in await call.rooms.jobs.parts(old.job_id)}
    for name, job_id in cast("dict[str, str]", old.arguments.get("kept", {})).items():
        done.setdefault(name, await call.rooms.jobs.find(job_id))
    same = {step.name for step in before if step in steps}
    kept: dict[str, Job] = {}
    for step in steps:
        job = done.get(step.name)
        if job is None or job.state != "done" or step.name not in same:
            continue
        if step.needs <= set(kept):
            kept[step.name] = job
    return steps, kept


async def _continuation(call: Call, old: Job, steps: Sequence[Step]) -> Job | None:
    """Return the pipeline that continued *old* with these very *steps*, unless it failed too."""
    same = [step.model_dump() for step in steps]
    query = JobQuery(text="run_pipeline", related_to=old.job_id, limit=50)
    for job in (await call.rooms.jobs.list(query)).jobs:
        is_next = job.kind == "pipeline" and old.job_id in job.parents
        if is_next and job.arguments["steps"] == same and job.state not in ("failed", "cancelled"):
            return job
    return None


RUN_PIPELINE = Tool(
    name="run_pipeline",
    title="Run a pipeline",
    description=(
        "Steps that feed each other, checked and priced as a whole first. "
        'Example: {"steps":[{"name":"pic","endpoint_id":"fal-ai/flux/dev","arguments":'
        '{"prompt":"a fox"}},{"name":"cut","endpoint_id":"fal-ai/birefnet","arguments":'
        '{"image_url":"$pic"}}]}'
    ),
    toolset="make",
    arguments=PipelineArguments,
    result=PipelineView,
    run=run_pipeline,
    reads_only=False,
)
