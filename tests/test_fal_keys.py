"""Keys stay home: every way in which another end could try to get one."""

import json
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from server.fal.client import FalClient
from server.fal.problems import FalError, PlatformError, UnauthorisedError
from server.fal.retry import RetryPolicy
from server.fal.sender import Ask, Sender, is_under
from server.settings import Hosts
from tests.fal_ends import (
    HIDDEN,
    HOSTS,
    KEY,
    MODEL,
    WORK,
    Clock,
    Script,
    client_at,
    client_of,
    hangs_up,
    http_answer,
    says,
    socket_of,
    state,
)

TOKEN = "a-token-for-uploads-0123456789"  # noqa: S105  # made up


class Towns:
    """An app for each host; every request is remembered under its host."""

    def __init__(self, **hosts: ASGIApp) -> None:
        self.hosts = hosts
        self.seen: list[tuple[str, str, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        host = request.url.hostname or ""
        self.seen.append((host, request.url.path, request.headers.get("authorization", "")))
        await self.hosts[host.partition(".")[0]](scope, receive, send)

    def heard(self, host: str) -> list[str]:
        """Return the Authorization headers that *host* saw."""
        return [authorization for name, _, authorization in self.seen if name == host]


async def public(host: str, port: int) -> list[str]:
    """Resolve every name to one public address."""
    return ["93.184.216.34"]


@asynccontextmanager
async def client_in(towns: Towns, hosts: Hosts = HOSTS) -> AsyncGenerator[FalClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(towns)) as http:
        policy = Clock().policy()
        yield FalClient(http, hosts, SecretStr(KEY), policy=policy, resolve=public)


def everything_in(error: BaseException) -> Iterator[str]:
    """Yield every text that hangs on *error*: its own, its arguments', its causes'."""
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None:
            continue
        yield from (str(one), repr(one), repr(one.args), repr(vars(one)))
        request = getattr(one, "_request", None)
        if isinstance(request, httpx.Request):
            yield repr(request.headers.raw)
        waiting += [one.__cause__, one.__context__]


def is_clean(error: BaseException) -> bool:
    return not any(HIDDEN in text or TOKEN in text for text in everything_in(error))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["https://thief.test/queue/x", "https://fal.test/elsewhere"])
async def test_a_redirecting_queue_gets_no_second_request(status: int, target: str) -> None:
    towns = Towns(
        fal=Script(RedirectResponse(target, status)),
        thief=Script(JSONResponse({"request_id": "x"})),
    )

    async with client_in(towns) as client:
        for call in (
            client.submit(MODEL, {}),
            client.status(MODEL, WORK),
            client.result(MODEL, WORK),
            client.cancel(MODEL, WORK),
        ):
            with pytest.raises(PlatformError, match="redirect"):
                await call
        with pytest.raises(PlatformError, match="redirect"):
            async with client.watch(MODEL, WORK):
                pass

    assert [host for host, _, _ in towns.seen] == ["fal.test"] * 5


async def test_addresses_in_the_answer_to_a_submit_lead_nowhere() -> None:
    answer = JSONResponse(
        {
            "request_id": WORK,
            "status_url": "https://thief.test/s",
            "response_url": "https://thief.test/r",
            "cancel_url": "https://thief.test/c",
        }
    )
    towns = Towns(
        fal=Script(answer, JSONResponse(state("COMPLETED"))), thief=Script(JSONResponse({}))
    )

    async with client_in(towns) as client:
        submission = await client.submit(MODEL, {})
        await client.status(MODEL, submission.request_id)
        await client.result(MODEL, submission.request_id)
        await client.cancel(MODEL, submission.request_id)

    assert towns.heard("thief.test") == []
    assert towns.heard("fal.test") == [f"Key {KEY}"] * 4


async def test_a_download_carries_no_key_not_even_to_fal(tmp_path: Path) -> None:
    away = RedirectResponse("https://thief.test/file")
    towns = Towns(fal=Script(away), thief=Script(PlainTextResponse("bytes")))
    towns.hosts["93"] = towns.hosts["thief"]

    async with client_in(towns) as client:
        await client.download(f"{HOSTS.cdn}/files/b/0/x.png", tmp_path / "x")

    assert (tmp_path / "x").read_bytes() == b"bytes"
    assert [authorization for _, _, authorization in towns.seen] == ["", ""]


async def test_a_download_carries_nothing_that_the_http_client_usually_sends(
    tmp_path: Path,
) -> None:
    app = Script(PlainTextResponse("bytes"))
    usual = {"Authorization": f"Key {KEY}"}

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), headers=usual) as http:
        client = FalClient(http, HOSTS, SecretStr(KEY), resolve=public)
        await client.download(f"{HOSTS.cdn}/files/x", tmp_path / "x")
        await client.download("https://thief.test/files/x", tmp_path / "x")

    assert [one.headers.get("authorization") for one in app.seen] == [None, None]


