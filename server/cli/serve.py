"""`falkit serve`: the MCP server on stdin and stdout."""

import argparse
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence

from catalog.errors import ActionableError
from server.app import build_server
from server.cli import fail
from server.notices import Subscriptions
from server.rooms import open_rooms
from server.settings import Settings
from server.short import ShortWay
from server.stdio import run, serve_stdio
from tools.errors import NotConfiguredError
from tools.inventory import TOOLSETS, chosen_tools
from tools.tool import AnyTool

BY_HAND = (
    "falkit serve speaks MCP on stdin and stdout, which an assistant does that starts it "
    "(`falkit install HOST`); Ctrl-D ends it, and --http serves on a port"
)


def serving(argv: Sequence[str]) -> Callable[[], None]:
    """Return a function that serves until the host closes the connection."""
    parser = argparse.ArgumentParser(prog="falkit serve", description=__doc__)
    parser.add_argument(
        "--toolsets",
        default="",
        metavar="LIST",
        help=f"toolsets to offer, separated by commas (default: {','.join(TOOLSETS)})",
    )
    parser.add_argument(
        "--read-only", action="store_true", help="offer only tools that spend and change nothing"
    )
    parser.add_argument(
        "--http",
        nargs="?",
        const="",
        metavar="[HOST:]PORT",
        help="serve Streamable HTTP instead of stdin and stdout (default: 127.0.0.1:8765)",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name that requests may be sent to, besides this machine's; repeatable",
    )
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="origin of web pages that may call, such as https://app.example.com; repeatable",
    )
    parser.add_argument(
        "--sessions",
        action="store_true",
        help="give older HTTP clients sessions, and with them questions; they end at a restart",
    )
    given = parser.parse_args(argv)
    address = given.http and re.fullmatch(r"(?:(.*):)?(\d{1,5})", given.http)
    if given.http and not (address and int(address[2]) < 65536):
        parser.error(f"--http takes a port, or HOST:PORT, not {given.http[:80]!r}")
    try:
        settings = Settings.read(os.environ)
    except NotConfiguredError as problem:
        words = str(problem)
        return lambda: fail(words)
    asked = [word.strip() for word in given.toolsets.split(",") if word.strip()]
    try:
        tools = chosen_tools(
            asked or settings.toolsets,
            read_only=given.read_only or settings.read_only,
            deploys=settings.deploy != "off",
        )
    except ActionableError as problem:
        parser.error(str(problem))
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="falkit: %(message)s")
    if settings.key_note:
        logging.getLogger("falkit").warning(
            "%s; it counts as none, so %s is used", settings.key_note, settings.backend
        )
    if given.http is None:
        return lambda: run(lambda: serve(settings, tools))
    from server.cli.web import serving_http
    from server.web import WebOptions

    usual = WebOptions()
    options = WebOptions(
        host=(address and address[1]) or usual.host,
        port=int(address[2]) if address else usual.port,
        hosts=tuple(given.allow_host),
        origins=tuple(given.allow_origin),
        sessions=given.sessions,
    )
    return serving_http(settings, tools, options)


async def serve(settings: Settings, tools: Sequence[AnyTool]) -> None:
    """Serve *tools* over stdin and stdout until the host closes them."""
    async with open_rooms(settings) as rooms:
        server = build_server(rooms, tools, rooms.approve, settings.home)
        Subscriptions(server, rooms)
        await serve_stdio(server, by_hand=BY_HAND, short=ShortWay(server))
