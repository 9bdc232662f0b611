"""A card in a few words: inputs by importance, an example that works, what comes back."""

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from catalog.build import build
from catalog.card import ModelCard
from catalog.describe import InputRow, example_arguments, inputs_table, outputs_words
from catalog.index import SNAPSHOT, CatalogIndex
from catalog.schema import check
from tools.describe_model import CONCISE_BYTES, DescribeArguments, describe_model
from tools.ports import Call

CATALOG = CatalogIndex.open()


def names(endpoint_id: str) -> list[str]:
    return [row.name for row in inputs_table(CATALOG.get(endpoint_id))]


def test_an_input_is_told_with_type_range_default_and_meaning() -> None:
    rows = {row.name: row for row in inputs_table(CATALOG.get("fal-ai/flux/dev"))}
    assert rows["num_images"] == InputRow(
        name="num_images",
        type="integer",
        required=False,
        default="1",
        choices="1-4",
        meaning="how many images per request; each is billed",
    )
    assert rows["prompt"].required
    assert rows["image_size"].type == "text"
    assert rows["image_size"].choices.startswith("square_hd, square, portrait_4_3")
    assert rows["image_size"].choices.endswith("; or object {width, height}")
    assert rows["output_format"].choices == "jpeg, png"


def test_nested_objects_and_lists_show_their_fields() -> None:
    rows = {row.name: row for row in inputs_table(CATALOG.get("fal-ai/flux-lora"))}
    assert (rows["loras"].type, rows["loras"].choices) == ("list of object", "{path*, scale}")
    edit = {row.name: row for row in inputs_table(CATALOG.get("fal-ai/nano-banana-2/edit"))}
    assert edit["image_urls"].type == "list of image (path, URL or job)"


def test_required_inputs_lead_then_what_sets_the_price_and_the_dull_ones_end() -> None:
    veo = names("fal-ai/veo3.1")
    assert veo[0] == "prompt"
    assert set(veo[1:4]) == {"resolution", "generate_audio", "aspect_ratio"}
    assert set(names("fal-ai/flux/dev")[-2:]) == {"sync_mode", "enable_safety_checker"}


def test_every_input_of_every_card_has_its_row_once() -> None:
    for card in CATALOG.cards():
        rows = [row.name for row in inputs_table(card)]
        assert sorted(rows) == sorted(card.properties), card.endpoint_id
        required = [row.required for row in inputs_table(card)]
        assert required == sorted(required, reverse=True), card.endpoint_id


def test_every_example_passes_the_check_of_its_card_without_a_repair() -> None:
    for card in CATALOG.cards():
        checked = check(card, example_arguments(card))
        assert checked.arguments, card.endpoint_id
        assert checked.repairs == (), (card.endpoint_id, checked.repairs)


def test_an_example_asks_what_the_model_answers_and_names_what_it_takes_away() -> None:
    told = {
        "openrouter/router/audio": "What is being said, and by how many people?",
        "fal-ai/video-understanding": "What happens in this video?",
        "fal-ai/sam-3/image": "person",
        "fal-ai/finegrain-eraser": "the person in the background",
        "fal-ai/stable-audio-3/small/sfx/text-to-audio": "footsteps on gravel, light wind",
        "fal-ai/stable-audio-3/medium/text-to-audio": "calm piano with soft rain in the background",
    }
    assert {i: example_arguments(CATALOG.get(i))["prompt"] for i in told} == told


def test_whole_numbers_that_follow_each_other_are_told_by_their_ends() -> None:
    rows = {row.name: row for row in inputs_table(CATALOG.get("fal-ai/wan/v2.7/text-to-video"))}
    assert rows["duration"].choices == "2-15"


def test_media_in_examples_are_placeholders_and_nothing_else() -> None:
    for card in CATALOG.cards():
        for use in check(card, example_arguments(card)).media:
            assert use.value.startswith("https://example.com/"), card.endpoint_id


def test_an_example_of_a_card_that_works_on_media_has_some() -> None:
    example = example_arguments(CATALOG.get("fal-ai/nano-banana-2/edit"))
    assert example["image_urls"] == ["https://example.com/photo.jpg"]
    assert example["prompt"]


