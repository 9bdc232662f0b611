"""What three known hosts show their models of each result is enough to go on with.

How a host reads a result was measured with Claude Code 2.1.330, Codex 0.169.0, Gemini CLI 0.61.0:
the first keeps JSON and pictures and drops text beside JSON, the second keeps the JSON alone, the
third keeps text and pictures and drops the JSON.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp.types import CallToolResult, ImageContent, TextContent

from tests.emulated import emulated
from tests.house import connected, words

FLUX = "fal-ai/flux/dev"
SMALL = {"image_size": {"width": 64, "height": 64}}
PICTURE = "[picture]"


def blocks(result: CallToolResult, *, pictures: bool) -> str:
    said = [block.text for block in result.content if isinstance(block, TextContent)]
    shown = [PICTURE for block in result.content if isinstance(block, ImageContent)]
    return "\n".join([*said, *(shown if pictures else [])])


def claude_code(result: CallToolResult) -> str:
    if result.structured_content is None:
        return blocks(result, pictures=True)
    shown = [PICTURE for block in result.content if isinstance(block, ImageContent)]
    return "\n".join([json.dumps(result.structured_content, ensure_ascii=False), *shown])


def codex(result: CallToolResult) -> str:
    if result.structured_content is None:
        return blocks(result, pictures=True)
    return json.dumps(result.structured_content, ensure_ascii=False)


def gemini(result: CallToolResult) -> str:
    return blocks(result, pictures=True)


HOSTS: Mapping[str, Callable[[CallToolResult], str]] = {
    "Claude Code": claude_code,
    "Codex": codex,
    "Gemini CLI": gemini,
}


def missing(result: CallToolResult, *needed: str) -> list[str]:
    """Return what each host's model would not learn of *needed* (``a|b``: one of them)."""
    return [
        f"{host} does not show {fact!r} in {seen(result)[:500]!r}"
        for host, seen in HOSTS.items()
        for fact in needed
        if not any(word in seen(result) for word in fact.split("|"))
    ]


async def strike(home: Path, **fault: Any) -> None:
    async with emulated(home / "house" / "emulator") as control:
        assert (await control.post("/_emulator/faults", json=fault)).is_success


async def call(client: Client, tool: str, **arguments: Any) -> CallToolResult:
    with anyio.fail_after(20):
        return await client.call_tool(tool, arguments)


def facts(result: CallToolResult) -> list[str]:
    """Return what the record of a job holds that every model must learn."""
    job = result.structured_content
    assert job is not None
    told = [str(job["job_id"]), str(job["state"]), str(job["endpoint_id"])]
    told += [str(output["path"]) for output in job.get("outputs", []) if output.get("path")]
    told += [str(job["next"]).partition(" {")[0]] if job.get("next") else []
    cost: dict[str, Any] = job.get("cost", {})
    return [*told, *([f"{cost['dollars']:g}"] if cost.get("dollars") else [])]


async def test_every_host_shows_enough_of_what_tools_find_and_make(tmp_path: Path) -> None:
    wrong: list[str] = []
    asked: dict[str, Any] = {"endpoint_id": FLUX, "arguments": {"prompt": "a fox", **SMALL}}
    async with connected(tmp_path) as client:
        found = await call(client, "search_models", query="a picture from text", limit=3)
        assert found.structured_content is not None
        first = found.structured_content["models"][0]
        wrong += missing(found, first["endpoint_id"], first["price"], first["why"])
        wrong += missing(
            await call(client, "describe_model", endpoint_id=FLUX),
            FLUX,
            "prompt",
            "$",
            "num_images",
        )
        wrong += missing(await call(client, "estimate_cost", **asked), FLUX, "0.0", "MP")
        several = [FLUX, "fal-ai/flux/schnell"]
        wrong += missing(
            await call(client, "estimate_cost", endpoint_ids=several, arguments={"prompt": "x"}),
            *several, "0.0",
        )  # fmt: skip
        wrong += missing(await call(client, "write_code", **asked), FLUX, "fal_client", "a fox")

        made = await call(client, "generate", **asked)
        job = facts(made)
        wrong += missing(made, *job, "emulator")
        assert made.structured_content is not None
        assert len(json.dumps(made.structured_content).encode()) <= 1024
        wrong += missing(await call(client, "job_status", job_id=job[0]), *job)
        seen = await call(client, "view_media", media=job[0])
        wrong += missing(seen, PICTURE, "64x64|64 x 64")
        edited = await call(
            client, "edit", operation="instruct", media=job[0], instruction="make it night"
        )
        wrong += missing(edited, *facts(edited), "chose")
        batch = await call(
            client, "run_batch", endpoint_ids=[FLUX], inputs=[{"prompt": "1"}, {"prompt": "2"}],
            arguments=SMALL,
        )  # fmt: skip
        assert batch.structured_content is not None
        items = [item["job_id"] for item in batch.structured_content["items"]]
        wrong += missing(batch, *facts(batch), *items)
        steps = [{"name": "pic", **asked}]
        piped = await call(client, "run_pipeline", steps=steps)
        wrong += missing(piped, *facts(piped), "pic")
        sent = await call(client, "upload_file", path=job[3])
        assert sent.structured_content is not None
        wrong += missing(sent, sent.structured_content["url"])
        listed = await call(client, "list_jobs")
        wrong += missing(listed, *job[:2], job[3], "a fox")
        wrong += missing(await call(client, "spending"), "spent", "0.")
        late = await call(client, "cancel_job", job_id=job[0])
        wrong += missing(late, job[0], "done", "cancelled")
    assert wrong == []


