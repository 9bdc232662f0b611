"""What the deploy room costs: reading an app, looking into it, a runner, a call of it, its end.

``bare`` is Python with fal that imports it and does nothing: what nobody gets below without a
process that stands ready. The program ends with 1 if a goal was missed.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import anyio
import httpx

from benchmarks.deploy_local import measured_local
from benchmarks.start import Row, table
from server.deploy.environments import ToolEnvironment, tool_environment
from server.deploy.inspecting import inspect
from server.deploy.lint import lint
from server.deploy.nurseries import Nursery, open_nursery
from server.deploy.runner import Runner, RunnerSpec
from server.deploy.runners import start_runner
from server.deploy.scaffold import scaffold, templates

READY = Path(__file__).parent.parent / ".venv-deploy" / "bin" / "python"
ROUNDS = 9
CALLS = 300

APP = """
import fal
from pydantic import BaseModel

class Order(BaseModel):
    dish: str = "soup"

class Kitchen(fal.App):
    @fal.endpoint("/")
    async def run(self, order: Order) -> Order:
        return order
"""


# What an app of ours never has, so that the rules have something to say and to mend.
WRONG = """
import torch

class SDXL2(fal.App):
    machine_type = "GPU-T4"
    volumes = {"/data": fal.Volume("x")}
    requirements = ["numpy", "numpy"]

    @fal.endpoint("other")
    def other(self, prompt: str):
        return torch.zeros(1)
"""


def linted(folder: Path) -> float:
    """Return the median CPU milliseconds of a lint: every template, each also with faults."""
    took: list[float] = []
    for name in templates():
        made = scaffold(name, folder / name)
        clean = (made.folder / "app.py").read_text("utf-8")
        for text in (clean, clean + WRONG):
            for _ in range(ROUNDS):
                began = time.process_time()
                lint({"app.py": text}, entry="app.py")
                took.append((time.process_time() - began) * 1e3)
    return median(took)


async def _told(share: float, words: str) -> None:
    """Take progress that nobody reads."""


def imported(tool: ToolEnvironment) -> float:
    """Return the milliseconds in which Python starts and imports fal."""
    began = time.perf_counter()
    subprocess.run([tool.python, "-I", "-c", "import fal, uvicorn"], check=True)
    return (time.perf_counter() - began) * 1e3


async def inspected(tool: ToolEnvironment, folder: Path, nursery: Nursery | None = None) -> float:
    began = time.perf_counter()
    await inspect(folder, "app.py", "", tool, nursery=nursery)
    return (time.perf_counter() - began) * 1e3


async def lived(
    spec: RunnerSpec, calls: int = 0, nursery: Nursery | None = None
) -> tuple[float, float, float, float]:
    """Start a runner and end it; return milliseconds to ready, of a call, to its end, and MiB."""
    ready = called = ended = size = 0.0
    async with anyio.create_task_group() as tasks:
        began = time.perf_counter()
        runner = await start_runner(spec, lambda line: None, tasks, nursery)
        await runner.ready()
        ready = (time.perf_counter() - began) * 1e3
        called = await called_for(runner, calls) if calls else 0.0
        size = resident(runner.pid)
        began = time.perf_counter()
        await runner.stop()
        ended = (time.perf_counter() - began) * 1e3
    return ready, called, ended, size


async def called_for(runner: Runner, calls: int) -> float:
    took: list[float] = []
    async with httpx.AsyncClient(transport=runner.transport(), base_url=runner.address) as http:
        for _ in range(calls):
            began = time.perf_counter()
            (await http.post("/", json={})).raise_for_status()
            took.append((time.perf_counter() - began) * 1e3)
    return median(took)


def resident(pid: int) -> float:
    """Return the MiB of a runner's processes, shared pages in proportion; 0 where unknown."""
    if sys.platform != "linux":
        return 0.0
    total, asked = 0, [pid]
    while asked:
        one = asked.pop()
        asked += [
            int(child)
            for task in Path(f"/proc/{one}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


async def measured(folder: Path) -> list[Row]:
    """Return the rows; *folder* is empty."""
    given = READY if READY.exists() else None
    tool = await tool_environment(folder / "home", _told, given=given)
    template = scaffold("cpu", folder / "counter")
    source = folder / "source"
    await anyio.Path(source).mkdir()
    await anyio.Path(source / "app.py").write_text(APP)
    spec = RunnerSpec(
        app="kitchen",
        folder=source,
        file="app.py",
        class_name="Kitchen",
        tool=tool,
        python=tool.python,
        home=folder / "app",
    )
    await inspected(tool, source)  # look once what the machine can do, and warm the page cache
    bare = median([imported(tool) for _ in range(ROUNDS)])
    looked = median([await inspected(tool, source) for _ in range(ROUNDS)])
    lives = [await lived(spec) for _ in range(ROUNDS)]
    called = (await lived(spec, CALLS))[1]
    async with open_nursery(tool) as nursery:
        while not nursery.is_ready:  # noqa: ASYNC110  # half a second, once
            await anyio.sleep(0.01)
        looked_born = median([await inspected(tool, source, nursery) for _ in range(ROUNDS)])
        births = [await lived(spec, nursery=nursery) for _ in range(ROUNDS)]
    return [
        Row("lint a file, CPU ms", linted(folder / "templates"), 5.0),
        Row("inspect an app, ms", looked, 1500.0),
        Row("the same beside an import of fal, ms", looked, 2.0, bare),
        Row("start a runner until it answers, ms", median([one[0] for one in lives]), 2.0, bare),
        Row("inspect in a born process, ms", looked_born, 0.5, bare),
        Row("bear a runner until it answers, ms", median([one[0] for one in births]), 0.5, bare),
        Row("a call of it, ms", called, 10.0),
        Row("end a runner, ms", median([one[2] for one in lives]), 500.0),
        Row("memory of a runner, MiB", median([one[3] for one in lives]), 110.0),
        Row("memory of a born runner, MiB", median([one[3] for one in births]), 70.0),
        *await measured_local(folder / "here", source, template.folder, given),
    ]


def main() -> None:
    """Measure, print the table, and say by the exit code whether every goal is met."""
    with tempfile.TemporaryDirectory(prefix="falkit-bench-") as folder:
        rows = anyio.run(measured, Path(folder))
    print(table(rows))
    sys.exit(not all(row.is_met for row in rows))


if __name__ == "__main__":
    main()
