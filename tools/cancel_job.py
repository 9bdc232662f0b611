"""Cancel a job on fal, and say whether it was in time and whether it cost."""

from pydantic import Field

from tools.job_view import CHARGED, JobView, OutputView, job_words
from tools.naming import meant
from tools.ports import Call
from tools.tool import Answer, Arguments, Tool, Unlisted
from tools.whole_view import ShortJobView


class CancelArguments(Arguments):
    """Which job."""

    job_id: str = Field(description="The job's id")


class CancelledView(ShortJobView):
    """The job, and what the cancellation did; charged is absent when not known."""

    outputs: Unlisted[list[OutputView]] = []
    cancelled: bool
    charged: bool | None = None


async def cancel_job(call: Call, arguments: CancelArguments) -> Answer:
    """Cancel the job; one that is already over stays as it is."""
    outcome = await call.rooms.jobs.cancel(meant(arguments.job_id))
    view = JobView.of(outcome.job)
    said = "not cancelled: it was too late" if outcome.job.is_over else "not cancelled so far"
    if outcome.cancelled:
        said = "cancelled"
    if outcome.job.is_settled:
        await call.rooms.jobs.deliver(outcome.job.job_id)
    is_done = outcome.job.state == "done"  # then its own line says what it cost
    cancelled, charged = outcome.cancelled, outcome.charged
    shown = CancelledView(**view.model_dump(), cancelled=cancelled, charged=charged)
    words = said if is_done else f"{said}; {CHARGED[charged]}"
    return Answer(shown, f"{words}\n{job_words(view)}")


CANCEL_JOB = Tool(
    name="cancel_job",
    title="Cancel a job",
    description=(
        "Cancel a job on fal; says whether it was in time and whether it cost. "
        'Example: {"job_id":"01k9x2m4q7a"}'
    ),
    toolset="follow",
    arguments=CancelArguments,
    result=CancelledView,
    run=cancel_job,
    reads_only=False,
    destroys=True,
)
