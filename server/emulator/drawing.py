"""`Drawers`: worker processes that draw, started when there is something to draw."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from catalog.media import MediaFacts
from server.emulator.work import RunnerError, Task

log = logging.getLogger("falkit.emulator")

ROOMS = Path(__file__).resolve().parents[2]
START = (
    f"import sys; sys.path.insert(0, {str(ROOMS)!r}); "
    "from server.emulator.worker import main; main()"
)
LONGEST_LINE = 64 * 2**20
TAIL = 2000
ENDS = frozenset({"output", "refused", "crashed"})

Report = Callable[[float, str], None]


class RunnerLostError(Exception):
    """The worker process ended, or spoke nonsense, while it drew."""


class RunnerCrashedError(Exception):
    """The runner failed in a way that is not the caller's fault."""


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file of an output: *at* is its place in it, *facts* go into its file object."""

    at: tuple[str | int, ...]
    path: Path
    media_type: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a runner made: the output with None in the places of *files*.

    *given* are the facts of the media that came with the task, by URL; *parts* the outputs that may
    be shown before the whole one.
    """

    output: Any
    files: tuple[MadeFile, ...]
    given: Mapping[str, MediaFacts]
    parts: tuple[Any, ...] = ()


@dataclass(slots=True)
class _Worker:
    process: Process
    lines: BufferedByteReceiveStream
    errors: BinaryIO  # what it prints besides, kept for the log should it die
    answers: int = 0

    async def end(self) -> None:
        """Kill it and gather its remains, whatever happens around."""
        with anyio.CancelScope(shield=True):
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.aclose()
        self.errors.close()

    def last_words(self) -> str:
        """Return the end of what it printed."""
        size = self.errors.seek(0, os.SEEK_END)
        self.errors.seek(max(0, size - TAIL))
        return self.errors.read().decode(errors="replace").strip() or "it said nothing"


class Drawers:
    """At most *at_most* worker processes of one emulator folder.

    A worker is asked one thing at a time and kept for the next one; it ends by itself when it has
    been idle for a minute. One that was interrupted or failed is never used again.
    """

    def __init__(self, folder: Path, *, at_most: int) -> None:
        self._folder = folder
        self._places = anyio.Semaphore(at_most)
        self._idle: list[_Worker] = []

    async def draw(self, task: Task, report: Report) -> Drawn:
        """Return what the runner makes of *task*; waits while all workers are busy.

        Raises:
            RunnerError: the model refuses the task.
            RunnerCrashedError: the runner failed.
            RunnerLostError: the worker process died or spoke nonsense.
        """
        async with self._places:
            while True:
                fresh = not self._idle
                worker = await self._start() if fresh else self._idle.pop()
                kept = False
                try:
                    answer = await self._ask(worker, task, report)
                    kept = True
                except RunnerLostError:
                    # An idle worker may have ended in the moment in which it was asked.
                    if fresh or worker.answers:
                        raise
                    continue
                finally:
                    if kept:
                        self._idle.append(worker)
                    else:
                        await worker.end()
                return _drawn(answer)

    async def _start(self) -> _Worker:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("FAL")
        }
        errors = cast("BinaryIO", TemporaryFile())  # noqa: SIM115  # closed with the worker
        try:
            process = await anyio.open_process(
                [sys.executable, "-P", "-c", START],
                stdin=PIPE,
                stdout=PIPE,
                stderr=errors,
                cwd=self._folder,
                env=environment,
                # Ctrl-C at a terminal would reach it before it can say that it does not listen.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # the same on Windows
            )
        except BaseException:
            errors.close()
            raise
        assert process.stdout is not None  # noqa: S101  # asked for a pipe
        return _Worker(process, BufferedByteReceiveStream(process.stdout), errors)

    async def _ask(self, worker: _Worker, task: Task, report: Report) -> Mapping[str, Any]:
        """Return the last thing that *worker* says of *task*."""
        stdin = worker.process.stdin
        assert stdin is not None  # noqa: S101  # asked for a pipe
        worker.answers = 0
        try:
            await stdin.send(_line(task))
            while True:
                line = await worker.lines.receive_until(b"\n", LONGEST_LINE)
                answer: Any = json.loads(line)
                worker.answers += 1
                if not ENDS.isdisjoint(answer):
                    return cast("Mapping[str, Any]", answer)
                share, text = answer["progress"]
                report(float(share), str(text))
        except (
            anyio.BrokenResourceError,
            anyio.ClosedResourceError,
            anyio.EndOfStream,
            anyio.IncompleteRead,
            anyio.DelimiterNotFound,
            OSError,
            KeyError,
            TypeError,
            ValueError,
        ) as problem:
            log.warning("a drawing process was lost (%r): %s", problem, worker.last_words())
            raise RunnerLostError(str(problem)) from problem

    async def aclose(self) -> None:
        """End the idle workers; the busy ones end with the tasks that wait for them."""
        while self._idle:
            await self._idle.pop().end()


def _line(task: Task) -> bytes:
    words = {
        "endpoint_id": task.endpoint_id,
        "arguments": task.arguments,
        "seed": task.seed,
        "inputs": {url: str(path) for url, path in task.inputs.items()},
        "folder": str(task.folder),
        "parts": task.parts,
        "black": task.black,
    }
    return json.dumps(words).encode() + b"\n"


def _drawn(answer: Mapping[str, Any]) -> Drawn:
    if refused := answer.get("refused"):
        raise RunnerError(
            refused["status"],
            refused["type"],
            refused["message"],
            loc=tuple(refused["loc"]),
            ctx=refused["ctx"],
        )
    if "crashed" in answer:
        raise RunnerCrashedError(answer["crashed"])
    files = tuple(
        MadeFile(tuple(file["at"]), Path(file["path"]), file["media_type"], file["facts"])
        for file in answer["files"]
    )
    given = {url: MediaFacts(**facts) for url, facts in answer.get("given", {}).items()}
    return Drawn(answer["output"], files, given, tuple(answer.get("parts", ())))
