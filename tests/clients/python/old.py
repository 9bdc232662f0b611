# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
"""The story of the TypeScript clients, told by the Python SDK before its second version.

Runs in an environment of its own. Arguments: a URL, or the command of a server. Prints JSON.
"""

import asyncio
import json
import os
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from mcp.shared.exceptions import McpError


async def story(read, write):
    told = []

    async def progress(_done, _total, words):
        told.append(words)

    async with ClientSession(read, write) as session:
        await session.initialize()

        async def call(name, arguments, **options):
            result = await session.call_tool(name, arguments, **options)
            assert not result.isError, result.content
            return result

        tools = [tool.name for tool in (await session.list_tools()).tools]
        found = await call("search_models", {"query": "a fast cheap picture from text", "limit": 3})
        model = found.structuredContent["models"][0]["endpoint_id"]
        price = await call(
            "estimate_cost", {"endpoint_id": model, "arguments": {"prompt": "a fox"}}
        )
        asked = {"endpoint_id": model, "prompt": "a fox"}
        job = (await call("generate", asked, progress_callback=progress)).structuredContent
        seen = await call("view_media", {"media": job["job_id"]})
        again = await call("job_status", {"job_id": job["job_id"]})
        try:
            await session.call_tool("no_such_tool", {})
            refused = ""
        except McpError as problem:
            refused = str(problem)
        guides = (await session.list_resources()).resources
        guide = await session.read_resource(guides[0].uri)
        return {
            "tools": tools,
            "model": model,
            "price": price.structuredContent["kind"],
            "state": job["state"],
            "told": len(told),
            "pictures": sum(block.type == "image" for block in seen.content),
            "same": again.structuredContent["job_id"] == job["job_id"],
            "refused": refused,
            "prompts": len((await session.list_prompts()).prompts),
            "guide": len(guide.contents[0].text),
        }


async def main():
    target, *rest = sys.argv[1:]
    if target.startswith("http"):
        async with streamablehttp_client(target) as (read, write, _session):
            return await story(read, write)
    server = StdioServerParameters(command=target, args=rest, env=dict(os.environ))
    async with stdio_client(server) as (read, write):
        return await story(read, write)


print(json.dumps(asyncio.run(main())))  # noqa: T201
