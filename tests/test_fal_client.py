"""`FalClient` on the queue: what it sends, how often, and what it makes of the answers."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import anyio
import httpx
import pytest
from pydantic import SecretStr
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from server.fal.client import FalClient
from server.fal.problems import (
    BadInputError,
    ConcurrencyError,
    FalError,
    LostAnswerError,
    ModerationError,
    NetworkError,
    NoBalanceError,
    NotFoundError,
    NotSentError,
    PlatformError,
    RunTimeoutError,
    UnauthorisedError,
)
from server.fal.wire import LogLine, Result, Status, Submission
from server.settings import Hosts
from tests.fal_ends import (
    HOSTS,
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
    state,
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


@pytest.mark.parametrize(
    ("endpoint_id", "app_path"),
    [
        ("fal-ai/flux/dev", "fal-ai/flux"),
        ("fal-ai/flux", "fal-ai/flux"),
        ("workflows/me/mine/v2", "workflows/me/mine"),
        ("comfy/me/mine", "comfy/me/mine"),
        ("1234-old", "1234/old"),
    ],
)
async def test_a_request_is_asked_for_under_owner_and_alias_alone(
    endpoint_id: str, app_path: str
) -> None:
    app = Script(JSONResponse(state("COMPLETED")))

    async with client_of(app) as client:
        await client.status(endpoint_id, WORK)
        await client.status(endpoint_id, WORK, logs=False)
        await client.result(endpoint_id, WORK)
        await client.cancel(endpoint_id, WORK)

    base = f"/queue/{app_path}/requests/{WORK}"
    assert app.lines == [
        f"GET {base}/status?logs=1",
        f"GET {base}/status?logs=0",
        f"GET {base}",
        f"PUT {base}/cancel",
    ]


async def test_a_request_id_that_would_lead_elsewhere_is_not_asked_for() -> None:
    app = Script(JSONResponse({}))

    async with client_of(app) as client:
        with pytest.raises(NotFoundError, match="is not a request id"):
            await client.status(MODEL, "../../../evil")

    assert app.seen == []


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(
            state("IN_QUEUE", queue_position=3), Status("queued", queue_position=3), id="queued"
        ),
        pytest.param(
            state(
                "IN_PROGRESS",
                logs=[
                    {"timestamp": "2026-01-01T00:00:00Z", "level": "INFO", "message": "step 1"},
                    {"message": "bare", "source": "USER", "labels": {"new": "field"}},
                    "a line",
                ],
            ),
            Status(
                "running",
                logs=(
                    LogLine("2026-01-01T00:00:00Z", "INFO", "step 1"),
                    LogLine("", "", "bare"),
                    LogLine("", "", "a line"),
                ),
            ),
            id="running",
        ),
        pytest.param({"status": "IN_PROGRESS"}, Status("running"), id="without logs"),
        pytest.param(
            state("COMPLETED", metrics={"inference_time": 1.9}),
            Status("completed", inference_seconds=1.9),
            id="completed",
        ),
        pytest.param(
            state("COMPLETED", metrics={}, error="boom", error_type="runner_server_error"),
            Status("completed", error="boom", error_type="runner_server_error"),
            id="failed",
        ),
        pytest.param({"status": "WARMING_UP"}, Status("running"), id="an unknown word"),
        pytest.param(
            {"status": "CANCELLED"}, Status("completed", error_type="cancelled"), id="a final word"
        ),
    ],
)
async def test_a_status_is_read_from_its_body_whatever_the_http_status(
    raw: dict[str, object], expected: Status
) -> None:
    async with client_of(Script(JSONResponse(raw, 202))) as client:
        assert await client.status(MODEL, WORK) == expected


async def test_a_completed_status_with_an_error_has_failed() -> None:
    assert Status("completed", error="boom").failed
    assert Status("completed", error_type="client_cancelled").failed
    assert not Status("completed").failed


async def test_reads_survive_broken_connections_proxies_and_bad_json() -> None:
    good = http_answer(json.dumps(state("IN_QUEUE", queue_position=0)).encode())
    clock = Clock()

    async with (
        socket_of(
            hangs_up,
            says(http_answer(b"<html>nginx</html>", status="502 Bad Gateway")),
            says(http_answer(b'{"status": "IN_')),
            says(http_answer(b'{"status": "IN_', length=300)),
            says(good),
        ) as server,
        client_at(server.base, clock) as client,
    ):
        status = await client.status(MODEL, WORK)

    assert status == Status("queued", queue_position=0)
    assert len(server.requests) == 5
    assert len(clock.pauses) == 4


async def test_a_read_without_any_answer_ends_as_a_network_error() -> None:
    clock = Clock()

    async with client_at(await nobody_listens(), clock) as client:
        with pytest.raises(NetworkError) as caught:
            await client.status(MODEL, WORK)

    assert len(clock.pauses) == 5
    assert (caught.value.charged, caught.value.retry_helps) == (None, True)


async def test_a_read_honours_retry_after() -> None:
    busy = JSONResponse({"detail": "slow down"}, 429, {"Retry-After": "2"})
    clock = Clock()

    async with client_of(Script(busy, JSONResponse(state("IN_QUEUE"))), clock) as client:
        await client.status(MODEL, WORK)

    assert len(clock.pauses) == 1
    assert 2 < clock.pauses[0] < 3


async def test_json_that_stays_bad_ends_as_a_platform_error() -> None:
    async with client_of(Script(HTMLResponse("<html>"))) as client:
        with pytest.raises(PlatformError, match="not JSON"):
            await client.status(MODEL, WORK)


async def test_a_missing_field_is_named() -> None:
    async with client_of(Script(JSONResponse({"state": "IN_QUEUE"}))) as client:
        with pytest.raises(PlatformError, match="holds no status"):
            await client.status(MODEL, WORK)


async def test_an_unknown_request_is_told_at_once() -> None:
    app = Script(JSONResponse({"status": "NOT_FOUND"}, 404))

    async with client_of(app) as client:
        with pytest.raises(NotFoundError):
            await client.status(MODEL, WORK)

    assert len(app.seen) == 1


async def test_a_result_is_the_bare_output_with_its_billed_units() -> None:
    headers = {"x-fal-request-id": WORK, "x-fal-billable-units": "1.5"}
    output = {"images": [{"url": "https://v3b.fal.media/files/b/0/x.png"}], "seed": 7}

    async with client_of(Script(JSONResponse(output, headers=headers))) as client:
        result = await client.result(MODEL, WORK)

    assert result == Result(output, Decimal("1.5"), WORK)


async def test_billed_units_that_are_not_said_are_not_invented() -> None:
    odd = JSONResponse([1], headers={"x-fal-billable-units": "many"})

    async with client_of(Script(odd)) as client:
        assert await client.result(MODEL, WORK) == Result([1], None, WORK)


async def test_a_504_of_a_finished_job_is_asked_again() -> None:
    page = HTMLResponse("<h1>504 Gateway Time-out</h1><center>nginx</center>", 504)
    typed = JSONResponse({"detail": "timed out", "error_type": "request_timeout"}, 504)
    app = Script(page, page, typed, JSONResponse({"video": {"url": "https://x"}}))

    async with client_of(app) as client:
        result = await client.result(MODEL, WORK)

    assert result.output == {"video": {"url": "https://x"}}
    assert len(app.seen) == 4


async def test_a_run_that_really_timed_out_is_told_after_a_few_looks() -> None:
    app = Script(JSONResponse({"detail": "timed out", "error_type": "request_timeout"}, 504))

    async with client_of(app) as client:
        with pytest.raises(RunTimeoutError) as caught:
            await client.result(MODEL, WORK)

    assert len(app.seen) == 3
    assert caught.value.charged is False


@pytest.mark.parametrize(
    "early",
    [
        pytest.param(JSONResponse({"detail": "Request is still in progress"}, 400), id="400"),
        pytest.param(JSONResponse(state("IN_PROGRESS"), 202), id="202"),
    ],
)
async def test_a_result_read_early_is_not_yet_there(early: Response) -> None:
    app = Script(early, early, JSONResponse({"ok": True}))
    async with client_of(app) as client:
        assert (await client.result(MODEL, WORK)).output == {"ok": True}

    async with client_of(Script(early)) as client:
        with pytest.raises(PlatformError, match="no result yet") as caught:
            await client.result(MODEL, WORK)
    assert caught.value.retry_helps


async def test_a_model_failure_names_field_rule_and_whether_it_was_charged() -> None:
    detail = [
        {
            "loc": ["body", "loras", 0, "scale"],
            "msg": "Input should be less than or equal to 4",
            "type": "less_than_equal",
            "ctx": {"le": 4},
            "input": 9,
        },
        {"loc": ["body", "seed"], "msg": "Input should be an integer", "type": "int_parsing"},
    ]
    answer = JSONResponse({"detail": detail}, 422, {"x-fal-billable-units": "0"})
    app = Script(answer)

    async with client_of(app) as client:
        with pytest.raises(BadInputError) as caught:
            await client.result(MODEL, WORK)

    error = caught.value
    assert (error.field, error.error_type, error.rule) == (
        "loras[0].scale",
        "less_than_equal",
        "at most 4",
    )
    assert (error.charged, error.retry_helps, error.status) == (False, False, 422)
    assert error.message == (
        "fal-ai/flux/dev: loras[0].scale: Input should be less than or equal to 4, and 1 more"
    )
    assert len(app.seen) == 1


async def test_a_moderated_result_is_one_of_its_own_kind() -> None:
    detail = [{"loc": ["body", "prompt"], "msg": "flagged", "type": "content_policy_violation"}]
    answer = JSONResponse({"detail": detail}, 422, {"x-fal-billable-units": "1"})

    async with client_of(Script(answer)) as client:
        with pytest.raises(ModerationError, match="the same input will be refused") as caught:
            await client.result(MODEL, WORK)

    assert caught.value.charged is True
    assert caught.value.units == Decimal(1)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202), "requested"),
        (JSONResponse({"status": "OK"}, 200), "requested"),
        (Response(status_code=204), "requested"),
        (JSONResponse({"success": True}), "requested"),
        (JSONResponse({"status": "ALREADY_COMPLETED"}, 400), "already_completed"),
        (JSONResponse({"status": "NOT_FOUND"}, 404), "not_found"),
    ],
)
async def test_a_cancellation_says_what_the_queue_answered(answer: Response, expected: str) -> None:
    app = Script(answer)

    async with client_of(app) as client:
        assert await client.cancel(MODEL, WORK) == expected

    assert app.seen[0].body == b""


async def test_without_a_key_nothing_is_sent() -> None:
    app = Script(accepted())

    async with client_of(app, key=None) as client:
        with pytest.raises(UnauthorisedError, match="no fal key"):
            await client.submit(MODEL, {})

    assert app.seen == []


def event(raw: dict[str, object]) -> bytes:
    """Return one server-sent event."""
    return f"data: {json.dumps(raw)}\n\n".encode()


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


async def test_a_watched_request_ends_after_its_completed_state() -> None:
    parts = (
        STREAM
        + b": ping\n\n"
        + event(state("IN_QUEUE", queue_position=1))
        + b"event: message\r\n"
        + event(state("IN_PROGRESS", logs=[{"message": "step"}]))
        + event(state("COMPLETED", metrics={"inference_time": 2}))
        + event(state("IN_QUEUE"))
    )

    async with socket_of(says(parts)) as server, client_at(server.base) as client:
        with anyio.fail_after(5):
            async with client.watch(MODEL, WORK) as states:
                seen = [one async for one in states]

    assert [one.state for one in seen] == ["queued", "running", "completed"]
    assert seen[1].logs == (LogLine("", "", "step"),)
    assert b"/requests/" + WORK.encode() + b"/status/stream?logs=1 HTTP/1.1" in server.requests[0]
    assert b"accept: text/event-stream" in server.requests[0].lower()


async def test_states_arrive_while_the_stream_is_open() -> None:
    heard = anyio.Event()

    async def tells(stream: anyio.abc.ByteStream, _: bytes) -> None:
        await stream.send(STREAM + event(state("IN_QUEUE")))
        await heard.wait()
        await stream.send(event(state("COMPLETED")))

    async with socket_of(tells) as server, client_at(server.base) as client:
        with anyio.fail_after(5):
            async with client.watch(MODEL, WORK) as states:
                async for one in states:
                    if one.state == "queued":
                        heard.set()

    assert heard.is_set()


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(STREAM + event(state("IN_QUEUE")), id="it ends early"),
        pytest.param(STREAM + event(state("IN_QUEUE")) + b'data: {"sta', id="it breaks off"),
        pytest.param(
            STREAM.replace(b"Connection: close", b"Content-Length: 99999")
            + event(state("IN_QUEUE")),
            id="the connection breaks",
        ),
    ],
)
async def test_a_stream_that_breaks_is_a_network_error_after_what_it_told(raw: bytes) -> None:
    async with socket_of(says(raw)) as server, client_at(server.base) as client:
        with anyio.fail_after(5):
            async with client.watch(MODEL, WORK) as states:
                assert (await anext(states)).state == "queued"
                with pytest.raises(NetworkError):
                    await anext(states)


async def test_a_watch_left_early_closes_its_connection() -> None:
    closed = anyio.Event()

    async def tells(stream: anyio.abc.ByteStream, _: bytes) -> None:
        await stream.send(STREAM + event(state("IN_QUEUE")))
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        closed.set()

    async with socket_of(tells) as server, client_at(server.base) as client:
        with anyio.fail_after(5):
            async with client.watch(MODEL, WORK) as states:
                assert (await anext(states)).state == "queued"
            await closed.wait()


async def test_watching_what_is_not_there_says_so() -> None:
    async with client_of(Script(JSONResponse({"status": "NOT_FOUND"}, 404))) as client:
        with pytest.raises(NotFoundError):
            async with client.watch(MODEL, WORK):
                pass


async def test_a_stream_that_is_none_says_so() -> None:
    plain = Script(JSONResponse(state("COMPLETED")))

    async with client_of(plain) as client, client.watch(MODEL, WORK) as states:
        with pytest.raises(PlatformError, match="not a stream of events"):
            await anext(states)


async def test_an_answer_beyond_the_cap_is_dropped_and_not_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.fal.sender.MOST_BYTES", 1000)
    app = Script(JSONResponse({"images": ["x" * 2000]}))

    async with client_of(app) as client:
        with pytest.raises(PlatformError, match="is too long") as caught:
            await client.result(MODEL, WORK)
    assert len(app.seen) == 1
    assert not caught.value.retry_helps

    async with client_of(app) as client:
        with pytest.raises(LostAnswerError):
            await client.submit(MODEL, {})


async def test_the_history_of_requests_is_read_page_by_page() -> None:
    item = {
        "request_id": WORK,
        "endpoint_id": MODEL,
        "started_at": "2026-09-01T10:00:01Z",
        "sent_at": "2026-09-01T10:00:00Z",
        "json_input": {"prompt": "a fox"},
    }
    app = Script(
        JSONResponse({"items": [item], "has_more": True, "next_cursor": "Mg=="}),
        JSONResponse({"items": [{**item, "json_input": None}], "has_more": False}),
    )
    async with client_of(app) as client:
        found = await client.past_requests(MODEL, datetime(2026, 9, 1, tzinfo=UTC))

    assert [one.arguments for one in found] == [{"prompt": "a fox"}, None]
    assert found[0].sent == datetime(2026, 9, 1, 10, tzinfo=UTC)
    assert app.seen[0].url.path == "/api/v1/models/requests/by-endpoint"
    assert app.seen[0].url.params["start"] == "2026-09-01T00:00:00+00:00"
    assert app.seen[1].url.params["cursor"] == "Mg=="
    assert HOSTS.api in str(app.seen[0].url)
