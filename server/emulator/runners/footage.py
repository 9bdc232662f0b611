"""Given videos: what they are, and their frames in order."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from PIL import Image

from server.emulator.runners.canvas import Size
from server.emulator.runners.muxing import shown
from server.emulator.runners.request import Given
from server.emulator.work import RunnerError

LONGEST_SECONDS = 120.0
Change = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True, slots=True)
class Footage:
    """A given video: its size in pixels, frames a second, length and whether it has sound."""

    given: Given
    size: Size
    fps: float
    count: int
    has_sound: bool

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.count / self.fps


def probed(given: Given) -> Footage:
    """Return what the given video is.

    Raises:
        RunnerError: it cannot be read, or is longer than two minutes.
    """
    try:
        with av.open(str(given.file)) as container:
            found = _facts(container, given)
    except (FFmpegError, OSError, ValueError) as error:
        raise RunnerError(
            422,
            "unsupported_video_format",
            "could not read the given video",
            loc=given.at,
            ctx={"supported_formats": ["mp4", "mov", "webm", "mkv", "gif"]},
        ) from error
    if found.seconds > LONGEST_SECONDS:
        raise RunnerError(
            422,
            "video_duration_too_long",
            f"a local preview takes videos of at most {LONGEST_SECONDS:.0f} seconds",
            loc=given.at,
            ctx={"max_duration": LONGEST_SECONDS, "provided_duration": round(found.seconds, 2)},
        )
    return found


def _facts(container: InputContainer, given: Given) -> Footage:
    if not container.streams.video:
        raise ValueError("no pictures")
    stream = container.streams.video[0]
    fps = min(120.0, max(1.0, float(stream.average_rate or 25)))
    if stream.frames:
        count = stream.frames
    elif stream.duration and stream.time_base:
        count = round(float(stream.duration * stream.time_base) * fps)
    elif container.duration:
        count = round(container.duration / 1_000_000 * fps)
    else:
        count = sum(1 for _ in container.decode(video=0))
    size = (stream.width, stream.height)
    return Footage(given, size, fps, max(1, count), bool(container.streams.audio))


class FootageReel:
    """The frames of a given video, from *start* to *end* seconds, each changed by *change*.

    Frames come in order: shares must not go down. They are read at *size*.
    """

    def __init__(
        self,
        footage: Footage,
        size: Size,
        change: Change | None = None,
        span: tuple[float, float] | None = None,
    ) -> None:
        self.footage, self.size, self.change = footage, size, change
        self.span = span or (0.0, footage.seconds)
        self.place = -1
        self.picture: Image.Image | None = None

    @cached_property
    def _rest(self) -> Iterator[VideoFrame]:
        return _decoded(self.footage)

    def frame(self, share: float) -> Image.Image:
        """The frame at *share* of the span."""
        start, end = self.span
        last = max(0, round(end * self.footage.fps) - 1)
        first = min(last, round(start * self.footage.fps))
        wanted = first + round(share * (last - first))
        found: VideoFrame | None = None
        while self.place < wanted:
            following = next(self._rest, None)
            if following is None:
                break
            found, self.place = following, self.place + 1
        if found is not None:
            picture = shown(found, self.size)
            self.picture = self.change(picture) if self.change else picture
        return self.picture or Image.new("RGB", self.size)


def _decoded(footage: Footage) -> Iterator[VideoFrame]:
    try:
        with av.open(str(footage.given.file)) as container:
            yield from container.decode(video=0)
    except FFmpegError:
        return


def frame_at(footage: Footage, seconds: float) -> Image.Image:
    """The frame at *seconds*, in the size of the video; the last one where it is shorter.

    Raises:
        RunnerError: no frame can be read.
    """
    found: VideoFrame | None = None
    for place, frame in enumerate(_decoded(footage)):
        found = frame
        if place >= seconds * footage.fps:
            break
    if found is None:
        raise RunnerError(
            422, "unsupported_video_format", "the given video has no frames", loc=footage.given.at
        )
    return shown(found, footage.size)
