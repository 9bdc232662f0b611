"""`Meta`: what the platform API says of itself, without a key."""

from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import BaseRoute

from server.emulator.answers import json_answer
from server.emulator.platform_api.asked import Asked
from server.emulator.platform_api.door import Door

WEBHOOK_SOURCES = ("127.0.0.1/32", "::1/128")  # where this platform's webhooks come from


@dataclass(frozen=True, slots=True)
class Meta:
    """The one operation under ``/meta``."""

    door: Door

    def routes(self) -> list[BaseRoute]:
        """Return the route of this family."""
        return [self.door.route("GET", "/meta", self.meta)]

    async def meta(self, _: Asked) -> Response:
        """Name the address ranges that webhooks come from."""
        return json_answer({"webhook_ip_ranges": list(WEBHOOK_SOURCES)})
