"""What the official conformance suite looks up by name, for it to find beside our own tools.

The names, texts and fields are those of @modelcontextprotocol/conformance 0.2.0-alpha.12.
"""

import base64
import warnings
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import Prompt, UserMessage
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    ClientCapabilities,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmbeddedResource,
    ImageContent,
    InputRequiredResult,
    ListRootsRequest,
    SamplingMessage,
    TextContent,
    TextResourceContents,
)
from pydantic import BaseModel, Field

# Logging and sampling are out of date in the newer era; the older set still asks for them.
warnings.simplefilter("ignore", MCPDeprecationWarning)

# One pixel, and one sample of silence.
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SILENCE = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQIAAAAAAA=="

Asking = str | InputRequiredResult


def said(text: str) -> TextContent:
    return TextContent(type="text", text=text)


def pictured() -> ImageContent:
    return ImageContent(type="image", data=PIXEL, mime_type="image/png")


def enclosed(uri: str, text: str, kind: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(
        type="resource", resource=TextResourceContents(uri=uri, mime_type=kind, text=text)
    )


def asked(message: str, **fields: str) -> ElicitRequest:
    """Return a question with *fields* of the JSON types given."""
    properties = {name: {"type": kind} for name, kind in fields.items()}
    form = {
        "message": message,
        "requestedSchema": {"type": "object", "properties": properties, "required": list(fields)},
    }
    return ElicitRequest(params=ElicitRequestFormParams.model_validate(form))


def sampled(question: str) -> CreateMessageRequest:
    return CreateMessageRequest(
        params=CreateMessageRequestParams(
            messages=[SamplingMessage(role="user", content=said(question))], max_tokens=100
        )
    )


def needed(state: str | None = None, **requests: Any) -> InputRequiredResult:
    return InputRequiredResult(input_requests=requests, request_state=state)


def given(ctx: Context, key: str) -> Any:
    """Return what the client answered under *key*, or None."""
    return (ctx.input_responses or {}).get(key)


def content_of(answer: ElicitResult, field: str) -> object:
    return (answer.content or {}).get(field)


# The plain kinds of content.


async def simple_text() -> list[TextContent]:
    return [said("This is a simple text response for testing.")]


async def image_content() -> list[ImageContent]:
    return [pictured()]


async def audio_content() -> list[AudioContent]:
    return [AudioContent(type="audio", data=SILENCE, mime_type="audio/wav")]


async def embedded_resource() -> list[EmbeddedResource]:
    return [enclosed("test://embedded-resource", "This is an embedded resource content.")]


async def multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
    inner = '{"test":"data","value":123}'
    return [
        said("Multiple content types test:"),
        pictured(),
        enclosed("test://mixed-content-resource", inner, "application/json"),
    ]


async def error_handling() -> str:
    raise ToolError("This tool intentionally returns an error for testing")


# What is told while a call runs.


async def tool_with_logging(ctx: Context) -> str:
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.info(line)  # pyright: ignore[reportDeprecated]
        await anyio.sleep(0.05)  # the suite wants to see them come one by one
    return "logged"


async def logging_tool(ctx: Context) -> str:
    await ctx.info("for those only who asked for it")  # pyright: ignore[reportDeprecated]
    return "done"


async def tool_with_progress(ctx: Context) -> str:
    for percent in (0, 50, 100):
        await ctx.report_progress(percent, 100)
        await anyio.sleep(0.05)
    return "done"


async def reconnection(ctx: Context) -> str:
    await ctx.info("before the stream is closed")  # pyright: ignore[reportDeprecated]
    await ctx.close_sse_stream()
    await anyio.sleep(0.2)
    return "the client came back for this"


# Questions of the older era.


async def sampling(prompt: str, ctx: Context) -> str:
    answer = await ctx.session.create_message(  # pyright: ignore[reportDeprecated]
        [SamplingMessage(role="user", content=said(prompt))],
        max_tokens=100,
        related_request_id=ctx.request_id,
    )
    return f"LLM response: {getattr(answer.content, 'text', '')}"


class Person(BaseModel):
    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


class Defaults(BaseModel):
    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: str = Field("active", json_schema_extra={"enum": ["active", "inactive", "pending"]})
    verified: bool = True


def titled(**names: str) -> list[Any]:
    return [{"const": name, "title": title} for name, title in names.items()]


class Choices(BaseModel):
    """One of each way in which a form can offer choices."""

    untitledSingle: str = Field(json_schema_extra={"enum": ["one", "two"]})  # noqa: N815
    titledSingle: str = Field(json_schema_extra={"oneOf": titled(one="One", two="Two")})  # noqa: N815
    legacyEnum: str = Field(  # noqa: N815
        json_schema_extra={"enum": ["one", "two"], "enumNames": ["One", "Two"]}
    )
    untitledMulti: list[str] = Field(  # noqa: N815
        json_schema_extra={"items": {"type": "string", "enum": ["one", "two"]}}
    )
    titledMulti: list[str] = Field(  # noqa: N815
        json_schema_extra={"items": {"anyOf": titled(one="One", two="Two")}}
    )


async def elicitation(message: str, ctx: Context) -> str:
    answer = await ctx.elicit(message, Person)
    return f"User response: {answer.action}"


async def elicitation_sep1034_defaults(ctx: Context) -> str:
    answer = await ctx.elicit("Please look through what is filled in", Defaults)
    return f"Elicitation completed: {answer.action}"


async def elicitation_sep1330_enums(ctx: Context) -> str:
    answer = await ctx.elicit("Please choose", Choices)
    return f"Elicitation completed: {answer.action}"


# Questions of the newer era, which end the call and come back with it.


async def input_elicitation(ctx: Context) -> Asking:
    if answer := given(ctx, "user_name"):
        return f"Hello, {content_of(answer, 'name')}!"
    return needed(user_name=asked("What is your name?", name="string"))


async def input_sampling(ctx: Context) -> Asking:
    if answer := given(ctx, "capital_question"):
        return str(getattr(answer.content, "text", ""))
    return needed(capital_question=sampled("What is the capital of France?"))


async def input_list_roots(ctx: Context) -> Asking:
    if answer := given(ctx, "client_roots"):
        return ", ".join(str(root.uri) for root in answer.roots)
    return needed(client_roots=ListRootsRequest())


async def input_request_state(ctx: Context) -> Asking:
    if given(ctx, "confirm") and ctx.request_state == "begun":
        return "state-ok"
    return needed("begun", confirm=asked("Please confirm", ok="boolean"))


async def input_tampered_state(ctx: Context) -> Asking:
    if ctx.request_state == "begun":
        return "done"
    return needed("begun", confirm=asked("Please confirm", ok="boolean"))


async def input_multiple_inputs(ctx: Context) -> Asking:
    questions = {
        "user_name": asked("What is your name?", name="string"),
        "greeting": sampled("Generate a greeting"),
        "client_roots": ListRootsRequest(),
    }
    if questions.keys() <= (ctx.input_responses or {}).keys():
        return "all answered"
    return needed("asked", **questions)


async def input_multi_round(ctx: Context) -> Asking:
    if ctx.request_state == "second" and given(ctx, "step2"):
        return "finished"
    if ctx.request_state == "first" and given(ctx, "step1"):
        return needed("second", step2=asked("Step 2: What is your favorite color?", color="string"))
    return needed("first", step1=asked("Step 1: What is your name?", name="string"))


async def input_capabilities(ctx: Context) -> Asking:
    declared = ctx.client_capabilities or ClientCapabilities()
    questions: dict[str, Any] = {}
    if declared.sampling:
        questions["sampled"] = sampled("Hello")
    if declared.elicitation:
        questions["asked"] = asked("Hello?", ok="boolean")
    return needed(**questions) if questions and not ctx.input_responses else "nothing to ask"


async def streaming_elicitation(ctx: Context) -> Asking:
    await ctx.report_progress(1, 2)
    return "done" if given(ctx, "go") else needed(go=asked("Continue?", ok="boolean"))


async def missing_capability(ctx: Context) -> str:
    declared = ctx.client_capabilities
    if declared is None or declared.sampling is None:
        raise MCPError(
            code=MISSING_REQUIRED_CLIENT_CAPABILITY,
            message="this needs sampling",
            data={"requiredCapabilities": {"sampling": {}}},
        )
    return "done"


async def mirrored(
    region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})] = "none",
) -> str:
    return region


