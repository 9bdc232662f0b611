"""Deploys that nobody is asked about, through the tools, to a double of fal's control plane."""

import json
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from server.deploy.applied import Applied
from tests.house import words
from tests.test_deploy_cloud_story import Person, call, house

pytestmark = pytest.mark.proof

CAPS = {
    "apps": ["demo-*"],
    "machine_types": ["S"],
    "max_concurrency": 2,
    "dollars_per_hour": 1.0,
    "dollars_per_day": 24,
}


def allowed(folder: Path, **more: Any) -> dict[str, str]:
    (folder / "caps.json").write_text(json.dumps({**CAPS, **more}), "utf-8")
    (folder / "prices.json").write_text('{"S": 0.25}', "utf-8")
    return {
        "FALKIT_DEPLOY": "cloud-auto",
        "FALKIT_DEPLOY_CAPS": str(folder / "caps.json"),
        "FALKIT_DEPLOY_PRICES": str(folder / "prices.json"),
    }


async def begun(client: Client, folder: Path, name: str) -> None:
    """Write an app that lists no secrets, so that it sees none."""
    await call(client, "scaffold_app", template="cpu", folder=name)
    source = folder / name / "app.py"
    text = source.read_text("utf-8")
    source.write_text(text.replace("    keep_alive", "    secrets = []\n    keep_alive"), "utf-8")


async def ended(client: Client, plan: dict[str, Any]) -> dict[str, Any]:
    job = await call(client, "deploy_apply", plan_id=plan["plan_id"], wait_seconds=45)
    while job["state"] not in ("done", "failed", "cancelled", "held"):
        job = await call(client, "job_status", job_id=job["job_id"], wait_seconds=45)
    return job


async def test_within_the_caps_nobody_is_asked_and_all_apps_count_together(tmp_path: Path) -> None:
    person = Person("do not run it")
    async with house(tmp_path, person, **allowed(tmp_path)) as (client, fal):
        for name in ("demo-a", "demo-b", "demo-c"):
            await begun(client, tmp_path, name)
        plan = await call(client, "deploy_plan", target="cloud", path="demo-a")
        assert "asks" not in plan
        assert plan["dollars_per_hour"] == 0.25
        assert (await ended(client, plan))["state"] == "done"
        both = [
            await call(client, "deploy_plan", target="cloud", path=name)
            for name in ("demo-b", "demo-c")
        ]
        assert not any("asks" in plan for plan in both)  # each alone fits
        assert (await ended(client, both[0]))["state"] == "done"
        late = await ended(client, both[1])
        assert "of other apps, is over the cap" in person.asked[0]
        assert late["state"] != "done"
        # What fal does not tell of an app is what falkit set last, so that a redeploy is known.
        scale = await call(
            client, "deploy_plan", target="cloud", action="scale", app="demo-a",
            settings={"max_concurrency": 1},
        )  # fmt: skip
        assert "asks" not in scale
        assert (await ended(client, scale))["state"] == "done"
        fal.shelf.point("demo-a", fal.shelf.apps["demo-a"][0]["revision_id"])
    assert len(person.asked) == 1


async def test_a_plan_is_asked_about_once_its_caps_are_gone_and_refused_once_it_was_edited(
    tmp_path: Path,
) -> None:
    person = Person("do not run it")
    async with house(tmp_path, person, **allowed(tmp_path)) as (client, fal):
        await begun(client, tmp_path, "demo-a")
        plan = await call(client, "deploy_plan", target="cloud", path="demo-a")
        assert "asks" not in plan
        allowed(tmp_path, machine_types=["M"])
        job = await ended(client, plan)
        assert job["state"] == "held"
        assert "the caps do not allow machine S" in person.asked[0]

        allowed(tmp_path)
        plan = await call(client, "deploy_plan", target="cloud", path="demo-a")
        with sqlite3.connect(next(tmp_path.rglob("plans.db"))) as db:
            db.execute(
                "UPDATE plans SET body = replace(body, '\"max_concurrency\": 2', "
                "'\"max_concurrency\": 9')"
            )
        refused = await client.call_tool("deploy_apply", {"plan_id": plan["plan_id"]})
        assert "is not what it was" in words(refused)
        (tmp_path / "caps.json").unlink()
        plan = await client.call_tool("deploy_plan", {"target": "cloud", "path": "demo-a"})
        assert "FALKIT_DEPLOY_CAPS cannot be read" in words(plan)
        assert "RegisterApplication" not in fal.names()


async def test_an_app_of_the_same_name_on_this_machine_frees_no_dollars_on_fal(
    tmp_path: Path,
) -> None:
    person = Person("run it once")
    async with house(tmp_path, person, **allowed(tmp_path)) as (client, _):
        await begun(client, tmp_path, "demo-a")
        plan = await call(client, "deploy_plan", target="cloud", path="demo-a")
        assert (await ended(client, plan))["state"] == "done"
        assert person.asked == []
        plan = await call(client, "deploy_plan", path="demo-a")
        assert (await ended(client, plan))["state"] == "done"
        plan = await call(client, "deploy_plan", action="delete", app="demo-a")
        assert (await ended(client, plan))["state"] == "done"
        applied = Applied(next(tmp_path.rglob("applied.db")).parent)
        assert applied.others("") == Decimal("0.5")
        plan = await call(client, "deploy_plan", target="cloud", action="delete", app="demo-a")
        assert (await ended(client, plan))["state"] == "done"
        assert applied.others("") == 0
