"""Videos and sounds have the asked length and form and say that they are previews."""

import itertools
from pathlib import Path
from typing import cast

import av
import pytest
from PIL import Image, ImageChops

from server.emulator.runners.muxing import shown
from server.emulator.runners.request import Given
from server.emulator.runners.sound_file import heard
from server.emulator.work import Made, RunnerError
from tests.made import made, seen

WAYS = ("1080p", "1080P")


def short_clip(tmp_path: Path, **arguments: object) -> Made:
    wish = {"prompt": "a boat on the sea", "num_frames": 24, "frames_per_second": 12, **arguments}
    wish = {"resolution": "240p", "aspect_ratio": "16:9", **wish}
    return cast("Made", made("fal-ai/wan/v2.2-5b/text-to-video", wish, tmp_path)["video"])


def test_a_video_has_the_asked_length_size_and_rate_and_says_what_it_is(tmp_path: Path) -> None:
    clip = short_clip(tmp_path)
    facts = seen(clip.path)
    assert (facts["codec"], facts["pixels"], facts["size"]) == ("h264", "yuv420p", (426, 240))
    assert (facts["frames"], facts["fps"], facts["sound"]) == (24, 12.0, [])
    assert facts["seconds"] == pytest.approx(2.0, abs=0.01)
    assert facts["note"].startswith("Local preview")
    assert clip.facts == {
        "width": 426,
        "height": 240,
        "fps": 12.0,
        "duration": 2.0,
        "num_frames": 24,
    }


def test_the_same_video_task_gives_the_same_bytes(tmp_path: Path) -> None:
    one = short_clip(tmp_path / "one", num_frames=10)
    again = short_clip(tmp_path / "again", num_frames=10)
    assert one.path.read_bytes() == again.path.read_bytes()


@pytest.mark.parametrize(("asked", "codecs"), [(True, ["aac"]), (False, [])])
def test_a_video_has_sound_exactly_when_it_is_asked_for(
    asked: bool, codecs: list[str], tmp_path: Path
) -> None:
    wish = {"prompt": "rain", "duration": "4s", "generate_audio": asked, "resolution": "720p"}
    small = {**wish, "width": 128, "height": 96}
    clip = cast("Made", made("fal-ai/veo3.1", small, tmp_path)["video"])
    facts = seen(clip.path)
    assert facts["sound"] == codecs
    assert facts["seconds"] == pytest.approx(4.0, abs=0.01)


def frame_of(path: Path, place: int, size: tuple[int, int] = (426, 240)) -> Image.Image:
    with av.open(str(path)) as container:
        return shown(next(itertools.islice(container.decode(video=0), place, None)), size)


def test_a_video_moves_and_carries_the_label(tmp_path: Path) -> None:
    clip = short_clip(tmp_path)
    first, last = frame_of(clip.path, 0), frame_of(clip.path, 23)
    corner = (426 - 120, 240 - 24, 426, 240)
    apart = ImageChops.difference(first, last).convert("L")
    assert sum(apart.histogram()[24:]) > 500
    assert sum(apart.crop(corner).histogram()[60:]) < 60
    bright = first.crop(corner).convert("L").histogram()
    assert sum(bright[190:]) > 60  # the letters


def test_an_animated_picture_begins_as_given_and_ends_as_asked(tmp_path: Path) -> None:
    for name, colour in (("start", (200, 40, 40)), ("end", (40, 40, 200))):
        Image.new("RGB", (160, 96), colour).save(tmp_path / f"{name}.png")
    given = {"s:": tmp_path / "start.png", "e:": tmp_path / "end.png"}
    wish = {"start_image_url": "s:", "end_image_url": "e:", "duration": "5", "prompt": "turn"}
    output = made(
        "fal-ai/kling-video/v2.6/pro/image-to-video",
        {**wish, "generate_audio": False},
        tmp_path,
        inputs=given,
    )
    path = cast("Made", output["video"]).path
    middle = (40, 20)
    first = cast("tuple[int, ...]", frame_of(path, 0).getpixel(middle))
    last = cast("tuple[int, ...]", frame_of(path, 119).getpixel(middle))
    assert first[0] > first[2] + 80
    assert last[2] > last[0] + 80


def test_a_given_video_is_enlarged_and_keeps_its_length_and_sound(tmp_path: Path) -> None:
    wish = {"prompt": "rain", "duration": "4s", "generate_audio": True, "width": 128, "height": 72}
    source = cast("Made", made("fal-ai/veo3.1", wish, tmp_path)["video"]).path
    output = made(
        "blackforestlabs/flux-video-upscale",
        {"video_url": "v:", "upscale_factor": 2},
        tmp_path / "out",
        inputs={"v:": source},
    )
    facts = seen(cast("Made", output["video"]).path)
    assert facts["size"] == (256, 144)
    assert facts["sound"] == ["aac"]
    assert facts["seconds"] == pytest.approx(4.0, abs=0.05)


