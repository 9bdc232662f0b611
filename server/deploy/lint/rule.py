"""`Rule`: one thing that an app's source must or should not do, as a value."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from server.deploy.lint.text import Place
from tools.deploy_records import Severity

# How a rule is known: by running fal, from its source, from its documentation, or by judgement.
Ground = Literal["run", "source", "documentation", "judgement"]
Patch = tuple[int, int, str]  # characters from, up to, and what takes their place

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Breach:
    """One place where a rule is broken.

    *patches* mend it together, all in the file of *place*; none where that takes a decision.
    *severity* is said where it is not the rule's own.
    """

    place: Place
    message: str
    fix: str = ""
    patches: tuple[Patch, ...] = ()
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class Rule(Generic[S]):
    """What is asked of a subject (a project, a module, an app), and how it is found.

    *title* names the breach, *why* says what comes of it, *topic* is the page of fal's
    documentation (as titled there). *mends* tells that some breaches come with a patch.
    """

    code: str
    severity: Severity
    title: str
    why: str
    topic: str
    ground: Ground
    check: Callable[[S], Iterable[Breach]]
    mends: bool = False
