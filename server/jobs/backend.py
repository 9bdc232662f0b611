"""What jobs need of a backend: submit, follow, fetch, cancel, download."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Protocol


class Submission(Protocol):
    """What the platform answers to a submit; *queue_position* counts from 0, None if unsaid."""

    @property
    def request_id(self) -> str: ...
    @property
    def queue_position(self) -> int | None: ...


class LogLine(Protocol):
    """A line that the model wrote."""

    @property
    def timestamp(self) -> str: ...
    @property
    def level(self) -> str: ...
    @property
    def message(self) -> str: ...


class Status(Protocol):
    """Where a request stands. A completed one that carries an error has failed.

    *logs* may be the whole list or what is new.
    """

    @property
    def state(self) -> Literal["queued", "running", "completed"]: ...
    @property
    def queue_position(self) -> int | None: ...
    @property
    def logs(self) -> Sequence[LogLine]: ...
    @property
    def inference_seconds(self) -> float | None: ...
    @property
    def error(self) -> str: ...
    @property
    def error_type(self) -> str: ...


class Result(Protocol):
    """The model's output, bare, and what it is billed for in the price's units."""

    @property
    def output(self) -> Any: ...  # noqa: ANN401  # JSON of any shape
    @property
    def billable_units(self) -> Decimal | None: ...


class Downloaded(Protocol):
    """A file as it arrived."""

    @property
    def bytes(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    @property
    def media_type(self) -> str: ...


class PastRequest(Protocol):
    """A request of the account's history; *arguments* is None where the payload is not kept."""

    @property
    def request_id(self) -> str: ...
    @property
    def sent(self) -> datetime: ...
    @property
    def arguments(self) -> Any: ...  # noqa: ANN401  # JSON of any shape


class Backend(Protocol):
    """Where jobs run. Everything but `submit` may be repeated at will."""

    async def submit(
        self, endpoint_id: str, arguments: Mapping[str, Any], *, webhook_url: str = ""
    ) -> Submission:
        """Put a request into the queue. It is paid for, and sent at most once.

        Raises:
            NotSentError: it provably never arrived.
            LostAnswerError: it may have arrived.
            BackendError: it was refused.
        """
        ...

    async def status(self, endpoint_id: str, request_id: str, *, logs: bool = True) -> Status:
        """Return where a request stands."""
        ...

    def watch(
        self, endpoint_id: str, request_id: str, *, logs: bool = True
    ) -> AbstractAsyncContextManager[AsyncIterator[Status]]:
        """Yield each status of a request as it comes; the last one is completed.

        Raises:
            NetworkError: the stream broke.
        """
        ...

    async def result(self, endpoint_id: str, request_id: str) -> Result:
        """Return the output of a completed request, or raise what it failed of."""
        ...

    async def cancel(
        self, endpoint_id: str, request_id: str
    ) -> Literal["requested", "already_completed", "not_found"]:
        """Ask the platform to cancel, and return what it answered."""
        ...

    async def past_requests(self, endpoint_id: str, since: datetime) -> Sequence[PastRequest]:
        """Return the account's requests to an endpoint since an instant.

        Raises:
            UnauthorisedError: the key may not read them.
        """
        ...

    async def download(self, url: str, target: Path, *, max_bytes: int | None = None) -> Downloaded:
        """Write what lies at *url* (http, https or data) into *target*."""
        ...
