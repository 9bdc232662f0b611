"""A batch or pipeline as a caller sees it: the job, and a row for each of its parts."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import WithJsonSchema

from tools.job_view import CostView, ErrorView, JobView, OutputView, cost_view, job_answer
from tools.ports import Call, Job
from tools.tool import Answer, Result, Unlisted
from tools.wording import one_line

ROWS_SHOWN = 25
TEXT_SHOWN = 160
REMARKS_SHOWN = 5
# What `generate` spells out field by field; hosts need not read it again.
OBJECTS = WithJsonSchema({"type": "array", "items": {"type": "object"}})


class PartRow(Result):
    """One part: where it stands, its first file or text, dollars, seconds, seed."""

    job_id: str
    name: str = ""
    state: str
    endpoint_id: str
    file: str = ""
    text: str = ""
    dollars: float | None = None
    seconds: float | None = None
    seed: int | None = None
    error: str = ""


class ShortJobView(JobView):
    """A job, whose fields `generate` describes."""

    endpoint_id: Unlisted[str]
    backend: Unlisted[str]
    outputs: Annotated[list[OutputView], OBJECTS] = []
    cost: Unlisted[CostView | None] = None
    error: Unlisted[ErrorView | None] = None
    next: Unlisted[str] = ""


class BatchView(ShortJobView):
    """A batch with its items."""

    outputs: Unlisted[list[OutputView]] = []
    items: Annotated[list[PartRow], OBJECTS] = []


class PipelineView(ShortJobView):
    """A pipeline with its steps."""

    outputs: Unlisted[list[OutputView]] = []
    steps: Annotated[list[PartRow], OBJECTS] = []


async def whole_answer(
    call: Call, job: Job, notes: tuple[str, ...] = (), *, logs: bool = False
) -> Answer:
    """Return the answer that shows *job*, which is a whole, with its parts."""
    parts = await call.rooms.jobs.parts(job.job_id)
    rows = [_row(part) for part in _shown(parts)]
    if len(parts) > len(rows):
        notes = (*notes, f"{len(parts) - len(rows)} more parts; the table has all when it is done")
    notes = (*notes, *_remarks(parts))
    told = await job_answer(call.rooms.media, job, notes, logs=logs, preview=call.rooms.previews)
    fields = JobView.of(job, notes, logs=logs).model_dump()
    view = (
        PipelineView(**fields, steps=rows)
        if job.kind == "pipeline"
        else BatchView(**fields, items=rows)
    )
    places = [part.place for part in _shown(parts)]
    lines = [_words(place, row) for place, row in zip(places, rows, strict=True)]
    return Answer(view, "\n".join([told.text, *lines]), told.pictures, is_error=told.is_error)


def _remarks(parts: Sequence[Job]) -> list[str]:
    """Return what is odd about *parts* and their files, for the first few of them."""
    odd = [
        f"{part.name or f'item {part.place}'}: {words}"
        for part in parts
        for words in (part.outlook, *(output.remark for output in part.outputs))
        if words
    ]
    more = [f"{len(odd) - REMARKS_SHOWN} more are odd"] if len(odd) > REMARKS_SHOWN else []
    return [*odd[:REMARKS_SHOWN], *more]


def _shown(parts: Sequence[Job]) -> list[Job]:
    """Return the parts that are told of, in their order: what did not come out goes first."""
    first = sorted(parts, key=lambda part: (part.state == "done", part.place))[:ROWS_SHOWN]
    return sorted(first, key=lambda part: part.place)


def _row(part: Job) -> PartRow:
    first = next(iter(part.outputs), None)
    cost = cost_view(part)
    seconds = None
    if part.submitted is not None and part.ended is not None:
        seconds = round((part.ended - part.submitted).total_seconds(), 1)
    return PartRow(
        job_id=part.job_id,
        name=part.name,
        state=part.state,
        endpoint_id=part.endpoint_id,
        file=(first.path or one_line(first.url, 200)) if first is not None else "",
        text=one_line(first.text, TEXT_SHOWN) if first is not None else "",
        dollars=cost.dollars if cost is not None else None,
        seconds=seconds,
        seed=part.used_seed,
        error=one_line(part.error.message, 200) if part.error is not None else "",
    )


def _words(place: int, row: PartRow) -> str:
    said = [f"{row.name or f'item {place}'}: {row.job_id} {row.state}", row.endpoint_id]
    if row.dollars is not None:
        said.append(f"${row.dollars:g}")
    if row.seconds is not None:
        said.append(f"{row.seconds:g} s")
    if row.seed is not None:
        said.append(f"seed {row.seed}")
    return " | ".join([*said, *filter(None, [row.error, row.file or row.text])])
