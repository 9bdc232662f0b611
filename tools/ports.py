"""What tools need of the world, and the records that travel through the house.

Tools never see a backend, a database or a socket: they ask the ports below, which `server` fills.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from catalog.card import ModelCard
from catalog.history import PastRun
from catalog.index import CatalogIndex
from catalog.media import MediaFacts, MediaKind
from tools.job_records import (
    OVER,
    Attempt,
    BackendName,
    Cancelled,
    Cost,
    DeployIntent,
    Intent,
    Job,
    JobError,
    JobPage,
    JobQuery,
    JobState,
    Output,
    Use,
    WholeIntent,
    WholeKind,
)
from tools.money_records import LedgerEntry, Spending, SpendingQuery, SpendingRow

if TYPE_CHECKING:
    from tools.deploy_port import Deployer

# fraction done (0 to 1, growing), what a person reads
Progress = Callable[[float, str], Awaitable[None]]


class Jobs(Protocol):
    """The jobs of this house."""

    async def start(self, intent: Intent) -> Job:
        """Write *intent* down, reserve its price, submit it, and return the job.

        An identical earlier call that is unfinished, or whose end no caller saw, is returned
        instead (`Job.repeated`) unless `Intent.again`. Over an approval limit the job is ``held``;
        ``unconfirmed`` when the answer to the submit was lost, still ``planned`` when it takes
        more than some 15 seconds: the submit goes on, and `wait` tells how it went.

        Raises:
            OverBudgetError: a budget or *max_dollars* does not allow it; nothing was submitted.
            BackendError: the platform refused the submit; the job is ``failed``.
        """
        ...

    async def start_whole(self, intent: WholeIntent) -> Job:
        """Write a whole and its parts down, reserve their price together, and return the whole.

        Its parts are sent in the background, by whatever process lives. An identical earlier call
        counts as for `start`; over an approval limit all of it is ``held``.

        Raises:
            OverBudgetError: a budget or *max_dollars* does not allow it; nothing was submitted.
        """
        ...

    async def parts(self, job_id: str) -> Sequence[Job]:
        """Return the parts of a whole in their order; none for a job without."""
        ...

    async def attempts(self, job_id: str) -> Sequence[Attempt]:
        """Return the whole of that id and all that continue one another with it, oldest first."""
        ...

    async def wait(self, job_id: str, seconds: float, progress: Progress | None = None) -> Job:
        """Return the job when it is settled, or as it stands after *seconds*.

        Progress is reported at least every five seconds. A cancelled wait leaves the job running.

        Raises:
            UnknownJobError: no such job.
        """
        ...

    async def find(self, job_id: str) -> Job:
        """Return the job as the journal has it now.

        Raises:
            UnknownJobError: no such job.
        """
        ...

    async def deliver(self, job_id: str) -> None:
        """Note that a caller saw the end of this job."""
        ...

    async def list(self, query: JobQuery) -> JobPage:
        """Return a page of jobs."""
        ...

    async def spending(self, query: SpendingQuery) -> Spending:
        """Return what was spent, is reserved and is left, by model, day or tag."""
        ...

    async def past_runs(self, endpoint_id: str) -> Sequence[PastRun]:
        """Return what the newest runs of an endpoint cost this account, newest first."""
        ...

    async def cancel(self, job_id: str) -> Cancelled:
        """Cancel on the platform and say whether it was in time.

        Raises:
            UnknownJobError: no such job.
        """
        ...


@dataclass(frozen=True, slots=True)
class GivenMedia:
    """A piece of media that a caller named, found and checked; nothing was sent yet.

    *identity* stands for its content (``sha256:…`` for bytes at hand, else the URL). Exactly one of
    *path* and *url* is where the bytes are; a data URI has been written to a file. *parent* is the
    job it came from.
    """

    reference: str
    identity: str
    facts: MediaFacts | None
    path: Path | None = None
    url: str = ""
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Placed:
    """A file that lies where the backend can read it. *expires* is None when not known."""

    url: str
    bytes: int
    sha256: str
    media_type: str
    expires: datetime | None = None
    reused: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """Pixels for a model's eyes: encoded bytes and their media type."""

    data: bytes
    media_type: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class View:
    """What `view_media` shows: a sentence and pictures."""

    text: str
    pictures: Sequence[Picture] = field(default_factory=tuple)


class Media(Protocol):
    """Media that callers name, and pixels that models see."""

    async def look(self, reference: str, kind: MediaKind | None = None) -> GivenMedia:
        """Find what *reference* names and check it: a local path, ``file:`` or https URL, data URI,
        ``JOB`` (its first fitting output) or ``JOB/2`` (its second). Nothing is sent.

        Raises:
            OutOfBoundsError: the path lies outside the allowed folders.
            MediaError: there is nothing there, or it is not of that *kind*.
        """
        ...

    async def place(self, given: GivenMedia) -> Placed:
        """Return a URL under which the backend can read *given*, uploading its bytes once.

        Raises:
            MediaError: the file is gone, or not what was looked at any more.
            BackendError: the upload failed, or takes longer than a call may; then it goes on, and
                the next call for the same bytes finds it.
        """
        ...

    async def preview(self, output: Output) -> Picture | None:
        """Return a small picture of *output* (at most 512 pixels and 24 KB), or None."""
        ...

    async def view(self, given: GivenMedia, *, frames: int, size: int) -> View:
        """Return what a model should see of *given*: at most *size* pixels, *frames* for video."""
        ...

    async def folder(self, save_to: str) -> Path | None:
        """Return the folder that *save_to* names, None for the default.

        Raises:
            OutOfBoundsError: it lies outside the allowed folders.
        """
        ...


class Guide(Protocol):
    """How to do a thing well, in a page of Markdown."""

    @property
    def text(self) -> str: ...

    @property
    def gist(self) -> str:
        """Its first paragraph, on one line."""
        ...


# Says in a few lines where the platform's bill since an instant (None: all time) differs from the
# ledger; nothing where it does not, or cannot be read.
# Returns the card of an id, asked of fal where the catalog lacks it; None where nobody knows it.
AskFor = Callable[[str], Awaitable[ModelCard | None]]
Bill = Callable[[datetime | None], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Rooms:
    """What one running server lends to every call."""

    catalog: CatalogIndex
    jobs: Jobs
    media: Media
    backend: BackendName
    previews: bool = True
    guides: Mapping[str, Guide] = field(default_factory=dict[str, Guide])
    deployer: "Deployer | None" = None
    bill: Bill | None = None
    ask_for: AskFor | None = None


async def untold(fraction: float, words: str) -> None:
    """Tell nobody how it goes."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the rooms it may use, the way to report progress, and who asks."""

    rooms: Rooms
    progress: Progress = untold
    asked_by: str = ""


__all__ = [
    "OVER",
    "AskFor",
    "Attempt",
    "BackendName",
    "Call",
    "Cancelled",
    "Cost",
    "DeployIntent",
    "GivenMedia",
    "Guide",
    "Intent",
    "Job",
    "JobError",
    "JobPage",
    "JobQuery",
    "JobState",
    "Jobs",
    "LedgerEntry",
    "Media",
    "ModelCard",
    "Output",
    "PastRun",
    "Picture",
    "Placed",
    "Progress",
    "Rooms",
    "Spending",
    "SpendingQuery",
    "SpendingRow",
    "Use",
    "View",
    "WholeIntent",
    "WholeKind",
]
