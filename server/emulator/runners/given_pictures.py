"""The pictures that a request works on: which comes first, which refer, what the mask says."""

from PIL import Image

from server.emulator.runners.canvas import mapped, resized
from server.emulator.runners.picture_file import opened
from server.emulator.runners.request import Given, Request

# Fields that hold the picture to be changed, before those that hold references or guides.
_FIRST = (
    "image_url",
    "image_urls",
    "input_image_url",
    "input_image_urls",
    "inpaint_image_url",
    "uov_image_url",
    "start_image_url",
    "first_frame_url",
    "first_image_url",
    "content_image_url",
    "human_image_url",
    "person_image_url",
    "model_image",
    "product_image_url",
)
_LAST_FRAMES = ("end_image_url", "tail_image_url", "last_frame_url", "last_image_url")


def ordered(request: Request) -> list[Given]:
    """The given pictures, the one to be changed first, masks and last frames aside."""
    given = [one for one in request.media("image") if one.field not in _LAST_FRAMES]
    return sorted(given, key=lambda one: _FIRST.index(one.field) if one.field in _FIRST else 99)


def last_frame(request: Request) -> Given | None:
    """The picture with which a video shall end, where one is given."""
    return next((one for one in request.media("image") if one.field in _LAST_FRAMES), None)


def region(request: Request, size: tuple[int, int]) -> Image.Image | None:
    """The area to be changed as white on black at *size*, or None without a mask.

    White is changed, as on fal; for the masks of GPT Image, clear is changed.
    """
    given = next((one for one in request.given if one.is_mask and one.kind == "image"), None)
    if given is None:
        return None
    found = opened(given)
    if found.mode == "RGBA":
        alpha = found.getchannel("A")
        if "gpt-image" in request.task.endpoint_id and min_of(alpha) < 128:
            grey = mapped(alpha, lambda value: 255 - value)
        else:
            black = Image.new("RGB", found.size)
            black.paste(found, (0, 0), alpha)
            grey = black.convert("L")
    else:
        grey = found.convert("L")
    if grey.size != size:
        grey = resized(grey, size, Image.Resampling.NEAREST)
    white = mapped(grey, lambda value: 255 if value >= 128 else 0)
    return mapped(white, lambda value: 255 - value) if request.flag("invert_mask") else white


def min_of(channel: Image.Image) -> int:
    """The darkest value of a one-channel picture."""
    return next((value for value, count in enumerate(channel.histogram()) if count), 0)
