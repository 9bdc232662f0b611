"""Usage, costs and metrics, which the emulator computes from its own requests."""

import csv
import io
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.emulated import FLUX, SMALL, emulated, over, submitted

API = "/api/v1"
SCHNELL = "fal-ai/flux/schnell"
PRICE = 0.025  # of a megapixel of `FLUX`
BIG = {"prompt": "a red fox", "image_size": {"width": 1024, "height": 1024}}


def past(folder: Path, *rows: tuple[str, str, datetime, int, float]) -> None:
    """Write requests of the past down: id, endpoint, when they ended, status and units."""
    with sqlite3.connect(folder / "emulator.db") as db:
        for request_id, endpoint_id, ended, status, units in rows:
            at = ended.timestamp()
            db.execute(
                "INSERT INTO requests (id, endpoint_id, app, input, state, created, ready, started,"
                " ended, status_code, output, error_type, units, changed, options)"
                " VALUES (?, ?, 'fal-ai/flux', '{}', 'COMPLETED', ?, ?, ?, ?, ?, 'null', ?, ?,"
                " (SELECT COALESCE(MAX(changed), 0) + 1 FROM requests), '{\"user\": \"old\"}')",
                (
                    request_id, endpoint_id, at - 3, at - 3, at - 2, at, status,
                    "runner_disconnected" if status >= 500 else None, units,
                ),
            )  # fmt: skip


async def drawn(client: httpx.AsyncClient, endpoint_id: str = FLUX, body: Any = SMALL) -> str:
    """Return the id of a request that is over."""
    told = await submitted(client, endpoint_id, body)
    await over(client, told["status_url"])
    return told["request_id"]


