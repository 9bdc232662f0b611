"""`falkit run --stream` and `--realtime`: a model's output while it comes, and its job."""

import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import anyio

from catalog.card import ModelCard
from catalog.errors import ActionableError
from catalog.index import CatalogIndex
from prompts.guides import GUIDES
from server.asking import price_of
from server.cli import interrupting
from server.cli.letters import json_text
from server.cli.speaking import ASKED_BY, CODES, LONGEST_WAIT, RUNNING, here, print_answer
from server.cli.yes import is_person_here, read_before, says_yes
from server.jobs.live import without_bytes
from server.jobs.outputs import understood
from server.lent import Opened
from server.live import LiveKind
from server.rooms import asking_fal, open_annexe, open_catalog
from server.settings import EMULATOR_BASE
from tools.generate import GENERATE, GenerateArguments, order_of
from tools.job_view import job_answer
from tools.ports import Call, Intent, Job, Jobs, Rooms
from tools.tool import Answer
from tools.wording import one_line, readable

LONGEST_SHOWN = 200  # characters of one value, such as a picture inside the JSON
# Where streaming models say their words so far, or the next ones.
TEXTS = ("output", "text", "delta", "partial", "content", "message")

Hear = Callable[[Any], Awaitable[None]]


def can_live(card: ModelCard, kind: LiveKind) -> bool:
    """Return whether *card*, or the name of its endpoint, says that it can be called so."""
    ending = card.endpoint_id.endswith(f"/{kind}")
    return ending or (card.streaming if kind == "stream" else card.realtime)


def check_live(card: ModelCard, kind: LiveKind, catalog: CatalogIndex) -> None:
    """Refuse to call *card* in a way that it is not known for.

    Raises:
        ActionableError: its card knows no such way; a near endpoint that does is named.
    """
    if can_live(card, kind):
        return
    near = catalog.find(f"{card.endpoint_id}/{kind}")
    other = f"{near.endpoint_id} does; or run this one" if near is not None else "run it"
    does = "stream" if kind == "stream" else "speak realtime"
    raise ActionableError(
        f"{card.endpoint_id!r} does not {does}, as far as its card says; nothing was sent",
        hint=f"{other} without --{kind}",
    )


def run_live(given: GenerateArguments, kind: LiveKind, *, as_json: bool) -> None:
    """Run a model live and print each output, and at the end its job.

    On a terminal what comes is told on stderr; anywhere else each output and at last the job are
    one line of JSON each. The exit code is that of the job.
    """
    lines = as_json or not sys.stdout.isatty()
    answer, state = interrupting.run(_lived, given, kind, lines)
    if lines and answer.result is not None:
        told = answer.result.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        print(json_text(told))
    else:
        print_answer(answer, as_json=False)
    raise SystemExit(CODES.get(state, RUNNING))


async def _lived(given: GenerateArguments, kind: LiveKind, lines: bool) -> tuple[Answer, str]:
    settings = here()
    catalog = open_catalog(settings)[0]
    ask_for = asking_fal(settings, catalog)
    async with open_annexe(settings, catalog) as opened:
        lent = Rooms(
            catalog, opened.jobs, opened.media, settings.backend, False, GUIDES, ask_for=ask_for
        )
        order = await order_of(Call(lent, asked_by=ASKED_BY), given)
        check_live(order.card, kind, catalog)
        hear = as_lines() if lines else as_words(order.card)
        live = cast("Jobs", LiveJobs(opened, kind, hear))  # it hands on what it does not change
        call = Call(replace(lent, jobs=live), asked_by=ASKED_BY)
        job_id = ""
        try:
            begun = await GENERATE.run(call, given)
            told = begun.result.model_dump() if begun.result is not None else {}
            job_id = str(told["job_id"])
            job = await opened.jobs.find(job_id)
            while not job.is_settled:
                job = await opened.jobs.wait(job_id, LONGEST_WAIT)
        except anyio.get_cancelled_exc_class():
            known = f"falkit job {job_id}" if job_id else "falkit jobs"
            words = f"it was left while it spoke, which may cancel it: `{known}` says how it ended"
            print(f"\n{words}", file=sys.stderr)
            raise
        await opened.jobs.deliver(job_id)
        notes = tuple(note for note in told.get("notes", ()) if note not in (job.note, job.outlook))
        return await job_answer(opened.media, job, notes, preview=False), job.state


