"""The records that travel through the house, and what tools need of it.

Tools never see a backend, a database or a socket: they ask the ports below, which `server` fills.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Protocol

from catalog.card import ModelCard
from catalog.index import CatalogIndex
from catalog.media import MediaFacts, MediaKind

JobState = Literal[
    "planned",
    "held",
    "approved",
    "queued",
    "running",
    "done",
    "failed",
    "cancelled",
    "unconfirmed",
]
# States in which nothing more will happen on the platform.
OVER: frozenset[JobState] = frozenset({"done", "failed", "cancelled"})

BackendName = Literal["cloud", "emulator"]

# What a job is that has parts of its own; empty for one run of a model.
WholeKind = Literal["", "batch", "pipeline"]

# fraction done (0 to 1, growing), what a person reads
Progress = Callable[[float, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Output:
    """One result of a job.

    *url* is where it came from (on the emulator a ``file:`` URI once it is home), *path* the local
    file once saved. Text results carry *text* and no URL. Sizes are pixels, *bytes* the length,
    *expires* an instant after which the URL may be gone.
    """

    kind: MediaKind
    url: str = ""
    path: str = ""
    text: str = ""
    media_type: str = ""
    bytes: int | None = None
    sha256: str = ""
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    fps: float | None = None
    expires: datetime | None = None
    problem: str = ""  # why the file is not home, or does not open


@dataclass(frozen=True, slots=True)
class Cost:
    """What a job cost or will cost, in dollars.

    *dollars* is None where it is not known. ``estimated`` before the end, ``billed`` from billed
    units times the unit price, ``simulated`` on the emulator.
    """

    kind: Literal["estimated", "billed", "simulated"]
    dollars: Decimal | None
    units: Decimal | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed. *charged* is None where it is not known."""

    type: str
    message: str
    hint: str = ""
    field: str = ""
    retry_helps: bool = False
    charged: bool | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One paid or local piece of work as the journal holds it.

    *arguments* are as sent. *note* says in plain words what a person should know of the state
    (why it is held, what was found after a restart). *logs* is the tail, oldest first.

    A job with a *kind* is a whole: its parts are jobs of their own, each with the id of its
    *whole*, its *place* there (from 1) and, in a pipeline, its *name*. *seed* is what the model of
    a part reports.
    """

    job_id: str
    state: JobState
    endpoint_id: str
    backend: BackendName
    account: str
    origin: str
    arguments: Mapping[str, Any]
    created: datetime
    saved: bool = False
    request_id: str = ""
    estimate_low: Decimal | None = None
    estimate_high: Decimal | None = None
    cost: Cost | None = None
    submitted: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    queue_position: int | None = None
    outputs: tuple[Output, ...] = ()
    logs: tuple[str, ...] = ()
    error: JobError | None = None
    note: str = ""
    parents: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    asked_by: str = ""
    delivered: bool = False
    kind: WholeKind = ""
    whole: str = ""
    place: int = 0
    name: str = ""
    seed: int | None = None
    repeated: bool = False  # this answer is an earlier job for an identical call

    @property
    def is_over(self) -> bool:
        """Nothing more will happen on the platform (files may still be on their way home)."""
        return self.state in OVER

    @property
    def is_settled(self) -> bool:
        """Waiting longer brings nothing: over and saved, or waiting for a person."""
        if self.state in ("held", "unconfirmed", "failed", "cancelled"):
            return True
        return self.state == "done" and (
            self.saved or bool(self.kind) or any(output.problem for output in self.outputs)
        )


@dataclass(frozen=True, slots=True)
class Use:
    """A place in the arguments of a step that an output of an earlier *step* will fill.

    *number* counts outputs from 1; 0 is the first that serves as *kind* (``text`` for words).
    """

    path: tuple[str | int, ...]
    step: str
    number: int
    kind: MediaKind


@dataclass(frozen=True, slots=True)
class Intent:
    """What a caller wants done, checked and priced, before anything is paid.

    *arguments* are complete and valid, media as URLs the backend can read. *identity* is the same
    with content hashes in place of URLs that change; two intents of equal identity are one call.
    *low* and *high* are dollars, None when the price is unknown. *max_dollars* is the caller's cap.
    *save_to* is a folder, None for the media folder.
    """

    endpoint_id: str
    arguments: Mapping[str, Any]
    identity: Mapping[str, Any]
    low: Decimal | None
    high: Decimal | None
    max_dollars: Decimal | None = None
    parents: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    again: bool = False
    webhook_url: str = ""
    save_to: Path | None = None
    asked_by: str = ""
    name: str = ""
    uses: tuple[Use, ...] = ()


@dataclass(frozen=True, slots=True)
class WholeIntent:
    """Several intents that are checked, priced, capped and approved as one.

    *arguments* are what the caller gave. At most *parallel* parts run at once, 0 for the person's
    own setting. A part with `Intent.uses` waits for the parts that it names, one of a batch for
    none. *parents*, *tags* and *asked_by* hold for all.
    """

    kind: Literal["batch", "pipeline"]
    parts: tuple[Intent, ...]
    arguments: Mapping[str, Any]
    parallel: int = 0
    max_dollars: Decimal | None = None
    parents: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    again: bool = False
    asked_by: str = ""

    @property
    def low(self) -> Decimal | None:
        """The least that all parts cost together; None when one of them is not known."""
        return _sum([part.low for part in self.parts])

    @property
    def high(self) -> Decimal | None:
        """The most that all parts cost together; None when one of them is not known."""
        return _sum([part.high for part in self.parts])

    @property
    def known(self) -> Decimal:
        """The most that those parts cost together whose price is known."""
        return sum((part.high for part in self.parts if part.high is not None), Decimal(0))


def _sum(amounts: Sequence[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if len(known) == len(amounts) else None


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Which jobs to list: every given filter must hold; newest first.

    Without any, parts of wholes are left out: they would hide everything else.
    """

    state: str = ""
    endpoint_id: str = ""
    text: str = ""
    tag: str = ""
    since: datetime | None = None
    related_to: str = ""
    limit: int = 10
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of jobs, newest first; *next_cursor* is empty on the last."""

    jobs: tuple[Job, ...]
    next_cursor: str = ""


@dataclass(frozen=True, slots=True)
class SpendingQuery:
    """What to add up: jobs that count since an instant (None: all), by one of their marks."""

    since: datetime | None = None
    by: Literal["model", "day", "tag"] = "model"


@dataclass(frozen=True, slots=True)
class SpendingRow:
    """Dollars of the *jobs* that share a mark: settled, and reserved for what is unfinished.

    *unknown* counts jobs without a known price, which add nothing to the sums.
    """

    name: str
    jobs: int
    spent: Decimal
    reserved: Decimal
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class Spending:
    """What went and what may still go, in dollars; the emulator's amounts are simulated.

    *limits* holds what a person has set (``job``, ``day``, ``month``, ``approve_above``), *left*
    what of ``day`` and ``month`` is neither spent nor reserved now, whatever period was asked for.
    """

    total: SpendingRow
    rows: tuple[SpendingRow, ...]
    limits: Mapping[str, Decimal]
    left: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One job in the ledger: when it counts, and the dollars that are spent or still reserved.

    *kind* is ``reserved``, ``estimated``, ``billed`` or ``simulated``; *dollars* None when unknown.
    """

    at: datetime
    job_id: str
    endpoint_id: str
    backend: BackendName
    state: JobState
    kind: str
    dollars: Decimal | None
    tags: tuple[str, ...]
    request_id: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What a cancellation did. *charged* is None where it is not known."""

    job: Job
    cancelled: bool
    charged: bool | None


class Jobs(Protocol):
    """The jobs of this house."""

    async def start(self, intent: Intent) -> Job:
        """Write *intent* down, reserve its price, submit it, and return the job.

        An identical earlier call that is unfinished, or whose end no caller saw, is returned
        instead (`Job.repeated`) unless `Intent.again`. Over an approval limit the job is ``held``.

        Raises:
            OverBudgetError: a budget or *max_dollars* does not allow it; nothing was sent.
            BackendError: the platform refused the submit; the job is ``failed``.
        """
        ...

    async def start_whole(self, intent: WholeIntent) -> Job:
        """Write a whole and its parts down, reserve their price together, and return the whole.

        Its parts are sent in the background, by whatever process lives. An identical earlier call
        counts as for `start`; over an approval limit all of it is ``held``.

        Raises:
            OverBudgetError: a budget or *max_dollars* does not allow it; nothing was sent.
        """
        ...

    async def parts(self, job_id: str) -> Sequence[Job]:
        """Return the parts of a whole in their order; none for a job without."""
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
            BackendError: the upload failed.
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


@dataclass(frozen=True, slots=True)
class Rooms:
    """What one running server lends to every call."""

    catalog: CatalogIndex
    jobs: Jobs
    media: Media
    backend: BackendName
    previews: bool = True


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the rooms it may use, the way to report progress, and who asks."""

    rooms: Rooms
    progress: Progress
    asked_by: str = ""


__all__ = [
    "OVER",
    "BackendName",
    "Call",
    "Cancelled",
    "Cost",
    "GivenMedia",
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
