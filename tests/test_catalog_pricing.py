"""Prices: exact where the card settles them, else a range with its reasons, else unknown."""

import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.card import ModelCard
from catalog.describe import example_arguments
from catalog.errors import ArgumentsError
from catalog.index import CatalogIndex
from catalog.media import MediaFacts
from catalog.pricing import Estimate, cost_of_units, estimate, price_tiers, price_words
from catalog.schema import Path, check
from catalog.units import UNPRICED

CATALOG = CatalogIndex.open()
PROMPT = "a red fox"
SQUARE = {"width": 1024, "height": 1024}
FACTS = {
    "image": MediaFacts("image", "image/png", bytes=9, width=1024, height=1024),
    "video": MediaFacts(
        "video", "video/mp4", bytes=9, width=1280, height=720, seconds=10, fps=24, frames=240
    ),
    "audio": MediaFacts("audio", "audio/mpeg", bytes=9, seconds=10),
}


def price(
    endpoint_id: str,
    arguments: dict[str, Any],
    facts: dict[Path, MediaFacts] | None = None,
    runs: int = 1,
) -> Estimate:
    return estimate(CATALOG.get(endpoint_id), {"prompt": PROMPT, **arguments}, facts, runs)


def picture(width: int, height: int) -> MediaFacts:
    return MediaFacts("image", "image/png", width=width, height=height)


def video(seconds: float, width: int = 1280, height: int = 720, fps: float = 24) -> MediaFacts:
    return MediaFacts("video", "video/mp4", width=width, height=height, seconds=seconds, fps=fps)


def audio(seconds: float) -> MediaFacts:
    return MediaFacts("audio", "audio/mpeg", seconds=seconds)


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


def test_a_part_of_a_megapixel_is_a_range_because_nobody_says_whether_it_is_rounded_up() -> None:
    made = price("fal-ai/flux/dev", {})
    assert (made.kind, made.low, made.high) == ("range", Decimal("0.01875"), Decimal("0.025"))
    assert "image_size by default landscape_4_3 (1024x768)" in made.assumptions
    assert any("rounded up" in words for words in made.assumptions)


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


def test_a_length_left_open_is_a_range_over_what_the_schema_allows() -> None:
    made = price("alibaba/happy-horse/v1.1/image-to-video", {"image_url": "a"})
    assert (made.kind, made.low, made.high) == ("range", Decimal("0.54"), Decimal("2.7"))
    assert made.assumptions == ("duration not given: 3 to 15, as the schema allows",)


def test_a_resolution_left_open_is_a_range_over_the_tiers() -> None:
    made = price("kling/v4/text-to-video", {"duration": 5})
    assert (made.low, made.high) == (Decimal("0.785"), Decimal("1.175"))


@pytest.mark.parametrize(
    ("endpoint_id", "arguments", "low", "high", "assumed"),
    [
        pytest.param(
            "fal-ai/pika/v2.2/image-to-video",
            {"image_url": "a", "duration": 10, "resolution": "1080p"},
            "0.45",
            "0.9",
            "no price stated for duration=10: that of 5, up to 2 times as much",
            id="twice as long as what is stated costs up to twice as much",
        ),
        pytest.param(
            "minimax/h3-max/text-to-video",
            {"prompt": "a", "duration": 10, "resolution": "1080P"},
            "0.8",
            "1.58203125",
            "no price stated for resolution=1080P: that of 768, up to 1.98 times as much",
            id="larger than the largest never costs less than it",
        ),
        pytest.param(
            "fal-ai/wan-t2v",
            {"prompt": "a", "resolution": "580p"},
            "0.2",
            "0.4",
            "no price stated for resolution=580p: between the stated ones",
            id="between two sizes it lies between their prices",
        ),
        pytest.param(
            "fal-ai/vidu/q2/reference-to-video/pro",
            {"prompt": "a", "resolution": "540p", "duration": 4},
            "0.2",
            "0.3",
            "no price stated for resolution=540p: between the stated ones",
            id="only the neighbours count",
        ),
        pytest.param(
            "openai/gpt-image-2",
            {"prompt": "a", "image_size": {"width": 2048, "height": 1024}},
            "0.198",
            "0.4840055",
            "no price stated for image_size=2 MP: that of 1 MP, up to 2 times as much",
            id="more pixels than any named size, ten per cent and a prompt on top",
        ),
    ],
)
def test_a_value_that_no_tier_names_is_bounded_by_its_neighbours(
    endpoint_id: str, arguments: dict[str, Any], low: str, high: str, assumed: str
) -> None:
    made = price(endpoint_id, arguments)
    assert (made.kind, made.low, made.high) == ("range", Decimal(low), Decimal(high))
    assert assumed in made.assumptions


