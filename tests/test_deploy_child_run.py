"""A runner: its states, its lines, its ends."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr

from server.deploy.runner import RunnerSpec
from tests.deployed import hosted
from tools.errors import BackendError

ECHO = """
print("before the setup")

class Kitchen(fal.App):
    def setup(self):
        print("setting up")

    def handle_exit(self):
        print("asked to end")

    def teardown(self):
        print("torn down")

    @fal.endpoint("/")
    def run(self, i: In) -> dict:
        print("doing", i.text)
        os.system("echo native")
        return {"text": i.text, "pid": os.getpid()}

    @fal.endpoint("/later")
    async def later(self, i: In) -> dict:
        print("first part", end=" ")
        print("second part")
        return {}

    @fal.endpoint("/boom")
    def boom(self, i: In) -> dict:
        raise RuntimeError("kaboom")
"""


@pytest.mark.proof
async def test_an_app_is_set_up_answers_says_lines_with_their_request_and_is_torn_down(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(20):
        async with hosted(tmp_path, ECHO) as app:
            assert app.runner.state in ("PENDING", "SETUP")
            await app.runner.ready()
            assert app.runner.state == "IDLE"
            with app.runner.serving():
                assert app.runner.state == "RUNNING"
                answer = await app.call(text="soup", request_id="rq-1")
            assert app.runner.state == "IDLE"
            assert answer.json()["text"] == "soup"
            await app.call("/later", request_id="rq-2")
            boom = await app.call("/boom", request_id="rq-3")
            await app.runner.stop()

    assert boom.status_code == 500
    by_request = {line.message: line.request_id for line in app.lines}
    assert by_request["before the setup"] == by_request["setting up"] == ""
    assert by_request["doing soup"] == "rq-1"  # of a synchronous endpoint, in a thread
    assert by_request["first part second part"] == "rq-2"
    assert "native" in by_request
    assert [line.request_id for line in app.lines if "kaboom" in line.message] == ["rq-3"]
    assert app.said().endswith("asked to end\ntorn down")
    assert {line.app for line in app.lines} == {"kitchen"}
    assert app.runner.state == "TERMINATED"
    assert app.runner.reason == ""
    assert 0 < app.runner.billed_seconds() < 20


@pytest.mark.proof
@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param("import nowhere_to_be_found", ["add nowhere_to_be_found to req"], id="import"),
        pytest.param("x = 1\n", ["app.py has no fal.App"], id="no app"),
        pytest.param("def broken(:\n", ["SyntaxError", "app.py:9: def broken(:"], id="syntax"),
        pytest.param(
            "class A(fal.App):\n    def setup(self):\n        raise OSError('no such weights')\n"
            "    @fal.endpoint('/')\n    def a(self) -> dict: return {}\n",
            ["OSError: no such weights", "app.py:11 in setup: raise OSError"],
            id="setup",
        ),
        pytest.param(
            "class A(fal.App):\n    def setup(self):\n        os._exit(7)\n"
            "    @fal.endpoint('/')\n    def a(self) -> dict: return {}\n",
            ["ended with status 7"],
            id="exit",
        ),
        pytest.param("sys.exit(0)\n", ["ended with status 0"], id="exits well"),
        pytest.param("while True: time.sleep(1)\n", ["not ready within 2 seconds"], id="hangs"),
        pytest.param(
            "class A(fal.App):\n    def setup(self): time.sleep(60)\n"
            "    @fal.endpoint('/')\n    def a(self) -> dict: return {}\n",
            ["not ready within 2 seconds (startup_timeout)"],
            id="slow setup",
        ),
        pytest.param(
            "class A(fal.App):\n    pass\n",
            ["An application must have at least one"],
            id="no route",
        ),
    ],
)
async def test_a_start_that_fails_says_why_in_one_line(
    tmp_path: Path, source: str, words: list[str]
) -> None:
    seconds = 2.0 if "not ready" in words[0] else 30.0
    with anyio.fail_after(40):
        async with hosted(
            tmp_path, source, change=lambda spec: replace(spec, startup_seconds=seconds)
        ) as app:
            with pytest.raises(BackendError) as failure:
                await app.runner.ready()

    for part in words:
        assert part in str(failure.value)
    assert "Traceback" not in str(failure.value)
    assert len(str(failure.value)) < 1200
    assert app.runner.state == "TERMINATED"


@pytest.mark.proof
async def test_an_error_that_no_code_caught_costs_the_next_call_nothing(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with hosted(tmp_path, ECHO) as app:
            await app.runner.ready()
            for turn in range(60):  # the next call goes out on the same connection, at once
                assert (await app.call("/boom")).status_code == 500
                assert (await app.call(text=f"soup {turn}")).json()["text"] == f"soup {turn}"
    assert app.said().count("RuntimeError: kaboom") >= 60  # each is told


@pytest.mark.proof
async def test_a_crash_is_noticed_at_once_though_a_grandchild_holds_the_pipes(
    tmp_path: Path,
) -> None:
    source = ECHO + (
        "    @fal.endpoint('/crash')\n"
        "    def crash(self, i: In) -> dict:\n"
        "        import subprocess\n"
        "        subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        "        os.kill(os.getpid(), 11)\n"
    )
    with anyio.fail_after(20):
        async with hosted(tmp_path, source) as app:
            await app.runner.ready()
            async with anyio.create_task_group() as tasks:

                async def call() -> None:
                    with pytest.raises(Exception, match=r"disconnected|EOF|closed|reset"):
                        await app.call("/crash")

                tasks.start_soon(call)
                with anyio.fail_after(3):
                    await app.runner.ended()

    assert "SIGSEGV" in app.runner.reason
    assert app.runner.status == -signal.SIGSEGV


@pytest.mark.proof
async def test_a_killed_runner_leaves_neither_process_nor_folder(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with hosted(tmp_path, ECHO) as app:
            await app.runner.ready()
            pid, where = app.runner.pid, app.runner.socket
            assert where is not None
            os.killpg(pid, signal.SIGKILL)
            await app.runner.ended()

    assert "SIGKILL" in app.runner.reason
    assert not where.parent.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.proof
async def test_an_app_that_will_not_end_is_killed_after_its_grace(tmp_path: Path) -> None:
    source = ECHO.replace('print("torn down")', "time.sleep(100)")
    with anyio.fail_after(20):
        async with hosted(tmp_path, source) as app:
            await app.runner.ready()
            began = anyio.current_time()
            await app.runner.stop(grace=0.5)
            assert anyio.current_time() - began < 3

    assert app.runner.state == "TERMINATED"
    assert "was killed" in app.said()


@pytest.mark.proof
async def test_a_cancelled_host_takes_its_runner_along(tmp_path: Path) -> None:
    pid = 0
    with anyio.fail_after(20):
        with anyio.CancelScope() as scope:
            async with hosted(tmp_path, ECHO) as app:
                await app.runner.ready()
                pid = app.runner.pid
                scope.cancel()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.proof
async def test_secrets_reach_the_app_and_are_hidden_in_what_it_prints(tmp_path: Path) -> None:
    source = ECHO.replace('print("setting up")', 'print("token", os.environ["HF_TOKEN"])')

    def with_secret(spec: RunnerSpec) -> RunnerSpec:
        return replace(spec, secrets={"HF_TOKEN": SecretStr("hf_very_secret_words")})

    with anyio.fail_after(20):
        async with hosted(tmp_path, source, change=with_secret) as app:
            await app.runner.ready()

    assert "token [HF_TOKEN]" in app.said()
    assert "hf_very" not in app.said()
