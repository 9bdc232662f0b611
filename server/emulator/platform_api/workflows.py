"""`Workflows`: the account's own graphs of models, kept as they are given."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response
from starlette.routing import BaseRoute

from server.emulator.answers import ApiRefusal, json_answer
from server.emulator.platform_api.asked import Asked, Body
from server.emulator.platform_api.callers import ACCOUNT
from server.emulator.platform_api.door import Door, Reply, answer
from server.emulator.telling import instant


class _Schema(Body):
    input: dict[str, Any]
    output: dict[str, Any]


class _Contents(Body):
    name: str
    version: str
    nodes: dict[str, dict[str, Any]]
    output: dict[str, str]
    schema_: Annotated[_Schema, Field(alias="schema")]
    metadata: dict[str, Any] | None = None


class _NewWorkflow(Body):
    name: Annotated[str, Field(max_length=128, pattern=r"^[a-zA-Z0-9_-]+$")]
    title: Annotated[str, Field(min_length=1, max_length=256)]
    contents: _Contents
    is_public: bool = False


@dataclass(frozen=True, slots=True)
class Workflows:
    """The operations under ``/workflows``."""

    door: Door

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this family."""
        route = self.door.route
        return [
            route("GET", "/workflows", self.listed, "workflows:read"),
            route("POST", "/workflows", self.create, "workflows:write"),
            route("GET", "/workflows/{username}/{workflow_name}", self.one, "workflows:read"),
        ]

    async def listed(self, asked: Asked) -> Response:
        """List the caller's workflows, newest first, by words of their names or by models used."""
        page = asked.page()
        words = asked.text("search").lower().split()
        used = set(asked.many("used_endpoint_ids"))
        rows = await self.door.do(self._rows)
        entries = [_entry(row) for row in rows]
        found = [
            entry
            for entry in entries
            if all(word in f"{entry['name']} {entry['title']}".lower() for word in words)
            and (not used or used & set(entry["endpoint_ids"]))
        ]
        part, told = page.cut(found)
        return json_answer({"workflows": list(part), **told, "total": len(found)})

    def _rows(self) -> list[Any]:
        reading = self.door.store.reading()
        return reading.execute("SELECT * FROM workflows ORDER BY created DESC, name").fetchall()

    async def create(self, asked: Asked) -> Response:
        """Keep a workflow under a name that its owner has not used yet."""
        body = await asked.body(_NewWorkflow)
        given: Any = await asked.json()  # kept whole, with fields that are not known here

        def work(db: Connection) -> Reply:
            if _find(db, ACCOUNT, body.name):
                raise ApiRefusal(400, f"name: a workflow {body.name!r} exists already")
            db.execute(
                "INSERT INTO workflows VALUES (?, ?, ?, ?, ?, ?)",
                (
                    ACCOUNT, body.name, body.title, json.dumps(given["contents"]),
                    int(body.is_public), time.time(),
                ),
            )  # fmt: skip
            return Reply({"workflow": _workflow(_find(db, ACCOUNT, body.name))}, 201)

        return answer(await self.door.write(work))

    async def one(self, asked: Asked) -> Response:
        """Return one workflow with its contents."""
        owner, name = asked.path("username"), asked.path("workflow_name")
        row = await self.door.do(lambda: _find(self.door.store.reading(), owner, name))
        if row is None:
            raise ApiRefusal(404, f"Workflow {owner}/{name} not found")
        return json_answer({"workflow": _workflow(row)})


def _find(db: Connection, owner: str, name: str) -> Any:  # noqa: ANN401  # a row
    return db.execute(
        "SELECT * FROM workflows WHERE owner = ? AND name = ?", (owner, name)
    ).fetchone()


def _workflow(row: Any) -> dict[str, Any]:  # noqa: ANN401  # a row
    return {
        "name": row["name"],
        "title": row["title"],
        "user_nickname": row["owner"],
        "created_at": instant(row["created"]),
        "is_public": bool(row["is_public"]),
        "contents": json.loads(row["contents"]),
    }


def _entry(row: Any) -> dict[str, Any]:  # noqa: ANN401  # a row
    contents: Mapping[str, Any] = json.loads(row["contents"])
    metadata: Mapping[str, Any] = contents.get("metadata") or {}
    entry: dict[str, Any] = {
        "name": row["name"],
        "title": row["title"],
        "user_nickname": row["owner"],
        "created_at": instant(row["created"]),
        "tags": [str(tag) for tag in metadata.get("tags") or ()],
        "endpoint_ids": _endpoint_ids(contents),
    }
    for name in ("thumbnail_url", "description"):
        if isinstance(metadata.get(name), str):
            entry[name] = metadata[name]
    return entry


def _endpoint_ids(contents: Mapping[str, Any]) -> list[str]:
    """Return the models that the nodes run; a node names its own as ``app``."""
    nodes: Mapping[str, Mapping[str, Any]] = contents["nodes"]
    return sorted({str(node["app"]) for node in nodes.values() if node.get("app")})
