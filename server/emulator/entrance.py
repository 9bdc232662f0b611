"""`Entrance`: what a person finds who opens the emulator's bare address."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from server.emulator.answers import json_answer

WHAT = (
    "falkit's emulator: fal's hosts on this machine. It is not fal; media are marked local previews"
)
KEY = "Authorization: Key emulator:local (any well-formed key)"
ROUTES: Mapping[str, str] = {
    "/run": "fal.run: POST /run/ENDPOINT answers at once; /stream and /realtime behind it",
    "/queue": "queue.fal.run: POST /queue/ENDPOINT, then the addresses in its answer",
    "/ws": "ws.fal.run: a run over a WebSocket",
    "/rest": "rest.fal.ai: uploads, tokens, webhook keys",
    "/cdn": "v3.fal.media: files",
    "/api/v1": "api.fal.ai/v1: models, prices, usage, apps",
    "/fal": "fal.ai: /fal/api/openapi/queue/openapi.json?endpoint_id=ENDPOINT is a model's schema",
    "/proxy": "your own proxy, for the JavaScript client",
    "/_emulator": "the emulator's own controls",
}
CONTROLS: Mapping[str, str] = {
    "/_emulator/faults": 'failures: POST {"fault": "429", "times": 2}, GET lists, DELETE forgets',
    "/_emulator/clock": 'how fast it goes: GET, POST {"speed": 5}',
    "/_emulator/counts": "what was accepted so far: GET",
    "/_emulator/webhooks": "deliveries of webhooks: GET",
    "/_emulator/keys": "keys that sign webhooks: POST makes a new one",
}


class Entrance:
    """Says what this is and where its routes are, where fal itself has nothing to be imitated."""

    def routes(self) -> list[BaseRoute]:
        """Return the two doors."""
        return [Route("/", self.on_front), Route("/_emulator", self.on_controls)]

    async def on_front(self, request: Request) -> Response:
        """Name the hosts, as JSON where that is asked for, else as text."""
        return _told(request, ROUTES)

    async def on_controls(self, request: Request) -> Response:
        """Name the controls in the same way."""
        return _told(request, CONTROLS)


def _told(request: Request, routes: Mapping[str, str]) -> Response:
    if "json" in request.headers.get("accept", "").lower():
        answer = json_answer({"what": WHAT, "key": KEY, "routes": dict(routes)})
    else:
        width = max(map(len, routes))
        lines = [f"{path:<{width}}  {words}" for path, words in routes.items()]
        answer = PlainTextResponse("\n".join([f"{WHAT}.", KEY, "", *lines, ""]))
    answer.headers["vary"] = "accept"
    return answer
