"""Odd answers of the platform API: what is tolerated, what is named, what is asked again."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from server.fal.platform_assets import AssetId
from server.fal.platform_calls import MOST_PAGES, Period
from server.fal.platform_records import ModelFacts
from server.fal.platform_serverless import LogFilter
from server.fal.problems import (
    BadInputError,
    ConcurrencyError,
    NetworkError,
    NotFoundError,
    PlatformError,
    UnauthorisedError,
)
from tests.fal_ends import (
    HIDDEN,
    KEY,
    Clock,
    Script,
    http_answer,
    says,
    socket_of,
)
from tests.platform_ends import all_of, client_at, platform_of, refusal

FLUX = "fal-ai/flux/dev"
PAGE = {"next_cursor": None, "has_more": False}
PRICE = {"endpoint_id": FLUX, "unit_price": 0.025, "unit": "megapixels", "currency": "USD"}


async def prices(answer: Response) -> Any:
    """Return what the client makes of *answer* when it asks for prices."""
    async with platform_of(Script(answer)) as platform:
        return await platform.models.prices([FLUX])


async def test_new_fields_are_passed_over() -> None:
    answer = {"prices": [{**PRICE, "tier": {"new": 1}}], **PAGE, "as_of": "today"}
    found = await prices(JSONResponse(answer))
    assert found[FLUX].unit_price == Decimal("0.025")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        pytest.param({**PRICE, "unit": None}, "holds no prices[0].unit", id="null"),
        pytest.param({"endpoint_id": FLUX, "unit": "x"}, "no prices[0].unit_price", id="missing"),
        pytest.param({**PRICE, "unit_price": "dear"}, "no readable prices[0].unit_price", id="odd"),
        pytest.param("a price", "no readable prices[0]", id="no object"),
    ],
)
async def test_what_is_missing_is_named_with_its_place(raw: object, words: str) -> None:
    with pytest.raises(PlatformError) as failure:
        await prices(JSONResponse({"prices": [raw], **PAGE}))
    assert words in str(failure.value)
    assert "GET /models/pricing" in str(failure.value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (JSONResponse({"items": []}), "holds no prices"),
        (JSONResponse([]), "not a JSON object"),
        (JSONResponse(None), "not a JSON object"),
        (PlainTextResponse("<html>"), "not JSON"),
    ],
)
async def test_an_answer_of_another_shape_is_said_so(answer: Response, words: str) -> None:
    with pytest.raises(PlatformError, match=words):
        await prices(answer)


async def test_null_where_a_default_stands_is_the_default() -> None:
    metadata = {"display_name": "Flux", "category": "text-to-image", "tags": None, "group": None}
    metadata |= {"is_favorited": None, "date": "soon", "updated_at": "2026-01-01T00:00:00Z"}
    model = {"endpoint_id": FLUX, "metadata": metadata, "openapi": None}
    async with platform_of(Script(JSONResponse({"models": [model], **PAGE}))) as platform:
        (found,) = await all_of(platform.models.search())
    assert found.metadata == ModelFacts(
        display_name="Flux",
        category="text-to-image",
        updated_at="2026-01-01T00:00:00Z",  # type: ignore[arg-type]  # read like the wire's
    )
    assert found.metadata is not None
    assert found.metadata.updated_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert found.document is None


async def test_an_expansion_that_failed_says_why() -> None:
    error = {"error": {"code": "expansion_failed", "message": "no schema"}}
    model = {"endpoint_id": FLUX, "openapi": error}
    async with platform_of(Script(JSONResponse({"models": [model], **PAGE}))) as platform:
        found = await platform.models.by_id([FLUX], expand=["openapi-3.0"])
    failure = found[FLUX].schema_failure
    assert failure is not None
    assert (failure.code, failure.message) == ("expansion_failed", "no schema")
    assert found[FLUX].document is None


async def test_a_missing_permission_is_named_and_not_asked_for_again() -> None:
    app = Script(refusal(403, "authorization_error", "Missing permission models:requests:read"))
    async with platform_of(app) as platform:
        with pytest.raises(UnauthorisedError, match="models:requests:read") as failure:
            await all_of(platform.requests.to_endpoints([FLUX]))
    assert failure.value.status == 403
    assert "permissions" in failure.value.hint
    assert len(app.seen) == 1


async def test_too_many_requests_are_repeated_after_the_pause_that_is_asked_for() -> None:
    good = JSONResponse({"prices": [PRICE], **PAGE})
    clock = Clock()
    app = Script(
        refusal(429, "rate_limited", "slow down"),
        refusal(429, "rate_limited", "slow down", **{"retry-after": "3"}),
        good,
    )
    async with platform_of(app, clock) as platform:
        found = await platform.models.prices([FLUX])
    assert found.keys() == {FLUX}
    assert len(app.seen) == 3
    assert clock.pauses[0] < 1
    assert 3 <= clock.pauses[1] < 4


async def test_too_many_requests_for_too_long_are_an_error_that_says_so() -> None:
    app = Script(refusal(429, "rate_limited", "slow down"))
    async with platform_of(app) as platform:
        with pytest.raises(ConcurrencyError, match="slow down") as failure:
            await platform.account.billing()
    assert failure.value.retry_helps
    assert len(app.seen) == 6


async def test_a_typed_failure_of_the_platform_is_not_asked_for_again_and_a_proxys_is() -> None:
    good = JSONResponse({"username": "me"})
    for bad, tries in (
        (refusal(500, "server_error", "broken"), 1),
        (PlainTextResponse("<center>nginx</center>", 502), 2),
    ):
        app = Script(bad, good)
        async with platform_of(app) as platform:
            if tries == 1:
                with pytest.raises(PlatformError, match="broken"):
                    await platform.account.billing()
            else:
                assert (await platform.account.billing()).username == "me"
        assert len(app.seen) == tries


async def test_pages_are_asked_for_only_as_they_are_read() -> None:
    def page(number: int) -> JSONResponse:
        key = {"key_id": str(number)}
        return JSONResponse({"keys": [key], "next_cursor": f"c{number}", "has_more": number < 3})

    app = Script(page(1), page(2), page(3))
    async with platform_of(app) as platform:
        keys = platform.keys.listed()
        assert app.seen == []
        assert (await anext(keys)).key_id == "1"
        assert len(app.seen) == 1
        assert [key.key_id async for key in keys] == ["2", "3"]
    assert app.lines == [
        "GET /api/v1/keys?limit=50",
        "GET /api/v1/keys?limit=50&cursor=c1",
        "GET /api/v1/keys?limit=50&cursor=c2",
    ]


class Endless:
    """Gives pages for ever, each with another cursor or always the same."""

    def __init__(self, *, same: bool) -> None:
        self.same = same
        self.asked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        cursor = "again" if self.same else str(self.asked)
        answer = JSONResponse({"keys": [], "next_cursor": cursor, "has_more": True})
        await answer(scope, receive, send)


@pytest.mark.parametrize(("same", "asked"), [(True, 2), (False, MOST_PAGES)])
async def test_pages_without_an_end_come_to_one(same: bool, asked: int) -> None:
    app = Endless(same=same)
    async with platform_of(app) as platform:
        with pytest.raises(PlatformError, match="begin again" if same else "more than"):
            await all_of(platform.keys.listed())
    assert app.asked == asked


@pytest.mark.parametrize(
    "told",
    [
        {"next_cursor": None, "has_more": True},
        {"next_cursor": "c", "has_more": False},
        {"next_cursor": "", "has_more": True},
        {"has_more": True},
        {"next_cursor": 7},
        {},
    ],
)
async def test_pages_end_where_no_way_leads_on(told: dict[str, object]) -> None:
    app = Script(JSONResponse({"keys": [{"key_id": "1"}], **told}))
    async with platform_of(app) as platform:
        assert len(await all_of(platform.keys.listed())) == 1
    assert len(app.seen) == 1


async def test_many_ids_go_in_groups_and_an_unknown_one_costs_the_others_nothing() -> None:
    class Some:
        """Knows every model but one, and refuses a group with it."""

        def __init__(self) -> None:
            self.groups: list[int] = []

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            pairs = scope["query_string"].decode().split("&")
            ids = [pair.removeprefix("endpoint_id=") for pair in pairs if "endpoint_id" in pair]
            self.groups.append(len(ids))
            answer: Response = refusal(404, "not_found", "Endpoint 'm60' not found")
            if "m60" not in ids:
                found = [{**PRICE, "endpoint_id": name} for name in ids]
                answer = JSONResponse({"prices": found, **PAGE})
            await answer(scope, receive, send)

    app = Some()
    async with platform_of(app) as platform:
        found = await platform.models.prices(f"m{number}" for number in range(70))
    assert found.keys() == {f"m{number}" for number in range(70)} - {"m60"}
    assert app.groups == [50, 20, *[1] * 20]


async def test_lists_are_sent_as_repeated_parameters_and_what_is_empty_is_not_sent() -> None:
    app = Script(JSONResponse({"time_series": [], **PAGE}))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    async with platform_of(app) as platform:
        period = Period(start, timeframe="day", bound=False)
        await all_of(platform.usage.over_time(period, endpoint_ids=["a/b", "c/d"]))
    assert app.seen[0].url.query.decode() == (
        "limit=50&endpoint_id=a%2Fb&endpoint_id=c%2Fd&expand=time_series"
        "&start=2026-01-01T00%3A00%3A00%2B00%3A00&timeframe=day&bound_to_timeframe=false"
    )


async def test_no_redirect_is_followed_with_the_key() -> None:
    app = Script(RedirectResponse("https://evil.test/steal"))
    async with platform_of(app) as platform:
        for ask in (platform.account.billing(), platform.keys.create("ci")):
            with pytest.raises(PlatformError, match=r"redirect to 'https://evil\.test/steal'"):
                await ask
    assert [one.url.host for one in app.seen] == ["fal.test"] * 2


async def test_schemas_are_read_without_the_key_and_unknown_models_said_so() -> None:
    app = Script(JSONResponse({"openapi": "3.0.4"}), JSONResponse(None, 404))
    async with platform_of(app) as platform:
        assert await platform.models.openapi(FLUX) == {"openapi": "3.0.4"}
        with pytest.raises(NotFoundError, match=FLUX):
            await platform.models.openapi(FLUX)
    assert app.lines[0] == (
        "GET /fal/api/openapi/queue/openapi.json?endpoint_id=fal-ai%2Fflux%2Fdev"
    )
    for one in app.seen:
        assert "authorization" not in one.headers
        assert HIDDEN not in str(one)


async def test_without_a_key_only_what_needs_none_is_asked_for() -> None:
    app = Script(JSONResponse({"models": [], "webhook_ip_ranges": [], **PAGE}))
    async with platform_of(app, key=None) as platform:
        assert await all_of(platform.models.search("fox")) == []
        assert (await platform.meta()).webhook_ip_ranges == ()
        with pytest.raises(UnauthorisedError, match="no fal key"):
            await platform.account.billing()
        with pytest.raises(UnauthorisedError, match="no fal key"):
            await platform.models.prices([FLUX])
    assert len(app.seen) == 2


async def test_a_key_that_comes_back_is_not_shown() -> None:
    app = Script(refusal(400, "validation_error", f"{KEY} is not good"))
    async with platform_of(app) as platform:
        with pytest.raises(BadInputError) as failure:
            await platform.account.billing()
    assert HIDDEN not in str(failure.value)


@pytest.mark.parametrize("name", ["", ".", ".."])
async def test_a_name_that_would_lead_elsewhere_is_not_asked_for(name: str) -> None:
    app = Script(JSONResponse({}))
    async with platform_of(app) as platform:
        for ask in (
            platform.serverless.queue_size("me", name),
            platform.assets.get(name),
            platform.keys.delete(name),
            platform.workflows.get(name, "x"),
        ):
            with pytest.raises(PlatformError, match="is not a name"):
                await ask
    assert app.seen == []


async def test_names_stay_one_part_of_the_path() -> None:
    app = Script(JSONResponse({"queue_size": 1}))
    async with platform_of(app) as platform:
        await platform.serverless.queue_size("a b", "c?d#e")
    path = "/api/v1/serverless/apps/a%20b/c%3Fd%23e/queue"
    assert app.lines == [f"GET {path}"]


async def test_log_lines_that_cannot_be_read_are_passed_over() -> None:
    events = [
        ": listening",
        "data: {",
        "data: []",
        'data: {"level": "info"}',
        'data: {"message": "one", "timestamp": "2026-01-01T00:00:00Z", "labels": null, "new": 1}',
        'event: log\ndata: {"message": "two"}',
    ]

    async def body() -> AsyncIterator[str]:
        for event in events:
            yield f"{event}\n\n"

    class Streaming:
        body = b""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            self.body = (await receive())["body"]
            text = "".join([part async for part in body()])
            await Response(text, media_type="text/event-stream")(scope, receive, send)

    app = Streaming()
    labels = LogFilter(labels={"pod": ("in", ("a", "b"))})
    async with platform_of(app) as platform, platform.serverless.follow_logs(labels) as lines:
        found = [line async for line in lines]
    assert [line.message for line in found] == ["one", "two"]
    assert found[0].timestamp == datetime(2026, 1, 1, tzinfo=UTC)
    assert json.loads(app.body) == [{"key": "pod", "value": ["a", "b"], "condition_type": "in"}]


async def test_a_stream_of_logs_that_breaks_is_said_so() -> None:
    line = b'data: {"message": "one"}\n\n'
    answer = http_answer(line, more="Content-Type: text/event-stream\r\n", length=1000)
    async with (
        socket_of(says(answer)) as server,
        client_at(server.base) as platform,
        platform.serverless.follow_logs() as lines,
    ):
        assert (await anext(lines)).message == "one"
        with pytest.raises(NetworkError):
            await anext(lines)


async def test_text_that_breaks_off_is_asked_for_again() -> None:
    broken, whole = http_answer(b"fal_app", length=100), http_answer(b"fal_app 1\n")
    async with socket_of(says(broken), says(whole)) as server, client_at(server.base) as platform:
        assert await platform.serverless.metrics() == "fal_app 1\n"


async def test_an_asset_is_named_by_the_one_id_that_is_known() -> None:
    app = Script(JSONResponse({"is_favorited": True}))
    async with platform_of(app) as platform:
        await platform.assets.favorite(AssetId(request_id="r"))
    assert json.loads(app.seen[0].body) == {"request_id": "r"}


async def test_metrics_are_whatever_numbers_come() -> None:
    row = {"endpoint_id": FLUX, "request_count": 3, "p42_new": 0.5, "p50_duration": None}
    row |= {"note": "text", "flag": True}
    app = Script(JSONResponse({"summary": [row], **PAGE}))
    async with platform_of(app) as platform:
        (found,) = await all_of(platform.usage.metrics_in_sum([FLUX], ["request_count"]))
    assert found.values == {"request_count": 3, "p42_new": 0.5}


async def test_amounts_stay_exact() -> None:
    text = (
        '{"billing_events": [{"request_id": "r", "endpoint_id": "a/b", "output_units": 3.008,'
        ' "timestamp": "2026-01-01T00:00:00", "unit_price": 0.1, "cost_total": 0.3008,'
        ' "percent_discount": null}], "next_cursor": null, "has_more": false}'
    )
    async with platform_of(Script(Response(text, media_type="application/json"))) as platform:
        (event,) = await all_of(platform.usage.billing_events())
    assert event.output_units is not None
    assert event.unit_price is not None
    assert event.output_units * event.unit_price == event.cost_total == Decimal("0.3008")
    assert event.timestamp == datetime(2026, 1, 1, tzinfo=UTC)
