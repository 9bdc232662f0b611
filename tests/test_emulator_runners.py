"""What the runners make opens, follows the arguments and says what it is."""

import io
import itertools
import json
import random
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import av
import jsonschema
import pytest
from PIL import Image, ImageChops, ImageDraw

from catalog.card import ModelCard
from catalog.index import CatalogIndex
from server.emulator.fitting import fit
from server.emulator.runners import run
from server.emulator.runners.canvas import resized
from server.emulator.runners.muxing import shown
from server.emulator.runners.pictures import drawn
from server.emulator.runners.request import Given
from server.emulator.runners.sound_file import heard
from server.emulator.work import Made, RunnerError, Task


def made(
    endpoint_id: str,
    arguments: Mapping[str, Any],
    folder: Path,
    *,
    seed: int = 7,
    inputs: Mapping[str, Path] | None = None,
) -> dict[str, Any]:
    task = Task(endpoint_id, dict(arguments), seed, dict(inputs or {}), folder)
    return run(task, lambda share, text: None)


def first_image(output: Mapping[str, Any]) -> Made:
    return cast("Made", output["images"][0])


def test_the_same_task_draws_the_same_bytes_and_another_seed_draws_others(tmp_path: Path) -> None:
    wish = {"prompt": "a red boat on the sea at sunset", "image_size": "square"}
    one = first_image(made("fal-ai/flux/schnell", wish, tmp_path / "one"))
    again = first_image(made("fal-ai/flux/schnell", wish, tmp_path / "again"))
    other = first_image(made("fal-ai/flux/schnell", wish, tmp_path / "other", seed=8))
    assert one.path.read_bytes() == again.path.read_bytes()
    assert one.path.read_bytes() != other.path.read_bytes()


@pytest.mark.parametrize(
    ("endpoint_id", "arguments", "size"),
    [
        ("fal-ai/flux/schnell", {"image_size": "landscape_4_3"}, (1024, 768)),
        ("fal-ai/flux/schnell", {"image_size": {"width": 333, "height": 77}}, (333, 77)),
        ("fal-ai/flux/schnell", {"image_size": {"width": 16, "height": 16}}, (16, 16)),
        ("fal-ai/nano-banana-2", {"aspect_ratio": "16:9", "resolution": "0.5K"}, (680, 384)),
        ("fal-ai/gpt-image-1.5", {"image_size": "1024x1536"}, (1024, 1536)),
    ],
)
def test_a_picture_has_the_size_that_was_asked(
    endpoint_id: str, arguments: dict[str, Any], size: tuple[int, int], tmp_path: Path
) -> None:
    found = first_image(made(endpoint_id, {"prompt": "a tree", **arguments}, tmp_path))
    with Image.open(found.path) as picture:
        assert picture.size == size
    assert found.facts == {"width": size[0], "height": size[1]}


@pytest.mark.parametrize("form", ["jpeg", "png", "webp"])
def test_every_picture_says_in_its_metadata_that_it_is_a_local_preview(
    form: str, tmp_path: Path
) -> None:
    wish = {"prompt": "hills", "image_size": "square", "output_format": form}
    found = first_image(made("fal-ai/nano-banana-2", wish, tmp_path))
    assert found.media_type == f"image/{form}"
    with Image.open(found.path) as picture:
        assert picture.format == form.upper()
        assert str(picture.getexif()[0x010E]).startswith("Local preview")
    assert b"algorithmicMedia" in found.path.read_bytes()


def test_several_pictures_differ_and_each_is_reported_safe(tmp_path: Path) -> None:
    wish = {"prompt": "a cat", "image_size": "square", "num_images": 3}
    output = made("fal-ai/flux/schnell", wish, tmp_path)
    files = cast("list[Made]", output["images"])
    assert len({file.path.read_bytes() for file in files}) == 3
    assert output["has_nsfw_concepts"] == [False, False, False]
    assert output["seed"] == 7
    assert output["prompt"] == "a cat"