def test_an_example_speaks_where_the_model_speaks() -> None:
    card = CATALOG.get("fal-ai/elevenlabs/tts/eleven-v3")
    assert "train" in example_arguments(card)["text"]


def test_outputs_are_named_media_first() -> None:
    words = outputs_words(CATALOG.get("fal-ai/flux/dev"))
    assert words.startswith("images[] (image); ")
    assert "seed" in words
    assert outputs_words(ModelCard.from_record({"id": "acme/thing"})) == "not known"


def test_a_concise_description_fits_in_one_and_a_half_kilobytes() -> None:
    """Example, outputs and the four first rows leave room for the card's own words."""
    for card in CATALOG.cards():
        rows = inputs_table(card)[:4]
        text = "".join(
            f"{row.name}: {row.type} {row.choices}, default {row.default}; {row.meaning}\n"
            for row in rows
        )
        example = json.dumps(example_arguments(card))
        whole = len(text.encode()) + len(example.encode()) + len(outputs_words(card).encode())
        assert whole <= 1500, (card.endpoint_id, whole)


def test_no_row_is_longer_than_a_glance() -> None:
    for card in CATALOG.cards():
        for row in inputs_table(card):
            length = sum(len(part) for part in (row.type, row.choices, row.default))
            assert length <= 260, (card.endpoint_id, row)


def test_a_description_takes_a_millisecond() -> None:
    card = CATALOG.get("fal-ai/flux/dev")
    inputs_table(card)
    best = min(_seconds(card) for _ in range(20))
    assert best < 0.001


def _seconds(card: ModelCard) -> float:
    started = time.process_time()
    inputs_table(card)
    example_arguments(card)
    outputs_words(card)
    return time.process_time() - started


async def test_a_card_says_which_inputs_a_refresh_found_changed(tmp_path: Path) -> None:
    lines = (SNAPSHOT / "cards.jsonl").read_text(encoding="utf-8").splitlines()
    record = next(one for line in lines if (one := json.loads(line))["id"] == "fal-ai/flux/dev")
    record["schema"]["differs"] = ["seed", "-loop", *(f"new_{n}" for n in range(6))]
    (tmp_path / "cards").write_text(json.dumps(record) + "\n", encoding="utf-8")
    build(tmp_path / "cards", tmp_path / "made", strict=False)
    rooms = SimpleNamespace(catalog=CatalogIndex(tmp_path / "made"), ask_for=None)
    call = cast("Call", SimpleNamespace(rooms=rooms))
    answer = await describe_model(call, DescribeArguments(endpoint_id="fal-ai/flux/dev"))
    told = (
        "fal changed these inputs (- is gone): seed, -loop, new_0, new_1, new_2, new_3 and 2 more"
    )
    assert told in answer.text
    assert len(answer.text.encode()) < CONCISE_BYTES + 300


@pytest.mark.parametrize(
    ("endpoint_id", "names"),
    [
        ("fal-ai/whisper-turbo", {"audio_url"}),
        ("fal-ai/elevenlabs/tts", {"text"}),
        ("kling/v4/video-to-video/edit", {"video_url", "prompt"}),
        ("hitem3d/hi3d/split", {"model_url"}),
        ("openrouter/router/openai/v1/chat/completions", {"model", "messages"}),
        ("perceptron/isaac-01/openai/v1/chat/completions", {"messages"}),
    ],
)
def test_the_example_of_a_card_without_known_inputs_follows_its_task(
    endpoint_id: str, names: set[str]
) -> None:
    assert set(example_arguments(CATALOG.get(endpoint_id))) == names


def test_examples_say_what_a_person_would_give_and_not_the_name_of_the_field() -> None:
    placeholders = [
        (card.endpoint_id, name)
        for card in CATALOG.cards()
        for name, value in example_arguments(card).items()
        if value == name.replace("_", " ") and not name.endswith("_id")
        if card.status != "deprecated"
    ]
    assert placeholders == []
    for endpoint_id, name in (
        ("fal-ai/kling-video/lipsync/text-to-video", "text"),
        ("mirage-api/avatar-x/text-to-video", "script"),
    ):
        assert example_arguments(CATALOG.get(endpoint_id))[name].startswith("Good morning.")
