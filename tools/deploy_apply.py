"""Carry out exactly what was planned."""

from pydantic import Field

from tools.deploying import deployer_of
from tools.job_view import job_answer
from tools.ports import Call
from tools.tool import Answer, Arguments, Tool
from tools.whole_view import ShortJobView


class ApplyArguments(Arguments):
    """Which plan."""

    plan_id: str = Field(description="From deploy_plan")
    wait_seconds: float = Field(
        default=30, ge=0, le=45, description="Seconds to wait, 0 to 45, default 30; it goes on"
    )


async def deploy_apply(call: Call, arguments: ApplyArguments) -> Answer:
    """Begin the change; answer with its job as it stands after the wait."""
    job = await deployer_of(call).apply(arguments.plan_id, asked_by=call.asked_by)
    notes = ("this plan was begun before",) if job.repeated else ()
    if not job.is_settled:
        job = await call.rooms.jobs.wait(job.job_id, arguments.wait_seconds, call.progress)
    if job.is_settled:
        await call.rooms.jobs.deliver(job.job_id)
    return await job_answer(call.rooms.media, job, notes, logs=not job.is_settled, preview=False)


DEPLOY_APPLY = Tool(
    name="deploy_apply",
    title="Apply a plan",
    description=(
        "Carry out a plan if nothing has changed since; a person may be asked first. It is a job: "
        'job_status follows it. Example: {"plan_id":"plan-0a1b2c3d4e"}'
    ),
    toolset="deploy",
    arguments=ApplyArguments,
    result=ShortJobView,
    run=deploy_apply,
    reads_only=False,
    destroys=True,
)
