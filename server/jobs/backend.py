"""What jobs need of a backend: submit, follow, fetch, cancel, download."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from server.fal.options import PLAIN, CallOptions
from server.fal.wire import Downloaded, PastRequest, Result, Status, Submission


class Backend(Protocol):
    """Where jobs run. Everything but `submit` may be repeated at will."""

    async def submit(
        self,
        endpoint_id: str,
        arguments: Mapping[str, Any],
        *,
        webhook_url: str = "",
        options: CallOptions = PLAIN,
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