def test_a_size_beyond_reason_is_refused_in_fals_words(tmp_path: Path) -> None:
    wish = {"prompt": "a wall", "image_size": {"width": 14_000, "height": 14_000}}
    with pytest.raises(RunnerError) as refused:
        made("fal-ai/flux/schnell", wish, tmp_path)
    assert (refused.value.status, refused.value.type) == (422, "image_too_large")
    assert refused.value.loc == ("image_size",)
    assert refused.value.ctx["max_width"] < 14_000


def painted(path: Path, text: str, size: tuple[int, int]) -> Path:
    """A picture to edit."""
    drawn(text, size, random.Random(text)).save(path)  # noqa: S311  # drawing, no secret
    return path


def edited(
    endpoint_id: str, arguments: Mapping[str, Any], inputs: Mapping[str, Path], folder: Path
) -> Image.Image:
    output = made(endpoint_id, {"output_format": "png", **arguments}, folder, inputs=inputs)
    found = output["images"][0] if output.get("images") else output["image"]
    with Image.open(cast("Made", found).path) as picture:
        picture.load()
        return picture


def test_a_masked_edit_leaves_every_pixel_outside_the_mask_as_it_was(tmp_path: Path) -> None:
    source = painted(tmp_path / "source.png", "a house in a meadow", (320, 240))
    mask = Image.new("L", (160, 120), 0)
    ImageDraw.Draw(mask).ellipse((40, 30, 130, 100), fill=255)
    mask.save(tmp_path / "mask.png")
    given = {"u:": source, "m:": tmp_path / "mask.png"}
    wish = {"image_url": "u:", "mask_url": "m:", "prompt": "a castle"}
    result = edited("fal-ai/flux-pro/v1/fill", wish, given, tmp_path / "out")
    area = resized(mask, (320, 240), Image.Resampling.NEAREST)
    black = Image.new("RGB", (320, 240))
    with Image.open(source) as before:
        apart = ImageChops.difference(before.convert("RGB"), result.convert("RGB"))
    assert Image.composite(black, apart, area).getbbox() is None
    changed = Image.composite(apart, black, area).getbbox()
    assert changed is not None
    assert changed[2] - changed[0] > 100


def test_an_empty_mask_changes_nothing(tmp_path: Path) -> None:
    source = painted(tmp_path / "source.png", "hills", (96, 96))
    Image.new("L", (96, 96), 0).save(tmp_path / "mask.png")
    given = {"u:": source, "m:": tmp_path / "mask.png"}
    wish = {"image_url": "u:", "mask_url": "m:", "prompt": "a boat"}
    result = edited("fal-ai/flux-pro/v1/fill", wish, given, tmp_path / "out")
    with Image.open(source) as before:
        same = ImageChops.difference(before.convert("RGB"), result.convert("RGB"))
    assert same.getbbox() is None


@pytest.mark.parametrize(
    "words", ["make it night", "a pencil sketch", "add a cat", "mirror it", "blurb frobnicate"]
)
def test_an_instruction_changes_the_given_picture_and_keeps_its_size(
    words: str, tmp_path: Path
) -> None:
    source = painted(tmp_path / "source.png", "a house in a meadow", (300, 200))
    wish = {"image_url": "u:", "prompt": words}
    result = edited("fal-ai/flux-pro/kontext", wish, {"u:": source}, tmp_path / "out")
    assert result.size == (300, 200)
    with Image.open(source) as before:
        apart = ImageChops.difference(before.convert("RGB"), result.convert("RGB")).convert("L")
    assert sum(apart.histogram()[8:]) > 1500


def test_a_mirrored_picture_is_the_given_one_mirrored(tmp_path: Path) -> None:
    source = painted(tmp_path / "source.png", "a castle", (200, 120))
    wish = {"image_url": "u:", "prompt": "mirror it"}
    result = edited("fal-ai/flux-pro/kontext", wish, {"u:": source}, tmp_path / "out")
    with Image.open(source) as before:
        mirrored = before.convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    top = (0, 0, 200, 60)  # the label is further down
    apart = ImageChops.difference(mirrored.crop(top), result.convert("RGB").crop(top))
    assert apart.getbbox() is None


