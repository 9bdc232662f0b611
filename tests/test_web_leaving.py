"""A server over HTTP that leaves in the middle of work: nobody is left without an answer."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.house import environment

CALLERS = 20
HEADERS = {
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "generate",
}


def made(number: int) -> dict[str, Any]:
    """Return a call that makes a picture and waits for it as long as a call may."""
    meta = "io.modelcontextprotocol/"
    arguments = {
        "endpoint_id": "fal-ai/flux/schnell",
        "prompt": f"wave {number}",
        "arguments": {"image_size": {"width": 64, "height": 64}},
        "wait_seconds": 45,
    }
    return {
        "jsonrpc": "2.0",
        "id": number,
        "method": "tools/call",
        "params": {
            "name": "generate",
            "arguments": arguments,
            "_meta": {
                f"{meta}protocolVersion": "2026-07-28",
                f"{meta}clientCapabilities": {},
                "progressToken": number,
            },
        },
    }


@pytest.mark.proof
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to heed")
async def test_a_server_told_to_end_answers_all_who_wait_and_their_jobs_run_on(
    tmp_path: Path,
) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAL")}
    env = {**kept, **environment(tmp_path, FALKIT_EMULATOR_SPEED="0.2")}
    falkit = [sys.executable, "-m", "falkit"]
    said = tmp_path / "said"
    states: dict[int, str] = {}
    with (
        said.open("w") as errors,
        subprocess.Popen(
            [*falkit, "serve", "--http", "127.0.0.1:0"], env=env, cwd=tmp_path, stderr=errors
        ) as server,
    ):
        with anyio.fail_after(20):
            while "/mcp" not in said.read_text():
                await anyio.sleep(0.05)
        url = said.read_text().split()[4]

        async def call(http: httpx.AsyncClient, number: int) -> None:
            answer = (await http.post(url, json=made(number), headers=HEADERS)).text
            told = json.loads(answer[answer.index("{", answer.rfind("\ndata: ")) :])
            states[number] = told["result"]["structuredContent"]["state"]

        limits = httpx.Limits(max_connections=CALLERS)
        async with (
            httpx.AsyncClient(timeout=60, limits=limits) as http,
            anyio.create_task_group() as tasks,
        ):
            for number in range(CALLERS):
                tasks.start_soon(call, http, number)
            with anyio.fail_after(30):
                while len(await accepted(tmp_path, env)) < CALLERS:
                    await anyio.sleep(0.2)
            begun = time.monotonic()
            server.send_signal(signal.SIGTERM)
            assert await anyio.to_thread.run_sync(partial(server.wait, 20)) == 0
            assert time.monotonic() - begun < 5
    assert len(states) == CALLERS
    assert set(states.values()) <= {"queued", "running", "done"}
    assert "Traceback" not in said.read_text()
    quick = {**env, "FALKIT_EMULATOR_SPEED": "0"}
    await anyio.run_process([*falkit, "keep", "--once"], env=quick, cwd=tmp_path)
    assert set((await accepted(tmp_path, quick)).values()) == {"done"}


async def accepted(home: Path, env: dict[str, str]) -> dict[str, str]:
    """Return the states of the jobs that the platform has, by id."""
    found: dict[str, str] = {}
    cursor: list[str] = []
    while True:
        command = [sys.executable, "-m", "falkit", "jobs", "--limit", "50", *cursor]
        listed = await anyio.run_process(command, env=env, cwd=home)
        page = json.loads(listed.stdout)
        found |= {
            row["job_id"]: row["state"]
            for row in page.get("jobs", [])
            if row["state"] not in ("planned", "held")
        }
        if not page.get("next_cursor"):
            return found
        cursor = ["--cursor", page["next_cursor"]]
