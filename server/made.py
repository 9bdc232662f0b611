"""Tools as hosts see them in the list, and what they are given of a call."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from mcp.server.mcpserver import Context
from mcp.types import Tool as ListedTool
from mcp.types import ToolAnnotations

from server.views.apps import meta_of
from tools.ports import Call, Rooms
from tools.tool import AnyTool
from tools.wording import one_line

LISTED = Path(__file__).parent / "listed_tools.json"
PROGRESS_SHOWN = 200  # characters


@cache
def listed_before() -> Mapping[str, ListedTool]:
    """Return how the tools of the inventory are listed, by name, as `make snap` wrote it down.

    To make them all takes some 40 ms, and hosts ask for the list first.
    """
    entries = cast("list[dict[str, Any]]", json.loads(LISTED.read_text("utf-8")))
    tools = [ListedTool.model_validate(entry) for entry in entries]
    return {tool.name: tool for tool in tools}


def listed(tool: AnyTool) -> ListedTool:
    """Return *tool* as hosts see it in the list."""
    inputs = lean(tool.arguments.model_json_schema())
    # What is told of the arguments as a whole is for readers of the code.
    kept = {
        key: inputs[key] for key in inputs if key not in ("description", "additionalProperties")
    }
    return ListedTool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema={**kept, "additionalProperties": False},
        # What a result holds is plain from its names; prose would only cost bytes.
        output_schema=lean(tool.result.model_json_schema(), prose=False) if tool.result else None,
        # What is left out says its default: not idempotent, open to the world; and what only reads
        # can destroy nothing.
        annotations=ToolAnnotations(
            read_only_hint=tool.reads_only,
            destructive_hint=None if tool.reads_only else tool.destroys,
            open_world_hint=None if tool.open_world else False,
        ),
        _meta=meta_of(tool.name),
    )


def call_of(rooms: Rooms, ctx: Context[Any, Any]) -> Call:
    """Return what a tool is given of the call that *ctx* stands for."""

    async def progress(fraction: float, words: str) -> None:
        await ctx.report_progress(fraction, 1.0, one_line(words, PROGRESS_SHOWN))

    return Call(rooms, progress, asked_by=_client_name(ctx))


def _client_name(ctx: Context[Any, Any]) -> str:
    """Return the name under which the host introduced itself, or nothing."""
    params = getattr(ctx.session, "client_params", None)
    info = getattr(params, "client_info", None)
    return str(getattr(info, "name", ""))[:80]


# Words of a JSON Schema that cost bytes and tell a model nothing: titles are the names again, and
# bounds stand in the descriptions, since some hosts drop the keywords.
NULL = {"type": "null"}
_NOISE = ("title", "minimum", "maximum", "maxItems", "minItems")


def lean(schema: Mapping[str, Any], *, prose: bool = True) -> dict[str, Any]:
    """Return the JSON *schema* without automatic titles, empty defaults and nulls.

    Nothing here is ever sent as null: what is absent is left out. Without *prose*, descriptions are
    left out too, and which fields the parts of a result always have. What ``$defs`` hold (none of
    which holds itself) is spelled out where it is used: some hosts need that, and it is shorter.
    """
    parts: Mapping[str, Any] = schema.get("$defs", {})
    kept: dict[str, Any] = _lean(schema, parts, prose)
    return kept if prose or "required" not in schema else kept | {"required": schema["required"]}


def _lean(node: Any, parts: Mapping[str, Any], prose: bool) -> Any:  # noqa: ANN401  # any JSON
    if isinstance(node, list):
        return [_lean(item, parts, prose) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    kept: dict[str, Any] = {}
    entries = cast("dict[str, Any]", node)
    about = str(entries.get("description", "")).lower()
    for key, value in entries.items():
        if key == "anyOf" and NULL in value and len(value) == 2:
            branch = next(branch for branch in value if branch != NULL)
            kept.update(_lean(branch, parts, prose))
        elif key == "$ref":
            kept.update(_lean(parts[value.removeprefix("#/$defs/")], parts, prose))
        elif key == "properties":
            kept[key] = {name: _lean(inner, parts, prose) for name, inner in value.items()}
        elif key == "default" and "default" in about:
            continue  # it is said there, in words
        elif (
            key == "$defs"
            or (key in _NOISE and not isinstance(value, dict))
            or (key in ("description", "required") and not prose)
            or (key == "default" and value in ("", [], {}, False, 0, None))
            or (key == "additionalProperties" and value is True)
        ):
            continue
        else:
            kept[key] = _lean(value, parts, prose)
    return kept