@pytest.mark.parametrize(
    "resolution", ["true_1080p", *(pytest.param(way, marks=pytest.mark.proof) for way in WAYS)]
)
def test_every_way_to_write_a_resolution_is_read(tmp_path: Path, resolution: str) -> None:
    wish = {"prompt": "rain", "resolution": resolution, "num_frames": 2, "fps": 8}
    output = made("fal-ai/sora-2/text-to-video/pro", wish, tmp_path)
    assert seen(cast("Made", output["video"]).path)["size"] == (1920, 1080)


def test_a_video_that_is_enlarged_by_a_factor_has_no_target(tmp_path: Path) -> None:
    small = {"prompt": "rain", "width": 64, "height": 48, "num_frames": 4, "fps": 8}
    source = cast("Made", made("fal-ai/veo3.1", small, tmp_path)["video"]).path
    wish = {"upscale_mode": "factor", "upscale_factor": 3, "target_resolution": "1080p"}
    output = made(
        "fal-ai/seedvr/upscale/video",
        {"video_url": "v:", **wish},
        tmp_path / "out",
        inputs={"v:": source},
    )
    assert seen(cast("Made", output["video"]).path)["size"] == (192, 144)


def test_what_is_no_video_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"not a video" * 50)
    wish = {"video_url": "v:", "upscale_factor": 2}
    given = {"v:": tmp_path / "broken.mp4"}
    with pytest.raises(RunnerError) as refused:
        made("blackforestlabs/flux-video-upscale", wish, tmp_path, inputs=given)
    assert (refused.value.type, refused.value.loc) == ("unsupported_video_format", ("video_url",))


def test_speech_lasts_as_long_as_its_text_needs_and_voices_differ(tmp_path: Path) -> None:
    short = {"text": "Hello there.", "voice": "Rachel"}
    long = {"text": "Hello there, this is a much longer sentence to be read.", "voice": "Rachel"}
    other = {**short, "voice": "Brian"}
    endpoint = "fal-ai/elevenlabs/tts/multilingual-v2"
    found = [
        cast("Made", made(endpoint, wish, tmp_path / str(place))["audio"])
        for place, wish in enumerate((short, long, other))
    ]
    lengths = [seen(sound.path)["seconds"] for sound in found]
    assert 0.5 < lengths[0] < 2.5
    assert lengths[1] > lengths[0] * 2
    assert found[0].path.read_bytes() != found[2].path.read_bytes()


@pytest.mark.parametrize("form", ["wav", "mp3", "flac", "m4a", "opus"])
def test_music_has_the_asked_length_and_format_and_begins_with_a_soft_tone(
    form: str, tmp_path: Path
) -> None:
    wish = {"prompt": "calm piano", "duration": 2.5, "output_format": form}
    sound = cast(
        "Made", made("fal-ai/stable-audio-3/medium/text-to-audio", wish, tmp_path)["audio"]
    )
    facts = seen(sound.path)
    assert sound.path.suffix == f".{form}"
    assert facts["seconds"] == pytest.approx(2.5, abs=0.1)
    samples = heard(Given(("audio",), "audio", sound.path), 22_050).samples
    tone = samples[round(0.05 * 22_050) : round(0.15 * 22_050)]
    crossings = sum(1 for one, two in itertools.pairwise(tone) if one < 0 <= two)
    assert max(tone) > 300
    assert 20 < crossings < 400
    if form in ("wav", "mp3", "flac", "m4a"):
        assert facts["note"].startswith("Local preview")


def test_a_sound_that_was_extended_is_longer_by_what_was_asked(tmp_path: Path) -> None:
    wish = {"prompt": "bell", "duration": 2, "output_format": "wav"}
    endpoint = "fal-ai/stable-audio-3/medium/text-to-audio"
    source = cast("Made", made(endpoint, wish, tmp_path)["audio"]).path
    output = made(
        "fal-ai/ace-step/audio-outpaint",
        {"audio_url": "a:", "extend_before_duration": 1, "extend_after_duration": 3, "tags": "x"},
        tmp_path / "out",
        inputs={"a:": source},
    )
    assert seen(cast("Made", output["audio"]).path)["seconds"] == pytest.approx(6.0, abs=0.1)
