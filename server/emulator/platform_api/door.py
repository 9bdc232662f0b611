"""`Door`: what every operation of the platform API has in common, from the key to the answer."""

import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, TypeVarTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from catalog.card import ModelCard
from catalog.index import CatalogIndex
from server.emulator.answers import ApiRefusal, json_answer
from server.emulator.platform_api.asked import Asked
from server.emulator.platform_api.callers import Caller, caller_of, key_parts
from server.emulator.platform_api.tables import prepare
from server.emulator.store import Store

BASE = "/api/v1"
REMEMBERED_SECONDS = 600.0  # how long an answer is kept under its idempotency key (documented)
LONGEST_IDEMPOTENCY_KEY = 255

T = TypeVar("T")
Given = TypeVarTuple("Given")
Handler = Callable[[Asked], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Reply:
    """What an operation answers when it succeeds; a body of None goes with 204."""

    body: Any
    status: int = 200


@dataclass(frozen=True, slots=True)
class Door:
    """The state of one folder, as the operations of the platform API reach it."""

    catalog: CatalogIndex
    store: Store
    _ready: list[bool] = field(default_factory=list[bool])

    def route(self, method: str, path: str, handler: Handler, permission: str = "") -> Route:
        """Return a route whose handler is reached with a key that has *permission* only.

        Without a *permission* no key is needed.
        """

        async def endpoint(request: Request) -> Response:
            return await handler(Asked(request, await self._admitted(request, permission)))

        return Route(f"{BASE}{path}", endpoint, methods=[method])

    async def _admitted(self, request: Request, permission: str) -> Caller:
        """Return who calls.

        Raises:
            ApiRefusal: 401 without a good key, 403 where the key may not do this.
        """
        parts = key_parts(request)
        if not permission and parts is None:
            return Caller("", "", ())
        caller = await self.do(caller_of, self.store, parts)
        if permission and not caller.may(permission):
            raise ApiRefusal(403, f"Missing permission {permission}")
        return caller

    async def do(self, work: Callable[[*Given], T], *given: *Given) -> T:
        """Return ``work(*given)``, run while nothing else of this process's store runs."""
        if not self._ready:
            await self.store.do(prepare, self.store)
            self._ready.append(True)
        return await self.store.do(work, *given)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what *work* makes of the database, in one transaction."""

        def whole() -> T:
            with self.store.writing() as db:
                return work(db)

        return await self.do(whole)

    async def change(self, asked: Asked, work: Callable[[sqlite3.Connection], Reply]) -> Response:
        """Answer with what *work* did, in one transaction, once for each ``Idempotency-Key``.

        The same caller, operation and key within ten minutes gets the same answer, and nothing is
        done again; whether the body was the same is not looked at. Refusals are not kept.
        """
        key = asked.request.headers.get("idempotency-key", "")
        if len(key) > LONGEST_IDEMPOTENCY_KEY:
            raise ApiRefusal(400, f"Idempotency-Key: at most {LONGEST_IDEMPOTENCY_KEY} characters")
        operation = f"{asked.request.method} {asked.request.url.path}"
        place = (asked.caller.key_id, operation, key)

        def once(db: sqlite3.Connection) -> Reply:
            if not key:
                return work(db)
            now = time.time()
            db.execute("DELETE FROM answered WHERE at < ?", (now - REMEMBERED_SECONDS,))
            known = db.execute(
                "SELECT status, body FROM answered WHERE caller = ? AND operation = ? AND key = ?",
                place,
            ).fetchone()
            if known is not None:
                return Reply(json.loads(known["body"]), known["status"])
            reply = work(db)
            body = json.dumps(reply.body)
            db.execute(
                "INSERT INTO answered VALUES (?, ?, ?, ?, ?, ?)", (*place, now, reply.status, body)
            )
            return reply

        return answer(await self.write(once))

    def card(self, endpoint_id: str) -> ModelCard:
        """Return the card under exactly this id.

        Raises:
            ApiRefusal: 404; there is none.
        """
        card = self.catalog.find(endpoint_id)
        if card is None or card.endpoint_id != endpoint_id or card.seed_only:
            raise ApiRefusal(404, f"Endpoint {endpoint_id!r} not found")
        return card


def answer(reply: Reply) -> Response:
    """Return *reply* as it goes over the wire."""
    if reply.status == 204:
        return Response(status_code=204)
    return json_answer(reply.body, reply.status)
