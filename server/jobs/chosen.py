"""Which output of a job is meant by its id."""

from catalog.media import MediaFacts, MediaKind
from server.media.probe import KIND_WORDS, fits
from tools.errors import MediaError
from tools.ports import Job, Output


def chosen(job: Job, number: int | None, kind: MediaKind | None) -> Output:
    """Return output *number* of *job*, or the first that serves as *kind*.

    Raises:
        MediaError: it is not done, has no such output, or none of that kind.
    """
    if job.state in ("failed", "cancelled"):
        raise MediaError(
            f"job {job.job_id} is {job.state} and made nothing", hint="name another job or a file"
        )
    if job.state != "done":
        hint = f'job_status {{"job_id":"{job.job_id}","wait_seconds":45}} waits for it'
        if job.state == "held":
            hint = f"a person runs `falkit approve {job.job_id}` first"
        raise MediaError(f"job {job.job_id} is {job.state}, not done yet", hint=hint)
    if number is not None:
        if not 1 <= number <= len(job.outputs):
            raise MediaError(
                f"job {job.job_id} has {len(job.outputs)} outputs, no number {number}",
                hint=f"{job.job_id} alone is its first fitting one",
            )
        return job.outputs[number - 1]
    files = [output for output in job.outputs if output.path or output.url]
    if kind is None:
        fitting = files or list(job.outputs)
    else:
        fitting = [output for output in files if output.kind == kind]
        fitting = fitting or [output for output in files if _may_serve(output, kind)]
        if kind in ("text", "file"):
            fitting = fitting or [output for output in job.outputs if output.text]
    if not fitting:
        made = (
            ", ".join(dict.fromkeys(KIND_WORDS[output.kind] for output in job.outputs)) or "nothing"
        )
        wanted = KIND_WORDS[kind] if kind else "media"
        raise MediaError(
            f"job {job.job_id} made {made}; {wanted} is wanted here",
            hint="name another job or a file",
        )
    return fitting[0]


def _may_serve(output: Output, kind: MediaKind) -> bool:
    """Return whether an output of another kind may do; opening it decides."""
    facts = MediaFacts(output.kind, output.media_type, frames=2, has_audio=True)
    return fits(facts, kind, output.path or output.url)
