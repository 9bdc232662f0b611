"""Apps of this machine through falkit's own tools, by their ids like any model."""

import base64
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from PIL import Image

from server.deploy.local.target import open_local
from server.settings import Settings
from tests.house import connected, environment, record, words
from tests.local_apps import inspected, release_of, tools
from tools.errors import BackendError, NotConfiguredError


async def told(share: float, what: str) -> None:
    """Take progress that nobody reads."""


async def deployed(home: Path, **settings: Any) -> dict[str, str]:
    """Deploy the kitchen into a house at *home*, and return the settings of that house."""
    more = {"FALKIT_DEPLOY": "local", "FALKIT_DEPLOY_TOOLS": str(tools())}
    async with open_local(Settings.read(environment(home, **more))) as target:
        await target.release(await release_of(home, **settings), told)
    return more


async def called(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    return record(await client.call_tool(tool, arguments))


@pytest.mark.proof
async def test_an_app_of_this_machine_is_used_like_any_model(tmp_path: Path) -> None:
    more = await deployed(tmp_path)
    picture = tmp_path / "given.png"
    Image.new("RGB", (40, 30), "teal").save(picture)
    async with connected(tmp_path, **more) as client:
        with anyio.fail_after(60):
            card = await called(client, "describe_model", endpoint_id="local/kitchen/picture")
            assert card["endpoint_id"] == "local/kitchen/picture"
            quote = await called(
                client, "estimate_cost", endpoint_id="local/kitchen", arguments={"prompt": "x"}
            )
            assert (quote["kind"], quote["high"]) == ("exact", 0)
            assert "this machine" in quote["source"]
            job = await called(client, "generate", endpoint_id="local/kitchen", prompt="hello")
            assert job["state"] == "done"
            assert "echo hello" in str(job)
            made = await called(
                client,
                "generate",
                endpoint_id="local/kitchen/picture",
                arguments={"image_url": str(picture), "size": 16},
            )
            assert made["state"] == "done"
            assert Path(made["outputs"][0]["path"]).read_bytes().startswith(b"\x89PNG")
            batch = await called(
                client,
                "run_batch",
                endpoint_ids=["local/kitchen"],
                inputs=[{"prompt": word} for word in ("a", "b", "c")],
            )
            assert batch["state"] == "done"
            assert len(batch["items"]) == 3
            code = await called(
                client,
                "write_code",
                endpoint_id="local/kitchen",
                arguments={"prompt": "x"},
                language="python",
                style="queue",
            )
            assert "local/kitchen" in code["code"]
            refused = await client.call_tool(
                "generate", {"endpoint_id": "local/kitchen", "arguments": {"promt": "x"}}
            )
            assert refused.is_error
            assert "prompt" in words(refused)
            missing = await client.call_tool("describe_model", {"endpoint_id": "local/kitschen"})
            assert missing.is_error


PRESS = """
import base64

import fal
from fastapi import Response

PICTURE = base64.b64decode("%s")

class Press(fal.App):
    @fal.endpoint("/picture")
    async def picture(self) -> Response:
        return Response(PICTURE, media_type="image/png")

    @fal.endpoint("/unnamed")
    async def unnamed(self) -> Response:
        return Response(PICTURE, media_type="application/octet-stream")

    @fal.endpoint("/table")
    async def table(self) -> Response:
        return Response("a,b\\n1,2\\n", media_type="text/csv")

    @fal.endpoint("/odd")
    async def odd(self) -> Response:
        return Response(b"\\x00\\x01odd", media_type="application/x-odd")
"""


@pytest.mark.proof
async def test_an_app_that_answers_with_bytes_makes_a_file_of_their_kind(tmp_path: Path) -> None:
    png = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(png, "PNG")
    text = PRESS % base64.b64encode(png.getvalue()).decode()
    more = {"FALKIT_DEPLOY": "local", "FALKIT_DEPLOY_TOOLS": str(tools())}
    async with open_local(Settings.read(environment(tmp_path, **more))) as target:
        await target.release(await inspected(await release_of(tmp_path, text), tmp_path), told)
    made: dict[str, dict[str, Any]] = {}
    async with connected(tmp_path, **more) as client:
        with anyio.fail_after(60):
            for path in ("picture", "unnamed", "table", "odd"):
                job = await called(client, "generate", endpoint_id=f"local/kitchen/{path}")
                assert (job["state"], len(job["outputs"])) == ("done", 1), job
                made[path] = job["outputs"][0]
    files = {path: Path(one["path"]) for path, one in made.items()}
    assert {path: file.suffix for path, file in files.items()} == {
        "picture": ".png", "unnamed": ".png", "table": ".csv", "odd": ".bin",
    }  # fmt: skip
    for path in ("picture", "unnamed"):
        assert made[path]["kind"] == "image"
        with Image.open(files[path]) as picture:
            assert picture.size == (40, 30)
    assert files["table"].read_bytes() == b"a,b\n1,2\n"
    assert files["odd"].read_bytes() == b"\x00\x01odd"


@pytest.mark.proof
def test_run_on_the_command_line_saves_the_bytes_of_an_app(tmp_path: Path) -> None:
    more = {"FALKIT_DEPLOY": "local", "FALKIT_DEPLOY_TOOLS": str(tools())}
    environ = environment(tmp_path, **more)

    async def deploy() -> None:
        async with open_local(Settings.read(environ)) as target:
            text = PRESS % base64.b64encode(b"\x89PNG").decode()
            await target.release(await inspected(await release_of(tmp_path, text), tmp_path), told)

    anyio.run(deploy)
    ran = subprocess.run(
        [sys.executable, "-m", "falkit", "run", "local/kitchen/table", "--json"],
        env={**os.environ, **environ}, cwd=tmp_path, capture_output=True, text=True, check=True,
        timeout=60,
    )  # fmt: skip
    (output,) = json.loads(ran.stdout)["outputs"]
    assert Path(output["path"]).read_text("utf-8") == "a,b\n1,2\n"
    assert output["path"].endswith(".csv")


async def test_without_apps_nothing_of_the_deploy_room_is_asked(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        missing = await client.call_tool("describe_model", {"endpoint_id": "local/kitchen"})
    assert missing.is_error
    assert not (tmp_path / "house" / "deploy" / "local.db").exists()


async def test_without_an_interpreter_that_has_fal_nothing_is_deployed(tmp_path: Path) -> None:
    more = {"FALKIT_DEPLOY": "local", "FALKIT_DEPLOY_TOOLS": str(tmp_path / "nothing")}
    async with open_local(Settings.read(environment(tmp_path, **more))) as target:
        with pytest.raises(NotConfiguredError, match="no Python that runs"):
            await target.release(await release_of(tmp_path), told)
        with pytest.raises(BackendError, match="no name for an app"):
            await target.release(await release_of(tmp_path, name="../up"), told)
        with pytest.raises(BackendError, match="container image"):
            await target.release(await release_of(tmp_path, image=True), told)
        assert not await target.apps()
