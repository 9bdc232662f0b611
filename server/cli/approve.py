"""`falkit approve`: a person reads what would run and what it costs, and says yes or no."""

from catalog.errors import ActionableError
from server.asking import price_of
from server.cli.yes import read_before, says_yes
from server.rooms import open_annexe, open_catalog
from server.settings import Settings
from tools.ports import Job

# How long to wait for the submit after a yes, in seconds.
SUBMIT_WAIT = 10.0


async def approve_job(settings: Settings, job_id: str, *, today: bool = False) -> bool:
    """Show the held job, ask, and mark it approved; it is submitted at once.

    With *today*, nobody is asked about its model again until midnight; budgets hold as ever. False
    is a no: it stays held.

    Raises:
        UnknownJobError: there is no such job.
        ActionableError: it is not held, or what a change was planned from is not so any more.
    """
    async with open_annexe(settings, open_catalog(settings)[0]) as rooms:
        job = await rooms.jobs.find(job_id)
        if job.state != "held":
            raise ActionableError(
                f"{job.job_id} is {job.state}, not held",
                hint=f'job_status {{"job_id":"{job.job_id}"}} says how it stands',
            )
        if today and job.kind == "deploy":
            raise ActionableError(
                f"{job.job_id} changes an app, and each change is approved by itself",
                hint="leave --endpoint-today out",
            )
        if job.kind == "deploy":
            await (await rooms.deployer()).recheck(job)
        print(read_before(job))
        if not await says_yes(_question(job, today=today)):
            print(f"not approved; the job stays held (`falkit cancel {job.job_id}` drops it)")
            return False
        approved = await rooms.approve(job.job_id, today=today)
        if approved.state == "approved":
            approved = await rooms.jobs.wait(job.job_id, SUBMIT_WAIT)
        print(f"{approved.job_id} is {approved.state}; `falkit job {approved.job_id}` follows it")
        if approved.state == "failed":
            raise ActionableError(
                approved.error.message if approved.error else approved.note,
                hint=f"`falkit job {approved.job_id}` tells more",
            )
        return True


def _question(job: Job, *, today: bool) -> str:
    """Return what is asked: the price again, since long arguments push it off the screen."""
    if job.kind == "deploy":
        return f"Carry out {job.job_id}?"
    also = f", and {job.endpoint_id} unasked until midnight" if today else ""
    return f"Run {job.job_id} on {job.endpoint_id} for {price_of(job)}{also}?"
