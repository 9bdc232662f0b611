"""`Deliveries`: what fal tells `/webhooks/fal` of jobs that have ended."""

import logging

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from catalog.errors import ActionableError
from server.fal.problems import NetworkError
from server.fal.webhooks import UnprovenWebhookError, Webhooks
from tools.ports import Rooms

log = logging.getLogger("falkit.server.deliveries")

# A delivery carries a model's answer; strangers must not fill the memory with what is none.
LARGEST = 2 * 2**20
MOST_AT_ONCE = 16
SIGNED_HEADERS = tuple(
    f"x-fal-webhook-{name}" for name in ("request-id", "user-id", "timestamp", "signature")
)
HEARD_WITHIN = 10.0  # fal gives up on an answer after 15 seconds


class Deliveries:
    """Hears deliveries that *webhooks* proves to be fal's, and looks at their jobs."""

    def __init__(self, rooms: Rooms, webhooks: Webhooks) -> None:
        self._jobs = rooms.jobs
        self._webhooks = webhooks
        self._limiter = anyio.CapacityLimiter(MOST_AT_ONCE)

    async def hear(self, request: Request) -> Response:
        """Answer a delivery, a few at a time; fal sends again what is turned away."""
        if not self._limiter.available_tokens:
            return _refused(503, "too many deliveries at once", {"retry-after": "5"})
        async with self._limiter:
            return await self._heard(request)

    async def _heard(self, request: Request) -> Response:
        """Look at the job now, as if somebody waited for it.

        What a delivery says is not believed beyond that, so that one that is repeated, late or of
        another job does nothing.
        """
        if not all(request.headers.get(name) for name in SIGNED_HEADERS):
            return _refused(401, "not proven to be fal's")
        try:
            job = await self._jobs.find(request.query_params.get("job", ""))
        except ActionableError:
            return _refused(404, "no such job here")
        body = await _body(request)
        if isinstance(body, Response):
            return body
        try:
            told = await self._webhooks.verify(request.headers, body)
            job = await self._jobs.find(job.job_id)
            if job.request_id not in (told.request_id, told.gateway_request_id):
                return _refused(409, "that is another job's request")
            await self._jobs.wait(job.job_id, HEARD_WITHIN)
        except UnprovenWebhookError as problem:
            log.warning("a delivery to /webhooks/fal is not fal's: %s", problem)
            return _refused(401, "not proven to be fal's")
        except NetworkError:
            return _refused(503, "fal's keys cannot be had now")
        except ActionableError:
            return _refused(404, "no such job here")
        return JSONResponse({"status": "ok"})


async def _body(request: Request) -> bytes | Response:
    """Return the body of a delivery, or why it is not heard: too large, too slow, broken off."""
    body = bytearray()
    with anyio.move_on_after(HEARD_WITHIN):
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST:
                    return _refused(413, "too large")
        except ClientDisconnect:
            return Response(status_code=400)
        return bytes(body)
    return _refused(408, "too slow")


def _refused(status: int, why: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": why}, status, headers)
