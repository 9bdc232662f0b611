"""An instruction that names a setting sets it on the usual model, and the answer says so."""

from pathlib import Path

import pytest
from PIL import Image

from catalog.edit_words import said
from catalog.errors import ActionableError
from catalog.index import CatalogIndex
from catalog.media import MediaFacts
from catalog.operation_fit import fit
from catalog.operations import OPERATIONS
from tests.house import connected, record, words
from tests.made_media import video

CATALOG = CatalogIndex.open()
PICTURE = MediaFacts("image", "image/png", width=320, height=240)
SEEDVR = "fal-ai/seedvr/upscale/image"


@pytest.mark.parametrize(
    ("operation", "endpoint_id", "instruction", "fields", "rest"),
    [
        ("upscale", SEEDVR, "2x", {"upscale_factor": 2, "upscale_mode": "factor"}, ""),
        ("upscale", SEEDVR, "please make it 3 times larger", {"upscale_factor": 3}, ""),
        ("upscale", SEEDVR, "double the size", {"upscale_factor": 2}, ""),
        ("upscale", SEEDVR, "to 4k", {"target_resolution": "2160p", "upscale_mode": "target"}, ""),
        ("upscale", SEEDVR, "to 1280 pixels wide", {"upscale_factor": 4}, ""),
        ("upscale", SEEDVR, "640x480", {"upscale_factor": 2}, ""),
        ("upscale", SEEDVR, "make it sharper", {}, ""),
        ("upscale", SEEDVR, "2x, freckles on the nose", {"upscale_factor": 2}, "2x, freckles on"),
        ("extend", "fal-ai/pixverse/v6/extend", "by 8 seconds", {"duration": 8}, ""),
        ("extend", "fal-ai/pixverse/v6/extend", "8s, it starts to rain", {"duration": 8}, "8s, it"),
        ("outpaint", "fal-ai/image-apps-v2/outpaint", "16:9", {"expand_left": 53}, ""),
        ("instruct", "fal-ai/nano-banana-2/edit", "two versions in snow", {"num_images": 2}, "two"),
    ],
)
def test_settings_in_an_instruction_become_inputs_of_the_model(
    operation: str, endpoint_id: str, instruction: str, fields: dict[str, object], rest: str
) -> None:
    told = said(CATALOG.get(endpoint_id), OPERATIONS[operation], instruction, PICTURE)
    assert {name: told.fields.get(name) for name in fields} == fields
    assert told.rest.startswith(rest)
    assert bool(told.rest) == bool(rest)


@pytest.mark.parametrize(
    ("endpoint_id", "instruction", "rule"),
    [
        (SEEDVR, "20x", "upscale_factor takes 1 to 10"),
        ("fal-ai/recraft/upscale/crisp", "2x", "no input for that"),
        ("fal-ai/seedvr/upscale/video", "to 8k", "target_resolution is one of 720p"),
    ],
)
def test_a_setting_that_the_model_has_no_room_for_is_refused(
    endpoint_id: str, instruction: str, rule: str
) -> None:
    with pytest.raises(ActionableError, match=rule):
        said(CATALOG.get(endpoint_id), OPERATIONS["upscale"], instruction)


def test_who_moves_lips_without_a_sound_is_asked_for_one() -> None:
    fitting = fit(CATALOG.get("fal-ai/sync-lipsync/v2"), "lip_sync")
    with pytest.raises(ActionableError, match=r"needs references .give references, the recording"):
        fitting.arguments("clip.mp4")


async def test_a_model_that_keeps_all_that_is_asked_comes_before_one_that_does_not(
    tmp_path: Path,
) -> None:
    video(tmp_path / "clip.mp4")
    extend = {"operation": "extend", "media": "clip.mp4", "wait_seconds": 0}
    async with connected(tmp_path) as client:
        usual = record(await client.call_tool("edit", extend))
        sounding = {**extend, "instruction": "by 5 seconds, with sound"}
        answer = await client.call_tool("edit", sounding)
    assert record(answer)["endpoint_id"] != usual["endpoint_id"]
    assert f"since {usual['endpoint_id']} cannot: sound: it makes none" in words(answer)
    assert "generate_audio_switch=True" in words(answer)


async def test_twice_as_large_is_the_same_model_and_price_as_a_plain_upscale(
    tmp_path: Path,
) -> None:
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "photo.png")
    upscale = {"operation": "upscale", "media": "photo.png"}
    async with connected(tmp_path) as client:
        usual = record(await client.call_tool("edit", upscale))
        answer = await client.call_tool("edit", {**upscale, "instruction": "3x"})
        drawn = await client.call_tool("edit", {**upscale, "instruction": "2x, with freckles"})
    job = record(answer)
    assert (job["endpoint_id"], job["cost"]) == (usual["endpoint_id"], usual["cost"])
    assert "read from the instruction: upscale_factor=3" in words(answer)
    assert (job["outputs"][0]["width"], job["outputs"][0]["height"]) == (192, 144)
    assert f"since {usual['endpoint_id']} takes no instruction" in words(drawn)
