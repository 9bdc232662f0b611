"""`HostedWork`: carries requests of the queue out in the runners that they were let into."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
import httpx
from anyio.abc import TaskGroup

from server.deploy.local.cards import split_id
from server.deploy.local.crew import Crew
from server.deploy.local.files import inward, outward
from server.deploy.local.fleet import Held
from server.deploy.local.lines import AnswerTooLargeError
from server.deploy.local.speech import Speech
from server.deploy.local.supervisor import Supervisor
from server.emulator.hosted import House
from server.emulator.hosted_rows import DISCONNECTED, body_of
from server.emulator.pace import Pace
from server.emulator.rows import SMALL_BYTES, Outcome, Row, broken
from server.emulator.runs import Ending
from server.emulator.shelf import Shelf

CANCEL_SECONDS = 5.0
SAID = "x-falkit-said"  # how many lines a request had printed when its answer began


@dataclass(slots=True)
class _Call:
    """One request in a runner; its place is taken until the app really returns."""

    row: Row
    held: Held
    over: anyio.Event = field(default_factory=anyio.Event)
    outcome: Outcome = DISCONNECTED
    is_small: bool = False  # what it answered


class HostedWork:
    """What an engine needs to work on hosted requests."""

    def __init__(
        self, house: House, supervisor: Supervisor, crew: Crew, speech: Speech, tasks: TaskGroup
    ) -> None:
        self._house = house
        self._supervisor = supervisor
        self._crew = crew
        self._speech = speech
        self._tasks = tasks

    @property
    def pace(self) -> Pace:
        """The clock of the emulator."""
        return self._house.pace

    @property
    def shelf(self) -> Shelf:
        """The files of the emulator."""
        return self._house.shelf

    async def claim(self, owner: str) -> Row | None:
        """Return a request that was let into a runner."""
        return await self._supervisor.claim(owner)

    def has_ended_late(self) -> bool:
        """Return whether the last claim ended what was not to be begun."""
        return self._house.rows.has_ended_some

    async def next_look(self) -> float | None:
        """Return in how many seconds there may be something to do."""
        return await self._supervisor.next_look()

    async def release(self, owner: str) -> None:
        """Give back what *owner* holds."""
        await self._house.store.do(self._house.rows.release, owner)

    async def carry_out(self, row: Row) -> Ending:
        """Return how *row* ends in its runner; whoever is cancelled here tells the app so."""
        held = self._supervisor.places.pop(row.request_id)
        self._speech.begin(row.request_id)
        call = _Call(row, held)
        self._tasks.start_soon(self._forward, call)
        try:
            await call.over.wait()
        except anyio.get_cancelled_exc_class():
            self._tasks.start_soon(self._tell_cancelled, call)
            raise
        await self._speech.write_down()
        return Ending(call.outcome, is_small=call.is_small)

    async def _forward(self, call: _Call) -> None:
        try:
            call.outcome = await self._answered(call)
        except httpx.HTTPError:
            if words := await self._crew.lost(call.held):
                call.outcome = broken(
                    503, "runner_disconnected", f"The runner disconnected: {words}"
                )
        except AnswerTooLargeError as problem:
            call.outcome = broken(502, "runner_incomplete_response", str(problem))
        finally:
            call.held.leave(call.row.request_id)
            call.over.set()
            if self._supervisor.has_waiting:
                self._crew.kick()  # else it is looked when the end of this one is written down

    async def _answered(self, call: _Call) -> Outcome:
        """Return what the app makes of a request.

        Raises:
            httpx.HTTPError: the connection broke.
        """
        held, row = call.held, call.row
        assert held.line is not None  # noqa: S101  # it took the call
        base = "" if held.door is None else held.door.base
        _, path = split_id(row.endpoint_id)
        limit = self._supervisor.request_seconds(held.app)
        with anyio.move_on_after(limit) as bound:
            body = inward(json.dumps(row.input).encode(), base)
            answer = await held.line.post(path, body, headers_of(row, path))
            await self._speech.settle(row.request_id, int(answer.headers.get(SAID, 0)))
            if answer.status_code == 503:
                self._crew.condemn_held(held, kill=False)
            call.is_small = len(answer.content) <= SMALL_BYTES
            return outcome_of(answer, base, self._speech.failure(row.request_id))
        assert bound.cancelled_caught  # noqa: S101  # the only way to get here
        self._crew.condemn_held(held, kill=True)
        words = f"The request ran longer than its request_timeout of {limit:g} s; its runner ended"
        return broken(504, "request_timeout", words)

    async def _tell_cancelled(self, call: _Call) -> None:
        """Post to the path at which an app hears of cancellations, if it has one."""
        if call.over.is_set() or call.held.line is None:
            return
        _, path = split_id(call.row.endpoint_id)
        with anyio.move_on_after(CANCEL_SECONDS):
            try:
                await call.held.line.post(
                    f"{path.rstrip('/')}/cancel", b"{}", headers_of(call.row, path)
                )
            except httpx.HTTPError:
                return


def headers_of(row: Row, path: str) -> dict[str, str]:
    """Return what an app is told of a request beside its input."""
    headers = {
        "x-fal-request-id": row.request_id,
        "x-fal-endpoint": path,
        "content-type": "application/json",
    }
    if lifecycle := row.options.get("lifecycle"):
        headers["x-fal-object-lifecycle-preference"] = str(lifecycle)
    return headers


def outcome_of(answer: httpx.Response, base: str, raised: str = "") -> Outcome:
    """Return the end of a request whose app, which knows the CDN as *base*, gave *answer*.

    Behind an exception that the app *raised* and no code caught, the status names it; the body is
    what fal makes of it, which does not.
    """
    status = answer.status_code
    try:
        kind = answer.headers.get("content-type", "")
        is_text = not kind or "json" in kind or kind.startswith("text/")
        body = body_of(outward(answer.content, base) if is_text else answer.content, kind)
    except ValueError:
        return broken(502, "runner_incomplete_response", "The app's answer is not JSON")
    wish = answer.headers.get("x-fal-needs-retry", "")
    if status < 400:
        return Outcome(status, body, units=_number(answer.headers.get("x-fal-billable-units")))
    words, error_type = _failure(status, body)
    if raised and status == 500:
        words = raised
    return Outcome(
        status,
        body,
        words,
        answer.headers.get("x-fal-error-type") or error_type,
        units=_number(answer.headers.get("x-fal-billable-units"), 0.0),
        needs_retry=wish in ("1", "true"),
        no_retry=wish in ("0", "false"),
    )


def _number(text: str | None, without: float = 1.0) -> float:
    try:
        return float(text) if text else without
    except ValueError:
        return without


def _failure(status: int, body: object) -> tuple[str, str]:
    """Return words and type of a failure, read from what FastAPI and fal say of it."""
    error_type = {503: "runner_server_error", 504: "request_timeout", 499: "client_cancelled"}.get(
        status, "internal_error" if status >= 500 else "bad_request"
    )
    detail: Any = cast("Mapping[str, Any]", body).get("detail") if isinstance(body, dict) else body
    listed = cast("list[Any]", detail) if isinstance(detail, list) else []
    if listed and isinstance(listed[0], dict):
        first = cast("Mapping[str, Any]", listed[0])
        where = ".".join(str(step) for step in first.get("loc", ()))
        words = str(first.get("msg") or "the input does not fit")
        return (f"{where}: {words}" if where else words), str(first.get("type") or error_type)
    return (
        str(cast("object", detail))[:1000] if detail else f"The app answered {status}"
    ), error_type
