"""`serve`: the emulator on a loopback port, for any client on this machine."""

import ipaddress
from pathlib import Path
from shlex import quote

import anyio
import uvicorn
from anyio.abc import TaskStatus
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from server.emulator.browsers import is_loopback
from server.emulator.faults import ConnectionDroppedError
from server.emulator.skew import dated
from server.listening import listener, serve_until_ended

LARGEST_MESSAGE = 256 * 2**20
OPEN_STREAMS_SECONDS = 2  # how long open streams may delay the end


async def serve(
    app: ASGIApp,
    port: int,
    host: str = "127.0.0.1",
    *,
    certificate: Path | None = None,
    task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve *app*, HTTP and WebSocket, on *port* (0: any free one) until cancelled.

    With a *certificate* (PEM, its key in the same file) it speaks TLS and nothing else. Started
    with ``await tasks.start(serve, app, 0)`` it returns the port once it listens.

    Raises:
        ValueError: *host* is not a loopback address.
        OSError: the port is taken.
    """
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"the emulator listens on loopback only, not on {host}")
    listening = listener(host, port)
    config = uvicorn.Config(
        _OnlyLoopback(_Dropping(app)),
        http="h11",
        ws="websockets-sansio",
        ws_max_size=LARGEST_MESSAGE,
        loop="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
        date_header=False,  # the platform's clock is one that faults can turn
        timeout_graceful_shutdown=OPEN_STREAMS_SECONDS,
        ssl_certfile=None if certificate is None else str(certificate),
    )
    port = listening.getsockname()[1]
    async with anyio.create_task_group() as tasks:
        await tasks.start(serve_until_ended, config, listening)
        task_status.started(port)


def exports(port: int, certificate: Path | None = None) -> str:
    """Return in words and code how clients are pointed at the emulator on *port*.

    With a *certificate*, it is TLS that is served, and environment variables alone lead the Python
    client's runs and queue here.
    """
    scheme = "http" if certificate is None else "https"
    base = f"{scheme}://127.0.0.1:{port}"
    told = TRUSTING.format(port=port, certificate=quote(str(certificate))) if certificate else ""
    return told + POINTING.format(base=base, port=port, ws=scheme.replace("http", "ws"))


# Names decide where there are no paths: `localhost` is the run host, 127.0.0.1 the queue.
TRUSTING = """\
# Python: fal-client unmodified, for run, stream, realtime and queue
export FAL_RUN_HOST=localhost:{port}
export FAL_QUEUE_RUN_HOST=127.0.0.1:{port}
# Trust this emulator; a Python process then trusts nobody else
export SSL_CERT_FILE={certificate}
export NODE_EXTRA_CA_CERTS={certificate}
"""

POINTING = """\
export FAL_KEY=emulator:local

# Python: before the first call of fal-client
import fal_client.client as fal
fal.RUN_URL_FORMAT = "{base}/run/"
fal.QUEUE_URL_FORMAT = "{base}/queue/"
fal.REALTIME_URL_FORMAT = "{ws}://127.0.0.1:{port}/run/"
fal.REST_URL = "{base}/rest"
fal.CDN_URL = "{base}/cdn"

// JavaScript in a browser: the emulator stands in for your proxy
fal.config({{ proxyUrl: "{base}/proxy" }});

// JavaScript in Node: @fal-ai/client has its hosts built in, a request middleware leads elsewhere
const hosts = {{"fal.run": "run", "queue.fal.run": "queue", "rest.fal.ai": "rest",
  "rest.alpha.fal.ai": "rest", "v3.fal.media": "cdn", "api.fal.ai": "api"}};
fal.config({{
  credentials: "emulator:local",
  requestMiddleware: async (request) => {{
    const url = new URL(request.url);
    const place = hosts[url.hostname];
    return place
      ? {{...request, url: "{base}/" + place + url.pathname + url.search}}
      : request;
  }},
}});
"""


class _OnlyLoopback:
    """Refuses requests that name another host, which a page in a browser could bring about."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and not _is_loopback(scope):
            return await send({"type": "websocket.close", "code": 1008})
        if scope["type"] == "http" and not _is_loopback(scope):
            refusal = PlainTextResponse("This address is served to its own machine only", 421)
            return await refusal(scope, receive, send)
        return await self._app(scope, receive, send)


def _is_loopback(scope: Scope) -> bool:
    given = next((value for name, value in scope["headers"] if name == b"host"), b"")
    host = given.decode("latin-1")
    return is_loopback(
        host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    )


class _Dropping:
    """Breaks the connection where the app asks for it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, dated(send))
        except ConnectionDroppedError:
            # ASGI has no word for this; uvicorn's `send` is a method of what holds the socket.
            cycle = getattr(send, "__self__", None)
            transport = getattr(cycle, "transport", None)
            if transport is None:
                raise
            transport.close()
            while (await receive())["type"] != "http.disconnect":
                continue
