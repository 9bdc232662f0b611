"""`StorageApi`: who may read files of the CDN, signed addresses, and the account's own wishes."""

import json
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response
from starlette.routing import BaseRoute

from server.emulator.access import signed_url
from server.emulator.acl import Access, Acl
from server.emulator.answers import ApiRefusal, json_answer
from server.emulator.platform_api.asked import Asked, Body
from server.emulator.platform_api.callers import ACCOUNT
from server.emulator.platform_api.door import Door
from server.emulator.shelf import SETTINGS, Shelf, Shelved, file_id_in, with_base

LONGEST_SIGNED_SECONDS = 604_800
NEVER_SAVED: dict[str, Any] = {"expiration_duration_seconds": None, "initial_acl": None}


class _Rule(Body):
    user: Annotated[str, Field(min_length=1)]
    decision: Access


class _Acl(Body):
    default: Access
    rules: Annotated[list[_Rule], Field(default_factory=list[_Rule])]


class _Signed(Body):
    expiration_seconds: Annotated[int, Field(ge=1, le=LONGEST_SIGNED_SECONDS)]


class _Settings(Body):
    expiration_duration_seconds: Annotated[int, Field(ge=1)] | None = None
    initial_acl: _Acl | None = None


@dataclass(frozen=True, slots=True)
class StorageApi:
    """The operations under ``/storage``."""

    door: Door
    shelf: Shelf

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this family."""
        route, acl = self.door.route, "/storage/files/acl"
        return [
            route("GET", acl, self.acl, "assets:read"),
            route("PUT", acl, self.set_acl, "assets:write"),
            route("POST", "/storage/files/sign", self.sign, "assets:read"),
            route("GET", "/storage/settings", self.settings, "account:settings:read"),
            route("PUT", "/storage/settings", self.set_settings, "account:settings:write"),
        ]

    async def acl(self, asked: Asked) -> Response:
        """Say who may read a file."""
        return json_answer((await self._file(asked)).acl.as_json())

    async def set_acl(self, asked: Asked) -> Response:
        """Say who may read a file from now on; rules for users nobody knows are dropped."""
        file = await self._file(asked)
        body = await asked.body(_Acl)
        acl = await self.door.do(self._known, body)
        await self.door.do(self.shelf.restrict, file.file_id, acl)
        return json_answer(acl.as_json())

    async def sign(self, asked: Asked) -> Response:
        """Return an address under which anyone reads a file for a while."""
        file = await self._file(asked)
        body = await asked.body(_Signed)
        url = with_base(file.url, asked.cdn)
        secret = self.door.store.secret
        signed = signed_url(secret, url, file.file_id, body.expiration_seconds)
        return json_answer({"signed_url": signed})

    async def settings(self, _: Asked) -> Response:
        """Return what new files are like where their upload does not say."""
        return json_answer(await self.door.do(self._settings))

    async def set_settings(self, asked: Asked) -> Response:
        """Replace all of it: what is left out is as if never saved."""
        body = await asked.body(_Settings)
        acl = None
        if body.initial_acl is not None:
            acl = (await self.door.do(self._known, body.initial_acl)).as_json()
        saved = {
            "expiration_duration_seconds": body.expiration_duration_seconds,
            "initial_acl": acl,
        }

        def work(db: Connection) -> None:
            db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (SETTINGS, json.dumps(saved)))

        await self.door.write(work)
        return json_answer(saved)

    def _settings(self) -> dict[str, Any]:
        found = self.door.store.reading().execute(
            "SELECT value FROM facts WHERE name = ?", (SETTINGS,)
        )
        row = found.fetchone()
        return NEVER_SAVED if row is None else json.loads(row["value"])

    def _known(self, given: _Acl) -> Acl:
        """Return *given* without rules for users that nobody knows.

        Users are known by the ids of their keys: those that were told or made here, and those
        whose requests or files are here.
        """
        reading = self.door.store.reading()
        known = reading.execute(
            "SELECT id AS user FROM api_keys UNION SELECT user FROM files"
            " UNION SELECT json_extract(options, '$.user') FROM requests"
        )
        users = {row["user"] for row in known.fetchall()} | {ACCOUNT}
        rules: list[tuple[str, Access]] = [
            (rule.user, rule.decision) for rule in given.rules if rule.user in users
        ]
        return Acl(given.default, tuple(rules))

    async def _file(self, asked: Asked) -> Shelved:
        """Return the file that ``url`` names, which must be the caller's own.

        Raises:
            ApiRefusal: 400 without a bare address, 404 where there is no file, 403 where it is
                somebody else's.
        """
        file_id = file_id_in(asked.uri("url", bare=True))
        file = await self.door.do(self.shelf.find, file_id) if file_id else None
        if file is None or file.bytes is None or file.is_expired:
            raise ApiRefusal(404, "File not found")
        if file.user and file.user != asked.caller.key_id:
            raise ApiRefusal(403, "The file belongs to somebody else")
        return file
