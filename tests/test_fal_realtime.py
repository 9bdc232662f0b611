"""Realtime, raw WebSockets and HTTP over WebSocket: one send for each paid input."""

import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from http import HTTPStatus

import anyio
import httpx
import pytest
from pydantic import SecretStr
from starlette.responses import JSONResponse
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request as Handshake
from websockets.http11 import Response as Refusal

from server.fal.packing import packed, unpacked
from server.fal.problems import (
    BadInputError,
    ConcurrencyError,
    FalError,
    LostAnswerError,
    NetworkError,
    NotSentError,
    PlatformError,
    UnauthorisedError,
)
from server.fal.realtime import Realtime
from server.settings import EMULATOR_BASE, Hosts
from tests.fal_ends import (
    HIDDEN,
    HOSTS,
    KEY,
    MODEL,
    WORK,
    Clock,
    Script,
    http_answer,
    nobody_listens,
    says,
    socket_of,
)

TOKEN = "ey.a-short-lived-token.xyz"  # noqa: S105  # a made-up one
INPUT = {"prompt": "a fox é", "seed": 7}


# Status, headers and body of a refused handshake.
Refused = tuple[int, dict[str, str], bytes]


@dataclass
class Peer:
    """A WebSocket server: what it does with a connection, and what it saw."""

    act: Callable[[ServerConnection], Awaitable[None]]
    refusals: list[Refused] = field(default_factory=list[Refused])
    handshakes: list[Handshake] = field(default_factory=list[Handshake])
    got: list[str | bytes] = field(default_factory=list[str | bytes])
    base: str = ""

    def refuse(self, connection: ServerConnection, request: Handshake) -> Refusal | None:
        self.handshakes.append(request)
        if not self.refusals:
            return None
        status, headers, body = self.refusals.pop(0)
        refusal = connection.respond(HTTPStatus(status), "")
        refusal.body = body
        refusal.headers["Content-Length"] = str(len(body))
        del refusal.headers["Content-Length"]
        for name, value in headers.items():
            refusal.headers[name] = value
        return refusal

    @property
    def paths(self) -> list[str]:
        return [handshake.path for handshake in self.handshakes]


@asynccontextmanager
async def talking(
    peer: Peer, tokens: Script | None = None
) -> AsyncGenerator[tuple[Realtime, Script]]:
    """Yield realtime whose run host is *peer*, and the support host that gives out tokens."""

    async def handle(connection: ServerConnection) -> None:
        await peer.act(connection)

    rest = tokens or Script(JSONResponse(TOKEN))
    with anyio.fail_after(10):
        async with (
            serve(handle, "127.0.0.1", 0, process_request=peer.refuse) as server,
            httpx.AsyncClient(transport=httpx.ASGITransport(rest), trust_env=False) as http,
        ):
            port = next(iter(server.sockets)).getsockname()[1]
            peer.base = f"127.0.0.1:{port}"
            yield Realtime(http, hosts_at(peer.base), SecretStr(KEY), policy=Clock().policy()), rest


def hosts_at(place: str) -> Hosts:
    return replace(HOSTS, run=f"http://{place}/run", ws=f"ws://{place}/ws")


async def answers(connection: ServerConnection, *messages: str | bytes) -> None:
    """Take one input and answer it with *messages*."""
    await connection.recv()
    for message in messages:
        await connection.send(message)


def echo() -> Peer:
    """Return a model that answers each input with its number and the input."""

    async def act(connection: ServerConnection) -> None:
        async for message in connection:
            peer.got.append(message)
            output = {"number": len(peer.got), "input": unpacked(message)}
            await connection.send(packed(output))

    peer = Peer(act)
    return peer


def saying(*messages: str | bytes) -> Peer:
    async def act(connection: ServerConnection) -> None:
        await answers(connection, *messages)

    return Peer(act)


async def test_inputs_and_outputs_travel_as_msgpack_under_a_token() -> None:
    peer = echo()
    async with talking(peer) as (realtime, rest), realtime.connect(MODEL) as talk:
        await talk.send({**INPUT, "mask": b"\x00\xff"})
        assert await talk.receive() == {"number": 1, "input": {**INPUT, "mask": b"\x00\xff"}}
        await talk.send({"prompt": "two"})
        assert (await talk.receive())["number"] == 2

    assert rest.lines == ["POST /rest/tokens/"]
    assert json.loads(rest.seen[0].body) == {"allowed_apps": ["flux"], "token_expiration": 120}
    assert rest.seen[0].headers["authorization"] == f"Key {KEY}"
    assert peer.paths == [f"/run/{MODEL}/realtime?fal_jwt_token={TOKEN}"]
    assert "Authorization" not in peer.handshakes[0].headers


