"""Prices that are not settled: a range with its reasons, else unknown."""

from decimal import Decimal
from typing import Any

import pytest

from catalog.describe import example_arguments
from catalog.media import MediaFacts
from catalog.pricing import estimate, price_tiers, price_words
from tests.priced import CATALOG, price


def test_a_part_of_a_megapixel_is_a_range_because_nobody_says_whether_it_is_rounded_up() -> None:
    made = price("fal-ai/flux/dev", {})
    assert (made.kind, made.low, made.high) == ("range", Decimal("0.01875"), Decimal("0.025"))
    assert "image_size by default landscape_4_3 (1024x768)" in made.assumptions
    assert any("rounded up" in words for words in made.assumptions)


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


def test_a_given_number_of_frames_takes_the_place_of_the_default_length() -> None:
    model = "fal-ai/bytedance/seedance/v1/pro/fast/text-to-video"
    made = price(model, {"prompt": "a", "num_frames": 240, "resolution": "720p"})
    same = price(model, {"prompt": "a", "duration": "10", "resolution": "720p"})
    assert (made.low, made.high) == (same.low, same.high)


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
