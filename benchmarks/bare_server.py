"""The smallest server of the SDK, to measure beside: one tool, the SDK's own stdio transport."""

from mcp.server import MCPServer

server = MCPServer[None]("bare")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


if __name__ == "__main__":
    server.run()
