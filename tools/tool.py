"""`Tool` and `Arguments`: the shape of a tool, a value."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import SkipJsonSchema

from tools.ports import Call, Picture

Toolset = str

Unlisted = SkipJsonSchema


class Arguments(BaseModel):
    """What a caller gives to a tool; unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Result(BaseModel):
    """What a tool answers, flat and short.

    A field marked `Unlisted` is answered, but not spelled out in the list of tools, whose bytes
    every host reads: schemas of results are open, so whoever checks an answer accepts it.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)


@dataclass(frozen=True, slots=True)
class Link:
    """A file that a host can read by an address of ours, for as long as its job is known."""

    uri: str
    name: str
    media_type: str
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool says: the structured result (None for tools that show pixels), text, pictures,
    and files to read.

    *is_error* marks an answer that reports a failure, such as a job that ended without its media.
    """

    result: Result | None
    text: str
    pictures: Sequence[Picture] = ()
    is_error: bool = False
    links: Sequence[Link] = ()


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


class AnyTool(Protocol):
    """A tool as servers and tests see it, whatever its arguments."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def toolset(self) -> Toolset: ...
    @property
    def arguments(self) -> type[Arguments]: ...
    @property
    def result(self) -> type[Result] | None: ...
    @property
    def run(self) -> Callable[[Call, Any], Awaitable[Answer]]: ...
    @property
    def reads_only(self) -> bool: ...
    @property
    def destroys(self) -> bool: ...
    @property
    def open_world(self) -> bool: ...


@cache
def _whole(name: str) -> Tool[Any]:
    return getattr(import_module(f"tools.{name}"), name.upper())


@dataclass(frozen=True, slots=True)
class LateTool:
    """A tool whose module is imported when more is asked than its name, toolset and *reads_only*.

    The module is called as the tool, and holds it under its name in capitals.
    """

    name: str
    toolset: Toolset
    reads_only: bool

    @property
    def whole(self) -> Tool[Any]:
        """The tool itself."""
        return _whole(self.name)

    @property
    def title(self) -> str:
        return self.whole.title

    @property
    def description(self) -> str:
        return self.whole.description

    @property
    def arguments(self) -> type[Arguments]:
        return self.whole.arguments

    @property
    def result(self) -> type[Result] | None:
        return self.whole.result

    @property
    def run(self) -> Callable[[Call, Any], Awaitable[Answer]]:
        return self.whole.run

    @property
    def destroys(self) -> bool:
        return self.whole.destroys

    @property
    def open_world(self) -> bool:
        return self.whole.open_world
