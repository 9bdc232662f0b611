from pathlib import Path

import anyio
import pytest

from server.emulator import drawing
from server.emulator.drawing import Drawers, RunnerCrashedError, RunnerLostError
from server.emulator.work import RunnerError, Task

# Stand-ins for the worker process that speak its protocol, or do not.
ONCE = 'input(); print(\'{"output": 1, "files": []}\', flush=True)'
GARBAGE = "input(); print('<html>', flush=True); input()"
NUMBER = "input(); print('5', flush=True); input()"
CRASHED = 'input(); print(\'{"crashed": "KeyError: x"}\', flush=True); input()'
DEAD = "import os; input(); os.abort()"
SILENT = "input(); input()"


def task(folder: Path, endpoint_id: str = "fal-ai/flux/dev") -> Task:
    arguments = {"prompt": "x", "image_size": {"width": 32, "height": 32}, "num_images": 1}
    return Task(endpoint_id, arguments, 1, {}, folder)


def nothing(share: float, words: str) -> None:
    """Hear no progress."""


async def test_a_worker_that_ended_while_idle_is_replaced_unnoticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "START", ONCE)
    drawers = Drawers(tmp_path, at_most=1)
    with anyio.fail_after(10):
        for _ in range(3):
            assert (await drawers.draw(task(tmp_path), nothing)).output == 1
    await drawers.aclose()


@pytest.mark.parametrize(
    ("worker", "failure"),
    [
        (GARBAGE, RunnerLostError),
        (NUMBER, RunnerLostError),
        (DEAD, RunnerLostError),
        (CRASHED, RunnerCrashedError),
    ],
    ids=["garbage", "a number", "an abort", "a crash"],
)
async def test_a_worker_that_fails_is_never_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker: str, failure: type[Exception]
) -> None:
    drawers = Drawers(tmp_path, at_most=1)
    with anyio.fail_after(10):
        monkeypatch.setattr(drawing, "START", worker)
        with pytest.raises(failure):
            await drawers.draw(task(tmp_path), nothing)
        if failure is RunnerLostError:
            monkeypatch.setattr(drawing, "START", ONCE)
            assert (await drawers.draw(task(tmp_path), nothing)).output == 1
    await drawers.aclose()


async def test_a_cancelled_drawing_ends_its_worker_and_frees_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawers = Drawers(tmp_path, at_most=1)
    with anyio.fail_after(10):
        monkeypatch.setattr(drawing, "START", SILENT)
        with anyio.move_on_after(0.2) as scope:
            await drawers.draw(task(tmp_path), nothing)
        assert scope.cancelled_caught
        monkeypatch.setattr(drawing, "START", ONCE)
        assert (await drawers.draw(task(tmp_path), nothing)).output == 1
    await drawers.aclose()


async def test_the_real_worker_draws_refuses_and_goes_on(tmp_path: Path) -> None:
    heard: list[float] = []
    drawers = Drawers(tmp_path, at_most=1)
    with anyio.fail_after(20):
        drawn = await drawers.draw(task(tmp_path), lambda share, _: heard.append(share))
        (made,) = drawn.files
        assert made.at == ("images", 0)
        assert made.path.parent == tmp_path
        assert made.media_type == "image/jpeg"
        assert drawn.output["images"] == [None]
        assert heard == sorted(heard)
        edit = Task(
            "fal-ai/flux/dev/image-to-image",
            {"prompt": "x", "image_url": "u"},
            1,
            {"u": made.path},
            tmp_path,
        )
        made.path.write_bytes(b"no picture")
        with pytest.raises(RunnerError) as refused:
            await drawers.draw(edit, nothing)
        assert refused.value.status == 422
        assert refused.value.loc[0] == "image_url"
        assert (await drawers.draw(task(tmp_path), nothing)).files
    await drawers.aclose()
