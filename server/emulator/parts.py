"""What a model that streams shows before its whole output: blurred pictures, half texts."""

import base64
import io
from typing import Any, cast

from PIL import Image

from server.emulator.runners.picture_file import NOTE
from server.emulator.work import Made

LONGEST_SIDE = 256  # pixels of a picture that is not whole yet
COARSEST = 12  # pixels that its first look is made of, along the longer side
FEWEST_WORDS = 3  # a text of fewer words comes whole


def parts_of(output: Any, count: int) -> list[Any]:  # noqa: ANN401  # JSON and files
    """Return *count* outputs of the shape of *output*, each closer to it.

    Pictures are small data URIs that grow sharper, marked as what they are; texts grow word by
    word. Other files are left out: there is no half of a film.
    """
    return [_part(output, (step + 1) / (count + 1)) for step in range(count)]


def _part(value: Any, share: float) -> Any:  # noqa: ANN401  # JSON and files
    if isinstance(value, Made):
        return _look(value, share)
    if isinstance(value, str):
        words = value.split(" ")
        if len(words) < FEWEST_WORDS:
            return value
        return " ".join(words[: max(1, int(len(words) * share))])
    if isinstance(value, list | tuple):
        return [_part(item, share) for item in cast("list[Any]", value) if not _is_absent(item)]
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        made = {name: _part(item, share) for name, item in entries.items() if not _is_absent(item)}
        if isinstance(made.get("partial"), bool):
            made["partial"] = True
        return made
    return value


def _is_absent(value: Any) -> bool:  # noqa: ANN401  # JSON and files
    """Return whether *value* is a file of which there is nothing to show before it is whole."""
    return isinstance(value, Made) and not value.media_type.startswith(
        ("image/jpeg", "image/png", "image/webp")
    )


def _look(made: Made, share: float) -> dict[str, Any]:
    """Return a file object with a look at a picture as it would be after *share* of the work."""
    with Image.open(made.path) as whole:
        small = whole.convert("RGB")
        size = whole.size
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    shown = small.size
    pixels = max(1, round(COARSEST + (LONGEST_SIDE - COARSEST) * share * share))
    small.thumbnail((pixels, pixels))
    file = io.BytesIO()
    again = small.resize(shown)  # pyright: ignore[reportUnknownMemberType]  # Pillow's own hints
    again.save(file, "JPEG", quality=70, comment=NOTE.encode())
    return {
        "url": f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}",
        "content_type": "image/jpeg",
        "width": size[0],
        "height": size[1],
    }
