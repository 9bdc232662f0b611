"""Processes of the deploy room that are told something on their standard input."""

import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from server.deploy.processes import Child
from tools.errors import BackendError


@dataclass(frozen=True, slots=True)
class Spoken:
    """A child, and the way to tell it something."""

    child: Child
    input: IO[bytes]

    def put(self, said: Mapping[str, Any]) -> None:
        """Hand a line over; a child that is gone is left in peace: how it ended, its status says.

        A child reads its lines at once, so that this never waits long.
        """
        with suppress(OSError, ValueError):
            self.input.write(json.dumps(said).encode() + b"\n")
            self.input.flush()

    def close(self) -> None:
        with suppress(OSError):
            self.input.close()


def start(
    command: tuple[str, ...], environment: Mapping[str, str], folder: Path, *, waits: bool = False
) -> Spoken:
    """Start *command* in a group of its own, with an input of its own.

    Raises:
        BackendError: it cannot be started.
    """
    try:
        process = subprocess.Popen(  # noqa: S603  # running other people's code, kept apart
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # on Windows
            umask=-1 if sys.platform == "win32" else 0o077,
        )
    except OSError as problem:
        reason = (problem.strerror or type(problem).__name__).lower()
        raise BackendError(f"the worker for fal cannot be started: {reason}") from problem
    assert process.stdin is not None  # noqa: S101  # all three were asked for
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    return Spoken(Child(process, process.stdout, process.stderr, waits), process.stdin)