def token(**more: object) -> JSONResponse:
    """Return the support host's answer with an upload token."""
    until = {"expires_at": "2099-01-01T00:00:00+00:00", "token_type": "Bearer"}
    return JSONResponse({"token": TOKEN, "base_url": "https://thief.test", **until, **more})


async def test_an_upload_token_goes_to_the_configured_file_host_alone(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"pixels")
    towns = Towns(
        fal=Script(token(), JSONResponse({"access_url": "https://thief.test/files/x.png"})),
        thief=Script(JSONResponse({})),
    )

    async with client_in(towns) as client:
        uploaded = await client.upload(
            tmp_path / "x.png", media_type="image/png", file_name="x.png"
        )

    assert uploaded.url == "https://thief.test/files/x.png"
    assert towns.heard("fal.test") == [f"Key {KEY}", f"Bearer {TOKEN}"]
    assert towns.heard("thief.test") == []


async def test_parts_are_not_sent_to_a_host_that_an_answer_names(tmp_path: Path) -> None:
    with (tmp_path / "big.bin").open("wb") as file:
        file.truncate(101 * 1024 * 1024)
    begun = JSONResponse({"access_url": "https://thief.test/files/x", "uploadId": "u1"})
    towns = Towns(fal=Script(token(), begun), thief=Script(JSONResponse({})))

    async with client_in(towns) as client:
        with pytest.raises(PlatformError, match="wants the parts at"):
            await client.upload(tmp_path / "big.bin", media_type="a/b", file_name="big.bin")

    assert towns.heard("thief.test") == []


