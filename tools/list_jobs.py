"""What was made, newest first."""

import re
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import Field

from catalog.errors import ActionableError
from catalog.index import LOCAL
from tools.errors import UnknownJobError
from tools.job_view import change_words, cost_view
from tools.naming import may_name_a_job, meant
from tools.ports import Call, Job, JobPage, JobQuery
from tools.tool import Answer, Arguments, Result, Tool, Unlisted

State = Literal[
    "", "planned", "held", "approved", "queued", "running", "done", "failed", "cancelled",
    "unconfirmed",
]  # fmt: skip
PROMPT_SHOWN = 80
PARENTS_SHOWN = 6
LIST_BYTES = 8000  # promise 6: no ordinary result exceeds 10 KB
FILES_SHOWN = 4
CURSOR = re.compile(r"^[0-9a-z]{11}$")  # the id of the last job shown


class ListArguments(Arguments):
    """Which jobs; every given filter must hold."""

    state: State = Field(default="", description="Only jobs in this state")
    endpoint_id: str = Field(default="", description="Only jobs of this model")
    text: str = Field(
        default="",
        description="Words in prompt, arguments or tags; or a file, for the job that made it",
    )
    tag: str = Field(default="", description="Only jobs with this tag")
    since: str = Field(default="", description="ISO date or time, or an age such as 2h, 3d")
    related_to: str = Field(default="", description="Jobs this job was made from, or led to")
    limit: int = Field(default=10, ge=1, le=50, description="Jobs, 1 to 50, default 10")
    cursor: str = Field(default="", description="`next_cursor` of the page before")


class JobRow(Result):
    """One job in short."""

    job_id: str
    state: str
    endpoint_id: str
    created: str
    prompt: Unlisted[str] = ""
    files: list[str] = []
    more_files: Unlisted[int] = 0
    dollars: Unlisted[float | None] = None
    backend: Unlisted[str] = ""
    tags: Unlisted[list[str]] = []
    parents: Unlisted[list[str]] = []
    note: Unlisted[str] = ""


class JobList(Result):
    """Jobs, newest first."""

    jobs: list[JobRow]
    next_cursor: str = ""


async def list_jobs(call: Call, arguments: ListArguments) -> Answer:
    """Return the jobs of this house that fit."""
    cursor = arguments.cursor.strip()
    if cursor and not CURSOR.match(cursor):
        raise ActionableError(
            f"cursor {cursor[:40]!r} is none of ours",
            hint="give the `next_cursor` of a page, or none",
        )
    page = await _named(call, arguments.text) or await call.rooms.jobs.list(
        JobQuery(
            state=arguments.state,
            endpoint_id=arguments.endpoint_id.strip(),
            text=arguments.text.strip(),
            tag=arguments.tag.strip(),
            since=since(arguments.since),
            related_to=meant(arguments.related_to).strip(),
            limit=arguments.limit,
            cursor=cursor,
        )
    )
    listed = _fitted(JobList(jobs=[_row(job) for job in page.jobs], next_cursor=page.next_cursor))
    none = "none of the newest fits" if listed.next_cursor else "no jobs fit"
    if not listed.jobs:
        none += _near(call, arguments.endpoint_id.strip())
    lines = [_words(row) for row in listed.jobs] or [none]
    if listed.next_cursor:
        lines.append(f"older ones with cursor={listed.next_cursor}")
    return Answer(listed, "\n".join(lines))


def _near(call: Call, endpoint_id: str) -> str:
    """Return which models are near to *endpoint_id* where it is none that is known."""
    if not endpoint_id or endpoint_id.startswith(LOCAL) or call.rooms.catalog.find(endpoint_id):
        return ""
    nearest = ", ".join(call.rooms.catalog.unknown(endpoint_id).nearest)
    return f"; no model is called {endpoint_id[:80]!r}{f', near are {nearest}' if nearest else ''}"


