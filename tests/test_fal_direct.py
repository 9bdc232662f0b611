"""Direct calls: run and stream, which are paid for when accepted, and the options of a call."""

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import anyio
import httpx
import pytest
from pydantic import SecretStr
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.responses import StreamingResponse as Streaming

from server.fal.client import FalClient
from server.fal.options import CallOptions, Lifecycle
from server.fal.problems import (
    BadInputError,
    ConcurrencyError,
    FalError,
    LostAnswerError,
    NetworkError,
    NotSentError,
    PlatformError,
    StartTimeoutError,
)
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

INPUT = {"prompt": "a fox é", "seed": 7}
OUTPUT = {"images": [{"url": "https://v3.fal.media/files/b/1/a.png"}], "seed": 7}
BUSY = JSONResponse({"detail": "too many", "error_type": "concurrent_requests_limit"}, 429)


def output() -> Response:
    return JSONResponse(OUTPUT, 200, {"x-fal-request-id": WORK, "x-fal-billable-units": "2"})


def events(*data: str) -> Streaming:
    async def lines() -> AsyncIterator[str]:
        for one in data:
            yield f"data: {one}\n\n"

    return Streaming(lines(), media_type="text/event-stream")


async def streamed(client: FalClient, model: str = MODEL) -> list[Any]:
    with anyio.fail_after(5):
        async with client.stream(model, INPUT) as documents:
            return [document async for document in documents]


async def test_a_run_sends_the_bare_input_to_the_full_id_and_returns_the_output() -> None:
    app = Script(output())

    async with client_of(app) as client:
        result = await client.run(MODEL, INPUT)

    assert (result.output, result.billable_units, result.request_id) == (OUTPUT, Decimal(2), WORK)
    assert app.lines == [f"POST /run/{MODEL}"]
    assert json.loads(app.seen[0].body) == INPUT
    assert app.seen[0].headers["authorization"] == f"Key {KEY}"
    assert not [name for name in app.seen[0].headers if name.startswith("x-")]


async def test_a_run_that_never_connected_is_tried_again_and_accepted_by_nobody() -> None:
    clock = Clock()
    async with client_at(await nobody_listens(), clock) as client:
        with pytest.raises(NotSentError) as lost:
            await client.run(MODEL, INPUT)

    assert lost.value.charged is False
    assert len(clock.pauses) > 1


async def test_a_run_that_was_turned_away_is_sent_again() -> None:
    app, clock = Script(BUSY, BUSY, output()), Clock()

    async with client_of(app, clock) as client:
        assert (await client.run(MODEL, INPUT)).output == OUTPUT

    assert len(app.seen) == 3


async def test_a_run_that_is_always_turned_away_costs_nothing() -> None:
    async with client_of(Script(BUSY)) as client:
        with pytest.raises(ConcurrencyError) as busy:
            await client.run(MODEL, INPUT)

    assert busy.value.charged is False


async def test_a_run_whose_answer_is_lost_is_never_sent_again() -> None:
    for deed in (hangs_up, says(b"nonsense\r\n\r\n"), says(http_answer(b"{}", length=50))):
        async with socket_of(deed) as server, client_at(server.base) as client:
            with pytest.raises(LostAnswerError) as lost:
                await client.run(MODEL, INPUT)
        assert len(server.requests) == 1
        assert lost.value.charged is None


@pytest.mark.parametrize("status", [499, 502, 504])
async def test_a_page_of_a_proxy_leaves_open_whether_a_run_was_done(status: int) -> None:
    app = Script(HTMLResponse("<center>nginx</center>", status))

    async with client_of(app) as client:
        with pytest.raises(LostAnswerError) as lost:
            await client.run(MODEL, INPUT)

    assert len(app.seen) == 1
    assert (lost.value.charged, lost.value.retry_helps) == (None, False)


async def test_a_paid_run_with_a_broken_output_says_which_request_it_was() -> None:
    answer = Response(b"{", 200, {"x-fal-request-id": WORK, "x-fal-billable-units": "1"})

    async with client_of(Script(answer)) as client:
        with pytest.raises(LostAnswerError, match="although the work was done") as lost:
            await client.run(MODEL, INPUT)

    assert (lost.value.request_id, lost.value.units) == (WORK, Decimal(1))