async def test_an_id_that_names_its_realtime_already_is_kept() -> None:
    peer = echo()
    async with (
        talking(peer) as (realtime, _),
        realtime.connect("fal-ai/fast-lcm/realtime", max_buffering=4),
    ):
        pass

    assert peer.paths == [f"/run/fal-ai/fast-lcm/realtime?fal_jwt_token={TOKEN}&max_buffering=4"]


async def test_the_key_itself_is_shown_where_no_token_is_wanted() -> None:
    peer = echo()
    async with talking(peer) as (realtime, rest), realtime.connect(MODEL, token_seconds=None):
        pass

    assert peer.paths == [f"/run/{MODEL}/realtime"]
    assert peer.handshakes[0].headers["Authorization"] == f"Key {KEY}"
    assert rest.seen == []


@pytest.mark.parametrize("buffered", [0, 61, -1])
async def test_buffering_out_of_range_is_refused_before_anything_is_sent(buffered: int) -> None:
    peer = echo()
    async with talking(peer) as (realtime, rest):
        with pytest.raises(BadInputError):
            async with realtime.connect(MODEL, max_buffering=buffered):
                pass

    assert (peer.handshakes, rest.seen) == ([], [])


@pytest.mark.parametrize(
    "answer",
    [TOKEN, {"token": TOKEN}, {"detail": TOKEN}],
    ids=["bare", "token", "detail"],
)
async def test_a_token_comes_in_three_shapes(answer: object) -> None:
    async with talking(echo(), Script(JSONResponse(answer))) as (realtime, _):
        token = await realtime.token(MODEL)

    assert token.get_secret_value() == TOKEN
    assert TOKEN not in repr(token)


async def test_a_token_can_be_asked_for_by_the_full_id() -> None:
    async with talking(echo(), Script(JSONResponse({"token": TOKEN}))) as (realtime, rest):
        await realtime.token("workflows/me/flow/x", 60, by_path=True)
        await realtime.token("workflows/me/flow/x", 60)

    assert rest.lines == ["POST /rest/tokens/realtime", "POST /rest/tokens/"]
    assert [json.loads(one.body) for one in rest.seen] == [
        {"allowed_apps": ["workflows/me/flow/x"], "duration": 60},
        {"allowed_apps": ["flow"], "token_expiration": 60},
    ]


async def test_a_token_that_is_refused_is_an_error_of_the_key() -> None:
    refusing = Script(JSONResponse({"detail": "no"}, 401))
    async with talking(echo(), refusing) as (realtime, _):
        with pytest.raises(UnauthorisedError):
            async with realtime.connect(MODEL):
                pass


async def test_notes_of_the_platform_are_passed_over_and_texts_handed_on() -> None:
    peer = saying(
        '{"type": "x-fal-message", "action": "timings", "timing": 0.1}',
        '{"images": []}',
        "hello",
        packed({"done": True}),
    )
    async with talking(peer) as (realtime, _), realtime.connect(MODEL) as talk:
        await talk.send(INPUT)
        outputs = [output async for output in talk]

    assert outputs == [{"images": []}, {"type": "text", "payload": "hello"}, {"done": True}]


async def test_an_idle_conversation_ends_without_an_error() -> None:
    peer = saying('{"type": "x-fal-error", "error": "TIMEOUT", "reason": "no inputs"}')
    async with talking(peer) as (realtime, _), realtime.connect(MODEL) as talk:
        await talk.send(INPUT)
        assert await talk.receive() is None


@pytest.mark.parametrize(
    ("message", "kind", "words"),
    [
        (
            f'{{"type":"x-fal-error","error":"INTERNAL_ERROR","reason":"bad {HIDDEN}"}}',
            PlatformError,
            r"bad \*\*\*",
        ),
        ('{"type": "x-fal-error", "error": "INTERNAL_ERROR"}', PlatformError, "INTERNAL_ERROR"),
        ('{"status": "error", "error": "Unauthorized"}', UnauthorisedError, "Unauthorized"),
        (b"\xc1", PlatformError, "not msgpack"),
    ],
    ids=["reason", "bare", "unauthorised", "no msgpack"],
)
async def test_a_failure_of_the_model_is_raised(
    message: str | bytes, kind: type[FalError], words: str
) -> None:
    async with talking(saying(message)) as (realtime, _), realtime.connect(MODEL) as talk:
        await talk.send(INPUT)
        with pytest.raises(kind, match=words) as failed:
            await talk.receive()

    assert failed.value.retry_helps is False


