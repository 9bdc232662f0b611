"""Real servers that send without end, packed, or a byte now and then: each try comes to an end."""

import gzip
import json
import zlib
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream

from server.fal.problems import (
    FalError,
    LostAnswerError,
    NetworkError,
    PlatformError,
    TooLargeError,
)
from tests.fal_ends import (
    MODEL,
    WORK,
    Clock,
    Deed,
    client_at,
    http_answer,
    says,
    socket_of,
)

MEGABYTE = 1024 * 1024
JSON = "Content-Type: application/json\r\n"
EVENTS = "Content-Type: text/event-stream\r\n"


def packed(body: bytes, times: int = 1) -> bytes:
    for _ in range(times):
        body = gzip.compress(body, 1)
    return body


class Flood:
    """Sends megabytes after a head until the client hangs up, and counts them."""

    def __init__(self, more: str, begin: bytes = b"") -> None:
        self.head = f"HTTP/1.1 200 OK\r\nConnection: close\r\n{more}\r\n".encode() + begin
        self.megabytes = 0

    async def __call__(self, stream: ByteStream, __: bytes) -> None:
        try:
            await stream.send(self.head)
            for _ in range(300):
                await stream.send(b"x" * MEGABYTE)
                self.megabytes += 1
        except anyio.BrokenResourceError:
            return


def drips(raw: bytes) -> Deed:
    """Answer *raw* with a byte every hundredth of a second, and without end after it."""

    async def deed(stream: ByteStream, _: bytes) -> None:
        try:
            for byte in raw:
                await stream.send(bytes([byte]))
                await anyio.sleep(0.01)
            await anyio.sleep_forever()
        except anyio.BrokenResourceError:
            return

    return deed


async def test_a_small_packed_answer_that_unpacks_without_end_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.fal.sender.MOST_BYTES", MEGABYTE)
    bomb = packed(b" " * 40 * MEGABYTE)
    raw = http_answer(bomb, more=f"{JSON}Content-Encoding: gzip\r\n")

    async with socket_of(says(raw)) as server, client_at(server.base) as client:
        with pytest.raises(PlatformError, match="is too long"):
            await client.result(MODEL, WORK)
        with pytest.raises(LostAnswerError, match="is too long"):
            await client.run(MODEL, {})

    assert len(server.requests) == 2


@pytest.mark.parametrize("packing", ["gzip, gzip", "br", "zstd"])
async def test_a_packing_that_was_not_asked_for_is_not_unpacked(packing: str) -> None:
    raw = http_answer(packed(b"{}", 2), more=f"{JSON}Content-Encoding: {packing}\r\n")

    async with socket_of(says(raw)) as server, client_at(server.base) as client:
        with pytest.raises(PlatformError, match="broke off"):
            await client.result(MODEL, WORK)

    assert b"accept-encoding: gzip\r\n" in server.requests[0].lower()


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
async def test_a_packed_answer_is_read(packing: str) -> None:
    body = json.dumps({"text": "é" * 3_000_000}).encode()
    raw = packed(body) if packing == "gzip" else zlib.compress(body)
    answer = http_answer(raw, more=f"{JSON}Content-Encoding: {packing}\r\n")

    async with socket_of(says(answer)) as server, client_at(server.base) as client:
        assert (await client.result(MODEL, WORK)).output == {"text": "é" * 3_000_000}


@pytest.mark.proof
async def test_of_three_hundred_megabytes_of_json_no_more_is_read_than_the_bound() -> None:
    flood = Flood(JSON, b'{"a":"')

    async with socket_of(flood) as server, client_at(server.base) as client:
        with pytest.raises(PlatformError, match="is too long"):
            await client.result(MODEL, WORK)

    assert 60 <= flood.megabytes < 100


async def test_an_event_without_end_breaks_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.fal.sender.MOST_BYTES", 4 * MEGABYTE)
    flood = Flood(EVENTS, b"data: ")

    async with socket_of(flood) as server, client_at(server.base) as client:
        async with client.watch(MODEL, WORK) as states:
            with pytest.raises(NetworkError):
                await anext(states)
        async with client.stream(MODEL, {}) as events:
            with pytest.raises(FalError) as broken:
                await anext(events)

    assert broken.value.charged is None
    assert flood.megabytes < 40


