"""Given media held against the limits of schemas, before anything is sent."""

from typing import Any

import pytest

from catalog.errors import ArgumentsError
from catalog.index import CatalogIndex
from catalog.limits import check_media, limits_at
from catalog.media import MediaFacts
from catalog.schema import check

CATALOG = CatalogIndex.open()
CLIP = "fal-ai/kling-video/o1/standard/video-to-video/edit"


def refused(endpoint_id: str, arguments: dict[str, Any], fact: MediaFacts) -> str:
    card = CATALOG.get(endpoint_id)
    media = check(card, arguments).media
    with pytest.raises(ArgumentsError) as caught:
        check_media(card, media, {media[0].path: fact})
    (problem,) = caught.value.problems
    return str(problem)


def test_a_video_too_long_is_refused_with_the_limit() -> None:
    fact = MediaFacts("video", "video/mp4", seconds=30, fps=24)
    assert refused(CLIP, {"prompt": "x", "video_url": "a.mp4"}, fact) == (
        "video_url: got 30 s, takes 3 to 10.05 s"
    )


def test_a_picture_too_small_or_too_heavy_is_refused() -> None:
    small = MediaFacts("image", "image/png", bytes=9, width=100, height=800)
    arguments = {"prompt": "x", "image_urls": ["a.png"]}
    assert refused("fal-ai/wan-25-preview/image-to-image", arguments, small) == (
        "image_urls[0]: got 100 pixels wide, takes 384 to 5000 pixels wide"
    )
    heavy = MediaFacts("image", "image/png", bytes=200_000_000, width=800, height=800)
    assert "takes at most 104857600 bytes" in refused(
        "clarityai/crystal-upscaler", {"image_url": "a.png"}, heavy
    )


def test_a_shape_beyond_the_limits_is_refused_where_it_is_nested_in_a_list() -> None:
    flat = MediaFacts("image", "image/png", width=3000, height=300)
    said = refused("fal-ai/kling-image/o1", {"prompt": "x", "image_urls": ["a.png"]}, flat)
    assert said == "image_urls[0]: got 10 width to height, takes 0.4 to 2.5 width to height"


def test_media_of_another_kind_is_refused() -> None:
    sound = MediaFacts("audio", "audio/mpeg", seconds=5)
    assert refused(CLIP, {"prompt": "x", "video_url": "a.mp3"}, sound) == (
        "video_url: got audio, takes video"
    )


def test_what_is_not_known_passes_and_so_does_what_fits() -> None:
    card = CATALOG.get(CLIP)
    media = check(card, {"prompt": "x", "video_url": "a.mp4"}).media
    check_media(card, media, {})
    check_media(card, media, {media[0].path: MediaFacts("video", "video/mp4")})
    check_media(card, media, {media[0].path: MediaFacts("video", "video/mp4", seconds=10.08)})


def test_every_limit_in_the_catalog_is_one_that_is_checked() -> None:
    rules = {"duration", "fps", "file_size", "width", "height", "pixels", "aspect_ratio"}
    seen = 0
    for card in CATALOG.cards():
        for name, schema in card.properties.items():
            path = (name, 0) if schema.get("type") == "array" else (name,)
            for rule in limits_at(card, path):
                seen += 1
                assert rule.removeprefix("min_").removeprefix("max_") in rules
    assert seen > 200
