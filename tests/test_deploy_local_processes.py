"""Apps on this machine with several falkit processes, some of which are killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from tests.local_apps import Machine, ended, machine, release_of, tools
from tools.deploy_records import LogQuery

pytestmark = pytest.mark.proof

QUEUE = "/queue/local/kitchen"

# A falkit process that deploys the kitchen, or holds it, and says so; then it lives until killed.
HOLDER = """
import sys
from pathlib import Path
import anyio
from tests.local_apps import machine, release_of

async def main(home, deploys):
    async with machine(home, keeps=True) as here:
        if deploys:
            await here.deploy(await release_of(home, keep_alive=60))
        print("ready", flush=True)
        await anyio.sleep_forever()

anyio.run(main, Path(sys.argv[1]), sys.argv[2] == "deploy")
"""


@contextmanager
def holder(home: Path, what: str = "deploy") -> Generator[subprocess.Popen[bytes]]:
    """Yield a process that supervises; it is dead afterwards."""
    root = Path(__file__).parent.parent
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home), what],
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def runners_of(home: Path) -> list[int]:
    """Return the processes that run apps of *home*."""
    found: list[int] = []
    for line in Path("/proc").iterdir():
        if not line.name.isdigit():
            continue
        try:
            words = (line / "cmdline").read_bytes()
        except OSError:
            continue
        if b"run_app.py" in words and str(home).encode() in words:
            found.append(int(line.name))
    return found


async def all_gone(home: Path) -> None:
    """Wait until no process of an app is left, which takes no time to speak of."""
    with anyio.fail_after(10):
        while runners_of(home):
            await anyio.sleep(0.05)


async def lines(here: Machine, text: str) -> int:
    """Return how many lines with *text* the app has printed."""
    return len((await here.target.logs(LogQuery(app="kitchen", text=text))).lines)


async def test_an_app_comes_back_after_its_supervisor_was_killed(tmp_path: Path) -> None:
    tools()
    with holder(tmp_path) as first:
        async with machine(tmp_path) as here:
            answer = await here.client.post("/run/local/kitchen", json={"prompt": "one"})
            assert answer.json()["text"] == "echo one"
            before = answer.json()["runner"]
            submitted = (await here.client.post(QUEUE, json={"prompt": "two"})).json()
            with anyio.fail_after(20):
                await ended(here.client, submitted)
            made = (await here.client.get(submitted["response_url"])).json()
            assert made["runner"] == before  # the other process's runner served both
            assert len(await here.target.apps("kitchen")) == 1

            assert runners_of(tmp_path)
            first.send_signal(signal.SIGKILL)
            first.wait()
            await all_gone(tmp_path)
            with anyio.fail_after(20):
                answer = await here.client.post("/run/local/kitchen", json={"prompt": "three"})
            assert answer.json()["text"] == "echo three"
            assert answer.json()["runner"] != before
    await all_gone(tmp_path)


async def test_requests_in_a_killed_supervisor_are_tried_again_unless_they_forbid_it(
    tmp_path: Path,
) -> None:
    tools()
    with holder(tmp_path) as first:
        async with machine(tmp_path) as here:
            asked = {"prompt": "again", "sleep": 2}
            again = (await here.client.post(QUEUE, json=asked)).json()
            never = (
                await here.client.post(
                    QUEUE, json={**asked, "prompt": "never"}, headers={"x-fal-no-retry": "1"}
                )
            ).json()
            with anyio.fail_after(20):
                for word in ("again", "never"):
                    while not await lines(here, f"run: {word}"):
                        await anyio.sleep(0.02)
                first.kill()
                first.wait()
                status = await ended(here.client, never)
                assert status["error_type"] == "runner_disconnected"
                status = await ended(here.client, again)
            assert "error" not in status
            assert "The runner was lost; starting again" in [
                line["message"] for line in status["logs"]
            ]
            made = (await here.client.get(again["response_url"])).json()
            assert made["text"] == "echo again"
            assert await lines(here, "run: never") == 1


async def test_a_process_that_keeps_the_role_serves_all_others(tmp_path: Path) -> None:
    tools()
    async with machine(tmp_path) as here:
        await here.deploy(await release_of(tmp_path, keep_alive=0))
    with holder(tmp_path, "hold"):
        seen: set[str] = set()
        for n in range(2):
            async with machine(tmp_path) as here:  # as two calls of the command line would
                if not n:
                    await here.target.scale("kitchen", {"keep_alive": 60}, here.tell)
                with anyio.fail_after(20):
                    answer = await here.client.post("/run/local/kitchen", json={"prompt": "x"})
                seen.add(answer.json()["runner"])
        assert len(seen) == 1
    await all_gone(tmp_path)


async def test_a_deploy_goes_through_the_process_that_supervises(tmp_path: Path) -> None:
    tools()
    with holder(tmp_path):
        async with machine(tmp_path) as here:
            louder = await release_of(tmp_path, changed={'WORDS = "echo"': 'WORDS = "shout"'})
            with anyio.fail_after(30):
                await here.deploy(louder)
            answer = await here.client.post("/run/local/kitchen", json={"prompt": "x"})
            assert answer.json()["text"] == "shout x"
        async with machine(tmp_path) as here:
            with anyio.fail_after(30):
                await here.target.delete("kitchen", here.tell)
    await all_gone(tmp_path)
