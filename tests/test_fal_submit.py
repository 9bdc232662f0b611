"""Submits: what is sent, how often, and what a lost or refused one means."""

import json

import anyio
import httpx
import pytest
from pydantic import SecretStr
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from server.fal.client import FalClient
from server.fal.options import PLAIN, CallOptions, tagged
from server.fal.problems import (
    BadInputError,
    ConcurrencyError,
    FalError,
    LostAnswerError,
    NoBalanceError,
    NotFoundError,
    NotSentError,
    PlatformError,
    UnauthorisedError,
)
from server.fal.wire import Submission
from server.settings import Hosts
from tests.fal_ends import (
    KEY,
    MODEL,
    WORK,
    Clock,
    Script,
    accepted,
    client_at,
    client_of,
    hangs_up,
    http_answer,
    nobody_listens,
    says,
    socket_of,
)

BUSY = JSONResponse({"detail": "too many", "error_type": "concurrent_requests_limit"}, 429)


async def test_a_submit_sends_the_bare_input_once_and_returns_the_request_id() -> None:
    app = Script(accepted())

    async with client_of(app) as client:
        submission = await client.submit(MODEL, {"prompt": "a fox é", "seed": 7})

    assert submission == Submission(WORK, 2)
    assert app.lines == [f"POST /queue/{MODEL}"]
    assert app.seen[0].headers["authorization"] == f"Key {KEY}"
    assert app.seen[0].headers["content-type"] == "application/json"
    assert json.loads(app.seen[0].body) == {"prompt": "a fox é", "seed": 7}


async def test_a_submit_sends_no_fal_header_that_was_not_asked_for() -> None:
    app = Script(accepted())

    async with client_of(app) as client:
        await client.submit(MODEL, {})

    assert [name for name in app.seen[0].headers if name.startswith("x-")] == []


async def test_a_webhook_travels_in_the_query_and_never_in_the_input() -> None:
    app = Script(accepted())

    async with client_of(app) as client:
        await client.submit(MODEL, {}, webhook_url="https://me.test/hook?a=1&b=2")

    assert app.seen[0].url.params["fal_webhook"] == "https://me.test/hook?a=1&b=2"
    assert app.seen[0].body == b"{}"


async def test_a_webhook_and_a_bound_on_the_queue_share_one_query() -> None:
    app = Script(accepted())

    async with client_of(app) as client:
        options = CallOptions(longest_queue=3)
        await client.submit(MODEL, {}, webhook_url="https://me.test/?a=1#b", options=options)

    assert dict(app.seen[0].url.params) == {
        "fal_webhook": "https://me.test/?a=1#b",
        "fal_max_queue_length": "3",
    }


async def test_arguments_that_are_not_json_are_refused_before_anything_is_sent() -> None:
    app = Script(accepted())

    async with client_of(app) as client:
        with pytest.raises(BadInputError, match="cannot be sent as JSON"):
            await client.submit(MODEL, {"strength": float("nan")})

    assert app.seen == []


async def test_a_submit_that_never_connects_is_tried_again_and_then_provably_not_sent() -> None:
    clock = Clock()

    async with client_at(await nobody_listens(), clock) as client:
        with pytest.raises(NotSentError) as caught:
            await client.submit(MODEL, {})

    assert caught.value.charged is False
    assert caught.value.retry_helps
    assert len(clock.pauses) == 5
    assert clock.pauses == sorted(clock.pauses)
    assert sum(clock.pauses) <= 20


async def test_a_submit_that_waits_for_a_free_connection_in_vain_was_not_sent() -> None:
    release = anyio.Event()

    async def holds(stream: anyio.abc.ByteStream, _: bytes) -> None:
        await release.wait()
        await stream.send(http_answer(b"{}"))

    clock = Clock()
    async with (
        socket_of(holds) as server,
        httpx.AsyncClient(limits=httpx.Limits(max_connections=1), trust_env=False) as http,
    ):
        client = FalClient(
            _Impatient(http), Hosts.under(server.base), SecretStr(KEY), policy=clock.policy()
        )
        async with anyio.create_task_group() as group:
            group.start_soon(http.get, server.base)
            while not server.requests:
                await anyio.lowlevel.checkpoint()
            with anyio.fail_after(5), pytest.raises(NotSentError, match="no connection was free"):
                await client.submit(MODEL, {})
            release.set()

    assert len(server.requests) == 1


class _Impatient(httpx.AsyncClient):
    """A client that shares another's connections and waits a moment only for a free one."""

    def __init__(self, other: httpx.AsyncClient) -> None:
        super().__init__(transport=other._transport, trust_env=False)  # pyright: ignore[reportPrivateUsage]  # the pool is the subject

    async def send(self, request: httpx.Request, **options: object) -> httpx.Response:  # pyright: ignore[reportIncompatibleMethodOverride]
        request.extensions["timeout"]["pool"] = 0.01
        return await super().send(request, stream=True, follow_redirects=False)


