"""Work that is said in the words of one model is costed on others, and what they cannot is told."""

import json
import wave
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from catalog.errors import ArgumentsError
from catalog.index import CatalogIndex
from catalog.pricing import estimate
from catalog.same_work import same_work
from catalog.schema import check
from tests.house import connected, record, words
from tests.made_media import picture

CATALOG = CatalogIndex.open()
FILM = {"prompt": "a fox", "duration": 10, "resolution": "1080p", "generate_audio": True}
PHOTO = "https://example.com/a.png"


@pytest.mark.parametrize(
    ("endpoint_id", "given", "sent"),
    [
        ("fal-ai/kling-video/v3/pro/text-to-video", {"duration": "10 seconds"}, {"duration": "10"}),
        (
            "fal-ai/veo3.1",
            {"num_frames": 193, "frames_per_second": 24},
            {"duration": "8s"},
        ),
        ("fal-ai/elevenlabs/music", {"duration": "1 min"}, {"music_length_ms": 60000}),
        ("fal-ai/ltx-2.3-22b/text-to-video", {"seconds": 5}, {"num_frames": 121}),
        (
            "fal-ai/ltx-2.3-22b/text-to-video",
            {"resolution": "1080p"},
            {"video_size": {"width": 1920, "height": 1080}},
        ),
        ("fal-ai/veo3.1", {"width": 1920, "height": 1080}, {"resolution": "1080p"}),
        ("fal-ai/nano-banana-2", {"image_size": "2048x2048"}, {"resolution": "2K"}),
        ("fal-ai/flux/dev", {"aspect_ratio": "16:9"}, {"image_size": "landscape_16_9"}),
        ("fal-ai/pixverse/v6/text-to-video", FILM, {"generate_audio_switch": True}),
        ("fal-ai/minimax/speech-2.8-hd", {"text": "hello"}, {"prompt": "hello"}),
        (
            "fal-ai/minimax/speech-2.8-hd",
            {"prompt": "warm", "text": "hello"},
            {"prompt": "hello"},
        ),
        ("fal-ai/vibevoice", {"prompt": "hello"}, {"script": "hello"}),
        (
            "fal-ai/kling-video/v3/pro/image-to-video",
            {"image_url": PHOTO},
            {"start_image_url": PHOTO},
        ),
        ("fal-ai/nano-banana-2/edit", {"image_url": PHOTO}, {"image_urls": [PHOTO]}),
        ("fal-ai/esrgan", {"upscale_factor": 4}, {"scale": 4}),
    ],
)
def test_other_names_and_forms_of_the_same_are_followed(
    endpoint_id: str, given: dict[str, object], sent: dict[str, object]
) -> None:
    card = CATALOG.get(endpoint_id)
    work = same_work(card, given)
    arguments = check(card, work.arguments, whole=False).arguments
    assert {name: arguments.get(name) for name in sent} == sent
    assert not work.beyond


@pytest.mark.parametrize(
    ("endpoint_id", "given", "told", "beyond"),
    [
        ("fal-ai/veo3.1", {"duration": 5}, "6 s, not 5", ""),
        ("fal-ai/veo3.1", {"duration": "10s"}, "", "10 s: 8 s at most"),
        ("fal-ai/lyria2", {"duration": 60}, "", "60 s: makes 30 s"),
        ("fal-ai/hunyuan-video", {"resolution": "1080p"}, "", "1080p: 720p at most"),
        ("fal-ai/flux-2-pro/edit", {"num_images": 4}, "4 runs of 1", ""),
        ("fal-ai/kokoro/american-english", {"voice": "Rachel"}, "left out: voice", ""),
        ("fal-ai/veo3.1", {"image_url": PHOTO}, "", "takes no image"),
        (
            "fal-ai/stable-video",
            {"image_url": PHOTO, "prompt": "a", "duration": 5},
            "its length cannot be set; left out: prompt",
            "",
        ),
        ("fal-ai/minimax/hailuo-2.3/pro/text-to-video", {"audio": True}, "makes no sound", ""),
    ],
)
def test_what_a_model_cannot_do_as_asked_is_told(
    endpoint_id: str, given: dict[str, object], told: str, beyond: str
) -> None:
    work = same_work(CATALOG.get(endpoint_id), given)
    assert ("; ".join(work.told), "; ".join(work.beyond)) == (told, beyond)


def test_what_a_model_takes_as_it_stands_remains_so() -> None:
    given = {"prompt": "a fox", "duration": "8s", "resolution": "1080p", "generate_audio": False}
    assert same_work(CATALOG.get("fal-ai/veo3.1"), given).arguments == given


