# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
"""An agent of LangChain with a scripted model uses the tools for a whole story.

Runs in an environment of its own. Arguments: a URL, or the command of a server. Prints JSON.
"""

import asyncio
import json
import os
import sys
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_mcp_adapters.client import MultiServerMCPClient
from scripted import step

calls = []


class Scripted(BaseChatModel):
    @property
    def _llm_type(self):
        return "scripted"

    def bind_tools(self, tools: Any, **_options: Any):
        return self

    def _generate(self, messages, stop=None, run_manager=None, **_options):
        shown = [message.content for message in messages if isinstance(message, ToolMessage)]
        said = step(shown)
        if isinstance(said, str):
            message = AIMessage(said)
        else:
            calls.append(said[0])
            name, arguments = said
            message = AIMessage(
                "", tool_calls=[{"name": name, "args": arguments, "id": f"call-{len(calls)}"}]
            )
        return ChatResult(generations=[ChatGeneration(message=message)])


async def main():
    target, *rest = sys.argv[1:]
    by_address = {"transport": "streamable_http", "url": target}
    piped = {"transport": "stdio", "command": target, "args": rest, "env": dict(os.environ)}
    client = MultiServerMCPClient({"falkit": by_address if target.startswith("http") else piped})
    tools = await client.get_tools()
    agent = create_agent(Scripted(), tools)
    done = await agent.ainvoke({"messages": [("user", "make a picture of a fox and look at it")]})
    return {
        **json.loads(done["messages"][-1].content),
        "calls": calls,
        "tools": [tool.name for tool in tools],
    }


print(json.dumps(asyncio.run(main())))  # noqa: T201