@pytest.mark.parametrize(
    ("endpoint_id", "arguments", "size"),
    [
        ("fal-ai/esrgan", {"scale": 3}, (360, 240)),
        ("fal-ai/clarity-upscaler", {"upscale_factor": 1.5}, (180, 120)),
        (
            "fal-ai/seedvr/upscale/image",
            {"upscale_mode": "target", "target_resolution": "720p"},
            (1080, 720),
        ),
        ("fal-ai/flux-2-pro/outpaint", {"expand_left": 30, "expand_top": 20}, (150, 100)),
        ("fal-ai/image-editing/reframe", {"aspect_ratio": "1:1"}, (120, 120)),
        ("fal-ai/bria/expand", {"canvas_size": [400, 300]}, (400, 300)),
    ],
)
def test_larger_pictures_have_exactly_the_asked_size(
    endpoint_id: str, arguments: dict[str, Any], size: tuple[int, int], tmp_path: Path
) -> None:
    source = painted(tmp_path / "source.png", "hills", (120, 80))
    result = edited(endpoint_id, {"image_url": "u:", **arguments}, {"u:": source}, tmp_path / "out")
    assert result.size == size


def test_outpainting_keeps_the_given_picture_where_it_was(tmp_path: Path) -> None:
    source = painted(tmp_path / "source.png", "hills", (120, 80))
    wish = {"image_url": "u:", "expand_right": 200, "expand_bottom": 100}
    result = edited("fal-ai/flux-2-pro/outpaint", wish, {"u:": source}, tmp_path / "out")
    with Image.open(source) as before:
        kept = ImageChops.difference(
            before.convert("RGB"), result.convert("RGB").crop((0, 0, 120, 80))
        )
    assert kept.getbbox() is None


def test_removing_a_background_clears_the_border_and_keeps_the_subject(tmp_path: Path) -> None:
    source = Image.new("RGB", (200, 160), (230, 232, 235))
    ImageDraw.Draw(source).rectangle((60, 40, 140, 120), fill=(200, 30, 40))
    source.save(tmp_path / "source.png")
    wish = {"image_url": "u:"}
    given = {"u:": tmp_path / "source.png"}
    result = edited("fal-ai/bria/background/remove", wish, given, tmp_path / "out")
    assert result.mode == "RGBA"
    alpha = result.getchannel("A")
    assert alpha.getpixel((3, 3)) == 0
    assert alpha.getpixel((100, 80)) == 255


def test_several_references_stand_together_in_one_picture(tmp_path: Path) -> None:
    for name, colour in (("red", (220, 20, 20)), ("blue", (20, 20, 220))):
        Image.new("RGB", (100, 100), colour).save(tmp_path / f"{name}.png")
    given = {"r:": tmp_path / "red.png", "b:": tmp_path / "blue.png"}
    wish = {"image_urls": ["r:", "b:"], "prompt": "together"}
    result = edited("fal-ai/nano-banana-2/edit", wish, given, tmp_path / "out").convert("RGB")
    assert result.getpixel((10, 30)) == (220, 20, 20)
    assert result.getpixel((90, 30)) == (20, 20, 220)


def test_what_is_no_picture_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    wish = {"image_urls": ["x:"], "prompt": "brighter"}
    with pytest.raises(RunnerError) as refused:
        made("fal-ai/nano-banana-2/edit", wish, tmp_path, inputs={"x:": tmp_path / "broken.png"})
    assert (refused.value.status, refused.value.type) == (422, "image_load_error")
    assert refused.value.loc == ("image_urls", 0)
    assert str(tmp_path) not in refused.value.message


