"""A whole house on the emulator, for tests: real rooms, a real client, a private home."""

import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from mcp import Client, StdioServerParameters
from mcp.client.session import ElicitationFnT
from mcp.types import CallToolResult, ImageContent, TextContent

from server.app import build_server
from server.rooms import open_rooms
from server.settings import Settings
from tools.inventory import TOOLS

Era = Literal["auto", "legacy"]


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return settings of a private house whose emulator does not wait."""
    return {
        "FALKIT_BACKEND": "emulator",
        "FALKIT_HOME": str(home / "house"),
        "FALKIT_MEDIA": str(home / "media"),
        "FALKIT_ROOTS": str(home),
        "FALKIT_EMULATOR_SPEED": "0",
        "FALKIT_EMULATOR_CONCURRENCY": "10",
        **more,
    }


@asynccontextmanager
async def connected(
    home: Path, era: Era = "auto", person: ElicitationFnT | None = None, /, **more: str
) -> AsyncGenerator[Client]:
    """Yield a client of a server in this process; *person* answers what a host would ask."""
    settings = Settings.read(environment(home, **more))
    async with (
        open_rooms(settings) as rooms,
        Client(
            build_server(rooms, TOOLS, rooms.approve), mode=era, elicitation_callback=person
        ) as client,
    ):
        yield client


@asynccontextmanager
async def served(home: Path, **more: str) -> AsyncGenerator[Client]:
    """Yield a client of `falkit serve` in a process of its own, over its pipes."""
    async with Client(serving(home, more)) as client:
        yield client


def serving(home: Path, more: Mapping[str, str] | None = None) -> StdioServerParameters:
    """Return how a host would start the server with a private *home*."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAL")}
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "falkit", "serve"],
        env={**kept, **environment(home), **(more or {})},
        cwd=home,
    )


def words(result: CallToolResult) -> str:
    """Return the text of *result*."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def pictures(result: CallToolResult) -> list[ImageContent]:
    """Return the pictures in *result*."""
    return [block for block in result.content if isinstance(block, ImageContent)]


def record(result: CallToolResult) -> dict[str, Any]:
    """Return the structured part of a *result* that is no error."""
    assert not result.is_error, words(result)
    assert result.structured_content is not None
    return result.structured_content
