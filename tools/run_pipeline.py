"""Steps that feed each other, checked and priced as a whole before the first runs."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, cast

from pydantic import Field, FiniteFloat

from catalog.errors import ActionableError
from tools.making import check_cap, intent_of
from tools.ports import Call, Job, WholeIntent
from tools.resuming import Resumed, check_idle, refuse_lost, resumed
from tools.run_batch import followed
from tools.steps import Step, plan, read_steps
from tools.tool import Answer, Arguments, Tool
from tools.whole_view import PipelineView


class PipelineArguments(Arguments):
    """The steps, or what to continue."""

    steps: list[dict[str, Any]] = Field(
        default=[],
        description="Up to 20 {name, endpoint_id, arguments}; a value $name or $name/2 is an "
        "earlier step's output",
    )
    max_dollars: FiniteFloat = Field(
        default=0, ge=0, description="Refuse all above these dollars; 0: no limit"
    )
    wait_seconds: float = Field(default=30, ge=0, le=45, description="Seconds, 0 to 45, default 30")
    resume: str = Field(default="", description="Pipeline to continue; steps given replace its own")


async def run_pipeline(call: Call, arguments: PipelineArguments) -> Answer:
    """Check and price all steps, start them as one job, and show it after the wait."""
    begun = time.monotonic()
    steps = read_steps(arguments.steps, resumes=bool(arguments.resume))
    seconds = arguments.wait_seconds
    if not arguments.resume:
        if not steps:
            raise ActionableError("no steps", hint="give steps, or resume with a pipeline's job id")
        return await _started(call, arguments, Plan(steps), begun)
    family = await resumed(
        call, arguments.resume, "pipeline", "generate with from_job repeats a single job"
    )
    old = family.old.job
    if not steps and not old.is_over:
        return await followed(call, old, seconds, begun, (f"it is {old.state}, not over",))
    wanted = _steps_now(old, steps)
    if (later := _same(family, wanted)) is not None and not any(step.again for step in steps):
        notes = ("it was continued so before, and here is that job",)
        if later.job_id == old.job_id:
            notes = ("every step of it is done",) if later.state == "done" else ("it still runs",)
        return await followed(call, later, seconds, begun, notes)
    check_idle(family)
    kept, lost = _kept(family, wanted)
    if all(step.name in kept for step in wanted):
        done = tuple(f"{name}: job {job.job_id}" for name, job in kept.items())
        return await followed(call, old, 0, begun, ("every step of it is done", *done))
    for name, job in lost.items():
        way = f'resume with {{"name":"{job.name}","again":true}} among the steps'
        refuse_lost({name: job}, way)
    return await _started(call, arguments, Plan(wanted, kept, family), begun)


@dataclass(frozen=True, slots=True)
class Plan:
    """All steps, which of them are done, and the attempts that the new one continues."""

    steps: Sequence[Step]
    kept: Mapping[str, Job] = field(default_factory=dict[str, Job])
    family: Resumed | None = None


async def _started(call: Call, arguments: PipelineArguments, to_do: Plan, begun: float) -> Answer:
    """Check, price and start what is not kept, and show it after the wait."""
    steps, kept, family = to_do.steps, to_do.kept, to_do.family
    planned, repairs = await plan(call, [one for one in steps if one.name not in kept], kept)
    most = Decimal(str(arguments.max_dollars)) if arguments.max_dollars else None
    highs = [one.prepared.price.high for one in planned]
    high = sum((high for high in highs if high is not None), Decimal(0))
    if family is not None:
        family.check_cap(high, most)
        most = family.cap(most)
    check_cap(high, most)
    parts = [
        replace(await intent_of(call, one.prepared, begun), name=one.name, uses=one.uses)
        for one in planned
    ]
    ids = {name: job.job_id for name, job in kept.items()}
    intent = WholeIntent(
        kind="pipeline",
        parts=tuple(parts),
        arguments={
            "steps": [step.model_dump(exclude={"again"}) for step in steps],
            **({"kept": ids} if ids else {}),
        },
        max_dollars=most,
        parents=() if family is None else (family.old.job.job_id,),
        asked_by=call.asked_by,
        continues="" if family is None else family.old.job.job_id,
        seen=frozenset() if family is None else family.seen,
    )
    started = await call.rooms.jobs.start_whole(intent)
    notes = [f"{name}: kept from job {job.job_id}" for name, job in kept.items()] + repairs[:6]
    return await followed(call, started, arguments.wait_seconds, begun, tuple(notes))


def _steps_now(old: Job, changed: Sequence[Step]) -> list[Step]:
    """Return all steps of *old* with the *changed* ones in their places."""
    before = _steps_of(old)
    named = {step.name: step for step in before}
    for step in changed:
        if not step.endpoint_id and step.name not in named:
            raise ActionableError(
                f"step {step.name!r} is no step of {old.job_id}",
                hint=f"there are: {', '.join(named)}; a new one needs an endpoint_id",
            )
    new = {
        step.name: step
        if step.endpoint_id
        else named[step.name].model_copy(update={"again": step.again})
        for step in changed
    }
    return [new.pop(step.name, step) for step in before] + list(new.values())


def _steps_of(job: Job) -> list[Step]:
    return [Step.model_validate(one) for one in cast("list[Any]", job.arguments["steps"])]


def _same(family: Resumed, steps: Sequence[Step]) -> Job | None:
    """Return the newest attempt at these very *steps* that did not fail."""
    same = [step.spec for step in steps]
    for attempt in reversed(family.attempts):
        job = attempt.job
        if job.state in ("failed", "cancelled"):
            continue
        if [step.spec for step in _steps_of(job)] == same:
            return job
    return None


def _kept(family: Resumed, steps: Sequence[Step]) -> tuple[dict[str, Job], dict[str, Job]]:
    """Return the jobs that are kept for *steps* by their names, and those that would be sent again
    though the answer to their submit was lost.

    A step is kept when an attempt made it as it is now, from what is kept.
    """
    parts = {part.job_id: part for attempt in family.attempts for part in attempt.parts}
    made = [
        (
            {step.name: step.spec for step in _steps_of(attempt.job)},
            cast("dict[str, str]", attempt.job.arguments.get("kept", {}))
            | {part.name: part.job_id for part in attempt.parts},
        )
        for attempt in reversed(family.attempts)
    ]
    kept: dict[str, Job] = {}
    lost: dict[str, Job] = {}
    for step in steps:
        if not step.needs <= set(kept):
            sources = None
        else:
            sources = {name: kept[name].job_id for name in step.needs}
        for specs, ids in made:
            job = parts.get(ids.get(step.name, ""))
            if job is None:
                continue
            if job.state == "unconfirmed" and not step.again:
                lost.setdefault(f"step {step.name!r}", job)
            if job.state != "done" or sources is None or specs.get(step.name) != step.spec:
                continue
            if all(ids.get(name) == source for name, source in sources.items()):
                kept[step.name] = job
                break
    return kept, {name: job for name, job in lost.items() if job.name not in kept}


RUN_PIPELINE = Tool(
    name="run_pipeline",
    title="Run a pipeline",
    description=(
        "Steps that feed each other, priced as a whole first. "
        'Example: {"steps":[{"name":"a","endpoint_id":"fal-ai/nano-banana","arguments":'
        '{"prompt":"a fox"}},{"name":"b","endpoint_id":"fal-ai/bria/background/remove","arguments":'
        '{"image_url":"$a"}}]}'
    ),
    toolset="make",
    arguments=PipelineArguments,
    result=PipelineView,
    run=run_pipeline,
    reads_only=False,
)
