"""From an empty folder to an app that answers, changes and goes away, as an assistant does it."""

import os
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult

from tests.deployed import READY, missing
from tests.house import Era, connected, record, words

pytestmark = pytest.mark.proof


def tools() -> dict[str, str]:
    if not READY.exists():
        missing("there is no environment with fal for this proof: `make deploy-tools` makes it")
    return {"FALKIT_DEPLOY_TOOLS": str(READY)}


class Person:
    """Answers what a host asks, and keeps the questions."""

    def __init__(self, answer: str) -> None:
        self.asked: list[str] = []
        self._answer = answer

    async def __call__(
        self, context: ClientRequestContext, params: ElicitRequestParams
    ) -> ElicitResult:
        self.asked.append(params.message)
        return ElicitResult(action="accept", content={"answer": self._answer})


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    return record(await client.call_tool(tool, arguments))


async def settled(client: Client, job: dict[str, Any]) -> dict[str, Any]:
    while job["state"] not in ("done", "failed", "cancelled", "held"):
        job = await call(client, "job_status", job_id=job["job_id"], wait_seconds=45)
    return job


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_an_app_is_begun_checked_deployed_called_scaled_and_deleted(
    tmp_path: Path, era: Era
) -> None:
    person = Person("run it once")
    async with connected(tmp_path, era, person, **tools()) as client:
        made = await call(client, "scaffold_app", template="cpu", folder="hello-app")
        assert len(made["files"]) == 3
        checked = await call(client, "check_app", path="hello-app")
        assert checked["findings"] == []
        assert checked["routes"] == ["/ (call)"]
        plan = await call(client, "deploy_plan", path="hello-app")
        assert plan["asks"]
        job = await settled(
            client, await call(client, "deploy_apply", plan_id=plan["plan_id"], wait_seconds=45)
        )
        assert job["state"] == "done", job
        (asked,) = person.asked
        assert "deploying runs its code" in asked
        assert plan["plan_id"] in asked
        made = await call(
            client, "generate", endpoint_id="local/hello-app", arguments={"text": "a red fox"}
        )
        assert '"words": 3' in made["outputs"][0]["text"]
        plan = await call(client, "deploy_plan", path="hello-app")
        assert "asks" not in plan  # a person let this very source run before
        assert plan["changes"] == [
            f"nothing: hello-app answers with this source already ({plan['replaces']})"
        ]
        assert plan["unchanged"]
        reached = await call(client, "deploy_plan", path="hello-app", settings={"network": True})
        assert reached["changes"][0].startswith("new revision of hello-app")
        plan = await call(
            client, "deploy_plan", action="scale", app="hello-app", settings={"keep_alive": 5}
        )
        assert plan["changes"] == ["keep_alive: 60 → 5"]
        job = await settled(client, await call(client, "deploy_apply", plan_id=plan["plan_id"]))
        assert job["state"] == "done"
        told = await call(client, "app_status", app="hello-app")
        assert told["apps"][0]["settings"]["keep_alive"] == 5
        plan = await call(client, "deploy_plan", action="delete", app="hello-app")
        job = await settled(client, await call(client, "deploy_apply", plan_id=plan["plan_id"]))
        assert job["state"] == "done"
        gone = await client.call_tool("app_status", {"app": "hello-app"})
        assert "no app 'hello-app' is deployed" in words(gone)
    assert len(person.asked) == 1


async def test_a_no_runs_nothing_and_a_plan_is_good_for_one_state_and_one_time(
    tmp_path: Path,
) -> None:
    async with connected(tmp_path, "legacy", Person("no"), **tools()) as client:
        await call(client, "scaffold_app", template="cpu", folder="hello-app")
        plan = await call(client, "deploy_plan", path="hello-app")
        job = await call(client, "deploy_apply", plan_id=plan["plan_id"])
        assert job["state"] == "cancelled"
        assert (await call(client, "app_status"))["apps"] == []
        again = await client.call_tool("deploy_apply", {"plan_id": plan["plan_id"]})
        assert "was applied by job" in words(again)
        plan = await call(client, "deploy_plan", path="hello-app")
        source = tmp_path / "hello-app" / "app.py"
        source.write_text(source.read_text("utf-8") + "# more\n", "utf-8")
        stale = await client.call_tool("deploy_apply", {"plan_id": plan["plan_id"]})
        assert "the source changed after plan" in words(stale)


async def test_what_breaks_a_rule_is_blocked_and_a_broken_setup_ends_in_its_own_lines(
    tmp_path: Path,
) -> None:
    async with connected(tmp_path, "legacy", Person("run it once"), **tools()) as client:
        await call(client, "scaffold_app", template="cpu", folder="hello-app")
        source = tmp_path / "hello-app" / "app.py"
        good = source.read_text("utf-8")
        source.write_text("import torch\n" + good, "utf-8")
        plan = await call(client, "deploy_plan", path="hello-app")
        assert any("FAL010" in line for line in plan["blocked"])
        refused = await client.call_tool("deploy_apply", {"plan_id": plan["plan_id"]})
        assert "is blocked" in words(refused)
        source.write_text(good.replace("self.warm =", 'raise ValueError("no luck") ; x ='), "utf-8")
        plan = await call(client, "deploy_plan", path="hello-app")
        result = await client.call_tool("deploy_apply", {"plan_id": plan["plan_id"]})
        said = words(result)
        assert "no luck" in said
        assert "Traceback" not in said
        assert (await call(client, "app_status"))["apps"] == []


async def test_a_secret_comes_from_the_person_s_environment_and_is_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "WORD", "open-sesame-42")
    person = Person("run it once")
    more = {**tools(), "FALKIT_DEPLOY_SECRETS": "WORD"}
    async with connected(tmp_path, "legacy", person, **more) as client:
        await call(client, "scaffold_app", template="cpu", folder="hello-app")
        source = tmp_path / "hello-app" / "app.py"
        text = source.read_text("utf-8").replace(
            "    keep_alive = 60\n", '    keep_alive = 60\n    secrets = ["WORD"]\n'
        )
        text = text.replace("words=len(input.text.split())", 'words=len(os.environ["WORD"])')
        source.write_text("import os\n" + text, "utf-8")
        plan = await call(client, "deploy_plan", path="hello-app")
        assert "secret WORD (not set; deploy_plan set_secret sets it)" in plan["needs"]
        refused = await client.call_tool(
            "deploy_plan", {"action": "set_secret", "settings": {"name": "FAL_KEY"}}
        )
        assert "never becomes a secret" in words(refused)
        plan = await call(client, "deploy_plan", action="set_secret", settings={"name": "WORD"})
        await settled(client, await call(client, "deploy_apply", plan_id=plan["plan_id"]))
        plan = await call(client, "deploy_plan", path="hello-app")
        job = await settled(client, await call(client, "deploy_apply", plan_id=plan["plan_id"]))
        assert job["state"] == "done", job
        made = await call(
            client, "generate", endpoint_id="local/hello-app", arguments={"text": "x"}
        )
        assert '"words": 14' in made["outputs"][0]["text"]
        shown = await client.call_tool("app_status", {"app": "hello-app"})
        assert "; 1 idle" in words(shown)
        logs = await client.call_tool("app_logs", {"app": "hello-app"})
    async with connected(tmp_path, "legacy", person, **tools()) as client:  # no secret is listed
        plan = await call(client, "deploy_plan", path="hello-app")
        assert "WORD is not in FALKIT_DEPLOY_SECRETS" in str(plan["blocked"])
    seen = "\n".join([*person.asked, words(logs), str(plan), str(job)])
    assert "open-sesame" not in seen
