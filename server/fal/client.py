"""`FalClient`: what fal can be asked, as the rest of the house asks it."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from catalog.endpoint import EndpointId
from server.fal import wire
from server.fal.answered import output_in
from server.fal.direct import UNCLEAR, Direct, Events, encoded
from server.fal.downloads import Downloads
from server.fal.options import PLAIN, CallOptions, Lifecycle
from server.fal.outside import Resolve, addresses_of
from server.fal.problems import (
    LostAnswerError,
    NetworkError,
    NotFoundError,
    PlatformError,
    problem,
)
from server.fal.retry import RetryPolicy
from server.fal.sender import Ask, Sender, redirected
from server.fal.uploads import Uploads
from server.fal.wire import (
    Answer,
    Downloaded,
    PastRequest,
    Result,
    Status,
    Submission,
    UnreadableAnswerError,
    Uploaded,
)
from server.settings import Hosts

Cancellation = Literal["requested", "already_completed", "not_found"]

_PAGES = 10


class FalClient:
    """fal, or the emulator in its place, over one HTTP client that somebody else opens and closes.

    The key goes to the configured run, queue, support and platform addresses only, an upload token
    to the configured file host only; no redirect is followed with either. A submit is repeated only
    when it provably never arrived or was turned away with 429; all else may be repeated and is.
    Other clients of the same account, such as `PlatformClient`, are made on its *sender*.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        hosts: Hosts,
        key: SecretStr | None,
        *,
        policy: RetryPolicy | None = None,
        resolve: Resolve = addresses_of,
    ) -> None:
        policy = policy or RetryPolicy()
        self._hosts = hosts
        self._policy = policy
        self.sender = Sender(http, hosts, key, policy)
        self._direct = Direct(self.sender)
        self._uploads = Uploads(self.sender)
        self._downloads = Downloads(http, hosts, policy, resolve)

    async def submit(
        self,
        endpoint_id: str,
        arguments: Mapping[str, Any],
        *,
        webhook_url: str = "",
        options: CallOptions = PLAIN,
    ) -> Submission:
        """Put a request into the queue, which is paid for, and return its id.

        Sent again only after failed connections and after 429, within the policy's bounds. A 4xx is
        a refusal that costs nothing, and so is a 500 or 503 with the platform's own error type or
        without a request id (5xx are not billed: documented; that such a request is not in the
        queue either: inferred). A 499, 502, 504, or an untyped 5xx that names a request leaves open
        whether it was accepted. So does a cancelled submit.

        Raises:
            NotSentError: no connection was ever made; nothing was accepted.
            LostAnswerError: it may have been accepted; it must not be sent again.
            FalError: the queue refused it; nothing was accepted.
        """
        ask = Ask(
            "POST",
            f"{self._hosts.queue}/{EndpointId.parse(endpoint_id)}",
            subject=endpoint_id,
            params=({"fal_webhook": webhook_url} if webhook_url else {}) | options.params(),
            headers={"Content-Type": "application/json"} | options.headers(queued=True),
            content=encoded(endpoint_id, arguments),
        )
        return _accepted(await self.sender.paid(ask), endpoint_id)

    async def run(
        self, endpoint_id: str, arguments: Mapping[str, Any], *, options: CallOptions = PLAIN
    ) -> Result:
        """Run a model directly, which is paid for, and return its output when it is there.

        Sent again as a submit is: only after failed connections and after 429. There is no bound on
        the time; a cancelled call closes the connection, which cancels the run (documented).

        Raises:
            NotSentError: no connection was ever made; nothing was accepted.
            LostAnswerError: the work may be done and charged, but its output is lost.
            FalError: the model or the platform refused or failed.
        """
        return await self._direct.run(endpoint_id, arguments, options)

    @asynccontextmanager
    async def stream(
        self, endpoint_id: str, arguments: Mapping[str, Any], *, options: CallOptions = PLAIN
    ) -> AsyncGenerator[Events]:
        """Start a model that streams, which is paid for, and yield its output as it comes.

        Each event is one JSON document; the last has usually the shape of the whole output. Only
        some models have a ``/stream``. Entering raises what `run` raises.

        Raises:
            NetworkError: while iterating, the stream broke; what was read stands.
            PlatformError: while iterating, it is no stream, or ended without an event.
        """
        async with self._direct.stream(endpoint_id, arguments, options) as events:
            yield events

    async def status(self, endpoint_id: str, request_id: str, *, logs: bool = True) -> Status:
        """Return where a request stands; judged by the body, since the HTTP status varies.

        Raises:
            NotFoundError: the queue does not know the request.
            FalError: the status cannot be read now.
        """
        ask = self._ask("GET", endpoint_id, request_id, "/status", logs=logs)
        return await self.sender.read(ask, lambda answer: wire.status(answer.json()))

    @asynccontextmanager
    async def watch(
        self, endpoint_id: str, request_id: str, *, logs: bool = True
    ) -> AsyncGenerator[AsyncIterator[Status]]:
        """Yield the stream of states of a request, which ends after the completed one.

        Log lines may come whole or only as they are new (an open question): tell them apart by time
        and message. Entering raises what `status` raises.

        Raises:
            NetworkError: while iterating, the stream broke, or ended before the request did.
            PlatformError: while iterating, it is no stream.
        """
        ask = self._ask("GET", endpoint_id, request_id, "/status/stream", logs=logs)
        ask = replace(ask, headers={"Accept": "text/event-stream"})
        async with (
            self.sender.stream(ask) as stream,
            aclosing(_states(stream.data(), endpoint_id)) as states,
        ):
            yield states

    async def result(self, endpoint_id: str, request_id: str) -> Result:
        """Return the output of a completed request.

        "Still in progress" (400, or the status in place of the output) is asked again a few times,
        an untyped 5xx as long as the policy allows.

        Raises:
            FalError: the model failed, or there is no result; of the class that says why.
        """
        ask = replace(self._ask("GET", endpoint_id, request_id, ""), expects=(400,))
        pauses = self._policy.pauses()
        while True:
            result = await self.sender.read(
                ask, lambda answer: _result(answer, endpoint_id), "result"
            )
            if isinstance(result, Result):
                return result if result.request_id else replace(result, request_id=request_id)
            if not await pauses.again(tries=self._policy.few):
                raise PlatformError(
                    f"{endpoint_id}: the request has no result yet",
                    hint="wait until its status is completed",
                    charged=None,
                )

    async def cancel(self, endpoint_id: str, request_id: str) -> Cancellation:
        """Ask the queue to cancel a request; only its later status tells what came of that.

        Raises:
            FalError: the queue cannot be asked now.
        """
        ask = replace(self._ask("PUT", endpoint_id, request_id, "/cancel"), expects=(400, 404))
        return await self.sender.read(ask, _cancellation)

    async def upload(
        self, path: Path, *, media_type: str, file_name: str, lifecycle: Lifecycle | None = None
    ) -> Uploaded:
        """Store the file at *path* with fal and return the URL under which models can read it.

        Files over 100 MB go in parts of 10 MB, at most four at a time; none is in memory whole. The
        URL is public to whoever knows it, unless *lifecycle* says otherwise. *file_name* is cut to
        what a header can carry.

        Raises:
            MediaError: the file cannot be read, or changed on the way.
            FalError: fal did not take it.
        """
        return await self._uploads.upload(path, media_type, file_name, lifecycle)

    async def download(self, url: str, target: Path, *, max_bytes: int | None = None) -> Downloaded:
        """Write what lies at *url* (http, https or data) to *target*, replacing what it holds.

        No key is sent. A host that is not one of the configured ones must answer over https and not
        lie in a private network, and so must each of at most five redirects. A broken transfer goes
        on where it broke, if the host can; the length is checked. After a failure *target* may hold
        a part.

        Raises:
            NotFoundError: there is nothing (any more).
            TooLargeError: it is longer than *max_bytes*.
            MediaError: the address may not be read, or *target* not written.
            FalError: the host did not deliver.
        """
        return await self._downloads.download(url, target, max_bytes)

    async def past_requests(self, endpoint_id: str, since: datetime) -> tuple[PastRequest, ...]:
        """Return the account's requests to an endpoint since an instant, with their arguments.

        Whether a submit with a lost answer was accepted shows here, minutes later at the worst.
        At most 1,000 are read. The key needs the permission ``models:requests:read``.

        Raises:
            FalError: the history cannot be read.
        """
        requests: list[PastRequest] = []
        cursor = ""
        for _ in range(_PAGES):
            params = {
                "endpoint_id": endpoint_id,
                "start": since.isoformat(),
                "expand": "payloads",
                "limit": "100",
            }
            ask = Ask(
                "GET",
                f"{self._hosts.api}/models/requests/by-endpoint",
                subject="the request history",
                params=params | ({"cursor": cursor} if cursor else {}),
            )
            page, cursor = await self.sender.read(
                ask, lambda answer: wire.past_requests(answer.json())
            )
            requests += page
            if not cursor:
                break
        return tuple(requests)

    def _ask(
        self, method: str, endpoint_id: str, request_id: str, step: str, *, logs: bool | None = None
    ) -> Ask:
        """Return a request about a request; its address is always built here.

        The submit's answer holds addresses too. They are never used: rebuilding is documented (only
        the owner and alias of the id are kept), and no answer can then send the key elsewhere.
        """
        app = EndpointId.parse(endpoint_id).app
        if not wire.REQUEST_ID.match(request_id):
            raise NotFoundError(f"{request_id[:80]!r} is not a request id")
        return Ask(
            method,
            f"{self._hosts.queue}/{app}/requests/{quote(request_id)}{step}",
            subject=endpoint_id,
            params={} if logs is None else {"logs": "1" if logs else "0"},
        )


