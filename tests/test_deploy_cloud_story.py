"""An app goes to fal through falkit's own tools: planned, confirmed by a person, watched, gone."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult

from server.emulator.serve import serve
from tests.cloud_ends import KEY, Fal, audit, fal_at
from tests.deployed import READY
from tests.house import connected, record, words

pytestmark = pytest.mark.proof


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


@asynccontextmanager
async def house(folder: Path, person: Person, **more: str) -> AsyncGenerator[tuple[Client, Fal]]:
    """Yield a client of a house in the cloud, whose cloud is the double."""
    async with fal_at(folder) as fal, anyio.create_task_group() as tasks:
        base = f"http://127.0.0.1:{await tasks.start(serve, fal.shelf, 0)}"
        hosts = {
            f"FALKIT_{name}_URL": f"{base}/{path}"
            for name, path in (
                ("RUN", "run"), ("QUEUE", "queue"), ("REST", "rest"), ("API", "api/v1"),
                ("CDN", "cdn"), ("MODELS", "fal"),
            )
        }  # fmt: skip
        settings = {
            "FALKIT_BACKEND": "cloud",
            "FALKIT_CATALOG_REFRESH": "off",
            "FALKIT_DEPLOY": "cloud",
            "FALKIT_DEPLOY_TOOLS": str(READY),
            "FALKIT_GRPC_URL": f"http://127.0.0.1:{fal.port}",
            "FALKIT_WS_URL": base.replace("http", "ws"),
            "FAL_KEY": KEY,
            **hosts,
            **more,
        }
        async with connected(folder, "legacy", person, **settings) as client:
            yield client, fal
        tasks.cancel_scope.cancel()


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    return record(await client.call_tool(tool, arguments))


async def applied(client: Client, **change: Any) -> dict[str, Any]:
    """Plan a change on fal, apply it, and return its job when it is over."""
    plan = await call(client, "deploy_plan", target="cloud", **change)
    assert plan["asks"]
    job = await call(client, "deploy_apply", plan_id=plan["plan_id"], wait_seconds=45)
    while job["state"] not in ("done", "failed", "cancelled", "held"):
        job = await call(client, "job_status", job_id=job["job_id"], wait_seconds=45)
    return job


async def test_an_app_is_deployed_scaled_rolled_back_and_deleted_on_fal(tmp_path: Path) -> None:
    person = Person("run it once")
    async with house(tmp_path, person) as (client, fal):
        await call(client, "scaffold_app", template="cpu", folder="hello-app")
        job = await applied(client, path="hello-app")
        assert job["state"] == "done", job
        assert "it deploys to fal, where runners are billed" in person.asked[0]
        (app,) = (await call(client, "app_status", app="hello-app"))["apps"]
        assert (app["target"], app["endpoint_id"]) == ("cloud", "me/hello-app")
        assert any(note.startswith("machine S: ") for note in app["notes"])
        assert any("as falkit set it last: " in note for note in app["notes"])
        first = app["revision"]

        source = tmp_path / "hello-app" / "app.py"
        source.write_text(source.read_text("utf-8") + "\n# second\n", "utf-8")
        assert (await applied(client, path="hello-app"))["state"] == "done"
        scaled = await applied(
            client, action="scale", app="hello-app", settings={"max_concurrency": 1}
        )
        assert scaled["state"] == "done", scaled
        back = await applied(client, action="roll_back", app="hello-app")
        assert back["state"] == "done", back
        (app,) = (await call(client, "app_status", app="hello-app"))["apps"]
        assert app["revision"] == first
        assert (await applied(client, action="delete", app="hello-app"))["state"] == "done"
        gone = await client.call_tool("app_status", {"app": "hello-app"})
        assert "no app 'hello-app' is deployed" in words(gone)
        sent = [name for name in fal.names() if not name.startswith(("List", "Build"))]
        assert sent == [
            "RegisterApplication",
            "RegisterApplication",
            "UpdateApplication",
            "SetAlias",
            "DeleteAlias",
        ]
    assert len(person.asked) == 5


async def test_a_refusal_of_fal_ends_the_job_in_words(tmp_path: Path) -> None:
    async with house(tmp_path, Person("run it once")) as (client, fal):
        await fal.behave(fail={"RegisterApplication": ["INVALID_ARGUMENT", "machine S is full"]})
        await call(client, "scaffold_app", template="cpu", folder="hello-app")
        plan = await call(client, "deploy_plan", target="cloud", path="hello-app")
        arguments = {"plan_id": plan["plan_id"], "wait_seconds": 45}
        said = words(await client.call_tool("deploy_apply", arguments))

        assert "invalid_argument: hello-app: fal does not take it (fal: machine S is full)" in said
        assert KEY.partition(":")[2] not in said


async def test_where_a_person_says_no_nothing_goes_to_fal(tmp_path: Path) -> None:
    async with house(tmp_path, Person("no")) as (client, fal):
        await call(client, "scaffold_app", template="cpu", folder="hello-app")
        job = await applied(client, path="hello-app")

        assert job["state"] == "cancelled"
        assert fal.names() == []
        assert not (tmp_path / "home" / "deploy" / "audit.jsonl").exists() or audit(tmp_path) == []
