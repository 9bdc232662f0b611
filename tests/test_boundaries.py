"""Keys stay home, and without a network the whole house works on loopback."""

import json
import os
from pathlib import Path

from anyio import fail_after

from tests.house import record, served

KEY = "11112222-3333-4444-5555-666677778888:topsecrettopsecret"

# Installed as sitecustomize, it writes down every address that the process (and its children) asks
# the system for.
FLUX = {"endpoint_id": "fal-ai/flux/schnell"}
SMALL = {"image_size": {"width": 64, "height": 64}}
WATCH = """
import os, sys
def watch(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.bind"):
        with open(os.environ["SOCKETS_SEEN"], "a") as seen:
            seen.write(repr((event, args[1:] if event != "socket.getaddrinfo" else args)) + "\\n")
sys.addaudithook(watch)
"""


async def test_with_a_key_set_and_the_emulator_chosen_no_socket_leaves_loopback(
    tmp_path: Path,
) -> None:
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "sitecustomize.py").write_text(WATCH)
    seen = tmp_path / "seen"
    seen.touch()
    more = {
        "FAL_KEY": KEY,
        "PYTHONPATH": f"{tmp_path / 'hooks'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "SOCKETS_SEEN": str(seen),
    }
    with fail_after(50):
        async with served(tmp_path, **more) as client:
            made = record(
                await client.call_tool(
                    "generate",
                    {"endpoint_id": "fal-ai/flux/dev", "prompt": "a red fox", "arguments": SMALL},
                )
            )
            assert made["state"] == "done"
            edited = await client.call_tool(
                "edit",
                {"operation": "instruct", "media": made["job_id"], "instruction": "make it night"},
            )
            assert record(edited)["backend"] == "emulator"
            await client.call_tool("view_media", {"media": made["job_id"]})
    outside = [
        line
        for line in seen.read_text().splitlines()
        if not any(near in line for near in ("127.0.0.1", "'::1'", "localhost", "/tmp/"))  # noqa: S108
    ]
    assert outside == []


async def test_a_key_is_in_no_answer_no_file_and_no_log(tmp_path: Path) -> None:
    with fail_after(50):
        async with served(tmp_path, FAL_KEY=KEY) as client:
            answers = [
                await client.call_tool(name, arguments)
                for name, arguments in (
                    ("generate", {**FLUX, "prompt": "a key", "arguments": SMALL}),
                    ("generate", {**FLUX, "arguments": {"x": KEY}}),
                    ("list_jobs", {}),
                )
            ]
    for answer in answers[::2]:
        assert "topsecret" not in json.dumps(answer.model_dump(mode="json"))
    kept = [
        path for path in tmp_path.rglob("*") if path.is_file() and b"topsecret" in path.read_bytes()
    ]
    assert kept == []
