"""The process that draws: tasks come in as JSON lines, progress and one end each go out.

In:  ``{"endpoint_id", "arguments", "seed", "inputs": {url: path}, "folder", "parts",
     "black"}``
Out: ``{"progress": [fraction, message]}`` any number of times, then one of
     ``{"output": ..., "files": [{"at", "path", "media_type", "facts"}], "given": {url: facts},
     "parts": [...]}``,
     ``{"refused": {"status", "type", "message", "loc", "ctx"}}`` or ``{"crashed": text}``.

It ends when its input does, even in the middle of a drawing, so that no process outlives the one
that started it, however that one died.
"""

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO, cast

from catalog.media import MediaFacts
from server.emulator.parts import parts_of
from server.emulator.runners import run
from server.emulator.work import Made, RunnerError, Task
from server.media.probe import probe
from tools.errors import MediaError

IDLE_SECONDS = 60.0
IDLE = 0  # exit status when nothing came for a while


def main() -> None:
    """Draw until the input ends or nothing has come for a minute."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started us
    answers = _own_output()
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            os._exit(IDLE)
        _say(answers, _answer(json.loads(line), answers))


def _own_output() -> TextIO:
    """Keep standard output for answers; whatever libraries print goes to standard error."""
    ours = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(ours, "w", encoding="utf-8")


def _listen(lines: "queue.SimpleQueue[str]") -> None:
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


def _say(answers: TextIO, words: Mapping[str, Any]) -> None:
    answers.write(json.dumps(words) + "\n")
    answers.flush()


def _answer(given: dict[str, Any], answers: TextIO) -> Mapping[str, Any]:
    task = Task(
        endpoint_id=given["endpoint_id"],
        arguments=given["arguments"],
        seed=given["seed"],
        inputs={url: Path(path) for url, path in given["inputs"].items()},
        folder=Path(given["folder"]),
        parts=given["parts"],
        black=given["black"],
    )
    try:
        output = run(task, lambda share, text: _say(answers, {"progress": [share, text]}))
        parts = parts_of(output, task.parts)
    except RunnerError as refused:
        return {
            "refused": {
                "status": refused.status,
                "type": refused.type,
                "message": refused.message,
                "loc": list(refused.loc),
                "ctx": refused.ctx,
            }
        }
    except Exception as crash:  # the outermost loop: one broken task must not end the next
        sys.excepthook(type(crash), crash, crash.__traceback__)
        return {"crashed": f"{type(crash).__name__}: {crash}"}
    files: list[dict[str, Any]] = []
    given = {url: asdict(facts) for url, facts in _given(task).items()}
    whole = _without_files(output, (), files)
    return {"output": whole, "files": files, "given": given, "parts": parts}


def _given(task: Task) -> Mapping[str, MediaFacts]:
    """Return what is known of the media that came with *task*: billed units depend on it."""
    known: dict[str, MediaFacts] = {}
    for url, path in task.inputs.items():
        with suppress(MediaError):
            known[url] = probe(path)
    return known


def _without_files(value: Any, at: tuple[str | int, ...], files: list[dict[str, Any]]) -> Any:  # noqa: ANN401  # JSON
    """Return *value* with None where a made file stands, which goes into *files* with its place."""
    if isinstance(value, Made):
        files.append(
            {
                "at": list(at),
                "path": str(value.path),
                "media_type": value.media_type,
                "facts": value.facts,
            }
        )
        return None
    if isinstance(value, list | tuple):
        items = cast("list[Any]", value)
        return [_without_files(item, (*at, i), files) for i, item in enumerate(items)]
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        return {key: _without_files(item, (*at, key), files) for key, item in entries.items()}
    return value
