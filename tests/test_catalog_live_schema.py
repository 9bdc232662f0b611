"""What a live schema does not say of media, its names do: as well as the shipped cards know it."""

from typing import Any

import pytest

from catalog.card import ModelCard
from catalog.fold import fold_one
from catalog.index import CatalogIndex
from catalog.live_media import media_of
from catalog.live_schema import live_schema
from catalog.schema import check
from server.emulator.openapi import document

CARDS = CatalogIndex.open()
TEXT = {"type": "string"}


def new_card(taken: dict[str, Any], returned: dict[str, Any], path: str = "") -> ModelCard:
    """Return the card of a model that fal alone knows."""
    given = {"type": "object", "properties": taken}
    answer = {"type": "object", "properties": returned}
    body = {"content": {"application/json": {"schema": given}}}
    told = {"200": {"content": {"application/json": {"schema": answer}}}}
    paths = {
        "/m": {"post": {"requestBody": body}},
        "/m/requests/{request_id}": {"get": {"responses": told}},
    }
    live = {"openapi": {"paths": paths, "components": {"schemas": {"File": FILE}}}}
    record = fold_one(None, f"acme/new{path}", live, None, "2026-11-25")
    assert record is not None
    return ModelCard.from_record(record)


FILE = {"type": "object", "properties": {"url": TEXT, "content_type": TEXT}, "title": "File"}


def test_the_inputs_of_a_new_model_take_the_media_that_their_names_mean() -> None:
    kinds = {
        "images_data_url": "archive",
        "training_data_url": "archive",
        "first_frame_url": "image",
        "mask_image_url": "image",
        "voice_url": "audio",
        "mesh_url": "3d",
        "lora_url": "file",
    }
    card = new_card(dict.fromkeys([*kinds, "webhook_url", "website_url"], TEXT), {})
    assert dict(card.media_in) == kinds
    inner = {"type": "object", "properties": {"url": TEXT, "weight": {"type": "number"}}}
    card = new_card({"face_images": {"type": "array", "items": inner}}, {})
    found = check(card, {"face_images": [{"url": "a.png"}]}).media
    assert [(use.kind, use.path) for use in found] == [("image", ("face_images", 0, "url"))]


def test_the_outputs_of_a_new_model_are_known_by_path_and_kind() -> None:
    file = {"$ref": "#/components/schemas/File"}
    card = new_card(
        {"prompt": TEXT},
        {
            "images": {"type": "array", "items": file},
            "model_urls": {"type": "object", "properties": {"glb": file}},
            "lora_file": file,
            "seed": {"type": "integer"},
        },
        path="/realtime",
    )
    assert card.output_media == {
        "images[]": "image",
        "model_urls.glb": "3d",
        "lora_file": "weights",
    }
    assert card.realtime


@pytest.mark.proof
def test_names_alone_tell_nearly_all_media_of_the_shipped_cards() -> None:
    missed, known = 0, 0
    for card in CARDS.cards():
        live = live_schema(document(card))
        if card.completeness != "full" or live is None:
            continue
        read = ModelCard.from_record({"id": "a/b", "input": live.input})
        made = media_of(live.output)
        missed += sum(read.media_in.get(name) != kind for name, kind in card.media_in.items())
        missed += sum(made.get(path) != kind for path, kind in card.output_media.items())
        known += len(card.media_in) + len(card.output_media)
    assert missed < known / 50


@pytest.mark.parametrize(
    ("endpoint_id", "given", "returned"),
    [
        ("fal-ai/lora", {"ic_light_model_url": "weights"}, {}),
        ("fal-ai/meshy/v6/text-to-3d", {}, {"texture_urls[].base_color": "image"}),
        ("fal-ai/heygen/v3/lipsync/speed", {}, {"caption_file": "file"}),
    ],
)
def test_a_shipped_card_takes_and_gives_the_media_that_its_names_mean(
    endpoint_id: str, given: dict[str, str], returned: dict[str, str]
) -> None:
    card = CARDS.get(endpoint_id)
    assert {**card.media_in, **given} == card.media_in
    assert {**card.output_media, **returned} == card.output_media


def test_a_picture_inside_an_object_is_asked_for_as_a_picture() -> None:
    card = CARDS.get("easel-ai/fashion-tryon")
    name = next(name for name in card.required if "image" in name)
    found = check(card, {name: {"url": "me.png"}}, whole=False).media
    assert [(use.kind, use.path) for use in found] == [("image", (name, "url"))]
