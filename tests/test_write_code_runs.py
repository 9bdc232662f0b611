"""Every program that is handed out runs against the emulator, one model of each category."""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import anyio.from_thread
import pytest

from catalog.code import code_for
from catalog.code_uploads import Upload
from catalog.describe import example_arguments
from catalog.index import CatalogIndex
from catalog.schema import check, with_media
from tests.emulated import on_a_port
from tests.made_media import glb, picture, safetensors, sound, video
from tests.node import node, npm_install
from tests.test_wire_fal_js import HERE
from tests.test_write_code import POINTED, one_of_each_category

pytestmark = pytest.mark.proof

CATALOG = CatalogIndex.open()
STYLES = ("run", "queue", "stream", "realtime", "webhook")
SMALL = {"image_size": {"width": 64, "height": 64}, "duration": 5, "resolution": "480p"}
# Runs one program after the other; the client of fal is loaded only once.
DRIVER = """
import contextlib, io, json, sys
for line in sys.stdin:
    name, code = json.loads(line)
    said, problem = io.StringIO(), ""
    try:
        with contextlib.redirect_stdout(said):
            exec(compile(code, name, "exec"), {"__name__": "__main__"})
    except BaseException as caught:
        problem = repr(caught)[:300]
    print(json.dumps([name, problem, said.getvalue()]))
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(on_a_port(tmp_path_factory.mktemp("fal"))) as port,
    ):
        yield port


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, dict[str, Any]]:
    """Return what a model of each category is asked, by its id, with real media."""
    media = media_in(tmp_path_factory.mktemp("given"))
    asked: dict[str, dict[str, Any]] = {}
    for endpoint_id in one_of_each_category():
        card = CATALOG.get(endpoint_id)
        least = {
            name: value
            for name, value in SMALL.items()
            if name in card.properties and fits(endpoint_id, {name: value})
        }
        checked = check(card, {**example_arguments(card), **least})
        urls = {use.path: media.get(use.kind, media["image"]) for use in checked.media}
        asked[endpoint_id] = with_media(checked.arguments, urls)
    return asked


def fits(endpoint_id: str, some: Mapping[str, object]) -> bool:
    try:
        check(CATALOG.get(endpoint_id), some, whole=False)
    except Exception:
        return False
    return True


def media_in(folder: Path) -> dict[str, str]:
    """Return a small file of each kind as a data URI."""
    archive = folder / "pictures"
    archive.mkdir()
    picture(archive / "one.png")
    files = {
        "image": ("image/png", picture(folder / "a.png", (256, 256))),
        "video": ("video/mp4", video(folder / "a.mp4")),
        "audio": ("audio/wav", sound(folder / "a.wav")),
        "3d": ("model/gltf-binary", glb(folder / "a.glb")),
        "weights": ("application/octet-stream", safetensors(folder / "a.safetensors")),
        "archive": (
            "application/zip",
            Path(shutil.make_archive(str(folder / "pictures"), "zip", archive)),
        ),
    }
    return {
        kind: f"data:{media_type};base64,{base64.b64encode(path.read_bytes()).decode()}"
        for kind, (media_type, path) in files.items()
    }


def environment(port: int) -> dict[str, str]:
    return {
        **os.environ,
        "FAL_KEY": "emulator:local",
        "EMULATOR": f"http://127.0.0.1:{port}",
    }


def test_python_runs_for_every_category_in_every_style(
    port: int, arguments: Mapping[str, dict[str, Any]]
) -> None:
    programs = [
        json.dumps(
            [
                f"{endpoint_id} {style}",
                code_for(CATALOG.get(endpoint_id), asked, "python", style).code,
            ]
        )
        for endpoint_id, asked in arguments.items()
        for style in STYLES
    ]
    ended = subprocess.run(
        [sys.executable, "-c", POINTED.format(port=port) + DRIVER],
        input="\n".join(programs),
        env=environment(port),
        capture_output=True,
        text=True,
        timeout=400,
        check=True,
    )
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(told) == len(programs)
    assert [(name, problem) for name, problem, said in told if problem or not said.strip()] == []


def test_typescript_runs_for_every_category_in_every_style(
    port: int, arguments: Mapping[str, dict[str, Any]], tmp_path: Path
) -> None:
    program = node()
    npm_install(HERE)
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    wrong: list[str] = []
    for endpoint_id, asked in arguments.items():
        for style in STYLES:
            code = code_for(CATALOG.get(endpoint_id), asked, "typescript", style).code
            wrong += ran(program, tmp_path, code, environment(port), f"{endpoint_id} {style}")
    assert wrong == []


def test_the_browser_calls_through_a_proxy_and_knows_no_key(
    port: int, arguments: Mapping[str, dict[str, Any]], tmp_path: Path
) -> None:
    program = node()
    npm_install(HERE)
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    env = {**environment(port), "IN_BROWSER": "1"}
    del env["FAL_KEY"]
    asked = {"prompt": "a fox", "image_size": {"width": 64, "height": 64}}
    code = code_for(CATALOG.get("fal-ai/flux/dev"), asked, "typescript", "proxy").code
    browser = code.split("// in the browser\n")[1]
    assert "FAL_KEY" not in browser
    assert ran(program, tmp_path, browser, env, "proxy", says="images") == []


def ran(
    program: Path, folder: Path, code: str, env: Mapping[str, str], name: str, says: str = ""
) -> list[str]:
    """Return what went wrong with *code*, nothing where it ended well and said something."""
    script = folder / "program.ts"
    script.write_text(code, "utf-8")
    ended = subprocess.run(
        [
            program, "--experimental-strip-types", "--no-warnings", "--import",
            HERE / "aside.mjs", script,
        ],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip
    if ended.returncode or not ended.stdout.strip() or says not in ended.stdout:
        return [f"{name}: {ended.returncode} {ended.stdout[-200:]} {ended.stderr[-400:]}"]
    return []


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_curl_runs_for_every_category_in_every_style(
    port: int, arguments: Mapping[str, dict[str, Any]], tmp_path: Path
) -> None:
    wrong: list[str] = []
    for endpoint_id, asked in arguments.items():
        for style in ("run", "queue", "stream", "webhook"):
            code = code_for(CATALOG.get(endpoint_id), asked, "curl", style).code
            for host, place in (("https://queue.fal.run", "queue"), ("https://fal.run", "run")):
                code = code.replace(host, f"http://127.0.0.1:{port}/{place}")
            script = tmp_path / "program.sh"
            script.write_text(code, "utf-8")
            ended = subprocess.run(
                ["sh", script],
                env=environment(port),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            if ended.returncode or not ended.stdout.strip():
                wrong.append(f"{endpoint_id} {style}: {ended.stdout[-200:]} {ended.stderr[-200:]}")
    assert wrong == []


UPSCALE = CATALOG.get("fal-ai/seedvr/upscale/image")


@pytest.fixture
def local(tmp_path: Path) -> dict[str, Any]:
    """Return arguments of which one is a local file, of an awkward name in a folder beside."""
    (tmp_path / "my files").mkdir()
    picture(tmp_path / "my files" / "it's a fox.png", (64, 48))
    return {"image_url": Upload("my files/it's a fox.png", "image/png"), "upscale_factor": 3}


@pytest.mark.parametrize("style", ["run", "queue"])
def test_python_uploads_a_local_file_and_runs(
    port: int, local: dict[str, Any], style: str, tmp_path: Path
) -> None:
    code = code_for(UPSCALE, local, "python", style).code
    ended = subprocess.run(
        [sys.executable, "-c", POINTED.format(port=port) + code],
        cwd=tmp_path,
        env=environment(port),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "'width': 192" in ended.stdout


@pytest.mark.parametrize("style", ["run", "queue"])
def test_typescript_uploads_a_local_file_and_runs(
    port: int, local: dict[str, Any], style: str, tmp_path: Path
) -> None:
    program = node()
    npm_install(HERE)
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    code = code_for(UPSCALE, local, "typescript", style).code
    assert ran(program, tmp_path, code, environment(port), style, says="width: 192") == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
@pytest.mark.parametrize("style", ["run", "queue"])
def test_curl_uploads_a_local_file_and_runs(
    port: int, local: dict[str, Any], style: str, tmp_path: Path
) -> None:
    code = code_for(UPSCALE, local, "curl", style).code
    for host, place in (("queue.fal.run", "queue"), ("rest.fal.ai", "rest"), ("fal.run", "run")):
        code = code.replace(f"https://{host}", f"http://127.0.0.1:{port}/{place}")
    ended = subprocess.run(
        ["sh", "-c", code],
        cwd=tmp_path,
        env=environment(port),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert '"width":192' in ended.stdout.replace(" ", "")


def test_python_compiles_for_every_card_in_every_style() -> None:
    for card in CATALOG.cards():
        for style in STYLES:
            made = code_for(card, example_arguments(card), "python", style)
            compile(made.code, f"{card.endpoint_id} {style}", "exec")
