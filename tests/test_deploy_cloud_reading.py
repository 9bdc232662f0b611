"""What runs on fal, read over its platform API without `fal`: the emulator answers here."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from server.deploy.cloud.failures import CloudError
from server.deploy.cloud.logs import line_of
from server.deploy.cloud.target import CloudTarget, open_cloud
from server.fal.platform_app_records import LogItem
from tests.cloud_ends import settings_for
from tests.emulated import BASE, FLUX, SMALL
from tests.platform_ends import platform_at
from tools.deploy_records import LogQuery

STUCK = {"x-emulator-fault": "stuck"}
APP = {"owner": "fal-ai", "name": "flux", "machine_type": "GPU-H100", "keep_alive": 300}
proof = pytest.mark.proof


@asynccontextmanager
async def reading(folder: Path) -> AsyncGenerator[tuple[CloudTarget, httpx.AsyncClient]]:
    """Yield a target whose platform API is an emulator, and plain HTTP to it."""
    async with (
        platform_at(folder / "emulator") as (platform, http),
        open_cloud(settings_for(folder, 9), platform, pause=0.01) as target,
    ):
        with anyio.fail_after(30):
            yield target, http


async def deploy(http: httpx.AsyncClient, **more: Any) -> str:
    answer = await http.post(f"{BASE}/_emulator/apps", json={**APP, **more})
    assert answer.status_code == 201
    return answer.json()["revision"]


async def call(http: httpx.AsyncClient, **headers: str) -> str:
    answer = await http.post(f"{BASE}/queue/{FLUX}", json=SMALL, headers=headers)
    told = answer.json()
    while not headers:
        status = (await http.get(told["status_url"])).json()
        if status["status"] == "COMPLETED":
            break
        await anyio.sleep(0.01)
    return told["request_id"]


@proof
async def test_an_app_shows_its_revisions_settings_routes_runners_and_queue(tmp_path: Path) -> None:
    async with reading(tmp_path) as (target, http):
        assert await target.apps() == []
        first = await deploy(http, message="first [plan-1111111111]")
        second = await deploy(http, annotations={"falkit-plan": "plan-2222222222"})
        await call(http)
        await call(http, **STUCK)

        (app,) = await target.apps("flux")

        assert (app.target, app.endpoint_id, app.revision) == ("cloud", "fal-ai/flux", second)
        assert app.settings.machine_types == ("GPU-H100",)
        assert app.settings.keep_alive == 300
        assert [(one.revision, one.state) for one in app.revisions] == [
            (second, "live"),
            (first, "old"),
        ]
        assert "/dev" in {route.path for route in app.routes}
        assert app.last_call is not None
        assert app.health in ("healthy", "starting", "idle")
        assert await target.apps("fal-ai/flux") == [app]
        assert await target.apps("flu") == []

        for plan, revision in (("plan-1111111111", first), ("plan-2222222222", second)):
            found = await target.reader.marked("flux", plan)
            assert found is not None
            assert found.revision_id == revision
        assert await target.reader.marked("flux", "plan-3333333333") is None


@proof
async def test_of_all_apps_only_the_essentials_are_asked(tmp_path: Path) -> None:
    async with reading(tmp_path) as (target, http):
        for number in range(3):
            await deploy(http, owner="me", name=f"app-{number}")

        apps = await target.apps()

        assert [app.name for app in apps] == ["app-0", "app-1", "app-2"]
        assert all(app.revision for app in apps)
        assert all(app.last_call is None for app in apps)


@proof
async def test_logs_come_oldest_first_and_a_cursor_goes_on_after_them(tmp_path: Path) -> None:
    async with reading(tmp_path) as (target, http):
        await deploy(http)
        first = await call(http)
        whole = await target.logs(LogQuery(app="flux"))
        assert [line.at for line in whole.lines] == sorted(line.at for line in whole.lines)
        assert {line.request_id for line in whole.lines} == {first}
        assert whole.lines[0].app == "flux"

        paged: list[str] = []
        query = LogQuery(app="flux", cursor=f"{datetime(2020, 1, 1, tzinfo=UTC).isoformat()}|0")
        for _ in range(len(whole.lines) + 2):
            page = await target.logs(replace(query, limit=2))
            paged += [line.message for line in page.lines]
            query = replace(query, cursor=page.next_cursor)
        assert paged == [line.message for line in whole.lines]

        second = await call(http)
        more = await target.logs(LogQuery(app="flux", cursor=whole.next_cursor))
        assert {line.request_id for line in more.lines} == {second}
        only = await target.logs(LogQuery(app="flux", request_id=second))
        assert {line.request_id for line in only.lines} == {second}
        tail = await target.logs(LogQuery(app="flux", limit=1))
        assert [line.message for line in tail.lines] == [only.lines[-1].message]
        later = LogQuery(app="flux", since=datetime.now(UTC) + timedelta(minutes=1))
        assert (await target.logs(later)).lines == []

        with pytest.raises(CloudError, match="no app 'nobody' on fal"):
            await target.logs(LogQuery(app="nobody"))


@proof
async def test_following_ends_in_time_and_brings_what_came_meanwhile(tmp_path: Path) -> None:
    async with reading(tmp_path) as (target, http):
        await deploy(http)
        known = await target.logs(LogQuery(app="flux"))

        async def later() -> None:
            await anyio.sleep(0.3)
            await call(http)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(later)
            began = anyio.current_time()
            page = await target.logs(LogQuery(app="flux"), follow_seconds=2.0)
            assert anyio.current_time() - began < 4
            assert len(page.lines) > len(known.lines)
            again = await target.logs(LogQuery(app="flux", cursor=page.next_cursor))
            assert again.lines == []


def test_a_line_of_an_app_is_put_in_our_words_and_keys_in_it_are_blotted_out() -> None:
    line = line_of(
        LogItem(
            message="Authorization: Key abcdef12:secret-of-the-app sent",
            timestamp=datetime(2026, 1, 1, tzinfo=UTC),
            level="WARN",
            app="me/hello",
            labels={"fal_request_id": "r-1"},
        )
    )

    assert line.message == "Authorization: Key *** sent"
    assert (line.level, line.app, line.request_id) == ("warning", "hello", "r-1")
