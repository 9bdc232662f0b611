"""Models, texts, weights and vectors are honest, and every card gets an output that fits."""

import io
import itertools
import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import pytest
from PIL import Image

from catalog.card import ModelCard
from catalog.index import CatalogIndex
from server.emulator.work import Made
from tests.made import (
    first_image,
    made,
    painted,
    sweep,
)


def parsed_glb(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON and the binary chunk of a GLB file, its header checked."""
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<II", data, 12)
    assert kind == 0x4E4F534A
    document: dict[str, Any] = json.loads(data[20 : 20 + size])
    binary, kind = struct.unpack_from("<II", data, 20 + size)
    assert kind == 0x004E4942
    assert 28 + size + binary == len(data)
    return document, data[28 + size :]


def test_a_model_is_a_valid_glb_with_normals_colours_and_a_note(tmp_path: Path) -> None:
    wish = {"prompt": "a blue bottle"}
    output = made("tripo3d/h3.1/text-to-3d", wish, tmp_path)
    document, blob = parsed_glb(cast("Made", output["model_mesh"]).path.read_bytes())
    assert "Local preview" in document["asset"]["copyright"]
    assert document["asset"]["extras"]["local_preview"] is True
    assert document["buffers"][0]["byteLength"] <= len(blob)
    for primitive in document["meshes"][0]["primitives"]:
        positions = document["accessors"][primitive["attributes"]["POSITION"]]
        normals = document["accessors"][primitive["attributes"]["NORMAL"]]
        indices = document["accessors"][primitive["indices"]]
        assert positions["count"] == normals["count"] > 0
        view = document["bufferViews"][indices["bufferView"]]
        numbers = struct.unpack_from(f"<{indices['count']}I", blob, view["byteOffset"])
        assert max(numbers) < positions["count"]
    factor = document["materials"][0]["pbrMetallicRoughness"]["baseColorFactor"]
    assert factor[2] > factor[0]


def test_a_model_of_a_picture_wears_the_picture(tmp_path: Path) -> None:
    source = painted(tmp_path / "source.png", "a red bottle in a studio", (160, 160))
    output = made("fal-ai/trellis", {"image_url": "u:"}, tmp_path, inputs={"u:": source})
    document, blob = parsed_glb(cast("Made", output["model_mesh"]).path.read_bytes())
    view = document["bufferViews"][document["images"][0]["bufferView"]]
    start = view["byteOffset"]
    with Image.open(io.BytesIO(blob[start : start + view["byteLength"]])) as texture:
        assert texture.size == (160, 160)


def test_a_caption_says_first_that_it_is_a_preview_and_then_what_is_there(tmp_path: Path) -> None:
    Image.new("RGB", (120, 80), (46, 108, 208)).save(tmp_path / "blue.png")
    given = {"u:": tmp_path / "blue.png"}
    output = made("fal-ai/florence-2-large/caption", {"image_url": "u:"}, tmp_path, inputs=given)
    assert output["results"].startswith("Local preview: ")
    assert "120 x 80" in output["results"]
    assert "blue" in output["results"]


def test_a_transcript_has_the_times_of_the_phrases_that_are_there(tmp_path: Path) -> None:
    wish = {"text": "One phrase is here.    ,,,,,,    Another one follows.", "voice": "Rachel"}
    sound = cast("Made", made("fal-ai/elevenlabs/tts/multilingual-v2", wish, tmp_path)["audio"])
    output = made("fal-ai/wizper", {"audio_url": "a:"}, tmp_path, inputs={"a:": sound.path})
    assert output["text"].startswith("Local preview: ")
    spans = [chunk["timestamp"] for chunk in output["chunks"]]
    assert len(spans) == 2
    assert spans[0][0] < spans[0][1] < spans[1][0] < spans[1][1] <= sound.facts["duration"] + 0.05


def test_a_language_model_says_that_there_is_none(tmp_path: Path) -> None:
    wish = {"prompt": "Why is the sky blue?", "model": "google/gemini-2.5-flash"}
    output = made("openrouter/router", wish, tmp_path)
    assert output["output"].startswith("Local preview: ")
    assert "no language model" in output["output"]


def test_trained_weights_open_and_say_what_they_are(tmp_path: Path) -> None:
    archive = tmp_path / "images.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("a.txt", "a")
    wish = {"images_data_url": "z:", "trigger_phrase": "sks"}
    output = made("fal-ai/flux-lora-fast-training", wish, tmp_path, inputs={"z:": archive})
    data = cast("Made", output["diffusers_lora_file"]).path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    assert header["__metadata__"]["note"].startswith("Local preview")
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    assert max(ends) == len(data) - 8 - length
    config = json.loads(cast("Made", output["config_file"]).path.read_text())
    assert config["local_preview"] is True


def test_a_vector_picture_is_svg_with_label_and_note(tmp_path: Path) -> None:
    source = painted(tmp_path / "source.png", "a red house", (90, 60))
    wish = {"image_url": "u:"}
    output = made("fal-ai/recraft/vectorize", wish, tmp_path, inputs={"u:": source})
    found = cast("Made", output["image"])
    root = ElementTree.fromstring(found.path.read_text())  # noqa: S314  # our own file
    assert found.media_type == "image/svg+xml"
    assert root.attrib["width"] == "90"
    texts = [element.text or "" for element in root.iter()]
    assert "falkit local preview" in texts
    assert any(text.startswith("Local preview") for text in texts)


def test_a_flagged_picture_comes_back_black(tmp_path: Path) -> None:
    wish = {"prompt": "something nsfw", "enable_safety_checker": True, "image_size": "square"}
    output = made("fal-ai/flux/schnell", wish, tmp_path)
    assert output["has_nsfw_concepts"] == [True]
    with Image.open(first_image(output).path) as picture:
        assert sum(picture.convert("L").crop((0, 0, 512, 400)).histogram()[8:]) == 0


@pytest.mark.proof
def test_a_card_of_every_category_gets_an_output_that_fits_its_schema(tmp_path: Path) -> None:
    catalog = CatalogIndex.open()
    cards: dict[tuple[str, tuple[str, ...]], ModelCard] = {}
    for category in catalog.categories:
        for endpoint_id in catalog.of_category(category)[:4]:
            card = catalog.get(endpoint_id)
            cards.setdefault((category, tuple(sorted(card.output_media))), card)
    assert sweep(itertools.islice(cards.values(), 60), tmp_path) > 35


def test_importing_the_runners_imports_nothing_heavy() -> None:
    code = (
        "import sys; import server.emulator.runners; "
        "print([name for name in ('PIL', 'av', 'catalog.index') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
