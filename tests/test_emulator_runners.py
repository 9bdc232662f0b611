"""Pictures open, follow the arguments and say what they are; edits change what was given."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image, ImageChops, ImageDraw

from server.emulator.runners.canvas import resized
from server.emulator.runners.instructing import instructed
from server.emulator.runners.words import wishes
from server.emulator.work import Made, RunnerError
from tests.made import first_image, made, painted


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


def test_the_stronger_the_change_the_less_is_left_of_the_given_picture(tmp_path: Path) -> None:
    source = painted(tmp_path / "source.png", "hills", (120, 80))
    apart: list[float] = []
    for strength in (0.1, 0.9):
        wish = {"image_url": "u:", "prompt": "a red night", "strength": strength}
        result = edited(
            "fal-ai/flux/dev/image-to-image", wish, {"u:": source}, tmp_path / str(strength)
        )
        with Image.open(source) as before:
            top = (0, 0, 120, 50)
            change = ImageChops.difference(before.convert("RGB"), result.convert("RGB")).crop(top)
        apart.append(
            sum(level * many for level, many in enumerate(change.convert("L").histogram()))
        )
    assert apart[0] * 3 < apart[1]


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


def test_a_night_has_the_moon_and_the_stars_that_were_asked_for() -> None:
    day = Image.new("RGB", (240, 160), (90, 120, 150))

    def brightest(text: str) -> int:
        new = instructed(day, text, "", random.Random(3))  # noqa: S311  # drawing, no secret
        return sum(new.convert("L").crop((0, 0, 240, 80)).histogram()[220:])

    assert brightest("at night") == 0
    assert brightest("a starry night") > 10
    assert brightest("a night with a full moon") > 300


def test_a_wish_for_an_hour_alone_is_a_landscape() -> None:
    assert not wishes("starry night with full moon").is_abstract
    assert wishes("a gradient of midnight").is_abstract
