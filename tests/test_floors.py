"""What the start may import: nothing that a call may never need."""

import re
import sys
from pathlib import Path

from tests.raw import speak

CHECKOUT = Path(__file__).parent.parent
BARE = CHECKOUT / "benchmarks" / "bare_server.py"
ROOMS = {"falkit", "server", "tools", "prompts", "catalog"}
LATE = {
    "PIL",
    "av",
    "httpx",
    "httpx_sse",
    "jinja2",
    "jsonschema",
    "msgpack",
    "platformdirs",
    "sqlite3",
    "typer",
    "websockets",
}
LATE_ROOMS = ("server.cli.person", "server.emulator", "server.fal", "server.jobs", "server.media")


def imported(tmp_path: Path, *command: str | Path) -> set[str]:
    """Return the modules that a server has imported when it has answered `tools/list`."""
    spoken = speak([sys.executable, "-X", "importtime", *command], ("tools/list", {}), cwd=tmp_path)
    return set(re.findall(r"^import time:.*\| +(\S+)$", spoken.errors, re.MULTILINE))


def test_the_start_imports_no_more_than_a_bare_server_and_the_rooms_it_needs(
    tmp_path: Path,
) -> None:
    bare = imported(tmp_path, BARE)
    ours = imported(tmp_path, "-m", "falkit", "serve")
    assert {"mcp.server", "pydantic"} <= bare & ours

    roofs = {module.split(".")[0] for module in ours}
    assert roofs & LATE == set()
    assert {module for module in ours if module.startswith(LATE_ROOMS)} == set()
    strangers = roofs - {module.split(".")[0] for module in bare}
    assert strangers - ROOMS - set(sys.stdlib_module_names) == set()
