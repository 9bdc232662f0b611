"""`falkit keep` finds everything that is unfinished, and `--once` leaves only when all of it is."""

from pathlib import Path
from typing import Any

import pytest
from anyio import fail_after

from server.cli.keep import keep_jobs
from server.settings import Settings
from tests.emulated import emulated
from tests.house import connected, environment, record

CALL: dict[str, Any] = {
    "endpoint_id": "fal-ai/flux/dev",
    "arguments": {"image_size": {"width": 64, "height": 64}},
}


async def strike(home: Path, **fault: Any) -> None:
    async with emulated(home / "house" / "emulator") as control:
        assert (await control.post("/_emulator/faults", json=fault)).is_success


async def kept(home: Path, **more: str) -> None:
    with fail_after(30):
        await keep_jobs(Settings.read({**environment(home), **more}), once=True)


@pytest.mark.proof
async def test_a_job_behind_many_others_is_kept_to_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = {"FALKIT_ASK_ON_EMULATOR": "on", "FALKIT_APPROVE_ABOVE": "0.03"}
    await strike(tmp_path, fault="slow", seconds=2)
    async with connected(tmp_path, **held) as client:
        call = {**CALL, "prompt": "slow", "wait_seconds": 0}
        slow = record(await client.call_tool("generate", call))["job_id"]
        for number in range(60):
            many = {**CALL["arguments"], "num_images": 4}
            dear = {**CALL, "prompt": f"fox {number}", "arguments": many}
            assert record(await client.call_tool("generate", dear))["state"] == "held"
    await kept(tmp_path)
    assert f"{slow} done saved" in capsys.readouterr().out


async def test_a_file_that_could_not_be_had_is_tried_again_before_it_leaves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await strike(tmp_path, fault="expired_file", times=1)
    async with connected(tmp_path) as client:
        job = record(await client.call_tool("generate", {**CALL, "prompt": "fox"}))
        assert not job["saved"]
    await kept(tmp_path)
    assert f"{job['job_id']} done saved" in capsys.readouterr().out


async def test_a_job_of_another_address_is_shown_and_not_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await strike(tmp_path, fault="stuck")
    async with connected(tmp_path) as client:
        job = record(
            await client.call_tool("generate", {**CALL, "prompt": "fox", "wait_seconds": 0})
        )
    key = {"FALKIT_BACKEND": "cloud", "FAL_KEY": "some:secret"}
    await kept(tmp_path, **key, FALKIT_QUEUE_URL="http://127.0.0.1:9/queue")
    assert job["job_id"] in capsys.readouterr().out
