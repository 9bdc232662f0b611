"""Status, result, cancellation and history: what is asked, how often, what the answers mean."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response

from server.fal.problems import (
    BadInputError,
    LostAnswerError,
    ModerationError,
    NetworkError,
    NotFoundError,
    PlatformError,
    RunTimeoutError,
    UnauthorisedError,
)
from server.fal.wire import LogLine, Result, Status
from tests.fal_ends import (
    HOSTS,
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


@pytest.mark.parametrize(
    ("answer", "output"),
    [
        (
            Response(b"\x89PNG\xff", media_type="image/png"),
            {"file": {
                "url": "data:image/png;base64,iVBOR/8=", "content_type": "image/png", "file_size": 5
            }},
        ),
        (
            Response(b"\x00", headers={"content-type": "a b"}),
            {"file": {
                "url": "data:application/octet-stream;base64,AA==",
                "content_type": "application/octet-stream",
                "file_size": 1,
            }},
        ),
        (
            Response("a,b", media_type="text/csv"),
            {"file": {
                "url": "data:text/csv;base64,YSxi", "content_type": "text/csv", "file_size": 3
            }},
        ),
        (Response("grüße", media_type="text/plain"), "grüße"),
        (Response('{"a": 1}', media_type="text/plain"), {"a": 1}),
    ],
    ids=["picture", "no type", "table", "text", "JSON that says it is text"],
)  # fmt: skip
async def test_a_result_that_is_no_json_is_a_file_or_a_text(
    answer: Response, output: object
) -> None:
    async with client_of(Script(answer)) as client:
        assert (await client.result(MODEL, WORK)).output == output
    async with client_of(Script(answer)) as client:
        assert (await client.run(MODEL, {})).output == output


async def test_a_page_of_a_proxy_and_an_empty_body_are_no_result() -> None:
    page = HTMLResponse("<h1>Sign in</h1>", headers={"x-fal-request-id": WORK})
    async with client_of(Script(page)) as client:
        assert "file" in (await client.result(MODEL, WORK)).output
    del page.headers["x-fal-request-id"]
    for nothing in (page, Response(b"", media_type="image/png")):
        async with client_of(Script(nothing)) as client:
            with pytest.raises(PlatformError):
                await client.result(MODEL, WORK)


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