def test_a_picture_that_was_not_fetched_is_a_download_error(tmp_path: Path) -> None:
    wish = {"image_url": "https://example.com/gone.png", "prompt": "brighter"}
    with pytest.raises(RunnerError) as refused:
        made("fal-ai/flux-pro/kontext", wish, tmp_path)
    assert refused.value.type == "file_download_error"
    assert refused.value.loc == ("image_url",)


def short_clip(tmp_path: Path, **arguments: object) -> Made:
    wish = {"prompt": "a boat on the sea", "num_frames": 24, "frames_per_second": 12, **arguments}
    wish = {"resolution": "240p", "aspect_ratio": "16:9", **wish}
    return cast("Made", made("fal-ai/wan/v2.2-5b/text-to-video", wish, tmp_path)["video"])


def seen(path: Path) -> dict[str, Any]:
    """What a player finds in a media file."""
    with av.open(str(path)) as container:
        facts: dict[str, Any] = {"note": container.metadata.get("comment", "")}
        facts["seconds"] = (container.duration or 0) / 1_000_000
        facts["sound"] = [stream.codec_context.name for stream in container.streams.audio]
        if container.streams.video:
            video = container.streams.video[0]
            facts |= {"codec": video.codec_context.name, "pixels": video.codec_context.pix_fmt}
            facts |= {"size": (video.width, video.height), "fps": float(video.average_rate or 0)}
            facts["frames"] = sum(1 for _ in container.decode(video=0))
    return facts


def test_a_video_has_the_asked_length_size_and_rate_and_says_what_it_is(tmp_path: Path) -> None:
    clip = short_clip(tmp_path)
    facts = seen(clip.path)
    assert (facts["codec"], facts["pixels"], facts["size"]) == ("h264", "yuv420p", (426, 240))
    assert (facts["frames"], facts["fps"], facts["sound"]) == (24, 12.0, [])
    assert facts["seconds"] == pytest.approx(2.0, abs=0.01)
    assert facts["note"].startswith("Local preview")
    assert clip.facts == {
        "width": 426,
        "height": 240,
        "fps": 12.0,
        "duration": 2.0,
        "num_frames": 24,
    }


def test_the_same_video_task_gives_the_same_bytes(tmp_path: Path) -> None:
    one = short_clip(tmp_path / "one", num_frames=10)
    again = short_clip(tmp_path / "again", num_frames=10)
    assert one.path.read_bytes() == again.path.read_bytes()


@pytest.mark.parametrize(("asked", "codecs"), [(True, ["aac"]), (False, [])])
def test_a_video_has_sound_exactly_when_it_is_asked_for(
    asked: bool, codecs: list[str], tmp_path: Path
) -> None:
    wish = {"prompt": "rain", "duration": "4s", "generate_audio": asked, "resolution": "720p"}
    small = {**wish, "width": 128, "height": 96}
    clip = cast("Made", made("fal-ai/veo3.1", small, tmp_path)["video"])
    facts = seen(clip.path)
    assert facts["sound"] == codecs
    assert facts["seconds"] == pytest.approx(4.0, abs=0.01)


def frame_of(path: Path, place: int, size: tuple[int, int] = (426, 240)) -> Image.Image:
    with av.open(str(path)) as container:
        return shown(next(itertools.islice(container.decode(video=0), place, None)), size)


def test_a_video_moves_and_carries_the_label(tmp_path: Path) -> None:
    clip = short_clip(tmp_path)
    first, last = frame_of(clip.path, 0), frame_of(clip.path, 23)
    corner = (426 - 120, 240 - 24, 426, 240)
    apart = ImageChops.difference(first, last).convert("L")
    assert sum(apart.histogram()[24:]) > 500
    assert sum(apart.crop(corner).histogram()[60:]) < 60
    bright = first.crop(corner).convert("L").histogram()
    assert sum(bright[190:]) > 60  # the letters


