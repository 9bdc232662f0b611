"""What a host sees of the tools: named, described, bounded in bytes, and the same as last time."""

import json
import os
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import pytest

from prompts.library import PROMPTS, offered
from server.made import LISTED, listed
from tests.house import Era, connected
from tools.inventory import TOOLS
from tools.ports import JobState
from tools.tool import AnyTool, LateTool

BY_NAME = {tool.name: tool for tool in TOOLS}


@asynccontextmanager
async def listing(home: Path) -> AsyncGenerator[list[dict[str, Any]]]:
    async with connected(home) as client:
        tools = (await client.list_tools()).tools
        yield [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]


async def test_the_list_that_is_served_is_what_the_tools_themselves_make(tmp_path: Path) -> None:
    made = [listed(tool) for tool in TOOLS]
    tools = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in made]
    text = json.dumps(tools, indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("SNAP") == "write":
        LISTED.write_text(text, "utf-8")
    assert LISTED.read_text("utf-8") == text, f"{LISTED.name} differs; `make snap` rewrites it"
    async with listing(tmp_path) as told:
        assert told == tools


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_the_inventory_says_of_a_tool_what_the_tool_says(tool: AnyTool) -> None:
    assert isinstance(tool, LateTool)
    whole = tool.whole
    assert (whole.name, whole.toolset, whole.reads_only) == (
        tool.name,
        tool.toolset,
        tool.reads_only,
    )


def told_bytes(tools: list[dict[str, Any]]) -> int:
    """Return the bytes of what a model reads of *tools*."""
    return size(
        [{key: tool[key] for key in ("name", "description", "inputSchema")} for tool in tools]
    )


def size(value: object) -> int:
    """Return the bytes of *value* as compact JSON."""
    return len(json.dumps(value, separators=(",", ":")))


async def test_the_list_stays_within_its_bytes(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        tools = (await client.list_tools()).tools
        instructions = client.instructions or ""
    whole = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    usual = [tool for tool in whole if BY_NAME[tool["name"]].toolset != "deploy"]
    assert len(instructions.encode()) <= 1500
    first = instructions.encode()[:200].decode()
    for tool in ("search_models", "describe_model", "generate", "edit", "job_status"):
        assert tool in first  # some hosts show no more of them
    assert told_bytes(usual) + len(instructions.encode()) <= 12_000
    assert size(usual) <= 16_700  # what is left belongs to the tools that deploy
    assert told_bytes(whole) + len(instructions.encode()) <= 15_500
    assert size(whole) <= 22_000


async def test_schemas_of_results_are_open_and_name_only_fields_that_results_have(
    tmp_path: Path,
) -> None:
    async with listing(tmp_path) as tools:
        for listed in tools:
            result = BY_NAME[listed["name"]].result
            if result is None:
                continue
            schema = listed["outputSchema"]
            assert set(schema.get("required", ())) <= set(schema["properties"])
            assert set(schema["properties"]) <= set(result.model_fields)
            spoken = json.dumps(schema)
            assert '"additionalProperties": false' not in spoken
            assert "$ref" not in spoken


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_tool_says_everything_a_host_asks(tool: AnyTool) -> None:
    assert tool.name.isascii()
    assert tool.name == tool.name.lower()
    assert tool.title
    assert "Example: {" in tool.description
    assert tool.toolset in ("discover", "make", "follow", "deploy")
    assert not (tool.reads_only and tool.destroys)
    example = json.loads(tool.description.split("Example: ")[1])
    assert set(example) <= set(tool.arguments.model_fields)
    tool.arguments.model_validate(example)
    for name, field in tool.arguments.model_fields.items():
        assert field.description, f"{tool.name}.{name} has no description"
    schema = tool.arguments.model_json_schema()
    assert not {"anyOf", "oneOf", "allOf"} & set(schema)
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_bounds_and_defaults_of_an_argument_are_said_in_words(tool: AnyTool) -> None:
    for name, field in tool.arguments.model_fields.items():
        told = f"{tool.name}.{name}: {field.description}"
        numbers = re.findall(r"\d[\d.]*", field.description or "")
        for bound in field.metadata:
            for kind in ("ge", "le", "max_length"):
                if (number := getattr(bound, kind, None)) is not None:
                    assert str(number) in numbers, told
        default: object = field.get_default(call_default_factory=True)
        if not field.is_required() and default:
            assert "default" in told.lower(), told
            assert str(default) in told.replace("This machine", "local"), told


async def test_every_schema_is_closed_and_outputs_are_objects(tmp_path: Path) -> None:
    async with listing(tmp_path) as tools:
        for tool in tools:
            assert tool["inputSchema"]["additionalProperties"] is False
            assert tool["inputSchema"]["type"] == "object"
            if tool["name"] == "view_media":
                assert "outputSchema" not in tool
            else:
                assert tool["outputSchema"]["type"] == "object"


async def test_both_eras_see_the_same_tools(tmp_path: Path) -> None:
    names: list[list[str]] = []
    eras: tuple[Era, ...] = ("auto", "legacy")
    for era in eras:
        async with connected(tmp_path, era) as client:
            names.append([tool.name for tool in (await client.list_tools()).tools])
    assert names[0] == names[1] == list(BY_NAME)


@pytest.mark.parametrize("name", list(offered(BY_NAME)))
def test_a_prompt_names_only_tools_and_arguments_that_exist(name: str) -> None:
    prompt = PROMPTS[name]
    known = set(BY_NAME) | {argument for tool in TOOLS for argument in tool.arguments.model_fields}
    results = {field for tool in TOOLS if tool.result for field in tool.result.model_fields}
    values = {*get_args(JobState), "emulator", "unknown", "image_size", "aspect_ratio", "falkit"}
    spoken = {part.split()[0] for part in prompt.text.split("`")[1::2]}
    assert spoken - known - results - values == set()


async def test_a_prompt_is_filled_and_a_missing_gap_is_refused(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        listed = (await client.list_prompts()).prompts
        assert [prompt.name for prompt in listed] == list(offered(BY_NAME))
        got = await client.get_prompt("text_to_image", {"subject": "a red fox"})
        assert "a red fox" in got.messages[0].content.model_dump()["text"]
        with pytest.raises(Exception, match="subject is missing"):
            await client.get_prompt("text_to_image", {})
        with pytest.raises(Exception, match="unknown prompt"):
            await client.get_prompt("text_to_imago", {})


async def test_a_client_that_names_no_tool_of_ours_gets_a_protocol_error(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        with pytest.raises(Exception, match="unknown tool"):
            await client.call_tool("generat", {})
