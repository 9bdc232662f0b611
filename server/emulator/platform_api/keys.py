"""`Keys`: API keys, and what a test may tell the emulator of them."""

import secrets
import time
import uuid
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from server.emulator.answers import ApiRefusal, Refusal, json_answer
from server.emulator.platform_api.asked import Asked, Body
from server.emulator.platform_api.callers import ACCOUNT, PRESETS, Caller, digest, tell
from server.emulator.platform_api.door import Door, Reply, answer
from server.emulator.telling import instant

_MADE = "SELECT * FROM api_keys WHERE secret IS NOT NULL AND deleted IS NULL ORDER BY created, id"


class _NewKey(Body):
    alias: Annotated[str, Field(min_length=1, max_length=255)]


class _Told(Body):
    key_id: Annotated[str, Field(min_length=1)]
    preset: str = "FULL"
    permissions: Annotated[list[str], Field(default_factory=list[str])]


@dataclass(frozen=True, slots=True)
class Keys:
    """The operations under ``/keys``, and the control ``/_emulator/api-keys``."""

    door: Door

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this family."""
        return [
            self.door.route("GET", "/keys", self.listed, "keys:read"),
            self.door.route("POST", "/keys", self.create, "keys:write"),
            self.door.route("DELETE", "/keys/{key_id}", self.delete, "keys:write"),
            Route("/_emulator/api-keys", self.on_keys, methods=["GET", "POST", "DELETE"]),
        ]

    async def listed(self, asked: Asked) -> Response:
        """List the keys that were made here; their secrets are not told again."""
        creator = "creator_info" in asked.many("expand", ("creator_info",))
        page = asked.page()
        rows = await self.door.do(self._rows, _MADE)
        part, told = page.cut(rows)
        return json_answer({"keys": [_key(row, creator=creator) for row in part], **told})

    def _rows(self, statement: str) -> list[Any]:
        return self.door.store.reading().execute(statement).fetchall()

    async def create(self, asked: Asked) -> Response:
        """Make a key that calls models and reads their data; its secret is told this once."""
        body = await asked.body(_NewKey)
        key_id, secret = str(uuid.uuid4()), secrets.token_hex(16)

        def work(db: Connection) -> Reply:
            db.execute(
                "INSERT INTO api_keys (id, secret, alias, created, preset)"
                " VALUES (?, ?, ?, ?, 'API')",
                (key_id, digest(secret), body.alias, time.time()),
            )
            key = {"key_id": key_id, "key_secret": secret, "key": f"{key_id}:{secret}"}
            return Reply(key, 201)

        return answer(await self.door.write(work))

    async def delete(self, asked: Asked) -> Response:
        """Make a key void; that it is not known, or was void already, is no failure."""

        def work(db: Connection) -> Reply:
            db.execute(
                "UPDATE api_keys SET deleted = ? WHERE id = ? AND deleted IS NULL",
                (time.time(), asked.path("key_id")),
            )
            return Reply(None, 204)

        return await self.door.change(asked, work)

    async def on_keys(self, request: Request) -> Response:
        """POST tells what a key may do, DELETE forgets all that was told, GET lists it."""
        try:
            if request.method == "POST":
                told = await Asked(request, Caller("", "", ())).body(_Told)
                if told.preset not in PRESETS:
                    raise ApiRefusal(400, f"preset: one of {', '.join(PRESETS)}")
                await self.door.write(
                    lambda db: tell(db, told.key_id, told.preset, told.permissions)
                )
        except ApiRefusal as refusal:
            raise Refusal(400, refusal.message, error_type="bad_request") from None
        if request.method == "DELETE":
            await self.door.write(lambda db: db.execute("DELETE FROM api_keys"))
        rows = await self.door.do(self._rows, "SELECT * FROM api_keys ORDER BY created, id")
        keys = [
            {name: row[name] for name in ("id", "alias", "preset", "permissions", "deleted")}
            for row in rows
        ]
        return json_answer({"keys": keys, "presets": dict(PRESETS)})


def _key(row: Any, *, creator: bool) -> dict[str, Any]:  # noqa: ANN401  # a row
    key = {
        "key_id": row["id"],
        "alias": row["alias"],
        "scope": "API",
        "created_at": instant(row["created"]),
    }
    if creator:
        key |= {"creator_nickname": ACCOUNT, "creator_email": f"{ACCOUNT}@emulator.invalid"}
    return key
