"""`falkit serve`: the MCP server on stdin and stdout."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence

from server.app import build_server
from server.cli import fail
from server.rooms import open_rooms
from server.settings import Settings
from server.stdio import run, serve_stdio
from tools.errors import NotConfiguredError
from tools.inventory import TOOLS
from tools.tool import AnyTool

TOOLSETS = tuple(dict.fromkeys(tool.toolset for tool in TOOLS))


def serving(argv: Sequence[str]) -> Callable[[], None]:
    """Return a function that serves until the host closes the connection."""
    parser = argparse.ArgumentParser(prog="falkit serve", description=__doc__)
    parser.add_argument(
        "--toolsets",
        default=",".join(TOOLSETS),
        metavar="LIST",
        help=f"toolsets to offer, separated by commas (default: {','.join(TOOLSETS)})",
    )
    parser.add_argument(
        "--read-only", action="store_true", help="offer only tools that spend and change nothing"
    )
    given = parser.parse_args(argv)
    wanted = [word.strip() for word in given.toolsets.split(",") if word.strip()]
    if strangers := [word for word in wanted if word not in TOOLSETS]:
        parser.error(f"no toolset {strangers[0]!r}; there are {', '.join(TOOLSETS)}")
    tools = [
        tool
        for tool in TOOLS
        if tool.toolset in wanted and (tool.reads_only or not given.read_only)
    ]
    try:
        settings = Settings.read(os.environ)
    except NotConfiguredError as problem:
        words = str(problem)
        return lambda: fail(words)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="falkit: %(message)s")
    if settings.key_note:
        logging.getLogger("falkit").warning(
            "%s; it counts as none, so %s is used", settings.key_note, settings.backend
        )
    return lambda: run(lambda: serve(settings, tools))


async def serve(settings: Settings, tools: Sequence[AnyTool]) -> None:
    """Serve *tools* over stdin and stdout until the host closes them."""
    async with open_rooms(settings) as rooms:
        await serve_stdio(build_server(rooms, tools))