def _accepted(answer: Answer, endpoint_id: str) -> Submission:
    """Return the submission that *answer* to a submit means.

    Raises:
        LostAnswerError: it leaves open whether the request was accepted.
        FalError: the request was refused.
    """
    if answer.ok:
        try:
            return wire.submission(answer.json())
        except UnreadableAnswerError as error:
            why = f"{error}, although the request was accepted"
    elif 300 <= answer.status < 400:
        raise redirected(answer, endpoint_id)
    elif answer.status in UNCLEAR or _names_work(answer):
        why = f"HTTP {answer.status} leaves open whether the request was accepted"
    else:
        raise problem(answer, endpoint_id, "submit")
    lost = LostAnswerError(f"{endpoint_id}: {why}")
    lost.status = answer.status
    if answer.ok:  # the name on a failure may be that of the failure alone
        lost.request_id = answer.request_id
    raise lost


def _names_work(answer: Answer) -> bool:
    """Say whether *answer* failed in a way that does not exclude an accepted request."""
    return answer.status >= 500 and bool(answer.request_id) and not wire.fault(answer).typed


def _result(answer: Answer, endpoint_id: str) -> Result | Literal["not yet"]:
    """Return the output, or that there is none yet.

    Reading early is answered with 400 and a sentence (observed) or with the status itself.
    """
    if answer.status == 400:
        failure = problem(answer, endpoint_id, "result")
        if not failure.error_type and "in progress" in failure.message.lower():
            return "not yet"
        raise failure
    output = output_in(answer)
    if answer.status == 202 and wire.is_unfinished(output):
        return "not yet"
    return Result(output, answer.billable_units, answer.request_id)


def _cancellation(answer: Answer) -> Cancellation:
    """Return what a cancellation's answer means, by its status; the words in its body vary."""
    if answer.status == 400:
        return "already_completed"
    return "not_found" if answer.status == 404 else "requested"


async def _states(data: AsyncGenerator[str], subject: str) -> AsyncGenerator[Status]:
    """Yield the states that *data* holds, up to the completed one."""
    async with aclosing(data):
        async for text in data:
            try:
                state = wire.status(wire.read_json(text))
            except ValueError:
                continue  # a fragment says nothing; the next event or the stream's end does
            yield state
            if state.state == "completed":
                return
    raise NetworkError(
        f"{subject}: the stream of states ended before the request did", charged=None
    )
