"""Run a tool for a person: its words on a terminal, its record as JSON anywhere else."""

import json
import os
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any

import anyio
from rich.console import Console
from rich.status import Status

from catalog.errors import ActionableError
from server.asking import price_of
from server.cli import interrupting
from server.cli.folding import folded, paths_in
from server.cli.letters import json_text
from server.cli.spoken import told_person
from server.cli.yes import is_person_here, read_before, says_yes
from server.rooms import OpenRooms, open_rooms
from server.settings import Settings
from tools.job_view import job_answer
from tools.ports import Call, Job
from tools.tool import Answer, AnyTool, Arguments
from tools.whole_view import whole_answer

# What a script learns from the exit code; 0 is done, 2 a command that cannot be read.
FAILED, HELD, UNCONFIRMED, RUNNING = 1, 3, 4, 5
CODES = {"done": 0, "failed": FAILED, "cancelled": FAILED, "held": HELD, "unconfirmed": UNCONFIRMED}
ASKED_BY = "falkit command line"
LONGEST_WAIT = 3600.0  # one wait of many


def speak(
    tool: AnyTool,
    arguments: Arguments,
    *,
    as_json: bool = False,
    words: Callable[[Answer], str] = attrgetter("text"),
) -> Answer:
    """Run *tool*, print what it answers and return it; exit code 1 when that is a failure.

    *words* says it for a person.
    """
    answer = interrupting.run(answer_of, tool, arguments)
    print_answer(answer, as_json=as_json, words=words)
    if answer.is_error:
        raise SystemExit(FAILED)
    return answer


def here() -> Settings:
    """Return the settings of a command that a person gives, whose paths are the shell's."""
    from server.media.roots import at_shell

    return at_shell(Settings.read(os.environ))


async def answer_of(tool: AnyTool, arguments: Arguments) -> Answer:
    """Return what *tool* answers in rooms that are opened for it."""
    async with open_rooms(here()) as rooms:
        return await tool.run(Call(rooms, asked_by=ASKED_BY), arguments)


def print_answer(
    answer: Answer,
    *,
    as_json: bool,
    words: Callable[[Answer], str] = attrgetter("text"),
    exact: bool = False,
) -> None:
    """Print *answer*: JSON when asked for or when nobody reads along, else its *words*.

    What a model would call is said as a person types it, in lines that fit the terminal, unless
    the words are *exact*: somebody else's.
    """
    told: dict[str, Any] = {}
    if answer.result is not None:
        told = answer.result.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    if answer.result is not None and (as_json or not sys.stdout.isatty()):
        print_json(told)
    else:
        shown = answer.text if exact else told_person(words(answer), told)
        print(shown if exact else folded(shown, whole=paths_in(told)))


def print_json(value: object) -> None:
    """Print *value* as JSON that a person can read as well."""
    print(json_text(value, 2))


def follow(
    tool: AnyTool,
    arguments: Arguments,
    *,
    seconds: float | None,
    as_json: bool = False,
    asks: bool = False,
) -> None:
    """Run *tool*, which makes a job, and follow the job to its end or for *seconds*.

    Where it is held and *asks*, a person at this terminal is asked on the spot; after a no it stays
    held. The exit code says how it stands: 0 done, 1 failed, 3 waits for a person, 4 not known
    whether it was sent, 5 still running. Ctrl-C leaves it running, and says how to find it.
    """
    asks = asks and not as_json and is_person_here()
    answer, state = interrupting.run(_followed, tool, arguments, seconds, asks)
    print_answer(answer, as_json=as_json)
    raise SystemExit(CODES.get(state, RUNNING))


