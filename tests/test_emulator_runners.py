"""What the runners make opens, follows the arguments and says what it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image

from server.emulator.runners import run
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
