"""The root of every failure that a caller can mend.

ActionableError                 what happened, and the next step
├── UnknownModelError           the catalog holds no such endpoint
│   ├── MisreadModelError       it holds the one in what was given, and more than would be sent
│   └── UnknownAppError         no app of this machine has that name
├── ArgumentsError              arguments do not fit the card's schema
├── UnpricedError               the price cannot be turned into money
└── (tools.errors adds its own)
"""

from collections.abc import Sequence
from dataclasses import dataclass


class ActionableError(Exception):
    """A failure that the caller can mend: a fact, and the next step.

    *message* says what happened with the offending value in quotes, *hint* what to do now; neither
    ends in a period, holds a secret or a stack.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UnknownModelError(ActionableError):
    """The catalog holds no endpoint of that id."""

    def __init__(self, endpoint_id: str, *, nearest: Sequence[str]) -> None:
        hint = f"nearest: {', '.join(nearest)}" if nearest else "find one with search_models"
        super().__init__(f"no model {endpoint_id[:120]!r} in the catalog", hint=hint)
        self.endpoint_id = endpoint_id
        self.nearest = tuple(nearest)


class MisreadModelError(UnknownModelError):
    """What was given holds the id of an endpoint, and more than would be sent."""

    def __init__(
        self, endpoint_id: str, what: str, instead: str, *, nearest: Sequence[str]
    ) -> None:
        super().__init__(endpoint_id, nearest=nearest)
        self.message = f"{endpoint_id[:120]!r} {what}; nothing was sent"
        self.hint = f"use {', '.join(nearest)}; {instead}" if nearest else instead


class UnknownAppError(UnknownModelError):
    """No app that was deployed on this machine has that name, or that path."""

    def __init__(self, endpoint_id: str, *, nearest: Sequence[str]) -> None:
        super().__init__(endpoint_id, nearest=nearest)
        self.message = f"no app {endpoint_id[:120]!r} on this machine"
        if not nearest:
            self.hint = "app_status lists the apps that there are"


def among_others(problem: ActionableError) -> str:
    """Return *problem* in words for a list that says itself that nothing was sent."""
    return str(problem).replace("; nothing was sent", "")


@dataclass(frozen=True, slots=True)
class Problem:
    """One argument that does not fit.

    *path* is dotted with list positions in brackets, such as ``loras[0].scale``; *value* is the
    offending value as short JSON, empty when nothing was given; *rule* says what would be right;
    *nearest* is the nearest right name or value, or empty.
    """

    path: str
    value: str
    rule: str
    nearest: str = ""

    def __str__(self) -> str:
        given = f" got {self.value}," if self.value else ""
        near = f"; nearest: {self.nearest}" if self.nearest else ""
        return f"{self.path}:{given} {self.rule}{near}"


class ArgumentsError(ActionableError):
    """The arguments do not fit the card's schema; nothing was sent."""

    def __init__(self, endpoint_id: str, problems: Sequence[Problem]) -> None:
        shown = "; ".join(str(problem) for problem in problems[:6])
        more = f"; and {len(problems) - 6} more" if len(problems) > 6 else ""
        super().__init__(
            f"arguments do not fit {endpoint_id}: {shown}{more}",
            hint=f"describe_model lists what {endpoint_id} takes; nothing was sent",
        )
        self.problems = tuple(problems)


class UnpricedError(ActionableError):
    """The card's price cannot be turned into money from what was given."""
