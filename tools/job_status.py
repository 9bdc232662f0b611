"""Where a job stands, and its files when it is done."""

from typing import Annotated

from pydantic import Field

from tools.job_view import job_answer
from tools.naming import meant
from tools.ports import Call
from tools.tool import Answer, Arguments, Tool
from tools.whole_view import OBJECTS, PartRow, ShortJobView, whole_answer


class StatusArguments(Arguments):
    """Which job, and how long to wait for it."""

    job_id: str = Field(description="The job's id, or a file it made")
    wait_seconds: float = Field(
        default=30, ge=0, le=45, description="Seconds to wait, 0 to 45, default 30"
    )
    logs: bool = Field(default=False, description="Add the last lines of the model's log")


class StatusView(ShortJobView):
    """A job; a batch has items, a pipeline steps."""

    items: Annotated[list[PartRow], OBJECTS] = []
    steps: Annotated[list[PartRow], OBJECTS] = []


async def job_status(call: Call, arguments: StatusArguments) -> Answer:
    """Return the job when it is settled, or as it stands after the wait."""
    job_id = meant(arguments.job_id)
    job = await call.rooms.jobs.wait(job_id, arguments.wait_seconds, call.progress)
    if job.is_settled:
        await call.rooms.jobs.deliver(job.job_id)
    if job.has_parts:
        return await whole_answer(call, job, logs=arguments.logs)
    return await job_answer(call.rooms.media, job, logs=arguments.logs, preview=call.rooms.previews)


JOB_STATUS = Tool(
    name="job_status",
    title="Job status",
    description=(
        "Wait for a job and get its outputs, files and cost. "
        'Example: {"job_id":"01k9x2m4q7a","wait_seconds":45}'
    ),
    toolset="follow",
    arguments=StatusArguments,
    result=StatusView,
    run=job_status,
    reads_only=True,
)
