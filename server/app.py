"""The MCP room: a server whose tools are the values of `TOOLS`, in their order."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio
from mcp.server import CacheHint, MCPServer
from mcp.server._otel import OpenTelemetryMiddleware
from mcp.server.caching import CacheableMethod
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp.server.request_state import RequestStateBoundary
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolResult,
    Completion,
    CompletionArgument,
    CompletionContext,
    GetPromptResult,
    InputRequiredResult,
    PromptArgument,
    PromptMessage,
    PromptReference,
    Resource,
    ResourceTemplate,
    ResourceTemplateReference,
    SubscriptionsListenRequestParams,
    TextContent,
)
from mcp.types import Prompt as SDKPrompt
from mcp.types import Tool as ListedTool
from opentelemetry.trace import ProxyTracerProvider, get_tracer_provider
from pydantic import AnyUrl

from catalog.errors import ActionableError
from prompts.library import PromptText, offered
from server.asking import MODERN, Approve, Verdict, Waiting, answered, can_ask, put_off
from server.calls import answer, as_spoken, refusal, shown, sound, unknown_names
from server.introduced import Introductions
from server.made import call_of, listed, listed_before
from server.notices import JobNotices
from server.resources import Shelf
from server.sealing import Questions, Ring
from server.tasks import Tasks
from server.views.apps import Views, page
from tools.job_view import job_answer
from tools.ports import BackendName, Call, Rooms
from tools.tool import AnyTool, LateTool
from tools.whole_view import whole_answer

# The first words told to a host, each line when its tool is offered.
PURPOSE = "falkit finds, prices and runs fal.ai models and brings the files home."
MAKING = (
    " Order: search_models, describe_model, then generate (or edit for media that exists); "
    "job_status for what still runs."
)
LOOKING = " This server was started without generate and edit: it makes nothing."
LINES = (
    (
        "generate",
        "Give model inputs in `arguments`, the main text in `prompt`. Wrong arguments are refused "
        "before anything is paid, with what would be right.",
    ),
    (
        "view_media",
        "Media can be a path, an https URL, or a job id (JOB, or JOB/2 for its second output).",
    ),
    (
        "generate",
        "Waits end after 45 s at most; the job runs on. Call job_status; submitting again pays "
        "twice.",
    ),
    ("job_status", "A state `held` waits for a person; say so and how to approve."),
    ("estimate_cost", "Call estimate_cost before anything long, large or repeated."),
    (
        "view_media",
        "view_media shows you pictures, videos and sounds; look before you describe a result.",
    ),
)
BACKENDS = {
    "cloud": "Backend: fal's cloud; runs cost money.",
    "emulator": "Backend: the embedded emulator, not fal (a person sets FAL_KEY for that). Media "
    "are marked local previews, not a model's output; amounts are simulated.",
}


LONGEST_WAIT = 45.0  # seconds (promise 10)
# The lists change with the version only, and hold nothing of anybody; milliseconds.
HOUR = 3600 * 1000
CACHED: dict[CacheableMethod, CacheHint] = {
    "server/discover": CacheHint(ttl_ms=HOUR, scope="public"),
    "tools/list": CacheHint(ttl_ms=HOUR, scope="public"),
    "prompts/list": CacheHint(ttl_ms=HOUR, scope="public"),
    "resources/list": CacheHint(ttl_ms=HOUR, scope="public"),
    "resources/templates/list": CacheHint(ttl_ms=HOUR, scope="public"),
}


def instructions(tools: Collection[str], backend: BackendName) -> str:
    """Return what a host is told of the server, with no word on tools that are not offered."""
    lines = [f"- {line}" for tool, line in LINES if tool in tools]
    purpose = PURPOSE + (MAKING if "generate" in tools else LOOKING)
    return "\n".join([purpose, *lines, BACKENDS[backend]])


class StrictServer(MCPServer[None]):
    """The SDK's server, where unknown names are refused and failures read as words."""

    def __init__(
        self,
        rooms: Rooms,
        tools: Sequence[AnyTool],
        approve: Approve | None = None,
        home: Path | None = None,
    ) -> None:
        """Lend *rooms* to *tools*; *approve* takes what a person says to a host's question.

        In *home* the secrets of open questions lie, and what hosts say of themselves.
        """
        ring = Ring(home)
        super().__init__(
            "falkit",
            title="falkit",
            version=version("falkit"),
            instructions=instructions([tool.name for tool in tools], rooms.backend),
            subscriptions=False,
            cache_hints=CACHED,
            extensions=[Tasks(rooms, self._heed, [tool.name for tool in tools], ring), Views()],
            log_level="WARNING",
        )
        self.values = {tool.name: tool for tool in tools}
        self._rooms = rooms
        self._shelf = Shelf(rooms)
        self._approve = approve
        self.questions = Waiting()
        self._guard_questions(ring, Introductions(home))
        self._trace_where_heard()
        self.completion()(self.complete)
        self.notices = JobNotices(rooms)
        # The SDK takes a bus, but would not say who listens to what.
        self._lowlevel_server.add_request_handler(
            "subscriptions/listen", SubscriptionsListenRequestParams, self.notices
        )

    def _guard_questions(self, ring: Ring, introductions: Introductions) -> None:
        """Put a guard of our own in the place of the SDK's, whose secrets end with the process."""
        asking = [name for name, tool in self.values.items() if not tool.reads_only]
        guards = self._lowlevel_server.middleware
        place = next(i for i, one in enumerate(guards) if isinstance(one, RequestStateBoundary))
        guards[place] = Questions(ring, self.name, asking, self._is_held, introductions.hear)

    def _trace_where_heard(self) -> None:
        """Make no spans where nobody set up what takes them, as whoever traces does at the start.

        The SDK says to take what makes them from this list, but does not export it.
        """
        if isinstance(get_tracer_provider(), ProxyTracerProvider):
            guards = self._lowlevel_server.middleware
            guards[:] = [one for one in guards if not isinstance(one, OpenTelemetryMiddleware)]

    def leave(self) -> None:
        """End the streams of those who listen, and answer whoever waits for a person."""
        self.notices.close()
        self.questions.end()

    async def _is_held(self, job_id: str) -> bool:
        try:
            return (await self._rooms.jobs.find(job_id)).state == "held"
        except ActionableError:
            return False

    async def list_tools(self) -> list[ListedTool]:
        """Return the tools in the order of the inventory.

        Those of the inventory are listed as the file says, which was made from them beforehand.
        """
        ready = listed_before()
        return [
            ready[name] if isinstance(tool, LateTool) else listed(tool)
            for name, tool in self.values.items()
        ]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Return the answer of the tool called *name*.

        Raises:
            MCPError: there is no such tool.
        """
        tool = self.values.get(name)
        if tool is None:
            raise MCPError(code=INVALID_PARAMS, message=f"unknown tool {name[:80]!r}")
        arguments = sound(arguments)
        if problem := unknown_names(tool, arguments):
            return refusal(problem)
        asked = context or Context(mcp_server=self)
        if not tool.reads_only and self._approve and (said := answered(asked)):
            return await self._heed(*said, _seconds(arguments), call_of(self._rooms, asked))
        begun = anyio.current_time()
        result = await answer(tool, arguments, call_of(self._rooms, asked))
        if not tool.reads_only and self._approve and can_ask(asked):
            decided = await self._asking(result, asked, begun)
            if isinstance(decided, InputRequiredResult):
                return decided
            result = decided
        return as_spoken(result, asked.protocol_version)

    async def look_up(self, name: str, given: Mapping[str, Any]) -> CallToolResult | None:
        """Return the answer of the tool called *name*, None where that is none that only reads.

        Nobody is asked anything, told of progress, or named as the caller.
        """
        tool = self.values.get(name)
        if tool is None or not tool.reads_only:
            return None
        arguments = sound(dict(given))
        if problem := unknown_names(tool, arguments):
            return refusal(problem)
        return await answer(tool, arguments, Call(self._rooms))

    async def _asking(
        self, result: CallToolResult, ctx: Context[Any, Any], begun: float
    ) -> CallToolResult | InputRequiredResult:
        """Return *result*, or if it is a held job what comes of asking the person about it."""
        told = result.structured_content
        if not told or told.get("state") != "held":
            return result
        job = await self._rooms.jobs.find(str(told["job_id"]))
        if ctx.protocol_version == MODERN:
            return put_off(job)
        verdict = await self.questions.ask(ctx, job)
        left = max(0.0, begun + LONGEST_WAIT - anyio.current_time())
        return await self._heed(job.job_id, verdict, left, call_of(self._rooms, ctx))

    async def _heed(
        self, job_id: str, verdict: Verdict, seconds: float, call: Call
    ) -> CallToolResult:
        """Do what the person said of a held job, and return how it stands within *seconds*."""
        jobs, notes = self._rooms.jobs, ("nobody answered the question",)
        try:
            if (await jobs.find(job_id)).state != "held":  # an answer counts once
                notes = ("it was decided before",)
            elif verdict == "no":
                await jobs.cancel(job_id)
                notes = ("the person said no; nothing more is sent",)
            elif verdict != "nobody" and self._approve is not None:
                await self._approve(job_id, today=verdict == "today")
                await jobs.wait(job_id, seconds, call.progress)
                notes = ("the person said yes",)
            job = await jobs.find(job_id)
            if job.is_settled and verdict != "nobody":
                await jobs.deliver(job_id)
            if job.has_parts:
                return shown(await whole_answer(call, job, notes))
            previews = self._rooms.previews
            return shown(await job_answer(self._rooms.media, job, notes, preview=previews))
        except ActionableError as problem:
            return refusal(str(problem))

    async def list_resources(self) -> list[Resource]:
        """Return the guides; models, jobs and outputs have templates."""
        return self._shelf.listed()

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        """Return how addresses of models, jobs, outputs and guides are made."""
        return self._shelf.templates()

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[Any, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """Return what lies at *uri*.

        Raises:
            ResourceNotFoundError: nothing does.
        """
        if str(uri).startswith("ui://"):
            try:
                return [page(str(uri))]
            except ActionableError as problem:
                raise ResourceNotFoundError(str(problem)) from problem
        return await self._shelf.read(str(uri))

    async def complete(
        self,
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion:
        """Return what fits what is begun of an argument of a prompt or of an address."""
        prompt = ref.name if isinstance(ref, PromptReference) else ""
        return await self._shelf.complete(argument.name, argument.value, prompt)

    async def list_prompts(self) -> list[SDKPrompt]:
        """Return the prompts, in their order, whose tools are all offered."""
        return [
            SDKPrompt(
                name=prompt.name,
                title=prompt.title,
                description=prompt.description,
                arguments=[
                    PromptArgument(
                        name=gap.name, description=gap.description, required=gap.required
                    )
                    for gap in prompt.gaps
                ],
            )
            for prompt in offered(self.values).values()
        ]

    async def get_prompt(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        context: Context[Any, Any] | None = None,
    ) -> GetPromptResult:
        """Return the prompt called *name* with its gaps filled.

        Raises:
            MCPError: there is no such prompt, or a gap is missing or unknown.
        """
        prompts = offered(self.values)
        prompt: PromptText | None = prompts.get(name)
        if prompt is None:
            known = ", ".join(prompts)
            raise MCPError(
                code=INVALID_PARAMS, message=f"unknown prompt {name[:80]!r} (there are {known})"
            )
        try:
            text = prompt.filled(arguments or {})
        except ActionableError as problem:
            raise MCPError(code=INVALID_PARAMS, message=str(problem)) from problem
        message = PromptMessage(role="user", content=TextContent(type="text", text=text))
        return GetPromptResult(description=prompt.description, messages=[message])


def _seconds(arguments: Mapping[str, object]) -> float:
    """Return how long a call wants to wait, which its tool has checked before."""
    try:
        wanted = float(str(arguments.get("wait_seconds", 30)))
        return min(max(wanted, 0.0), LONGEST_WAIT) if wanted == wanted else 0.0  # not NaN
    except ValueError:
        return 0.0


def build_server(
    rooms: Rooms,
    tools: Sequence[AnyTool],
    approve: Approve | None = None,
    home: Path | None = None,
) -> StrictServer:
    """Return the server that lends *rooms* to *tools*, and asks a person if it can *approve*."""
    return StrictServer(rooms, tools, approve, home)
