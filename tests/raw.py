"""A host that speaks raw lines to a started server, for tests whose subject is the process."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from threading import Timer
from typing import IO, Any

HELLO: dict[str, object] = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "raw", "version": "0"},
}


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a server answered, in the order of the questions, and how it ended."""

    results: list[dict[str, Any]]
    code: int
    errors: str


def speak(
    command: Sequence[str | Path],
    *questions: tuple[str, dict[str, object]],
    cwd: Path,
    env: Mapping[str, str] | None = None,
) -> Spoken:
    """Start *command* in *cwd*, shake hands, put each question (method, params), and hang up.

    Input stays open until the last answer, since its end cancels calls. 20 seconds, then a kill.
    """
    results: list[dict[str, Any]] = []
    with (
        TemporaryFile("w+", encoding="utf-8") as errors,
        subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            encoding="utf-8",
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        alarm = Timer(20, process.kill)
        alarm.start()
        try:
            for number, (method, params) in enumerate((("initialize", HELLO), *questions)):
                message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
                process.stdin.write(json.dumps(message) + "\n")
                process.stdin.flush()
                while line := process.stdout.readline():
                    answer = json.loads(line)
                    if answer.get("id") == number:
                        results.append(answer.get("result") or answer)
                        break
                else:
                    raise AssertionError(_read(errors))
            process.stdin.close()
            return Spoken(results, process.wait(), _read(errors))
        finally:
            alarm.cancel()


def _read(errors: IO[str]) -> str:
    errors.seek(0)
    return errors.read()