def test_a_picture_below_the_smallest_size_costs_what_that_costs() -> None:
    small = price("alibaba/qwen-image-3/edit", {"image_urls": ["a"], "image_size": "square"})
    assert (small.low, small.high) == (Decimal("0.04"), Decimal("0.04"))
    assert "no price stated for resolution=512p: that of the smallest" in small.assumptions
    asked = {"image_urls": ["a"], "image_size": {"width": 4096, "height": 4096}}
    large = price("alibaba/qwen-image-3/edit", asked)
    assert (large.low, large.high) == (Decimal("0.075"), Decimal("0.3"))


def test_a_preview_is_billed_by_the_text_that_is_spoken_not_by_the_wish_for_a_voice() -> None:
    made = price("fal-ai/minimax/voice-design", {"prompt": "warm", "preview_text": "x" * 500})
    assert (made.kind, made.low) == ("exact", Decimal("3.015"))


def test_speech_is_billed_by_its_text_not_by_how_it_is_to_sound() -> None:
    made = price("fal-ai/qwen-3-tts/text-to-speech/1.7b", {"text": "x" * 1000, "prompt": "calm"})
    assert (made.kind, made.low) == ("exact", Decimal("0.09"))


def test_a_given_number_of_frames_takes_the_place_of_the_default_length() -> None:
    model = "fal-ai/bytedance/seedance/v1/pro/fast/text-to-video"
    made = price(model, {"prompt": "a", "num_frames": 240, "resolution": "720p"})
    same = price(model, {"prompt": "a", "duration": "10", "resolution": "720p"})
    assert (made.low, made.high) == (same.low, same.high)


def test_tiers_by_frame_rate_and_size_are_read_from_the_film() -> None:
    film = MediaFacts("video", "video/mp4", None, 1280, 720, 10.0, 24.0, 240, True)
    asked = {"video_url": "v", "upscale_factor": 3, "target_fps": 60}
    made = price("fal-ai/topaz/upscale/video", asked, {("video_url",): film})
    assert (made.kind, made.low) == ("exact", Decimal("1.6"))


def test_a_size_below_the_smallest_costs_down_to_its_share() -> None:
    film = MediaFacts("video", "video/mp4", None, 832, 480, 5.0, 16.0, 80, True)
    arguments = {"prompt": "a", "video_url": "v", "resolution": "240p"}
    made = price("fal-ai/wan-vace-14b", arguments, {("video_url",): film})
    assert made.low is not None
    assert made.high == made.low * 4


def test_tokens_of_video_are_computed_where_the_card_says_how() -> None:
    stated = price("fal-ai/bytedance/seedance/v1/pro/fast/image-to-video", {"image_url": "a"})
    assert (stated.kind, stated.low) == ("exact", Decimal("0.243"))  # 1920 x 1080 x 24 x 5 / 1024
    other = price(
        "fal-ai/bytedance/seedance/v1/pro/fast/image-to-video",
        {"image_url": "a", "resolution": "480p", "duration": "10"},
    )
    assert other.kind == "range"
    assert other.low is not None
    assert other.high is not None
    assert other.low < Decimal("0.096") < other.high
    assert "frame sizes are nominal: within 5 %" in other.assumptions


def test_an_approximate_figure_is_never_called_exact() -> None:
    made = price("google/gemini-omni-flash", {"duration": 8})
    assert made.kind == "range"
    assert (made.low, made.high) == (Decimal("0.9"), Decimal("1.1"))


@pytest.mark.parametrize(
    ("endpoint_id", "why"),
    [
        ("fal-ai/esrgan", "the run time is not known before the run"),
        ("google/nano-banana-lite", "the tokens are not known before the run"),
        ("fal-ai/moondream3-preview/caption", "the tokens are not known before the run"),
        ("fal-ai/hunyuan-3d/v3.1/part", "the source does not say what a unit is"),
        ("minimax/h3-max-turbo/text-to-video", "this looks like a placeholder"),
        ("fal-ai/hunyuan-video-v1.5/text-to-video", "sources disagree"),
        ("bria/video/erase/prompt", "the length is not known"),
    ],
)
def test_what_cannot_be_turned_into_money_is_unknown_and_says_what_is_known(
    endpoint_id: str, why: str
) -> None:
    made = price(endpoint_id, {"image_url": "a", "video_url": "a"})
    assert (made.kind, made.low, made.high, made.units) == ("unknown", None, None, None)
    assert why in made.formula
    assert "$" in made.formula


def test_a_card_without_a_price_is_unknown() -> None:
    card = next(card for card in CATALOG.cards() if card.price is None)
    made = estimate(card, example_arguments(card))
    assert (made.kind, made.formula) == ("unknown", "no price is known")
    assert price_words(card) == "price not known"
    assert price_tiers(card) == ()


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