async def test_a_redirecting_file_host_gets_no_second_request(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"pixels")
    towns = Towns(
        fal=Script(token(), RedirectResponse("https://thief.test/put", 307)),
        thief=Script(JSONResponse({})),
    )

    async with client_in(towns) as client:
        with pytest.raises(PlatformError, match="redirect"):
            await client.upload(tmp_path / "x.png", media_type="image/png", file_name="x")

    assert towns.heard("thief.test") == []


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with everything the caller sent, as a hostile or careless host might."""
    request = Request(scope, receive)
    said = request.headers.get("authorization", "")
    bare = said.partition(" ")[2].partition(":")[2]
    body = {"detail": [{"loc": ["body", said], "msg": f"{said} {bare}", "type": bare}]}
    headers = {"x-fal-error-type": bare, "x-fal-request-id": "abc", "location": f"https://a/{bare}"}
    status = int(request.headers.get("x-status", request.url.path.rpartition("/")[2]))
    await JSONResponse(body, status, headers)(scope, receive, send)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 503, 504, 307])
async def test_a_host_that_echoes_the_key_gets_it_into_no_error(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint_id = f"acme/app/{status}"

    async with client_of(echo) as client:
        with pytest.raises(FalError) as caught:
            await client.submit(endpoint_id, {})

    assert is_clean(caught.value)
    assert HIDDEN not in caplog.text


async def test_a_host_that_echoes_the_key_gets_it_into_no_result_status_or_log() -> None:
    async def echoes(scope: Scope, receive: Receive, send: Send) -> None:
        said = Request(scope).headers["authorization"]
        raw = state("COMPLETED", logs=[{"message": said}], error=said, error_type=HIDDEN)
        await JSONResponse({**raw, "images": [said]})(scope, receive, send)

    async with client_of(echoes) as client:
        status = await client.status(MODEL, WORK)
        result = await client.result(MODEL, WORK)

    assert HIDDEN not in repr(status)
    assert HIDDEN not in repr(result)
    assert status.logs[0].message == "Key ***"


async def test_a_stream_that_echoes_the_key_gets_it_into_no_log_line() -> None:
    body = "data: " + json.dumps(state("COMPLETED", logs=[{"message": f"Key {KEY}"}])) + "\n\n"
    raw = http_answer(body.encode(), more="Content-Type: text/event-stream\r\n")

    async with (
        socket_of(says(raw)) as server,
        client_at(server.base) as client,
        client.watch(MODEL, WORK) as states,
    ):
        assert (await anext(states)).logs[0].message == "Key ***"


async def test_a_broken_connection_leaves_no_key_on_its_error() -> None:
    async with socket_of(hangs_up) as server, client_at(server.base) as client:
        for call in (client.submit(MODEL, {}), client.status(MODEL, WORK)):
            with pytest.raises(FalError) as caught:
                await call
            assert is_clean(caught.value)


async def test_a_client_shows_no_key() -> None:
    async with client_of(Script(Response())) as client:
        assert HIDDEN not in repr(client)
        assert HIDDEN not in repr(vars(client))


@pytest.mark.parametrize(
    "url",
    [
        "https://thief.test/queue/x",
        "http://fal.test/queue/x",
        "https://fal.test:8443/queue/x",
        "https://fal.test.thief.test/queue/x",
        "https://fal.test@thief.test/queue/x",
        "https://user@fal.test/queue/x",
        "https://fal.test/queueish/x",
        "https://fal.test/queue/../else",
        "https://fal.test/queue/%2e%2e/else",
        "https://fal.test/cdn/files/upload",
        "//fal.test/queue/x",
        "https://[/",
        "https://xn--a/queue",
    ],
)
async def test_the_sender_itself_refuses_any_other_address(url: str) -> None:
    app = Script(JSONResponse({}))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        sender = Sender(http, HOSTS, SecretStr(KEY), RetryPolicy())
        with pytest.raises(UnauthorisedError, match="a key is not sent to"):
            await sender.once(Ask("GET", url, "it"))

    assert app.seen == []


async def test_an_upload_token_opens_no_other_door() -> None:
    app = Script(JSONResponse({}))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        sender = Sender(http, HOSTS, SecretStr(KEY), RetryPolicy())
        ask = Ask("GET", f"{HOSTS.queue}/x", "it", bearer=SecretStr(f"Bearer {TOKEN}"))
        with pytest.raises(UnauthorisedError):
            await sender.once(ask)

    assert app.seen == []


def test_the_file_host_is_known_by_both_of_its_names_and_only_then() -> None:
    usual = Sender(httpx.AsyncClient(), Hosts(), SecretStr(KEY), RetryPolicy())
    own = Sender(httpx.AsyncClient(), HOSTS, SecretStr(KEY), RetryPolicy())

    assert usual.is_cdn("https://v3.fal.media/files/x")
    assert usual.is_cdn("https://v3b.fal.media/files/b/0/x")
    assert not usual.is_cdn("https://v4.fal.media/files/x")
    assert not own.is_cdn("https://v3b.fal.media/files/b/0/x")


def test_an_origin_with_its_usual_port_is_the_same_origin() -> None:
    assert is_under("https://fal.test:443/queue/x", (httpx.URL(HOSTS.queue),))
    assert is_under("HTTPS://FAL.test/queue", (httpx.URL(HOSTS.queue),))
