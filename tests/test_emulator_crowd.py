"""Many clients at once, and processes that die over the folder that they share."""

import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.emulated import BASE, FLUX, SMALL, emulated, on_a_port, over, submitted

ROOT = Path(__file__).resolve().parents[1]
SERVER = """
import sys, anyio
from pathlib import Path
from tests.emulated import on_a_port

async def main(folder):
    async with on_a_port(Path(folder), speed=0.0, lease_seconds=0.5, concurrency=4) as port:
        print(port, flush=True)
        await anyio.sleep_forever()

anyio.run(main, sys.argv[1])
"""


@pytest.mark.parametrize("clients", [8, pytest.param(50, marks=pytest.mark.proof)])
async def test_clients_at_once_each_get_their_own_result(tmp_path: Path, clients: int) -> None:
    key = {"authorization": "Key emulator:local"}
    made: dict[int, str] = {}

    async def one(port: int, seed: int) -> None:
        base = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=base, headers=key, timeout=60) as client:
            told = await submitted(client, body={**SMALL, "seed": seed})
            assert (await over(client, told["status_url"])).get("error") is None
            output = (await client.get(told["response_url"])).json()
            assert output["seed"] == seed
            made[seed] = output["images"][0]["url"]

    with anyio.fail_after(240):
        async with on_a_port(tmp_path) as port, anyio.create_task_group() as tasks:
            for seed in range(clients):
                tasks.start_soon(one, port, seed)
    assert len(set(made.values())) == clients


async def started(folder: Path) -> "tuple[subprocess.Popen[str], int]":
    command = [sys.executable, "-c", SERVER, str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as said:
        return process, int(await anyio.to_thread.run_sync(said.readline))


async def asked(ports: list[int], method: str, path: str, **more: Any) -> httpx.Response:
    """Ask whichever process answers, again and again: they come and go."""
    while True:
        base = f"http://127.0.0.1:{random.choice(ports)}"  # noqa: S311  # no secret
        try:
            async with httpx.AsyncClient(base_url=base, timeout=10) as client:
                return await client.request(method, path, **more)
        except httpx.TransportError:
            await anyio.sleep(0.05)


@pytest.mark.proof
@pytest.mark.skipif(sys.platform == "win32", reason="kills as on POSIX")
async def test_no_request_is_lost_while_three_processes_die_at_random(tmp_path: Path) -> None:
    chance = random.Random(7)  # noqa: S311  # no secret
    key = {"authorization": "Key emulator:local"}
    with anyio.fail_after(300):
        running = [await started(tmp_path) for _ in range(3)]
        ports = [port for _, port in running]
        try:
            paths: list[str] = []
            for seed in range(24):
                body = {**SMALL, "seed": seed}
                answer = await asked(ports, "POST", f"/queue/{FLUX}", json=body, headers=key)
                paths.append(httpx.URL(answer.json()["response_url"]).path)
                if seed % 4 == 3:
                    place = chance.randrange(3)
                    running[place][0].send_signal(signal.SIGKILL)
                    running[place][0].wait(10)
                    await anyio.sleep(chance.uniform(0, 0.3))
                    running[place] = await started(tmp_path)
                    ports[place] = running[place][1]
            for seed, path in enumerate(paths):
                while (found := await asked(ports, "GET", path, headers=key)).status_code == 400:
                    await anyio.sleep(0.1)
                assert found.status_code == 200, found.text
                assert found.json()["seed"] == seed
        finally:
            for process, _ in running:
                process.kill()
                process.wait(10)
        async with emulated(tmp_path) as client:
            counts = (await client.get(f"{BASE}/_emulator/counts")).json()
            assert counts["requests"] == {"COMPLETED": counts["submits"][FLUX]}
            assert counts["submits"][FLUX] >= 24
