"""The few calls to the encoder whose annotations name numpy, which is not installed here."""

from collections.abc import Callable
from fractions import Fraction
from typing import cast

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from av.video.stream import VideoStream
from PIL import Image


def added(
    container: OutputContainer, codec: str, rate: int | Fraction
) -> AudioStream | VideoStream:
    """Add a stream of *codec* to *container* and return it."""
    stream = container.add_stream(codec, rate=rate)  # pyright: ignore[reportUnknownMemberType]
    assert isinstance(stream, (AudioStream, VideoStream))  # noqa: S101  # the codecs here are both
    return stream


def send(
    container: OutputContainer,
    stream: AudioStream | VideoStream,
    frame: AudioFrame | VideoFrame | None,
) -> None:
    """Encode *frame* and write what comes of it; None writes what is still held back."""
    if isinstance(stream, AudioStream):
        assert not isinstance(frame, VideoFrame)  # noqa: S101  # each stream has its kind
        container.mux(stream.encode(frame))  # pyright: ignore[reportUnknownMemberType]
    else:
        assert not isinstance(frame, AudioFrame)  # noqa: S101  # each stream has its kind
        container.mux(stream.encode(frame))  # pyright: ignore[reportUnknownMemberType]


def converted(picture: Image.Image, size: tuple[int, int], pixels: str) -> VideoFrame:
    """*picture* as a frame of *size* in the pixel format *pixels*."""
    make = cast("Callable[[Image.Image], VideoFrame]", VideoFrame.from_image)  # pyright: ignore[reportUnknownMemberType]
    in_yuv = pixels.startswith("yuv")
    return make(picture).reformat(
        *size,
        format=pixels,
        dst_colorspace=Colorspace.ITU709 if in_yuv else None,
        interpolation=Interpolation.BILINEAR,
        dst_color_range=ColorRange.MPEG if in_yuv else None,
    )


def shown(frame: VideoFrame, size: tuple[int, int]) -> Image.Image:
    """*frame* as an RGB picture of *size*."""
    small = frame.reformat(*size, format="rgb24", interpolation=Interpolation.BILINEAR)
    show = cast("Callable[[], Image.Image]", small.to_image)  # pyright: ignore[reportUnknownMemberType]
    return show()
