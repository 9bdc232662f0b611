"""Homes that cannot be used: one clear line, and everything that needs none goes on."""

from pathlib import Path

import pytest
from anyio import fail_after

from catalog.errors import ActionableError
from server.cli.keep import keep_jobs
from server.settings import Settings
from tests.house import connected, environment, served, words

CALL = {"endpoint_id": "fal-ai/flux/dev", "prompt": "a fox"}


async def test_a_home_that_is_no_folder_is_named_and_search_goes_on(tmp_path: Path) -> None:
    (tmp_path / "house").write_text("a file stands here")
    with fail_after(30):
        async with served(tmp_path) as client:
            for _ in range(2):
                refused = await client.call_tool("generate", CALL)
                assert refused.is_error
                assert str(tmp_path / "house") in words(refused)
                assert "FALKIT_HOME" in words(refused)
            found = await client.call_tool("search_models", {"query": "a picture"})
    assert not found.is_error


async def test_a_home_that_becomes_usable_is_used_by_the_next_call(tmp_path: Path) -> None:
    blocker = tmp_path / "house"
    blocker.write_text("a file stands here")
    with fail_after(20):
        async with connected(tmp_path) as client:
            assert (await client.call_tool("list_jobs", {})).is_error
            blocker.unlink()
            listed = await client.call_tool("list_jobs", {})
    assert not listed.is_error


@pytest.mark.proof  # it tries for ten seconds, as where a network is away
async def test_a_damaged_emulator_is_named_and_not_the_network(tmp_path: Path) -> None:
    folder = tmp_path / "house" / "emulator"
    folder.mkdir(parents=True)
    (folder / "emulator.db").write_bytes(b"this was a database" * 300)
    with fail_after(40):
        async with connected(tmp_path) as client:
            refused = await client.call_tool("generate", CALL)
    assert str(folder) in words(refused)
    assert "network" not in words(refused)
    assert "not charged" in words(refused)


async def test_a_command_names_a_home_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "house").write_text("a file stands here")
    with pytest.raises(ActionableError, match="FALKIT_HOME"):
        await keep_jobs(Settings.read(environment(tmp_path)), once=True)
