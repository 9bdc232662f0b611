"""Continuing a batch or pipeline: what earlier attempts made is kept, and so is their cap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from catalog.errors import ActionableError
from catalog.pricing import tidy
from tools.errors import OverBudgetError
from tools.naming import meant
from tools.ports import Attempt, Call, Job


@dataclass(frozen=True, slots=True)
class Resumed:
    """The attempt that a caller names, and all that continue one another with it, oldest first."""

    old: Attempt
    attempts: Sequence[Attempt]

    @property
    def seen(self) -> frozenset[str]:
        """The ids of all attempts."""
        return frozenset(attempt.job.job_id for attempt in self.attempts)

    @property
    def busy(self) -> Job | None:
        """An attempt that has not ended, and may yet make what is missing."""
        return next((one.job for one in reversed(self.attempts) if not one.job.is_over), None)

    def cap(self, named: Decimal | None) -> Decimal | None:
        """Return the dollars that may go now: what the caller *named*, else what is left of the
        cap of the old attempt after it and all that continued it."""
        if named is not None or self.old.cap is None:
            return named
        return self.old.cap - self._spent()

    def check_cap(self, high: Decimal, named: Decimal | None) -> None:
        """Refuse *high* dollars more where the cap of the old attempt does not allow them.

        Raises:
            OverBudgetError: it does not, and the caller *named* no other.
        """
        left = self.cap(named)
        if named is not None or left is None or self.old.cap is None or high <= left:
            return
        raise OverBudgetError(
            f"this costs up to ${tidy(high):f} more, but ${tidy(max(left, Decimal(0))):f} is left "
            f"of max_dollars ${tidy(self.old.cap):f} of {self.old.job.job_id}",
            hint="name max_dollars for what is still to be paid; nothing was sent",
        )

    def _spent(self) -> Decimal:
        line = {self.old.job.job_id}
        for attempt in self.attempts:
            if line & set(attempt.job.parents):
                line.add(attempt.job.job_id)
        spent = [attempt.spent for attempt in self.attempts if attempt.job.job_id in line]
        return sum(spent, Decimal(0))


async def resumed(call: Call, job_id: str, kind: str, otherwise: str) -> Resumed:
    """Return what continues *job_id*, a whole of that *kind*; *otherwise* is the way for others.

    Raises:
        UnknownJobError: there is no such job.
        ActionableError: it is no *kind*.
    """
    old = await call.rooms.jobs.find(meant(job_id))
    if old.kind != kind:
        raise ActionableError(f"job {old.job_id!r} is no {kind}", hint=otherwise)
    attempts = await call.rooms.jobs.attempts(old.job_id)
    return Resumed(next(one for one in attempts if one.job.job_id == old.job_id), attempts)


def check_idle(family: Resumed) -> None:
    """Refuse a change to what another attempt still works on.

    Raises:
        ActionableError: one has not ended.
    """
    if (busy := family.busy) is None:
        return
    wait = f'job_status {{"job_id":"{busy.job_id}","wait_seconds":45}} waits for it'
    if busy.state == "held":
        wait = f"a person runs `falkit approve {busy.job_id}` in a terminal"
    raise ActionableError(
        f"{busy.kind} {busy.job_id} is still {busy.state}",
        hint=f"{wait}, or cancel_job ends it; nothing was sent",
    )


def refuse_lost(lost: Mapping[str, Job], way: str) -> None:
    """Refuse to send again what may be running and may be charged; *way* is how it is allowed.

    Raises:
        ActionableError: there is any.
    """
    if not lost:
        return
    called, job = next(iter(lost.items()))
    more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    raise ActionableError(
        f"{called} (job {job.job_id}){more}: the answer to its submit was lost, so it may be "
        "running and may be charged",
        hint=f'job_status {{"job_id":"{job.job_id}"}} says whether it was found; if the person '
        f"wants to pay for another, {way}; nothing was sent",
    )