async def test_a_connection_that_breaks_says_that_inputs_may_have_cost() -> None:
    async def act(connection: ServerConnection) -> None:
        peer.got.append(await connection.recv())
        connection.transport.abort()

    peer = Peer(act)
    async with talking(peer) as (realtime, _), realtime.connect(MODEL) as talk:
        await talk.send(INPUT)
        with pytest.raises(NetworkError) as broke:
            await talk.receive()
        with pytest.raises(NotSentError):
            await talk.send(INPUT)

    assert (broke.value.charged, broke.value.retry_helps) == (None, False)
    assert len(peer.got) == 1
    assert len(peer.handshakes) == 1


async def test_an_input_that_cannot_be_packed_is_not_sent() -> None:
    peer = echo()
    async with talking(peer) as (realtime, _), realtime.connect(MODEL) as talk:
        with pytest.raises(BadInputError):
            await talk.send({"prompt": object()})
        await talk.send(INPUT)
        assert (await talk.receive())["number"] == 1


async def test_a_handshake_that_was_turned_away_is_tried_again_with_a_new_token() -> None:
    busy: Refused = (429, {}, b'{"detail": "too many", "error_type": "concurrent_requests_limit"}')
    peer = echo()
    peer.refusals = [busy, busy]
    async with talking(peer) as (realtime, rest), realtime.connect(MODEL) as talk:
        await talk.send(INPUT)
        assert (await talk.receive())["number"] == 1

    assert (len(peer.handshakes), len(rest.seen)) == (3, 3)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, UnauthorisedError), (404, FalError), (500, PlatformError), (302, PlatformError)],
)
async def test_a_refused_handshake_is_final_and_follows_no_redirect(
    status: int, kind: type[FalError]
) -> None:
    elsewhere = echo()
    peer = echo()
    async with talking(elsewhere), talking(peer) as (realtime, _):
        target = f"ws://{elsewhere.base}/run/x/realtime"
        peer.refusals = [(status, {"Location": target}, f'{{"detail": "{HIDDEN}"}}'.encode())]
        with pytest.raises(kind) as refused:
            async with realtime.connect(MODEL, token_seconds=None):
                pass

    assert len(peer.handshakes) == 1
    assert elsewhere.handshakes == []
    assert HIDDEN not in str(refused.value)


async def test_a_connection_that_never_stood_is_tried_again_and_costs_nothing() -> None:
    clock = Clock()
    base = (await nobody_listens()).removeprefix("http://")
    async with httpx.AsyncClient(trust_env=False) as http:
        realtime = Realtime(http, hosts_at(base), SecretStr(KEY), policy=clock.policy())
        with anyio.fail_after(5), pytest.raises(NotSentError) as unsent:
            async with realtime.connect(MODEL, token_seconds=None):
                pass

    assert unsent.value.charged is False
    assert len(clock.pauses) > 1


async def test_a_handshake_that_breaks_is_not_repeated() -> None:
    async with socket_of(says(http_answer(b"", status="nonsense"))) as server:
        base = server.base.removeprefix("http://")
        async with httpx.AsyncClient(trust_env=False) as http:
            realtime = Realtime(http, hosts_at(base), SecretStr(KEY), policy=Clock().policy())
            with anyio.fail_after(5), pytest.raises(NetworkError):
                async with realtime.connect(MODEL, token_seconds=None):
                    pass

    assert len(server.requests) == 1


async def test_the_key_goes_to_no_host_that_was_not_configured() -> None:
    async with talking(echo()) as (realtime, rest):
        with pytest.raises(Exception, match="not an endpoint id"):
            async with realtime.connect("@evil.test/x"):
                pass

    assert rest.seen == []


async def test_no_token_and_no_key_comes_into_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with talking(echo()) as (realtime, _):
        async with realtime.connect(MODEL) as talk:
            await talk.send(INPUT)
            await talk.receive()
        async with realtime.connect(MODEL, token_seconds=None):
            pass

    # The test's own server logs what it hears; only what the client says counts.
    said = [line for line in caplog.records if not line.name.startswith("websockets.server")]
    text = "\n".join(line.getMessage() for line in said)
    assert TOKEN not in text
    assert HIDDEN not in text


