"""Apps that flood, chatter and blab, a full disk, and a supervisor that slept: each is held."""

import base64
import json
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr

from server.deploy.local.lines import MOST_BYTES
from server.deploy.local.logs import LogBook, read_page
from server.deploy.local.speech import FURTHER, MOST_LINES
from server.deploy.masking import Mask
from tests.local_apps import ended, inspected, machine, release_of
from tests.test_deploy_local_processes import all_gone, holder
from tools.deploy_records import LogLine, LogQuery

QUEUE = "/queue/local/kitchen"
PEM = "-----BEGIN KEY-----\nMIIEabcdefgh\nxyz\n-----END KEY-----\n"

ROGUE = """
import base64, os, time
import fal
from fastapi import Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

class In(BaseModel):
    text: str = ""

class Rogue(fal.App):
    @fal.endpoint("/")
    def run(self, asked: In, response: Response) -> dict:
        response.set_cookie("who", asked.text)
        return {"text": asked.text}

    @fal.endpoint("/cookies")
    def cookies(self, asked: In, request: Request) -> dict:
        return {"cookies": request.headers.get("cookie", "")}

    @fal.endpoint("/hog")
    def hog(self, asked: In) -> dict:
        held = []
        for _ in range(60):
            held.append(bytearray(os.urandom(1 << 20) * 24))
            time.sleep(0.01)
        return {"held": len(held)}

    @fal.endpoint("/blab")
    def blab(self, asked: In) -> dict:
        key = os.environ["KEY"]
        print(key)
        print(dict(os.environ))
        print(base64.b64encode(key.encode()).decode())
        os.system("env >&2")
        return {}

    @fal.endpoint("/endless")
    def endless(self, asked: In):
        def body():
            while True:
                yield bytes(1 << 20)
        return StreamingResponse(body(), media_type="application/octet-stream")

    @fal.endpoint("/endless-json")
    def endless_json(self, asked: In):
        def body():
            while True:
                yield b" " * (1 << 20)
        return StreamingResponse(body(), media_type="application/json")

    @fal.endpoint("/chatter")
    def chatter(self, asked: In) -> dict:
        for number in range(12_000):
            print("line", number)
        return {}
""".replace("from fastapi import Response", "from fastapi import Request, Response")


def test_secrets_are_hidden_in_the_forms_that_logs_show() -> None:
    mask = Mask({"KEY": SecretStr(PEM), "TOKEN": SecretStr('a"b/ä+c'), "NO": SecretStr("abc")})
    for shown in (PEM, repr({"k": PEM}), json.dumps({"k": PEM}), base64.b64encode(PEM.encode())):
        text = mask(shown.decode() if isinstance(shown, bytes) else shown)
        assert "MIIE" not in text
        assert "[KEY]" in text
    assert mask("a MIIEabcdefgh b xyz") == "a [KEY] b xyz"  # a short line is an ordinary word
    assert mask('t=a"b/ä+c&u=a%22b%2F%C3%A4%2Bc ' + json.dumps('a"b/ä+c')) == (
        't=[TOKEN]&u=[TOKEN] "[TOKEN]"'
    )
    assert mask("abc") == "abc"


def test_a_full_disk_loses_lines_and_spoils_no_later_one(tmp_path: Path) -> None:
    book = LogBook(tmp_path)

    def say(words: str) -> None:
        book.write(LogLine(datetime.now(UTC), "info", words, "kitchen"))

    say("one")
    log = next((tmp_path / "kitchen").iterdir())
    kept = log.read_bytes()
    log.unlink()
    log.symlink_to("/dev/full")
    say("two")
    log.unlink()
    log.write_bytes(kept + b'[1, "info", "tw')  # as far as there was room
    say("three")
    said = [line.message for line in read_page(tmp_path, LogQuery(app="kitchen")).lines]
    assert said == ["one", "three"]


@pytest.mark.proof
async def test_an_app_that_takes_too_much_memory_says_so_to_its_caller_and_runs_again(
    tmp_path: Path,
) -> None:
    once = {"x-fal-no-retry": "1"}
    async with machine(tmp_path) as here:
        await here.deploy(await inspected(await release_of(tmp_path, ROGUE), tmp_path))
        with anyio.fail_after(60):
            row = (await here.client.post(f"{QUEUE}/hog", json={}, headers=once)).json()
            status = await ended(here.client, row)
            assert status["error_type"] == "runner_disconnected"
            assert "it used more than its 1024 MB of memory" in status["error"]
            answer = await here.client.post("/run/local/kitchen/hog", json={})
            assert answer.status_code == 503
            row = (await here.client.post(QUEUE, json={"text": "a"})).json()
            assert "error" not in await ended(here.client, row)
        page = await here.target.logs(LogQuery(app="kitchen", text="more than its 1024 MB"))
        assert len(page.lines) == 2


