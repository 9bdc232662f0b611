"""Raw requests of the newer era to a server over HTTP, as a careful client makes them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx

from server.app import build_server
from server.rooms import open_rooms
from server.settings import Settings
from server.web import WebOptions, serve_http, web_app
from tests.house import environment
from tools.inventory import chosen_tools

TASKS = "io.modelcontextprotocol/tasks"


class Asker:
    """Sends requests of the newer era and returns results or errors."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self.has_person = False
        self._http = http
        self._url = url

    async def __call__(
        self, method: str, named: str = "", /, *, tasks: bool = True, **params: Any
    ) -> dict[str, Any]:
        meta: dict[str, Any] = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {
                "extensions": {TASKS: {}} if tasks else {},
                **({"elicitation": {"form": {}}} if self.has_person else {}),
            },
        }
        headers = {
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": method,
            **({"mcp-name": named} if named else {}),
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
        answer = (await self._http.post(self._url, json=body, headers=headers)).json()
        told: dict[str, Any] = answer.get("result") or answer["error"]
        return told

    async def call(self, tool: str, arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
        return await self("tools/call", tool, name=tool, arguments=arguments, **more)

    async def task(self, task_id: str) -> dict[str, Any]:
        return await self("tasks/get", task_id, taskId=task_id)

    async def until(self, task_id: str, status: str) -> dict[str, Any]:
        with anyio.fail_after(20):
            while (task := await self.task(task_id))["status"] != status:
                await anyio.sleep(0.05)
        return task


@asynccontextmanager
async def asking(
    home: Path, *, asks: bool = False, read_only: bool = False, **more: str
) -> AsyncGenerator[Asker]:
    held = {"FALKIT_ASK_ON_EMULATOR": "on", "FALKIT_APPROVE_ABOVE": "0"} if asks else {}
    settings = Settings.read(environment(home, **held, **more))
    options = WebOptions(port=0)
    async with open_rooms(settings) as rooms, anyio.create_task_group() as tasks:

        def build(_rooms: Any, tools: Any) -> Any:
            return build_server(rooms, tools, rooms.approve, settings.home)

        app = web_app(rooms, chosen_tools(read_only=read_only), options, build=build)
        port = await tasks.start(serve_http, app, options)
        async with httpx.AsyncClient(timeout=30) as http:
            yield Asker(http, f"http://127.0.0.1:{port}/mcp")
        tasks.cancel_scope.cancel()
