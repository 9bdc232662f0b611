"""`falkit approve`: a person reads what would run and what it costs, and says yes or no."""

from dataclasses import replace

import anyio

from catalog.errors import ActionableError
from server.asking import described, price_of
from server.rooms import open_annexe, open_catalog
from server.settings import Settings

# How long to wait for the submit after a yes, in seconds.
SUBMIT_WAIT = 10.0


async def approve_job(settings: Settings, job_id: str, today: bool = False) -> bool:
    """Show the held job, ask, and mark it approved; it is submitted at once.

    With *today*, nobody is asked about its model again until midnight; budgets hold as ever.
    False is a no: it stays held.

    Raises:
        UnknownJobError: there is no such job.
        ActionableError: it is not held.
    """
    async with open_annexe(settings, open_catalog(settings)[0]) as rooms:
        job = await rooms.jobs.find(job_id)
        if job.state != "held":
            raise ActionableError(
                f"{job.job_id} is {job.state}, not held",
                hint=f'job_status {{"job_id":"{job.job_id}"}} says how it stands',
            )
        print(described(replace(job, note=job.note.partition(":")[0])))  # the yes is said here
        # Again, since long arguments push the price off the screen.
        also = f", and {job.endpoint_id} unasked until midnight" if today else ""
        price = price_of(job)
        asked = f"Run {job.job_id} on {job.endpoint_id} for {price}{also}? Type yes to approve: "
        answer = await anyio.to_thread.run_sync(input, asked)
        if answer.strip().lower() != "yes":
            print(f"not approved; the job stays held (`falkit cancel {job.job_id}` drops it)")
            return False
        approved = await rooms.approve(job.job_id, today=today)
        if approved.state == "approved":
            approved = await rooms.jobs.wait(job.job_id, SUBMIT_WAIT)
        print(f"{approved.job_id} is {approved.state}")
        return True