def test_an_animated_picture_begins_as_given_and_ends_as_asked(tmp_path: Path) -> None:
    for name, colour in (("start", (200, 40, 40)), ("end", (40, 40, 200))):
        Image.new("RGB", (160, 96), colour).save(tmp_path / f"{name}.png")
    given = {"s:": tmp_path / "start.png", "e:": tmp_path / "end.png"}
    wish = {"start_image_url": "s:", "end_image_url": "e:", "duration": "5", "prompt": "turn"}
    output = made(
        "fal-ai/kling-video/v2.6/pro/image-to-video",
        {**wish, "generate_audio": False},
        tmp_path,
        inputs=given,
    )
    path = cast("Made", output["video"]).path
    middle = (40, 20)
    first = cast("tuple[int, ...]", frame_of(path, 0).getpixel(middle))
    last = cast("tuple[int, ...]", frame_of(path, 119).getpixel(middle))
    assert first[0] > first[2] + 80
    assert last[2] > last[0] + 80


def test_a_given_video_is_enlarged_and_keeps_its_length_and_sound(tmp_path: Path) -> None:
    wish = {"prompt": "rain", "duration": "4s", "generate_audio": True, "width": 128, "height": 72}
    source = cast("Made", made("fal-ai/veo3.1", wish, tmp_path)["video"]).path
    output = made(
        "blackforestlabs/flux-video-upscale",
        {"video_url": "v:", "upscale_factor": 2},
        tmp_path / "out",
        inputs={"v:": source},
    )
    facts = seen(cast("Made", output["video"]).path)
    assert facts["size"] == (256, 144)
    assert facts["sound"] == ["aac"]
    assert facts["seconds"] == pytest.approx(4.0, abs=0.05)


def test_what_is_no_video_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"not a video" * 50)
    wish = {"video_url": "v:", "upscale_factor": 2}
    given = {"v:": tmp_path / "broken.mp4"}
    with pytest.raises(RunnerError) as refused:
        made("blackforestlabs/flux-video-upscale", wish, tmp_path, inputs=given)
    assert (refused.value.type, refused.value.loc) == ("unsupported_video_format", ("video_url",))


def test_speech_lasts_as_long_as_its_text_needs_and_voices_differ(tmp_path: Path) -> None:
    short = {"text": "Hello there.", "voice": "Rachel"}
    long = {"text": "Hello there, this is a much longer sentence to be read.", "voice": "Rachel"}
    other = {**short, "voice": "Brian"}
    endpoint = "fal-ai/elevenlabs/tts/multilingual-v2"
    found = [
        cast("Made", made(endpoint, wish, tmp_path / str(place))["audio"])
        for place, wish in enumerate((short, long, other))
    ]
    lengths = [seen(sound.path)["seconds"] for sound in found]
    assert 0.5 < lengths[0] < 2.5
    assert lengths[1] > lengths[0] * 2
    assert found[0].path.read_bytes() != found[2].path.read_bytes()


@pytest.mark.parametrize("form", ["wav", "mp3", "flac", "m4a", "opus"])
def test_music_has_the_asked_length_and_format_and_begins_with_a_soft_tone(
    form: str, tmp_path: Path
) -> None:
    wish = {"prompt": "calm piano", "duration": 2.5, "output_format": form}
    sound = cast(
        "Made", made("fal-ai/stable-audio-3/medium/text-to-audio", wish, tmp_path)["audio"]
    )
    facts = seen(sound.path)
    assert sound.path.suffix == f".{form}"
    assert facts["seconds"] == pytest.approx(2.5, abs=0.1)
    samples = heard(Given(("audio",), "audio", sound.path), 22_050).samples
    tone = samples[round(0.05 * 22_050) : round(0.15 * 22_050)]
    crossings = sum(1 for one, two in itertools.pairwise(tone) if one < 0 <= two)
    assert max(tone) > 300
    assert 20 < crossings < 400
    if form in ("wav", "mp3", "flac", "m4a"):
        assert facts["note"].startswith("Local preview")


