"""The stdio transport, against real processes and real pipes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.types import TextContent

from server.stdio import MAX_LINE_BYTES
from tests.house import pictures, record, words
from tests.house import serving as serving_falkit

SERVED = Path(__file__).with_name("served.py")
ROOMS = SERVED.parent.parent
ENVELOPE: dict[str, object] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Host:
    """The program at the other end: it speaks in lines."""

    def __init__(self, process: Process, diary: Path) -> None:
        self.process = process
        self.diary = diary
        assert process.stdout is not None
        self.answers = BufferedByteReceiveStream(process.stdout)

    async def say(self, line: object) -> None:
        assert self.process.stdin is not None
        raw = line if isinstance(line, bytes) else json.dumps(line).encode()
        await self.process.stdin.send(raw + b"\n")

    async def ask(self, number: int, method: str, **params: Any) -> None:
        await self.say({"jsonrpc": "2.0", "id": number, "method": method, "params": params})

    async def hear(self) -> dict[str, Any]:
        with anyio.fail_after(10):
            return json.loads(await self.answers.receive_until(b"\n", 2**25))

    async def call(self, number: int, tool: str, **arguments: object) -> dict[str, Any]:
        await self.ask(number, "tools/call", name=tool, arguments=arguments)
        return await self.hear()

    async def shake_hands(self) -> None:
        await self.ask(
            0,
            "initialize",
            protocolVersion="2025-06-18",
            capabilities={},
            clientInfo={"name": "t", "version": "0"},
        )
        assert (await self.hear())["result"]["serverInfo"]["name"] == "served"
        await self.say({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def wait_in_a_call(self, tool: str) -> None:
        """Leave a call open, for sure: its progress has been heard."""
        await self.ask(7, "tools/call", name=tool, arguments={}, _meta={"progressToken": 7})
        assert (await self.hear())["method"] == "notifications/progress"

    async def close(self) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.aclose()

    async def end(self) -> tuple[int, float, list[str]]:
        """Return how the server ended: its code, after how many seconds, and its diary."""
        began = time.monotonic()
        with anyio.fail_after(10):
            code = await self.process.wait()
        return code, time.monotonic() - began, self.diary.read_text().split()


def serving(
    folder: Path, grace_seconds: float = 5, max_line_bytes: int = 200_000
) -> tuple[str, ...]:
    """Return the command that starts the server with its diary in *folder*."""
    diary = str(folder / "diary")
    return sys.executable, str(SERVED), diary, str(grace_seconds), str(max_line_bytes)


@asynccontextmanager
async def hosted(
    folder: Path, grace_seconds: float = 5, max_line_bytes: int = 200_000
) -> AsyncGenerator[Host]:
    async with await anyio.open_process(
        serving(folder, grace_seconds, max_line_bytes),
        stderr=None,
        env={**os.environ, "PYTHONPATH": str(ROOMS)},
    ) as process:
        try:
            yield Host(process, folder / "diary")
        finally:
            if process.returncode is None:
                process.kill()


async def test_lines_that_are_no_messages_are_answered_and_the_server_goes_on(
    tmp_path: Path,
) -> None:
    async with hosted(tmp_path) as host:
        await host.shake_hands()
        replies: list[tuple[object, int]] = []
        for line in (
            b"{not json",
            b"[]",
            b"[" * 100_000,
            b'{"jsonrpc":"1.0","id":3,"method":"ping"}',
            b'{"jsonrpc":"2.0","id":"four","method":"ping","params":[1]}',
            b'{"jsonrpc":"2.0","id":5,"method":"ping","params":{"cut":"\\ud83d"}}',
            b'{"jsonrpc":"2.0","id":6,"method":"ping","params":{"latin":"\xe9"},}',
            b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"long":"%s"}}' % (b"x" * 500_000),
            b'{"method":"ping","params":{"long":"%s"},"jsonrpc":"2.0","id":8}' % (b"x" * 500_000),
            b'{"jsonrpc":"2.0","id":9,"result":{"long":"%s"}}' % (b"x" * 500_000),
            b'{"method":"ping","params":{"id":1,"x":"]\\"{","deep":%s%s},"jsonrpc":"2.0","id":"ten"}'
            % (b"[" * 30_000, b"]" * 30_000),
            b'{"jsonrpc":"2.0","method":"ping","params":{"id":11',
        ):
            await host.say(line)
            answer = await host.hear()
            replies.append((answer["id"], answer["error"]["code"]))
        assert replies == [
            (None, -32700),
            (None, -32600),
            (None, -32700),
            (3, -32600),
            ("four", -32600),
            (5, -32600),
            (6, -32700),
            (7, -32600),
            (8, -32600),
            (None, -32600),
            ("ten", -32700),
            (None, -32700),
        ]
        await host.say(b"\n  \r")  # blank lines, and an ill-formed answer, deserve none
        await host.say({"jsonrpc": "1.0", "id": 1, "result": {}})
        assert (await host.call(8, "echo", text="still here"))["id"] == 8


async def test_prints_and_child_processes_stay_off_the_wire(tmp_path: Path) -> None:
    async with hosted(tmp_path) as host:
        await host.shake_hands()
        babbled = await host.call(1, "babble")
        assert babbled["id"] == 1
        assert babbled["result"]["content"][0]["text"] == ""  # stdin is empty, not the wire


async def test_an_answer_that_is_not_unicode_arrives_with_its_odd_letters_replaced(
    tmp_path: Path,
) -> None:
    async with hosted(tmp_path) as host:
        await host.shake_hands()
        assert (await host.call(1, "name_of_a_strange_file"))["id"] == 1
        assert (await host.call(2, "echo", text="still here"))["id"] == 2


@pytest.mark.proof
async def test_ten_megabytes_arrive_whole(tmp_path: Path) -> None:
    async with hosted(tmp_path) as host:
        await host.shake_hands()
        answer = await host.call(1, "large", characters=10_000_000)
        assert len(answer["result"]["content"][0]["text"]) == 10_000_000


async def test_the_era_without_handshake_is_served_by_its_envelope(tmp_path: Path) -> None:
    async with hosted(tmp_path) as host:
        await host.ask(1, "server/discover", _meta=ENVELOPE)
        assert "2026-07-28" in (await host.hear())["result"]["supportedVersions"]
        await host.ask(2, "tools/call", name="echo", arguments={"text": "a"}, _meta=ENVELOPE)
        assert (await host.hear())["result"]["content"][0]["text"] == "a"


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_the_sdk_client_works_in_both_eras(tmp_path: Path, mode: Any) -> None:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=list(serving(tmp_path)[1:]),
        env={"PYTHONPATH": str(ROOMS)},
    )
    with anyio.fail_after(10):
        async with Client(stdio_client(parameters), mode=mode) as client:
            result = await client.call_tool("echo", {"text": "hello"})
    assert isinstance(result.content[0], TextContent)
    assert result.content[0].text == "hello"
    assert (tmp_path / "diary").read_text().split() == ["opened", "closed"]


@pytest.mark.parametrize(
    "way",
    [
        "end of input",
        pytest.param("SIGINT", marks=pytest.mark.proof),
        "SIGTERM",
        pytest.param("both signals", marks=pytest.mark.proof),
    ],
)
async def test_every_end_cancels_the_calls_unwinds_and_exits_with_0(
    tmp_path: Path, way: str
) -> None:
    async with hosted(tmp_path) as host:
        await host.shake_hands()
        await host.wait_in_a_call("wait")
        if way == "end of input":
            await host.close()
        if way in ("SIGINT", "both signals"):
            host.process.send_signal(signal.SIGINT)
        if way in ("SIGTERM", "both signals"):
            host.process.send_signal(signal.SIGTERM)
        code, seconds, diary = await host.end()
    assert code == 0
    assert diary == ["opened", "waiting", "cancelled", "closed"]
    assert seconds < 3  # 0.1 on an idle machine; forever, if a thread sits in `readline`


def test_a_host_that_stops_reading_ends_the_server_quietly(tmp_path: Path) -> None:
    with subprocess.Popen(
        serving(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOMS)},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
        process.stdin.flush()
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(10) == 0
        assert process.stderr.read() == b""
    assert (tmp_path / "diary").read_text().split() == ["opened", "closed"]


async def test_an_answer_that_nobody_reads_does_not_hold_the_end_up(tmp_path: Path) -> None:
    async with hosted(tmp_path) as host:
        await host.shake_hands()
        await host.wait_in_a_call("wait")
        await host.ask(8, "tools/call", name="large", arguments={"characters": 3_000_000})
        await host.answers.receive()  # the pipe fills behind this first piece
        await host.close()
        code, seconds, diary = await host.end()
    assert (code, diary[-1]) == (0, "closed")
    assert seconds < 3


async def test_a_call_that_cannot_be_cancelled_does_not_keep_the_process(tmp_path: Path) -> None:
    async with hosted(tmp_path, grace_seconds=0.1) as host:
        await host.shake_hands()
        await host.wait_in_a_call("hang")
        await host.close()
        code, _, diary = await host.end()
    assert code == 1
    assert diary == ["opened"]


async def test_files_in_place_of_pipes_are_read_to_their_end(tmp_path: Path) -> None:
    requests = tmp_path / "requests"
    requests.write_text('{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
    answers = tmp_path / "answers"
    with requests.open("rb") as stdin, answers.open("wb") as stdout, anyio.fail_after(10):
        process = await anyio.run_process(
            serving(tmp_path),
            stdin=stdin,
            stdout=stdout,
            stderr=None,
            env={**os.environ, "PYTHONPATH": str(ROOMS)},
        )
    assert process.returncode == 0
    assert (tmp_path / "diary").read_text().split() == ["opened", "closed"]


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.proof), signal.SIGTERM]
)
async def test_one_socket_as_both_ends_is_served_and_ends_by_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = await anyio.open_process(
            serving(tmp_path),
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=None,
            env={**os.environ, "PYTHONPATH": str(ROOMS)},
        )
        async with process:
            ours.sendall(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
            with anyio.fail_after(10):
                answer = await anyio.to_thread.run_sync(ours.recv, 1000)
                assert json.loads(answer)["id"] == 1
                process.send_signal(number)
                assert await process.wait() == 0
    assert (tmp_path / "diary").read_text().split() == ["opened", "closed"]


@pytest.mark.proof
async def test_a_line_of_64_mebibytes_is_taken_and_one_of_200_is_passed_over(
    tmp_path: Path,
) -> None:
    async with hosted(tmp_path, max_line_bytes=MAX_LINE_BYTES) as host:
        await host.shake_hands()
        message = {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"padding": ""}}
        message["params"] = {"padding": "x" * (MAX_LINE_BYTES - len(json.dumps(message)))}
        await host.say(message)
        assert (await host.hear())["id"] == 1
        message["params"] = {"padding": "x" * 200 * 2**20}
        await host.say(message)
        assert (await host.hear())["error"]["code"] == -32600
        await host.ask(2, "ping")
        assert (await host.hear())["id"] == 2


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.proof), signal.SIGTERM]
)
async def test_falkit_with_a_job_under_way_ends_on_a_signal_and_leaves_no_process(
    tmp_path: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "falkit", "serve"]
    async with await anyio.open_process(
        command, stderr=None, cwd=tmp_path, start_new_session=True
    ) as process:
        host = Host(process, tmp_path / "no diary")
        await host.ask(1, "tools/list", _meta=ENVELOPE)
        assert (await host.hear())["result"]["tools"]
        job = {"endpoint_id": "fal-ai/flux/schnell", "prompt": "a fox", "wait_seconds": 30}
        meta = {**ENVELOPE, "progressToken": 2}
        await host.ask(2, "tools/call", name="generate", arguments=job, _meta=meta)
        assert (await host.hear())["method"] == "notifications/progress"
        process.send_signal(number)
        with anyio.fail_after(10):
            assert await process.wait() == 0
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@pytest.mark.proof
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no folder /")
@pytest.mark.parametrize("folder", ["/", "Ordner ü mit Leerzeichen 日本"])
async def test_falkit_works_in_any_folder_and_with_any_letters_in_its_paths(
    tmp_path: Path, folder: str
) -> None:
    home = tmp_path / "Zuhause é 語"
    works_in = home / folder  # an absolute one stands for itself
    works_in.mkdir(parents=True, exist_ok=True)
    place = serving_falkit(home, {"FALKIT_ROOTS": ""}).model_copy(update={"cwd": works_in})
    async with Client(place) as client:
        asked = {"endpoint_id": "fal-ai/flux/schnell", "prompt": "ein Fuchs 狐"}
        made = await client.call_tool("generate", asked)
        path = Path(record(made)["outputs"][0]["path"])
        assert path.is_relative_to(home)
        copied = (home / "media" if folder == "/" else works_in) / f"Bild ü 日本{path.suffix}"
        copied.write_bytes(path.read_bytes())
        for given in (str(path), path.as_uri(), copied.name):
            seen = await client.call_tool("view_media", {"media": given})
            assert len(pictures(seen)) == 1, words(seen)
        larger = await client.call_tool("edit", {"operation": "upscale", "media": copied.name})
        assert record(larger)["state"] == "done"
