"""A task is a category, with features where they are named, and the choice is explained."""

from decimal import Decimal

import pytest

from catalog.choose import Wanted, choose
from catalog.errors import ActionableError
from catalog.index import CatalogIndex
from catalog.search import SearchRequest, search

CATALOG = CatalogIndex.open()
TEN = Decimal("0.10")


@pytest.mark.parametrize(
    ("task", "feature"),
    [
        ("text-to-video with sound", "sound"),
        ("Image to Video with end frame", "end frame"),
        ("text-to-image with seed and negative prompt", "negative prompt"),
    ],
)
def test_a_task_with_features_chooses_a_model_that_has_them(task: str, feature: str) -> None:
    given = {} if task.startswith("text") else {"image_url": "https://example.com/fox.png"}
    wanted = Wanted(given, prompt="a fox")
    choice = choose(CATALOG, task, "", wanted)
    able: set[str] = set()
    cursor = ""
    while True:
        request = SearchRequest("", choice.card.category, features=(feature,), cursor=cursor)
        page = search(CATALOG, request)
        able |= {hit.endpoint_id for hit in page.hits}
        cursor = page.next_cursor
        if not cursor:
            break
    assert choice.card.endpoint_id in able
    assert f"with {task.partition(' with ')[2]}" in choice.why


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("image-to-image", "works on an image"),
        ("image to video with sound", "works on an image"),
        ("speech-to-text", "works on sound"),
        ("video-to-video", "works on a video"),
    ],
)
def test_a_task_that_works_on_media_starts_nothing_without_them(task: str, said: str) -> None:
    with pytest.raises(ActionableError, match=said):
        choose(CATALOG, task, "", Wanted(prompt="make it blue"))


def test_a_feature_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(ActionableError, match="feature"):
        choose(CATALOG, "text-to-video with qqzzxx", "", Wanted())


def test_the_cheapest_with_a_feature_is_among_those_that_have_it() -> None:
    plain = choose(CATALOG, "text-to-video", "cheap", Wanted(prompt="a fox"))
    sound = choose(CATALOG, "text-to-video with sound", "cheap", Wanted(prompt="a fox"))
    assert sound.card.category == plain.card.category == "text-to-video"
    assert sound.why.startswith("cheapest of ")
    within = choose(CATALOG, "text-to-video with sound", "cheap", Wanted(prompt="a fox", most=TEN))
    assert within.card == sound.card  # a limit finds nothing cheaper than the cheapest
