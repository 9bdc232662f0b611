"""`Queue`: submit, run, status, status stream, result and cancel, as fal's hosts answer them."""

import json
import time
from bisect import bisect_left
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from catalog.card import ModelCard
from catalog.endpoint import EndpointId
from catalog.errors import ActionableError
from catalog.index import CatalogIndex
from server.emulator.answers import Refusal, base_of, has_key, json_answer, json_body
from server.emulator.changes import Changes
from server.emulator.engine import Engine
from server.emulator.pace import Pace
from server.emulator.places import Place, place_of
from server.emulator.rows import Outcome, Row, Rows, Submission
from server.emulator.store import Store, count
from server.emulator.telling import (
    Look,
    addresses,
    asks_for_logs,
    position,
    result_answer,
    status_body,
)

PING_SECONDS = 15.0
POSITION_SECONDS = 1.0  # how often a stream looks where a waiting request stands
RESULT_SECONDS = 3600.0  # how long a result lives without payload storage (documented)
LARGE_RESULT_SECONDS = 360.0  # the same, from 10 KB on
LARGE_RESULT_BYTES = 10_240

DISCONNECTED = Outcome(
    499,
    {"detail": "Client disconnected", "error_type": "client_disconnected"},
    "Client disconnected",
    "client_disconnected",
)


