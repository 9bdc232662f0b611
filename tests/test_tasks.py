"""The Tasks extension over HTTP: a job as a task, for clients that declare it."""

from pathlib import Path
from typing import Any

import pytest

from server.asking import ONCE
from tests.asker import TASKS, asking

FLUX = "fal-ai/flux/schnell"
FILM = {
    "endpoint_id": "fal-ai/kling-video/v2.5-turbo/pro/text-to-video",
    "prompt": "waves",
    "arguments": {"duration": "5"},
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be done so quickly that there is no task."""
    monkeypatch.setattr("server.tasks.QUICK_SECONDS", 0)


async def test_a_long_job_is_a_task_that_another_process_can_finish(tmp_path: Path) -> None:
    async with asking(tmp_path, FALKIT_EMULATOR_SPEED="0.3") as ask:
        begun = await ask.call("generate", {"endpoint_id": FLUX, "prompt": "waves"})
        assert begun["resultType"] == "task"
        assert begun["status"] == "working"
        assert isinstance(begun["ttlMs"], int)
        assert isinstance(begun["pollIntervalMs"], int)
        working = await ask.task(begun["taskId"])
        assert "result" not in working
    async with asking(tmp_path) as ask:
        done = await ask.until(begun["taskId"], "completed")
        assert done["resultType"] == "complete"
        job = done["result"]["structuredContent"]
        assert (job["job_id"], job["state"], job["saved"]) == (begun["taskId"], "done", True)


async def test_a_task_is_cancelled_on_the_platform_too(tmp_path: Path) -> None:
    async with asking(tmp_path, FALKIT_EMULATOR_SPEED="1") as ask:
        begun = await ask.call("generate", FILM)
        for _ in range(2):  # the second finds it over, and says so no less politely
            assert await ask("tasks/cancel", begun["taskId"], taskId=begun["taskId"]) == {
                "resultType": "complete",
                "_meta": {"io.modelcontextprotocol/serverInfo": _any_server(begun)},
            }
            await ask.until(begun["taskId"], "cancelled")


def _any_server(result: dict[str, Any]) -> dict[str, Any]:
    return result["_meta"]["io.modelcontextprotocol/serverInfo"]


async def test_a_held_task_asks_and_heeds_the_answer(tmp_path: Path) -> None:
    async with asking(tmp_path, asks=True) as ask:
        held = await ask.call("generate", {"endpoint_id": FLUX, "prompt": "waves"})
        job = held["structuredContent"]
        assert job["state"] == "held"

        async def say(key: str) -> None:
            yes = {key: {"action": "accept", "content": {"answer": ONCE}}}
            await ask("tasks/update", job["job_id"], taskId=job["job_id"], inputResponses=yes)

        await say("approve")  # who was never asked cannot answer
        assert "inputRequests" not in await ask.task(job["job_id"])  # nor who has no person
        ask.has_person = True
        await say("approve")
        task = await ask.task(job["job_id"])
        assert task["status"] == "input_required"
        [(key, question)] = task["inputRequests"].items()
        assert "waves" in question["params"]["message"]
        await say(key)
        await ask.until(job["job_id"], "completed")


async def test_a_server_that_only_reads_cancels_and_approves_nothing(tmp_path: Path) -> None:
    async with (
        asking(tmp_path, asks=True) as ask,
        asking(tmp_path, asks=True, read_only=True) as reader,
    ):
        held = await ask.call("generate", {"endpoint_id": FLUX, "prompt": "waves"})
        job_id = held["structuredContent"]["job_id"]
        reader.has_person = True
        assert "inputRequests" not in await reader.task(job_id)
        yes = {"approve": {"action": "accept", "content": {"answer": ONCE}}}
        await reader("tasks/update", job_id, taskId=job_id, inputResponses=yes)
        refused = await reader("tasks/cancel", job_id, taskId=job_id)
        assert refused["code"] == -32602
        assert (await ask.task(job_id))["status"] == "input_required"


async def test_who_does_not_declare_tasks_gets_none_and_wrong_ids_are_errors(
    tmp_path: Path,
) -> None:
    async with asking(tmp_path) as ask:
        plain = await ask.call("generate", {**FILM, "wait_seconds": 0}, tasks=False)
        assert plain["resultType"] == "complete"
        assert plain["structuredContent"]["job_id"]
        assert (await ask.task("nothing"))["code"] == -32602
        crossed = await ask("tasks/get", "another", taskId=plain["structuredContent"]["job_id"])
        assert crossed["code"] == -32020
        job_id = plain["structuredContent"]["job_id"]
        for verb in ("tasks/get", "tasks/update", "tasks/cancel"):
            undeclared = await ask(verb, job_id, tasks=False, taskId=job_id)
            assert undeclared["code"] == -32021
            assert TASKS in undeclared["data"]["requiredCapabilities"]["extensions"]
