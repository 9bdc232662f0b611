"""What a piece of media is: its kind and the facts that prices and limits depend on."""

from dataclasses import dataclass
from typing import Literal

MediaKind = Literal["image", "video", "audio", "3d", "archive", "weights", "text", "file"]


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """What is known of one piece of media; absent facts are None.

    Sizes are pixels, *seconds* and *fps* as the container states them, *bytes* the file's length.
    """

    kind: MediaKind
    media_type: str
    bytes: int | None = None
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    fps: float | None = None
    frames: int | None = None
    has_audio: bool | None = None
