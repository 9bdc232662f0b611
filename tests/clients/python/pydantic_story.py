# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
"""An agent of Pydantic AI with a scripted model uses the tools for a whole story.

Runs in an environment of its own. Arguments: a URL, or the command of a server. Prints JSON.
"""

import asyncio
import json
import os
import sys

from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import FunctionModel
from scripted import step

calls = []
offered = []


def model(messages, info):
    offered[:] = [tool.name for tool in info.function_tools]
    parts = [part for message in messages for part in message.parts]
    shown = [part.content for part in parts if isinstance(part, ToolReturnPart)]
    said = step(shown)
    if isinstance(said, str):
        return ModelResponse(parts=[TextPart(said)])
    calls.append(said[0])
    assert len(calls) < 9, parts[-1]
    return ModelResponse(parts=[ToolCallPart(*said)])


async def main():
    target, *rest = sys.argv[1:]
    by_address = target.startswith("http")
    server = target if by_address else StdioTransport(target, rest, env=dict(os.environ))
    agent = Agent(FunctionModel(model), toolsets=[MCPToolset(server)])
    async with agent:
        return (await agent.run("make a picture of a fox and look at it")).output


said = json.loads(asyncio.run(main()))
print(json.dumps({**said, "calls": calls, "tools": offered}))  # noqa: T201
