"""A job as a caller sees it: flat, short, with the next step only where there is one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from catalog.index import LOCAL
from tools.ports import Cost, Job, Media, Output, Picture
from tools.tool import Answer, Link, Result, Unlisted
from tools.wording import one_line, readable

# Longest of each thing in an answer (promise 6: no ordinary result exceeds 10 KB).
VIEW_BYTES = 8000
TEXT_SHOWN = 2000  # what is longer is a file
TEXTS_SHOWN = 4000  # all of them together
URL_SHOWN = 500
OUTPUTS_SHOWN = 12
LINKS_SHOWN = 4
LOGS_SHOWN = 20
NOTE_SHOWN = 500
DOLLAR_DIGITS = 6
JOBS = "falkit://jobs/"  # addresses of jobs, as resources have them
CHARGED = {True: "charged", False: "not charged", None: "not known whether charged"}


class OutputView(Result):
    """One result: where it is, and what it is. Sizes in pixels, bytes, seconds."""

    kind: str
    path: str = ""
    url: str = ""
    text: str = ""
    media_type: Unlisted[str] = ""
    bytes: Unlisted[int | None] = None
    width: Unlisted[int | None] = None
    height: Unlisted[int | None] = None
    seconds: Unlisted[float | None] = None
    has_sound: Unlisted[bool | None] = None
    problem: Unlisted[str] = ""
    remark: Unlisted[str] = ""


class CostView(Result):
    """Dollars: estimated, billed, or simulated on the emulator; absent when not known."""

    kind: str
    dollars: float | None = None


class ErrorView(Result):
    """Why a job failed."""

    type: str
    message: str
    hint: Unlisted[str] = ""
    field: Unlisted[str] = ""
    retry_helps: Unlisted[bool] = False
    charged: Unlisted[bool | None] = None


class JobView(Result):
    """A job."""

    job_id: str
    state: str
    saved: bool
    endpoint_id: str
    backend: str
    request_id: Unlisted[str] = ""
    outputs: list[OutputView] = []
    cost: CostView | None = None
    error: ErrorView | None = None
    seed: Unlisted[int | None] = None
    queue_position: Unlisted[int | None] = None
    logs: Unlisted[list[str]] = []
    notes: Unlisted[list[str]] = []
    next: str = ""

    @classmethod
    def of(cls, job: Job, notes: tuple[str, ...] = (), *, logs: bool = False) -> "JobView":
        """Return *job* as a caller sees it, with *notes* on how it came about."""
        told = [*notes]
        told += [note for note in (job.note, job.outlook) if note]
        told = [one_line(note, NOTE_SHOWN) for note in told]
        outputs = job.outputs[:OUTPUTS_SHOWN]
        texts = sum(1 for output in outputs if output.text)
        share = min(TEXT_SHOWN, TEXTS_SHOWN // max(texts, 1))
        view = cls(
            job_id=job.job_id,
            state=job.state,
            saved=job.saved,
            endpoint_id=job.endpoint_id,
            backend=job.backend,
            request_id=job.request_id,
            outputs=[output_view(output, share) for output in outputs],
            cost=cost_view(job),
            error=None
            if job.error is None
            else ErrorView(
                type=one_line(job.error.type, 60),
                message=one_line(job.error.message, 600),
                hint=one_line(job.error.hint, 300),
                field=one_line(job.error.field, 120),
                retry_helps=job.error.retry_helps,
                charged=job.error.charged,
            ),
            seed=None if job.kind else job.used_seed,
            queue_position=job.queue_position if job.state == "queued" else None,
            logs=[one_line(line, 200) for line in job.logs[-LOGS_SHOWN:]] if logs else [],
            notes=told,
            next=next_step(job),
        )
        return _fitted(view, len(job.outputs))


def _fitted(view: JobView, made: int) -> JobView:
    """Return *view* within `VIEW_BYTES`; of the outputs that were *made*, what is left out is said.

    The last outputs are left out first, then the first lines of the log.
    """
    while _size(view) > VIEW_BYTES and (len(view.outputs) > 1 or view.logs):
        if len(view.outputs) > 1:
            view = view.model_copy(update={"outputs": view.outputs[:-1]})
        else:
            view = view.model_copy(update={"logs": view.logs[1:]})
    more = made - len(view.outputs)
    if not more:
        return view
    note = (
        f"{more} more outputs, from {view.job_id}/{len(view.outputs) + 1} on; view_media shows them"
    )
    return view.model_copy(update={"notes": [*view.notes, note]})


def _size(view: JobView) -> int:
    return len(view.model_dump_json(exclude_defaults=True).encode())


def output_view(output: Output, most: int = TEXT_SHOWN) -> OutputView:
    """Return *output* with its long parts cut, its text to *most* characters."""
    text = readable(output.text)
    if len(text) > most:
        rest = "whole in the file" if output.path else "view_media shows more"
        text = f"{text[:most]}… ({len(output.text):,} characters, {rest})"
    return OutputView(
        kind=output.kind,
        path=output.path,
        url=_shown_url(output),
        text=text,
        media_type=one_line(output.media_type, 100),
        bytes=output.bytes,
        width=output.width,
        height=output.height,
        seconds=output.seconds,
        has_sound=output.has_sound,
        problem=one_line(output.problem, 300),
        remark=one_line(output.remark, 300),
    )


def _shown_url(output: Output) -> str:
    """Return where *output* came from; what is too long to show is only counted."""
    url = one_line(output.url, len(output.url))
    if len(url) <= URL_SHOWN:
        return url
    return "" if output.path else f"{url[:60]}… ({len(url):,} characters)"


def cost_view(job: Job) -> CostView | None:
    """Return what the job cost, or until that is known what it was estimated at."""
    cost: Cost | None = job.cost
    if job.kind == "deploy":
        return None  # what then runs is billed, the change itself is not
    if cost is None and job.estimate_high is not None and job.state not in ("failed", "cancelled"):
        cost = Cost("estimated", job.estimate_high)
    if cost is None:
        return None
    dollars = None if cost.dollars is None else round(float(cost.dollars), DOLLAR_DIGITS)
    return CostView(kind=cost.kind, dollars=dollars)


def next_step(job: Job) -> str:
    """Return the one thing to do next, or nothing when nothing is left to do."""
    status = f'job_status {{"job_id":"{job.job_id}"'
    match job.state:
        case "held":
            then = f"a falkit of {_owner(job)} sends it" if job.elsewhere else f"{status}}}"
            drop = f'cancel_job {{"job_id":"{job.job_id}"}}'
            kept = f"; meanwhile its price counts in the budgets, {drop} frees it"
            return (
                f"a person runs `falkit approve {job.job_id}` in a terminal; then {then}"
                f"{kept if job.estimate_high else ''}"
            )
        case _ if job.elsewhere:
            return f"{_owner(job)} has it: follow it from a falkit set up so; do not resubmit"
        case "planned" | "approved" | "queued" | "running":
            return f'{status},"wait_seconds":45}}; do not resubmit'
        case "unconfirmed":
            return "ask the person before running it again: the first may have been charged"
        case "done" if not job.saved:
            return f"files are not home yet: {status}}} tries again"
        case "failed" if job.error is not None and job.error.retry_helps:
            return "the same call may succeed later"
        case _:
            return ""


def change_words(arguments: Mapping[str, object]) -> str:
    """Return what the change to an app is that a job with these *arguments* carries out."""
    action = str(arguments.get("action") or "change").replace("_", " ")
    return " ".join(f"{action} {arguments.get('app') or ''} on {arguments.get('target')}".split())


def _owner(job: Job) -> str:
    """Return whose a job is that this process has no hand in."""
    return "the emulator" if job.backend == "emulator" else "another key or address of fal"


def _where(view: JobView) -> str:
    """Return whose work it is: what an app of this machine makes is its own, and no preview."""
    if view.endpoint_id == "deploy_apply":
        return "a change to an app"
    if view.backend != "emulator":
        return "fal"
    is_app = view.endpoint_id.startswith(LOCAL)
    return "an app on this machine" if is_app else "emulator, a local preview"


def job_words(view: JobView) -> str:
    """Return everything of *view* that a caller needs as a few lines of text."""
    cost = ""
    if view.cost is not None and view.cost.dollars is not None:
        cost = f" | ${view.cost.dollars:g} {view.cost.kind}"
    elif view.cost is not None:
        cost = " | cost not known"
    lines = [f"{view.job_id} {view.state} | {view.endpoint_id} | {_where(view)}{cost}"]
    if view.state == "done":
        lines[0] += " | saved" if view.saved else " | not saved"
    if view.seed is not None:
        lines[0] += f" | seed {view.seed}"
    if view.queue_position is not None:
        lines.append(f"ahead of it in the queue: {view.queue_position}")
    lines += [
        f"{number}. {_output_words(output)}" for number, output in enumerate(view.outputs, start=1)
    ]
    if view.error is not None:
        hint = f" ({view.error.hint})" if view.error.hint else ""
        charged = CHARGED[view.error.charged]
        if view.error.charged and view.endpoint_id in ("run_batch", "run_pipeline"):
            charged = "what was made is charged"
        lines.append(f"error {view.error.type}: {view.error.message}{hint}; {charged}")
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
    if output.has_sound is not None:
        facts.append("with sound" if output.has_sound else "without sound")
    if output.bytes:
        small = output.bytes < 1024
        facts.append(f"{output.bytes} bytes" if small else f"{output.bytes / 1024:.0f} KB")
    # What a model wrote stands indented, so that none of it reads like a line of ours.
    place = output.path or output.url or output.text.replace("\n", "\n   ")
    problem = f" PROBLEM: {output.problem}" if output.problem else ""
    remark = f" NOTE: {output.remark}" if output.remark else ""
    return f"{' '.join(facts)}: {place}{problem}{remark}"


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
    failed = job.state == "failed"
    return Answer(view, job_words(view), pictures, is_error=failed, links=links_of(job))


def links_of(job: Job) -> Sequence[Link]:
    """Return the first files of *job* that are home, by the addresses under which hosts read them.

    One that a web address leads to needs none.
    """
    home = [
        (number, output)
        for number, output in enumerate(job.outputs, 1)
        if output.path or output.url.startswith(JOBS)
    ]
    return [
        Link(
            uri=f"{JOBS}{job.job_id}/outputs/{number}",
            name=Path(output.path).name or f"{job.job_id}-{number}",
            media_type=one_line(output.media_type, 100),
            bytes=output.bytes,
        )
        for number, output in home[:LINKS_SHOWN]
    ]
