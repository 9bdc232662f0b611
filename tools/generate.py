"""Run a model and bring its files home."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import Field

from catalog.choose import Wanted, choose
from catalog.errors import ActionableError
from tools.finding import usable
from tools.job_view import JobView
from tools.making import MakeArguments, Order, make, merged, unset
from tools.naming import meant
from tools.ports import Call, Job
from tools.tool import Answer, Tool

# fal keeps files for at least a week (its FAQ, read in autumn 2026).
FILES_LIVE = timedelta(days=7)


class GenerateArguments(MakeArguments):
    """Which model, and what it is asked."""

    endpoint_id: str = Field(default="", description="Endpoint id; or give task or from_job")
    prompt: str = Field(default="", description="What to make, for the model's main text input")
    arguments: dict[str, Any] = Field(
        default={},
        description="The model's other inputs, as describe_model lists them. Media: a path, https "
        "URL, data URI, or an earlier job: JOB, or JOB/2 for its second output",
    )
    task: str = Field(
        default="",
        description="Instead of endpoint_id, such as text-to-video with sound, 8 seconds",
    )
    prefer: str = Field(default="", description="With task: popular (default), cheap, fast, newest")
    from_job: str = Field(default="", description="Repeat this job, changed by what is given here")


async def generate(call: Call, arguments: GenerateArguments) -> Answer:
    """Check, price and run a model; answer with the job as it stands after the wait."""
    return await make(call, await order_of(call, arguments), arguments)


async def order_of(call: Call, given: GenerateArguments) -> Order:
    """Return the model and the arguments that *given* stand for, not yet checked.

    Raises:
        ActionableError: no model is named, more than one way, or one that cannot be run.
    """
    catalog = call.rooms.catalog
    named = [name for name in ("endpoint_id", "task", "from_job") if getattr(given, name)]
    if not named:
        raise ActionableError(
            "no model named", hint="give endpoint_id (search_models finds one), task or from_job"
        )
    if given.task and len(named) > 1:
        raise ActionableError(
            f"task and {' and '.join(name for name in named if name != 'task')} both given",
            hint="task chooses a model; leave it out when one is named",
        )
    if given.prefer and not given.task:
        raise ActionableError("prefer is given without task", hint="give task, or drop prefer")
    if given.task and not given.prompt.strip() and not given.arguments:
        raise ActionableError(
            f"task {given.task[:60]!r} alone says nothing to make it from",
            hint="give prompt, or arguments such as image_url; nothing was sent",
        )
    if given.task:
        most = Decimal(str(given.max_dollars)) if given.max_dollars else None
        wanted = Wanted(given.arguments, given.prompt, most)
        choice = choose(catalog, given.task, given.prefer, wanted)
        notes = (f"chose {choice.card.endpoint_id}: {choice.why}", *choice.notes)
        return Order(choice.card, choice.arguments, given.prompt, notes, most=choice.most)
    if given.from_job:
        job = await call.rooms.jobs.find(meant(given.from_job))
        _check_repeatable(job)
        card = await usable(call.rooms, given.endpoint_id or job.endpoint_id)
        kept = dict(job.arguments)
        if given.prompt and card.text_field is not None:
            kept.pop(card.text_field, None)
        return Order(
            card,
            merged(kept, given.arguments),
            given.prompt,
            (f"from job {job.job_id}", *_aged(job, given.arguments)),
            parents=(job.job_id,),
        )
    card = await usable(call.rooms, given.endpoint_id)
    return Order(card, given.arguments, given.prompt, unset(card, given.arguments, given.prompt))


def _check_repeatable(job: Job) -> None:
    """Refuse to repeat what has no arguments of its own to repeat.

    Raises:
        ActionableError: it is a whole, or a step whose inputs are still to be made.
    """
    if job.kind == "deploy":
        raise ActionableError(
            f"job {job.job_id!r} changed an app and made no media", hint="deploy_plan plans another"
        )
    if job.has_parts:
        raise ActionableError(
            f"job {job.job_id!r} is a {job.kind} of several runs; nothing was sent",
            hint=f"give the job_id of one of them (job_status lists them), or call run_{job.kind}",
        )
    if job.whole and job.name and job.submitted is None:
        raise ActionableError(
            f"step {job.name!r} has not run, so its inputs are not known; nothing was sent",
            hint="repeat it when its pipeline has come to it",
        )


def _aged(job: Job, changed: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a warning where *job* used files that its platform may have deleted since."""
    if datetime.now(UTC) - job.created < FILES_LIVE:
        return ()
    kept = [value for name, value in job.arguments.items() if name not in changed]
    if "https://" not in str(kept) and "http://" not in str(kept):
        return ()
    day = job.created.astimezone().date().isoformat()
    return (f"its input files were uploaded on {day} and may be gone: if it fails, give them anew",)


GENERATE = Tool(
    name="generate",
    title="Generate media",
    description=(
        "Run a model: arguments and price are checked first, the files are saved, and the job id "
        "can be media for the next call. Costs money with a key. "
        'Example: {"endpoint_id":"fal-ai/flux/dev","prompt":"a red fox","arguments":{"seed":7}}'
    ),
    toolset="make",
    arguments=GenerateArguments,
    result=JobView,
    run=generate,
    reads_only=False,
)
