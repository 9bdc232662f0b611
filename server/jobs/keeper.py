"""The keeper: brings the files of finished jobs home, checked, and tries again when it cannot."""

import errno
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
from anyio.to_thread import run_sync

from catalog.errors import ActionableError
from catalog.media import MediaFacts
from server.jobs import files
from server.jobs.backend import Backend
from server.jobs.finishing import inscribe, remark_on, without_twins
from server.jobs.port import JobStore
from server.jobs.rows import Fields
from server.jobs.transactions import Work
from server.media.probe import probe
from tools.errors import MediaError
from tools.ports import Job, Output

log = logging.getLogger("falkit.jobs.keeper")

# Texts longer than this become files, in characters.
LONG_TEXT = 2000
MOST_AT_ONCE = 4  # from one host, so that one that hangs delays no other's files
MOST_HOSTS = 20
# fal keeps media for at least a week (its FAQ, read in autumn 2026); after that nobody tries again
# without being asked.
GIVE_UP = timedelta(days=7)
LONGEST_PAUSE = timedelta(hours=1)
# What stays free on a disk beside what a file is known to need, in bytes.
SPARE_ROOM = 8_000_000
# A look at a file that takes longer is given up, in seconds.
LOOKS_WITHIN = 8.0


@dataclass(frozen=True, slots=True)
class _Round:
    """One attempt to bring the files of *work* into *folder*; *delivered* holds, by place, the
    SHA-256 of what came."""

    work: Work
    folder: Path
    delivered: dict[int, str] = field(default_factory=dict[int, str])


