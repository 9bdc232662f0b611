"""What a cancellation came to: whether it was in time, and whether it cost."""

from decimal import Decimal

from tools.ports import Cancelled, Job


def outcome(job: Job) -> Cancelled:
    """Return what a cancellation came to, from where *job* stands; None is not known."""
    if job.state == "cancelled":
        free = job.started is None or (job.cost is not None and job.cost.dollars == Decimal(0))
        return Cancelled(job, cancelled=True, charged=False if free else _billed(job))
    if job.state == "done":
        return Cancelled(job, cancelled=False, charged=_is_paid(job))
    charged = job.error.charged if job.error is not None else _billed(job)
    return Cancelled(job, cancelled=False, charged=charged)


def _is_paid(job: Job) -> bool:
    """Return whether money went for a *job* that came to its end.

    fal charges what finished (its FAQ, read in autumn 2026), unless it was billed nothing; a change
    to an app costs nothing by itself, and the emulator nothing at all.
    """
    if job.backend == "emulator" or job.kind == "deploy":
        return False
    return job.cost is None or job.cost.dollars != Decimal(0)


def _billed(job: Job) -> bool | None:
    """Return whether money went for *job*; None while that is not known."""
    if job.backend == "emulator" and job.is_over:
        return False
    if job.cost is None or job.cost.kind != "billed" or job.cost.dollars is None:
        return None
    return job.cost.dollars > 0
