"""Answers that no honest platform gives: endless numbers, logs and tags stay within bounds."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from starlette.responses import JSONResponse, Response

from server.fal import wire
from server.fal.platform_records import BillingEvent, UnitPrice, read_record
from server.fal.problems import BadInputError
from server.fal.wire import MOST_LINES, Answer, UnreadableAnswerError
from tests.fal_ends import MODEL, WORK, Script, client_of, state


def as_json(text: str) -> Response:
    """Return an answer of *text*, which Python's own writer would not write."""
    return Response(text, media_type="application/json")


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 400, "1e300", "1e400", "NaN", "-1"])
async def test_a_number_of_no_sane_size_counts_as_not_said(number: str) -> None:
    queued = f'{{"status": "IN_QUEUE", "queue_position": {number}}}'
    ended = f'{{"status": "COMPLETED", "metrics": {{"inference_time": {number}}}}}'
    accepted = f'{{"request_id": "{WORK}", "queue_position": {number}}}'

    async with client_of(Script(as_json(queued), as_json(ended), as_json(accepted))) as client:
        assert (await client.status(MODEL, WORK)).queue_position is None
        assert (await client.status(MODEL, WORK)).inference_seconds is None
        assert (await client.submit(MODEL, {})).queue_position is None


async def test_of_an_endless_log_the_last_lines_are_kept() -> None:
    logs = [f"line {number}" for number in range(MOST_LINES * 3)]

    async with client_of(Script(JSONResponse(state("IN_PROGRESS", logs=logs)))) as client:
        status = await client.status(MODEL, WORK)

    assert len(status.logs) == MOST_LINES
    assert status.logs[-1].message == logs[-1]


@pytest.mark.parametrize(
    ("said", "units"),
    [
        ("1.50", Decimal("1.50")),
        ("1E+3", Decimal(1000)),
        ("1E-999999", Decimal(0)),
        ("0E+999999", Decimal(0)),
        ("1E+999999", None),
        ("1" * 10_000, None),
        ("0." + "1" * 10_000, None),
        ("sNaN", None),
        ("-1", None),
    ],
)
def test_billed_units_are_a_number_that_can_be_written_out(
    said: str, units: Decimal | None
) -> None:
    answer = Answer(200, {"x-fal-billable-units": said}, b"{}")

    assert answer.billable_units == units
    if units == 0:
        assert f"{answer.billable_units:f}" == "0"


def test_a_price_that_would_fill_the_screen_is_refused() -> None:
    price = {"endpoint_id": MODEL, "unit": "images", "unit_price": "1E+999999"}

    with pytest.raises(UnreadableAnswerError, match="no readable unit_price"):
        read_record(UnitPrice, price)


def test_a_million_tags_are_not_kept() -> None:
    event = {
        "request_id": WORK,
        "endpoint_id": MODEL,
        "timestamp": "2026-01-01T00:00:00Z",
        "cost_total": 0.1,
        "tags": {f"tag{number}": "x" for number in range(1_000_000)},
    }

    assert len(read_record(BillingEvent, event).tags) == 1000


def test_a_complaint_with_endless_facts_and_place_stays_short() -> None:
    entry = {
        "loc": ["body", *range(100_000)],
        "msg": "no",
        "type": "x",
        "ctx": {str(number): number for number in range(100_000)},
    }

    said = wire.fault(Answer(422, {}, json.dumps({"detail": [entry]}).encode()))

    assert len(said.facts) <= 32
    assert len(said.field) <= 120


@pytest.mark.parametrize("expiry", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59-14:00"])
def test_an_instant_that_cannot_be_reckoned_with_is_none(expiry: str) -> None:
    with pytest.raises(UnreadableAnswerError, match="expires_at"):
        wire.cdn_token({"token": "abc", "expires_at": expiry})


async def test_an_output_with_numbers_that_json_lacks_is_an_output_all_the_same() -> None:
    app = Script(as_json('{"score": NaN, "top": [Infinity, 1e999, 1.5]}'))

    async with client_of(app) as client:
        result = await client.result(MODEL, WORK)

    assert result.output == {"score": None, "top": [None, None, 1.5]}


def test_an_end_without_a_zone_is_in_utc_and_can_be_compared() -> None:
    token = wire.cdn_token({"token": "abc", "expires_at": "2026-01-01T00:00:00"})

    assert token.expires == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", ["X-Fal-Needs-Retry", "X-Fal-Retryable"])
@pytest.mark.parametrize(("wish", "helps"), [("1", True), ("true", True), ("0", False)])
async def test_the_platforms_word_on_another_try_is_read_under_both_names(
    name: str, wish: str, helps: bool
) -> None:
    told = {"detail": "no", "error_type": "bad_request"}

    async with client_of(Script(JSONResponse(told, 400, {name: wish}))) as client:
        with pytest.raises(BadInputError) as caught:
            await client.submit(MODEL, {})

    assert caught.value.retry_helps is helps
