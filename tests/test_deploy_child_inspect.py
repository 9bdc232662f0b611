"""Inspection: what an app is, without its key, its network or its patience."""

from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from server.deploy.inspecting import Inspection, inspect
from tests.deployed import needs_namespaces, tool, written
from tools.errors import BackendError

pytestmark = pytest.mark.proof

KITCHEN = """
from typing import AsyncIterator
from fastapi import WebSocket
from fastapi.responses import StreamingResponse
from fal.toolkit import Image

print("made at import")
os.system("echo by a child")

class Order(BaseModel):
    dish: str
    guests: int = 2

class Plate(BaseModel):
    picture: Image | None = None
    order: Order

class Kitchen(fal.App, keep_alive=30):
    app_name = "kitchen"
    app_auth = "shared"
    machine_type = ["L", "XL"]
    requirements = ["pillow==12.0.0"]
    max_concurrency = 3
    max_multiplexing = 4
    request_timeout = 90
    secrets = ["HF_TOKEN"]

    @fal.endpoint("/")
    def run(self, order: Order) -> Plate:
        return Plate(order=order)

    @fal.endpoint("/stream")
    async def stream(self, order: Order):
        return StreamingResponse(iter([]), media_type="text/event-stream")

    @fal.realtime("/realtime", buffering=16)
    async def realtime(self, order: Order) -> AsyncIterator[Plate]:
        yield Plate(order=order)

    @fal.endpoint("/ws", is_websocket=True)
    async def raw(self, ws: WebSocket) -> None:
        await ws.accept()

    @fal.endpoint("/ready", health_check=fal.HealthCheck())
    def ready(self) -> dict:
        return {}
"""


async def inspected(folder: Path, source: str, *, seconds: float = 20.0) -> Inspection:
    fal = await tool(folder / "home")
    return await inspect(written(folder / "source", source), "app.py", "", fal, seconds=seconds)


async def test_an_inspection_tells_routes_settings_and_schemas_that_stand_alone(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(20):
        app = await inspected(tmp_path, KITCHEN)

    assert (app.app_name, app.class_name, app.health) == ("kitchen", "Kitchen", "/ready")
    assert {route.path: route.kind for route in app.routes} == {
        "/": "call",
        "/realtime": "realtime",
        "/stream": "stream",
        "/ws": "websocket",
    }
    first = app.routes[0]
    assert set(first.input_schema["properties"]) == {"dish", "guests"}
    assert set(first.output_schema["$defs"]) == {"Image", "Order"}
    assert "components" not in str(first.output_schema)
    settings = app.settings
    assert settings.machine_types == ("L", "XL")
    assert (settings.keep_alive, settings.max_concurrency, settings.max_multiplexing) == (30, 3, 4)
    assert (settings.request_timeout, settings.auth) == (90, "shared")
    assert (settings.secrets, settings.requirements) == (("HF_TOKEN",), ("pillow==12.0.0",))
    assert set(app.said) == {"made at import", "by a child"}
    assert app.openapi["info"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param("import torch\n", ["No module named 'torch'", "app.py:9"], id="heavy"),
        pytest.param("while True: pass\n", ["did not end within 2 seconds"], id="endless"),
        pytest.param("while True: print('x' * 9999)\n", ["more than 4 MB"], id="loud"),
        pytest.param("os._exit(3)\n", ["ended with status 3"], id="exits"),
        pytest.param("os.kill(os.getpid(), 11)\n", ["SIGSEGV"], id="crashes"),
        pytest.param("x = bytearray(8 << 30)\n", ["MemoryError"], id="eats memory"),
        pytest.param(
            "import urllib.request\nurllib.request.urlopen('http://192.0.2.1')\n",
            ["Network is unreachable", "app.py:10"],
            id="asks the network",
        ),
        pytest.param(
            "class A(fal.App):\n    @fal.endpoint('/', is_websocket=True)\n    def a(self): pass\n",
            ["websocket"],
            id="bad websocket",
        ),
        pytest.param(
            "class A(fal.App):\n    def __init__(self): pass\n", ["Use setup() instead"], id="init"
        ),
        pytest.param(
            "class A(fal.App): pass\nclass B(fal.App): pass\n", ["several", "A, B"], id="several"
        ),
    ],
)
async def test_what_cannot_be_inspected_says_why_with_its_line(
    tmp_path: Path, source: str, words: Sequence[str]
) -> None:
    if "urllib" in source:
        needs_namespaces()
    with anyio.fail_after(20), pytest.raises(BackendError) as failure:
        await inspected(tmp_path, source, seconds=2.0 if "while" in source else 15.0)

    for part in words:
        assert part in str(failure.value)
    assert "Traceback" not in str(failure.value)


async def test_an_app_that_writes_its_own_answer_to_every_descriptor_fools_nobody_for_long(
    tmp_path: Path,
) -> None:
    source = (
        "for n in range(20):\n"
        + "    try: os.write(n, b'not json\\n[1]\\n{\"app\": {}}\\n\\x00\\xff\\n')\n"
        + "    except OSError: pass\n"
        + "class A(fal.App):\n    @fal.endpoint('/')\n    def a(self) -> dict: return {}\n"
    )
    with anyio.fail_after(20):
        app = await inspected(tmp_path, source)

    assert app.class_name == "A"


async def test_an_inspection_takes_under_a_second_and_a_half_and_sees_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAL_KEY", "real:secret")
    with anyio.fail_after(60):
        source = KITCHEN + "\nprint(dict(os.environ))\n"
        seconds = min([(await inspected(tmp_path, source)).seconds for _ in range(3)])
        fal = await tool(tmp_path)
        began = anyio.current_time()
        await anyio.run_process([str(fal.python), "-I", "-c", "import fal"])
        bare = anyio.current_time() - began  # half a second, on a machine that does nothing else
        said = (await inspected(tmp_path, source)).said

    assert seconds < max(1.5, 2 * bare)
    assert "secret" not in str(said)