async def get(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await client.get(f"{API}/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_usage_is_what_the_requests_were_billed(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            for _ in range(2):
                await drawn(client, body=BIG)
            await drawn(client, body={"prompt": 7})  # refused, so not billed
            report = await get(client, "models/usage", expand="summary")

    (row,) = report["summary"]
    cost = row["quantity"] * PRICE
    assert row == {
        "endpoint_id": FLUX,
        "unit": "megapixels",
        "quantity": row["quantity"],
        "unit_price": PRICE,
        "percent_discount": None,
        "cost_subtotal": pytest.approx(cost),
        "cost_discount": 0,
        "cost_total": pytest.approx(cost),
        "cost": pytest.approx(cost),
        "currency": "USD",
    }
    assert row["quantity"] > 1.9
    assert "time_series" not in report
    assert (report["next_cursor"], report["has_more"]) == (None, False)


async def test_a_time_series_has_a_bucket_for_each_day_in_the_zone_asked_for(
    tmp_path: Path,
) -> None:
    evening = datetime(2026, 3, 7, 23, 30, tzinfo=UTC)  # already the 8th in Berlin
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            past(
                tmp_path,
                ("a", FLUX, evening - timedelta(days=1), 200, 2),
                ("b", FLUX, evening, 200, 4),
                ("c", SCHNELL, evening + timedelta(hours=1), 200, 1),
            )
            query = {"start": "2026-03-01", "end": "2026-03-31", "timeframe": "day"}
            utc = await get(client, "models/usage", **query)
            berlin = await get(client, "models/usage", timezone="Europe/Berlin", **query)

    assert [entry["bucket"] for entry in utc["time_series"]] == [
        "2026-03-06T00:00:00+00:00",
        "2026-03-07T00:00:00+00:00",
        "2026-03-08T00:00:00+00:00",
    ]
    assert [entry["bucket"] for entry in berlin["time_series"]] == [
        "2026-03-07T00:00:00+01:00",
        "2026-03-08T00:00:00+01:00",
    ]
    assert [row["endpoint_id"] for row in berlin["time_series"][1]["results"]] == [FLUX, SCHNELL]


RANGES = [
    # the first bucket shows the timeframe that was chosen: minute, hour, day, week, month
    ("2026-03-07T00:00:00", "2026-03-07T01:59:59", "2026-03-07T01:20:00+00:00"),
    ("2026-03-07T00:00:00", "2026-03-08T23:59:59", "2026-03-07T01:00:00+00:00"),
    ("2026-03-01", "2026-04-30", "2026-03-07T00:00:00+00:00"),
    ("2026-01-01", "2026-06-30", "2026-03-02T00:00:00+00:00"),
    ("2026-01-01", "2026-12-31", "2026-03-01T00:00:00+00:00"),
]


async def test_the_range_chooses_the_timeframe(tmp_path: Path) -> None:
    at = datetime(2026, 3, 7, 1, 20, 30, tzinfo=UTC)
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            past(tmp_path, ("a", FLUX, at, 200, 1))
            for start, end, bucket in RANGES:
                report = await get(client, "models/usage", start=start, end=end)
                assert [entry["bucket"] for entry in report["time_series"]] == [bucket]


async def test_a_range_is_snapped_to_its_buckets_unless_that_is_turned_off(tmp_path: Path) -> None:
    at = datetime(2026, 3, 7, 1, 20, tzinfo=UTC)
    query = {"start": "2026-03-07T12:00:00", "end": "2026-03-20", "timeframe": "day"}
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            past(tmp_path, ("a", FLUX, at, 200, 1))
            snapped = await get(client, "models/usage", **query)
            loose = await get(client, "models/usage", bound_to_timeframe="false", **query)
    assert len(snapped["time_series"]) == 1
    assert loose["time_series"] == []


async def test_usage_tells_who_authorised_it_and_is_chosen_by_key(tmp_path: Path) -> None:
    at = datetime.now(UTC) - timedelta(minutes=5)
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            past(tmp_path, ("a", FLUX, at, 200, 1))
            await drawn(client)
            told = await get(
                client, "models/usage", expand="summary,auth_method,auth_method_structured"
            )
            mine = await get(client, "models/usage", expand="summary", api_key_id="emulator")
            nobody = await get(client, "models/usage", expand="summary", login_username="someone")

    assert {row["auth_method"] for row in told["summary"]} == {
        "API Key: old",
        "API Key: emulator",
    }
    keys = {row["auth_method_structured"]["api_key_id"] for row in told["summary"]}
    assert keys == {"old", "emulator"}
    assert len(mine["summary"]) == 1
    assert nobody["summary"] == []


async def test_pages_of_a_series_hold_every_bucket_once(tmp_path: Path) -> None:
    days = [datetime(2026, 3, day, 12, tzinfo=UTC) for day in range(1, 8)]
    query: dict[str, Any] = {"start": "2026-03-01", "end": "2026-03-31", "limit": 3}
    seen: list[str] = []
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            past(tmp_path, *((str(day.day), FLUX, day, 200, 1) for day in days))
            while True:
                page = await get(client, "models/usage", **query)
                seen += [entry["bucket"][:10] for entry in page["time_series"]]
                if not page["has_more"]:
                    break
                query["cursor"] = page["next_cursor"]
    assert seen == [f"2026-03-0{day}" for day in range(1, 8)]


async def test_analytics_count_and_time_requests(tmp_path: Path) -> None:
    at = datetime.now(UTC) - timedelta(minutes=5)
    metrics = (
        "summary,request_count,success_count,user_error_count,error_count,connection_error_count,"
        "p50_duration,p99_prepare_duration,total_billable_duration,p50_cold_boot_duration"
    )
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            past(
                tmp_path,
                ("a", FLUX, at, 200, 1),
                ("b", FLUX, at, 422, 0),
                ("c", FLUX, at, 503, 0),
            )
            report = await get(client, "models/analytics", endpoint_id=FLUX, expand=metrics)
            usual = await get(client, "models/analytics", endpoint_id=FLUX)

    assert report["summary"] == [
        {
            "endpoint_id": FLUX,
            "request_count": 3,
            "success_count": 1,
            "user_error_count": 1,
            "error_count": 1,
            "connection_error_count": 1,
            "p50_duration": pytest.approx(2, abs=0.01),
            "p99_prepare_duration": pytest.approx(1, abs=0.01),
            "total_billable_duration": pytest.approx(2, abs=0.01),
        }
    ]
    (bucket,) = usual["time_series"]
    assert bucket["results"] == [{"endpoint_id": FLUX, "request_count": 3}]


async def test_billing_events_are_paged_by_time_and_add_up(tmp_path: Path) -> None:
    at = datetime.now(UTC) - timedelta(hours=1)
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            past(
                tmp_path,
                ("a", FLUX, at, 200, 1),
                ("b", FLUX, at, 200, 2.5),
                ("c", FLUX, at, 422, 0),
            )
            first = await get(client, "models/billing-events", limit=1)
            # What is billed meanwhile neither moves nor repeats a page.
            past(tmp_path, ("0", FLUX, at - timedelta(minutes=1), 200, 9))
            rest = await get(client, "models/billing-events", cursor=first["next_cursor"])
            chosen = await get(client, "models/billing-events", request_id="b")

    assert [event["request_id"] for event in first["billing_events"]] == ["a"]
    assert [event["request_id"] for event in rest["billing_events"]] == ["b"]
    assert chosen["billing_events"] == rest["billing_events"]
    (event,) = rest["billing_events"]
    assert event["output_units"] == 2.5
    assert event["cost_total"] == event["cost_subtotal"] - event["cost_discount"] == 0.0625
    assert event["cost_estimate_nano_usd"] == 62_500_000
    assert event["timestamp"].endswith("Z")


async def test_costs_are_told_apart_by_tags(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            for tags in ("team=a,run=1", "team=b", ""):
                told = await submitted(client, **({"x-fal-tags": tags} if tags else {}))
                await over(client, told["status_url"])
            path = "models/billing-events"
            every = await get(client, path)
            tagged = await get(client, path, source="tagged-billed")
            chosen = await get(client, path, source="tagged-billed", tag=["team=a", "run=1"])
            bad = await client.get(f"{API}/{path}?tag=team")
            rows = await client.get(f"{API}/account/focus?source=tagged-estimate")

    assert len(every["billing_events"]) == 3
    assert len(tagged["billing_events"]) == 2
    assert [event["tags"] for event in chosen["billing_events"]] == [{"team": "a", "run": "1"}]
    assert bad.status_code == 400
    found = {row["Tags"] for row in csv.DictReader(io.StringIO(rows.text))}
    assert found == {'{"run": "1", "team": "a"}', '{"team": "b"}', "{}"}


async def test_an_estimate_is_by_unit_prices_or_by_what_calls_cost_here(tmp_path: Path) -> None:
    at = datetime.now(UTC) - timedelta(hours=1)

    async def estimated(kind: str, **endpoints: Any) -> Any:
        body = {"estimate_type": kind, "endpoints": endpoints}
        return await client.post(f"{API}/models/pricing/estimate", json=body)

    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            units = await estimated(
                "unit_price", **{FLUX: {"unit_quantity": 4}, SCHNELL: {"unit_quantity": 0.5}}
            )
            fresh = await estimated("historical_api_price", **{FLUX: {"call_quantity": 3}})
            past(tmp_path, ("a", FLUX, at, 200, 1), ("b", FLUX, at, 200, 3))
            usual = await estimated("historical_api_price", **{FLUX: {"call_quantity": 3}})
            unknown = await estimated("unit_price", **{"fal-ai/none": {"unit_quantity": 1}})
            bad = [
                await estimated("unit_price", **{FLUX: {"unit_quantity": 0}}),
                await estimated("unit_price", **{FLUX: {"call_quantity": 1}}),
                await estimated("historical_api_price", **{FLUX: {"call_quantity": 1.5}}),
                await estimated("historical_api_price"),
                await estimated("a guess", **{FLUX: {"call_quantity": 1}}),
            ]

    assert units.json() == {
        "estimate_type": "unit_price",
        "total_cost": pytest.approx(4 * PRICE + 0.5 * 0.003),
        "currency": "USD",
    }
    assert fresh.json()["total_cost"] == pytest.approx(3 * PRICE)
    assert usual.json()["total_cost"] == pytest.approx(3 * 2 * PRICE)
    assert unknown.status_code == 404
    assert [answer.status_code for answer in bad] == [400] * 5
    assert {answer.json()["error"]["type"] for answer in bad} == {"validation_error"}


async def test_the_balance_falls_by_what_is_spent_and_can_be_set(tmp_path: Path) -> None:
    at = datetime.now(UTC) - timedelta(hours=1)
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            plain = await get(client, "account/billing")
            before = await get(client, "account/billing", expand="credits")
            past(tmp_path, ("a", FLUX, at, 200, 40))
            spent = await get(client, "account/billing", expand="credits")
            await client.post("/_emulator/account", json={"balance": 7.5})
            told = await get(client, "account/billing", expand="credits")
            past(tmp_path, ("b", FLUX, at, 200, 4000))
            broke = await get(client, "account/billing", expand="credits")

    assert plain == {"username": "emulator"}
    assert before["credits"] == {"current_balance": 100, "currency": "USD"}
    assert spent["credits"]["current_balance"] == 99
    assert told["credits"]["current_balance"] == 7.5
    assert broke["credits"]["current_balance"] == 0


async def test_costs_come_as_csv_by_day_and_endpoint(tmp_path: Path) -> None:
    day = datetime(2026, 3, 7, 12, tzinfo=UTC)
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            past(
                tmp_path,
                ("a", FLUX, day, 200, 1),
                ("b", FLUX, day, 200, 3),
                ("c", SCHNELL, day + timedelta(days=1), 200, 1),
            )
            invoice = await client.get(f"{API}/account/focus?source=invoice&billing_month=2026-03")
            estimate = await client.get(
                f"{API}/organization/focus?source=estimate&start=2026-03-07&end=2026-03-08"
            )
            bare = await client.get(f"{API}/account/focus")
            odd = await client.get(f"{API}/account/focus?source=invoice&billing_month=2026-13")

    assert invoice.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(invoice.text)))
    assert [(row["ResourceId"], float(row["BilledCost"])) for row in rows] == [
        (FLUX, 4 * PRICE),
        (SCHNELL, 0.003),
    ]
    assert rows[0]["ChargePeriodStart"] == "2026-03-07T00:00:00+00:00"
    assert rows[0]["BillingPeriodEnd"] == "2026-04-01T00:00:00+00:00"
    assert len(list(csv.DictReader(io.StringIO(estimate.text)))) == 1
    assert (bare.status_code, odd.status_code) == (400, 400)


async def test_the_organization_is_the_account_under_its_name(tmp_path: Path) -> None:
    at = datetime.now(UTC) - timedelta(hours=1)
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            past(tmp_path, ("a", FLUX, at, 200, 1))
            teams = await get(client, "organization/teams")
            usage = await get(client, "organization/usage", expand="summary")
            compute = await get(
                client, "organization/usage", expand="summary", product="compute,serverless"
            )
            events = await get(client, "organization/billing-events")
            too_many = await client.get(f"{API}/organization/billing-events?limit=101")
            stranger = await client.get(f"{API}/organization/usage?team_username=others")

    assert [team["username"] for team in teams["teams"]] == ["emulator"]
    assert usage["summary"] == [
        {
            "username": "emulator",
            "product": "model_apis",
            "endpoint_id": FLUX,
            "unit": "megapixels",
            "quantity": 1,
            "unit_price": PRICE,
            "cost": PRICE,
            "currency": "USD",
        }
    ]
    assert compute["summary"] == []
    assert events["billing_events"][0]["username"] == "emulator"
    assert too_many.status_code == 400
    assert stranger.status_code == 404


REFUSED = [
    ("models/usage?expand=auth_method", 400),
    ("models/usage?expand=everything", 400),
    ("models/usage?timeframe=year", 400),
    ("models/usage?timezone=Moon/Crater", 400),
    ("models/usage?start=soon", 400),
    ("models/usage?end=0001-01-01", 400),
    ("models/usage?start=9999-12-30&end=9999-12-31T12:00:00&timeframe=day", 400),
    ("models/usage?start=2026-02-01&end=2026-01-01", 400),
    ("models/usage?bound_to_timeframe=yes", 400),
    ("models/usage?endpoint_id=fal-ai/none", 404),
    ("models/analytics", 400),
    ("models/analytics?endpoint_id=fal-ai/none", 404),
    (f"models/analytics?endpoint_id={FLUX}&expand=request_count", 400),
    ("models/billing-events?limit=10001", 400),
    ("models/billing-events?start=2026-01-01&end=2026-06-01", 400),
    ("models/billing-events?cursor=Mg==", 400),
]


async def test_reports_refuse_what_they_cannot_read(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            for path, status in REFUSED:
                answer = await client.get(f"{API}/{path}")
                assert answer.status_code == status, (path, answer.text)
                assert answer.json()["error"]["message"]
