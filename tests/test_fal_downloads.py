"""Bringing files home: whole, checked, resumed, bounded, and from allowed places only."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

import anyio
import httpx
import pytest
from pydantic import SecretStr
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from server.fal.client import FalClient
from server.fal.problems import NetworkError, NotFoundError, PlatformError, TooLargeError
from server.fal.wire import Downloaded
from server.settings import EMULATOR_BASE, Hosts
from tests.fal_ends import (
    HOSTS,
    KEY,
    Clock,
    Deed,
    Script,
    client_at,
    client_of,
    hangs_up,
    http_answer,
    says,
    socket_of,
)
from tools.errors import MediaError

BYTES = bytes(range(256)) * 4000  # a megabyte
SHA = hashlib.sha256(BYTES).hexdigest()
FILE = f"{HOSTS.cdn}/files/b/0/x.png"


async def public(host: str, port: int) -> Sequence[str]:
    """Resolve every name to public addresses, ``inside.…`` to a private one."""
    return ["10.0.0.1"] if host.startswith("inside.") else ["93.184.216.34", "93.184.216.35"]


def outside_client(app: ASGIApp, clock: Clock | None = None, hosts: Hosts = HOSTS) -> FalClient:
    """Return a client to which every host is *app*, and every name is known."""
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app))
    policy = (clock or Clock()).policy()
    return FalClient(http, hosts, SecretStr(KEY), policy=policy, resolve=public)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


async def test_a_file_comes_home_with_its_length_hash_and_type(tmp_path: Path) -> None:
    app = Script(Response(BYTES, media_type="image/png; charset=x"))
    target = tmp_path / "x.part"
    target.write_bytes(b"something older and longer" * 90_000)

    async with client_of(app) as client:
        downloaded = await client.download(FILE, target)

    assert downloaded == Downloaded(len(BYTES), SHA, "image/png")
    assert target.read_bytes() == BYTES
    assert app.seen[0].headers["accept-encoding"] == "identity"


async def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    async with client_of(Script(Response(b""))) as client:
        downloaded = await client.download(FILE, tmp_path / "x")

    assert downloaded == Downloaded(0, hashlib.sha256().hexdigest(), "")


def broken_at(length: int, *, tag: str = '"one"') -> bytes:
    """Return an answer that promises all of `BYTES` and breaks after *length*."""
    return http_answer(BYTES[:length], more=f"ETag: {tag}\r\n", length=len(BYTES))


async def test_a_broken_transfer_goes_on_where_it_broke(tmp_path: Path) -> None:
    rest = http_answer(
        BYTES[300_000:],
        status="206 Partial Content",
        more=f'ETag: "one"\r\nContent-Range: bytes 300000-{len(BYTES) - 1}/{len(BYTES)}\r\n',
    )

    async with (
        socket_of(says(broken_at(300_000)), says(rest)) as server,
        client_at(server.base) as client,
    ):
        downloaded = await client.download(f"{server.base}/cdn/x.mp4", tmp_path / "x")

    assert downloaded.sha256 == SHA
    assert (tmp_path / "x").read_bytes() == BYTES
    again = server.requests[1].lower()
    assert b"range: bytes=300000-\r\n" in again
    assert b'if-range: "one"\r\n' in again


async def test_a_transfer_begins_again_when_the_host_cannot_go_on(tmp_path: Path) -> None:
    whole = http_answer(BYTES, more='ETag: "two"\r\n')

    async with (
        socket_of(says(broken_at(300_000)), says(whole)) as server,
        client_at(server.base) as client,
    ):
        downloaded = await client.download(f"{server.base}/cdn/x.mp4", tmp_path / "x")

    assert downloaded == Downloaded(len(BYTES), SHA, "")
    assert (tmp_path / "x").read_bytes() == BYTES


async def test_without_a_mark_of_the_original_a_transfer_begins_again(tmp_path: Path) -> None:
    weak = broken_at(300_000, tag='W/"one"')

    async with (
        socket_of(says(weak), hangs_up, says(http_answer(BYTES))) as server,
        client_at(server.base) as client,
    ):
        downloaded = await client.download(f"{server.base}/cdn/x.mp4", tmp_path / "x")

    assert downloaded.sha256 == SHA
    assert not any(b"range:" in request.lower() for request in server.requests)


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(
            http_answer(
                BYTES[10:],
                status="206 Partial Content",
                more=f"Content-Range: bytes 10-{len(BYTES) - 1}/{len(BYTES)}\r\n",
            ),
            id="another part",
        ),
        pytest.param(
            http_answer(
                b"x" * 10,
                status="206 Partial Content",
                more="Content-Range: bytes 300000-300009/300010\r\n",
            ),
            id="another length",
        ),
        pytest.param(http_answer(b"", status="416 Range Not Satisfiable"), id="no such part"),
        pytest.param(http_answer(b"", status="206 Partial Content"), id="a part of nothing"),
    ],
)
async def test_a_part_that_does_not_fit_is_not_appended(tmp_path: Path, odd: bytes) -> None:
    async with (
        socket_of(says(broken_at(300_000)), says(odd), says(http_answer(BYTES))) as server,
        client_at(server.base) as client,
    ):
        downloaded = await client.download(f"{server.base}/cdn/x.mp4", tmp_path / "x")

    assert downloaded.sha256 == SHA
    assert b"range:" not in server.requests[2].lower()


async def test_a_file_that_is_shorter_than_promised_is_never_called_home(tmp_path: Path) -> None:
    async def short(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * 999})

    clock = Clock()
    async with client_of(short, clock) as client:
        with pytest.raises(NetworkError, match=r"999 of 1,000 bytes came"):
            await client.download(FILE, tmp_path / "x")

    assert len(clock.pauses) == 5


async def test_a_transfer_that_gets_somewhere_each_time_may_break_often(tmp_path: Path) -> None:
    step = 256 * 1024
    deeds: list[Deed] = [says(broken_at(step))]
    for start in range(step, len(BYTES), step):
        head = (
            f"HTTP/1.1 206 Partial Content\r\nContent-Length: {len(BYTES) - start}\r\n"
            f'ETag: "one"\r\nContent-Range: bytes {start}-{len(BYTES) - 1}/{len(BYTES)}\r\n\r\n'
        )
        deeds += [hangs_up, hangs_up, says(head.encode() + BYTES[start : start + step])]

    async with socket_of(*deeds) as server, client_at(server.base) as client:
        downloaded = await client.download(f"{server.base}/cdn/x.mp4", tmp_path / "x")

    assert downloaded.sha256 == SHA
    assert len(server.requests) == len(deeds) == 10


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_an_expired_file_says_so_at_once(tmp_path: Path, status: int) -> None:
    app = Script(Response(status_code=status))

    async with client_of(app) as client:
        with pytest.raises(NotFoundError, match=f"HTTP {status}.*expire") as caught:
            await client.download(f"{FILE}?signature=hush", tmp_path / "x")

    assert len(app.seen) == 1
    assert "hush" not in str(caught.value)


async def test_a_busy_host_is_asked_again_after_the_pause_it_wants(tmp_path: Path) -> None:
    busy = Response(status_code=503, headers={"Retry-After": "4"})
    clock = Clock()

    async with client_of(Script(busy, Response(b"ok")), clock) as client:
        assert (await client.download(FILE, tmp_path / "x")).bytes == 2

    assert 4 < clock.pauses[0] < 5


async def test_any_other_refusal_is_told(tmp_path: Path) -> None:
    app = Script(Response(status_code=400))

    async with client_of(app) as client:
        with pytest.raises(PlatformError, match="HTTP 400"):
            await client.download(FILE, tmp_path / "x")

    assert len(app.seen) == 1


async def test_a_file_beyond_the_limit_is_refused_by_its_length_and_by_its_bytes(
    tmp_path: Path,
) -> None:
    async def unsaid(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(4):
            more = {"type": "http.response.body", "body": BYTES, "more_body": True}
            await send(more)
        await send({"type": "http.response.body", "body": b""})

    for app in (Script(Response(BYTES)), unsaid):
        async with client_of(app) as client:
            with pytest.raises(TooLargeError, match="longer than 1,000 bytes"):
                await client.download(FILE, tmp_path / "x", max_bytes=1000)
    assert (tmp_path / "x").stat().st_size <= 1000

    async with client_of(Script(Response(BYTES[:1000]))) as client:
        assert (await client.download(FILE, tmp_path / "x", max_bytes=1000)).bytes == 1000


async def test_a_target_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    async with client_of(Script(Response(b"x"))) as client:
        with pytest.raises(MediaError, match=r"cannot be written: no such file or directory"):
            await client.download(FILE, tmp_path / "nowhere" / "x")


@pytest.mark.parametrize(
    ("uri", "data", "media_type"),
    [
        ("data:image/png;base64," + base64.b64encode(BYTES).decode(), BYTES, "image/png"),
        ("data:;base64,YWI", b"ab", "text/plain"),
        ("DATA:text/plain;charset=utf-8;base64,YW%0Ai_-w%3D%3D", b"j\xbf\xbf", "text/plain"),
        ("data:text/plain,a%20b", b"a b", "text/plain"),
        ("data:,", b"", "text/plain"),
    ],
)
async def test_a_data_uri_becomes_a_file(
    tmp_path: Path, uri: str, data: bytes, media_type: str
) -> None:
    app = Script(Response())

    async with client_of(app) as client:
        if data == b"j\xbf\xbf":
            uri = uri.replace("YW%0Ai_-w%3D%3D", "ar%0A-_")
        downloaded = await client.download(uri, tmp_path / "x")

    assert (tmp_path / "x").read_bytes() == data
    assert downloaded == Downloaded(len(data), hashlib.sha256(data).hexdigest(), media_type)
    assert app.seen == []


@pytest.mark.parametrize("uri", ["data:image/png;base64", "data:image/png;base64,§§§"])
async def test_a_malformed_data_uri_says_what_one_looks_like(tmp_path: Path, uri: str) -> None:
    async with client_of(Script(Response())) as client:
        with pytest.raises(MediaError, match="it reads data:image/png;base64"):
            await client.download(uri, tmp_path / "x")


async def test_a_data_uri_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    uri = "data:;base64," + base64.b64encode(BYTES).decode()

    async with client_of(Script(Response())) as client:
        with pytest.raises(TooLargeError):
            await client.download(uri, tmp_path / "x", max_bytes=1000)


async def test_a_foreign_file_is_read_at_the_address_that_was_checked(tmp_path: Path) -> None:
    seen: list[tuple[object, str, str, str]] = []

    class Watching(httpx.ASGITransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            name = request.extensions["sni_hostname"]
            seen.append((name, request.url.host, request.headers["host"], request.url.path))
            return await super().handle_async_request(request)

    async with httpx.AsyncClient(transport=Watching(Script(Response(b"ok")))) as http:
        client = FalClient(http, HOSTS, SecretStr(KEY), resolve=public)
        await client.download("https://Files.test:8443/a/x.png?q=1", tmp_path / "x")

    assert seen == [("files.test", "93.184.216.34", "files.test:8443", "/a/x.png")]


async def test_the_next_try_takes_the_next_address(tmp_path: Path) -> None:
    app = Script(Response(status_code=503), Response(b"ok"))

    await outside_client(app).download("https://files.test/x", tmp_path / "x")

    assert [one.headers["host"] for one in app.seen] == ["files.test", "files.test"]
    assert [one.headers["connection"] for one in app.seen] == ["close", "close"]


@pytest.mark.parametrize(
    "url",
    [
        "https://inside.test/x",
        "http://files.test/x",
        "http://127.0.0.1/x",
        "ftp://files.test/x",
        "file:///etc/passwd",
        "/etc/passwd",
        "https://me:word@files.test/x",
        "http://fal.test/cdn/x",
        "https://fal.test/else/x",
    ],
)
async def test_a_foreign_file_must_lie_in_the_open(tmp_path: Path, url: str) -> None:
    app = Script(Response(b"secret"))

    async def inside(host: str, port: int) -> Sequence[str]:
        return ["10.0.0.1"]

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        client = FalClient(http, HOSTS, SecretStr(KEY), resolve=inside)
        with pytest.raises(MediaError):
            await client.download(url, tmp_path / "x")

    assert app.seen == []


@pytest.mark.parametrize("first", [FILE, "https://files.test/a"])
async def test_each_redirect_is_checked_anew(tmp_path: Path, first: str) -> None:
    app = Script(RedirectResponse("https://inside.test/secret"))

    with pytest.raises(MediaError, match="private network"):
        await outside_client(app).download(first, tmp_path / "x")

    assert len(app.seen) == 1


async def test_redirects_are_followed_five_times_and_relative_to_where_they_stand(
    tmp_path: Path,
) -> None:
    hops = [RedirectResponse(f"../step/{step}") for step in range(5)]
    app = Script(*hops, PlainTextResponse("there"))
    await outside_client(app).download("https://files.test/a/b/c", tmp_path / "x")
    assert [one.url.path for one in app.seen][:3] == ["/a/b/c", "/a/step/0", "/a/step/1"]
    assert (tmp_path / "x").read_bytes() == b"there"

    app = Script(RedirectResponse("https://files.test/round"))
    with pytest.raises(PlatformError, match="more than 5 redirects"):
        await outside_client(app).download("https://files.test/a", tmp_path / "x")
    assert len(app.seen) == 6


async def test_behind_a_proxy_the_name_is_handed_on_but_still_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    app = Script(Response(b"ok"))

    await outside_client(app).download("https://files.test/x", tmp_path / "x")
    with pytest.raises(MediaError, match="private network"):
        await outside_client(app).download("https://inside.test/x", tmp_path / "x")

    assert [one.url.host for one in app.seen] == ["files.test"]


async def test_a_name_that_cannot_be_resolved_now_is_tried_again(tmp_path: Path) -> None:
    clock = Clock()
    left = [OSError("no network"), OSError("no network")]

    async def flaky(host: str, port: int) -> Sequence[str]:
        if left:
            raise left.pop()
        return ["93.184.216.34"]

    async with httpx.AsyncClient(transport=httpx.ASGITransport(Script(Response(b"ok")))) as http:
        client = FalClient(http, HOSTS, SecretStr(KEY), policy=clock.policy(), resolve=flaky)
        await client.download("https://files.test/x", tmp_path / "x")

    assert len(clock.pauses) == 2


async def test_the_embedded_emulator_reaches_no_other_host(tmp_path: Path) -> None:
    app = Script(Response(b"x"))
    hosts = Hosts.under(EMULATOR_BASE)

    client = outside_client(app, hosts=hosts)
    await client.download(f"{hosts.cdn}/files/b/0/x.png", tmp_path / "x")
    with pytest.raises(MediaError, match="outside the embedded emulator"):
        await client.download("https://files.test/x", tmp_path / "x")

    assert len(app.seen) == 1


async def test_a_cancelled_download_frees_its_connection_and_file(tmp_path: Path) -> None:
    gone = anyio.Event()

    async def trickles(stream: anyio.abc.ByteStream, _: bytes) -> None:
        await stream.send(broken_at(1000))
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.receive()
        gone.set()

    async with socket_of(trickles) as server, client_at(server.base) as client:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(client.download, f"{server.base}/cdn/x", tmp_path / "x")
                while not server.requests:
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            await gone.wait()