@pytest.mark.parametrize(
    ("answer", "kind", "charged"),
    [
        (
            JSONResponse({"detail": "boom", "error_type": "internal_error"}, 500),
            PlatformError,
            False,
        ),
        (
            JSONResponse({"detail": "x"}, 504, {"x-fal-request-timeout-type": "user"}),
            StartTimeoutError,
            False,
        ),
        (
            JSONResponse(
                {"detail": [{"loc": ["body", "seed"], "msg": "no", "type": "missing"}]},
                422,
                {"x-fal-billable-units": "0"},
            ),
            BadInputError,
            False,
        ),
        (JSONResponse({"detail": "bad"}, 422, {"x-fal-billable-units": "1"}), BadInputError, True),
        (RedirectResponse("https://elsewhere.test/"), PlatformError, False),
    ],
    ids=["platform", "start timeout", "input", "billed refusal", "redirect"],
)
async def test_a_failed_run_says_why_and_whether_it_cost(
    answer: Response, kind: type[FalError], charged: bool
) -> None:
    app = Script(answer)
    async with client_of(app) as client:
        with pytest.raises(kind) as failed:
            await client.run(MODEL, INPUT)

    assert failed.value.charged is charged
    assert len(app.seen) == 1


async def test_a_stream_brings_each_event_as_it_comes() -> None:
    app = Script(events('{"step": 1}', '{"step": 2}', json.dumps(OUTPUT)))

    async with client_of(app) as client:
        assert await streamed(client) == [{"step": 1}, {"step": 2}, OUTPUT]

    assert app.lines == [f"POST /run/{MODEL}/stream"]
    assert app.seen[0].headers["accept"] == "text/event-stream"
    assert json.loads(app.seen[0].body) == INPUT


async def test_an_id_that_names_its_stream_already_is_kept() -> None:
    app = Script(events("{}"))

    async with client_of(app) as client:
        await streamed(client, "fal-ai/any-llm/stream")

    assert app.lines == ["POST /run/fal-ai/any-llm/stream"]


async def test_a_stream_ends_at_the_sentinel_that_other_apis_send() -> None:
    async with client_of(Script(events('{"a": 1}', "[DONE]", "not JSON"))) as client:
        assert await streamed(client) == [{"a": 1}]


async def test_a_stream_that_is_refused_raises_the_models_own_words_at_its_start() -> None:
    detail = [{"loc": ["body", "prompt"], "msg": "Field required", "type": "missing"}]
    app = Script(JSONResponse({"detail": detail}, 422))

    async with client_of(app) as client:
        with pytest.raises(BadInputError, match="Field required") as refused:
            await streamed(client)

    assert refused.value.field == "prompt"
    assert len(app.seen) == 1


async def test_a_stream_is_begun_again_only_when_it_was_turned_away() -> None:
    app = Script(BUSY, events("{}"))
    async with client_of(app) as client:
        await streamed(client)
    assert len(app.seen) == 2

    async with socket_of(hangs_up) as server, client_at(server.base) as client:
        with pytest.raises(LostAnswerError):
            await streamed(client)
    assert len(server.requests) == 1


async def test_a_stream_that_breaks_hands_over_what_came_and_advises_against_a_retry() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 999\r\n\r\n"
    async with (
        socket_of(says(head + b'data: {"a": 1}\n\n')) as server,
        client_at(server.base) as client,
        client.stream(MODEL, INPUT) as documents,
    ):
        assert await anext(documents) == {"a": 1}
        with pytest.raises(NetworkError) as broke:
            await anext(documents)

    assert (broke.value.charged, broke.value.retry_helps) == (None, False)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [events("not JSON"), events(), JSONResponse({"images": []})],
    ids=["no JSON", "no event", "no stream"],
)
async def test_a_stream_that_cannot_be_read_may_have_cost(answer: Response) -> None:
    app = Script(answer)
    async with client_of(app) as client:
        with pytest.raises(PlatformError) as failed:
            await streamed(client)

    assert (failed.value.charged, failed.value.retry_helps) == (None, False)
    assert len(app.seen) == 1


ALL = CallOptions(
    priority="low",
    longest_queue=3,
    start_seconds=30,
    hint="lora-7",
    lifecycle=Lifecycle(3600, "forbid", (("user_1", "allow"),)),
    tags={"team": "art", "job.no": "7"},
    attempts={"timeout": 0},
    retries=False,
    keeps_payloads=False,
    fallback=False,
)
LIFECYCLE = {
    "expiration_duration_seconds": 3600,
    "initial_acl": {"default": "forbid", "rules": [{"user": "user_1", "decision": "allow"}]},
}


