"""The failures that tools and jobs add to the tree of `catalog.errors`.

ActionableError
├── OverBudgetError             the price is over a limit; nothing was submitted
├── UnknownJobError             no job of that id in this journal
├── MediaError                  a file or URL that cannot be used
├── OutOfBoundsError            a path outside the allowed folders
├── BackendError                fal (or the emulator) refused or failed
└── NotConfiguredError          a setting is missing or malformed
"""

from collections.abc import Sequence

from catalog.errors import ActionableError


class OverBudgetError(ActionableError):
    """The price is over a limit that the caller or the person set; nothing was submitted."""


class UnknownJobError(ActionableError):
    """This journal holds no job of that id."""

    def __init__(self, job_id: str, *, nearest: Sequence[str] = ()) -> None:
        hint = f"nearest: {', '.join(nearest)}" if nearest else "list_jobs shows what was made"
        super().__init__(f"no job {job_id[:80]!r}", hint=hint)


class MediaError(ActionableError):
    """A file, URL or earlier output that cannot be used as given."""


class OutOfBoundsError(MediaError):
    """A path that lies outside the allowed folders."""


class NotConfiguredError(ActionableError):
    """A setting is missing or malformed."""


class BackendError(ActionableError):
    """fal, or the emulator in its place, refused or failed.

    *charged* is None where it is not known, *retry_helps* says whether the same call may succeed
    later, *error_type* is the platform's own word, *field* the input field at fault or empty.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        error_type: str = "",
        field: str = "",
        charged: bool | None = False,
        retry_helps: bool = False,
    ) -> None:
        super().__init__(message, hint=hint)
        self.error_type = error_type
        self.field = field
        self.charged = charged
        self.retry_helps = retry_helps
