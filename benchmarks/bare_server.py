"""The smallest server of the SDK, to measure beside: one tool, the SDK's own transports.

It speaks over stdio, or over HTTP on the port that is named.
"""

import sys

from mcp.server import MCPServer

server = MCPServer[None]("bare", log_level="WARNING")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


if __name__ == "__main__":
    if sys.argv[1:]:
        server.run("streamable-http", port=int(sys.argv[1]), stateless_http=True)
    else:
        server.run()
