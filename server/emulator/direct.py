"""`Direct`: the run host, where a caller waits for the output, whole or in events."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

import anyio
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Send

from catalog.card import ModelCard
from server.emulator.access import may_call
from server.emulator.answers import EVERY_METHOD, Refusal, base_of, json_body
from server.emulator.changes import Changes
from server.emulator.engine import Engine
from server.emulator.hosted import Hosted
from server.emulator.intake import Intake
from server.emulator.places import place_of
from server.emulator.rows import Outcome, Row, Rows
from server.emulator.shelf import with_base
from server.emulator.store import Store
from server.emulator.telling import result_answer, result_headers

LOOK_SECONDS = 15.0
PING_SECONDS = 10.0  # one client gives a stream up that says nothing for 15
STREAM = "/stream"

DISCONNECTED = Outcome(
    499,
    {"detail": "Client disconnected", "error_type": "client_disconnected"},
    "Client disconnected",
    "client_disconnected",
)


@dataclass(frozen=True, slots=True)
class Direct:
    """What calls that wait for their output need. A caller who leaves cancels the request.

    Calls of what *hosted* runs are its own to answer.
    """

    intake: Intake
    store: Store
    rows: Rows
    changes: Changes
    engine: Engine
    hosted: Hosted | None = None

    def routes(self) -> list[BaseRoute]:
        """Return the one route of the run host."""
        return [Route("/run/{path:path}", self.on_run, methods=EVERY_METHOD)]

    async def on_run(self, request: Request) -> Response:
        """Answer one request to the run host. Over the concurrency it is refused at once."""
        name = place_of(request.method, request.url.path).name
        if self.hosted is not None and self.hosted.knows(name):
            self.need_access(request, name)
            return await self.hosted.run(request, name)
        if request.method != "POST":
            raise Refusal(405, "Method Not Allowed", headers={"allow": "POST"})
        streamed = self.streamed(name)
        self.need_access(request, name)
        card = streamed or self.intake.card(name)
        body = await json_body(request)
        row = await self.begin(request, card, body, streams=streamed is not None)
        if streamed:
            return await self._stream(request, row)
        return result_answer(await self._while_heard(request, row), base_of(request))

    def streamed(self, name: str) -> ModelCard | None:
        """Return the card whose output *name* asks for in events, None where it does not."""
        if not name.endswith(STREAM):
            return None
        return self.intake.knows(name.removesuffix(STREAM)) or self.intake.knows(name)

    def need_access(self, asked: HTTPConnection, name: str) -> None:
        """Refuse with 401 whoever has neither a key nor a token for this application."""
        if not self.lets_in(asked, name):
            words = f'Cannot access application "{name}". Authentication is required.'
            raise Refusal(401, words)

    def lets_in(self, asked: HTTPConnection, name: str) -> bool:
        """Return whether the caller may call *name*: by key, by token, or since anybody may."""
        if may_call(asked, self.store.secret, name):
            return True
        return self.hosted is not None and self.hosted.is_public(name)

    async def begin(
        self,
        asked: HTTPConnection,
        card: ModelCard,
        body: Any,  # noqa: ANN401  # JSON
        *,
        streams: bool = False,
        realtime: bool = False,
    ) -> Row:
        """Write the request down and have it worked on.

        Raises:
            Refusal: 429; as many requests as the account may have are under way.
        """
        if await self.store.do(self.rows.running) >= self.rows.concurrency:
            words = "Too many concurrent requests: the limit of this account is reached"
            raise Refusal(429, words, error_type="concurrent_requests_limit")
        submission = self.intake.submission(asked, card, body)
        submission = submission.with_options(direct=True, stream=streams, realtime=realtime)
        row = await self.store.do(self.rows.submit, submission)
        assert row is not None  # noqa: S101  # only a bounded queue refuses
        self.engine.kick()
        return row

    async def outcome(self, row: Row) -> Row:
        """Return *row* when it is over; whoever is cancelled here cancels the request."""
        try:
            async with self.changes.watch(row.request_id) as watch:
                # It may have changed since it was read, and a watch tells only of what comes.
                row = await self.store.do(self.rows.find, row.request_id) or row
                while not row.is_over:
                    await watch.wait(LOOK_SECONDS)
                    row = await self.store.do(self.rows.find, row.request_id) or row
        finally:
            await self.leave(row)
        return row

    async def leave(self, row: Row) -> None:
        """Cancel a request that nobody waits for any longer, if it is not over."""
        if row.is_over:
            return
        with anyio.CancelScope(shield=True):
            await self.store.do(self.rows.cancel, row.request_id, DISCONNECTED)
            self.engine.drop(row.request_id)

    async def parts(self, row: Row) -> AsyncGenerator[Any]:
        """Yield what *row* has to show before its end, as it comes, and then the ended row.

        None now and then says that it is still under way.
        """
        heard, spoke = 0, anyio.current_time()
        try:
            async with self.changes.watch(row.request_id) as watch:
                while True:
                    row = await self.store.do(self.rows.find, row.request_id) or row
                    for number, part in await self.store.do(self.rows.parts, row.request_id, heard):
                        heard, spoke = number, anyio.current_time()
                        yield part
                    if row.is_over:
                        break
                    await watch.wait(PING_SECONDS)
                    if anyio.current_time() - spoke >= PING_SECONDS:
                        spoke = anyio.current_time()
                        yield None
        finally:
            await self.leave(row)
        yield row

    async def events(self, row: Row, base: str) -> AsyncGenerator[str]:
        """Yield the parts of *row* and its whole output as server-sent events.

        There is no word for the end besides the end of the stream. A failure in the middle is an
        event named ``error`` with the body that the result would have.
        """
        async with aclosing(self.parts(row)) as parts:
            async for part in parts:
                if isinstance(part, Row):
                    failed = "" if part.status_code == 200 else "event: error\n"
                    yield f"{failed}data: {json.dumps(with_base(part.output, f'{base}/cdn'))}\n\n"
                elif part is None:
                    yield ": still here\n\n"
                else:
                    yield f"data: {json.dumps(with_base(part, f'{base}/cdn'))}\n\n"

    async def _stream(self, request: Request, row: Row) -> Response:
        """Answer with events; what fails before the first of them is an answer as on `run`."""
        base = base_of(request)
        early = await self._while_heard(request, row, until_part=True)
        if early.is_over and early.status_code != 200:
            return result_answer(early, base)
        return ClosingStream(
            self.events(early, base),
            media_type="text/event-stream",
            headers={
                "cache-control": "no-cache",
                **result_headers(row),
            },
        )

    async def _while_heard(self, request: Request, row: Row, *, until_part: bool = False) -> Row:
        """Return *row* when it is over, or shows a first part; cancel it when its caller leaves."""
        with anyio.CancelScope() as hearing:

            async def listen() -> None:
                while (await request.receive())["type"] != "http.disconnect":
                    continue
                hearing.cancel()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listen)
                row = await (self._first(row) if until_part else self.outcome(row))
                tasks.cancel_scope.cancel()
        if hearing.cancelled_caught:
            raise Refusal(499, "Client disconnected", error_type="client_disconnected")
        return row

    async def _first(self, row: Row) -> Row:
        """Return *row* once it has a part to show, or is over."""
        reached = False
        try:
            async with self.changes.watch(row.request_id) as watch:
                row = await self.store.do(self.rows.find, row.request_id) or row
                while not row.is_over:
                    if await self.store.do(self.rows.parts, row.request_id, 0):
                        break
                    await watch.wait(LOOK_SECONDS)
                    row = await self.store.do(self.rows.find, row.request_id) or row
            reached = True
        finally:
            if not reached:
                await self.leave(row)
        return row


class ClosingStream(StreamingResponse):
    """Ends what makes its parts as soon as its reader is gone, not when it is next collected."""

    async def stream_response(self, send: Send) -> None:
        parts = cast("AsyncGenerator[str]", self.body_iterator)  # all of ours are
        async with aclosing(parts):
            await super().stream_response(send)
