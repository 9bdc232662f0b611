"""Properties: what is wished of a model is read from plain words and put first, not imagined."""

from collections.abc import Sequence

import pytest

from catalog.index import CatalogIndex
from catalog.search import SearchRequest, search
from catalog.search_tables import SearchTables


@pytest.fixture(scope="module")
def index() -> CatalogIndex:
    return CatalogIndex.open()


def wished(index: CatalogIndex, query: str) -> Sequence[str]:
    return search(index, SearchRequest(query, limit=1)).steps[0].wishes.features


@pytest.mark.parametrize(
    ("query", "feature", "category"),
    [
        ("text to video with a separate prompt for each shot", "multi-shot", "text-to-video"),
        ("picture model that knows current events", "web search", "text-to-image"),
        ("image generator safe for our legal team", "licensed data", "text-to-image"),
        ("video where the end meets its beginning", "loop", "to-video"),
        ("edit with 8 reference images", "8 references", "image-to-image"),
        ("combine ten photos into one picture", "10 references", "image-to-image"),
        ("transcribe with word level timestamps", "timestamps", "speech-to-text"),
        ("text to speech with audio tags", "audio tags", "text-to-"),
        ("image to 3d exported as usdz", "usdz", "image-to-3d"),
        ("image to video at 60 fps", "60 fps", "image-to-video"),
        ("text to image with a structured json prompt", "json prompt", "text-to-image"),
        ("character in t-pose from a picture as 3d model", "t-pose", "image-to-3d"),
        ("transcription that tells who said what", "speakers", "speech-to-text"),
        ("copyright safe text to image", "licensed data", "text-to-image"),
        ("text zu video mit mehreren Einstellungen", "multi-shot", "text-to-video"),
        ("vidéo en boucle parfaite à partir d'une photo", "loop", "to-video"),
        ("带时间戳的语音转文字", "timestamps", "speech-to-text"),
    ],
)
def test_a_model_with_the_wished_property_comes_first(
    index: CatalogIndex, query: str, feature: str, category: str
) -> None:
    answer = search(index, SearchRequest(query, limit=3))
    first = answer.hits[0]
    tables = SearchTables(index.folder)
    place = index.place(first.endpoint_id)
    assert feature in answer.steps[0].wishes.features
    assert place is not None
    assert tables.has(place, f"f{feature}"), first
    assert category in first.category
    assert not answer.low_confidence


@pytest.mark.parametrize(
    ("query", "feature"),
    [
        ("a shot of whisky on a bar, photo", "multi-shot"),
        ("license plate close up photo", "licensed data"),
        ("a lawyer in court", "licensed data"),
        ("a man who can google", "web search"),
        ("endless summer beach photo", "web search"),
        ("train a lora from 20 photos", "20 references"),
        ("4 images of a cat", "4 references"),
        ("turn this mp3 into text", "mp3"),
        ("convert an stl to glb", "stl"),
        ("path through a forest, photo", "motion path"),
        ("a laughing child, photo", "audio tags"),
        ("a box of chocolates", "box prompts"),
        ("make the json file into an image", "json prompt"),
        ("text to image with a pose as guide", "t-pose"),
        ("remove the timestamp from my photo", "timestamps"),
        ("my tripod is visible in the video, remove it", "fixed camera"),
        ("picture of a knife beside a painting", "palette"),
    ],
)
def test_words_that_only_resemble_a_property_wish_for_none(
    index: CatalogIndex, query: str, feature: str
) -> None:
    assert feature not in wished(index, query)
