import io
from pathlib import Path
from typing import cast

import anyio
import av
import httpx
import pytest
from PIL import Image
from typer.testing import CliRunner

from server.cli.person import app as command_line
from server.emulator.faults import KINDS, PLACES, Fault, StandingFaults
from server.emulator.runners import run
from server.emulator.work import Made, Task
from tests.emulated import FLUX, SMALL, emulated, over, submitted
from tests.made import seen
from tools.errors import NotConfiguredError


async def test_a_standing_fault_strikes_its_share_and_the_same_ones_after_a_restart(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(20):
        runs: list[list[int]] = []
        for place in ("first", "second"):
            async with emulated(tmp_path / place, faults="429@0.5, 503@0.2/status") as client:
                answers = [await client.post(f"/queue/{FLUX}", json={}) for _ in range(12)]
                runs.append([answer.status_code for answer in answers])
        assert runs[0] == runs[1]
        assert set(runs[0]) == {200, 429}


async def test_a_delay_and_a_failure_strike_the_same_request(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path, faults="latency=0.1/any, jitter=0.01/any, 503") as client:
            began = anyio.current_time()
            assert (await client.post(f"/run/{FLUX}", json={})).status_code == 503
            assert anyio.current_time() - began >= 0.1
            assert (await client.get("/rest/.well-known/jwks.json")).status_code == 200


async def test_a_fault_that_was_asked_for_comes_before_the_standing_ones(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with emulated(tmp_path, faults="503") as client:
            asked = {"x-emulator-fault": "429"}
            answer = await client.post(f"/queue/{FLUX}", json={}, headers=asked)
            assert answer.status_code == 429


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("fire", "moderation"),
        ("429@1.5", "share is not a number from 0 to 1"),
        ("latency=nan", "seconds"),
        ("latency=1e300", "seconds"),
        ("latency=soon", "seconds"),
        ("429/moon", "download"),
        ("=@/", "kind=seconds@share/place"),
    ],
)
async def test_words_that_are_no_fault_are_refused_by_setting_and_by_header(
    tmp_path: Path, words: str, named: str
) -> None:
    with pytest.raises(NotConfiguredError, match="FALKIT_EMULATOR_FAULTS"):
        StandingFaults.read(f"429, {words}")
    with anyio.fail_after(10):
        async with emulated(tmp_path) as client:
            answer = await client.get(f"/queue/{FLUX}", headers={"x-emulator-fault": words})
            assert answer.status_code == 400
            assert named in answer.json()["detail"]


def test_a_word_says_kind_seconds_share_and_place() -> None:
    assert Fault.read("runner_503=2@0.5/run") == Fault("runner_503", "run", seconds=2, share=0.5)
    assert Fault.read("truncated_file").place == "download"
    assert StandingFaults.read(" , ").faults == []


async def test_a_result_breaks_off_short_of_its_length_once(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            told = await submitted(client, body={})
            await over(client, told["status_url"])
            body = {"fault": "truncated_body"}
            assert (await client.post("/_emulator/faults", json=body)).status_code == 200
            async with client.stream("GET", told["response_url"]) as answer:
                with pytest.raises(httpx.RemoteProtocolError):
                    await answer.aread()
                assert 0 < answer.num_bytes_downloaded < int(answer.headers["content-length"])
            assert (await client.get(told["response_url"])).json()["detail"]


async def test_a_black_picture_comes_back_of_the_asked_size(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            black = {"x-emulator-fault": "black"}
            for headers, dark in ((black, True), ({}, False)):
                answer = await client.post(f"/run/{FLUX}", json=SMALL, headers=headers)
                (image,) = answer.json()["images"]
                with Image.open(io.BytesIO((await client.get(image["url"])).content)) as picture:
                    assert picture.size == (64, 64)
                    brightest = picture.convert("L").crop((0, 0, 64, 32)).getextrema()[1]
                    assert (brightest == 0) is dark


def test_black_frames_leave_length_and_sound_of_a_video_as_they_are(tmp_path: Path) -> None:
    small = {"width": 96, "height": 64, "num_frames": 8, "fps": 8, "generate_audio": True}
    task = Task("fal-ai/veo3.1", {"prompt": "a storm", **small}, 1, {}, tmp_path, black=True)
    video = run(task, lambda share, text: None)["video"]
    assert isinstance(video, Made)
    facts = seen(video.path)
    assert facts["sound"]
    assert facts["frames"] == 8
    with av.open(str(video.path)) as container:
        for frame in container.decode(video=0):
            picture = cast("Image.Image", frame.to_image())  # pyright: ignore[reportUnknownMemberType]
            bright = picture.convert("L").crop((0, 0, 96, 32)).tobytes()
            assert max(bright) < 8


def test_the_command_line_names_every_fault_and_every_place() -> None:
    words = CliRunner().invoke(command_line, ["emulate", "--help"]).output
    assert all(word in words for word in (KINDS | PLACES))