@dataclass(frozen=True, slots=True)
class Queue:
    """What the queue host and the run host need."""

    catalog: CatalogIndex
    store: Store
    rows: Rows
    changes: Changes
    engine: Engine
    pace: Pace

    async def on_queue(self, request: Request) -> Response:
        """Answer one request to the queue host."""
        place = place_of(request.method, request.url.path)
        allowed = {"submit": ("POST",), "cancel": ("PUT",)}.get(place.surface, ("GET", "HEAD"))
        if request.method not in allowed:
            raise Refusal(405, "Method Not Allowed", headers={"allow": ", ".join(allowed)})
        _need_key(request, place.name)
        match place.surface:
            case "submit":
                return await self._submit(request, place.name)
            case "status":
                return await self._status(request, place)
            case "stream":
                return await self._stream(request, place)
            case "cancel":
                return await self._cancel(place)
            case _:
                return await self._result(request, place)

    async def on_run(self, request: Request) -> Response:
        """Answer one request to the run host: it waits for the output.

        A caller who leaves cancels the request. Over the concurrency it is refused at once.
        """
        name = place_of(request.method, request.url.path).name
        if request.method != "POST":
            raise Refusal(405, "Method Not Allowed", headers={"allow": "POST"})
        _need_key(request, name)
        card = self._card(name)
        body = await json_body(request)
        if await self.store.do(self.rows.running) >= self.rows.concurrency:
            words = "Too many concurrent requests: the limit of this account is reached"
            raise Refusal(429, words, error_type="concurrent_requests_limit")
        row = await self.store.do(self.rows.submit, self._submission(request, card, body, 0.0))
        assert row is not None  # noqa: S101  # only a bounded queue refuses
        self.engine.kick()
        return await self._outlast(request, row)

    async def _submit(self, request: Request, endpoint_id: str) -> Response:
        card = self._card(endpoint_id)
        body = await json_body(request)
        wait = self.pace.queue(card.category, card.media_out)
        submission = self._submission(request, card, body, wait)
        longest = _number(request.query_params.get("fal_max_queue_length"), "fal_max_queue_length")
        row = await self.store.do(
            self.rows.submit, submission, None if longest is None else int(longest)
        )
        if row is None:
            raise Refusal(429, "The queue of this endpoint is full", error_type="queue_full")
        self.engine.kick()
        ahead = await self.store.do(self.rows.ahead, row)
        answer = {
            "status": "IN_QUEUE",
            "request_id": row.request_id,
            **addresses(row, base_of(request)),
            "queue_position": position(Look(row, (), ahead), row.created),
        }
        return json_answer(answer, 200, {"x-fal-request-id": row.request_id})

    def _submission(
        self,
        request: Request,
        card: ModelCard,
        body: Any,  # noqa: ANN401  # JSON
        wait: float,
    ) -> Submission:
        headers = request.headers
        options: dict[str, Any] = {"faults": request.scope.get("emulator.faults", {})}
        if lifecycle := headers.get("x-fal-object-lifecycle-preference"):
            options["lifecycle"] = lifecycle
        if headers.get("x-fal-store-io") == "0":
            options["store_io"] = False
        if webhook := request.query_params.get("fal_webhook"):
            options["webhook"] = webhook
        return Submission(
            endpoint_id=card.endpoint_id,
            app=EndpointId.parse(card.endpoint_id).app,
            input=body,
            wait=wait,
            start_within=_number(headers.get("x-fal-request-timeout"), "X-Fal-Request-Timeout"),
            low_priority=headers.get("x-fal-queue-priority") == "low",
            options=options,
        )

    async def _outlast(self, request: Request, row: Row) -> Response:
        """Return the result of *row* when it is over; cancel it when the caller leaves first."""

        async def listen() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                continue
            await self.store.do(self.rows.cancel, row.request_id, DISCONNECTED)
            self.engine.drop(row.request_id)

        async with (
            self.changes.watch(row.request_id) as watch,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(listen)
            while not row.is_over:
                await watch.wait(PING_SECONDS)
                row = await self.store.do(self.rows.find, row.request_id) or row
            tasks.cancel_scope.cancel()
        return result_answer(row, base_of(request))

    async def _status(self, request: Request, place: Place) -> Response:
        look = await self._seen(place)
        with_logs = asks_for_logs(request.query_params)
        body = status_body(look, base_of(request), time.time(), with_logs=with_logs)
        status = 200 if look.row.is_over else 202
        return json_answer(body, status, {"x-fal-request-id": look.row.request_id})

    async def _stream(self, request: Request, place: Place) -> Response:
        row = (await self._seen(place)).row
        with_logs = asks_for_logs(request.query_params)
        return StreamingResponse(
            self._events(row.request_id, base_of(request), with_logs=with_logs),
            media_type="text/event-stream",
            headers={"cache-control": "no-cache", "x-fal-request-id": row.request_id},
        )

    async def _events(self, request_id: str, base: str, *, with_logs: bool) -> AsyncGenerator[str]:
        """Yield a status whenever it changes, with the log lines that are new, up to the last."""
        said: dict[str, Any] = {}
        heard, spoke = 0, time.time()
        async with self.changes.watch(request_id) as watch:
            while look := await self.store.do(self._look, request_id, heard):
                now = time.time()
                body = status_body(look, base, now, with_logs=with_logs)
                if body != said:
                    yield f"data: {json.dumps(body)}\n\n"
                    spoke = now
                elif now - spoke >= PING_SECONDS:
                    yield ": still here\n\n"
                    spoke = now
                if look.row.is_over:
                    return
                heard = look.logs[-1].seq if look.logs else heard
                said = {**body, "logs": []} if body.get("logs") else body
                await watch.wait(_patience(look, now))

    async def _result(self, request: Request, place: Place) -> Response:
        row = (await self._seen(place)).row
        if not row.is_over:
            words = "Request is still in progress"
            raise Refusal(400, words, headers={"x-fal-request-id": row.request_id})
        if _is_expired(row):
            raise Refusal(404, f"Request {place.request_id} not found")
        await self.store.do(self._count_result)
        return result_answer(row, base_of(request))

    async def _cancel(self, place: Place) -> Response:
        await self._seen(place)
        answer = await self.store.do(self.rows.cancel, place.request_id)
        if answer == "CANCELLATION_REQUESTED":
            self.engine.drop(place.request_id)
        status = {"CANCELLATION_REQUESTED": 202, "ALREADY_COMPLETED": 400}.get(answer, 404)
        return json_answer({"status": answer}, status, {"x-fal-request-id": place.request_id})

    async def _seen(self, place: Place) -> Look:
        """Return the request that *place* names, and see to it that it is worked on.

        Raises:
            Missing: there is no such request under that name.
        """
        look = await self.store.do(self._look, place.request_id, 0)
        if look is None:
            raise Missing(place)
        app = look.row.app
        if place.name != app and not place.name.startswith(f"{app}/"):
            raise Missing(place)
        if not look.row.is_over:
            self.engine.kick()
        return look

    def _look(self, request_id: str, heard: int) -> Look | None:
        """Read a request; of its log only the lines after number *heard*."""
        row = self.rows.find(request_id)
        if row is None:
            return None
        ahead = self.rows.ahead(row) if row.state == "IN_QUEUE" else 0
        return Look(row, self.rows.logs(request_id, heard), ahead)

    def _count_result(self) -> None:
        with self.store.writing() as db:
            count(db, "results")

    def _card(self, endpoint_id: str) -> ModelCard:
        """Return the card under exactly this id.

        Raises:
            Refusal: 404; there is no such application, or it has no such path.
        """
        card = self.catalog.find(endpoint_id)
        if card is not None and card.endpoint_id == endpoint_id and not card.seed_only:
            return card
        try:
            parsed = EndpointId.parse(endpoint_id)
        except ActionableError:
            raise Refusal(404, f'Application "{endpoint_id}" not found') from None
        ids = self.catalog.ids
        place = bisect_left(ids, f"{parsed.app}/")
        if parsed.path and place < len(ids) and ids[place].startswith(f"{parsed.app}/"):
            headers = {"x-fal-billable-units": "0"}
            raise Refusal(404, f"Path /{parsed.path} not found", headers=headers)
        raise Refusal(404, f'Application "{parsed.alias}" not found')


class Missing(Refusal):
    """There is no such request."""

    def __init__(self, place: Place) -> None:
        super().__init__(404, f"Request {place.request_id} not found")
        self.surface = place.surface


def missing_answer(_: Request, missing: Exception) -> Response:
    """Return 404; status and cancel say it in their own field."""
    assert isinstance(missing, Missing)  # noqa: S101  # registered for this class alone
    body = {"detail": missing.detail} if missing.surface == "result" else {"status": "NOT_FOUND"}
    return json_answer(body, 404)


def _need_key(request: Request, name: str) -> None:
    if not has_key(request):
        words = f'Cannot access application "{name}". Authentication is required.'
        raise Refusal(401, words)


def _number(given: str | None, name: str) -> float | None:
    """Return a number that a caller gave, or None.

    Raises:
        Refusal: 400; it is not a number, or below zero.
    """
    if given is None:
        return None
    try:
        number = float(given)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e9:
        raise Refusal(400, f"{name} is not a number of zero or more", error_type="bad_request")
    return number


def _patience(look: Look, now: float) -> float:
    """Return how long a stream may wait before it looks again without having been told."""
    if look.row.state != "IN_QUEUE":
        return PING_SECONDS
    left = look.row.ready - now
    step = (look.row.ready - look.row.created) / 4
    return min(POSITION_SECONDS, max(step, 0.02)) if left > 0 else POSITION_SECONDS


def _is_expired(row: Row) -> bool:
    """Return whether the result of a request without payload storage is gone."""
    if row.options.get("store_io", True) or row.ended is None:
        return False
    large = len(json.dumps(row.output)) >= LARGE_RESULT_BYTES
    return time.time() - row.ended > (LARGE_RESULT_SECONDS if large else RESULT_SECONDS)
