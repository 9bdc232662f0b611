"""`Controls`: what a test or a person may turn on the emulator, under ``/_emulator``."""

from dataclasses import dataclass
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from server.emulator.answers import Refusal, json_answer, json_body
from server.emulator.faults import Fault, FaultRows
from server.emulator.pace import Pace
from server.emulator.store import Store

FASTEST = 1000.0


@dataclass(frozen=True, slots=True)
class Controls:
    """What the controls turn."""

    store: Store
    faults: FaultRows
    pace: Pace

    def routes(self) -> list[BaseRoute]:
        """Return the controls."""
        return [
            Route("/_emulator/faults", self.on_faults, methods=["GET", "POST", "DELETE"]),
            Route("/_emulator/clock", self.on_clock, methods=["GET", "POST"]),
            Route("/_emulator/counts", self.on_counts),
        ]

    async def on_faults(self, request: Request) -> Response:
        """POST asks for a fault, DELETE forgets all of them, GET lists what is still to strike."""
        if request.method == "POST":
            body = await json_body(request)
            try:
                fault = Fault.of(cast("dict[str, Any]", body))
            except (AttributeError, TypeError, ValueError) as problem:
                raise Refusal(400, str(problem), error_type="bad_request") from None
            await self.store.do(self.faults.add, fault)
        elif request.method == "DELETE":
            await self.store.do(self.faults.clear)
        listed = await self.store.do(self.faults.listed)
        words = [
            {
                "fault": fault.kind,
                "on": fault.place,
                "endpoint_id": fault.endpoint_id,
                "times": fault.times,
                "seconds": fault.seconds,
            }
            for fault in listed
        ]
        return json_answer({"faults": words})

    async def on_clock(self, request: Request) -> Response:
        """GET says how fast this process's clock goes, POST ``{"speed": …}`` turns it.

        From 0 (no artificial waiting) to 1000.
        """
        if request.method == "POST":
            body = await json_body(request)
            speed: Any = (
                cast("dict[str, Any]", body).get("speed") if isinstance(body, dict) else None
            )
            if not isinstance(speed, int | float) or not 0 <= speed <= FASTEST:
                raise Refusal(400, f"speed: a number from 0 to {FASTEST:g} is needed")
            self.pace.speed = float(speed)
        return json_answer({"speed": self.pace.speed})

    async def on_counts(self, _: Request) -> Response:
        """Say what was accepted so far in this folder, by all processes."""
        return json_answer(await self.store.do(self._counts))

    def _counts(self) -> dict[str, Any]:
        submits: dict[str, int] = {}
        others = {"results": 0, "uploads": 0}
        for row in self.store.reading().execute("SELECT what, endpoint_id, n FROM counts"):
            if row["what"] == "submits":
                submits[row["endpoint_id"]] = row["n"]
            else:
                others[row["what"]] = row["n"]
        states = self.store.reading().execute("SELECT state, COUNT(*) FROM requests GROUP BY state")
        return {"submits": submits, **others, "requests": dict(states.fetchall())}