def test_a_price_reads_in_one_line() -> None:
    def words(endpoint_id: str) -> str:
        return price_words(CATALOG.get(endpoint_id))

    assert words("fal-ai/flux/dev") == "$0.025/MP"
    assert words("fal-ai/ltx-2.3/image-to-video") == (
        "$0.08/s at 1080p; $0.16 at 1440p; $0.32 at 2160p"
    )
    assert (
        words("fal-ai/nano-banana-pro")
        == "$0.15/image; x 2 at 4K; +$0.015/request at enable_web_search=on"
    )
    assert words("topaz/upscale/image/creative") == "$0.96/24 MP"
    assert words("bytedance/seedance-2.0/image-to-video") == (
        "about $0.3034/s at 720p; $0.682 at 1080p; $0.1344 at 480p"
    )
    assert max(len(price_words(card)) for card in CATALOG.cards()) <= 160


def test_every_tier_is_listed_in_words() -> None:
    assert price_tiers(CATALOG.get("fal-ai/nano-banana-2"))[:2] == ("x 1.5 at 2K", "x 2 at 4K")


def test_every_card_is_priced_or_says_why_not() -> None:
    seen = {"exact": 0, "range": 0, "unknown": 0}
    for card in CATALOG.cards():
        arguments = example_arguments(card)
        for facts in ({}, facts_for(card, arguments)):
            made = estimate(card, arguments, facts)
            seen[made.kind] += 1
            assert made.formula, card.endpoint_id
            if made.kind == "unknown":
                assert made.low is None
                assert made.high is None
            else:
                assert made.low is not None
                assert made.high is not None
                assert 0 < made.low <= made.high, (card.endpoint_id, made)
                assert made.source, card.endpoint_id
                assert made.as_of, card.endpoint_id
            if made.units is not None and made.high is not None:
                told = cost_of_units(card, made.units)
                assert told is not None
                assert abs(told - made.high) < Decimal("0.00001"), card.endpoint_id
    assert seen["exact"] > seen["range"] > 500


def test_with_known_media_few_priced_models_stay_unknown() -> None:
    """Beyond units that nobody can turn into money, only lengths that nobody states are left."""
    left: list[str] = []
    for card in CATALOG.cards():
        if card.status != "active" or card.price is None or card.price["unit"] in UNPRICED:
            continue
        arguments = example_arguments(card)
        if estimate(card, arguments, facts_for(card, arguments)).kind == "unknown":
            left.append(card.endpoint_id)
    assert len(left) < 40, left


def facts_for(card: ModelCard, arguments: dict[str, Any]) -> dict[Path, MediaFacts]:
    media = check(card, arguments).media
    return {use.path: FACTS[use.kind] for use in media if use.kind in FACTS}


def test_every_choice_of_a_priced_field_is_priced_too() -> None:
    """A value that no tier names must still give a price."""
    for card in CATALOG.cards():
        if card.price is None or card.status != "active":
            continue
        arguments = example_arguments(card)
        known = estimate(card, arguments, facts_for(card, arguments)).kind != "unknown"
        for name in {n for rule in card.price["qualifiers"] for n in rule.get("when") or ()}:
            for choice in card.properties.get(name, {}).get("enum", ()):
                made = estimate(card, {**arguments, name: choice}, facts_for(card, arguments))
                assert (made.kind != "unknown") >= known, (card.endpoint_id, name, choice, made)


JSON = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.lists(st.integers(), max_size=3)
    | st.dictionaries(st.sampled_from(["width", "height", "x"]), st.integers(), max_size=2)
)


@given(st.data(), st.sampled_from(CATALOG.ids))
@settings(max_examples=200, deadline=None)
def test_no_arguments_make_an_estimate_fail_or_negative(
    data: st.DataObject, endpoint_id: str
) -> None:
    card = CATALOG.get(endpoint_id)
    names = st.sampled_from([*card.properties, "duration", "width", "num_frames"])
    made = estimate(card, data.draw(st.dictionaries(names, JSON, max_size=6)))
    assert made.low is None or made.low >= 0
    assert (made.low is None) == (made.kind == "unknown")


@given(st.data(), st.sampled_from([i for i in CATALOG.ids if CATALOG.get(i).price]))
@settings(max_examples=100, deadline=None)
def test_more_pictures_never_cost_less(data: st.DataObject, endpoint_id: str) -> None:
    card = CATALOG.get(endpoint_id)
    name = next((n for n in ("num_images", "num_samples") if n in card.properties), "")
    if not name:
        return
    few, many = sorted(data.draw(st.tuples(st.integers(1, 8), st.integers(1, 8))))
    arguments = example_arguments(card)
    low, high = (estimate(card, {**arguments, name: number}).high for number in (few, many))
    assert low is None or high is None or low <= high


def test_an_estimate_takes_less_than_a_millisecond() -> None:
    slowest = 0.0
    for card in CATALOG.cards():
        arguments = example_arguments(card)
        slowest = max(slowest, min(_seconds(card, arguments) for _ in range(6)))
    assert slowest < 0.001


def _seconds(card: ModelCard, arguments: dict[str, Any]) -> float:
    started = time.process_time()
    estimate(card, arguments)
    return time.process_time() - started


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