async def schema_kept() -> str:
    return "done"


WHOLE_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}

TOOLS: dict[str, Callable[..., Awaitable[Any]]] = {
    "test_simple_text": simple_text,
    "test_image_content": image_content,
    "test_audio_content": audio_content,
    "test_embedded_resource": embedded_resource,
    "test_multiple_content_types": multiple_content_types,
    "test_error_handling": error_handling,
    "test_tool_with_logging": tool_with_logging,
    "test_logging_tool": logging_tool,
    "test_tool_with_progress": tool_with_progress,
    "test_reconnection": reconnection,
    "test_sampling": sampling,
    "test_elicitation": elicitation,
    "test_elicitation_sep1034_defaults": elicitation_sep1034_defaults,
    "test_elicitation_sep1330_enums": elicitation_sep1330_enums,
    "test_input_required_result_elicitation": input_elicitation,
    "test_input_required_result_sampling": input_sampling,
    "test_input_required_result_list_roots": input_list_roots,
    "test_input_required_result_request_state": input_request_state,
    "test_input_required_result_tampered_state": input_tampered_state,
    "test_input_required_result_multiple_inputs": input_multiple_inputs,
    "test_input_required_result_multi_round": input_multi_round,
    "test_input_required_result_capabilities": input_capabilities,
    "test_streaming_elicitation": streaming_elicitation,
    "test_missing_capability": missing_capability,
    "test_x_mcp_header": mirrored,
    "json_schema_2020_12_tool": schema_kept,
}