@pytest.mark.proof
async def test_secrets_that_an_app_prints_stand_in_no_log(tmp_path: Path) -> None:
    async with machine(tmp_path, secrets=("KEY",)) as here:
        await here.target.set_secret("KEY", SecretStr(PEM))
        await here.deploy(
            await inspected(await release_of(tmp_path, ROGUE, secrets=("KEY",)), tmp_path)
        )
        with anyio.fail_after(30):
            row = (await here.client.post(f"{QUEUE}/blab", json={})).json()
            status = await ended(here.client, row)
        page = await here.target.logs(LogQuery(app="kitchen"))
        said = [line.message for line in page.lines] + [line["message"] for line in status["logs"]]
        assert sum("[KEY]" in line for line in said) >= 6
        assert not [line for line in said if "MIIE" in line or "TUlJRWFi" in line]


@pytest.mark.proof
async def test_answers_without_end_and_endless_chatter_are_cut_off(tmp_path: Path) -> None:
    async with machine(tmp_path) as here:
        await here.deploy(await inspected(await release_of(tmp_path, ROGUE), tmp_path))
        words = f"The app's answer is larger than {MOST_BYTES >> 20} MB"
        with anyio.fail_after(60):
            row = (await here.client.post(f"{QUEUE}/endless", json={})).json()
            assert words in (await ended(here.client, row))["error"]
            answer = await here.client.post("/run/local/kitchen/endless-json", json={})
            assert answer.status_code == 502
            assert words in answer.json()["detail"]
            row = (await here.client.post(f"{QUEUE}/chatter", json={})).json()
            logs = (await ended(here.client, row))["logs"]
            while len(logs) < MOST_LINES:  # its last lines may still be on their way
                await anyio.sleep(0.05)
                logs = (await ended(here.client, row))["logs"]
        assert len(logs) == MOST_LINES
        assert logs[-1]["message"] == FURTHER


@pytest.mark.proof
async def test_a_cookie_of_one_caller_never_comes_with_the_call_of_another(tmp_path: Path) -> None:
    async with machine(tmp_path) as here:
        await here.deploy(await inspected(await release_of(tmp_path, ROGUE), tmp_path))
        with anyio.fail_after(30):
            first = await here.client.post("/run/local/kitchen", json={"text": "anna"})
            assert "who=anna" in first.headers["set-cookie"]
            here.client.cookies.clear()
            second = await here.client.post("/run/local/kitchen/cookies", json={})
            assert second.json() == {"cookies": ""}


def apps_below(pid: int) -> list[str]:
    """Return the processes of apps that the process *pid* has started itself."""
    found: list[str] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text("ascii").split():
            with suppress(OSError):
                if b"run_app" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(child)
    return found


@pytest.mark.proof
async def test_a_supervisor_that_slept_ends_its_runners_and_writes_over_nothing(
    tmp_path: Path,
) -> None:
    with holder(tmp_path) as first:
        async with machine(tmp_path) as here:
            asked = {"prompt": "x", "sleep": 6}
            row = (await here.client.post(QUEUE, json=asked)).json()
            with anyio.fail_after(60):
                while (await here.client.get(row["status_url"])).json()["status"] == "IN_QUEUE":
                    await anyio.sleep(0.02)
                assert apps_below(first.pid)
                first.send_signal(signal.SIGSTOP)
                begun = time.monotonic()
                answer = await here.client.post("/run/local/kitchen", json={"prompt": "y"})
                assert answer.json()["text"] == "echo y"
                assert time.monotonic() - begun > 1  # only when the lease had run out
                status = await ended(here.client, row)
                assert "error" not in status
                made = (await here.client.get(row["response_url"])).json()
                ours = {made["runner"], answer.json()["runner"]}
                first.send_signal(signal.SIGCONT)
                row = (await here.client.post(QUEUE, json={"prompt": "z"})).json()
                assert "error" not in await ended(here.client, row)
                made = (await here.client.get(row["response_url"])).json()
                assert made["runner"] in ours
                while apps_below(first.pid):
                    await anyio.sleep(0.05)
                assert (await here.target.apps("kitchen"))[0].health == "healthy"
    await all_gone(tmp_path)
