"""From a template to fal: scaffolded, checked, planned and carried out, each as a person would."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.deploy.applying import Applier
from server.deploy.cloud.target import CloudTarget
from server.deploy.deployer import AppDeployer, DeployJobs, plans_of
from server.deploy.scaffold import scaffold, templates
from server.deploy.shelves import PlanError
from server.deploy.targets import DeployTarget
from server.media.roots import Roots
from server.settings import Settings
from tests.cloud_ends import Fal, fal_at, settings_for
from tools.deploy_records import Change, Plan, Target
from tools.job_records import Job

pytestmark = pytest.mark.proof


def deployer(fal: Fal) -> AppDeployer:
    settings = replace(settings_for(fal.folder, fal.port), roots=(fal.folder,))

    async def target_of(target: Target) -> DeployTarget:
        assert target == "cloud"
        return fal.target

    async def jobs() -> DeployJobs:
        raise AssertionError("the journal is not asked")

    return AppDeployer(settings, Roots(settings), plans_of(settings.home), target_of, jobs)


async def applied(room: AppDeployer, plan: Plan, fal: Fal) -> str:
    assert plan.blocked == (), plan.blocked
    applier = Applier(room.settings, room.plans, room.target_of)
    kept, _ = room.plans.find(plan.plan_id)
    await applier.check_current(plan.plan_id, kept)
    job = Job(
        job_id="01",
        state="running",
        endpoint_id="deploy",
        backend="cloud",
        account="",
        origin="",
        arguments=applier.words_of(plan.plan_id, kept, asked=True),
        created=datetime.now(UTC),
    )
    return await applier.carry_out(job, False, fal.tell)


@pytest.mark.parametrize("template", sorted(templates()))
async def test_every_template_is_planned_and_deployed_as_it_was_confirmed(
    tmp_path: Path, template: str
) -> None:
    async with fal_at(tmp_path) as fal:
        room = deployer(fal)
        made = scaffold(template, tmp_path / "made", name="my-app")
        plan = await room.plan(Change("deploy", "cloud", path=str(made.folder)))
        assert plan.app == "my-app"
        assert plan.asks

        said = await applied(room, plan, fal)

        assert "my-app answers as me/my-app" in said
        assert fal.names()[-1] == "RegisterApplication"
        assert plan.plan_id in str(fal.request("RegisterApplication")["metadata"])


async def test_a_redeploy_a_scale_a_roll_back_and_a_delete_are_planned_and_done(
    tmp_path: Path,
) -> None:
    async with fal_at(tmp_path) as fal:
        room = deployer(fal)
        assert isinstance(fal.target, CloudTarget)
        made = scaffold("cpu", tmp_path / "made", name="my-app")
        change = Change("deploy", "cloud", path=str(made.folder))
        await applied(room, await room.plan(change), fal)
        first = (await fal.target.apps("my-app"))[0].revision
        fal.shelf.records["my-app"]["keep_alive"] = 900  # somebody scaled it meanwhile
        with (made.folder / "app.py").open("a", encoding="utf-8") as file:
            file.write("\n# changed\n")

        plan = await room.plan(change)
        assert any(line.startswith("keep_alive: stays 900") for line in plan.changes)
        await applied(room, plan, fal)
        second = (await fal.target.apps("my-app"))[0].revision
        assert first != second

        scale = Change("scale", "cloud", app="my-app", settings={"max_concurrency": 3})
        assert "max_concurrency 3" in await applied(room, await room.plan(scale), fal)
        back = Change("roll_back", "cloud", app="my-app", settings={"revision": first})
        assert first in await applied(room, await room.plan(back), fal)
        assert (await fal.target.apps("my-app"))[0].revision == first
        gone = Change("delete", "cloud", app="my-app")
        assert "is gone" in await applied(room, await room.plan(gone), fal)
        assert await fal.target.apps("my-app") == []


def test_settings_of_these_proofs_lead_to_the_double_alone(tmp_path: Path) -> None:
    settings: Settings = settings_for(tmp_path, 5)
    assert settings.grpc_url == "http://127.0.0.1:5"


PROJECT = """
[tool.fal.apps.web]
ref = "app.py::Web"
auth = "private"
max_concurrency = 3
keep_alive = 120
"""
WEB = """
import fal


class Web(fal.App):
    app_name = "web"
    machine_type = "M"
    max_concurrency = 2

    @fal.endpoint("/")
    def run(self) -> dict:
        return {}
"""
IMAGE = """
[tool.fal.apps.shop]
auth = "private"
machine_type = "M"
exposed_port = 8000
max_concurrency = 2

[tool.fal.apps.shop.image]
dockerfile = "Dockerfile"
"""


async def test_an_image_alone_is_deployed_with_the_files_it_copies_and_runs_nothing_here(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(IMAGE, "utf-8")
    (folder / "server.py").write_text("raise SystemExit('never here')\n", "utf-8")
    (folder / "Dockerfile").write_text("FROM python:3.11-slim\nCOPY server.py /s.py\n", "utf-8")
    async with fal_at(tmp_path) as fal:
        room = deployer(fal)
        plan = await room.plan(Change("deploy", "cloud", path=str(folder)))

        assert "shop answers" in await applied(room, plan, fal)

        sent = fal.request("RegisterApplication")
        assert "function" not in sent
        assert "source_code" not in sent
        assert sent["environments"][0]["kind"] == "container"
        assert sent["machine_requirements"]["exposed_port"] == 8000
        assert [file["relative_path"] for file in sent["files"]] == ["server.py"]
        assert list(fal.shelf.files.values()) == [b"raise SystemExit('never here')\n"]


async def test_what_a_project_says_of_an_app_goes_along_where_its_class_says_nothing(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PROJECT, "utf-8")
    (folder / "app.py").write_text(WEB, "utf-8")
    async with fal_at(tmp_path) as fal:
        room = deployer(fal)
        plan = await room.plan(Change("deploy", "cloud", path=str(folder)))
        assert "keep_alive: 120" in plan.changes

        await applied(room, plan, fal)

        machine = fal.request("RegisterApplication")["machine_requirements"]
        assert machine["keep_alive"] == 120
        assert machine["max_concurrency"] == 2
        assert machine["machine_types"] == ["M"]


async def test_a_job_carries_out_only_the_plan_that_was_said_yes_to_and_under_the_policy_of_now(
    tmp_path: Path,
) -> None:
    async with fal_at(tmp_path) as fal:
        room = deployer(fal)
        made = scaffold("cpu", tmp_path / "made", name="my-app")
        plans = [
            await room.plan(Change("deploy", "cloud", path=str(made.folder))) for _ in range(2)
        ]
        applier = Applier(room.settings, room.plans, room.target_of)
        kept, _ = room.plans.find(plans[0].plan_id)
        words = applier.words_of(plans[0].plan_id, kept, asked=True)
        other = {**words, "plan_id": plans[1].plan_id}
        unasked = applier.words_of(plans[0].plan_id, kept, asked=False)
        for arguments, says in ((other, "is not the one that was begun"), (unasked, "be asked")):
            job = Job(
                job_id="01", state="running", endpoint_id="deploy", backend="cloud", account="",
                origin="", arguments=arguments, created=datetime.now(UTC),
            )  # fmt: skip
            with pytest.raises(PlanError, match=says):
                await applier.carry_out(job, False, fal.tell)
        assert fal.names() == []
