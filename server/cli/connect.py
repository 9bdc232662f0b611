"""How to connect an assistant."""

import json
import shutil
import sys
from pathlib import Path


def serve_command() -> list[str]:
    """Return the command that starts the server on this machine, with absolute paths."""
    script = shutil.which("falkit", path=str(Path(sys.executable).parent))
    return [script, "serve"] if script else [sys.executable, "-m", "falkit", "serve"]


def connect_words() -> str:
    """Return how to connect one assistant, ready to copy."""
    command, *arguments = serve_command()
    entry = {"mcpServers": {"falkit": {"command": command, "args": arguments}}}
    spelled = " ".join([command, *arguments])
    return (
        "Connect an assistant:\n"
        f"  Claude Code:  claude mcp add falkit -- {spelled}\n"
        "  Others, in their MCP settings:\n"
        f"  {json.dumps(entry)}\n"
        "Set FAL_KEY in its environment to run on fal instead of the emulator."
    )
