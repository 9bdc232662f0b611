"""Apps of this machine through falkit's own tools, by their ids like any model."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from PIL import Image

from server.deploy.local.target import open_local
from server.settings import Settings
from tests.house import connected, environment, record, words
from tests.local_apps import release_of, tools
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
