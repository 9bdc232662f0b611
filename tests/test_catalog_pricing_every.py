"""Prices of every card: each has one or says why not, in one line, at once."""

import time
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.card import ModelCard
from catalog.describe import example_arguments
from catalog.pricing import cost_of_units, estimate, price_tiers, price_words
from catalog.units import UNPRICED
from tests.priced import CATALOG, facts_for


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
