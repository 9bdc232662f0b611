"""What was paid for comes home, whatever happens to the process that asked for it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import pytest
from anyio import fail_after

from tests.house import environment, record, served

VIDEO = {
    "endpoint_id": "fal-ai/davinci-magihuman",
    "prompt": "waves roll in",
    "wait_seconds": 0,
}


class RawHost:
    """A host that speaks to the server in plain lines, so that it can be killed at any moment."""

    def __init__(self, home: Path, **more: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FAL")}
        handle, self.log = tempfile.mkstemp(suffix=".log", dir=home)
        with os.fdopen(handle, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "falkit", "serve"],
                env={**kept, **environment(home, **more)},
                cwd=home,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.ids = 0
        self.ask(
            "initialize",
            {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": {"name": "raw", "version": "1"},
            },
        )
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def begin(self, method: str, params: dict[str, Any]) -> None:
        """Ask without waiting for the answer."""
        self.ids += 1
        self._send({"jsonrpc": "2.0", "id": self.ids, "method": method, "params": params})

    def said(self) -> str:
        """Return what the server wrote into its log."""
        return Path(self.log).read_text("utf-8")

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Return the result of *method*; notifications before it are passed over."""
        self.begin(method, params)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = json.loads(line)
            if message.get("id") == self.ids:
                return message["result"]
        raise AssertionError("the server ended before it answered")

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the structured result of *tool*."""
        result = self.ask("tools/call", {"name": tool, "arguments": arguments})
        assert not result.get("isError"), result
        return result["structuredContent"]

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self._close()

    def close(self) -> int:
        """Close the server's input, as a host that quits, and return its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        code = self.process.wait(10)
        self._close()
        return code

    def _close(self) -> None:
        self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()


def started_video(host: RawHost) -> str:
    picture = host.call(
        "generate",
        {"endpoint_id": "fal-ai/flux/schnell", "prompt": "a calm sea", "wait_seconds": 30},
    )
    assert picture["state"] == "done", picture
    video = host.call("generate", {**VIDEO, "arguments": {"image_url": picture["job_id"]}})
    assert video["state"] in ("queued", "running"), video
    return video["job_id"]


def playable(job: dict[str, Any]) -> bool:
    [output] = job["outputs"]
    with av.open(str(output["path"])) as film:
        frame = next(film.decode(video=0))
        return frame.width > 0


async def test_a_video_whose_process_was_killed_comes_home_with_the_next_one(
    tmp_path: Path,
) -> None:
    first = RawHost(tmp_path, FALKIT_EMULATOR_SPEED="1.5")
    job_id = started_video(first)
    first.kill()
    with fail_after(45):
        async with served(tmp_path) as client:
            job = record(
                await client.call_tool("job_status", {"job_id": job_id, "wait_seconds": 40})
            )
    assert (job["state"], job["saved"]) == ("done", True)
    assert playable(job)


@pytest.mark.proof
def test_a_process_that_ran_beside_a_killed_one_brings_its_job_home_unasked(
    tmp_path: Path,
) -> None:
    beside = RawHost(tmp_path)
    first = RawHost(tmp_path, FALKIT_EMULATOR_SPEED="1.5")
    job_id = started_video(first)
    first.kill()
    end = time.monotonic() + 40
    while not list((tmp_path / "media").glob("*.mp4")):
        assert time.monotonic() < end, "the file did not come home"
        time.sleep(0.2)
    job = beside.call("job_status", {"job_id": job_id, "wait_seconds": 20})
    assert (job["state"], job["saved"]) == ("done", True)
    assert beside.close() == 0


@pytest.mark.proof
def test_a_host_that_closes_stdin_in_mid_job_leaves_no_process_and_loses_nothing(
    tmp_path: Path,
) -> None:
    first = RawHost(tmp_path, FALKIT_EMULATOR_SPEED="1.5")
    job_id = started_video(first)
    assert first.close() == 0
    second = RawHost(tmp_path)
    job = second.call("job_status", {"job_id": job_id, "wait_seconds": 40})
    assert (job["state"], job["saved"]) == ("done", True)
    second.close()
