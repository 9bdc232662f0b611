"""What an app says of retries, waiting and its health holds on this machine, and its bytes come."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from catalog.errors import ActionableError
from server.deploy.folders import new_folder, remove_folder, sweep
from server.deploy.lint import lint
from server.deploy.local.calls import Calls
from server.deploy.local.fidelity import unlike_here
from server.deploy.local.terms import Health, health_of, terms_of
from server.emulator.hosted import Terms
from server.emulator.rows import Submission
from tests.local_apps import Machine, ended, inspected, machine, release_of
from tools.deploy_records import AppSettings, LogQuery

QUEUE = "/queue/local/kitchen"

MOODY = """
import os, time
from pathlib import Path

import fal
from fastapi import Response
from pydantic import BaseModel

class In(BaseModel):
    status: int = 200

class Moody(fal.App):
    request_start_timeout = 2
    retry_config = {"server_error": {"retries": 1}, "connection_error": {"retries": 5}}
    skip_retry_conditions = ["connection_error"]
    regions = ["eu-north"]

    def setup(self) -> None:
        self.asked = 0

    @fal.endpoint("/")
    async def run(self, asked: In, response: Response) -> dict:
        with Path("/data/calls").open("a") as file:
            file.write("x")
        if asked.status == 1:
            os._exit(1)
        response.status_code = asked.status
        return {"calls": Path("/data/calls").read_text().count("x")}

    @fal.endpoint("/picture")
    async def picture(self) -> Response:
        return Response(b"\\x89PNG\\xff\\x00", media_type="image/png")

    @fal.endpoint("/slow")
    async def slow(self) -> dict:
        time.sleep(4)
        return {"pid": os.getpid()}

    @fal.endpoint("/who")
    async def who(self) -> dict:
        return {"runner": open("/proc/sys/kernel/random/boot_id").read(), "asked": self.asked}

    @fal.endpoint("/health", health_check=fal.HealthCheck(
        start_period_seconds=1, timeout_seconds=1, failure_threshold=2))
    async def health(self) -> dict:
        self.asked += 1
        if Path("/data/ill").exists():
            raise RuntimeError("lost the database")
        return {}

    @fal.endpoint("/fall-ill")
    async def fall_ill(self) -> dict:
        Path("/data/ill").touch()
        return {}
