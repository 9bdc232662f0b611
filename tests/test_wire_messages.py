"""What no polite client sends over both wires: broken, split, crowded messages (`make proof`)."""

import json
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.raw import HELLO
from tests.told_stories import OURS, by_address, private
from tools.inventory import TOOLS

ENVELOPE: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
HEADERS = {
    "accept": "application/json, text/event-stream",
    "content-type": "application/json",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "search_models",
}
MANY = 1000

pytestmark = pytest.mark.proof


def search(number: int, **meta: Any) -> dict[str, Any]:
    arguments = {"query": f"a picture of {number} foxes", "limit": 2}
    params: dict[str, Any] = {"name": "search_models", "arguments": arguments, **meta}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


@asynccontextmanager
async def piped(home: Path) -> AsyncGenerator[tuple[Process, BufferedByteReceiveStream]]:
    """Yield a started falkit that has shaken hands, and its lines."""
    async with await anyio.open_process(OURS, cwd=home, env=private(home), stderr=None) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lines = BufferedByteReceiveStream(process.stdout)
        hello = {"jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": HELLO}
        await process.stdin.send(json.dumps(hello).encode() + b"\n")
        await lines.receive_until(b"\n", 2**20)
        try:
            yield process, lines
        finally:
            process.terminate()


async def answers(lines: BufferedByteReceiveStream, wanted: set[int]) -> dict[int, Any]:
    """Return the answers under the ids *wanted*; those under none are passed over."""
    found: dict[int, Any] = {}
    with anyio.fail_after(60):
        while wanted - found.keys():
            answer = json.loads(await lines.receive_until(b"\n", 2**25))
            if answer.get("id") in wanted:
                found[answer["id"]] = answer
    return found


async def test_a_thousand_calls_in_broken_pieces_among_rubbish_are_all_answered(
    tmp_path: Path,
) -> None:
    dice = random.Random(7)  # noqa: S311  # the same rubbish every time
    rubbish = [
        b"{", b"null", b"[]", b'"text"', b"\xff\xfe", b'{"jsonrpc":"2.0"}', b'{"id":{}}',
        b"{}" * 99,
        b'{"jsonrpc":"1.0","id":-1,"method":"x"}', b"[" * 5000, b'{"jsonrpc":"2.0","result":1}',
        b'{"jsonrpc":"2.0","id":-2,"method":"tools/call","params":7}', b"x" * 100_000,
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"no"}}',
        b'{"jsonrpc":"2.0","id":-3,"method":"no/such","params":{}}', dice.randbytes(300),
    ]  # fmt: skip
    said: list[bytes] = []
    for number in range(MANY):
        said.append(json.dumps(search(number)).encode())
        if number % 5 == 0:
            said.append(dice.choice(rubbish).replace(b"\n", b" "))
    wire = b"\n".join(said) + b"\n"
    async with piped(tmp_path) as (process, lines), anyio.create_task_group() as tasks:
        sending = process.stdin
        assert sending is not None

        async def send() -> None:
            at = 0
            while at < len(wire):
                piece = wire[at : at + dice.randint(1, 9000)]
                await sending.send(piece)
                at += len(piece)

        tasks.start_soon(send)
        found = await answers(lines, set(range(MANY)))
        wrong = [one for one in found.values() if one.get("result", {}).get("isError", True)]
        assert wrong == []


async def test_who_stops_reading_gets_everything_later_and_memory_stays(tmp_path: Path) -> None:
    async with piped(tmp_path) as (process, lines), anyio.create_task_group() as tasks:
        sending = process.stdin
        assert sending is not None

        async def send() -> None:
            for number in range(MANY):
                listing: dict[str, Any] = {
                    "jsonrpc": "2.0",
                    "id": number,
                    "method": "tools/list",
                    "params": {},
                }
                await sending.send(json.dumps(listing).encode() + b"\n")

        tasks.start_soon(send)
        await anyio.sleep(3)  # nothing is read meanwhile: that is the subject
        status = Path(f"/proc/{process.pid}/status")
        resident = next(
            (line for line in status.read_text().splitlines() if line.startswith("VmRSS")), ""
        )
        found = await answers(lines, set(range(MANY)))
        assert int(resident.split()[1]) < 400 * 1024, resident
        assert all(len(answer["result"]["tools"]) == len(TOOLS) for answer in found.values())


async def test_a_thousand_calls_at_once_over_http_are_all_answered(tmp_path: Path) -> None:
    limits = httpx.Limits(max_connections=None)
    with by_address(tmp_path) as address:
        async with httpx.AsyncClient(timeout=60, limits=limits, headers=HEADERS) as http:
            statuses: list[int] = []

            async def one(number: int) -> None:
                answer = await http.post(address, json=search(number, _meta=ENVELOPE))
                statuses.append(answer.status_code)
                assert answer.json()["result"]["structuredContent"]["models"]

            async with anyio.create_task_group() as tasks:
                for number in range(MANY):
                    tasks.start_soon(one, number)
    assert statuses == [200] * MANY


async def test_broken_bodies_over_http_are_refused_and_never_a_fault(tmp_path: Path) -> None:
    good = json.dumps(search(1, _meta=ENVELOPE)).encode()
    bodies = [
        b"", b"{", b"null", b"[]", b"7", good[:-1], good + good, b"[" + good + b"]", b"\xff" + good,
        b"[" * 100_000, b'{"jsonrpc":"2.0","id":1}', good.replace(b"2.0", b"3.0"),
        good.replace(b"tools/call", b"tools/list"), good.replace(b"search_models", b"generate"),
        good.replace(b'"id": 1', b'"id": {}'), good.replace(b'"params": {', b'"params": [{'),
    ]  # fmt: skip
    with by_address(tmp_path) as address:
        async with httpx.AsyncClient(timeout=20, headers=HEADERS) as http:
            for body in bodies:
                answer = await http.post(address, content=body)
                assert 400 <= answer.status_code < 500, (body[:60], answer.status_code)
                assert "Traceback" not in answer.text

            async def slowly() -> AsyncGenerator[bytes]:
                for at in range(0, len(good), 7):
                    yield good[at : at + 7]
                    await anyio.lowlevel.checkpoint()

            answer = await http.post(address, content=slowly())
            assert answer.status_code == 200


async def test_who_does_not_read_over_http_holds_up_nobody_else(tmp_path: Path) -> None:
    with by_address(tmp_path) as address:
        host, _, port = address.removeprefix("http://").partition("/")[0].partition(":")
        listing = json.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": ENVELOPE}}
        )
        heads = {**HEADERS, "mcp-method": "tools/list", "host": f"{host}:{port}"}
        del heads["mcp-name"]
        lines = "".join(f"{name}: {value}\r\n" for name, value in heads.items())
        request = f"POST /mcp HTTP/1.1\r\n{lines}content-length: {len(listing)}\r\n\r\n{listing}"
        async with anyio.create_task_group() as tasks:

            async def deaf() -> None:
                async with await anyio.connect_tcp(host, int(port)) as stream:
                    while True:
                        await stream.send(request.encode())

            for _ in range(20):
                tasks.start_soon(deaf)
            await anyio.sleep(1)  # until their answers fill what lies between
            async with httpx.AsyncClient(timeout=20, headers=HEADERS) as http:
                for number in range(20):
                    answer = await http.post(address, json=search(number, _meta=ENVELOPE))
                    assert answer.status_code == 200
            tasks.cancel_scope.cancel()