async def test_a_long_stream_of_small_events_is_no_long_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.fal.sender.MOST_BYTES", 200_000)
    body = "".join(f"data: {json.dumps([number, 'x' * 10_000])}\n\n" for number in range(50))
    answer = http_answer(body.encode(), more=EVENTS)

    async with (
        socket_of(says(answer)) as server,
        client_at(server.base) as client,
        client.stream(MODEL, {}) as events,
    ):
        assert [event[0] async for event in events] == list(range(50))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nX-More: " + b"x" * 500, id="in the head"),
        pytest.param(http_answer(b" " * 500), id="in the body"),
    ],
)
async def test_a_byte_now_and_then_ends_at_the_deadline(
    raw: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.fal.sender.ANSWER_SECONDS", 0.1)
    async with socket_of(drips(raw)) as server, client_at(server.base, Clock()) as client:
        with anyio.fail_after(5):
            with pytest.raises(LostAnswerError) as lost:
                await client.submit(MODEL, {})
            paid = len(server.requests)
            with pytest.raises(FalError):
                await client.status(MODEL, WORK)

    assert paid == 1
    assert lost.value.charged is None
    assert len(server.requests) > 2  # the read was repeated, the paid one not


async def test_a_file_that_comes_a_byte_now_and_then_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.fal.downloads.SLOW_SECONDS", 0.1)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"

    async def deed(stream: ByteStream, _: bytes) -> None:
        await stream.send(head)
        await drips(b"x" * 1000)(stream, b"")

    async with socket_of(deed) as server, client_at(server.base, Clock()) as client:
        with anyio.fail_after(5), pytest.raises(NetworkError, match="broke"):
            await client.download(f"{server.base}/cdn/a.png", tmp_path / "a.png")


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
GOOD = json.dumps({"request_id": WORK, "status": "COMPLETED"}).encode()
SPOILT = [
    pytest.param(says(http_answer(GOOD, length=len(GOOD) + 40)), id="fewer bytes than claimed"),
    pytest.param(says(http_answer(GOOD, length=len(GOOD) - 4)), id="more bytes than claimed"),
    pytest.param(says(CHUNKED + b"9\r\n{"), id="a chunk that breaks off"),
    pytest.param(says(CHUNKED + b"1\r\n{\r\n"), id="chunks without an end"),
    pytest.param(says(http_answer(b"<html>nginx</html>")), id="a page"),
    pytest.param(says(http_answer(b"")), id="nothing"),
    pytest.param(
        says(http_answer(packed(GOOD)[:-9], more="Content-Encoding: gzip\r\n")), id="half packed"
    ),
]


@pytest.mark.parametrize("deed", SPOILT)
async def test_a_paid_request_whose_answer_came_spoilt_is_lost_and_never_sent_again(
    deed: Deed,
) -> None:
    for paid in ("submit", "run"):
        clock = Clock()
        async with socket_of(deed) as server, client_at(server.base, clock) as client:
            with pytest.raises(LostAnswerError) as lost:
                await (client.submit if paid == "submit" else client.run)(MODEL, {})

        assert (len(server.requests), clock.pauses) == (1, [])
        assert lost.value.charged is None
        assert not lost.value.retry_helps


@pytest.mark.parametrize("deed", SPOILT)
async def test_a_read_whose_answer_came_spoilt_is_sent_again(deed: Deed) -> None:
    whole = says(http_answer(GOOD))

    async with socket_of(deed, whole) as server, client_at(server.base) as client:
        assert (await client.status(MODEL, WORK)).state == "completed"
    assert len(server.requests) == 2

    async with socket_of(deed, deed, whole) as server, client_at(server.base) as client:
        assert (await client.result(MODEL, WORK)).output["request_id"] == WORK
    assert len(server.requests) == 3


async def test_a_packed_file_comes_home_unpacked_and_within_its_bound(tmp_path: Path) -> None:
    raw = http_answer(packed(b"x" * 20 * MEGABYTE), more="Content-Encoding: gzip\r\n")

    async with socket_of(says(raw)) as server, client_at(server.base) as client:
        url, target = f"{server.base}/cdn/a.txt", tmp_path / "a.txt"
        assert (await client.download(url, target)).bytes == 20 * MEGABYTE
        with pytest.raises(TooLargeError):
            await client.download(url, target, max_bytes=3 * MEGABYTE)

    assert target.stat().st_size <= 4 * MEGABYTE
