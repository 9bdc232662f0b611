"""What a model's output holds is found as the card says, or as the output itself shows."""

from typing import Any

import pytest
from inline_snapshot import snapshot

from catalog.index import CatalogIndex
from server.jobs.outputs import outputs_of

CATALOG = CatalogIndex.open()
URL = "https://v3.fal.media/files/b/abc"


def found(endpoint_id: str, output: Any, **arguments: Any) -> list[tuple[str, str]]:
    outputs = outputs_of(CATALOG.find(endpoint_id), output, arguments)
    return [(output.kind, output.url or output.text) for output in outputs]


@pytest.mark.parametrize(
    ("endpoint_id", "output", "expected"),
    [
        pytest.param(
            "fal-ai/flux/dev",
            {"images": [{"url": f"{URL}/1.jpg"}, {"url": f"{URL}/2.jpg"}], "prompt": "a fox"},
            [("image", f"{URL}/1.jpg"), ("image", f"{URL}/2.jpg")],
            id="list of images, the prompt is an echo",
        ),
        pytest.param(
            "fal-ai/flux/dev",
            {"images": [f"{URL}/1.jpg"]},
            [("image", f"{URL}/1.jpg")],
            id="bare addresses where the card knows media",
        ),
        pytest.param(
            "fal-ai/any-llm",
            {"output": "Hello", "reasoning": None, "partial": False},
            [("text", "Hello")],
            id="text",
        ),
        pytest.param("nobody/knows-this", "Hello", [("text", "Hello")], id="bare text"),
        pytest.param(
            "nobody/knows-this", {"nsfw": 0.25}, [("text", '{\n "nsfw": 0.25\n}')], id="numbers"
        ),
        pytest.param("nobody/knows-this", {}, [], id="nothing"),
        pytest.param(
            "nobody/knows-this",
            {"a": {"b": [{"url": f"{URL}/x.bin", "content_type": "video/mp4"}]}},
            [("video", f"{URL}/x.bin")],
            id="a file object that no card declares",
        ),
        pytest.param(
            "nobody/knows-this",
            {"mesh": {"url": f"{URL}/x", "file_name": "x.GLB"}, "video_url": f"{URL}/v.mp4"},
            [("3d", f"{URL}/x"), ("video", f"{URL}/v.mp4")],
            id="by file name, by field name",
        ),
        pytest.param(
            "nobody/knows-this",
            {"image": "data:image/webp;base64,AAAA"},
            [("image", "data:image/webp;base64,AAAA")],
            id="data URI",
        ),
        pytest.param(
            "nobody/knows-this",
            {"homepage_url": "https://maker.test/about", "text": "words"},
            [("text", "words")],
            id="an address that is no file",
        ),
    ],
)
def test_outputs_are_found(endpoint_id: str, output: Any, expected: list[tuple[str, str]]) -> None:
    assert found(endpoint_id, output) == expected


def test_an_input_that_comes_back_is_no_output() -> None:
    given = f"{URL}/mine.png"
    output = {"source": {"url": given}, "result": {"url": f"{URL}/new.png"}}

    assert found("nobody/knows-this", output, image_url=given) == [("image", f"{URL}/new.png")]


def test_the_same_file_counts_once_and_the_cards_order_wins() -> None:
    card = next(card for card in CATALOG.cards() if len(card.output_media) >= 3)
    names = [name for name in card.output_media if "." not in name and "[]" not in name]
    output = {name: {"url": f"{URL}/{name}.x"} for name in reversed(names)}
    output["again"] = {"url": f"{URL}/{names[0]}.x"}

    assert [url for _, url in found(card.endpoint_id, output)] == [
        f"{URL}/{name}.x" for name in names
    ]


def test_facts_that_the_platform_states_are_taken_over() -> None:
    file = {
        "url": f"{URL}/v.mp4",
        "content_type": "video/mp4",
        "file_size": 1234,
        "width": 640,
        "height": 360,
        "duration": 5.04,
        "fps": 25,
    }
    (output,) = outputs_of(None, {"video": file}, {})

    assert (output.width, output.height, output.seconds, output.fps, output.bytes) == snapshot(
        (640, 360, 5.04, 25.0, 1234)
    )