async def _followed(
    tool: AnyTool, arguments: Arguments, seconds: float | None, asks: bool
) -> tuple[Answer, str]:
    async with open_rooms(here()) as rooms, shown_progress() as tell:
        call = Call(rooms, tell, asked_by=ASKED_BY)
        job_id = ""
        how_on = "runs on: `falkit job {0}` follows it"
        try:
            begun = await tool.run(call, arguments)
            told = begun.result.model_dump() if begun.result is not None else {}
            job_id = str(told.get("job_id", ""))
            if not job_id:
                return begun, "failed"
            job = await rooms.jobs.find(job_id)
            tell.price = price_of(job)
            if asks and job.state == "held" and rooms.approve is not None:
                how_on = "is held: `falkit approve {0}` asks again"
                if await _says_yes_to(job, tell):
                    await rooms.approve(job_id)
                    how_on = "runs on: `falkit job {0}` follows it"
            job = await settled(rooms, call, job_id, seconds)
        except anyio.get_cancelled_exc_class():
            words = f"{job_id} {how_on.format(job_id)}"
            print(f"\n{words if job_id else '`falkit jobs` lists what was begun'}", file=sys.stderr)
            raise
        if job.is_settled:
            await rooms.jobs.deliver(job.job_id)
        notes = tuple(note for note in told.get("notes", ()) if note not in (job.note, job.outlook))
        return await job_told(rooms, call, job, notes), job.state


async def _says_yes_to(job: Job, tell: "Line") -> bool:
    """Show what a held *job* would run and cost, and return whether the person says yes."""
    with tell.silent():
        print(read_before(job))
        return await says_yes(f"Run it now for {tell.price}?")


async def settled(rooms: OpenRooms, call: Call, job_id: str, seconds: float | None) -> Job:
    """Return the job when it is settled, or as it stands after *seconds* (None: to its end)."""
    job = await rooms.jobs.find(job_id)
    with anyio.move_on_after(seconds):
        while not job.is_settled:
            job = await rooms.jobs.wait(job_id, LONGEST_WAIT, call.progress)
    return await rooms.jobs.find(job_id)


async def job_told(
    rooms: OpenRooms, call: Call, job: Job, notes: tuple[str, ...] = (), *, logs: bool = False
) -> Answer:
    """Return what is told of *job*, a single one or a whole."""
    if job.has_parts:
        return await whole_answer(call, job, notes, logs=logs)
    return await job_answer(rooms.media, job, notes, logs=logs, preview=False)


class Line:
    """How a job goes, on one line of stderr: phase, time, and *price* once it is known."""

    def __init__(self, status: Status) -> None:
        self.price = ""
        self._status = status
        self._begun = anyio.current_time()

    @contextmanager
    def silent(self) -> Generator[None]:
        """Show nothing meanwhile, so that a person can be asked."""
        self._status.stop()
        yield
        self._status.start()

    async def __call__(self, fraction: float, words: str) -> None:
        share = f"{fraction:.0%} " if fraction > 0 else ""
        seconds = "" if words.endswith(" s") else f" · {anyio.current_time() - self._begun:.0f} s"
        price = f" · {self.price}" if self.price else ""
        self._status.update(f"{share}{words}{seconds}{price}")


@asynccontextmanager
async def shown_progress() -> AsyncGenerator[Line]:
    """Yield what shows how a job goes on one line of stderr, where that is a terminal."""
    with Console(stderr=True).status("…") as status:
        yield Line(status)


def fields_of(words: list[str]) -> dict[str, Any]:
    """Return the model's inputs that a person typed: ``width=512``, ``--width 512``, ``--flag``.

    ``@file`` stands for the words in a file, JSON for lists and objects; a name given twice makes a
    list. What a value must be is for the model's schema to say.

    Raises:
        ActionableError: a word belongs to no field, or a file cannot be read.
    """
    fields: dict[str, Any] = {}
    left = list(words)
    while left:
        word = left.pop(0)
        if word.startswith("--"):
            name, told, value = word[2:].partition("=")
            if not told:
                value = left.pop(0) if left and not left[0].startswith("--") else "true"
            name = name.replace("-", "_")
        else:
            name, told, value = word.partition("=")
            if not told or not name.isidentifier():
                raise ActionableError(
                    f"{word[:80]!r} belongs to no field", hint="write field=value or --field value"
                )
        read = _value(value)
        if name not in fields:
            fields[name] = read
        elif isinstance(fields[name], list):
            fields[name].append(read)
        else:
            fields[name] = [fields[name], read]
    return fields


def _value(text: str) -> Any:  # noqa: ANN401  # any JSON
    if text.startswith("@"):
        try:
            return Path(text[1:]).expanduser().read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as problem:
            raise ActionableError(
                f"the file {text[1:121]!r} cannot be read as text", hint="@ stands before a path"
            ) from problem
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text