@pytest.mark.parametrize(
    "deed",
    [
        pytest.param(hangs_up, id="no answer at all"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\nContent-Le"), id="half a head"),
        pytest.param(says(http_answer(b'{"request', length=60)), id="half a body"),
        pytest.param(says(http_answer(b'{"request')), id="half of the JSON"),
        pytest.param(says(http_answer(b'{"status": "IN_QUEUE"}')), id="no request id"),
        pytest.param(says(http_answer(b'{"request_id": "../../evil"}')), id="no usable id"),
        pytest.param(says(http_answer(b"", status="502 Bad Gateway")), id="502 of a proxy"),
        pytest.param(says(http_answer(b"", status="504 Gateway Timeout")), id="504 of a proxy"),
        pytest.param(says(http_answer(b"", status="499 Gone")), id="499"),
        pytest.param(
            says(http_answer(b"{}", status="500 Oops", more=f"x-fal-request-id: {WORK}\r\n")),
            id="an untyped 500 that names a request",
        ),
        pytest.param(says(b"SSH-2.0-OpenSSH_9.6\r\n"), id="no HTTP"),
    ],
)
async def test_a_submit_whose_answer_is_lost_is_never_sent_again(deed: object) -> None:
    clock = Clock()

    async with socket_of(deed) as server, client_at(server.base, clock) as client:  # pyright: ignore[reportArgumentType]
        with pytest.raises(LostAnswerError) as caught:
            await client.submit(MODEL, {"prompt": "x"})

    assert len(server.requests) == 1
    assert clock.pauses == []
    assert caught.value.charged is None
    assert not caught.value.retry_helps


async def test_a_broken_answer_that_names_its_request_hands_the_name_on() -> None:
    raw = http_answer(b"{", more=f"x-fal-request-id: {WORK}\r\n", length=50)

    async with socket_of(says(raw)) as server, client_at(server.base) as client:
        with pytest.raises(LostAnswerError) as caught:
            await client.submit(MODEL, {})

    assert caught.value.request_id == WORK


async def test_the_name_on_a_failure_is_not_taken_for_an_accepted_request() -> None:
    raw = http_answer(b"", status="502 Bad Gateway", more=f"x-fal-request-id: {WORK}\r\n")

    async with socket_of(says(raw)) as server, client_at(server.base) as client:
        with pytest.raises(LostAnswerError) as caught:
            await client.submit(MODEL, {})

    assert caught.value.request_id == ""


async def test_a_submit_turned_away_with_429_is_sent_again_after_the_pause_asked_for() -> None:
    busy = JSONResponse({"detail": "queue full"}, 429, {"Retry-After": "3"})
    app, clock = Script(busy, busy, accepted()), Clock()

    async with client_of(app, clock) as client:
        submission = await client.submit(MODEL, {})

    assert submission.request_id == WORK
    assert len(app.seen) == 3
    assert all(3 < pause < 4 for pause in clock.pauses)


async def test_a_submit_turned_away_with_429_for_too_long_gives_up_within_twenty_seconds() -> None:
    app, clock = Script(BUSY), Clock()

    async with client_of(app, clock) as client:
        with pytest.raises(ConcurrencyError) as caught:
            await client.submit(MODEL, {})

    assert sum(clock.pauses) <= 20
    assert len(app.seen) == len(clock.pauses) + 1
    assert caught.value.error_type == "concurrent_requests_limit"
    assert (caught.value.charged, caught.value.retry_helps) == (False, True)


async def test_a_429_that_asks_for_a_long_pause_is_told_at_once() -> None:
    app, clock = Script(JSONResponse({"detail": "no"}, 429, {"Retry-After": "120"})), Clock()

    async with client_of(app, clock) as client:
        with pytest.raises(ConcurrencyError, match="try again in 120 seconds"):
            await client.submit(MODEL, {})

    assert (len(app.seen), clock.pauses) == (1, [])


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        pytest.param(
            JSONResponse({"detail": 'Cannot access application "x"'}, 401),
            UnauthorisedError,
            "Cannot access application",
            id="401",
        ),
        pytest.param(
            JSONResponse({"detail": "User is locked. Reason: Exhausted balance. Top up"}, 403),
            NoBalanceError,
            "Exhausted balance",
            id="403 of a locked account",
        ),
        pytest.param(
            JSONResponse({"detail": "Missing permission"}, 403),
            UnauthorisedError,
            "Missing permission",
            id="403",
        ),
        pytest.param(
            JSONResponse({"detail": 'Application "x" not found'}, 404),
            NotFoundError,
            "not found",
            id="404",
        ),
        pytest.param(
            JSONResponse({"detail": [{"loc": ["body", "prompt"], "msg": "Field required"}]}, 422),
            BadInputError,
            "prompt: Field required",
            id="422",
        ),
        pytest.param(
            JSONResponse({"detail": "crash", "error_type": "internal_error"}, 500),
            PlatformError,
            "crash",
            id="500",
        ),
        pytest.param(HTMLResponse("<h1>sorry</h1>", 503), PlatformError, "HTTP 503", id="503"),
        pytest.param(
            RedirectResponse("https://else.test/q", 307), PlatformError, "redirect", id="307"
        ),
    ],
)
async def test_an_explicit_refusal_of_a_submit_costs_nothing_and_is_not_repeated(
    answer: Response, error: type[FalError], words: str
) -> None:
    app, clock = Script(answer), Clock()

    async with client_of(app, clock) as client:
        with pytest.raises(error, match=words) as caught:
            await client.submit(MODEL, {})

    assert (len(app.seen), clock.pauses) == (1, [])
    assert caught.value.charged is False


async def test_a_cancelled_submit_is_not_repeated() -> None:
    async def is_silent(stream: anyio.abc.ByteStream, _: bytes) -> None:
        await anyio.sleep_forever()

    async with socket_of(is_silent) as server, client_at(server.base) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(client.submit, MODEL, {"prompt": "x"})
            while not server.requests:
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()

        assert len(server.requests) == 1


def test_of_many_tags_as_many_go_as_fal_takes() -> None:
    several = tagged([*(f"k{number}={number}" for number in range(12)), "k3=again", "word"])
    assert list(several.tags) == [f"k{number}" for number in range(10)]
    assert several.tags["k3"] == "again"
    long = tagged([f"k{number}={'x' * 250}" for number in range(10)])
    assert len(long.headers(queued=True)["X-Fal-Tags"]) <= 1024
    assert tagged(["word"]) == PLAIN
