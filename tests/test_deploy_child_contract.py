"""What the programs around apps rely on in fal, held against the version that is pinned."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from server.deploy.environments import fal_wanted
from tests.deployed import tool

pytestmark = pytest.mark.proof

ATTRIBUTES = Path(__file__).parent / "data" / "fal-app-settings.json"

LOOK = """
import json, fal, inspect
from fal.api.api import FalServerlessHost
plain = (bool, int, float, str, list, dict, tuple, type(None))
settings = {
    name: value for name, value in sorted(vars(fal.App).items())
    if not name.startswith("_") and isinstance(value, plain)
}
print(json.dumps({
    "fal": fal.__version__,
    "settings": settings,
    "annotated": sorted(name for name in fal.App.__annotations__ if not name.startswith("_")),
    "host": sorted(FalServerlessHost._SUPPORTED_KEYS),
}, default=str))
"""

LIVES = """
import asyncio, json, fal
seen = []
class A(fal.App):
    def setup(self): seen.append("setup")
    def teardown(self): seen.append("teardown")
    @fal.endpoint("/")
    def run(self) -> dict: return {}
app = A(_allow_init=True)
asgi = app._build_app()
async def main():
    async with asgi.router.lifespan_context(asgi): seen.append("served")
asyncio.run(main())
from fal.api.api import FalServer
import fal.ref, fal.app, uvicorn
print(json.dumps({
    "seen": seen,
    "server": issubclass(FalServer, uvicorn.Server) and hasattr(FalServer, "set_handle_exit"),
    "current": callable(fal.ref.set_current_app),
    "packages": callable(fal.app._print_python_packages),
}))
"""

GUARD = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("run_app", sys.argv[1])
run_app = importlib.util.module_from_spec(spec); spec.loader.exec_module(run_app)
from fal.toolkit.utils import ssrf
run_app.let_files_through("127.0.0.1", 8443)
def resolve(host, port):
    try: return ssrf.resolve_and_validate_host(host, port)
    except ssrf.SSRFError: return "refused"
print(json.dumps([resolve("127.0.0.1", 8443), resolve("127.0.0.1", 8444), resolve("10.0.0.1", 8443),
    resolve("localhost", 8443), resolve("169.254.169.254", 80), resolve("1.1.1.1", 443)]))
"""


async def answer(home: Path, program: str, *arguments: str) -> Any:  # JSON of the program
    fal = await tool(home)
    with anyio.fail_after(30):
        done = await anyio.run_process([str(fal.python), "-I", "-c", program, *arguments])
    return json.loads(done.stdout.splitlines()[-1])


async def test_the_settings_of_an_app_are_those_that_falkit_knows(tmp_path: Path) -> None:
    found = await answer(tmp_path, LOOK)

    assert found["fal"] == fal_wanted()
    assert found == json.loads(ATTRIBUTES.read_text("utf-8"))


async def test_an_app_can_be_made_set_up_and_torn_down_without_the_cloud(tmp_path: Path) -> None:
    assert await answer(tmp_path, LIVES) == {
        "seen": ["setup", "served", "teardown"],
        "server": True,
        "current": True,
        "packages": True,
    }


async def test_the_toolkit_reads_from_the_files_host_and_from_no_other_private_address(
    tmp_path: Path,
) -> None:
    program = Path(__file__).parent.parent / "server" / "deploy" / "child" / "run_app.py"

    assert await answer(tmp_path, GUARD, str(program)) == [
        ["127.0.0.1"],
        *["refused"] * 4,
        ["1.1.1.1"],
    ]
