"""Prices: exact where the card and the given media settle them."""

from decimal import Decimal
from typing import Any

import pytest

from catalog.card import ModelCard
from catalog.errors import ArgumentsError
from catalog.index import CatalogIndex
from catalog.media import MediaFacts
from catalog.pricing import Estimate, cost_of_units, estimate
from catalog.schema import Path, check
from tests.priced import CATALOG, SQUARE, audio, picture, price, video


def test_four_square_megapixels_cost_four_times_the_unit_price() -> None:
    made = price("fal-ai/flux/dev", {"image_size": SQUARE, "num_images": 4})
    assert made == Estimate(
        kind="exact",
        low=Decimal("0.1"),
        high=Decimal("0.1"),
        formula="4 x 1 MP x $0.025/MP",
        assumptions=(),
        source="fal-model-atlas 2026-08-18 (model pages)",
        as_of="2026-08-18",
        units=Decimal(4),
        unit="megapixel",
    )


@pytest.mark.parametrize(
    ("endpoint_id", "arguments", "dollars"),
    [
        pytest.param(
            "fal-ai/nano-banana-2",
            {"resolution": "4K", "enable_web_search": True},
            "0.175",
            id="a multiplier and an addition",
        ),
        pytest.param("fal-ai/nano-banana-2", {"num_images": 3}, "0.24", id="several images"),
        pytest.param(
            "fal-ai/nano-banana-2",
            {"resolution": "2K", "num_images": 2, "thinking_level": "high"},
            "0.242",
            id="an addition once per request",
        ),
        pytest.param(
            "fal-ai/ltx-2.3/image-to-video",
            {"image_url": "a.png", "duration": 8, "resolution": "2160p"},
            "2.56",
            id="seconds at a resolution",
        ),
        pytest.param("fal-ai/veo3.1", {}, "3.2", id="a length as text, with sound by default"),
        pytest.param(
            "fal-ai/veo3.1",
            {"duration": "4s", "resolution": "4k", "generate_audio": False},
            "1.6",
            id="three conditions",
        ),
        pytest.param(
            "fal-ai/elevenlabs/tts/eleven-v3", {"text": "x" * 500}, "0.05", id="characters"
        ),
        pytest.param(
            "fal-ai/kling-video/v2.1/master/image-to-video",
            {"image_url": "a.png", "duration": "10"},
            "2.8",
            id="five seconds and those beyond",
        ),
        pytest.param(
            "fal-ai/pixverse/v5.5/image-to-video",
            {
                "image_url": "a.png",
                "duration": "8",
                "resolution": "1080p",
                "generate_audio_switch": True,
                "generate_multi_clip_switch": True,
            },
            "0.95",
            id="a tier at its reference length, doubled, with additions once",
        ),
        pytest.param(
            "fal-ai/pixverse/v5.6/image-to-video",
            {"image_url": "a.png", "resolution": "1080p", "generate_audio_switch": True},
            "1.5",
            id="an addition that depends on another field",
        ),
        pytest.param(
            "fal-ai/vidu/q2/image-to-video/pro",
            {"image_url": "a.png", "duration": 5, "resolution": "1080p"},
            "0.8",
            id="a fixed part and one by seconds",
        ),
        pytest.param(
            "fal-ai/vidu/q2/reference-to-video/pro",
            {"duration": 5, "resolution": "1080p"},
            "0.7",
            id="priced in other units at one resolution",
        ),
        pytest.param(
            "fal-ai/vidu/q3/text-to-video",
            {"duration": 5, "resolution": "1080p"},
            "0.77",
            id="a multiplier over the tier of another resolution",
        ),
        pytest.param(
            "fal-ai/wan/v2.2-a14b/image-to-video",
            {"image_url": "a.png"},
            "0.405",
            id="frames over the billed rate",
        ),
        pytest.param(
            "fal-ai/magi",
            {"num_frames": 192, "num_inference_steps": "32"},
            "2.4",
            id="a multiplier that grows with steps, and seconds beyond",
        ),
        pytest.param(
            "fal-ai/ltx-2-19b/text-to-video", {}, "0.16335", id="megapixels of all frames"
        ),
        pytest.param(
            "fal-ai/flux-2-klein-4b-base-trainer", {"image_data_url": "a.zip"}, "5", id="steps"
        ),
        pytest.param(
            "fal-ai/qwen-image-trainer",
            {"image_data_url": "a.zip", "steps": 10},
            "0.5",
            id="the least number of steps",
        ),
        pytest.param(
            "sonilo/v1.1/text-to-sound-effects",
            {"num_samples": 3, "duration": 8},
            "0.0432",
            id="seconds of each sample",
        ),
        pytest.param("fal-ai/recraft/v3/text-to-image", {}, "0.04", id="no exception holds"),
        pytest.param(
            "fal-ai/recraft/v3/text-to-image",
            {"style": "vector_illustration"},
            "0.08",
            id="an exception holds",
        ),
        pytest.param(
            "fal-ai/flux-2-max",
            {"image_size": {"width": 2048, "height": 2048}},
            "0.16",
            id="the first megapixel costs more",
        ),
    ],
)
def test_what_card_and_arguments_settle_is_exact(
    endpoint_id: str, arguments: dict[str, Any], dollars: str
) -> None:
    made = price(endpoint_id, arguments)
    assert (made.kind, made.low, made.high) == ("exact", Decimal(dollars), Decimal(dollars)), made


