"""One model over many inputs, or one prompt over many models."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, cast

from pydantic import Field, FiniteFloat

from catalog.card import ModelCard
from catalog.errors import ActionableError, among_others
from tools.finding import usable
from tools.making import (
    ANSWERED_WITHIN,
    Order,
    Prepared,
    check_cap,
    intent_of,
    merged,
    prepare,
    unset,
)
from tools.ports import Call, Job, WholeIntent
from tools.resuming import Resumed, refuse_lost, resumed
from tools.tool import Answer, Arguments, Tool
from tools.whole_view import BatchView, whole_answer

MOST_ITEMS = 100
GIVEN = {"endpoint_ids", "inputs", "arguments"}
PROBLEMS_SHOWN = 8
PROBLEM_SHOWN = 240


class BatchArguments(Arguments):
    """Which models, over which inputs."""

    endpoint_ids: list[str] = Field(default=[], description="Models; each runs every input")
    inputs: list[dict[str, Any] | str] = Field(
        default=[], description="Of each run: arguments, or its prompt or file; up to 100"
    )
    arguments: dict[str, Any] = Field(default={}, description="Arguments of all runs")
    parallel: int = Field(
        default=0, ge=0, le=100, description="Most runs at once, to 100; 0: as set"
    )
    max_dollars: FiniteFloat = Field(
        default=0, ge=0, description="Refuse all above these dollars; 0: no limit"
    )
    wait_seconds: float = Field(default=30, ge=0, le=45, description="Seconds, 0 to 45, default 30")
    resume: str = Field(default="", description="Batch whose missing items to make")


async def run_batch(call: Call, arguments: BatchArguments) -> Answer:
    """Check and price every run, start all of them as one job, and show it after the wait."""
    begun = time.monotonic()
    if not arguments.resume:
        return await _started(call, arguments, Missing(), begun)
    family = await resumed(
        call, arguments.resume, "batch", "run_pipeline resumes a pipeline, generate a single job"
    )
    old = family.old.job
    before = BatchArguments.model_validate(
        {name: old.arguments[name] for name in GIVEN if name in old.arguments}
    )
    given = arguments.model_dump(include=GIVEN)
    if any(given.values()) and given != before.model_dump(include=GIVEN):
        raise ActionableError(
            f"{old.job_id} was of other models or inputs",
            hint="give resume alone, or another batch without it; nothing was sent",
        )
    if (busy := family.busy) is not None:
        notes = (f"it is {busy.state}, not over",)
        return await followed(call, busy, arguments.wait_seconds, begun, notes)
    kept, lost = _kept(family)
    wanted = arguments.model_copy(update=before.model_dump(include=GIVEN))
    missing = [number for number, _ in enumerate(_runs(wanted), 1) if number not in kept]
    if not missing:
        last = family.attempts[-1].job
        return await followed(call, last, 0, begun, ("every item of it is done",))
    if all(number in lost for number in missing):
        named = {f"item {number}": job for number, job in lost.items()}
        refuse_lost(named, "generate repeats it with from_job and again=true")
    return await _started(call, wanted, Missing(kept, lost, family), begun)


@dataclass(frozen=True, slots=True)
class Missing:
    """Which runs of a batch need not be made, by their numbers: done ones, and *lost* ones, which
    may be running."""

    kept: Mapping[int, Job] = field(default_factory=dict[int, Job])
    lost: Mapping[int, Job] = field(default_factory=dict[int, Job])
    family: Resumed | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a caller should know of the runs that are left out."""
        ids = dict.fromkeys(job.whole for job in self.kept.values())
        told = [f"{len(self.kept)} items kept from {', '.join(ids)}"] if self.kept else []
        told += [
            f"item {number} was left out: job {job.job_id} is {job.state} and may be charged"
            for number, job in list(self.lost.items())[:5]
        ]
        return tuple(told)