async def test_a_cancelled_conversation_closes_its_connection() -> None:
    closed = anyio.Event()

    async def act(connection: ServerConnection) -> None:
        await connection.wait_closed()
        closed.set()

    async with talking(Peer(act)) as (realtime, _):
        with anyio.move_on_after(0.05):
            async with realtime.connect(MODEL) as talk:
                await talk.receive()
        with anyio.fail_after(3):
            await closed.wait()


async def test_a_raw_socket_carries_what_it_is_given() -> None:
    async def act(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    peer = Peer(act)
    async with talking(peer) as (realtime, _), realtime.raw(MODEL, "/chat") as socket:
        for message in ("text", b"\x00bytes"):
            await socket.send(message)
            assert await socket.receive() == message

    assert peer.paths == [f"/run/{MODEL}/chat?fal_jwt_token={TOKEN}"]


def frames(status: int, *body: str | bytes, **headers: str) -> list[str | bytes]:
    """Return the frames of one answer of HTTP over WebSocket."""
    start = {"type": "start", "request_id": WORK, "status": status, "headers": headers}
    end = {
        "type": "end",
        "request_id": WORK,
        "status": status,
        "time_to_first_byte_seconds": 0.1,
    }
    return [json.dumps(start), *body, json.dumps(end)]


async def test_runs_follow_each_other_over_one_socket() -> None:
    async def act(connection: ServerConnection) -> None:
        async for message in connection:
            peer.got.append(message)
            body = json.dumps({"number": len(peer.got)}).encode()
            halves = (body[:3], body[3:])
            units = {"X-Fal-Billable-Units": "2", "Content-Type": "application/json"}
            for frame in frames(
                200, *(halves if len(peer.got) == 1 else (body.decode(),)), **units
            ):
                await connection.send(frame)

    peer = Peer(act)
    async with talking(peer) as (realtime, rest), realtime.calls(MODEL) as calls:
        first, second = await calls.run(INPUT), await calls.run(INPUT)

    assert (first.output, first.billable_units, first.request_id) == (
        {"number": 1},
        Decimal(2),
        WORK,
    )
    assert second.output == {"number": 2}
    assert [json.loads(message) for message in peer.got] == [INPUT, INPUT]
    assert peer.paths == [f"/ws/{MODEL}"]
    assert peer.handshakes[0].headers["Authorization"] == f"Key {KEY}"
    assert rest.seen == []


async def test_a_refused_run_over_a_socket_says_why() -> None:
    detail = [{"loc": ["body", "prompt"], "msg": "Field required", "type": "missing"}]
    peer = saying(*frames(422, json.dumps({"detail": detail})))
    async with talking(peer) as (realtime, _), realtime.calls(MODEL) as calls:
        with pytest.raises(BadInputError, match="Field required") as refused:
            await calls.run(INPUT)

    assert refused.value.field == "prompt"
    assert refused.value.request_id == WORK


@pytest.mark.parametrize(
    "messages",
    [frames(200, "{}")[:2], ["nonsense"], [b"\x00"], frames(200, "{"), []],
    ids=["no end", "no start", "binary first", "half a body", "nothing"],
)
async def test_a_run_over_a_socket_without_a_whole_answer_is_lost_and_not_sent_again(
    messages: list[str | bytes],
) -> None:
    peer = saying(*messages)
    async with talking(peer) as (realtime, _), realtime.calls(MODEL) as calls:
        with pytest.raises(LostAnswerError) as lost:
            await calls.run(INPUT)

    assert lost.value.charged is None
    assert len(peer.handshakes) == 1


async def test_too_many_sockets_at_once_are_turned_away_in_the_end() -> None:
    peer = echo()
    peer.refusals = [(429, {}, b"{}")] * 20
    async with talking(peer) as (realtime, _):
        with pytest.raises(ConcurrencyError) as busy:
            async with realtime.calls(MODEL):
                pass

    assert busy.value.charged is False


async def test_the_emulator_inside_the_process_names_the_one_that_has_sockets() -> None:
    app = Script(JSONResponse("a-token"))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        sockets = Realtime(http, Hosts.under(EMULATOR_BASE), SecretStr(KEY))
        for opened in (sockets.connect(MODEL), sockets.raw(MODEL, "chat"), sockets.calls(MODEL)):
            with pytest.raises(NotSentError, match="has no sockets") as caught:
                await opened.__aenter__()
            assert "falkit emulate" in caught.value.hint
            assert not caught.value.retry_helps

    assert app.seen == []