@pytest.mark.parametrize(
    ("endpoint_id", "arguments", "facts", "dollars"),
    [
        pytest.param(
            "fal-ai/flux-2-pro/edit",
            {"image_urls": ["a", "b"]},
            {("image_urls", 0): picture(1024, 1024), ("image_urls", 1): picture(2048, 1024)},
            "0.075",
            id="megapixels in and out, rounded up by the card",
        ),
        pytest.param(
            "fal-ai/flux-2/edit",
            {"image_urls": ["a"], "image_size": SQUARE},
            {("image_urls", 0): picture(4096, 4096)},
            "0.024",
            id="pictures that the model makes smaller first",
        ),
        pytest.param(
            "fal-ai/wan/v2.7/reference-to-video",
            {"reference_video_urls": ["a"], "duration": 5},
            {("reference_video_urls", 0): video(4)},
            "0.9",
            id="seconds in and out",
        ),
        pytest.param(
            "fal-ai/kling-video/lipsync/audio-to-video",
            {"video_url": "a", "audio_url": "b"},
            {("video_url",): video(6.5), ("audio_url",): audio(3)},
            "0.14",
            id="rounded up to five seconds",
        ),
        pytest.param(
            "clarityai/crystal-video-upscaler",
            {"video_url": "a"},
            {("video_url",): video(2, 1024, 1024, fps=60)},
            "1.6",
            id="megapixel seconds, doubled for sixty frames",
        ),
        pytest.param(
            "fal-ai/heygen/v3/filler-word-removal",
            {"video_url": "a"},
            {("video_url",): video(30)},
            "0.6",
            id="at least a minute",
        ),
        pytest.param(
            "fal-ai/bytedance/omnihuman/v1.5",
            {"image_url": "a", "audio_url": "b"},
            {("audio_url",): audio(7.25)},
            "1.16",
            id="as long as the sound",
        ),
        pytest.param(
            "fal-ai/seedvr/upscale/image",
            {"image_url": "a"},
            {("image_url",): picture(1024, 1024)},
            "0.004",
            id="twice as wide and high by default",
        ),
        pytest.param(
            "fal-ai/elevenlabs/speech-to-text",
            {"audio_url": "a"},
            {("audio_url",): audio(120)},
            "0.06",
            id="minutes",
        ),
        pytest.param(
            "xai/grok-imagine-image/edit",
            {"image_urls": ["a"], "num_images": 2},
            {},
            "0.042",
            id="two pictures out, one in",
        ),
        pytest.param(
            "luma/agent/ray/v3.2/reframe",
            {"video_url": "a", "aspect_ratio": "1:1"},
            {("video_url",): video(4.2)},
            "0.3",
            id="whole seconds",
        ),
    ],
)
def test_facts_of_the_given_media_settle_the_price(
    endpoint_id: str, arguments: dict[str, Any], facts: dict[Path, MediaFacts], dollars: str
) -> None:
    made = price(endpoint_id, arguments, facts)
    assert (made.kind, made.low) == ("exact", Decimal(dollars)), made


def test_a_preview_is_billed_by_the_text_that_is_spoken_not_by_the_wish_for_a_voice() -> None:
    made = price("fal-ai/minimax/voice-design", {"prompt": "warm", "preview_text": "x" * 500})
    assert (made.kind, made.low) == ("exact", Decimal("3.015"))


