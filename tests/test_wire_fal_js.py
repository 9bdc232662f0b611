"""The released JavaScript client, unmodified, against a served emulator (`make proof`)."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest

from tests.node import node, npm_install

HERE = Path(__file__).parent / "wire" / "js"

pytestmark = pytest.mark.proof


async def listening(port: int) -> None:
    """Return when somebody listens on *port*."""
    with anyio.fail_after(20):
        while True:
            try:
                await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
            except OSError:
                await anyio.sleep(0.02)
            else:
                return


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """Yield the address of `falkit emulate`, a program of its own."""
    home = tmp_path_factory.mktemp("home")
    env = {name: value for name, value in os.environ.items() if not name.startswith("FAL")}
    env |= {"FALKIT_HOME": str(home)}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "falkit", "emulate", "--port", str(port), "--speed", "8"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline(), "the emulator did not start"
            with anyio.from_thread.start_blocking_portal() as portal:
                portal.call(listening, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def said(base: str) -> Mapping[str, Any]:
    """Return what the client said of each proof."""
    program = node()
    npm_install(HERE)
    done = subprocess.run(
        [program, "--import", "./sockets.mjs", "proofs.mjs"],
        cwd=HERE,
        env={**os.environ, "EMULATOR": base},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, done.stderr
    return {line["name"]: line for line in lines}


def value(said: Mapping[str, Any], name: str) -> Any:
    assert "error" not in said[name], (said[name]["error"], said[name].get("body"))
    return said[name]["value"]


def test_a_run_brings_a_picture_and_the_id_of_its_request(said: Mapping[str, Any]) -> None:
    run = value(said, "run")
    assert run["start"] == [0xFF, 0xD8]
    assert run["requestId"]


def test_the_queue_is_followed_to_the_result(said: Mapping[str, Any]) -> None:
    queue = value(said, "queue")
    assert queue["seen"][0] == "IN_QUEUE"
    assert queue["seen"][-1] == "COMPLETED"
    assert queue["logs"] > 0
    assert queue["result"]["requestId"] == queue["requestId"]
    assert queue["result"]["data"]["seed"] == 7


def test_a_cancelled_request_ends_and_says_so(said: Mapping[str, Any]) -> None:
    cancel = value(said, "cancel")
    assert cancel["status"] == "COMPLETED"
    assert cancel["again"]["status"] == 400
    assert cancel["result"]["status"] == 499


def test_subscribing_by_polling_ends_with_the_output(said: Mapping[str, Any]) -> None:
    polling = value(said, "polling")
    assert polling["enqueued"] == polling["requestId"]
    assert polling["last"] == "COMPLETED"
    assert polling["data"]["images"][0]["width"] == 64


def test_subscribing_by_streaming_brings_every_line_of_the_log_once(
    said: Mapping[str, Any],
) -> None:
    streaming = value(said, "streaming")
    assert streaming["updates"][-1] == "COMPLETED"
    assert len(streaming["lines"]) == len(set(streaming["lines"])) > 0
    assert streaming["data"]["images"]


def test_a_stream_ends_with_the_whole_output(said: Mapping[str, Any]) -> None:
    stream = value(said, "stream")
    assert stream["events"] >= 1
    assert stream["last"]["images"]


def test_realtime_answers_each_input(said: Mapping[str, Any]) -> None:
    realtime = value(said, "realtime")
    assert realtime["failures"] == []
    assert len(realtime["outputs"]) == 2
    assert all("images" in output for output in realtime["outputs"])


def test_an_upload_can_be_read_back(said: Mapping[str, Any]) -> None:
    upload = value(said, "upload")
    assert upload["same"]
    assert upload["type"] == "image/png"


def test_a_large_upload_in_parts_can_be_read_back(said: Mapping[str, Any]) -> None:
    parts = value(said, "parts")
    assert parts["length"] == 91 * 1024 * 1024
    assert parts["same"]


def test_a_picture_inside_the_input_is_uploaded_on_the_way(said: Mapping[str, Any]) -> None:
    assert value(said, "inputs")["images"] >= 1


def test_a_refused_input_names_its_fields(said: Mapping[str, Any]) -> None:
    refused = value(said, "refused")
    assert (refused["name"], refused["status"]) == ("ValidationError", 422)
    assert ["body", "prompt"] in refused["fields"]
    assert ["body", "num_images"] in refused["fields"]


def test_an_unknown_application_is_not_found(said: Mapping[str, Any]) -> None:
    assert value(said, "unknown")["status"] == 404
