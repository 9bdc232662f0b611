"""A job as a caller sees it: flat, short, with the next step only where there is one."""

from tools.ports import Cost, Job, Media, Output, Picture
from tools.tool import Answer, Result

# Longest of each thing in an answer (promise 6: no ordinary result exceeds 10 KB).
TEXT_SHOWN = 1500
URL_SHOWN = 500
OUTPUTS_SHOWN = 12
DOLLAR_DIGITS = 6
CHARGED = {True: "charged", False: "not charged", None: "not known whether charged"}


class OutputView(Result):
    """One result: where it is, and what it is. Sizes in pixels, bytes, seconds."""

    kind: str
    path: str = ""
    url: str = ""
    text: str = ""
    media_type: str = ""
    bytes: int | None = None
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    problem: str = ""


class CostView(Result):
    """Dollars: estimated, billed, or simulated on the emulator; absent when not known."""

    kind: str
    dollars: float | None = None


class ErrorView(Result):
    """Why a job failed."""

    type: str
    message: str
    hint: str = ""
    field: str = ""
    retry_helps: bool = False
    charged: bool | None = None


class JobView(Result):
    """A job."""

    job_id: str
    state: str
    saved: bool
    endpoint_id: str
    backend: str
    request_id: str = ""
    outputs: list[OutputView] = []
    cost: CostView | None = None
    error: ErrorView | None = None
    queue_position: int | None = None
    logs: list[str] = []
    notes: list[str] = []
    next: str = ""

    @classmethod
    def of(cls, job: Job, notes: tuple[str, ...] = (), *, logs: bool = False) -> "JobView":
        """Return *job* as a caller sees it, with *notes* on how it came about."""
        told = [*notes]
        if job.note:
            told.append(job.note)
        if len(job.outputs) > OUTPUTS_SHOWN:
            more = len(job.outputs) - OUTPUTS_SHOWN
            told.append(f"{more} more outputs, from JOB/{OUTPUTS_SHOWN + 1} on")
        return cls(
            job_id=job.job_id,
            state=job.state,
            saved=job.saved,
            endpoint_id=job.endpoint_id,
            backend=job.backend,
            request_id=job.request_id,
            outputs=[output_view(output) for output in job.outputs[:OUTPUTS_SHOWN]],
            cost=cost_view(job),
            error=None
            if job.error is None
            else ErrorView(
                type=job.error.type,
                message=job.error.message[:600],
                hint=job.error.hint[:300],
                field=job.error.field[:120],
                retry_helps=job.error.retry_helps,
                charged=job.error.charged,
            ),
            queue_position=job.queue_position if job.state == "queued" else None,
            logs=[line[:200] for line in job.logs[-20:]] if logs else [],
            notes=told,
            next=next_step(job),
        )


def output_view(output: Output) -> OutputView:
    """Return *output* with its long parts cut."""
    text = output.text
    if len(text) > TEXT_SHOWN:
        text = f"{text[:TEXT_SHOWN]}… ({len(output.text)} characters, whole in the file)"
    return OutputView(
        kind=output.kind,
        path=output.path,
        url=output.url if len(output.url) <= URL_SHOWN else "",
        text=text,
        media_type=output.media_type,
        bytes=output.bytes,
        width=output.width,
        height=output.height,
        seconds=output.seconds,
        problem=output.problem,
    )


def cost_view(job: Job) -> CostView | None:
    """Return what the job cost, or until that is known what it was estimated at."""
    cost: Cost | None = job.cost
    if cost is None and job.estimate_high is not None and job.state not in ("failed", "cancelled"):
        cost = Cost("estimated", job.estimate_high)
    if cost is None:
        return None
    dollars = None if cost.dollars is None else round(float(cost.dollars), DOLLAR_DIGITS)
    return CostView(kind=cost.kind, dollars=dollars)


def next_step(job: Job) -> str:
    """Return the one thing to do next, or nothing when nothing is left to do."""
    match job.state:
        case "planned" | "approved" | "queued" | "running":
            return f'job_status {{"job_id":"{job.job_id}","wait_seconds":45}}; do not resubmit'
        case "held":
            return (
                f"a person runs `falkit approve {job.job_id}` in a terminal; "
                f'then job_status {{"job_id":"{job.job_id}"}}'
            )
        case "unconfirmed":
            return "ask the person before running it again: the first may have been charged"
        case "done" if not job.saved:
            return f'files are not home yet: job_status {{"job_id":"{job.job_id}"}} tries again'
        case "failed" if job.error is not None and job.error.retry_helps:
            return "the same call may succeed later"
        case _:
            return ""


def job_words(view: JobView) -> str:
    """Return everything of *view* that a caller needs as a few lines of text."""
    where = "emulator, a local preview" if view.backend == "emulator" else "fal"
    cost = ""
    if view.cost is not None and view.cost.dollars is not None:
        cost = f" | ${view.cost.dollars:g} {view.cost.kind}"
    elif view.cost is not None:
        cost = " | cost not known"
    lines = [f"{view.job_id} {view.state} | {view.endpoint_id} | {where}{cost}"]
    if view.state == "done":
        lines[0] += " | saved" if view.saved else " | not saved"
    if view.queue_position is not None:
        lines.append(f"place in the queue: {view.queue_position}")
    lines += [
        f"{number}. {_output_words(output)}" for number, output in enumerate(view.outputs, start=1)
    ]
    if view.error is not None:
        hint = f" ({view.error.hint})" if view.error.hint else ""
        lines.append(
            f"error {view.error.type}: {view.error.message}{hint}; {CHARGED[view.error.charged]}"
        )
    lines += [f"log: {line}" for line in view.logs]
    lines += view.notes
    if view.next:
        lines.append(f"next: {view.next}")
    return "\n".join(lines)


def _output_words(output: OutputView) -> str:
    facts = [output.kind]
    if output.width and output.height:
        facts.append(f"{output.width}x{output.height}")
    if output.seconds:
        facts.append(f"{output.seconds:g} s")
    if output.bytes:
        small = output.bytes < 1024
        facts.append(f"{output.bytes} bytes" if small else f"{output.bytes / 1024:.0f} KB")
    place = output.path or output.url or output.text
    problem = f" PROBLEM: {output.problem}" if output.problem else ""
    return f"{' '.join(facts)}: {place}{problem}"


async def job_answer(
    media: Media, job: Job, notes: tuple[str, ...] = (), *, logs: bool = False, preview: bool = True
) -> Answer:
    """Return the answer that shows *job*: record, text, and one small picture when it is done."""
    view = JobView.of(job, notes, logs=logs)
    picture: Picture | None = None
    if preview and job.state == "done":
        shown = next((output for output in job.outputs if output.kind in ("image", "video")), None)
        picture = await media.preview(shown) if shown is not None else None
    pictures = (picture,) if picture is not None else ()
    return Answer(view, job_words(view), pictures, is_error=job.state == "failed")