def test_speech_is_billed_by_its_text_not_by_how_it_is_to_sound() -> None:
    made = price("fal-ai/qwen-3-tts/text-to-speech/1.7b", {"text": "x" * 1000, "prompt": "calm"})
    assert (made.kind, made.low) == ("exact", Decimal("0.09"))


def test_tiers_by_frame_rate_and_size_are_read_from_the_film() -> None:
    film = MediaFacts("video", "video/mp4", None, 1280, 720, 10.0, 24.0, 240, True)
    asked = {"video_url": "v", "upscale_factor": 3, "target_fps": 60}
    made = price("fal-ai/topaz/upscale/video", asked, {("video_url",): film})
    assert (made.kind, made.low) == ("exact", Decimal("1.6"))


def test_runs_multiply() -> None:
    one, many = (price("fal-ai/veo3.1", {}, runs=runs) for runs in (1, 12))
    assert one.high is not None
    assert many.high == one.high * 12
    assert many.formula.startswith("12 x (")


def test_a_price_cut_ends_with_its_day() -> None:
    record: dict[str, Any] = {
        "id": "acme/video",
        "input": {"type": "object", "properties": {"duration": {"type": "integer"}}},
        "schema": {"completeness": "full"},
        "price": {"amount": 0.1, "unit": "second", "qualifiers": [], "source": "x", "as_of": "y"},
    }
    for until, dollars in (("2020-01-01", "1"), ("2999-01-01", "0.5")):
        record["price"]["promo"] = {"multiplier": 0.5, "until": until}
        assert estimate(ModelCard.from_record(record), {"duration": 10}).high == Decimal(dollars)


def test_units_times_the_platforms_price_give_the_dollars() -> None:
    made = price("fal-ai/nano-banana-2", {"resolution": "4K"})
    assert made.units == Decimal(2)
    assert cost_of_units(CATALOG.get("fal-ai/nano-banana-2"), Decimal(2)) == made.high


def test_units_of_compute_time_are_money_after_the_run_but_not_where_a_page_says_otherwise() -> (
    None
):
    assert cost_of_units(CATALOG.get("fal-ai/esrgan"), Decimal(10)) == Decimal("0.0111")
    card = CATALOG.get("xai/grok-imagine-image/quality/edit")
    assert card.price is not None
    assert card.price["api"]["unit"] == "compute seconds"
    assert cost_of_units(card, Decimal(10)) is None


def test_arguments_that_do_not_fit_are_no_concern_of_the_price() -> None:
    card = CATALOG.get("fal-ai/flux/dev")
    with pytest.raises(ArgumentsError):
        check(card, {"num_images": "many"})
    assert estimate(card, {"num_images": "many"}).kind == "range"


def test_transitions_from_picture_to_picture_last_their_own_time_each() -> None:
    card = CatalogIndex.open().get("fal-ai/pika/v2.2/pikaframes")
    three = [f"https://example.com/{number}.jpg" for number in range(3)]
    plain = estimate(card, {"image_urls": three})
    longer = estimate(card, {"image_urls": three, "transitions": [{"duration": 8}, {}]})

    assert (plain.kind, plain.high) == ("exact", Decimal("0.4"))
    assert (longer.kind, longer.high) == ("exact", Decimal("0.52"))


def test_shots_with_lengths_of_their_own_cost_what_they_last_together() -> None:
    kling = "fal-ai/kling-video/v3/pro/text-to-video"
    two = {"multi_prompt": [{"prompt": "a", "duration": "10"}, {"prompt": "b"}]}
    made = price(kling, two)

    assert (made.kind, made.low, made.high) == ("range", Decimal("0.84"), Decimal("2.52"))
    assert (price(kling, {**two, "duration": "15"}).kind) == "exact"
    assert price(kling, {"multi_prompt": []}) == price(kling, {})


@pytest.mark.parametrize(
    ("endpoint_id", "arguments", "high"),
    [
        ("fal-ai/csm-1b", {"scene": [{"speaker_id": 0, "text": "a" * 500}]}, "0.015"),
        ("fal-ai/kokoro", {"prompt": "a" * 500}, "0.01"),
    ],
)
def test_text_to_speak_is_counted_where_it_stands(
    endpoint_id: str, arguments: dict[str, Any], high: str
) -> None:
    assert estimate(CatalogIndex.open().get(endpoint_id), arguments).high == Decimal(high)
