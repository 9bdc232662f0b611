"""Plans that are refused before a person is asked: outdated ones, and of one app among several."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from server.cli.approve import approve_job
from server.deploy.applying import Applier
from server.deploy.plans import Kept, Plans
from server.deploy.shelves import PlanError
from server.deploy.targets import DeployTarget
from server.settings import Settings
from tests.house import connected, environment, record, words
from tools.deploy_records import Target
from tools.ports import Job

ONE = """
import fal
from pydantic import BaseModel, Field


class In(BaseModel):
    text: str = Field("", description="Words.", max_length=10)


class {name}(fal.App):
    app_name = "{app}"
    machine_type = "S"
    max_concurrency = 1

    @fal.endpoint("/")
    def run(self, given: In) -> In:
        return given
"""
HELLO = ONE.format(name="Hello", app="hello")
WORLD = ONE.partition("class {name}")[2].replace("(fal", "class World(fal", 1)
BOTH = HELLO + "\n\n" + WORLD.replace("{app}", "world")


def written(folder: Path, source: str) -> Path:
    (folder / "hello").mkdir(exist_ok=True)
    (folder / "hello" / "app.py").write_text(source, "utf-8")
    return folder / "hello"


async def planned(client: Client, path: object, **more: Any) -> dict[str, Any]:
    given = {"action": "deploy", "target": "local", "path": str(path), **more}
    return record(await client.call_tool("deploy_plan", given))


async def test_a_held_change_whose_source_moved_is_refused_before_anybody_is_asked(
    tmp_path: Path,
) -> None:
    more = {"FALKIT_ROOTS": str(tmp_path)}
    async with connected(tmp_path, **more) as client:
        plan = await planned(client, written(tmp_path, HELLO))
        apply = {"plan_id": plan["plan_id"], "wait_seconds": 0}
        held = record(await client.call_tool("deploy_apply", apply))
        again = record(await client.call_tool("deploy_apply", apply))
        written(tmp_path, HELLO + "\n")
        refused = await client.call_tool("deploy_apply", apply)
        settings = Settings.read(environment(tmp_path, **more))
        with pytest.raises(PlanError, match="the source changed") as problem:
            await approve_job(settings, held["job_id"])
        after = record(await client.call_tool("job_status", {"job_id": held["job_id"]}))

    assert held["state"] == again["state"] == after["state"] == "held"
    assert held["job_id"] == again["job_id"]
    assert refused.is_error
    assert "the source changed after plan" in words(refused)
    assert f'cancel_job {{"job_id":"{held["job_id"]}"}} drops this one' in problem.value.hint


async def test_of_several_apps_in_a_file_none_is_deployed_that_was_not_named(
    tmp_path: Path,
) -> None:
    place = written(tmp_path, BOTH) / "app.py"
    async with connected(tmp_path, FALKIT_ROOTS=str(tmp_path)) as client:
        given = {"action": "deploy", "path": str(place)}
        unnamed = await client.call_tool("deploy_plan", given)
        unknown = await client.call_tool("deploy_plan", {**given, "path": f"{place}::Moon"})
        by_class = await planned(client, f"{place}::World")
        by_name = await planned(client, place, app="world")

    assert unnamed.is_error
    assert "app.py has several apps (Hello, World)" in words(unnamed)
    assert f"{place}::Hello" in words(unnamed)
    assert "has no app 'Moon' (it has: Hello, World)" in words(unknown)
    assert by_class["app"] == by_name["app"] == "world"


async def test_a_plan_that_two_jobs_began_at_once_is_carried_out_by_the_first(
    tmp_path: Path,
) -> None:
    async def target_of(target: Target) -> DeployTarget:
        raise AssertionError(f"{target} is not asked")

    plans = Plans(tmp_path)
    plan_id = plans.add(Kept(action="restart", target="local", app="hello", replaces="r1"))
    plans.mark_applied(plan_id, "01first")
    settings = Settings.read(environment(tmp_path))
    second = Job(
        job_id="02second", state="running", endpoint_id="deploy_apply", backend="emulator",
        account="", origin="", arguments={"plan_id": plan_id}, created=datetime.now(UTC),
    )  # fmt: skip

    with pytest.raises(PlanError, match="was applied by job 01first"):
        await Applier(settings, plans, target_of).carry_out(second, False, unheard)


async def unheard(share: float, what: str) -> None:
    """Take progress that nobody reads."""
