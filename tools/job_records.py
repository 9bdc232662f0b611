"""The records of jobs: what is wanted, what became of it, and how to ask for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from catalog.media import MediaKind

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

# What a job is that is not one run of a model: one with parts, or a change to a deployed app.
WholeKind = Literal["", "batch", "pipeline", "deploy"]


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
    has_sound: bool | None = None  # of a video
    problem: str = ""  # why the file is not home, or does not open
    remark: str = ""  # what a look at the file showed, such as a black picture


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
    *whole*, its *place* there (from 1) and, in a pipeline, its *name*. *seed* is what the model
    reports. *outlook* says in plain words what is unusual of one that is not home yet, measured by
    earlier runs of its model. *elsewhere*: this process, with its key and backend, has no hand in
    it.
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
    outlook: str = ""
    elsewhere: bool = False

    @property
    def used_seed(self) -> int | None:
        """The seed that the model reported, else the one that was asked for."""
        asked = self.arguments.get("seed")
        if self.seed is not None:
            return self.seed
        return asked if isinstance(asked, int) and not isinstance(asked, bool) else None

    @property
    def has_parts(self) -> bool:
        """It is a whole, whose parts are jobs of their own."""
        return self.kind in ("batch", "pipeline")

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
    *save_to* is a folder, None for the media folder. *place* is its number in a whole, 0 for the
    next.
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
    place: int = 0


@dataclass(frozen=True, slots=True)
class WholeIntent:
    """Several intents that are checked, priced, capped and approved as one.

    *arguments* are what the caller gave. At most *parallel* parts run at once, 0 for the person's
    own setting. A part with `Intent.uses` waits for the parts that it names, one of a batch for
    none. *parents*, *tags* and *asked_by* hold for all. One that *continues* another was made up
    with the attempts of the ids *seen* in mind, and is refused or answered when there are more.
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
    continues: str = ""
    seen: frozenset[str] = frozenset()

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


@dataclass(frozen=True, slots=True)
class DeployIntent:
    """A planned change to a deployed app that somebody wants carried out.

    *arguments* are what a person is shown of it, *asks* why a person must say yes (empty: nobody is
    asked). It costs nothing by itself; what then runs is billed by fal.
    """

    plan_id: str
    arguments: Mapping[str, Any]
    asks: str = ""
    tags: tuple[str, ...] = ()
    asked_by: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A whole with its *parts* in their order, as one of those that continue one another.

    *cap* is what its caller allowed in dollars, *spent* what its parts cost or still reserve.
    """

    job: Job
    parts: tuple[Job, ...]
    cap: Decimal | None
    spent: Decimal


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
class Cancelled:
    """What a cancellation did. *charged* is None where it is not known."""

    job: Job
    cancelled: bool
    charged: bool | None
