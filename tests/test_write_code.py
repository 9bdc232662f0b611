"""The code that is handed out compiles, and does on the emulator what it says."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio.from_thread
import pytest

from catalog.code import LANGUAGES, STYLES, code_for
from catalog.code_uploads import Upload
from catalog.describe import example_arguments
from catalog.errors import ActionableError
from catalog.index import CatalogIndex
from tests.emulated import on_a_port
from tests.house import connected, record, words

CATALOG = CatalogIndex.open()
SMALL = {"prompt": 'it\'s a "fox"\nin snow', "image_size": {"width": 64, "height": 64}}
SIZE = {"image_size": {"width": 64, "height": 64}}
POINTED = """
import fal_client.client as fal
base = "http://127.0.0.1:{port}"
fal.RUN_URL_FORMAT = base + "/run/"
fal.QUEUE_URL_FORMAT = base + "/queue/"
fal.REALTIME_URL_FORMAT = "ws://127.0.0.1:{port}/run/"
fal.REST_URL = base + "/rest"
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(on_a_port(tmp_path_factory.mktemp("fal"))) as port,
    ):
        yield port


def one_of_each_category() -> list[str]:
    found: dict[str, str] = {}
    for card in CATALOG.cards():
        if card.status == "active" and card.completeness == "full":
            found.setdefault(card.category, card.endpoint_id)
    return list(found.values())


