"""Jobs and media as a caller elsewhere sees them: without the paths of this machine."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from catalog.media import MediaKind
from tools.ports import (
    Attempt,
    Cancelled,
    GivenMedia,
    Intent,
    Job,
    JobPage,
    JobQuery,
    Jobs,
    Media,
    Output,
    PastRun,
    Picture,
    Placed,
    Progress,
    Rooms,
    Spending,
    SpendingQuery,
    View,
    WholeIntent,
)

R = TypeVar("R", bound=Rooms)


def rooms_away(rooms: R) -> R:
    """Return *rooms* for callers who cannot open files here: they get addresses instead."""
    return replace(rooms, jobs=JobsAway(rooms.jobs), media=MediaAway(rooms.media))


@dataclass(frozen=True, slots=True)
class OutputAway(Output):
    """An output whose path is not told; *here* is what it is on this machine."""

    here: Output | None = None


def job_away(job: Job) -> Job:
    """Return *job* with an address in place of each path: fal's where it has one, else ours."""
    return replace(
        job,
        outputs=tuple(
            _away(output, f"falkit://jobs/{job.job_id}/outputs/{number}")
            for number, output in enumerate(job.outputs, start=1)
        ),
    )


def _away(output: Output, address: str) -> Output:
    if not output.path and not output.url.startswith("file:"):
        return output
    told: dict[str, Any] = {field.name: getattr(output, field.name) for field in fields(Output)}
    told |= {"path": "", "url": output.url if output.url.startswith("https:") else address}
    return OutputAway(**told, here=output)


class JobsAway:
    """The `Jobs` port without paths in its answers."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def start(self, intent: Intent) -> Job:
        return job_away(await self._jobs.start(intent))

    async def start_whole(self, intent: WholeIntent) -> Job:
        return job_away(await self._jobs.start_whole(intent))

    async def parts(self, job_id: str) -> Sequence[Job]:
        return [job_away(job) for job in await self._jobs.parts(job_id)]

    async def attempts(self, job_id: str) -> Sequence[Attempt]:
        return [
            replace(one, job=job_away(one.job), parts=tuple(job_away(part) for part in one.parts))
            for one in await self._jobs.attempts(job_id)
        ]

    async def wait(self, job_id: str, seconds: float, progress: Progress | None = None) -> Job:
        return job_away(await self._jobs.wait(job_id, seconds, progress))

    async def find(self, job_id: str) -> Job:
        return job_away(await self._jobs.find(job_id))

    async def deliver(self, job_id: str) -> None:
        await self._jobs.deliver(job_id)

    async def list(self, query: JobQuery) -> JobPage:
        page = await self._jobs.list(query)
        return replace(page, jobs=tuple(map(job_away, page.jobs)))

    async def spending(self, query: SpendingQuery) -> Spending:
        return await self._jobs.spending(query)

    async def past_runs(self, endpoint_id: str) -> Sequence[PastRun]:
        return await self._jobs.past_runs(endpoint_id)

    async def cancel(self, job_id: str) -> Cancelled:
        cancelled = await self._jobs.cancel(job_id)
        return replace(cancelled, job=job_away(cancelled.job))


class MediaAway:
    """The `Media` port for outputs whose paths were not told."""

    def __init__(self, media: Media) -> None:
        self._media = media

    async def look(self, reference: str, kind: MediaKind | None = None) -> GivenMedia:
        return await self._media.look(_spoken(reference), kind)

    async def place(self, given: GivenMedia) -> Placed:
        return await self._media.place(given)

    async def preview(self, output: Output) -> Picture | None:
        here = output.here if isinstance(output, OutputAway) else None
        return await self._media.preview(here or output)

    async def view(self, given: GivenMedia, *, frames: int, size: int) -> View:
        return await self._media.view(given, frames=frames, size=size)

    async def folder(self, save_to: str) -> Path | None:
        return await self._media.folder(save_to)


def _spoken(reference: str) -> str:
    """Return JOB/2 for the address that we told of an output, anything else as it is."""
    rest = reference.strip().removeprefix("falkit://jobs/")
    job_id, told, number = rest.partition("/outputs/")
    return f"{job_id}/{number}" if told and rest != reference.strip() else reference
