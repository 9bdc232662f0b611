"""The platform fails, hosts are odd, files vanish: one clear line each, and nothing is lost."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from anyio import fail_after
from mcp import Client, StdioServerParameters
from PIL import Image

from tests.emulated import emulated
from tests.house import connected, environment, record, served, words

FLUX = "fal-ai/flux/dev"
SMALL = {"image_size": {"width": 64, "height": 64}}


async def strike(home: Path, **fault: Any) -> None:
    """Let the next request to the emulator of *home* fail."""
    async with emulated(home / "house" / "emulator") as control:
        answer = await control.post("/_emulator/faults", json=fault)
        assert answer.is_success, answer.text


async def submits(home: Path) -> int:
    """Return how many requests the emulator of *home* accepted."""
    async with emulated(home / "house" / "emulator") as control:
        counts = (await control.get("/_emulator/counts")).json()
        return sum(counts["submits"].values())


@pytest.mark.proof
async def test_a_single_429_is_waited_out_and_submitted_once(tmp_path: Path) -> None:
    await strike(tmp_path, fault="429", seconds=1)
    with fail_after(20):
        async with connected(tmp_path) as client:
            made = record(
                await client.call_tool(
                    "generate", {"endpoint_id": FLUX, "prompt": "a fox", "arguments": SMALL}
                )
            )
    assert made["state"] == "done"
    assert await submits(tmp_path) == 1


@pytest.mark.parametrize(
    ("fault", "said"), [("500", "not charged"), ("locked", "balance"), ("moderation", "content")]
)
async def test_a_refusal_is_one_clear_line_and_the_next_call_is_free_to_succeed(
    tmp_path: Path, fault: str, said: str
) -> None:
    call = {"endpoint_id": FLUX, "prompt": "a fox", "arguments": SMALL}
    await strike(tmp_path, fault=fault)
    with fail_after(20):
        async with connected(tmp_path) as client:
            refused = await client.call_tool("generate", call)
            listed = record(await client.call_tool("list_jobs", {}))
            made = record(await client.call_tool("generate", call))
    told = words(refused)
    assert refused.is_error
    assert said in told.lower() or said in json.dumps(refused.structured_content or {}).lower()
    assert "Traceback" not in told
    assert [job["state"] for job in listed["jobs"]] == ["failed"]
    assert made["state"] == "done"


async def test_a_lost_answer_is_looked_for_and_never_sent_again(tmp_path: Path) -> None:
    call = {"endpoint_id": FLUX, "prompt": "a fox", "arguments": SMALL}
    await strike(tmp_path, fault="drop")
    with fail_after(30):
        async with connected(tmp_path) as client:
            first = await client.call_tool("generate", call)
            assert first.structured_content is not None
            job_id = first.structured_content["job_id"]
            second = await client.call_tool("generate", call)
            assert second.structured_content is not None
            assert second.structured_content["job_id"] == job_id
    assert await submits(tmp_path) == 1


async def test_a_file_that_vanishes_is_named_and_nothing_is_sent(tmp_path: Path) -> None:
    picture = tmp_path / "größe 1.png"
    Image.new("RGB", (32, 32), "red").save(picture)
    call = {"operation": "instruct", "media": str(picture), "instruction": "make it blue"}
    with fail_after(20):
        async with connected(tmp_path) as client:
            assert record(await client.call_tool("edit", call))["state"] == "done"
            picture.unlink()
            gone = await client.call_tool("edit", {**call, "instruction": "make it green"})
    assert gone.is_error
    assert "größe 1.png" in words(gone)
    assert await submits(tmp_path) == 1


@pytest.mark.proof  # beside it, the ordinary tests run in a home of plain letters
async def test_a_home_with_spaces_and_umlauts_works_over_pipes(tmp_path: Path) -> None:
    home = tmp_path / "Mein Ordner für Bilder"
    home.mkdir()
    with fail_after(40):
        async with served(home) as client:
            made = record(
                await client.call_tool(
                    "generate", {"endpoint_id": FLUX, "prompt": "Ein Fuchs", "arguments": SMALL}
                )
            )
    assert Path(made["outputs"][0]["path"]).is_file()


async def test_a_working_folder_of_root_reads_nothing_there_and_still_works(
    tmp_path: Path,
) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAL")}
    given = {**kept, **environment(tmp_path), "HOME": str(tmp_path)}
    del given["FALKIT_ROOTS"]
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "falkit", "serve"], env=given, cwd="/"
    )
    with fail_after(40):
        async with Client(server) as client:
            for path in ("etc/passwd", "/etc/hostname"):
                refused = await client.call_tool("upload_file", {"path": path})
                assert refused.is_error, refused
            call = {"endpoint_id": FLUX, "prompt": "x", "arguments": SMALL}
            made = record(await client.call_tool("generate", call))
    assert Path(made["outputs"][0]["path"]).is_relative_to(tmp_path)


async def test_an_unfilled_key_serves_the_emulator_and_says_so(tmp_path: Path) -> None:
    more = {"FAL_KEY": "${user_config.key}", "FALKIT_BACKEND": "auto"}
    with fail_after(40):
        async with served(tmp_path, **more) as client:
            assert "emulator" in (client.instructions or "")
            made = record(
                await client.call_tool(
                    "generate", {"endpoint_id": FLUX, "prompt": "x", "arguments": SMALL}
                )
            )
    assert made["backend"] == "emulator"


def test_a_malformed_key_ends_the_start_in_one_line_without_the_key(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "falkit", "serve"],
        env={**environment(tmp_path), "FAL_KEY": "secretsecretsecret", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 2
    assert "id:secret" in ended.stderr
    assert "secretsecret" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def answered_at_a_terminal(home: Path, job_id: str, answer: str, *options: str, **more: str) -> str:
    """Run `falkit approve` at a terminal, type *answer*, and return what the screen showed."""
    ours, theirs = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAL")}
    process = subprocess.Popen(
        [sys.executable, "-m", "falkit", "approve", job_id, *options],
        env={**kept, **environment(home, **more)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        close_fds=True,
    )
    os.close(theirs)
    screen = ""
    try:
        while "Type yes" not in screen:
            screen += os.read(ours, 4096).decode()
        os.write(ours, f"{answer}\n".encode())
        while True:
            screen += os.read(ours, 4096).decode()
    except OSError:  # the other end is closed: the command is over
        pass
    finally:
        process.wait(20)
        os.close(ours)
    return screen


async def test_a_job_over_the_limit_is_held_until_a_person_says_yes(tmp_path: Path) -> None:
    more = {"FALKIT_ASK_ON_EMULATOR": "on", "FALKIT_APPROVE_ABOVE": "0.001"}
    call = {"endpoint_id": FLUX, "prompt": "a fox", "arguments": SMALL}
    with fail_after(50):
        async with connected(tmp_path, **more) as client:
            held = record(await client.call_tool("generate", call))
            assert held["state"] == "held"
            job_id = held["job_id"]
            assert f"falkit approve {job_id}" in held["next"]
            assert record(await client.call_tool("generate", call))["job_id"] == job_id

            alone = subprocess.run(
                [sys.executable, "-m", "falkit", "approve", job_id],
                env={**os.environ, **environment(tmp_path, **more)},
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=30,
                check=False,
            )
            assert alone.returncode == 2
            assert "terminal" in alone.stderr

            screen = answered_at_a_terminal(tmp_path, job_id, "no", **more)
            assert "a fox" in screen
            assert "$0.025" in screen
            still = record(await client.call_tool("job_status", {"job_id": job_id}))
            assert still["state"] == "held"

            answered_at_a_terminal(tmp_path, job_id, "yes", **more)
            done = record(await client.call_tool("job_status", {"job_id": job_id}))
    assert done["state"] == "done"
    assert await submits(tmp_path) == 1


async def test_a_list_of_pictures_is_packed_where_a_model_wants_an_archive(tmp_path: Path) -> None:
    files: list[str] = []
    for number, colour in enumerate(("red", "green", "blue", "white")):
        file = tmp_path / f"{number}.png"
        Image.new("RGB", (64, 64), colour).save(file)
        files.append(file.name)
    arguments = {"images_data_url": files, "steps": 100}
    with fail_after(30):
        async with connected(tmp_path) as client:
            made = record(
                await client.call_tool(
                    "generate",
                    {"endpoint_id": "fal-ai/flux-lora-fast-training", "arguments": arguments},
                )
            )
    assert made["state"] == "done"


@pytest.mark.proof
async def test_a_model_approved_for_the_day_is_not_asked_about_again(tmp_path: Path) -> None:
    more = {"FALKIT_ASK_ON_EMULATOR": "on", "FALKIT_APPROVE_ABOVE": "0.001"}
    call = {"endpoint_id": FLUX, "prompt": "a fox", "arguments": SMALL}
    with fail_after(50):
        async with connected(tmp_path, **more) as client:
            held = record(await client.call_tool("generate", call))
            screen = answered_at_a_terminal(
                tmp_path, held["job_id"], "yes", "--endpoint-today", **more
            )
            other = record(await client.call_tool("generate", {**call, "prompt": "an owl"}))
            asked = {**call, "endpoint_id": "fal-ai/flux/schnell"}
            third = record(await client.call_tool("generate", asked))
    assert "until midnight" in screen
    assert (other["state"], third["state"]) == ("done", "held")


def test_pruning_forgets_nothing_of_this_month_and_says_how_many(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "falkit", "jobs", "prune", "--days", "1", "--dry-run"],
        env={**os.environ, **environment(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("0 jobs that ended more than 1 days ago would be forgotten")
