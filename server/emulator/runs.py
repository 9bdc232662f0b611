"""`Runs`: carry out one claimed request, from its input to its outcome."""

import base64
import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio

from catalog.card import ModelCard
from catalog.index import CatalogIndex
from catalog.media import MediaFacts
from catalog.pricing import estimate
from server.emulator.drawing import Drawers, Drawn, MadeFile, RunnerCrashedError, RunnerLostError
from server.emulator.faults import FAILING_ATTEMPTS
from server.emulator.fitting import Wrong, fit
from server.emulator.inputs import Inputs, named_media
from server.emulator.pace import SLOW, Pace
from server.emulator.rows import Outcome, Row, Rows, broken
from server.emulator.shelf import BYTES, Shelf, Shelved
from server.emulator.store import Store
from server.emulator.work import RunnerError, Task

LONGEST_RUN = 3600.0  # the platform's own default limit of an app
PARTS = 4  # how many outputs a streamed request shows before the whole one
REALTIME_SHARE = 0.1  # of the usual time, for models that answer while one types
STEPS = 5  # how many lines of progress a request logs
BAR = 10


@dataclass(frozen=True, slots=True)
class Ending:
    """An outcome, and the files that come into being with it.

    One that *is_small* is written down at once, without the way through a thread.
    """

    outcome: Outcome
    files: tuple[Shelved, ...] = ()
    is_small: bool = False


class LostClaimError(Exception):
    """Another process has this request now; what was made here is for nobody."""


@dataclass(slots=True)
class _Course:
    """How far one drawing is: as its worker says, and words for it."""

    share: float = 0.0
    words: str = ""
    moved: anyio.Event = field(default_factory=anyio.Event)

    def report(self, share: float, words: str) -> None:
        self.share = max(self.share, min(share, 1.0))
        self.words = words
        self.moved.set()
        self.moved = anyio.Event()


@dataclass(frozen=True, slots=True)
class Runs:
    """What carrying out a request needs."""

    folder: Path
    catalog: CatalogIndex
    store: Store
    rows: Rows
    shelf: Shelf
    drawers: Drawers
    pace: Pace

    async def claim(self, owner: str) -> Row | None:
        """Lease the next request that may be worked on to *owner*, or return None."""
        return await self.store.peek(self.rows.claim, owner)

    def has_ended_late(self) -> bool:
        """Return whether the last claim ended what was to have started by now."""
        return self.rows.has_ended_some

    async def next_look(self) -> float | None:
        """Return in how many seconds something may be claimable again, None if all is over."""
        return await self.store.peek(self.rows.next_look)

    async def release(self, owner: str) -> None:
        """Put everything that *owner* holds back into the queue."""
        await self.store.do(self.rows.release, owner)

    async def carry_out(self, row: Row) -> Ending:
        """Return how *row*, claimed by us, ends.

        Raises:
            LostClaimError: the claim went to somebody else meanwhile.
        """
        if failed := _failed(row):
            return Ending(failed)
        if "stuck" in row.faults:
            await anyio.sleep_forever()
        scratch = self.folder / "work" / f"{row.request_id}-{row.fence}"
        await anyio.to_thread.run_sync(_make, scratch)
        try:
            with anyio.fail_after(LONGEST_RUN):
                return await self._carry_out(row, scratch)
        except RunnerError as refused:
            return Ending(refusal(refused))
        except RunnerCrashedError as crash:
            return Ending(broken(500, "runner_server_error", f"The runner failed: {crash}"))
        except RunnerLostError:
            return Ending(broken(503, "runner_disconnected", "The runner disconnected"))
        except TimeoutError:
            return Ending(broken(504, "request_timeout", "The request ran too long"))
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_remove, scratch)

    async def _carry_out(self, row: Row, scratch: Path) -> Ending:
        card = self.catalog.get(row.endpoint_id)
        arguments, wrongs = fit(card, row.input)
        if wrongs:
            return Ending(unprocessable(wrongs))
        if "moderation" in row.faults:
            raise RunnerError(
                422,
                "content_policy_violation",
                "The content could not be processed because it was flagged by a content checker.",
                loc=(card.text_field,) if card.text_field else (),
            )
        inputs = Inputs(self.store, self.shelf)
        named = named_media(card, arguments)
        found = await inputs.gather(named, scratch)
        task = Task(
            endpoint_id=card.endpoint_id,
            arguments=arguments,
            seed=seed_of(row.request_id, arguments),
            inputs=found,
            folder=scratch,
            parts=PARTS if row.options.get("stream") else 0,
            black="black" in row.faults,
        )
        drawn = await self._draw(row, card, task)
        asked, user = row.options.get("lifecycle"), str(row.options.get("user") or "")
        lifecycle = await self.store.do(self.shelf.lifecycle, asked, user)
        inline = arguments.get("sync_mode") is True
        output, files = drawn.output, list[Shelved]()
        for made in drawn.files:
            if made.facts.get("bytes_only"):
                entry: Any = await anyio.to_thread.run_sync(_carried, made)
            elif inline and made.media_type.startswith("image/"):
                entry = await anyio.to_thread.run_sync(_inline, made)
            else:
                file = await anyio.to_thread.run_sync(
                    self.shelf.move_in, made.path, made.media_type, lifecycle
                )
                files.append(file)
                entry = _file_object(file, made.facts)
            output = _put(output, made.at, entry)
        facts = {use.loc: drawn.given[use.url] for use in named if use.url in drawn.given}
        return Ending(Outcome(200, output, units=units_of(card, arguments, facts)), tuple(files))

    async def _draw(self, row: Row, card: ModelCard, task: Task) -> Drawn:
        """Draw *task*, taking at least as long as the clock says, and log how it goes."""
        seconds = self.pace.work(card.category, card.media_out)
        if row.options.get("realtime"):
            seconds *= REALTIME_SHARE
        if "slow" in row.faults:
            seconds = row.faults["slow"] or (seconds or 1.0) * SLOW
        showing, seconds = (seconds, 0.0) if task.parts else (0.0, seconds)
        course, drawn = _Course(), None
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._tell, row, course, seconds)
                drawn = await self.drawers.draw(task, course.report)
                course.report(1.0, "")
        except ExceptionGroup as several:
            raise several.exceptions[0] from None  # one failed, which ended the other
        assert drawn is not None  # noqa: S101  # else the group had raised
        for number, part in enumerate(drawn.parts, 1):
            if not await self.store.do(self.rows.add_part, row, number, part):
                raise LostClaimError(row.request_id)
            await anyio.sleep(showing / len(drawn.parts))
        return drawn

    async def _tell(self, row: Row, course: _Course, seconds: float) -> None:
        """Log every step that both the clock and the drawing have reached."""
        started = anyio.current_time()
        for step in range(1, STEPS + 1):
            share = step / STEPS
            await anyio.sleep_until(started + seconds * share)
            while course.share < share - 1e-9:
                await course.moved.wait()
            bar = ("█" * round(share * BAR)).ljust(BAR)
            words = course.words if course.share < 1 else f"{step}/{STEPS}"
            done = f"{share:4.0%}|"
            line = f"{done}{bar}| {words}".rstrip()
            if not await self.store.do(self.rows.progress, row, done, line):
                raise LostClaimError(row.request_id)


