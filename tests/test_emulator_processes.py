import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.emulated import FLUX, SMALL, emulated, over, submitted

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

ROOT = Path(__file__).resolve().parents[1]
FILM = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video"
# Another process with the same folder open: it kicks its engine by looking at what it is told.
OTHER = """
import sys, anyio
from pathlib import Path
from tests.emulated import emulated

async def main(folder, lease, *urls):
    async with emulated(Path(folder), lease_seconds=float(lease)) as client:
        for url in urls:
            await client.get(url)
        print("looking", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)

anyio.run(main, *sys.argv[1:])
"""


@contextlib.contextmanager
def other_process(
    folder: Path, *urls: str, lease: float = 3.0
) -> Generator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(folder), str(lease), *urls],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "looking\n"
            yield process
        finally:
            if process.poll() is None:
                assert process.stdin is not None
                process.stdin.close()
                process.wait(10)


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [
        int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()
    ]


async def image(client: httpx.AsyncClient, told: dict[str, Any]) -> bytes:
    output = (await client.get(told["response_url"])).json()
    return (await client.get(output["images"][0]["url"])).content


@pytest.mark.proof
async def test_after_kill_9_another_process_finishes_with_the_same_bytes(tmp_path: Path) -> None:
    lease = 0.6
    with anyio.fail_after(30):
        async with emulated(tmp_path, lease_seconds=lease, speed=0) as client:
            # Nobody here looks at it again before the other process has it and is dead.
            told = await submitted(client, **{"x-emulator-fault": "slow=1.5"})
            await claimed(client, told)
        # Leaving put it back into the queue; the other process takes it and is killed over it.
        with other_process(tmp_path, told["status_url"], lease=lease) as other:
            async with emulated(tmp_path, lease_seconds=lease, concurrency=0) as client:
                await claimed(client, told)
                while not (workers := children(other.pid)):
                    await anyio.sleep(0.01)
                other.send_signal(signal.SIGKILL)
                other.wait(10)
        async with emulated(tmp_path, lease_seconds=lease) as client:
            status = await over(client, told["status_url"])
            assert "The runner was lost; starting again" in [
                log["message"] for log in status["logs"]
            ]
            finished = await image(client, told)
            output = (await client.get(told["response_url"])).json()
            again = await client.post(f"/run/{FLUX}", json={**SMALL, "seed": output["seed"]})
            same = await client.get(again.json()["images"][0]["url"])
            assert finished == same.content
        for worker in workers:
            while Path(f"/proc/{worker}").exists():
                await anyio.sleep(0.02)


async def claimed(client: httpx.AsyncClient, told: dict[str, Any]) -> None:
    while (await client.get(told["status_url"])).json()["status"] != "IN_PROGRESS":
        await anyio.sleep(0.01)


@pytest.mark.proof
async def test_a_claimant_that_slept_cannot_write_over_its_successor(tmp_path: Path) -> None:
    lease = 0.4
    with anyio.fail_after(30):
        async with emulated(tmp_path, concurrency=0) as client:
            told = await submitted(client, **{"x-emulator-fault": "slow=0.6"})
        with other_process(tmp_path, told["status_url"], lease=lease) as sleeper:
            async with emulated(tmp_path, lease_seconds=lease) as client:
                await claimed(client, told)
                sleeper.send_signal(signal.SIGSTOP)
                status = await over(client, told["status_url"])
                before = (await client.get(told["response_url"])).content
                sleeper.send_signal(signal.SIGCONT)
        async with emulated(tmp_path) as client:
            assert await over(client, told["status_url"]) == status
            assert (await client.get(told["response_url"])).content == before
            kept = {url.split("/")[-2] for url in urls(json.loads(before))}
            assert {path.name for path in (tmp_path / "files").iterdir()} == kept


def urls(output: dict[str, Any]) -> list[str]:
    return [image["url"] for image in output["images"]]


async def test_two_processes_on_one_folder_run_twenty_requests_exactly_once_each(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(30):
        async with emulated(tmp_path, concurrency=0) as client:
            told = [await submitted(client) for _ in range(20)]
        with other_process(tmp_path, told[0]["status_url"]):
            async with emulated(tmp_path, concurrency=4) as client:
                for each in told:
                    status = await over(client, each["status_url"])
                    assert status.get("error") is None
                    lines = [log["message"][:4] for log in status["logs"]]
                    assert lines == [" 20%", " 40%", " 60%", " 80%", "100%"]
        assert len(list((tmp_path / "files").iterdir())) == 20


async def test_leaving_puts_work_back_at_once_and_another_process_finishes_it(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path, lease_seconds=600) as client:
            told = await submitted(client, **{"x-emulator-fault": "slow=0.2"})
            await claimed(client, told)
        async with emulated(tmp_path, lease_seconds=600) as client:
            assert (await over(client, told["status_url"])).get("error") is None


async def test_a_drawing_process_sees_no_key_and_ends_with_its_emulator(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("FAL_KEY", "real:secret")
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            await client.post(f"/run/{FLUX}", json=SMALL)
            (worker,) = [
                pid
                for pid in children(os.getpid())
                if b"server.emulator.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
            ]
            assert b"real:secret" not in Path(f"/proc/{worker}/environ").read_bytes()
            assert Path(f"/proc/{worker}/cwd").resolve() == tmp_path
        assert not Path(f"/proc/{worker}").exists()


async def test_a_drawing_process_that_dies_fails_its_request_and_the_next_gets_a_fresh_one(
    tmp_path: Path,
) -> None:
    video = {"prompt": "x", "duration": "10"}
    with anyio.fail_after(30):
        async with emulated(tmp_path) as client:
            once = {"x-fal-no-retry": "1"}
            told = await submitted(client, FILM, video, **once)
            while not (
                workers := [
                    pid
                    for pid in children(os.getpid())
                    if b"emulator.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
                ]
            ):
                await anyio.sleep(0.01)
            os.kill(workers[0], signal.SIGKILL)
            status = await over(client, told["status_url"])
            assert status["error_type"] == "runner_disconnected"
            result = await client.get(told["response_url"])
            assert result.status_code == 503
            assert result.headers["x-fal-needs-retry"] == "1"
            assert result.headers["x-fal-billable-units"] == "0"
            assert (await client.post(f"/run/{FLUX}", json=SMALL)).status_code == 200