class Keeper:
    """Downloads what jobs made into *media_folder*, at most four files of a host at a time.

    *pause* is the time from a failure to the next attempt, in seconds; it doubles up to an hour.
    With *inscribes*, files say in themselves where they are from.
    """

    def __init__(
        self,
        store: JobStore,
        backend: Backend,
        media_folder: Path,
        changed: Callable[[str], None],
        pause: float,
        inscribes: bool = True,
    ) -> None:
        self._store = store
        self._backend = backend
        self._media_folder = media_folder
        self._changed = changed
        self._pause = pause
        self._inscribes = inscribes
        self._turns: dict[str, anyio.CapacityLimiter] = {}
        self._probing = anyio.CapacityLimiter(2)

    async def keep(self, work: Work) -> None:
        """Bring home every output of *work* that is not, and write down what came of it.

        What cannot be saved now keeps its URL, says why in `Output.problem`, and is tried again
        later; the job stays done.
        """
        job = work.job
        turn = _Round(work, Path(work.save_to) if work.save_to else self._media_folder)
        outputs = list(job.outputs)

        async def bring(place: int) -> None:
            outputs[place] = await self._bring(turn, place)

        async with anyio.create_task_group() as group:
            for place, output in enumerate(outputs):
                if _is_due(output):
                    group.start_soon(bring, place)
        saved = not any(output.problem for output in outputs)
        again = None if saved else self._next_attempt(job, work.tries)
        kept_outputs, spare = tuple(outputs), list[Path]()
        if saved:  # numbers of outputs must not change while some are still to come
            kept_outputs, spare = without_twins(outputs, turn.delivered)
        kept = await self._store.change(
            work.claim,
            Fields(
                outputs=kept_outputs,
                saved=saved,
                keep_due=again,
                keep_tries=work.tries + 1,
            ),
        )
        if kept is not None:
            with anyio.CancelScope(shield=True):
                await run_sync(_drop, spare)
            self._changed(job.job_id)
            await self._store.release(work.claim)

    def _next_attempt(self, job: Job, tries: int) -> datetime | None:
        now = datetime.now(UTC)
        if now - (job.ended or job.created) > GIVE_UP:
            return None
        return now + min(timedelta(seconds=self._pause * 2 ** min(tries, 20)), LONGEST_PAUSE)

    async def _bring(self, turn: _Round, place: int) -> Output:
        """Return the output at *place* as it is after an attempt to bring it home."""
        output, folder = turn.work.job.outputs[place], turn.folder
        part: Path | None = None
        try:
            async with self._turn(output.url):
                part = await run_sync(_prepare, folder, turn.work, place)
                return await self._fetch(turn, part, place)
        except ActionableError as problem:
            words = (
                problem.message
                if part is None
                else problem.message.replace(repr(part.name), "the file")
            )
            return replace(output, problem=f"not saved: {words}"[:300])
        except OSError as problem:
            return replace(output, problem=f"not saved: {_why(problem, folder)}")
        finally:
            if part is not None:
                with anyio.CancelScope(shield=True):
                    await run_sync(_remove, part)

    def _turn(self, url: str) -> anyio.CapacityLimiter:
        """Return what files from the host of *url* take turns at."""
        host = "data:" if url.startswith("data:") else url.partition("://")[2].partition("/")[0]
        if len(self._turns) > MOST_HOSTS and host not in self._turns:
            host = "others"
        return self._turns.setdefault(host, anyio.CapacityLimiter(MOST_AT_ONCE))

    async def _fetch(self, turn: _Round, part: Path, place: int) -> Output:
        job, output = turn.work.job, turn.work.job.outputs[place]
        remark = ""
        if output.kind == "text" and output.text:
            length, sha256, stated = await run_sync(_write_text, output.text, part)
            facts = MediaFacts("text", output.media_type or "text/plain", bytes=length)
        else:
            arrived = await self._backend.download(output.url, part)
            length, sha256, stated = arrived.bytes, arrived.sha256, arrived.media_type
            facts = await self._checked(output, part)
            remark = await self._look(turn.work, place, part, facts, length)
        turn.delivered[place] = sha256
        home = replace(
            output,
            kind=output.kind if facts.kind in ("file", "text") else facts.kind,
            media_type=facts.media_type if facts.kind != "file" else stated or facts.media_type,
            bytes=length,
            sha256=sha256,
            width=facts.width or output.width,
            height=facts.height or output.height,
            seconds=facts.seconds or output.seconds,
            fps=facts.fps or output.fps,
            has_sound=facts.has_audio if facts.kind == "video" else None,
            problem="",
            remark=remark,
        )
        name = files.name_of(job, place + 1, _extension(output, facts, stated))
        home = await self._placed(job, home, part, name)
        await self._describe(turn.work, home, part, (length, sha256))
        return home

    async def _look(
        self, work: Work, place: int, part: Path, facts: MediaFacts, length: int
    ) -> str:
        """Return what is odd about the file; nothing where a look takes too long."""
        with anyio.move_on_after(LOOKS_WITHIN):
            return await run_sync(
                remark_on,
                work,
                place,
                part,
                facts,
                length,
                limiter=self._probing,
                abandon_on_cancel=True,
            )
        return ""

    async def _placed(self, job: Job, home: Output, part: Path, name: str) -> Output:
        """Return *home* with its place in the folder, and with where it is from in the file."""
        copy: Path | None = None
        if self._inscribes:
            copy = await run_sync(inscribe, job, part, home.media_type, limiter=self._probing)
        if copy is not None:
            length, sha256 = await run_sync(_measured, copy)
            home = replace(home, bytes=length, sha256=sha256)
        try:
            target = await run_sync(files.place, copy or part, part.parent / name, home.sha256)
        finally:
            if copy is not None:
                with anyio.CancelScope(shield=True):
                    await run_sync(_remove, copy)
        return replace(home, url=_url_at_home(job, home, target), path=str(target))

    async def _checked(self, output: Output, part: Path) -> MediaFacts:
        """Return what the bytes of *part* are.

        Raises:
            MediaError: they do not open, or are nothing like the output's kind.
        """
        facts = await run_sync(probe, part, limiter=self._probing)
        if output.kind in ("image", "video", "audio") and facts.kind in ("file", "text"):
            raise MediaError(
                f"what came is no {output.kind} but {facts.media_type}", hint="open its URL to see"
            )
        return facts

    async def _describe(
        self, work: Work, home: Output, part: Path, delivered: tuple[int, str]
    ) -> None:
        """Write the note beside the file, by way of *part*; a file without one is still home.

        *delivered* are length and SHA-256 of what came, before anything was written into it.
        """
        target = Path(home.path)
        about = _about(work, home)
        about["delivered"] = {"bytes": delivered[0], "sha256": delivered[1]}
        try:
            await run_sync(files.write_sidecar, part, target, about)
        except OSError as problem:
            log.warning("no note could be written beside %s: %s", target, problem.strerror)