def _failed(row: Row) -> Outcome | None:
    """Return how this attempt fails because it was asked to, None where it is not."""
    for kind, failing in row.faults.items():
        if kind in FAILING_ATTEMPTS and (failing is None or row.attempts <= failing):
            outcome = broken(*FAILING_ATTEMPTS[kind])
            return replace(outcome, needs_retry=kind == "runner_needs_retry")
    return None


def seed_of(request_id: str, arguments: Mapping[str, Any]) -> int:
    """Return the seed that was asked for, else one that belongs to the request (0 to 2**31 - 1)."""
    asked = arguments.get("seed")
    if isinstance(asked, int) and not isinstance(asked, bool):
        return asked
    digest = hashlib.sha256(request_id.encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def units_of(
    card: ModelCard,
    arguments: Mapping[str, Any],
    facts: Mapping[tuple[str | int, ...], MediaFacts],
) -> float:
    """Return how many of its price's units a request is billed, 1 where that cannot be told."""
    units = estimate(card, arguments, facts).units
    return 1.0 if units is None else float(units)


def unprocessable(wrongs: Sequence[Wrong]) -> Outcome:
    """Return the outcome of an input that the model refuses: nothing is billed."""
    detail = [wrong.as_detail() for wrong in wrongs]
    where = ".".join(str(step) for step in wrongs[0].loc)
    words = f"{where}: {wrongs[0].message}" if where else wrongs[0].message
    return Outcome(422, {"detail": detail}, words, wrongs[0].type)


def refusal(refused: RunnerError) -> Outcome:
    """Return the outcome of a request that a runner refuses, in the shape of model errors."""
    wrong = Wrong(refused.loc, refused.message, refused.type, None, refused.ctx or None)
    detail = wrong.as_detail()
    return Outcome(refused.status, {"detail": [detail]}, refused.message, refused.type)


def _file_object(file: Shelved, facts: Mapping[str, Any]) -> dict[str, Any] | str:
    """Return the file as models return it; a few cards have its bare address in this place."""
    if facts.get("url_only"):
        return file.url
    return {
        "url": file.url,
        "content_type": file.media_type,
        "file_name": file.name,
        "file_size": file.bytes,
        **facts,
    }


def _carried(made: MadeFile) -> dict[str, Any]:
    """Return an object that carries the bytes themselves and has no address."""
    facts = {name: fact for name, fact in made.facts.items() if name != "bytes_only"}
    content = base64.b64encode(made.path.read_bytes()).decode()
    return {"content": f"{BYTES}{content}", "content_type": made.media_type, **facts}


def _inline(made: MadeFile) -> dict[str, Any]:
    """Return a file object that carries the bytes themselves, as ``sync_mode`` asks."""
    content = base64.b64encode(made.path.read_bytes()).decode()
    return {
        "url": f"data:{made.media_type};base64,{content}",
        "content_type": made.media_type,
        **made.facts,
    }


def _put(output: Any, at: Sequence[str | int], entry: Any) -> Any:  # noqa: ANN401  # JSON
    """Return *output* with *entry* in the place *at*."""
    if not at:
        return entry
    place: Any = output
    for step in at[:-1]:
        place = place[step]
    place[at[-1]] = entry
    return output


def _make(folder: Path) -> None:
    """Make an empty scratch folder; what a claimant that died left of the same request goes."""
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    for left in folder.parent.glob(f"{folder.name.rpartition('-')[0]}-*"):
        shutil.rmtree(left, ignore_errors=True)
    folder.mkdir(mode=0o700)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