async def _started(call: Call, arguments: BatchArguments, but: Missing, begun: float) -> Answer:
    """Check, price and start what is missing, and show it after the wait."""
    prepared = await _prepared(call, arguments, {*but.kept, *but.lost})
    most = Decimal(str(arguments.max_dollars)) if arguments.max_dollars else None
    known = [one.price.high for one in prepared.values() if one.price.high is not None]
    high = sum(known, Decimal(0))
    family = but.family
    if family is not None:
        family.check_cap(high, most)
        most = family.cap(most)
    check_cap(high, most)
    parts = [
        replace(await intent_of(call, one, begun), place=number) for number, one in prepared.items()
    ]
    kept = {str(number): job.job_id for number, job in but.kept.items()}
    intent = WholeIntent(
        kind="batch",
        parts=tuple(parts),
        arguments={
            **arguments.model_dump(include=GIVEN),
            **({"kept": kept} if kept else {}),
        },
        parallel=arguments.parallel,
        max_dollars=most,
        parents=() if family is None else (family.old.job.job_id,),
        asked_by=call.asked_by,
        continues="" if family is None else family.old.job.job_id,
        seen=frozenset() if family is None else family.seen,
    )
    started = await call.rooms.jobs.start_whole(intent)
    repairs = dict.fromkeys(
        note
        for one in prepared.values()
        for note in (*one.checked.repairs, *unset(one.order.card, one.checked.arguments))
    )
    notes = (*but.notes, *tuple(repairs)[:6])
    return await followed(call, started, arguments.wait_seconds, begun, notes)


def _kept(family: Resumed) -> tuple[dict[int, Job], dict[int, Job]]:
    """Return the jobs of items that are done, and of others whose answer was lost."""
    parts = [part for attempt in family.attempts for part in attempt.parts]
    kept = {part.place: part for part in parts if part.state == "done"}
    lost = {part.place: part for part in parts if part.state == "unconfirmed"}
    return kept, {number: job for number, job in lost.items() if number not in kept}


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


def _runs(arguments: BatchArguments) -> list[tuple[str, dict[str, Any] | str]]:
    return [
        (endpoint_id, given)
        for endpoint_id in dict.fromkeys(arguments.endpoint_ids)
        for given in arguments.inputs or [{}]
    ]


async def _prepared(
    call: Call, arguments: BatchArguments, but: Collection[int]
) -> dict[int, Prepared]:
    """Return every run checked and priced by its number, those of the numbers *but* left out.

    Raises:
        ActionableError: some do not fit; each is named, and nothing was sent.
    """
    runs = _runs(arguments)
    if not 1 <= len(runs) <= MOST_ITEMS:
        raise ActionableError(
            f"{len(runs)} runs in one batch", hint=f"it takes 1 to {MOST_ITEMS}; nothing was sent"
        )
    prepared: dict[int, Prepared] = {}
    problems: list[str] = []
    for number, (endpoint_id, given) in enumerate(runs, start=1):
        if number in but:
            continue
        try:
            card = await usable(call.rooms, endpoint_id)
            order = _order(card, given, _common(card, arguments))
            prepared[number] = await prepare(call.rooms, order)
        except ActionableError as problem:
            problems.append(
                f"item {number} ({endpoint_id[:60]}): {among_others(problem)[:PROBLEM_SHOWN]}"
            )
    if problems:
        told = "; ".join(problems[:PROBLEMS_SHOWN])
        more = len(problems) - PROBLEMS_SHOWN
        raise ActionableError(
            f"{len(problems)} of {len(runs)} items do not fit: {told}"
            + (f"; and {more} more" if more > 0 else ""),
            hint=_way(arguments),
        )
    return prepared


def _common(card: ModelCard, arguments: BatchArguments) -> dict[str, Any]:
    """Return what all runs of one model have in common: what stands under its id is its alone."""
    ids = {*arguments.endpoint_ids, card.endpoint_id}
    common = {name: value for name, value in arguments.arguments.items() if name not in ids}
    for endpoint_id in arguments.endpoint_ids:
        own = arguments.arguments.get(endpoint_id)
        if endpoint_id.lower() != card.endpoint_id.lower() or own is None:
            continue
        if not isinstance(own, dict):
            raise ActionableError(
                f"arguments.{endpoint_id}: {str(own)[:80]!r} is no set of arguments",
                hint='write {"name":value}; nothing was sent',
            )
        common |= cast("dict[str, Any]", own)
    return common


def _way(arguments: BatchArguments) -> str:
    """Return what to do about runs that do not fit."""
    own = ""
    if len(arguments.endpoint_ids) > 1:
        example = f'"arguments":{{"{arguments.endpoint_ids[-1][:60]}":{{…}}}}'
        own = f"what one model alone takes goes under its id, {example}; "
    return f"correct them or leave them out; {own}nothing was sent"


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
        "One model over many inputs or one prompt over many models, priced as a whole first. "
        'Example: {"endpoint_ids":["fal-ai/flux/dev"],"inputs":["a red fox","a blue fox"]}'
    ),
    toolset="make",
    arguments=BatchArguments,
    result=BatchView,
    run=run_batch,
    reads_only=False,
)