async def test_every_host_shows_what_to_do_with_what_did_not_come_out(tmp_path: Path) -> None:
    wrong: list[str] = []
    asked: dict[str, Any] = {"endpoint_id": FLUX, "prompt": "a fox", "arguments": SMALL}
    async with connected(tmp_path, FALKIT_EMULATOR_SPEED="1") as client:
        expired = await call(client, "generate", **asked, wait_seconds=0)
        wrong += missing(expired, *facts(expired), "job_status", "do not resubmit")
        again = await call(client, "job_status", job_id=facts(expired)[0])
        wrong += missing(again, *facts(again))
        gone = await call(client, "generate", **{**asked, "prompt": "another"}, wait_seconds=0)
        wrong += missing(await call(client, "cancel_job", job_id=facts(gone)[0]), facts(gone)[0])
    held_home = tmp_path / "held"
    held_home.mkdir()
    asks = {"FALKIT_ASK_ON_EMULATOR": "on", "FALKIT_APPROVE_ABOVE": "0"}
    async with connected(held_home, **asks) as client:
        held = await call(client, "generate", **asked)
        wrong += missing(held, *facts(held), "held", "falkit approve", "job_status")
    await strike(tmp_path, fault="moderation")
    async with connected(tmp_path) as client:
        failed = await call(client, "generate", **{**asked, "prompt": "a third"})
        wrong += missing(failed, "failed|refused", "content", 'not charged|charged": false')
        for tool, arguments, said in (
            ("generate", {}, "search_models"),
            ("generate", {**asked, "promt": 1}, "prompt"),
            ("estimate_cost", {"endpoint_id": "fal-ai/flux/dve"}, FLUX),
            ("job_status", {"job_id": "zzzzzzzzzzz"}, "list_jobs"),
            ("view_media", {"media": "gone.png"}, "gone.png"),
            ("upload_file", {}, "path"),
            ("run_batch", {"endpoint_ids": [FLUX], "inputs": [{"promt": 1}]}, "prompt"),
        ):
            refused = await call(client, tool, **arguments)
            assert refused.is_error, words(refused)
            wrong += missing(refused, said)
    assert wrong == []


async def test_every_host_shows_what_a_change_to_an_app_would_do(tmp_path: Path) -> None:
    wrong: list[str] = []
    folder = str(tmp_path / "hello-app")
    async with connected(tmp_path) as client:
        begun = await call(client, "scaffold_app", template="cpu", folder=folder)
        wrong += missing(begun, f"{folder}|app.py", "check_app")
        checked = await call(client, "check_app", path=folder)
        wrong += missing(checked, "hello-app", "/ (call)", "S", "falkit app tools")
        plan = await call(client, "deploy_plan", path=folder)
        assert plan.structured_content is not None
        plan_id = str(plan.structured_content["plan_id"])
        told = [plan_id, "new app", "keep_alive: 60", "has not run on this machine", "deploy_apply"]
        wrong += missing(plan, *told)
        held = await call(client, "deploy_apply", plan_id=plan_id)
        wrong += missing(held, *facts(held), "held", "falkit approve")
        wrong += missing(await call(client, "app_status"), "nothing is deployed|apps")
        wrong += missing(await call(client, "app_logs"), "no lines|lines")
        refused = await call(client, "deploy_plan", path=str(tmp_path / "none"))
        assert refused.is_error, words(refused)
        wrong += missing(refused, "none")
    assert wrong == []
