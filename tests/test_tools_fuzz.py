"""Every tool with arguments that nobody would write: always words, never a crash or a flood."""

import json
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult

from server.calls import unknown_names
from tests.house import connected, words
from tools.inventory import TOOLS
from tools.tool import AnyTool

MOST = 10_000
NAMES = {tool.name: tool for tool in TOOLS}
PLAUSIBLE = [
    "fal-ai/flux/dev", "fal-ai/flux/schnell", "fal-ai/veo3", "a fox", "01k9x2m4q7a", "JOB/2",
    "https://h.invalid/a.png", "data:image/png;base64,AAAA", "../../etc/passwd", "~", "2h", "cheap",
    "instruct", "upscale", "text-to-image", "$one", "[1,2", '{"a":1}', "null", "1e999", "-1", "",
    "python", "done", "month", "x" * 20_000, "\x00\udcff\u202e",
]  # fmt: skip

WAITS = ("wait_seconds", "follow_seconds")

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(PLAUSIBLE)
    | st.text(max_size=30)
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*PLAUSIBLE[:6], "prompt", "name", "seed"]), inner)
    ),
    max_leaves=8,
)


def of_schema(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return values that are roughly what *schema* wants, or its JSON as text."""
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "string": st.sampled_from(schema.get("enum") or PLAUSIBLE),
        "integer": st.integers(-2, 60),
        "number": st.floats(0, 50),
        "boolean": st.booleans(),
        "array": st.lists(
            of_schema(schema["items"]) if schema.get("items") else scalars, max_size=3
        ),
        "object": st.dictionaries(st.sampled_from(["prompt", "seed", "num_images"]), scalars),
    }
    value = kinds.get(schema.get("type", ""), anything)
    return value | value.map(as_text)


def as_text(value: Any) -> str:
    """Return *value* as sloppy hosts send it."""
    return json.dumps(value)


def calls(tool: AnyTool) -> st.SearchStrategy[dict[str, Any]]:
    """Return arguments of *tool*, each absent, likely or wild, with now and then a stranger."""
    fields: dict[str, Any] = tool.arguments.model_json_schema()["properties"]
    # The clock is not what is tried here.
    own = {
        name: of_schema(schema) | anything for name, schema in fields.items() if name not in WAITS
    }
    given = st.fixed_dictionaries({}, optional=own)
    strange = st.dictionaries(st.text(max_size=12), scalars, max_size=1)
    ended = {name: 0 for name in WAITS if name in fields}
    return st.tuples(given, strange).map(lambda both: {**both[1], **both[0], **ended})


async def hold(client: Client, name: str, arguments: dict[str, Any]) -> str:
    """Return what is wrong with the answer to one call, or nothing."""
    try:
        with anyio.fail_after(20):
            result = await client.call_tool(name, arguments)
    except MCPError as problem:
        return f"protocol error {problem}"
    except TimeoutError:
        return "it hangs"
    return complaint(name, result)


def complaint(name: str, result: CallToolResult) -> str:
    told = words(result)
    size = len(json.dumps(result.structured_content or {}).encode())
    for leak in ("Traceback", "incident", "errors.pydantic.dev", "journal cannot"):
        if leak in told:
            return f"leaks {leak}: {told[:400]}"
    if not told.strip():
        return "says nothing"
    if len(told.encode()) > MOST or size > MOST:
        return f"is too long: {len(told.encode())} and {size} bytes"
    if not result.is_error and NAMES[name].result is not None and not result.structured_content:
        return "has no structured part"
    return ""


async def fuzz(home: Path, name: str, examples: int) -> None:
    """Hold *examples* generated calls of the tool called *name*."""
    async with connected(home, FALKIT_PREVIEWS="off") as client:
        portal = anyio.from_thread.BlockingPortal()

        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=examples < 100,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @given(calls(NAMES[name]))
        def attempt(arguments: dict[str, Any]) -> None:
            problem = portal.call(hold, client, name, arguments)
            assert problem == "", (name, arguments)

        async with portal:
            await anyio.to_thread.run_sync(attempt)


async def test_a_few_wild_calls_of_each_tool_end_in_words(tmp_path: Path) -> None:
    for name in ("generate", "search_models", "run_pipeline"):
        await fuzz(tmp_path / name, name, 6)


@pytest.mark.proof
@pytest.mark.parametrize("name", NAMES)
async def test_many_wild_calls_of_each_tool_end_in_words(tmp_path: Path, name: str) -> None:
    await fuzz(tmp_path, name, 250)


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_that_is_near_is_named(name: str) -> None:
    for known in NAMES[name].arguments.model_fields:
        for wrong in (f"{known}s", known.replace("_", ""), known.title(), known.replace("_", "-")):
            if wrong not in NAMES[name].arguments.model_fields:
                told = unknown_names(NAMES[name], {wrong: 1})
                assert wrong in told
                assert known in told, (wrong, told)
