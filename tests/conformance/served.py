"""falkit as it is served over HTTP, with the fixtures of the conformance suite beside its tools.

``python -m tests.conformance.served [--sessions]`` prints its address when it listens.
"""

import argparse
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from mcp.server import MCPServer
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.types import (
    CallToolResult,
    EmptyResult,
    GetPromptResult,
    InputRequiredResult,
    JSONRPCMessage,
    Prompt,
    Resource,
    ResourceTemplate,
    SetLevelRequestParams,
    SubscribeRequestParams,
    Tool,
    UnsubscribeRequestParams,
)
from pydantic import AnyUrl
from starlette.applications import Starlette

import server.tasks
from server.app import StrictServer
from server.asking import Approve, Verdict
from server.away import rooms_away
from server.rooms import open_rooms
from server.settings import Settings
from server.web import WebOptions, serve_http, web_app
from tests.conformance.fixtures import PROMPTS, furnish
from tests.conformance.task_fixtures import FixtureJobs, as_jobs, greet, task_tools, text
from tests.house import environment
from tools.inventory import TOOLS
from tools.ports import Call, Rooms
from tools.tool import AnyTool

# Which calls may be tasks is falkit's to say; here its fixtures may as well.
server.tasks.SPENDING = (
    *server.tasks.SPENDING,
    "slow_compute",
    "failing_job",
    "confirm_delete",
    "test_tool_with_task",
)
# Verbs of the older era that falkit does not offer, and the suite's older set asks for.
OLD_VERBS: dict[str, Any] = {
    "logging/setLevel": SetLevelRequestParams,
    "resources/subscribe": SubscribeRequestParams,
    "resources/unsubscribe": UnsubscribeRequestParams,
}


class Furnished(StrictServer):
    """Our server, whose lists go on with what the SDK holds."""

    def __init__(self, rooms: Rooms, tools: Sequence[AnyTool], approve: Approve | None) -> None:
        self._fixtures = FixtureJobs(rooms.jobs)
        super().__init__(replace(rooms, jobs=as_jobs(self._fixtures)), tools, approve)
        furnish(self)
        for name, tool in {**task_tools(self._fixtures), "greet": greet}.items():
            self.add_tool(tool, name=name, description=f"Fixture {name} of the suite.")

        async def heard(_ctx: object, _params: object) -> EmptyResult:
            return EmptyResult()

        for verb, params in OLD_VERBS.items():
            self._lowlevel_server.add_request_handler(verb, params, heard)

    async def _heed(
        self, job_id: str, verdict: Verdict, seconds: float, call: Call
    ) -> CallToolResult:
        """Take any answer to the question of a fixture for a yes."""
        if self._fixtures.settle(job_id, **text("confirmed")):
            return CallToolResult(content=[])
        return await super()._heed(job_id, verdict, seconds, call)

    def streamable_http_app(self, **options: Any) -> Starlette:
        """Return the SDK's application, where a stream that broke can be taken up again."""
        return super().streamable_http_app(**options, event_store=Events(), retry_interval=100)

    async def list_tools(self) -> list[Tool]:
        return [*await super().list_tools(), *await MCPServer[None].list_tools(self)]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        if self._tool_manager.get_tool(name) is None:
            return await super().call_tool(name, arguments, context)
        return await MCPServer[None].call_tool(self, name, arguments, context)

    async def list_resources(self) -> list[Resource]:
        return [*await super().list_resources(), *await MCPServer[None].list_resources(self)]

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        own = await super().list_resource_templates()
        return [*own, *await MCPServer[None].list_resource_templates(self)]

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[Any, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        fixture = str(uri).startswith(("test://static", "test://watched", "test://template"))
        if not fixture:
            return await super().read_resource(uri, context)
        return await MCPServer[None].read_resource(self, uri, context)

    async def list_prompts(self) -> list[Prompt]:
        return [*await super().list_prompts(), *await MCPServer[None].list_prompts(self)]

    async def get_prompt(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        context: Context[Any, Any] | None = None,
    ) -> GetPromptResult:
        if name in PROMPTS:
            # It may ask, which the SDK allows and our narrower word does not.
            return await MCPServer[None].get_prompt(self, name, arguments, context)  # pyright: ignore[reportReturnType]
        return await super().get_prompt(name, arguments, context)


class Events(EventStore):
    """What was sent on every stream, in order."""

    def __init__(self) -> None:
        self._sent: list[tuple[str, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        self._sent.append((stream_id, message))
        return str(len(self._sent))

    async def replay_events_after(
        self, last_event_id: str, send_callback: EventCallback
    ) -> str | None:
        number = int(last_event_id) if last_event_id.isdecimal() else 0
        if not 1 <= number <= len(self._sent):
            return None
        stream = self._sent[number - 1][0]
        for later, (of, message) in enumerate(self._sent[number:], number + 1):
            if of == stream and message is not None:
                await send_callback(EventMessage(message, str(later)))
        return stream


async def serve(home: Path, *, sessions: bool) -> None:
    """Serve until the process is told to end."""
    options = WebOptions(port=0, sessions=sessions)
    async with open_rooms(Settings.read(environment(home))) as rooms:
        build = partial(Furnished, approve=rooms.approve)
        app = web_app(rooms_away(rooms), TOOLS, options, build=build)
        async with anyio.create_task_group() as tasks:
            port = await tasks.start(serve_http, app, options)
            print(f"http://127.0.0.1:{port}/mcp", flush=True)  # noqa: T201


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", action="store_true")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        anyio.run(lambda: serve(Path(folder), sessions=parser.parse_args().sessions))