@pytest.mark.parametrize(
    "value",
    [10**400, 1e300, float("nan"), -1, True, "", "x" * 5000, "\x1b[31m", [[]], {"width": 0}],
)
def test_odd_values_are_left_out_or_refused_and_break_nothing(value: object) -> None:
    names = ("duration", "resolution", "image_size", "width", "n", "fps", "prompt", "images")
    for endpoint_id in ("fal-ai/veo3.1", "fal-ai/flux/dev", "blackforestlabs/flux-3/text-to-video"):
        card = CATALOG.get(endpoint_id)
        for name in names:
            work = same_work(card, {name: value})
            assert work.runs == 1
            with suppress(ArgumentsError):
                estimate(card, check(card, work.arguments, whole=False).arguments)


async def test_the_same_film_is_costed_on_models_that_say_it_otherwise(tmp_path: Path) -> None:
    models = ["fal-ai/veo3.1", "fal-ai/pixverse/v6/text-to-video", "fal-ai/flux-2-pro"]
    async with connected(tmp_path) as client:
        wanted = {"endpoint_ids": models, "arguments": {**FILM, "duration": "10s", "n": 2}}
        answer = await client.call_tool("estimate_cost", wanted)
        alone = {"endpoint_id": models[1], "arguments": wanted["arguments"]}
        assert (await client.call_tool("estimate_cost", alone)).is_error
    veo, pixverse, flux = record(answer)["estimates"]
    assert (veo["kind"], veo["formula"]) == (
        "unknown",
        "cannot: 10 s: 8 s at most; that costs $6.4",
    )
    assert (pixverse["high"], pixverse["assumptions"]) == (2.3, ["2 runs of 1"])
    assert flux["assumptions"] == ["2 runs of 1; left out: duration, generate_audio"]
    assert "left out: duration, generate_audio; text to image" in words(answer)


@pytest.mark.proof
async def test_eight_bundles_of_everyday_work_have_a_price_wherever_one_is_known(
    tmp_path: Path,
) -> None:
    photo = str(picture(tmp_path / "photo.png", (1024, 1024)))
    talk = tmp_path / "talk.wav"
    with wave.open(str(talk), "w") as sound:
        sound.setparams((1, 2, 4000, 0, "NONE", ""))
        sound.writeframes(bytes(2 * 4000 * 300))
    bundles: dict[str, dict[str, Any]] = {
        "text-to-video": {**FILM, "aspect_ratio": "16:9"},
        "image-to-image": {"prompt": "at night", "image_url": photo, "num_images": 4},
        "text-to-speech": {"text": "hello you " * 200, "voice": "Rachel"},
        "text-to-audio": {"prompt": "calm piano", "duration": 60},
        "image-to-video": {"image_url": photo, "duration": "5s", "resolution": "720p"},
        "image-to-3d": {"image_url": photo},
        "speech-to-text": {"audio_url": str(talk), "language": "en"},
        "text-to-image": {"prompt": "a fox", "image_size": {"width": 1024, "height": 576}},
    }
    async with connected(tmp_path) as client:
        for category, given in bundles.items():
            for start in (0, 8):
                ids = CATALOG.of_category(category)[start : start + 8]
                asked = {"endpoint_ids": ids, "arguments": given}
                answer = await client.call_tool("estimate_cost", asked)
                rows = record(answer)["estimates"]
                assert len(json.dumps(rows).encode()) <= 2048
                assert len(words(answer).encode()) <= 2048
                for row in rows:
                    assert row["kind"] != "unknown" or row["formula"].startswith(
                        ("cannot: ", "no price", "$")
                    ), row


@pytest.mark.proof
@pytest.mark.parametrize("category", ["image-to-image", "text-to-video"])
async def test_much_that_models_lack_is_told_within_two_kilobytes(
    tmp_path: Path, category: str
) -> None:
    given = {
        "instruction": "a fox in the snow", "n": 3, "aspect_ratio": "21:9", "resolution": "1080p",
        "style": "oil", "strength": 0.4, "seed": 4, "guidance_scale": 5, "fps": 24, "duration": 7,
    }  # fmt: skip
    ids = CATALOG.of_category(category)[:136]
    async with connected(tmp_path) as client:
        for start in range(0, len(ids), 8):
            asked = {"endpoint_ids": ids[start : start + 8], "arguments": given, "runs": 17}
            answer = await client.call_tool("estimate_cost", asked)
            assert len(json.dumps(record(answer)).encode()) <= 2048
            assert len(words(answer).encode()) <= 2048
