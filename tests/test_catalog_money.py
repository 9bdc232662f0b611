"""Limits of money in a search: how they are read, and what they are held against."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from catalog.errors import ActionableError
from catalog.granting import usual_length
from catalog.index import SNAPSHOT, CatalogIndex
from catalog.pricing import estimate
from catalog.same_work import same_work
from catalog.search import SearchRequest, search
from catalog.search_filters import work_named
from catalog.search_measure import limit_in
from catalog.search_spelled import spelled
from catalog.search_tables import SearchTables
from tests.house import connected, record, words


@pytest.fixture(scope="module")
def index() -> CatalogIndex:
    return CatalogIndex.open()


@pytest.mark.parametrize(
    "request_",
    [
        SearchRequest("text to video within $1", limit=20),
        SearchRequest("text to video", max_dollars=Decimal(1), limit=20),
    ],
    ids=["in words", "as a filter"],
)
def test_a_limit_without_a_length_is_held_against_a_clip_of_usual_length(
    index: CatalogIndex, request_: SearchRequest
) -> None:
    hits = {hit.endpoint_id: hit.why for hit in search(index, request_).hits}
    assert "within $1 for 5 s" in hits["minimax/h3-max/text-to-video"]
    assert "within $1 for 8 s" in hits["fal-ai/veo3.1/lite"]
    assert "supposed" in hits["google/gemini-omni-flash/v1.1/text-to-video"]
    within = [one for one, why in hits.items() if "within" in why]
    for endpoint_id in within:
        card = index.get(endpoint_id)
        lengths = usual_length(card, {})
        high = estimate(card, {"prompt": "a fox", **lengths}).high
        assert high is None or high <= Decimal("1.01"), endpoint_id


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ("under $1,000", 1000),
        ("less than $1,000.50", 1000.5),
        ("below 1e9 dollars", 1e9),
        ("under $2k", 2000),
        ("under 1 million dollars", 1e6),
    ],
)
def test_large_limits_are_read_as_they_are_written(words: str, limit: float) -> None:
    assert limit_in(spelled(words))[0] == limit


@pytest.mark.parametrize("words", ["under 0 dollars", "under -5 dollars", "for -$5", "below $-5"])
def test_a_limit_of_nothing_or_less_is_refused(index: CatalogIndex, words: str) -> None:
    with pytest.raises(ActionableError, match="leaves no model"):
        search(index, SearchRequest(f"text to video {words}"))


@pytest.mark.parametrize(
    "request_",
    [
        SearchRequest("text to video with sound", limit=20),
        SearchRequest("text to video", features=("sound",), limit=20),
    ],
    ids=["in words", "as a filter"],
)
def test_who_wishes_for_sound_sees_the_price_with_it(
    index: CatalogIndex, request_: SearchRequest
) -> None:
    prices = {hit.endpoint_id: hit.price for hit in search(index, request_).hits}
    assert prices["fal-ai/pixverse/v6/text-to-video"] == "$0.06 for 1 s with sound"
    assert prices["fal-ai/kling-video/v3/pro/text-to-video"] == "$0.168/s"


def test_work_may_be_told_in_words_of_a_text(index: CatalogIndex) -> None:
    request = SearchRequest("text to speech", for_work="500 words", max_dollars=Decimal("0.1"))
    hits = search(index, request).hits
    assert hits
    assert all("for 3,000 characters" in hit.price for hit in hits)


def test_a_limit_of_money_is_held_against_the_sound_that_words_wish_for(
    index: CatalogIndex,
) -> None:
    request = SearchRequest(
        "text to video with sound", max_dollars=Decimal("0.25"), for_work="5 seconds", limit=20
    )
    hits = {hit.endpoint_id: hit for hit in search(index, request).hits}
    assert "fal-ai/pixverse/v6/text-to-video" not in hits  # $0.225 silent, $0.30 with sound
    assert "fal-ai/pixverse/v6/text-to-video" in {
        hit.endpoint_id for hit in search(index, replace(request, query="text to video")).hits
    }
    silent = replace(request, for_work="5 seconds without sound")
    assert "fal-ai/pixverse/v6/text-to-video" in [
        hit.endpoint_id for hit in search(index, silent).hits
    ]


@pytest.mark.parametrize(
    ("query", "work", "endpoint_id", "price"),
    [
        (
            "ltx 2.3 22b text to video",
            "10 seconds at 1080p",
            "fal-ai/ltx-2.3-22b/text-to-video",
            "$0.762 for 10 s at 1080p",
        ),
        ("veo 3.1 lite", "5 seconds", "fal-ai/veo3.1/lite", "$0.3 for 6 s (not 5)"),
        ("veo 3.1 lite", "10 seconds", "fal-ai/veo3.1/lite", "$0.5 for 10 s (8 at most)"),
        ("pixverse v5", "7 seconds", "fal-ai/pixverse/v5/text-to-video", "$0.4 for 8 s (not 7)"),
        ("cogvideox", "10 seconds", "fal-ai/cogvideox-5b", "$0.2 for 1 clip"),
        ("kling v3 4k", "5 seconds at 1080p", "fal-ai/kling-video/v3/4k/text-to-video", "2160p"),
        ("flux dev", "1 image at 1080p", "fal-ai/flux/dev", "$0.05 for 1 image at 1080p"),
        ("veo 3.1 lite under $1 for 5 seconds", "", "fal-ai/veo3.1/lite", "$0.3 for 6 s (not 5)"),
        (
            "seedream v4, 4 images under 20 cents",
            "",
            "fal-ai/bytedance/seedream/v4/edit",
            "4 images",
        ),
        ("minimax music v2", "60 seconds", "fal-ai/minimax-music/v2", "$0.03/generation"),
        ("veo 3.1 lite under $1 per second", "", "fal-ai/veo3.1/lite", "$0.05/s"),
    ],
)
def test_a_price_is_of_the_length_and_size_that_the_model_makes_for_those_asked(
    index: CatalogIndex, query: str, work: str, endpoint_id: str, price: str
) -> None:
    hits = search(index, SearchRequest(query, for_work=work, limit=20)).hits
    assert price in next(hit.price for hit in hits if hit.endpoint_id == endpoint_id)


def test_a_limit_is_held_against_the_size_that_is_said_in_pixels_too(index: CatalogIndex) -> None:
    request = SearchRequest(
        "ltx 2.3 22b text to video", max_dollars=Decimal("0.3"), for_work="10 seconds", limit=20
    )
    model = "fal-ai/ltx-2.3-22b/text-to-video"
    assert model in [hit.endpoint_id for hit in search(index, request).hits]  # $0.22 at 1024x576
    larger = replace(request, for_work="10 seconds at 1080p")
    assert model not in [hit.endpoint_id for hit in search(index, larger).hits]


@pytest.mark.parametrize(
    ("query", "most", "work", "told"),
    [
        ("gpt image 2", "0.05", "", "openai/gpt-image-2 costs from $0.0111 (quality=low)"),
        ("openai/gpt-image-2", "0.05", "", "openai/gpt-image-2 costs from $0.0111 (quality=low)"),
        ("veo 3.1 with sound", "1", "8 seconds", "veo3.1 costs from $3.2"),
        ("fal-ai/veo3.1", "0.5", "5 seconds", "veo3.1 costs from $1.2 (silent)"),
        ("flux dev", "0.05", "", ""),
        ("text to video", "0.05", "10 seconds", ""),
    ],
)
def test_a_limit_that_leaves_out_the_model_that_is_named_says_what_that_costs(
    index: CatalogIndex, query: str, most: str, work: str, told: str
) -> None:
    answer = search(index, SearchRequest(query, max_dollars=Decimal(most), for_work=work))
    assert answer.dearer == told


def test_a_limit_in_words_says_of_what_is_over_it_how_it_costs_least(index: CatalogIndex) -> None:
    first = search(index, SearchRequest("gpt image 2 under 5 cents")).hits[0]
    assert first.endpoint_id == "openai/gpt-image-2"
    assert "over $0.05, from $0.0111 (quality=low)" in first.why


async def test_the_first_model_shown_tells_what_the_one_that_is_named_costs(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        wanted = {"query": "gpt image 2", "max_dollars": 0.05}
        shown = record(await client.call_tool("search_models", wanted))["models"]
        only = {**wanted, "media_out": ["image"], "features": ["mask", "transparent"]}
        none = await client.call_tool("search_models", {**only, "max_dollars": 0.0001})
    assert shown[0]["why"].startswith("openai/gpt-image-2 costs from $0.0111 (quality=low); ")
    assert len(json.dumps(shown).encode()) <= 2048
    assert record(none)["models"] == []
    assert "no model fits" in words(none)


@pytest.mark.proof
@pytest.mark.parametrize("lines", [720, 1080])
@pytest.mark.parametrize("seconds", [4, 5, 8, 10])
def test_searches_price_every_film_as_its_estimate_does(
    index: CatalogIndex, lines: int, seconds: int
) -> None:
    tables = SearchTables(SNAPSHOT)
    measure = work_named(f"{seconds} seconds at {lines}p")
    given = {"prompt": "a fox in the snow", "duration": seconds, "resolution": f"{lines}p"}
    near, compared = 0, 0
    for endpoint_id in index.of_category("text-to-video"):
        card, place = index.get(endpoint_id), index.place(endpoint_id)
        work = same_work(card, given)
        price = estimate(card, work.arguments)
        speaks = any("voice" in name or name == "text" for name in card.properties)
        if work.beyond or speaks or card.completeness != "full" or not card.is_current:
            continue
        if price.low is None or price.high is None or place is None:
            continue
        compared += 1
        dollars = measure.dollars(place, tables)
        near += 0.95 * float(price.low) <= dollars <= 1.06 * float(price.high)
    assert near >= 0.95 * compared > 30
