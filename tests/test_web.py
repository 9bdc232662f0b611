"""MCP over HTTP: both eras, who is let in, and how it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from pydantic import SecretStr
from starlette.types import Message, Receive, Scope, Send

from server.app import build_server
from server.away import rooms_away
from server.cli.serve import serving
from server.fal.webhooks import Webhooks
from server.listening import listener
from server.rooms import open_rooms
from server.settings import Hosts, Settings
from server.web import WebOptions, serve_http, web_app
from tests.emulated import on_a_port
from tests.house import Era, environment, pictures, record, words
from tools.errors import NotConfiguredError
from tools.inventory import TOOLS
from tools.tool import AnyTool

TOKEN = "-".join(["a", "token", "of", "tests"])


@asynccontextmanager
async def on_port(home: Path, options: WebOptions) -> AsyncGenerator[str]:
    """Yield the base address of a server in this process."""
    settings = replace(Settings.read(environment(home)), paths=False)
    async with open_rooms(settings) as here, anyio.create_task_group() as tasks:
        rooms = rooms_away(here)
        port = await tasks.start(serve_http, web_app(rooms, TOOLS, options), options)
        yield f"http://127.0.0.1:{port}"
        tasks.cancel_scope.cancel()


def asked(method: str, **params: Any) -> dict[str, Any]:
    """Return a request of the newer era."""
    meta: dict[str, Any] = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}


EVERYWHERE = "0.0.0.0"  # noqa: S104  # refused, not listened on
SIGNED = ("request-id", "user-id", "timestamp", "signature")
HOST_NAMES = ("run", "queue", "rest", "api", "cdn", "ws", "models")
SMALL = {"image_size": {"width": 64, "height": 64}}
HEADERS = {
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/list",
}


@pytest.mark.parametrize(
    ("era", "sessions"),
    [
        ("auto", False),
        ("legacy", True),
        pytest.param("auto", True, marks=pytest.mark.proof),
        pytest.param("legacy", False, marks=pytest.mark.proof),
    ],
)
async def test_a_client_makes_a_picture_over_http(tmp_path: Path, era: Era, sessions: bool) -> None:
    async with (
        on_port(tmp_path, WebOptions(port=0, sessions=sessions)) as base,
        Client(f"{base}/mcp", mode=era) as client,
    ):
        made = await client.call_tool(
            "generate",
            {"endpoint_id": "fal-ai/flux/schnell", "prompt": "a boat", "arguments": SMALL},
        )
        job = record(made)
        assert job["state"] == "done"
        again = record(await client.call_tool("job_status", {"job_id": job["job_id"]}))
        assert again["outputs"] == job["outputs"]
        assert len(pictures(made)) == 1
        assert job["outputs"][0]["url"] == f"falkit://jobs/{job['job_id']}/outputs/1"
        assert str(tmp_path) not in words(made)
        seen = await client.call_tool("view_media", {"media": job["outputs"][0]["url"]})
        assert len(pictures(seen)) == 1
        listed = await client.call_tool("list_jobs", {})
        assert str(tmp_path) not in words(listed)
        (tmp_path / "own.png").write_bytes(b"")
        for name in ("own.png", str(tmp_path / "own.png"), f"file://{tmp_path}/own.png", "~/x"):
            refused = await client.call_tool("view_media", {"media": name})
            assert "takes no paths" in words(refused), name
        saved = await client.call_tool(
            "generate",
            {"endpoint_id": "fal-ai/flux/schnell", "prompt": "a boat", "save_to": str(tmp_path)},
        )
        assert "takes no paths" in words(saved)


async def test_a_token_is_needed_where_one_is_set(tmp_path: Path) -> None:
    options = WebOptions(port=0, token=SecretStr(TOKEN))
    async with on_port(tmp_path, options) as base, httpx.AsyncClient() as http:
        listing = asked("tools/list")
        for given in ("", "Bearer wrong", f"Basic {TOKEN}", "Bearer a b c"):
            refused = await http.post(
                f"{base}/mcp", json=listing, headers={**HEADERS, "authorization": given}
            )
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].startswith("Bearer")
            assert TOKEN not in refused.text
        alive = await http.get(f"{base}/healthz")
        assert alive.status_code == 200
        bearing = httpx2.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"})
        async with (
            bearing,
            Client(streamable_http_client(f"{base}/mcp", http_client=bearing)) as client,
        ):
            assert len((await client.list_tools()).tools) == len(TOOLS)


async def test_strange_hosts_origins_methods_and_bodies_are_refused(tmp_path: Path) -> None:
    async with on_port(tmp_path, WebOptions(port=0)) as base, httpx.AsyncClient() as http:

        async def answer(**headers: str) -> int:
            all_headers = {**HEADERS, **headers}
            response = await http.post(f"{base}/mcp", json=asked("tools/list"), headers=all_headers)
            return response.status_code

        assert await answer() == 200
        assert await answer(origin="http://localhost:6274") == 200
        assert await answer(origin="https://evil.example") == 403
        assert await answer(host="evil.example") == 421
        listening = await http.get(f"{base}/mcp", headers=HEADERS)
        assert (listening.status_code, listening.headers["allow"]) == (405, "POST")
        too_much = await http.post(f"{base}/mcp", content=b" " * (17 * 2**20), headers=HEADERS)
        assert too_much.status_code == 413


async def test_an_address_narrows_the_tools_and_says_what_it_does_not_know(tmp_path: Path) -> None:
    async with on_port(tmp_path, WebOptions(port=0)) as base, httpx.AsyncClient() as http:

        async def answer(query: str) -> httpx.Response:
            return await http.post(f"{base}/mcp?{query}", json=asked("tools/list"), headers=HEADERS)

        listed = (await answer("toolsets=discover,follow&read_only=true")).json()
        names = [tool["name"] for tool in listed["result"]["tools"]]
        kept = [t for t in TOOLS if t.toolset in ("discover", "follow") and t.reads_only]
        assert names == [tool.name for tool in kept]
        unknown = await answer("toolsets=discovery")
        assert unknown.status_code == 400
        assert "discover, make, follow" in unknown.json()["error"]
        assert (await answer("readonly=1")).status_code == 400
        twice = await answer("read_only=true&read_only=false")
        assert (twice.status_code, "read_only" in twice.json()["error"]) == (400, True)


async def test_a_dropped_connection_ends_the_wait_and_the_job_runs_on(tmp_path: Path) -> None:
    settings = Settings.read(environment(tmp_path, FALKIT_EMULATOR_SPEED="1"))
    options, ending = WebOptions(port=0), 0.0
    async with open_rooms(settings) as rooms, anyio.create_task_group() as tasks:
        port = await tasks.start(serve_http, web_app(rooms, TOOLS, options), options)
        call = asked(
            "tools/call",
            name="generate",
            arguments={"endpoint_id": "fal-ai/kling-video/v2.5-turbo/pro/text-to-video",
                       "prompt": "waves", "wait_seconds": 45},
        )  # fmt: skip
        headers = {**HEADERS, "mcp-method": "tools/call", "mcp-name": "generate"}
        async with httpx.AsyncClient(timeout=1.0) as http:
            with pytest.raises(httpx.ReadTimeout):
                await http.post(f"http://127.0.0.1:{port}/mcp", json=call, headers=headers)
            async with Client(f"http://127.0.0.1:{port}/mcp") as client:
                listed = record(await client.call_tool("list_jobs", {}))
            assert [job["state"] for job in listed["jobs"]] in (["queued"], ["running"])
        ending = anyio.current_time()
        tasks.cancel_scope.cancel()
    assert anyio.current_time() - ending < 5  # a wait that went on would take all of the grace


async def test_a_webhook_of_fal_settles_its_job_and_a_forged_one_does_nothing(
    tmp_path: Path,
) -> None:
    options = WebOptions(port=0)
    async with (
        on_a_port(tmp_path / "fal", loopback_webhooks=True) as fal,
        httpx.AsyncClient() as http,
        anyio.create_task_group() as tasks,
    ):
        hosts = Hosts.under(f"http://127.0.0.1:{fal}")
        own = listener("127.0.0.1", 0)
        port = own.getsockname()[1]
        own.close()
        urls = {f"FALKIT_{name.upper()}_URL": getattr(hosts, name) for name in HOST_NAMES}
        settings = Settings.read(
            environment(
                tmp_path,
                FALKIT_BACKEND="cloud",
                FAL_KEY="some:key",
                FALKIT_CATALOG_REFRESH="off",
                FALKIT_PUBLIC_URL=f"http://127.0.0.1:{port}",
                **urls,
            )
        )
        async with open_rooms(settings) as rooms:
            heard: list[tuple[int, str]] = []
            told = web_app(rooms, TOOLS, options, webhooks=Webhooks(http, hosts))

            async def noting(scope: Scope, receive: Receive, send: Send) -> None:
                async def noted(message: Message) -> None:
                    if message["type"] == "http.response.start":
                        heard.append((message["status"], scope["query_string"].decode()))
                    await send(message)

                await told(scope, receive, noted if scope["type"] == "http" else send)

            await tasks.start(serve_http, noting, WebOptions(port=port))
            async with Client(build_server(rooms, TOOLS)) as client:
                made = record(
                    await client.call_tool(
                        "generate",
                        {"endpoint_id": "fal-ai/flux/schnell", "prompt": "a", "wait_seconds": 0},
                    )
                )
                with anyio.fail_after(20):
                    while not heard:
                        await anyio.sleep(0.02)
                assert heard == [(200, f"job={made['job_id']}")]
                job = record(await client.call_tool("job_status", {"job_id": made["job_id"]}))
                assert (job["state"], job["backend"]) == ("done", "cloud")
                url = f"http://127.0.0.1:{port}/webhooks/fal?job={made['job_id']}"
                forged = await http.post(url, json={"request_id": made["request_id"]})
                assert forged.status_code == 401
                signed = {f"x-fal-webhook-{name}": "1" for name in SIGNED}
                huge = await http.post(url, content=b" " * (3 * 2**20), headers=signed)
                assert huge.status_code == 413
                nobody = await http.post(f"{url}x", content=b"{}", headers=signed)
                assert nobody.status_code == 404
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (WebOptions(host=EVERYWHERE), "FALKIT_HTTP_TOKEN"),
        (WebOptions(host="192.0.2.7"), "FALKIT_HTTP_TOKEN"),
        (WebOptions(host=EVERYWHERE, token=SecretStr(TOKEN)), "--allow-host"),
        (WebOptions(token=SecretStr("short")), "16 characters"),
    ],
)
def test_what_would_let_strangers_in_is_refused_before_it_listens(
    options: WebOptions, word: str
) -> None:
    with pytest.raises(NotConfiguredError, match=word):
        options.check()


async def test_a_taken_port_is_said_in_words(tmp_path: Path) -> None:
    async with on_port(tmp_path, WebOptions(port=0)) as base:
        port = int(base.rpartition(":")[2])
        with pytest.raises(NotConfiguredError, match=f"port {port} of 127.0.0.1 cannot be used"):
            await serve_http(None, WebOptions(port=port))  # pyright: ignore[reportArgumentType]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
def test_a_signal_ends_it_with_zero(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAL")}
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "falkit", "serve", "--http", "127.0.0.1:0"],
        env={**kept, **environment(tmp_path), "FALKIT_HTTP_TOKEN_FILE": str(tmp_path / "token")},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process.stderr as told:
        told_first = told.readline()
        assert "/mcp (with the bearer token, emulator)" in told_first
        assert TOKEN not in told_first
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("argv", "told", "names"),
    [
        (["--toolsets", "follow", "--read-only"], {}, {"job_status", "spending"}),
        ([], {"FALKIT_TOOLSETS": "discover", "FALKIT_READ_ONLY": "on"}, {"search_models"}),
        (["--toolsets", "follow"], {"FALKIT_TOOLSETS": "discover"}, {"cancel_job"}),
    ],
)
def test_flags_and_settings_choose_the_tools(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    argv: list[str],
    told: dict[str, str],
    names: set[str],
) -> None:
    for name, value in {**environment(tmp_path), **told}.items():
        monkeypatch.setenv(name, value)
    chosen: list[str] = []

    async def noted(_settings: Settings, tools: Sequence[AnyTool]) -> None:
        chosen.extend(tool.name for tool in tools)

    monkeypatch.setattr("server.cli.serve.serve", noted)
    serving(argv)()
    assert names <= set(chosen)
    assert "generate" not in chosen
