"""Direct calls: run a model and wait for its output, or read its output while it comes."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

from catalog.endpoint import EndpointId
from server.fal import wire
from server.fal.answered import output_in
from server.fal.options import PLAIN, CallOptions
from server.fal.problems import (
    BadInputError,
    FalError,
    LostAnswerError,
    NetworkError,
    PlatformError,
    problem,
)
from server.fal.sender import WORK_TIMEOUT, Ask, Sender, Stream, redirected
from server.fal.wire import Answer, Result, UnreadableAnswerError

# An answer of the gateway that hides what became of the work behind it.
UNCLEAR = (499, 502, 504)
_STARTED = "the work was begun and may be charged; starting it again is paid for again"


class Direct:
    """fal's run host. A call is paid for when it is accepted, and nothing remembers it.

    There is no queue, no status and no second reading: a lost answer is lost work. Too many at once
    are turned away with 429, where the queue would let them wait.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def run(
        self, endpoint_id: str, arguments: Mapping[str, Any], options: CallOptions = PLAIN
    ) -> Result:
        """Run a model and return its output; see `FalClient.run`."""
        ask = self._ask(endpoint_id, str(EndpointId.parse(endpoint_id)), arguments, options)
        return output_of(await self._sender.paid(ask, WORK_TIMEOUT), endpoint_id)

    @asynccontextmanager
    async def stream(
        self, endpoint_id: str, arguments: Mapping[str, Any], options: CallOptions = PLAIN
    ) -> AsyncGenerator["Events"]:
        """Yield the events of a model's output; see `FalClient.stream`."""
        parsed = EndpointId.parse(endpoint_id)
        path = str(parsed)
        if parsed.path.rpartition("/")[2] != "stream":
            path = f"{path}/stream"
        ask = self._ask(endpoint_id, path, arguments, options, accept="text/event-stream")
        async with self._sender.paid_stream(ask) as opened:
            if isinstance(opened, Answer):
                raise failure_of(opened, endpoint_id)
            async with aclosing(_events(opened, endpoint_id)) as events:
                yield Events(events, opened.head)

    def _ask(
        self,
        endpoint_id: str,
        path: str,
        arguments: Mapping[str, Any],
        options: CallOptions,
        accept: str = "application/json",
    ) -> Ask:
        headers = {"Accept": accept, "Content-Type": "application/json"}
        return Ask(
            "POST",
            f"{self._sender.hosts.run}/{path}",
            subject=endpoint_id,
            headers=headers | options.headers(queued=False),
            content=encoded(endpoint_id, arguments),
        )


class Events(AsyncIterator[Any]):
    """A model's output while it comes; *head* are the status and headers before the first event."""

    def __init__(self, events: AsyncIterator[Any], head: Answer) -> None:
        self._events = events
        self.head = head

    async def __anext__(self) -> Any:  # noqa: ANN401  # the JSON border
        return await anext(self._events)


def encoded(endpoint_id: str, arguments: Mapping[str, Any]) -> bytes:
    """Return *arguments* as the bare JSON body, without any wrapper.

    Raises:
        BadInputError: they are not JSON; nothing was sent.
    """
    try:
        return wire.encoded(arguments)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInputError(
            f"{endpoint_id}: the arguments cannot be sent as JSON: {str(error)[:120]}",
            hint="use text, numbers, lists and objects; nothing was sent",
        ) from None


def output_of(answer: Answer, endpoint_id: str) -> Result:
    """Return the output that *answer* to a direct call holds.

    Raises:
        LostAnswerError: the work may be done and charged, but its output is lost.
        FalError: the model or the platform refused or failed.
    """
    if not answer.ok:
        raise failure_of(answer, endpoint_id)
    try:
        return Result(output_in(answer), answer.billable_units, answer.request_id)
    except UnreadableAnswerError as error:
        raise _lost(answer, endpoint_id, f"{error}, although the work was done") from None


def failure_of(answer: Answer, endpoint_id: str) -> FalError:
    """Return the error of a direct call that failed.

    A 499, 502 or 504 without a type of the platform's own, and an untyped 5xx that names a request,
    leave open whether a runner did the work.
    """
    if 300 <= answer.status < 400:
        return redirected(answer, endpoint_id)
    said = wire.fault(answer)
    typed = said.typed or "x-fal-request-timeout-type" in answer.headers
    named = answer.status >= 500 and bool(answer.request_id)
    if not typed and (answer.status in UNCLEAR or (named and not said.message)):
        why = f"HTTP {answer.status} leaves open whether the work was done"
        return _lost(answer, endpoint_id, why)
    return problem(answer, endpoint_id, "result")


def _lost(answer: Answer, endpoint_id: str, why: str) -> LostAnswerError:
    lost = LostAnswerError(f"{endpoint_id}: {why}")
    lost.status = answer.status
    lost.request_id = answer.request_id
    lost.units = answer.billable_units
    return lost


async def _events(stream: Stream, subject: str) -> AsyncGenerator[Any]:
    """Yield each event's data as JSON, to the end of the stream or a ``[DONE]``.

    Raises:
        FalError: the model failed on the way, and said so in an event of the name ``error``.
        NetworkError: the stream broke.
        PlatformError: an event is not JSON, or there was none.
    """
    number = 0
    failure: FalError | None = None
    try:
        async with aclosing(stream.events()) as data:
            async for name, text in data:
                if text.strip() == "[DONE]":  # not fal's, but apps that speak as others do say it
                    break
                number += 1
                document = _document(text, number, subject)
                if name == "error" and (failure := _told_failure(document, text, subject)):
                    break
                yield document
    except (NetworkError, PlatformError) as error:
        failure = type(error)(error.message, hint=_STARTED, charged=None, retry_helps=False)
    except UnreadableAnswerError as error:
        failure = _unusable(f"{subject}: {error}")
    if failure is None and number == 0:
        failure = _unusable(f"{subject}: the stream ended without an event")
    if failure is not None:
        raise failure


def _told_failure(document: object, text: str, subject: str) -> FalError | None:
    """Return the failure that an ``error`` event tells; its HTTP status is not known."""
    if not isinstance(document, dict) or "detail" not in document:
        return None
    is_models = isinstance(cast("dict[str, Any]", document)["detail"], list)
    error = problem(Answer(422 if is_models else 500, {}, text.encode()), subject, "result")
    error.status, error.charged = None, None
    return error


def _unusable(words: str) -> PlatformError:
    return PlatformError(words, hint=_STARTED, charged=None, retry_helps=False)


def _document(text: str, number: int, subject: str) -> Any:  # noqa: ANN401  # the JSON border
    try:
        return wire.read_json(text)
    except ValueError:
        raise UnreadableAnswerError(f"event {number} of the stream is not JSON") from None