"""


def test_what_an_app_says_of_its_requests_is_read_and_a_caller_may_say_otherwise() -> None:
    settings = AppSettings(
        request_start_timeout=7,
        retry_config=("server_error=3", "timeout=2", "odd=1", "connection_error=x"),
        skip_retry_conditions=("timeout",),
        regions=("us-east",),
        startup_timeout=90,
        health_check=("path=/well", "method=GET", "failure_threshold=0", "call_regularly=False"),
    )
    terms = terms_of(settings)
    assert terms == Terms(7.0, {"server_error": 3, "timeout": 0})
    silent = terms.of(Submission("local/a", "local/a", {}))
    assert (silent.start_within, silent.options["retries"]) == (7.0, terms.retries)
    asked = Submission("local/a", "local/a", {}, start_within=1).with_options(
        retries={"timeout": 4}
    )
    assert terms.of(asked).start_within == 1
    assert terms.of(asked).options["retries"] == {"server_error": 3, "timeout": 4}
    assert terms_of(AppSettings(request_start_timeout=0)) == Terms()
    assert health_of(settings) == Health("/well", "GET", 90, 5, 1, regularly=False)
    assert health_of(AppSettings()) is None
    assert unlike_here(settings) == ("regions (us-east) change nothing: it runs on this machine",)
    assert unlike_here(AppSettings()) == ()


@pytest.mark.proof
async def test_what_the_source_says_of_requests_and_health_is_what_inspection_finds(
    tmp_path: Path,
) -> None:
    config = "RetryConfig(timeout=2, server_error=TRIES)"
    called = MOODY.replace(
        '{"server_error": {"retries": 1}, "connection_error": {"retries": 5}}', config
    ).replace("import fal\n", "import fal\nfrom fal.sdk import RetryConfig\nTRIES = 4\n")
    assert config in called
    for text in (MOODY, called):
        release = await inspected(await release_of(tmp_path, text), tmp_path, settings=True)
        found, read = release.settings, lint({"app.py": text}, entry="app.py").settings
        assert read.request_start_timeout == found.request_start_timeout == 2
        assert read.retry_config == found.retry_config != ()
        assert read.skip_retry_conditions == found.skip_retry_conditions == ("connection_error",)
        assert read.health_check == found.health_check != ()


@pytest.mark.proof
async def test_the_retries_and_the_wait_that_an_app_asks_for_are_what_its_requests_get(
    tmp_path: Path,
) -> None:
    async with machine(tmp_path) as here:
        release = await inspected(
            await release_of(tmp_path, MOODY, max_concurrency=1, min_concurrency=1), tmp_path,
            settings=True,
        )  # fmt: skip
        assert release.settings.retry_config == ("server_error=1", "connection_error=5")
        await here.deploy(release)
        with anyio.fail_after(60):
            row = (await here.client.post(QUEUE, json={"status": 503})).json()
            status = await ended(here.client, row)
            answer = await here.client.get(row["response_url"])
            assert (answer.status_code, answer.json()) == (503, {"calls": 2})
            assert status["error_type"] == "runner_server_error"

            row = (await here.client.post(QUEUE, json={"status": 1})).json()  # it dies of it
            assert (await ended(here.client, row))["error_type"] == "runner_disconnected"
            row = (await here.client.post(QUEUE, json={})).json()
            await ended(here.client, row)
            assert (await here.client.get(row["response_url"])).json() == {"calls": 4}

            slow = (await here.client.post(f"{QUEUE}/slow", json={})).json()
            late = (await here.client.post(QUEUE, json={})).json()
            begun = time.monotonic()
            status = await ended(here.client, late)
            assert status["error_type"] == "startup_timeout"
            assert 1 < time.monotonic() - begun < 3.5
            patient = {"x-fal-request-timeout": "30"}
            row = (await here.client.post(QUEUE, json={}, headers=patient)).json()
            assert "error" not in await ended(here.client, row)
            assert "error" not in await ended(here.client, slow)


@pytest.mark.proof
async def test_bytes_come_through_the_queue_as_they_are(tmp_path: Path) -> None:
    async with machine(tmp_path) as here:
        await here.deploy(await inspected(await release_of(tmp_path, MOODY), tmp_path))
        with anyio.fail_after(30):
            row = (await here.client.post(f"{QUEUE}/picture", json={})).json()
            assert "error" not in await ended(here.client, row)
            answer = await here.client.get(row["response_url"])
        assert answer.content == b"\x89PNG\xff\x00"
        assert answer.headers["content-type"] == "image/png"


async def runners_of(here: Machine) -> set[str]:
    found = await here.target.database.do(Calls(here.target.database).runners, "kitchen")
    return {runner.runner for runner in found if runner.state in ("IDLE", "RUNNING")}


@pytest.mark.proof
async def test_a_runner_that_is_not_well_any_more_is_replaced_and_one_never_well_not_let_in(
    tmp_path: Path,
) -> None:
    async with machine(tmp_path, check_seconds=0.3) as here:
        settings: dict[str, Any] = {
            "startup_timeout": 6,
            "min_concurrency": 1,
            "max_concurrency": 1,
        }
        plain = await release_of(tmp_path, MOODY, **settings)
        first = await here.deploy(await inspected(plain, tmp_path, settings=True))
        with anyio.fail_after(60):
            before = await runners_of(here)
            await anyio.sleep(1)
            assert (await here.client.post("/run/local/kitchen/who", json={})).json()["asked"] >= 2
            assert await runners_of(here) == before
            await here.client.post("/run/local/kitchen/fall-ill", json={})
            while await runners_of(here) & before:
                await anyio.sleep(0.05)
            page = await here.target.logs(LogQuery(app="kitchen", text="runner is replaced"))
            assert "health checks answered 500" in page.lines[0].message
            with pytest.raises(ActionableError, match="health check answered 500"):
                await here.deploy(
                    await inspected(
                        await release_of(
                            tmp_path, MOODY, changed={'"eu-north"': '"us-east"'}, **settings
                        ),
                        tmp_path,
                        settings=True,
                    )
                )
        assert (await here.target.apps("kitchen"))[0].revision == first


HOLDER = """
import sys, time
from server.deploy.folders import new_folder
print(new_folder(), flush=True)
time.sleep(60)
"""


@pytest.mark.proof
@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be locked there")
def test_folders_of_killed_processes_are_swept_and_those_of_the_living_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    folders: list[Path] = []
    held: list[subprocess.Popen[str]] = []
    try:
        for _ in range(2):
            process = subprocess.Popen(
                [sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True
            )
            held.append(process)
            assert process.stdout is not None
            folders.append(Path(process.stdout.readline().strip()))
        (folders[0] / "app.sock").touch()
        held[0].send_signal(signal.SIGKILL)
        held[0].wait()
        stranger, young = tmp_path / "fk12-none.txt", tmp_path / f"fk{held[0].pid}-young"
        stranger.touch()
        young.mkdir()
        for one in (*folders, stranger):
            os.utime(one, (0, 0))
        sweep.cache_clear()
        ours = new_folder()
        left = set(tmp_path.iterdir())
        assert left == {folders[1], stranger, young, ours}
        remove_folder(ours)
        assert not ours.exists()
    finally:
        for process in held:
            process.kill()
            process.communicate()
        sweep.cache_clear()