class LiveJobs:
    """The jobs of *opened*, where a start is a live call; what needs a yes is asked right here."""

    def __init__(self, opened: Opened, kind: LiveKind, hear: Hear) -> None:
        self._opened = opened
        self._kind: LiveKind = kind
        self._hear = hear

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever the jobs have
        return getattr(self._opened.jobs, name)

    async def start(self, intent: Intent) -> Job:
        """Start *intent* live; a held one is never left held, since the queue would run it.

        Raises:
            ActionableError: it needs a yes, and a person said no or none is there.
        """
        job = await self._opened.live(intent, self._kind, self._hear)
        if job.state != "held" or job.repeated:
            return job
        approved = await said_yes(job)
        cancelled = await self._opened.jobs.cancel(job.job_id)
        if not cancelled.cancelled:  # somebody approved it elsewhere meanwhile
            return await self._opened.jobs.find(job.job_id)
        await self._opened.jobs.deliver(job.job_id)  # else the same call would return it
        if not approved:
            reason = job.note.partition(": a person")[0]
            raise ActionableError(
                f"a person has to say yes ({reason}); nothing was sent",
                hint="run it in a terminal and type yes, or without --" + self._kind,
            )
        return await self._opened.live(intent, self._kind, self._hear, asked=True)


async def said_yes(job: Job) -> bool:
    """Show what would run and cost, and return whether a person at this terminal says yes."""
    if not is_person_here():
        return False
    print(read_before(job))
    return await says_yes(f"Run {job.endpoint_id} now for {price_of(job)}?")


def as_lines() -> Hear:
    """Return what prints each output as one line of JSON, its media cut."""
    count = 0

    async def hear(output: Any) -> None:  # noqa: ANN401  # any JSON
        nonlocal count
        count += 1
        line = {"event": count, "output": shortened(without_bytes(output))}
        _say(json_text(line) + "\n", sys.stdout)

    return hear


def as_words(card: ModelCard) -> Hear:
    """Return what tells a person on stderr how the output grows: words as they come, or sizes."""
    count = 0
    begun = anyio.current_time()
    so_far = ""

    async def hear(output: Any) -> None:  # noqa: ANN401  # any JSON
        nonlocal count, so_far
        count += 1
        if words := text_of(output):
            grown = words.removeprefix(so_far) if so_far else words
            so_far = words
            return _say(readable(grown), sys.stderr)
        made = understood(card, without_bytes(output), {}).outputs
        seconds = anyio.current_time() - begun
        what = ", ".join(
            f"{one.kind} {one.width} x {one.height}" if one.width else str(one.kind) for one in made
        )
        return _say(f"{count}. {one_line(what, 100)} · {seconds:.1f} s\n", sys.stderr)

    return hear


def text_of(output: Any) -> str:  # noqa: ANN401  # any JSON
    """Return the words in *output*, which may be all so far or only the next; empty without any."""
    if isinstance(output, str):
        return output
    if not isinstance(output, dict):
        return ""
    table = cast("dict[str, Any]", output)
    found = next((table[name] for name in TEXTS if isinstance(table.get(name), str)), "")
    return "" if re.match(r"(data|https?):", found) else found


def shortened(value: Any) -> Any:  # noqa: ANN401  # any JSON
    """Return *value* with media cut: long data, and addresses inside this process by their name."""
    if isinstance(value, str) and value.startswith(f"{EMULATOR_BASE}/"):
        return value.rpartition("/")[2]
    if isinstance(value, str) and value.startswith("data:") and len(value) > LONGEST_SHOWN:
        return f"{value[:60]}… ({len(value)} characters)"
    if isinstance(value, list):
        return [shortened(one) for one in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {name: shortened(one) for name, one in cast("dict[str, Any]", value).items()}
    return value


def _say(words: str, to: Any) -> None:  # noqa: ANN401  # a text stream
    """Write *words* at once; who reads no longer must not break what is paid for."""
    try:
        to.write(words)
        to.flush()
    except OSError:
        return