def test_a_sound_that_was_extended_is_longer_by_what_was_asked(tmp_path: Path) -> None:
    wish = {"prompt": "bell", "duration": 2, "output_format": "wav"}
    endpoint = "fal-ai/stable-audio-3/medium/text-to-audio"
    source = cast("Made", made(endpoint, wish, tmp_path)["audio"]).path
    output = made(
        "fal-ai/ace-step/audio-outpaint",
        {"audio_url": "a:", "extend_before_duration": 1, "extend_after_duration": 3, "tags": "x"},
        tmp_path / "out",
        inputs={"a:": source},
    )
    assert seen(cast("Made", output["audio"]).path)["seconds"] == pytest.approx(6.0, abs=0.1)


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


def given_files(folder: Path) -> dict[str, Path]:
    """One small file of each kind, by the address under which it is given."""
    picture = painted(folder / "given.png", "a red house", (96, 64))
    small = {"width": 96, "height": 64, "num_frames": 8, "fps": 8, "generate_audio": True}
    clip = made("fal-ai/veo3.1", {"prompt": "rain", **small}, folder)
    speech = made("fal-ai/kokoro/american-english", {"prompt": "Hello."}, folder)
    (folder / "given.zip").write_bytes(b"zip")
    files = {
        "image": picture,
        "video": cast("Made", clip["video"]).path,
        "audio": cast("Made", speech["audio"]).path,
        "archive": folder / "given.zip",
        "3d": folder / "given.zip",
    }
    return {f"https://files.test/{kind}": path for kind, path in files.items()}


def sample_value(rule: Mapping[str, Any]) -> Any:  # JSON
    """A value that fits *rule*: its default, its first choice, its lowest number, a given file."""
    if rule.get("default", "null") != "null":
        return rule["default"]
    if rule.get("x-media") and rule.get("type") == "string":
        return f"https://files.test/{rule['x-media']}"
    for choices in ("anyOf", "oneOf"):
        if rule.get(choices):
            return sample_value(rule[choices][0])
    if rule.get("enum"):
        return rule["enum"][0]
    match rule.get("type"):
        case "array":
            return [sample_value(rule.get("items", {}))] * max(1, int(rule.get("minItems", 1)))
        case "object":
            parts = rule.get("properties", {})
            return {name: sample_value(parts[name]) for name in rule.get("required", ())}
        case "boolean":
            return False
        case "integer" | "number":
            return max(1, int(rule.get("minimum", 1)))
        case _:
            return "a red boat on the sea"


def with_addresses(value: object) -> Any:  # JSON
    """An output as a client sees it, with file objects where files were made."""
    if isinstance(value, Made):
        assert value.path.stat().st_size > 0
        url = "https://files.test/made"
        return url if value.facts.get("url_only") else {"url": url, **value.facts}
    if isinstance(value, dict):
        entries = cast("dict[str, object]", value)
        return {name: with_addresses(part) for name, part in entries.items()}
    if isinstance(value, list):
        return [with_addresses(part) for part in cast("list[object]", value)]
    return value


def sweep(cards: Iterable[ModelCard], folder: Path) -> int:
    """Run each of *cards* at its smallest and hold the output against its schema."""
    inputs = given_files(folder)
    least = {"width": 64, "height": 48, "num_frames": 8, "duration": 1, "num_images": 1}
    count = 0
    for card in cards:
        wanted = {*card.required, "image_url", "image_urls", "video_url", "audio_url", "mask_url"}
        body = {
            name: sample_value(rule) for name, rule in card.properties.items() if name in wanted
        }
        arguments, _ = fit(card, body)
        task = Task(card.endpoint_id, {**arguments, **least}, 3, inputs, folder / "out")
        output = with_addresses(run(task, lambda share, text: None))
        json.dumps(output)
        if card.output_schema:
            jsonschema.validate(output, dict(card.output_schema))
        count += 1
    return count


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
