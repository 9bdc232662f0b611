"""What the emulator shows of the account's own apps: their queues, logs, history and files."""

import io
import json
import sqlite3
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.emulated import BASE, FLUX, emulated, over, submitted

API = "/api/v1/serverless"
APP = "fal-ai/flux"
STUCK = {"x-emulator-fault": "stuck"}
ONE = "apps/fal-ai/flux"


async def deployed(client: httpx.AsyncClient, **more: Any) -> Any:
    """Tell the emulator that the account owns the app whose models the tests call."""
    body = {"owner": "fal-ai", "name": "flux", "machine_type": "GPU-H100", **more}
    answer = await client.post("/_emulator/apps", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def get(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await client.get(f"{API}/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_there_are_no_apps_until_one_is_deployed(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            assert await get(client, "apps") == {"apps": []}
            await deployed(client, message="first")
            told = await submitted(client, **STUCK)
            (app,) = (await get(client, "apps", expand="endpoints"))["apps"]
            assert (await get(client, "apps", environment="dev"))["apps"] == []
            assert len((await get(client, "apps", search="FLUX"))["apps"]) == 1
            assert told["status"] == "IN_QUEUE"

    assert app == {
        "endpoint_id": APP,
        "name": "flux",
        "owner": "fal-ai",
        "environment": "main",
        "machine_type": "GPU-H100",
        "auth_mode": "private",
        "keep_alive": 60,
        "min_concurrency": 0,
        "max_concurrency": 2,
        "request_timeout": 3600,
        "startup_timeout": 600,
        "valid_regions": [],
        "updated_at": app["updated_at"],
        "endpoints": [APP, FLUX],
    }


@pytest.mark.parametrize("path", ["queue", "runners/history", "events", "revisions"])
async def test_an_unknown_app_is_404_and_another_owners_403(tmp_path: Path, path: str) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            for app, status in (("me/none", 404), (APP, 403)):
                answer = await client.get(f"{API}/apps/{app}/{path}")
                assert answer.status_code == status
                assert answer.json()["error"]["type"] in ("not_found", "authorization_error")
            assert (await client.delete(f"{API}/apps/me/none/queue")).status_code == 404


async def test_a_flush_cancels_what_waits_and_nothing_that_runs(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path, concurrency=1) as client:
            await deployed(client)
            running = await submitted(client, **STUCK)
            while (await client.get(running["status_url"])).json()["status"] == "IN_QUEUE":
                await anyio.sleep(0.01)
            waiting = [await submitted(client) for _ in range(3)]
            other = await submitted(client, "fal-ai/birefnet", {"image_url": f"{BASE}/x.png"})
            assert await get(client, f"{ONE}/queue") == {"queue_size": 3}

            flushed = await client.delete(f"{API}/{ONE}/queue")
            assert (flushed.status_code, flushed.content) == (204, b"")
            assert await get(client, f"{ONE}/queue") == {"queue_size": 0}
            for told in waiting:
                status = await over(client, told["status_url"])
                assert status["error_type"] == "client_cancelled"
            assert (await client.get(waiting[0]["response_url"])).status_code == 499
            assert (await client.get(running["status_url"])).json()["status"] == "IN_PROGRESS"
            assert (await client.get(other["status_url"])).json()["status"] == "IN_QUEUE"


async def test_revisions_and_events_are_listed_newest_first(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            first = await deployed(client, message="first", annotations={"git": "abc"})
            second = await deployed(client)
            revisions = (await get(client, f"{ONE}/revisions"))["revisions"]
            events = await get(client, f"{ONE}/events", category="deployment_ended", limit=1)
            rest = await get(
                client, f"{ONE}/events", category="deployment_ended", cursor=events["next_cursor"]
            )
            odd = await client.get(f"{API}/{ONE}/events?category=lunch")

    assert [each["revision_id"] for each in revisions] == [second["revision"], first["revision"]]
    assert [each["is_current"] for each in revisions] == [True, False]
    assert revisions[1] == {
        "revision_id": first["revision"],
        "created_at": revisions[1]["created_at"],
        "is_current": False,
        "message": "first",
        "annotations": {"git": "abc"},
        "status": "deployed",
        "deployed_by": "emulator",
    }
    assert events["endpoint_id"] == APP
    assert events["events"][0]["payload"] == {
        "new_application_id": second["revision"],
        "old_application_id": first["revision"],
        "actor": {"nickname": "emulator"},
    }
    assert len(rest["events"]) == 1
    assert not rest["has_more"]
    assert odd.status_code == 400


def past(folder: Path, *rows: tuple[datetime, float]) -> None:
    """Write down requests of a number of seconds that ended well at an instant."""
    with sqlite3.connect(folder / "emulator.db") as db:
        for number, (ended, seconds) in enumerate(rows):
            at = ended.timestamp()
            db.execute(
                "INSERT INTO requests (id, endpoint_id, app, input, state, created, ready, started,"
                " ended, status_code, output, units, changed) VALUES (?, ?, ?, '{}', 'COMPLETED',"
                " ?, ?, ?, ?, 200, 'null', 1, ?)",
                (str(number), FLUX, APP, at - seconds, at, at - seconds, at, number),
            )


async def test_runners_are_counted_over_time(tmp_path: Path) -> None:
    noon = datetime(2026, 3, 7, 12, tzinfo=UTC)
    query = {"start": "2026-03-07T11:00:00", "end": "2026-03-07T13:00:00", "timeframe": "hour"}
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            await deployed(client)
            past(tmp_path, (noon + timedelta(minutes=30), 1800), (noon + timedelta(minutes=20), 60))
            most = await get(client, f"{ONE}/runners/history", **query)
            mean = await get(client, f"{ONE}/runners/history", aggregation="avg", **query)
            odd = await client.get(f"{API}/{ONE}/runners/history?start=2026-01-01&end=2026-06-01")

    assert (most["timeframe"], most["aggregation"]) == ("hour", "max")
    assert [entry["running"] for entry in most["history"]] == [0, 2]
    assert mean["history"][1]["running"] == pytest.approx(0.5 + 60 / 3600, abs=0.001)
    assert most["history"][0].keys() == {"timestamp", "running", "idle", "pending", "draining"}
    assert odd.status_code == 400


async def test_usage_is_in_seconds_of_a_machine(tmp_path: Path) -> None:
    at = datetime.now(UTC) - timedelta(hours=1)
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            await deployed(client)
            past(tmp_path, (at, 10), (at, 30))
            report = await get(client, "usage", expand="summary", app=APP)
            none = await get(client, "usage", search="other")
            unknown = await client.get(f"{API}/usage?app=me/none")

    (row,) = report["summary"]
    assert (row["app"], row["machine_type"], row["unit"]) == (APP, "GPU-H100", "second")
    assert row["quantity"] == pytest.approx(40)
    assert row["cost_total"] == pytest.approx(row["quantity"] * row["unit_price"])
    assert none["time_series"] == []
    assert unknown.status_code == 404


async def test_an_owner_sees_all_that_came_in_with_runner_and_units(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            await deployed(client)
            good = await submitted(client)
            await over(client, good["status_url"])
            stuck = await submitted(client, **STUCK)
            page = await get(
                client, "requests/by-endpoint", endpoint_id=APP, expand="payloads,billing"
            )
            analytics = await get(
                client, "analytics", endpoint_id=APP, expand="summary,error_count"
            )
            stranger = await client.get(f"{API}/requests/by-endpoint?endpoint_id=fal-ai/birefnet")
            nobody = await client.get(f"{API}/analytics?endpoint_id=me/none")

    items = {item["request_id"]: item for item in page["items"]}
    assert items[good["request_id"]]["runner_id"]
    assert items[good["request_id"]]["billable_units"] > 0
    assert items[good["request_id"]]["json_input"]["prompt"] == "a red fox"
    assert items[stuck["request_id"]]["runner_id"] is None
    assert items[stuck["request_id"]]["billable_units"] is None
    assert analytics["summary"] == [{"endpoint_id": APP, "error_count": 0}]
    assert (stranger.status_code, nobody.status_code) == (403, 404)


async def test_logs_are_searched_in_words_fields_and_labels(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            one, two = [await submitted(client) for _ in range(2)]
            for told in (one, two):
                await over(client, told["status_url"])
            nothing = await client.post(f"{API}/logs/history", json=[])
            assert nothing.json()["items"] == []  # the app is not ours yet
            revision = (await deployed(client))["revision"]

            async def found(body: Any = None, **query: Any) -> list[Any]:
                answer = await client.post(f"{API}/logs/history", json=body or [], params=query)
                assert answer.status_code == 200, answer.text
                return answer.json()["items"]

            items = await found()
            first = [
                item for item in items if item["labels"]["fal_request_id"] == one["request_id"]
            ]
            assert len(items) == 2 * len(first) > 2
            assert items == sorted(items, key=lambda item: item["timestamp"], reverse=True)
            assert items[0].keys() == {
                "timestamp", "level", "message", "app", "revision", "labels",
            }  # fmt: skip
            assert items[0]["revision"] == revision
            assert await found(request_id=one["request_id"]) == first
            label = {"key": "fal_request_id", "value": [two["request_id"]]}
            assert await found([{**label, "condition_type": "not_in"}]) == first
            assert await found([{**label, "condition_type": "in"}]) != first
            assert await found(app_id="me/none") == []
            assert await found(level="ERROR") == []
            assert await found(search="no such words") == []
            assert await found(run_source="cron") == []
            assert await found(traceback="true") == []
            assert len(await found(search="100%")) == 2
            odd = await client.post(f"{API}/logs/history", json=[{"key": "a"}])
            assert odd.status_code == 400


async def _events(lines: AsyncIterator[str], count: int) -> list[Any]:
    found: list[Any] = []
    async for line in lines:
        if line.startswith("data: "):
            found.append(json.loads(line.removeprefix("data: ")))
        if len(found) == count:
            break
    return found


async def test_logs_are_streamed_as_they_are_written(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client, emulated(tmp_path) as other:
            await deployed(client)
            async with client.stream("POST", f"{API}/logs/stream", json=[]) as stream:
                assert stream.headers["content-type"].startswith("text/event-stream")
                lines = stream.aiter_lines()
                assert await anext(lines) == ": listening"
                told = await submitted(other)  # in another process
                items = await _events(lines, 5)
    assert {item["labels"]["fal_request_id"] for item in items} == {told["request_id"]}
    assert len({item["message"] for item in items}) == 5


async def test_a_stream_with_an_end_ends_and_tells_each_line_once(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            await deployed(client)
            told = await submitted(client)
            await over(client, told["status_url"])
            start = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
            end = (datetime.now(UTC) + timedelta(seconds=0.6)).isoformat()
            answer = await client.post(
                f"{API}/logs/stream", json=[], params={"start": start, "end": end}
            )
            items = (await client.post(f"{API}/logs/history", json=[])).json()["items"]
    data = [line for line in answer.text.splitlines() if line.startswith("data: ")]
    assert len(data) == len(set(data)) == len(items)


async def test_metrics_are_text_that_prometheus_reads(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path, concurrency=1) as client:
            await deployed(client)
            first = await submitted(client, **STUCK)
            while (await client.get(first["status_url"])).json()["status"] == "IN_QUEUE":
                await anyio.sleep(0.01)
            await submitted(client)
            answer = await client.get(f"{API}/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    assert 'fal_app_queue_size{app="fal-ai/flux"} 1' in lines
    assert 'fal_app_runners{app="fal-ai/flux"} 1' in lines
    assert "# TYPE fal_app_runners gauge" in lines


async def test_files_are_kept_listed_and_read(tmp_path: Path) -> None:
    url = f"{API}/files"
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            assert (await client.get(f"{url}/list")).json() == []
            kept = await client.post(
                f"{url}/file/local/data/a.txt", files={"file_upload": ("x.txt", b"hello")}
            )
            assert (kept.status_code, kept.json()) == (200, True)
            (folder,) = (await client.get(f"{url}/list")).json()
            assert (folder["path"], folder["is_file"]) == ("data", False)
            (file,) = (await client.get(f"{url}/list/data")).json()
            assert file == {
                "path": "data/a.txt",
                "name": "a.txt",
                "created_time": file["created_time"],
                "updated_time": file["updated_time"],
                "is_file": True,
                "size": 5,
                "checksum_sha256": file["checksum_sha256"],
                "checksum_md5": "5d41402abc4b2a76b9719d911017c592",
            }
            read = await client.get(f"{url}/file/data/a.txt")
            assert read.headers["content-type"] == "application/octet-stream"
            assert read.content == b"hello"
            assert (await client.get(f"{url}/file/data/b.txt")).status_code == 404
            assert (await client.get(f"{url}/list/nowhere")).status_code == 400


async def test_files_are_unpacked_and_fetched_but_never_elsewhere(tmp_path: Path) -> None:
    url = f"{API}/files"
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            for name, status in (("in/a.txt", 200), ("../a.txt", 400)):
                packed = io.BytesIO()
                with zipfile.ZipFile(packed, "w") as archive:
                    archive.writestr(name, "hello")
                answer = await client.post(
                    f"{url}/file/local/box",
                    params={"unzip": "true"},
                    files={"file_upload": ("x.zip", packed.getvalue())},
                )
                assert answer.status_code == status, answer.text
            assert (await client.get(f"{url}/file/box/in/a.txt")).content == b"hello"

            told = await submitted(client)
            await over(client, told["status_url"])
            made = (await client.get(told["response_url"])).json()["images"][0]["url"]
            fetched = await client.post(f"{url}/file/url/fox.jpg", json={"url": made})
            assert fetched.json() is True
            picture = await client.get(made)
            assert (await client.get(f"{url}/file/fox.jpg")).content == picture.content
            inside = await client.post(
                f"{url}/file/url/x", json={"url": "http://127.0.0.1:1/secret"}
            )
            assert inside.status_code == 400
            assert (await client.get(f"{url}/file/%2e%2e/emulator.db")).status_code in (400, 404)
            assert (await client.get(f"{url}/file/a/%2e%2e/%2e%2e/emulator.db")).status_code in (
                400,
                404,
            )
            bare = await client.post(f"{url}/file/local/x", data={"file_upload": "text"})
            assert bare.status_code == 400