@pytest.mark.parametrize("style", ["run", "queue", "stream", "webhook"])
def test_python_runs_against_the_emulator(port: int, style: str) -> None:
    made = code_for(CATALOG.get("fal-ai/flux/dev"), SMALL, "python", style)
    ended = subprocess.run(
        [sys.executable, "-c", POINTED.format(port=port) + made.code],
        env={**os.environ, "FAL_KEY": "emulator:local"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ("request" in ended.stdout) if style == "webhook" else ("images" in ended.stdout)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
@pytest.mark.parametrize("style", ["run", "stream"])
def test_curl_runs_against_the_emulator(port: int, style: str) -> None:
    made = code_for(CATALOG.get("fal-ai/flux/dev"), SMALL, "curl", style)
    here = made.code.replace("https://fal.run", f"http://127.0.0.1:{port}/run")
    ended = subprocess.run(
        ["bash", "-c", here],
        env={**os.environ, "FAL_KEY": "emulator:local"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "images" in ended.stdout


def test_python_compiles_for_every_category_and_style() -> None:
    for endpoint_id in one_of_each_category():
        card = CATALOG.get(endpoint_id)
        for style in ("run", "queue", "stream", "realtime", "webhook"):
            made = code_for(card, example_arguments(card), "python", style)
            compile(made.code, endpoint_id, "exec")


def test_every_language_says_the_arguments_as_they_are() -> None:
    card = CATALOG.get("fal-ai/flux/dev")
    script = code_for(card, SMALL, "typescript", "queue").code
    held = script.split("const input = ")[1].split(";\nconst result")[0]
    assert json.loads(held) == SMALL


def test_languages_and_styles_go_by_their_usual_other_names() -> None:
    card = CATALOG.get("fal-ai/flux/dev")
    for language, style in (("js", "subscribe"), ("node", "async"), ("TypeScript", "submit")):
        assert code_for(card, SMALL, language, style) == code_for(
            card, SMALL, "typescript", "queue"
        )
    assert code_for(card, SMALL, "bash", "sync") == code_for(card, SMALL, "curl", "run")


def test_a_language_or_style_that_is_not_there_names_those_that_are() -> None:
    card = CATALOG.get("fal-ai/flux/dev")
    with pytest.raises(ActionableError, match="python, typescript, curl"):
        code_for(card, SMALL, "rust", "run")
    with pytest.raises(ActionableError, match="run, queue"):
        code_for(card, SMALL, "python", "batch")
    with pytest.raises(ActionableError, match="curl has run, queue, stream, webhook"):
        code_for(card, SMALL, "curl", "realtime")
    assert len(LANGUAGES) * len(STYLES) > 15


async def test_the_tool_checks_the_arguments_and_runs_nothing(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        made = record(
            await client.call_tool(
                "write_code", {"endpoint_id": "fal-ai/flux/dev", "arguments": {"prompt": "a fox"}}
            )
        )
        assert "a fox" in made["code"]
        wrong = await client.call_tool(
            "write_code", {"endpoint_id": "fal-ai/flux/dev", "arguments": {"promt": "a fox"}}
        )
        assert "prompt" in words(wrong)
        assert wrong.is_error
        long = {"prompt": "fox " * 200_000, "seed": 7}
        call = {"endpoint_id": "fal-ai/flux/dev", "arguments": long}
        cut = await client.call_tool("write_code", call)
        assert len(words(cut)) < 3000
        assert "prompt has 800,000 characters" in " ".join(record(cut)["notes"])
        assert '"seed": 7' in record(cut)["code"]
        many = {"prompt": "a fox", "loras": [{"path": f"https://a.b/{n}"} for n in range(2000)]}
        call = {"endpoint_id": "fal-ai/flux-lora", "arguments": many}
        assert "leave out what is long" in words(await client.call_tool("write_code", call))
        assert record(await client.call_tool("list_jobs", {}))["jobs"] == []


@pytest.mark.parametrize(
    ("language", "style", "uploads"),
    [
        ("python", "queue", 'fal_client.upload_file("a fox.png")'),
        ("typescript", "queue", '"image_url": await upload("a fox.png", "image/png")'),
        ("typescript", "proxy", '"image_url": await fal.storage.upload(picked[0])'),
        ("curl", "run", "FILE_1=$(upload 'a fox.png' image/png '\"a fox.png\"')"),
    ],
)
async def test_a_local_file_among_the_arguments_is_uploaded_by_the_program(
    tmp_path: Path, language: str, style: str, uploads: str
) -> None:
    asked = {"endpoint_id": "fal-ai/birefnet", "arguments": {"image_url": "a fox.png"}}
    async with connected(tmp_path) as client:
        answer = await client.call_tool(
            "write_code", {**asked, "language": language, "style": style}
        )
    assert uploads in record(answer)["code"]
    assert "u0000" not in record(answer)["code"]
    assert any("uploads" in note for note in record(answer)["notes"])


async def test_a_folder_where_an_archive_is_wanted_is_packed_first_and_then_uploaded(
    tmp_path: Path,
) -> None:
    async with connected(tmp_path) as client:
        for given, archive in (
            ("file:///my%20photos", "/my photos.zip"),
            ('["a.png"]', "files.zip"),
        ):
            asked = {"images_data_url": given}
            call = {"endpoint_id": "fal-ai/flux-lora-fast-training", "arguments": asked}
            made = record(await client.call_tool("write_code", call))
            assert f'"images_data_url": fal_client.upload_file("{archive}")' in made["code"]
            assert any(note.endswith(f"into {archive}") for note in made["notes"])


def test_a_shell_tells_fal_the_name_of_a_file_whatever_signs_are_in_it(tmp_path: Path) -> None:
    name = 'a "b"\\c\nd\'$(touch harmed).png'
    made = code_for(
        CATALOG.get("fal-ai/birefnet"), {"image_url": Upload(name, "image/png")}, "curl", "run"
    )
    told = tmp_path / "told"
    curl = tmp_path / "curl"
    curl.write_text(f"#!/bin/sh\nfor word; do printf '%s\\0' \"$word\" >> {told}; done\n")
    curl.chmod(0o700)
    subprocess.run(
        ["bash", "-c", made.code],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "FAL_KEY": "none"},
        check=True,
        timeout=30,
    )
    asked = told.read_text().split("\0")
    begun = next(word for word in asked if "content_type" in word)
    assert json.loads(begun) == {"content_type": "image/png", "file_name": name}
    assert f"@{name}" in asked
    assert not (tmp_path / "harmed").exists()


async def test_an_earlier_job_among_the_arguments_is_the_file_that_it_made(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        make = {"endpoint_id": "fal-ai/flux/schnell", "prompt": "a fox"}
        job = record(await client.call_tool("generate", {**make, "arguments": SIZE}))
        asked = {"endpoint_id": "fal-ai/birefnet", "arguments": {"image_url": job["job_id"]}}
        code = record(await client.call_tool("write_code", asked))["code"]
    path = job["outputs"][0]["path"]
    assert f'fal_client.upload_file("{path}")' in code


@pytest.mark.parametrize(
    ("endpoint_id", "language", "says"),
    [
        ("fal-ai/flux-lora/stream", "python", 'fal_client.stream("fal-ai/flux-lora",'),
        ("fal-ai/flux-lora/stream", "typescript", 'fal.stream("fal-ai/flux-lora/stream",'),
        ("fal-ai/flux-lora/stream", "curl", "https://fal.run/fal-ai/flux-lora/stream "),
        ("fal-ai/flux-2/klein/realtime", "python", 'fal_client.realtime("fal-ai/flux-2/klein")'),
        ("fal-ai/flux-2/klein/realtime", "curl", "https://queue.fal.run/"),
        ("openrouter/router", "python", 'fal_client.submit("openrouter/router",'),
    ],
)
def test_without_a_style_the_id_decides_and_its_path_is_asked_for_once(
    endpoint_id: str, language: str, says: str
) -> None:
    card = CATALOG.get(endpoint_id)
    made = code_for(card, example_arguments(card), language, "")
    assert says in made.code
    assert "not listed as streaming" not in " ".join(made.notes)


def test_code_of_many_arguments_stands_in_rows_and_hides_no_sign() -> None:
    card = CATALOG.get("fal-ai/flux/dev")
    text = 'it\'s "so"\n\\ $HOME \u202eabc\u202c \xa0 \U0001f98a \u6f22'
    asked: dict[str, Any] = {
        "prompt": text,
        "loras": [{"path": "a", "scale": 1.5}] * 3,
        "more": {"on": True, "": None},
    }
    asked["file"] = Upload("at 9.41\u202fAM.png", "image/png")
    code = code_for(card, asked, "python", "run").code
    assert not set(code) & {"\u202e", "\u202f", "\xa0"}
    assert "🦊 漢" in code
    assert max(len(line) for line in code.splitlines()) < 100
    head = code.partition("result =")[0].replace("import fal_client", "")
    held: dict[str, Any] = {"fal_client": SimpleNamespace(upload_file=str)}
    exec(head, held)  # noqa: S102  # the program's own lines
    assert held["arguments"] == {**asked, "file": "at 9.41\u202fAM.png"}
    assert "\u202e" not in code_for(card, asked, "typescript", "run").code
