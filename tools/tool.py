"""`Tool` and `Arguments`: the shape of a tool, a value."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import SkipJsonSchema

from tools.ports import Call, Picture

Toolset = str

Unlisted = SkipJsonSchema


class Arguments(BaseModel):
    """What a caller gives to a tool; unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Result(BaseModel):
    """What a tool answers, flat and short.

    A field marked `Unlisted` is answered, but not spelled out in the list of tools, whose bytes
    every host reads: schemas of results are open, so whoever checks an answer accepts it.
    """

    model_config = ConfigDict(frozen=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool says: the structured result (None for tools that show pixels), text, pictures.

    *is_error* marks an answer that reports a failure, such as a job that ended without its media.
    """

    result: Result | None
    text: str
    pictures: Sequence[Picture] = ()
    is_error: bool = False


A = TypeVar("A", bound=Arguments)


@dataclass(frozen=True, slots=True)
class Tool(Generic[A]):
    """One tool: its name, what hosts read of it, and the function that answers.

    *result* is None for tools that show pixels: they have no output schema. Hints are said aloud:
    *reads_only*, *destroys*, *open_world* (reaches beyond this machine).
    """

    name: str
    title: str
    description: str
    toolset: Toolset
    arguments: type[A]
    result: type[Result] | None
    run: Callable[[Call, A], Awaitable[Answer]]
    reads_only: bool
    destroys: bool = False
    open_world: bool = True


AnyTool = Tool[Any]
