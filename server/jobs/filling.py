"""Filling: outputs of earlier steps become arguments of a later one, checked and priced again."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from catalog.history import PastRun, with_history
from catalog.index import CatalogIndex
from catalog.limits import check_media
from catalog.media import MediaFacts, MediaKind
from catalog.pricing import estimate
from catalog.schema import Path, check, with_media
from server.jobs.chosen import chosen
from server.jobs.wholes import Filled, Part, Whole
from tools.errors import MediaError
from tools.ports import GivenMedia, Job, Placed, Use


class Desk(Protocol):
    """What can find an output of a job and place it where the backend can read it."""

    async def look(self, reference: str, kind: MediaKind | None = None) -> GivenMedia: ...
    async def place(self, given: GivenMedia) -> Placed: ...


class Filler:
    """Completes the arguments of steps that use what earlier steps made."""

    def __init__(
        self,
        catalog: CatalogIndex,
        desk: Desk,
        past_runs: Callable[[str], Awaitable[Sequence[PastRun]]],
    ) -> None:
        self._catalog = catalog
        self._desk = desk
        self._past_runs = past_runs

    async def fill(self, part: Part, whole: Whole) -> Filled:
        """Return the arguments of *part* with every output it uses, and what they cost now.

        Raises:
            ActionableError: an output is missing, of another kind, or outside the model's limits.
            BackendError: a file could not be uploaded.
        """
        jobs = {other.job.name: other.job for other in whole.parts}
        urls: dict[Path, str] = {}
        facts: dict[Path, MediaFacts] = {}
        for use in part.uses:
            if use.kind == "text":
                urls[use.path] = _text(jobs[use.step], use)
                continue
            given = await self._desk.look(_reference(jobs[use.step], use), use.kind)
            urls[use.path] = (await self._desk.place(given)).url
            if given.facts is not None:
                facts[use.path] = given.facts
        card = self._catalog.get(part.job.endpoint_id)
        arguments: Mapping[str, Any] = with_media(part.job.arguments, urls)
        checked = check(card, arguments)
        check_media(card, checked.media, facts)
        past = await self._past_runs(card.endpoint_id)
        price = with_history(estimate(card, checked.arguments, facts), past)
        return Filled(checked.arguments, price.low, price.high)


def _reference(job: Job, use: Use) -> str:
    return f"{job.job_id}/{use.number}" if use.number else job.job_id


def _text(job: Job, use: Use) -> str:
    output = chosen(job, use.number or None, "text")
    if not output.text:
        raise MediaError(f"output {use.number or 1} of step {use.step!r} is no text")
    return output.text