async def test_every_option_travels_under_its_documented_name() -> None:
    app = Script(accepted())

    async with client_of(app) as client:
        await client.submit(MODEL, INPUT, options=ALL, webhook_url="https://a.test/?b=c")

    seen = app.seen[0]
    sent = {name: value for name, value in seen.headers.items() if name.startswith("x-")}
    assert json.loads(sent.pop("x-fal-object-lifecycle-preference")) == LIFECYCLE
    assert json.loads(sent.pop("x-fal-retry-config")) == {"timeout": {"retries": 0}}
    assert sent == {
        "x-fal-request-timeout": "30.0",
        "x-fal-runner-hint": "lora-7",
        "x-fal-queue-priority": "low",
        "x-fal-tags": "team=art,job.no=7",
        "x-fal-no-retry": "1",
        "x-fal-store-io": "0",
        "x-app-fal-disable-fallback": "true",
    }
    assert dict(seen.url.params) == {
        "fal_webhook": "https://a.test/?b=c",
        "fal_max_queue_length": "3",
    }


async def test_a_direct_run_sends_no_option_of_the_queue() -> None:
    app = Script(output())

    async with client_of(app) as client:
        await client.run(MODEL, INPUT, options=ALL)

    assert "x-fal-queue-priority" not in app.seen[0].headers
    assert app.seen[0].headers["x-fal-runner-hint"] == "lora-7"
    assert not app.seen[0].url.query


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (CallOptions(start_seconds=1), "start_seconds"),
        (CallOptions(start_seconds=float("nan")), "start_seconds"),
        (CallOptions(longest_queue=-1), "longest_queue"),
        (CallOptions(hint="a\r\nX-Evil: 1"), "hint"),
        (CallOptions(lifecycle=Lifecycle(0)), "lifecycle.seconds"),
        (CallOptions(tags={"fal.team": "x"}), "tags"),
        (CallOptions(tags={"Team": "x"}), "tags"),
        (CallOptions(tags={"team": "a,b=c"}), "tags.team"),
        (CallOptions(tags={f"t{number}": "x" for number in range(11)}), "tags"),
        (CallOptions(tags={f"t{number}": "x" * 256 for number in range(5)}), "tags"),
        (CallOptions(attempts={"timeout": 10}), "attempts.timeout"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
async def test_an_option_out_of_range_is_refused_before_anything_is_sent(
    options: CallOptions, field: str
) -> None:
    app = Script(accepted())
    async with client_of(app) as client:
        with pytest.raises(BadInputError) as refused:
            await client.submit(MODEL, INPUT, options=options)

    assert refused.value.field == field
    assert app.seen == []


class OneHostIsDown(httpx.AsyncBaseTransport):
    """A network in which *down* cannot be connected to, and *app* answers for every other name."""

    def __init__(self, app: Script, down: str) -> None:
        self._app = httpx.ASGITransport(app)
        self._down = down
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.host)
        if request.url.host == self._down:
            raise httpx.ConnectError("refused")
        return await self._app.handle_async_request(request)


@pytest.mark.parametrize(
    ("hosts", "down", "backup"),
    [
        (Hosts(), "queue.fal.run", "queue.falrun.com"),
        (Hosts(queue="https://queue.mine.test"), "queue.mine.test", ""),
    ],
    ids=["fal's own", "a configured one"],
)
async def test_fals_second_name_is_asked_when_the_first_cannot_be_connected_to(
    hosts: Hosts, down: str, backup: str
) -> None:
    app = Script(accepted())
    network = OneHostIsDown(app, down)
    async with httpx.AsyncClient(transport=network) as http:
        client = FalClient(http, hosts, SecretStr(KEY), policy=Clock().policy())
        if not backup:
            with pytest.raises(NotSentError):
                await client.submit(MODEL, INPUT)
            assert set(network.asked) == {down}
            return
        await client.submit(MODEL, INPUT, webhook_url="https://a.test/")

    assert network.asked == [down, backup]
    assert app.lines == [f"POST /{MODEL}?fal_webhook=https%3A%2F%2Fa.test%2F"]
    assert app.seen[0].headers["host"] == backup
    assert json.loads(app.seen[0].body) == INPUT
