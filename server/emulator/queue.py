"""`Queue`: submit, status, status stream, result and cancel, as fal's queue host answers them."""

import json
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from server.emulator.answers import (
    EVERY_METHOD,
    Refusal,
    base_of,
    has_key,
    json_answer,
    json_body,
)
from server.emulator.changes import Changes
from server.emulator.engine import Engine
from server.emulator.hosted import Hosted, is_hosted
from server.emulator.intake import Intake, need_key, whole_number
from server.emulator.pace import Pace
from server.emulator.places import Place, place_of
from server.emulator.reading import KEPT
from server.emulator.rows import SMALL_BYTES, Row, Rows
from server.emulator.store import Store, count
from server.emulator.telling import (
    Look,
    addresses,
    asks_for_logs,
    is_expired,
    position,
    result_answer,
    status_body,
)

PING_SECONDS = 15.0
POSITION_SECONDS = 1.0  # how often a stream looks where a waiting request stands


@dataclass(frozen=True, slots=True)
class Queue:
    """What the queue host needs; *hosted* runs applications that no catalog ships."""

    intake: Intake
    store: Store
    rows: Rows
    changes: Changes
    engine: Engine
    pace: Pace
    hosted: Hosted | None = None

    def routes(self) -> list[BaseRoute]:
        """Return the one route of the queue host, whose paths `places` reads."""
        return [Route("/queue/{path:path}", self.on_queue, methods=EVERY_METHOD)]

    async def on_queue(self, request: Request) -> Response:
        """Answer one request to the queue host."""
        place = place_of(request.method, request.url.path)
        allowed = {"submit": ("POST",), "cancel": ("PUT",)}.get(place.surface, ("GET", "HEAD"))
        if request.method not in allowed:
            raise Refusal(405, "Method Not Allowed", headers={"allow": ", ".join(allowed)})
        if self.hosted is None or has_key(request) or not self.hosted.is_public(place.name):
            need_key(request, place.name)
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

    async def _submit(self, request: Request, endpoint_id: str) -> Response:
        card = self.intake.card(endpoint_id)
        body = await json_body(request)
        seconds = self.pace.queue(card.category, card.media_out)
        wait = 0.0 if is_hosted(endpoint_id) else seconds
        submission = self.intake.submission(request, card, body, wait)
        if self.hosted is not None and is_hosted(endpoint_id):
            submission = self.hosted.terms(endpoint_id).of(submission)
        name = "fal_max_queue_length"
        longest = whole_number(request.query_params.get(name), name)
        write = self.store.do
        if len(request.scope.get(KEPT, b"")) <= SMALL_BYTES:
            write, submission = self.store.brief, submission.with_options(small=True)
        row = await write(self.rows.submit, submission, longest)
        if row is None:
            raise Refusal(429, "The queue of this endpoint is full", error_type="queue_full")
        self.engine.kick_for(row)
        ahead = await self.store.peek(self.rows.ahead, row)
        answer = {
            "status": "IN_QUEUE",
            "request_id": row.request_id,
            **addresses(row, base_of(request)),
            "queue_position": position(Look(row, (), ahead), row.created),
        }
        return json_answer(answer, 200, {"x-fal-request-id": row.request_id})

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
            while look := await self.store.peek(self._look, request_id, heard):
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
        stand = (await self._seen(place)).row
        if not stand.is_over:
            words = "Request is still in progress"
            raise Refusal(400, words, headers={"x-fal-request-id": stand.request_id})
        read = self.store.brief if stand.options.get("brief") else self.store.do
        row = await read(self._read_result, place.request_id)
        if row is None:
            raise Refusal(404, f"Request {place.request_id} not found")
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
        look = await self.store.peek(self._look, place.request_id, 0)
        if look is None:
            raise Missing(place)
        app = look.row.app
        if place.name != app and not place.name.startswith(f"{app}/"):
            raise Missing(place)
        if not look.row.is_over:
            self.engine.kick_for(look.row)
        return look

    def _look(self, request_id: str, heard: int) -> Look | None:
        """Read how a request stands; of its log only the lines after number *heard*."""
        row = self.rows.stand(request_id)
        if row is None:
            return None
        ahead = self.rows.ahead(row) if row.state == "IN_QUEUE" else 0
        return Look(row, self.rows.logs(request_id, heard), ahead)

    def _read_result(self, request_id: str) -> Row | None:
        """Read a request that is over and count that; None where its result is gone."""
        row = self.rows.find(request_id)
        if row is None or is_expired(row):
            return None
        with self.store.writing() as db:
            count(db, "results")
        return row


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


def _patience(look: Look, now: float) -> float:
    """Return how long a stream may wait before it looks again without having been told."""
    if look.row.state != "IN_QUEUE":
        return PING_SECONDS
    left = look.row.ready - now
    step = (look.row.ready - look.row.created) / 4
    return min(POSITION_SECONDS, max(step, 0.02)) if left > 0 else POSITION_SECONDS
