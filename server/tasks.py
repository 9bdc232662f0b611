"""The Tasks extension: for clients that declare it, a job is a task that outlives the call.

A task's id is the job's id, so that it survives restarts and any falkit of the same home answers
for it. Facts of the extension are those of MCP 2026-07-28 and its conformance scenarios.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolRequestParams,
    CallToolResult,
    ElicitResult,
    RequestParams,
)
from pydantic import Field

from catalog.errors import ActionableError
from server.asking import KEY, MODERN, Verdict, put_off, verdict_of
from server.calls import failure, shown
from server.sealing import Ring
from tools.job_view import JobView, job_answer, job_words
from tools.ports import Call, Job, Rooms
from tools.whole_view import whole_answer
from tools.wording import one_line

IDENTIFIER = "io.modelcontextprotocol/tasks"
HEADER_MISMATCH = -32020
# What is done by then is answered at once, as if there were no tasks.
QUICK_SECONDS = 2.0
POLL_MS = 2000
# fal keeps results for days; the journal keeps the job until it is pruned.
LIVES_MS = 7 * 24 * 3600 * 1000
SPENDING = ("generate", "edit", "run_batch", "run_pipeline")

Heed = Callable[[str, Verdict, float, Call], Awaitable[CallToolResult]]


class TaskParams(RequestParams):
    """Which task."""

    task_id: str


class UpdateParams(TaskParams):
    """What a person said to the questions of a task."""

    input_responses: Mapping[str, Any] = Field(default_factory=dict[str, Any])


class Tasks(Extension):
    """Answers calls that take long with a task, and the verbs that follow it."""

    identifier = IDENTIFIER

    def __init__(self, rooms: Rooms, heed: Heed, tools: Collection[str], ring: Ring) -> None:
        """Follow the jobs of *rooms*; what is not among the *tools* on offer is not done here.

        *ring* makes the keys of questions, so that one is still good after a restart.
        """
        self._rooms = rooms
        self._heed = heed
        self._tools = tools
        self._ring = ring

    def methods(self) -> Sequence[MethodBinding]:
        """Return the three verbs; they exist in the newer era only."""
        versions = frozenset({MODERN})
        return (
            MethodBinding("tasks/get", TaskParams, self._get, versions),
            MethodBinding("tasks/update", UpdateParams, self._update, versions),
            MethodBinding("tasks/cancel", TaskParams, self._cancel, versions),
        )

    async def intercept_tool_call(
        self,
        params: CallToolRequestParams,
        ctx: ServerRequestContext[Any, Any],
        call_next: CallNext,
    ) -> HandlerResult:
        """Return the call's result, or a task when its job takes longer than `QUICK_SECONDS`."""
        if params.name not in SPENDING or not declared(ctx):
            return await call_next(ctx)
        params.arguments = {**(params.arguments or {}), "wait_seconds": QUICK_SECONDS}
        result = await call_next(ctx)
        told = result.structured_content if isinstance(result, CallToolResult) else None
        if not told or "job_id" not in told:
            return result
        job = await self._rooms.jobs.find(str(told["job_id"]))
        if job.is_settled:
            return result
        return {"resultType": "task", **_base(job)}

    async def _get(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> HandlerResult:
        job = await self._job(ctx, params.task_id)
        told: dict[str, Any] = {"resultType": "complete", **_base(job)}
        if job.state == "held" and self._may_ask(ctx):
            # Only who was asked can answer, since the key is a secret, and once, while it is held.
            key = f"{KEY}-{self._ring.key_of(job.job_id)}"
            asked = put_off(job).model_dump(mode="json", by_alias=True, exclude_none=True)
            told["inputRequests"] = {key: asked["inputRequests"][KEY]}
        elif told["status"] in ("completed", "failed"):
            result = await self._result(job)
            told["result"] = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        return told

    async def _update(
        self, ctx: ServerRequestContext[Any, Any], params: UpdateParams
    ) -> HandlerResult:
        job = await self._job(ctx, params.task_id)
        if job.state == "held" and self._may_ask(ctx) and params.input_responses:
            keys = [f"{KEY}-{key}" for key in self._ring.keys_of(job.job_id)]
            given = next(
                (params.input_responses[k] for k in keys if k in params.input_responses), 0
            )
            if not isinstance(given, Mapping):
                return {"resultType": "complete"}
            answer = ElicitResult.model_validate(given)
            verdict = verdict_of(answer.action, answer.content)
            await self._heed(job.job_id, verdict, 0, Call(self._rooms))
        return {"resultType": "complete"}

    async def _cancel(
        self, ctx: ServerRequestContext[Any, Any], params: TaskParams
    ) -> HandlerResult:
        job = await self._job(ctx, params.task_id)
        if "cancel_job" not in self._tools:
            raise MCPError(code=INVALID_PARAMS, message="this server cancels nothing")
        if not job.is_over:
            try:
                await self._rooms.jobs.cancel(job.job_id)
            except ActionableError as problem:
                raise MCPError(code=INVALID_PARAMS, message=str(problem)) from problem
        return {"resultType": "complete"}

    def _may_ask(self, ctx: ServerRequestContext[Any, Any]) -> bool:
        """Return whether a question can be put to the person behind this very request."""
        capabilities = ctx.session.client_capabilities
        elicitation = capabilities.elicitation if capabilities else None
        spends = any(tool in SPENDING for tool in self._tools)
        return spends and declared(ctx) and elicitation is not None

    async def _job(self, ctx: ServerRequestContext[Any, Any], task_id: str) -> Job:
        """Return the job of a task.

        Raises:
            MCPError: the client did not declare tasks, there is no such one, or a header names
                another.
        """
        if not declared(ctx):
            raise MCPError(
                code=MISSING_REQUIRED_CLIENT_CAPABILITY,
                message=f"{IDENTIFIER} is not among the extensions that this request declares",
                data={"requiredCapabilities": {"extensions": {IDENTIFIER: {}}}},
            )
        named = _header(ctx)
        if named is not None and named != task_id:
            raise MCPError(
                code=HEADER_MISMATCH, message="Mcp-Name and taskId differ: both name the task"
            )
        try:
            return await self._rooms.jobs.find(task_id)
        except ActionableError as problem:
            raise MCPError(code=INVALID_PARAMS, message=str(problem)) from problem

    async def _result(self, job: Job) -> CallToolResult:
        await self._rooms.jobs.deliver(job.job_id)
        call = Call(self._rooms)
        if job.has_parts:
            return shown(await whole_answer(call, job))
        if job.state == "failed":
            return failure(job_words(JobView.of(job)))
        return shown(await job_answer(self._rooms.media, job, preview=self._rooms.previews))


def _base(job: Job) -> dict[str, Any]:
    """Return a task's flat fields; instants are ISO 8601, lives and pauses milliseconds."""
    changed = job.ended or job.submitted or job.created
    return {
        "taskId": job.job_id,
        "status": _status(job),
        "statusMessage": _message(job),
        "createdAt": job.created.isoformat(),
        "lastUpdatedAt": changed.isoformat(),
        "ttlMs": LIVES_MS,
        "pollIntervalMs": POLL_MS,
    }


def _status(job: Job) -> str:
    """Return the state in the words of tasks; a failed job is a completed call whose result fails.

    Files on their way home are work as well.
    """
    if job.state == "held":
        return "input_required"
    if job.state == "cancelled":
        return "cancelled"
    return "completed" if job.is_settled else "working"


def _message(job: Job) -> str:
    place = f", {job.queue_position} ahead in the queue" if job.queue_position else ""
    last = f": {one_line(job.logs[-1], 120)}" if job.logs and not job.is_over else ""
    return f"{job.endpoint_id} is {job.state}{place}{last}"


def declared(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Return whether this very request says that its client knows tasks."""
    capabilities = ctx.session.client_capabilities
    extensions = capabilities.extensions if capabilities else None
    return ctx.protocol_version == MODERN and IDENTIFIER in (extensions or {})


def _header(ctx: ServerRequestContext[Any, Any]) -> str | None:
    """Return what the HTTP header names; nothing over pipes."""
    headers = getattr(ctx.request, "headers", None)
    return None if headers is None else headers.get("mcp-name")
