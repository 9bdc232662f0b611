"""What the conformance suite looks up of the Tasks extension, as jobs that our own tasks follow.

A job of a fixture lies in memory and reaches its end after a while; everything else of a task, from
its creation to its cancellation, is falkit's. Names are those of the suite.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, cast

from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolResult,
    InputRequiredResult,
    TextContent,
)

from server.tasks import IDENTIFIER
from tests.conformance.fixtures import asked, content_of, given, needed
from tools.ports import Cancelled, Job, JobError, Jobs, Output, Progress

ASKS_AFTER = 0.3  # seconds
_numbers = count(1)


class FixtureJobs:
    """The jobs of the house, and those of fixtures beside them."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._own: dict[str, tuple[Job, Job, float]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, name)

    def begin(self, seconds: float, **end: Any) -> CallToolResult:
        """Return the answer of a call whose job becomes what *end* says after *seconds*."""
        now = Job(
            f"1fixture{next(_numbers):03}",
            "running",
            "suite/fixture",
            "emulator",
            "",
            "",
            {},
            created=datetime.now(UTC),
        )
        then = replace(now, saved=True, **end)
        self._own[now.job_id] = (now, then, time.monotonic() + seconds)
        return CallToolResult(
            content=[TextContent(type="text", text=f"{now.job_id} is running")],
            structured_content={"job_id": now.job_id, "state": "running"},
        )

    def settle(self, job_id: str, **end: Any) -> bool:
        """Let the job of a fixture be over now, and say whether it is one."""
        if job_id not in self._own:
            return False
        now, then, _ = self._own[job_id]
        self._own[job_id] = (now, replace(then, **end), 0.0)
        return True

    async def find(self, job_id: str) -> Job:
        if job_id not in self._own:
            return await self._jobs.find(job_id)
        now, then, at = self._own[job_id]
        return then if time.monotonic() >= at else now

    async def wait(self, job_id: str, seconds: float, progress: Progress | None = None) -> Job:
        if job_id not in self._own:
            return await self._jobs.wait(job_id, seconds, progress)
        return await self.find(job_id)

    async def deliver(self, job_id: str) -> None:
        if job_id not in self._own:
            await self._jobs.deliver(job_id)

    async def cancel(self, job_id: str) -> Cancelled:
        if not self.settle(job_id, state="cancelled"):
            return await self._jobs.cancel(job_id)
        return Cancelled(await self.find(job_id), cancelled=True, charged=False)


def text(words: str) -> dict[str, Any]:
    """Return the end of a job that says *words*."""
    return {"state": "done", "outputs": (Output("text", text=words),)}


def knows_tasks(ctx: Context) -> bool:
    declared = ctx.client_capabilities
    return IDENTIFIER in ((declared.extensions if declared else None) or {})


def need_tasks(ctx: Context) -> None:
    if not knows_tasks(ctx):
        raise MCPError(
            code=MISSING_REQUIRED_CLIENT_CAPABILITY,
            message="this runs as a task only",
            data={"requiredCapabilities": {"extensions": {IDENTIFIER: {}}}},
        )


def task_tools(jobs: FixtureJobs) -> dict[str, Callable[..., Awaitable[Any]]]:
    """Return the fixtures whose calls are tasks, by name, over *jobs*."""

    async def slow_compute(seconds: float, label: str) -> CallToolResult:
        if seconds <= 0:
            return CallToolResult(content=[TextContent(type="text", text=f"{label}: done")])
        return jobs.begin(seconds, **text(f"{label}: done"))

    async def failing_job(ctx: Context) -> CallToolResult:
        need_tasks(ctx)
        error = JobError(type="failed", message="it fails, always", hint="", charged=False)
        return jobs.begin(1.0, state="failed", error=error)

    async def confirm_delete(filename: str) -> CallToolResult:
        return jobs.begin(ASKS_AFTER, state="held", arguments={"filename": filename})

    async def test_tool_with_task(ctx: Context) -> CallToolResult | InputRequiredResult:
        answer = given(ctx, "user_name")
        if answer is None:
            return needed("asked", user_name=asked("What is your name?", name="string"))
        return jobs.begin(0.5, **text(f"Hello, {content_of(answer, 'name')}!"))

    return {
        "slow_compute": slow_compute,
        "failing_job": failing_job,
        "confirm_delete": confirm_delete,
        "test_tool_with_task": test_tool_with_task,
    }


async def greet(name: str) -> CallToolResult:
    """Answer at once, never as a task."""
    return CallToolResult(content=[TextContent(type="text", text=f"Hello, {name}!")])


def as_jobs(jobs: FixtureJobs) -> Jobs:
    """Return *jobs* as what rooms lend; what it does not change it hands on."""
    return cast("Jobs", jobs)