def _fitted(listed: JobList) -> JobList:
    """Return *listed* within `LIST_BYTES`; what does not fit comes with the next page."""
    left = LIST_BYTES
    for place, row in enumerate(listed.jobs):
        left -= len(row.model_dump_json(exclude_defaults=True).encode())
        if left < 0 and place > 0:
            fitting = listed.jobs[:place]
            return JobList(jobs=fitting, next_cursor=fitting[-1].job_id)
    return listed


async def _named(call: Call, text: str) -> JobPage | None:
    """Return the one job whose id or file *text* is, or None."""
    if not may_name_a_job(text):
        return None
    try:
        return JobPage((await call.rooms.jobs.find(meant(text)),))
    except UnknownJobError:
        return None


_AGE = re.compile(
    r"(?:last |past )?(\d{1,6})\s*(m|h|d|w|mins?|minutes?|hours?|days?|weeks?)(?: ago)?"
)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DAYS_BACK = {"today": 0, "yesterday": 1}


def since(given: str, *, named: str = "since", takes: str = "") -> datetime | None:
    """Return the instant that *given* names: ISO, an age such as ``90m``, ``3 days``, or a day.

    ``today``, ``yesterday`` and ``week`` (this one, from Monday) begin at local midnight. In an
    error the argument is *named*, and *takes* tells what else it takes.

    Raises:
        ActionableError: it is none of these.
    """
    text = " ".join(given.lower().split())
    if not text:
        return None
    today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    back = _DAYS_BACK.get(text, today.weekday() if text in ("week", "this week") else None)
    try:
        if back is not None:
            # Without its offset first: at the start of the day it may have been another.
            return (today.replace(tzinfo=None) - timedelta(days=back)).astimezone()
        if age := _AGE.fullmatch(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[age[2][0]]: int(age[1])})
        instant = datetime.fromisoformat(given.strip())
        return instant if instant.tzinfo else instant.astimezone()
    except (ValueError, OverflowError):
        raise ActionableError(
            f"{named} {given.strip()[:40]!r} is not a time",
            hint=f"it takes {takes}a day such as 2026-11-24, or an age such as 2h, 3d",
        ) from None


def _row(job: Job) -> JobRow:
    prompt = change_words(job.arguments) if job.kind == "deploy" else _prompt(job)
    cost = cost_view(job)
    files = [output.path for output in job.outputs if output.path]
    return JobRow(
        job_id=job.job_id,
        state=job.state,
        endpoint_id=job.endpoint_id,
        created=job.created.astimezone().isoformat(timespec="seconds"),
        prompt=prompt[:PROMPT_SHOWN] if isinstance(prompt, str) else "",
        files=files[:FILES_SHOWN],
        more_files=max(len(files) - FILES_SHOWN, 0),
        dollars=cost.dollars if cost else None,
        backend=job.backend,
        tags=list(job.tags),
        parents=list(job.parents)[:PARENTS_SHOWN],
        note=job.outlook,
    )


def _prompt(job: Job) -> object:
    text = next(
        (value for value in job.arguments.values() if isinstance(value, str) and " " in value), ""
    )
    return job.arguments.get("prompt") or text


def _words(row: JobRow) -> str:
    parts = [row.job_id, row.state, row.endpoint_id, row.created]
    if row.dollars is not None:
        parts.append(f"${row.dollars:g}")
    if row.prompt:
        parts.append(repr(row.prompt))
    if row.parents:
        parts.append(f"from {', '.join(row.parents)}")
    more = [f"{row.more_files} more files"] if row.more_files else []
    note = [row.note] if row.note else []
    return " | ".join([*parts, *row.files, *more, *note])


LIST_JOBS = Tool(
    name="list_jobs",
    title="List jobs",
    description=(
        "What was made, newest first, also by other assistants on this machine. "
        'Example: {"text":"fox","since":"2d"}'
    ),
    toolset="follow",
    arguments=ListArguments,
    result=JobList,
    run=list_jobs,
    reads_only=True,
    open_world=False,
)
