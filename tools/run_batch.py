"""One model over many inputs, or one prompt over many models."""

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pydantic import Field

from catalog.card import ModelCard
from catalog.errors import ActionableError
from tools.making import (
    ANSWERED_WITHIN,
    Order,
    Prepared,
    check_cap,
    intent_of,
    merged,
    prepare,
    usable,
)
from tools.ports import Call, Job, WholeIntent
from tools.tool import Answer, Arguments, Tool
from tools.whole_view import BatchView, whole_answer

MOST_ITEMS = 100
PROBLEMS_SHOWN = 8
PROBLEM_SHOWN = 240


class BatchArguments(Arguments):
    """Which models, over which inputs."""

    endpoint_ids: list[str] = Field(description="Models; each runs every input")
    inputs: list[dict[str, Any] | str] = Field(
        default=[], description="Of each run: arguments, or just its prompt or file; up to 100"
    )
    arguments: dict[str, Any] = Field(default={}, description="Arguments of all runs")
    parallel: int = Field(default=0, ge=0, le=100, description="Most runs at once")
    max_dollars: float = Field(default=0, ge=0, description="Refuse above this for all")
    wait_seconds: float = Field(default=30, ge=0, le=45, description="0 to 45")


async def run_batch(call: Call, arguments: BatchArguments) -> Answer:
    """Check and price every run, start all of them as one job, and show it after the wait."""
    begun = time.monotonic()
    prepared = await _prepared(call, arguments)
    most = Decimal(str(arguments.max_dollars)) if arguments.max_dollars else None
    known = [one.price.high for one in prepared if one.price.high is not None]
    check_cap(sum(known, Decimal(0)), most)
    intent = WholeIntent(
        kind="batch",
        parts=tuple([await intent_of(call, one, begun) for one in prepared]),
        arguments=arguments.model_dump(include={"endpoint_ids", "inputs", "arguments"}),
        parallel=arguments.parallel,
        max_dollars=most,
        asked_by=call.asked_by,
    )
    started = await call.rooms.jobs.start_whole(intent)
    repairs = dict.fromkeys(repair for one in prepared for repair in one.checked.repairs)
    return await followed(call, started, arguments.wait_seconds, begun, tuple(repairs)[:6])


async def followed(
    call: Call, started: Job, seconds: float, begun: float, notes: tuple[str, ...]
) -> Answer:
    """Return how a whole stands after at most *seconds*; *begun* is when the call came."""
    left = max(0.0, begun + ANSWERED_WITHIN - time.monotonic())
    job = await call.rooms.jobs.wait(started.job_id, min(seconds, left), call.progress)
    if started.repeated:
        notes = (*notes, "this call was made before, and here is that job")
    if job.is_settled:
        await call.rooms.jobs.deliver(job.job_id)
    return await whole_answer(call, job, notes)


async def _prepared(call: Call, arguments: BatchArguments) -> list[Prepared]:
    """Return every run checked and priced.

    Raises:
        ActionableError: some do not fit; each is named, and nothing was sent.
    """
    runs = [
        (endpoint_id, given)
        for endpoint_id in dict.fromkeys(arguments.endpoint_ids)
        for given in arguments.inputs or [{}]
    ]
    if not 1 <= len(runs) <= MOST_ITEMS:
        raise ActionableError(
            f"{len(runs)} runs in one batch", hint=f"it takes 1 to {MOST_ITEMS}; nothing was sent"
        )
    prepared: list[Prepared] = []
    problems: list[str] = []
    for number, (endpoint_id, given) in enumerate(runs, start=1):
        try:
            card = usable(call.rooms.catalog, endpoint_id)
            prepared.append(await prepare(call.rooms, _order(card, given, arguments.arguments)))
        except ActionableError as problem:
            problems.append(f"item {number} ({endpoint_id[:60]}): {str(problem)[:PROBLEM_SHOWN]}")
    if problems:
        told = "; ".join(problems[:PROBLEMS_SHOWN])
        more = len(problems) - PROBLEMS_SHOWN
        raise ActionableError(
            f"{len(problems)} of {len(runs)} items do not fit: {told}"
            + (f"; and {more} more" if more > 0 else ""),
            hint="correct them or leave them out; nothing was sent",
        )
    return prepared


def _order(card: ModelCard, given: Mapping[str, Any] | str, common: Mapping[str, Any]) -> Order:
    """Return one run; a text is the model's main text, or its media where it takes none."""
    if not isinstance(given, str):
        return Order(card, merged(common, given))
    needed = [name for name in card.required if name in card.media_in]
    fields = needed or list(card.media_in)
    if card.text_field is None and fields:
        listed = card.properties[fields[0]].get("type") == "array"
        return Order(card, merged(common, {fields[0]: [given] if listed else given}))
    return Order(card, common, prompt=given)


RUN_BATCH = Tool(
    name="run_batch",
    title="Run a batch",
    description=(
        "One model over many inputs, or one prompt over many models, checked and priced as a whole "
        "first. "
        'Example: {"endpoint_ids":["fal-ai/flux/dev"],"inputs":["a red fox","a blue fox"]}'
    ),
    toolset="make",
    arguments=BatchArguments,
    result=BatchView,
    run=run_batch,
    reads_only=False,
)
