"""What of a failure a person can mend."""

import sqlite3
from typing import cast

from catalog.errors import ActionableError


def mendable_in(problem: BaseException) -> ActionableError | None:
    """Return the failure a person can mend inside *problem*, which task groups may have wrapped."""
    if isinstance(problem, ActionableError):
        return problem
    if isinstance(problem, sqlite3.Error):
        return ActionableError(
            f"a database of falkit cannot be used: {problem}",
            hint="`falkit doctor` says which, and what to do",
        )
    if isinstance(problem, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", problem)
        inner = [mendable_in(part) for part in group.exceptions]
        return next((part for part in inner if part is not None), None)
    return None