def needs_keeping(outputs: tuple[Output, ...]) -> bool:
    """Return whether any of *outputs* has to be brought home."""
    return any(_is_due(output) for output in outputs)


def _is_due(output: Output) -> bool:
    if output.path:
        return False
    return bool(output.url) or len(output.text) > LONG_TEXT


def _prepare(folder: Path, work: Work, place: int) -> Path:
    """Return where the output at *place* goes while it comes.

    Raises:
        OSError: the folder cannot be used, or its disk has no room for what is known to come.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = files.part_of(folder, work.job.job_id, place + 1, work.claim.holder)
    if shutil.disk_usage(folder).free < (work.job.outputs[place].bytes or 0) + SPARE_ROOM:
        raise OSError(errno.ENOSPC, "no space left")
    return part


def _remove(part: Path) -> None:
    part.unlink(missing_ok=True)


def _drop(spare: list[Path]) -> None:
    """Remove files that are here under another name, and their notes."""
    for path in spare:
        for one in (path, path.with_name(f"{path.name}.json")):
            try:
                one.unlink(missing_ok=True)
            except OSError as problem:
                log.info("%s cannot be removed: %s", one, problem.strerror)


def _measured(path: Path) -> tuple[int, str]:
    return path.stat().st_size, files.hash_of(path)


def _write_text(text: str, part: Path) -> tuple[int, str, str]:
    data = text.encode("utf-8", "replace")
    part.write_bytes(data)
    return len(data), files.hash_of(part), ""


def _extension(output: Output, facts: MediaFacts, stated: str) -> str:
    if output.kind == "text" and output.text:
        return ".json" if output.media_type == "application/json" else ".txt"
    return files.extension_of(facts, stated or output.media_type, output.url)


def _url_at_home(job: Job, output: Output, target: Path) -> str:
    """Return the URL that is worth keeping: not the bytes themselves, not the emulator's inside."""
    if not output.url:
        return ""
    if job.backend == "emulator":
        return target.as_uri()
    return "" if output.url.startswith("data:") else output.url


def _why(problem: OSError, folder: Path) -> str:
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {str(folder)!r} is full; free some space"
    reason = (problem.strerror or type(problem).__name__).lower()
    return f"the folder {str(folder)!r} cannot be written: {reason}"[:280]


def _about(work: Work, output: Output) -> dict[str, Any]:
    """Return what the note beside a file says."""
    job = work.job
    cost = None
    if job.cost is not None and job.cost.dollars is not None:
        cost = {"dollars": f"{job.cost.dollars:f}", "kind": job.cost.kind}
    return {
        "job_id": job.job_id,
        "endpoint_id": job.endpoint_id,
        "backend": job.backend,
        "request_id": job.request_id,
        "created": job.created.isoformat(),
        "arguments": dict(job.arguments),
        "parents": list(job.parents),
        "tags": list(job.tags),
        "cost": cost,
        "seed": job.used_seed,
        "sha256": output.sha256,
        "bytes": output.bytes,
        "media_type": output.media_type,
        "url": output.url,
        "result": json.loads(work.result) if work.result else None,
    }