async def simple_prompt() -> list[UserMessage]:
    return [UserMessage(content=said("This is a simple prompt for testing."))]


async def prompt_with_arguments(arg1: str, arg2: str) -> list[UserMessage]:
    return [UserMessage(content=said(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"))]


async def prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803
    return [
        UserMessage(content=enclosed(resourceUri, "Embedded resource content for testing.")),
        UserMessage(content=said("Please process the embedded resource above.")),
    ]


async def prompt_with_image() -> list[UserMessage]:
    return [
        UserMessage(content=pictured()),
        UserMessage(content=said("Please analyze the image above.")),
    ]


async def prompt_that_asks(ctx: Context) -> list[UserMessage] | InputRequiredResult:
    if answer := given(ctx, "user_context"):
        return [UserMessage(content=said(f"Context: {content_of(answer, 'context')}"))]
    return needed(user_context=asked("What context should the prompt use?", context="string"))


PROMPTS: dict[str, Callable[..., Awaitable[Any]]] = {
    "test_simple_prompt": simple_prompt,
    "test_prompt_with_arguments": prompt_with_arguments,
    "test_prompt_with_embedded_resource": prompt_with_embedded_resource,
    "test_prompt_with_image": prompt_with_image,
    "test_input_required_result_prompt": prompt_that_asks,
}


async def static_text() -> str:
    return "This is the content of the static text resource."


async def static_binary() -> bytes:
    return base64.b64decode(PIXEL)


async def watched() -> str:
    return "watched"


async def templated(id: str) -> str:  # noqa: A002  # the template's own word
    return f'{{"id":"{id}","templateTest":true,"data":"Data for ID: {id}"}}'


def furnish(server: MCPServer[Any]) -> None:
    """Register everything with *server* as the SDK has it."""
    for name, tool in TOOLS.items():
        server.add_tool(tool, name=name, description=f"Fixture {name} of the conformance suite.")
    # The SDK takes no ready schema.
    kept = server._tool_manager.get_tool("json_schema_2020_12_tool")  # pyright: ignore[reportPrivateUsage]
    assert kept is not None
    kept.parameters = WHOLE_SCHEMA
    for name, prompt in PROMPTS.items():
        server.add_prompt(
            Prompt.from_function(prompt, name=name, description=f"Fixture {name} of the suite.")
        )
    server.resource("test://static-text", mime_type="text/plain")(static_text)
    server.resource("test://static-binary", mime_type="image/png")(static_binary)
    server.resource("test://watched-resource", mime_type="text/plain")(watched)
    server.resource("test://template/{id}/data", mime_type="application/json")(templated)
