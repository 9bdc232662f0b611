"""`falkit serve --http`: the MCP server on a port."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import anyio
import httpx
from pydantic import SecretStr

from catalog.errors import ActionableError
from server.app import build_server
from server.away import rooms_away
from server.cli import fail
from server.cli.problems import mendable_in
from server.fal.webhooks import Webhooks
from server.keys import secret_in
from server.rooms import open_rooms
from server.settings import PLACEHOLDER, Settings
from server.web import WebOptions, serve_http, web_app
from tools.errors import NotConfiguredError
from tools.tool import AnyTool


def serving_http(
    settings: Settings, tools: Sequence[AnyTool], options: WebOptions
) -> Callable[[], None]:
    """Return a function that serves until it is interrupted."""
    try:
        options = replace(options, token=_token())
        options.check()
    except NotConfiguredError as problem:
        words = str(problem)
        return lambda: fail(words)
    return lambda: _served(settings, tools, options)


def _served(settings: Settings, tools: Sequence[AnyTool], options: WebOptions) -> None:
    try:
        anyio.run(_serve, settings, tools, options)
    except (ActionableError, BaseExceptionGroup) as problem:
        mendable = mendable_in(problem)
        if mendable is None:
            raise
        fail(str(mendable))
    except KeyboardInterrupt:
        pass


async def _serve(settings: Settings, tools: Sequence[AnyTool], options: WebOptions) -> None:
    settings = replace(settings, paths=settings.http_paths)
    async with (
        open_rooms(settings) as opened,
        httpx.AsyncClient() as http,
        anyio.create_task_group() as tasks,
    ):
        rooms = opened if settings.paths else rooms_away(opened)
        webhooks = Webhooks(http, settings.hosts) if settings.public_url else None
        build = partial(build_server, approve=rooms.approve, home=settings.home)
        app = web_app(rooms, tools, options, build=build, webhooks=webhooks)

        def leave() -> None:
            opened.end_waits()
            app.state.end_listening()

        port = await tasks.start(partial(serve_http, leave=leave), app, options)
        protected = "with the bearer token" if options.token else "for this machine only"
        print(
            f"falkit serves MCP on http://{options.host}:{port}/mcp ({protected}, "
            f"{settings.backend}); Ctrl-C ends it",
            file=sys.stderr,
            flush=True,
        )


def _token() -> SecretStr | None:
    """Return the token that callers must bear, if one is set.

    Raises:
        NotConfiguredError: its file cannot be read, or it still holds a placeholder.
    """
    source, given = "FALKIT_HTTP_TOKEN", os.environ.get("FALKIT_HTTP_TOKEN", "")
    if not given and (file := os.environ.get("FALKIT_HTTP_TOKEN_FILE", "")):
        source = "the file named by FALKIT_HTTP_TOKEN_FILE"
        try:
            given = secret_in(file)
        except (OSError, UnicodeDecodeError):
            raise NotConfiguredError(
                f"the token file {file[:120]!r} cannot be read",
                hint="correct FALKIT_HTTP_TOKEN_FILE",
            ) from None
        if not given.strip():
            raise NotConfiguredError(f"{source} is empty", hint="write a long random token into it")
    given = given.strip()
    if given and PLACEHOLDER.search(given):
        raise NotConfiguredError(
            f"{source} still holds a placeholder", hint="set a long random token"
        )
    return SecretStr(given) if given else None
