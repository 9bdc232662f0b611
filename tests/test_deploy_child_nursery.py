"""Runners and inspections that are forked from a process with fal imported."""

import os
import signal
import time
from pathlib import Path

import anyio
import httpx
import pytest
from pydantic import SecretStr

from server.deploy.environments import ToolEnvironment
from server.deploy.inspecting import inspect
from server.deploy.nurseries import Cradle
from server.deploy.runner import RunnerSpec
from server.deploy.runners import start_runner
from tests.deployed import hosted, needs_namespaces, standing, tool, written
from tools.deploy_records import LogLine

pytestmark = pytest.mark.proof

KITCHEN = """
import random

class Kitchen(fal.App):
    @fal.endpoint("/")
    def run(self, i: In) -> dict:
        print("doing", i.text)
        return {"chance": random.random(), "name": os.environ.get("DISH")}

    @fal.endpoint("/crash")
    def crash(self, i: In) -> dict:
        os.kill(os.getpid(), 11)
        return {}
"""


@pytest.fixture(autouse=True)
def namespaces() -> None:
    needs_namespaces()


def kitchen(fal: ToolEnvironment, folder: Path, name: str) -> RunnerSpec:
    return RunnerSpec(
        app=name,
        folder=written(folder / "source", KITCHEN),
        file="app.py",
        class_name="Kitchen",
        tool=fal,
        python=fal.python,
        home=folder / name,
        secrets={"DISH": SecretStr(name)},
    )


async def test_two_born_runners_share_neither_chance_nor_secrets_and_start_in_a_blink(
    tmp_path: Path,
) -> None:
    lines: list[LogLine] = []
    answers: list[dict[str, object]] = []
    seconds: list[float] = []
    with anyio.fail_after(30):
        fal = await tool(tmp_path)
        async with standing(fal) as nursery, anyio.create_task_group() as tasks:
            for name in ("soup", "stew", "cake"):
                spec = kitchen(fal, tmp_path, name)
                began = time.perf_counter()
                runner = await start_runner(spec, lines.append, tasks, nursery)
                await runner.ready()
                seconds.append(time.perf_counter() - began)
                async with httpx.AsyncClient(
                    transport=runner.transport(), base_url=runner.address
                ) as http:
                    answers.append((await http.post("/", json={})).json())
                await runner.stop()
                assert runner.status == -signal.SIGTERM
                assert runner.reason == ""

    assert [answer["name"] for answer in answers] == ["soup", "stew", "cake"]
    assert len({answer["chance"] for answer in answers}) == 3
    assert min(seconds) < 0.4


async def test_an_inspection_that_is_born_tells_the_same_as_one_that_is_started(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(30):
        fal = await tool(tmp_path)
        source = written(tmp_path / "source", KITCHEN)
        async with standing(fal) as nursery:
            born = await inspect(source, "app.py", "", fal, nursery=nursery)
            (source / "app.py").write_text((source / "app.py").read_text() + "\nprint('new')\n")
            again = await inspect(source, "app.py", "", fal, nursery=nursery)
        started = await inspect(source, "app.py", "", fal)

    assert again.said == ("new",)
    assert born.openapi == again.openapi == started.openapi
    assert born.applied == started.applied
    assert born.seconds < started.seconds


async def test_a_born_runner_that_crashes_says_how_and_the_nursery_bears_on(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with hosted(tmp_path, KITCHEN, born=True) as app:
            await app.runner.ready()
            with pytest.raises(Exception, match=r"disconnected|EOF|closed|reset"):
                await app.call("/crash")
            await app.runner.ended()

    assert "SIGSEGV" in app.runner.reason


async def test_a_runner_ends_with_its_nursery_and_the_next_is_started_anew(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        fal = await tool(tmp_path)
        spec = kitchen(fal, tmp_path, "soup")
        async with standing(fal) as nursery, anyio.create_task_group() as tasks:
            assert nursery is not None
            runner = await start_runner(spec, lambda line: None, tasks, nursery)
            await runner.ready()
            os.kill(nursery.pid, signal.SIGKILL)
            await runner.ended()
            again = await start_runner(spec, lambda line: None, tasks, nursery)
            await again.ready()
            await again.stop()
            assert "SIGKILL" in runner.reason


async def test_a_cradle_has_a_nursery_soon_after_one_was_wanted_and_gives_it_up_unused(
    tmp_path: Path,
) -> None:
    cradle = Cradle(idle=1.0)
    with anyio.fail_after(30):
        fal = await tool(tmp_path)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cradle.keep)
            assert cradle.lend(fal) is None  # the first is started anew
            while (nursery := cradle.lend(fal)) is None:
                await anyio.sleep(0.01)
            runner = await start_runner(
                kitchen(fal, tmp_path, "soup"), lambda line: None, tasks, nursery
            )
            await runner.ready()
            pid = nursery.pid
            await anyio.sleep(1.5)  # longer than it stays unused
            assert runner.is_up
            await runner.stop()
            while Path(f"/proc/{pid}").exists():
                await anyio.sleep(0.01)
            assert cradle.lend(fal) is None
            tasks.cancel_scope.cancel()
