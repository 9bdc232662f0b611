"""`Compute`: rented machines that exist on paper only."""

import time
import uuid
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.responses import Response
from starlette.routing import BaseRoute

from server.emulator.answers import ApiRefusal, json_answer
from server.emulator.pace import Pace
from server.emulator.platform_api.asked import Asked, Body, listing
from server.emulator.platform_api.callers import ACCOUNT
from server.emulator.platform_api.door import Door, Reply

CLUSTER = "gpu_8x_h100_sxm5"
# Seconds of age at the clock's usual speed at which an instance leaves each state.
STAGES = ((1.0, "pending"), (3.0, "provisioning"), (4.0, "init"))
READY_ADDRESS = "192.0.2.1"  # reserved for documentation (RFC 5737): nothing answers there


class _NewInstance(Body):
    instance_type: Literal["gpu_8x_h100_sxm5", "gpu_1x_h100_sxm5"]
    ssh_key: Annotated[str, Field(min_length=1)]
    sector: Literal["sector_1", "sector_2", "sector_3"] | None = None


@dataclass(frozen=True, slots=True)
class Compute:
    """The operations under ``/compute``."""

    door: Door
    pace: Pace

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this family."""
        route = self.door.route
        reads, writes = "compute:instances:read", "compute:instances:write"
        return [
            route("GET", "/compute/instances", self.listed, reads),
            route("POST", "/compute/instances", self.create, writes),
            route("GET", "/compute/instances/{id}", self.one, reads),
            route("DELETE", "/compute/instances/{id}", self.delete, writes),
        ]

    async def listed(self, asked: Asked) -> Response:
        """List the account's instances, oldest first."""
        page = asked.page()
        rows = await self.door.do(self._rows)
        return listing("instances", page, [self._instance(row) for row in rows])

    def _rows(self) -> list[Any]:
        reading = self.door.store.reading()
        return reading.execute("SELECT * FROM instances ORDER BY created, id").fetchall()

    async def create(self, asked: Asked) -> Response:
        """Rent an instance; a sector may be chosen for the large one alone."""
        body = await asked.body(_NewInstance)
        if body.sector and body.instance_type != CLUSTER:
            raise ApiRefusal(400, f"sector: only {CLUSTER} has sectors")
        given = (body.instance_type, body.sector, body.ssh_key)

        def work(db: Connection) -> Reply:
            instance_id = str(uuid.uuid4())
            db.execute(
                "INSERT INTO instances (id, type, sector, ssh_key, creator, created)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (instance_id, *given, ACCOUNT, time.time()),
            )
            return Reply(self._instance(_find(db, instance_id)), 201)

        return await self.door.change(asked, work)

    async def one(self, asked: Asked) -> Response:
        """Say how an instance is."""
        row = await self.door.do(lambda: _find(self.door.store.reading(), asked.path("id")))
        return json_answer(self._instance(row))

    async def delete(self, asked: Asked) -> Response:
        """Give an instance back."""

        def work(db: Connection) -> None:
            _find(db, asked.path("id"))
            db.execute("DELETE FROM instances WHERE id = ?", (asked.path("id"),))

        await self.door.write(work)
        return Response(status_code=204)

    def _instance(self, row: Any) -> dict[str, Any]:  # noqa: ANN401  # a row
        age = (time.time() - row["created"]) * self.pace.speed if self.pace.speed else 1e9
        status = next((name for until, name in STAGES if age < until), "ready")
        instance: dict[str, Any] = {
            "id": row["id"],
            "instance_type": row["type"],
            "region": "other",
            "status": status,
            "creator_user_nickname": row["creator"],
        }
        if row["sector"]:
            instance["sector"] = row["sector"]
        if status == "ready":
            instance["ip"] = READY_ADDRESS
        return instance


def _find(db: Connection, instance_id: str) -> Any:  # noqa: ANN401  # a row
    row = db.execute("SELECT * FROM instances WHERE id = ?", (instance_id,)).fetchone()
    if row is None:
        raise ApiRefusal(404, f"Instance {instance_id!r} not found")
    return row
