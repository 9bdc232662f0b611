"""What passes between the emulator's queue and the process that draws: tasks, and things made."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Task:
    """One request to carry out.

    *arguments* are valid for the card, defaults applied. *inputs* maps each media URL found in them
    to a local file. Files are written into *folder*. *seed* is fixed for the request: the same task
    gives the same bytes. *parts* is how many outputs before the whole one somebody wants to see;
    with *black*, pictures and frames come out black.
    """

    endpoint_id: str
    arguments: dict[str, Any]
    seed: int
    inputs: dict[str, Path]
    folder: Path
    parts: int = 0
    black: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """A file that a runner made; in the output it stands where fal has a file object.

    *facts* are added to the file object, such as width, height, duration, fps.
    """

    path: Path
    media_type: str
    facts: dict[str, Any] = field(default_factory=dict[str, Any])


class RunnerError(Exception):
    """A request that the model refuses, in fal's words.

    *status* is the HTTP status of the result, *error_type* fal's word, *loc* the path of the
    argument, *ctx* the facts of the rule.
    """

    def __init__(
        self,
        status: int,
        error_type: str,
        message: str,
        *,
        loc: tuple[str | int, ...] = (),
        ctx: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = error_type
        self.message = message
        self.loc = loc
        self.ctx = ctx or {}
