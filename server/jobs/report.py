"""How a whole ended: its state, its cost, a table of its parts and a picture of what they made."""

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Literal

from server.jobs import files
from server.jobs.tables import cell
from server.jobs.wholes import Part, Whole
from server.media.overview import Tile, overview
from tools.ports import Cost, Job, JobError, Output

End = Literal["done", "failed", "cancelled"]
COLUMNS = (
    "place", "name", "job_id", "endpoint_id", "state", "dollars", "cost", "seconds", "seed", "file",
    "error",
)  # fmt: skip


def ended_as(whole: Whole) -> tuple[End, JobError | None, str]:
    """Return how *whole* ended, why it failed, and a note on parts that did not come out.

    A batch keeps what succeeded, so it is done when anything was made; a pipeline when everything
    was.
    """
    parts = [part.job for part in whole.parts]
    made = [part for part in parts if part.state == "done"]
    failed = [part for part in parts if part.state == "failed"]
    lost = [part for part in parts if part.state == "unconfirmed"]
    words: list[str] = [] if len(made) == len(parts) else [f"{len(made)} of {len(parts)} were made"]
    if failed:
        words.append(f"failed: {_places(failed)}")
    if lost:
        words.append(f"the answer was lost and it may be charged: {_places(lost)}")
    if unsent := [part for part in parts if part.state == "cancelled"]:
        words.append(f"cancelled: {_places(unsent)}")
    if whole.job.kind == "batch" and (failed or unsent):
        words.append(f"run_batch with resume={whole.job.job_id} makes what is missing")
    note = "; ".join(words)
    if whole.stopping and len(made) < len(parts):
        return "cancelled", None, note
    if len(made) == len(parts) or (whole.job.kind == "batch" and made):
        return "done", None, note
    if not failed and not lost:
        return "cancelled", None, note
    return "failed", _error(whole, failed or lost), note


def _error(whole: Whole, bad: Sequence[Job]) -> JobError:
    first = bad[0]
    why = first.error
    message = why.message if why is not None else "the answer to its submit was lost"
    hint = why.hint if why is not None else ""
    if whole.job.kind == "pipeline":
        hint = f"correct step {first.name!r} and continue with resume={whole.job.job_id}"
    return JobError(
        type=why.type if why is not None else "lost_answer",
        message=f"{_called(first)}: {message}"[:600],
        hint=hint,
        field=why.field if why is not None else "",
        retry_helps=why.retry_helps if why is not None else False,
        charged=_charged(whole),
    )


def _charged(whole: Whole) -> bool | None:
    """Return whether anything of *whole* was charged; None where that is not known."""
    said = {_part_charged(part) for part in whole.parts}
    return True if True in said else None if None in said else False


def _part_charged(part: Part) -> bool | None:
    job = part.job
    if not part.sent:
        return False
    if job.state == "done":
        if job.backend == "emulator":
            return False
        dollars = job.cost.dollars if job.cost is not None else None
        return None if dollars is None else dollars > 0
    return job.error.charged if job.error is not None else None


def estimate_of(whole: Whole) -> tuple[str | None, str | None]:
    """Return what all parts may cost together as they are now, in dollars; None where one that is
    still to be sent has no known price."""
    jobs = [part.job for part in whole.parts if part.job.state not in ("failed", "cancelled")]
    if any(job.estimate_high is None for job in jobs if not job.is_over):
        return None, None
    highs = [job.estimate_high or Decimal(0) for job in jobs]
    lows = [job.estimate_low or Decimal(0) for job in jobs]
    return str(sum(lows, Decimal(0))), str(sum(highs, Decimal(0)))


def cost_of(whole: Whole) -> Cost:
    """Return what the parts cost together: billed only where each is, None where one is unknown."""
    total = Decimal(0)
    kinds: set[str] = set()
    for part in whole.parts:
        job = part.job
        if job.state == "cancelled" and job.cost is None:
            continue
        if job.state == "failed" and job.cost is None and job.error and job.error.charged is False:
            continue
        dollars = job.cost.dollars if job.cost is not None else job.estimate_high
        kinds.add(job.cost.kind if job.cost is not None else "estimated")
        if dollars is None:
            return Cost("simulated" if job.backend == "emulator" else "estimated", None)
        total += dollars
    if whole.job.backend == "emulator":
        return Cost("simulated", total)
    return Cost("billed" if kinds <= {"billed"} else "estimated", total)


def seconds_of(job: Job) -> float | None:
    """Return how long *job* took from its submit, in seconds; None where that is not known."""
    if job.submitted is None or job.ended is None:
        return None
    return round((job.ended - job.submitted).total_seconds(), 2)


def picture(whole: Whole, folder: Path, holder: str) -> Output:
    """Return the contact sheet of a batch, saved in *folder*. Blocks.

    Raises:
        OSError: it cannot be written.
    """
    tiles = [_tile(part) for part in whole.parts]
    drawn = overview(tiles)
    output = _saved(whole.job, 1, ".jpg", drawn.data, (folder, holder))
    return replace(
        output,
        kind="image",
        media_type=drawn.media_type,
        width=drawn.width,
        height=drawn.height,
    )


def table(whole: Whole, folder: Path, holder: str) -> Output:
    """Return the table of a batch's parts as CSV, saved in *folder*. Blocks.

    Raises:
        OSError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for part in whole.parts:
        job = part.job
        cost = job.cost
        dollars = cost.dollars if cost is not None else None
        paths = [output.path for output in job.outputs if output.path]
        writer.writerow(
            (
                job.place,
                cell(job.name),
                job.job_id,
                cell(job.endpoint_id),
                job.state,
                "" if dollars is None else f"{dollars:f}",
                cost.kind if cost is not None else "",
                seconds_of(job),
                job.used_seed,
                cell(" ".join(paths)),
                cell(job.error.message) if job.error is not None else "",
            )
        )
    output = _saved(whole.job, 2, ".csv", text.getvalue().encode(), (folder, holder))
    return replace(output, kind="file", media_type="text/csv")


def last_outputs(whole: Whole) -> tuple[Output, ...]:
    """Return what a pipeline ends in: the outputs of steps that no other step uses."""
    used = {parent for part in whole.parts for parent in part.job.parents}
    ends = [part.job for part in whole.parts if part.job.job_id not in used]
    return tuple(output for job in ends for output in job.outputs)


def _tile(part: Part) -> Tile:
    job = part.job
    shown = next((output for output in job.outputs if output.path), None)
    caption = f"{job.place}. {job.endpoint_id.removeprefix('fal-ai/')}"
    if job.state != "done":
        caption = f"{job.place}. {job.state}: {job.endpoint_id.removeprefix('fal-ai/')}"
    elif (seed := job.used_seed) is not None:
        caption = f"{caption} · seed {seed}"
    return Tile(caption, Path(shown.path) if shown is not None else None)


def _saved(job: Job, number: int, extension: str, data: bytes, where: tuple[Path, str]) -> Output:
    folder, holder = where
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = files.part_of(folder, job.job_id, number, holder)
    try:
        part.write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        target = files.place(part, folder / files.name_of(job, number, extension), sha256)
    finally:
        part.unlink(missing_ok=True)
    url = target.as_uri() if job.backend == "emulator" else ""
    return Output("file", url=url, path=str(target), bytes=len(data), sha256=sha256)


def _places(jobs: Sequence[Job]) -> str:
    shown = ", ".join(_called(job) for job in jobs[:12])
    return f"{shown} and {len(jobs) - 12} more" if len(jobs) > 12 else shown


def _called(job: Job) -> str:
    return f"step {job.name!r}" if job.name else f"item {job.place}"
