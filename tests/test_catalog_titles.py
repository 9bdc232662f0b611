"""Titles tell whose model it is and which one, and say nothing twice."""

import json
from collections import Counter

import pytest

from catalog.build_titles import mended
from catalog.index import SNAPSHOT, CatalogIndex
from catalog.titles import joined

CARDS = CatalogIndex.open()


@pytest.mark.parametrize(
    ("title", "variant", "told"),
    [
        ("Veo 3.1 Fast", "Text to Video (Fast)", "Veo 3.1 Fast: Text to Video"),
        ("Kling O1 Image to Video [Pro]", "I2V [Pro]", "Kling O1 Image to Video [Pro]"),
        ("Seedance 1.0", "Seedance 1.0 -- Text to Video", "Seedance 1.0: Text to Video"),
        ("Wan", "WAN 2.7 Text to Image", "WAN 2.7 Text to Image"),
        ("Bria Video", "Video Eraser (Mask)", "Bria Video Eraser (Mask)"),
        ("Meshy 5 Remesh", "v5 Remesh", "Meshy 5 Remesh"),
        ("Kling 1.6", "Image to Video v1.6 (pro)", "Kling 1.6: Image to Video (pro)"),
        ("Qwen Image", "Text to Image", "Qwen Image: Text to Image"),
        ("Qwen Image", "", "Qwen Image"),
    ],
)  # fmt: skip
def test_a_title_and_its_variant_say_nothing_twice(title: str, variant: str, told: str) -> None:
    assert joined(title, variant) == told


@pytest.mark.parametrize(
    ("endpoint_id", "told"),
    [
        ("fal-ai/vidu/q3/text-to-video", "Vidu Q3: Text to Video"),
        ("fal-ai/hunyuan-3d/v3.1/pro/image-to-3d", "Hunyuan 3D 3.1 Pro Image to 3D"),
        ("fal-ai/kling-video/v2.6/pro/text-to-video", "Kling Video v2.6 Pro Text to Video"),
        ("bytedance/seedream/v5/lite/edit", "Seedream 5 Lite: Edit"),
        ("meshy/v7/text-to-3d", "Meshy 7 Text to 3D"),
        ("veed/subtitles", "VEED Subtitles"),
        ("bria/fibo/generate", "Bria FIBO"),
        ("fal-ai/kling-video/o3/standard/image-to-video", "Kling O3 Image to Video [Standard]"),
    ],
)
def test_maker_version_and_tier_that_an_id_states_stand_in_the_title(
    endpoint_id: str, told: str
) -> None:
    assert CARDS.get(endpoint_id).full_title == told


def test_a_new_model_gets_its_title_mended_too() -> None:
    new = {"id": "acme/dream/v3/pro/text-to-video", "title": "Text to Video", "maker": "Acme"}
    assert mended(new)["title"] == "Acme 3 Pro Text to Video"


def test_mending_twice_changes_nothing_and_models_in_use_have_titles_of_their_own() -> None:
    lines = (SNAPSHOT / "cards.jsonl").read_text(encoding="utf-8").splitlines()
    for record in map(json.loads, lines):
        once = mended(record)
        assert mended(once) == once
    titles = Counter(card.full_title.lower() for card in CARDS.cards() if card.status == "active")
    assert [title for title, count in titles.items() if count > 1] == []


def test_variants_of_one_model_are_one_family_with_one_maker() -> None:
    families = {i: CARDS.get(i).family for i in ("fal-ai/sam2/image", "fal-ai/sam-3/image")}
    assert set(families.values()) == {"sam"}
    assert CARDS.get("fal-ai/phota").maker == CARDS.get("fal-ai/phota/edit").maker == "Phota"
    assert CARDS.get("fal-ai/nova-sr").summary == "Transforms audio with Nova SR"
