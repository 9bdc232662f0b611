"""Videos as files: frames and sound encoded together, labelled, and marked as local previews."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from server.emulator.runners.label import label, stamped
from server.emulator.runners.muxing import added, converted, send
from server.emulator.runners.reels import Reel, StandReel
from server.emulator.runners.request import Request
from server.emulator.runners.sizes import Size
from server.emulator.runners.sound_file import Coding, audio_stream, described, frames
from server.emulator.runners.tones import Sound
from server.emulator.work import Made

# Distinct frames of a clip; a longer clip shows each of them more than once.
MOST_DRAWN = 360
# Pixels of all distinct frames together; more frames are drawn smaller and enlarged by the encoder.
MOST_DRAWN_PIXELS = 96_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How large, how fast and how long a clip shall be.

    *pixels* bounds those of all drawn frames together.
    """

    size: Size
    fps: float
    count: int
    pixels: int = MOST_DRAWN_PIXELS

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.count / self.fps

    @property
    def step(self) -> int:
        """How often each drawn frame is shown: more than once above 30 a second."""
        often = max(1, round(self.fps / 30 + 0.2)) if self.fps > 31 else 1
        return max(often, -(-self.count // MOST_DRAWN))

    @property
    def inner(self) -> Size:
        """The size at which frames are drawn."""
        drawn = -(-self.count // self.step)
        share = (self.pixels / drawn / (self.size[0] * self.size[1])) ** 0.5
        if share >= 1:
            return self.size
        share = max(share, 480 / max(self.size))
        width, height = round(self.size[0] * share / 2) * 2, round(self.size[1] * share / 2) * 2
        return max(2, width), max(2, height)


@dataclass(frozen=True, slots=True)
class VideoCoding:
    """How a video is written."""

    suffix: str
    container: str
    codec: str
    media_type: str
    pixels: str = "yuv420p"
    audio: str = "aac"


_MP4 = VideoCoding(".mp4", "mp4", "libx264", "video/mp4")
_CODINGS: tuple[tuple[str, VideoCoding], ...] = (
    ("gif", VideoCoding(".gif", "gif", "gif", "image/gif", "rgb8", "")),
    ("webm", VideoCoding(".webm", "webm", "libvpx-vp9", "video/webm", "yuv420p", "libopus")),
    ("prores", VideoCoding(".mov", "mov", "prores_ks", "video/quicktime", "yuv444p10le", "aac")),
    ("mkv_vp9", VideoCoding(".mkv", "matroska", "libvpx-vp9", "video/x-matroska")),
    ("mkv", VideoCoding(".mkv", "matroska", "libx264", "video/x-matroska")),
    ("mov_h265", VideoCoding(".mov", "mov", "libx265", "video/quicktime")),
    ("mov", VideoCoding(".mov", "mov", "libx264", "video/quicktime")),
    ("h265", VideoCoding(".mp4", "mp4", "libx265", "video/mp4")),
)
_OPTIONS = {
    "libx264": {"preset": "ultrafast", "crf": "23", "g": "48"},
    "libx265": {"preset": "ultrafast", "crf": "27", "x265-params": "log-level=none:pools=1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "32", "b": "0", "row-mt": "0"},
    "prores_ks": {"profile": "4"},
}
_FORMAT_FIELDS = (
    "video_output_type",
    "output_container_and_codec",
    "output_format",
    "output_codec",
)


def video_coding(request: Request) -> VideoCoding:
    """How *request* wants its videos written; H.264 in MP4 unless it says otherwise."""
    named = " ".join(request.word(name) for name in _FORMAT_FIELDS)
    return next((how for word, how in _CODINGS if word in named), _MP4)


def keep_clip(reel: Reel, plan: Plan, sound: Sound | None, request: Request) -> Made:
    """Encode the frames of *reel* and *sound* as *plan* says and return the file.

    Its facts are width, height, fps, duration and num_frames.
    """
    how = video_coding(request)
    if request.task.black:
        reel = StandReel(Image.new("RGB", plan.inner), plan.inner)
    path = request.new_file("video", how.suffix)
    options = {"movflags": "faststart"} if how.container in ("mp4", "mov") else {}
    with av.open(str(path), "w", format=how.container, container_options=options) as container:
        described(container, request)
        video = _video_stream(container, how, plan)
        with_sound = sound is not None and how.audio
        coding = Coding("", "", how.audio, "", 48_000 if how.audio == "libopus" else 44_100, 96_000)
        audio = audio_stream(container, coding) if with_sound else None
        if sound is not None and audio is not None:
            # The whole sound goes first: it is small, and the muxer sorts packets by time.
            for frame in frames(_cut(sound, plan.seconds), audio):
                send(container, audio, frame)
            send(container, audio, None)
        for frame in _frames(reel, plan, how, request.report):
            send(container, video, frame)
        send(container, video, None)
    facts = {
        "width": plan.size[0],
        "height": plan.size[1],
        "fps": round(plan.fps, 3),
        "duration": round(plan.seconds, 3),
        "num_frames": plan.count,
    }
    return Made(path, how.media_type, facts)


def _cut(sound: Sound, seconds: float) -> Sound:
    return Sound(sound.samples[: round(seconds * sound.rate)], sound.rate)


def _video_stream(container: OutputContainer, how: VideoCoding, plan: Plan) -> VideoStream:
    rate = Fraction(plan.fps).limit_denominator(1001)
    stream = cast("VideoStream", added(container, how.codec, rate))
    stream.width, stream.height = plan.size
    stream.pix_fmt = how.pixels
    stream.codec_context.thread_count = 1  # with one thread the bytes are the same everywhere
    stream.options = dict(_OPTIONS.get(how.codec, {}))
    stream.codec_context.time_base = 1 / rate
    return stream


def _frames(
    reel: Reel, plan: Plan, how: VideoCoding, report: Callable[[float, str], None]
) -> Iterator[VideoFrame]:
    in_planes = how.pixels == "yuv420p"
    tag = _planes(plan.size) if in_planes else None
    drawn: VideoFrame | None = None
    for place in range(plan.count):
        if drawn is None or place % plan.step == 0:
            picture = reel.frame(place / max(1, plan.count - 1))
            if not in_planes:
                picture = stamped(picture)
            drawn = converted(picture, plan.size, how.pixels)
            if tag:
                _stamp(drawn, tag)
            if place * 10 // plan.count != (place - plan.step) * 10 // plan.count:
                report(place / plan.count, f"frame {place + 1} of {plan.count}")
        drawn.pts = place
        yield drawn


@dataclass(frozen=True, slots=True)
class _Tag:
    """The label as planes of brightness and colour, and its place; all even."""

    left: int
    top: int
    width: int
    height: int
    brightness: bytes


def _planes(size: Size) -> _Tag | None:
    """The label for frames of *size*, as it is copied into each of them, crisp at any size."""
    found = label(size)
    if found is None:
        return None
    tag, (left, top) = found
    width, height = tag.width // 2 * 2, tag.height // 2 * 2
    sheet = Image.new("RGB", tag.size, (30, 32, 40))
    sheet.paste(tag, (0, 0), tag.getchannel("A"))
    grey = sheet.convert("L").crop((0, 0, width, height))
    levels = bytes(16 + value * 219 // 255 for value in grey.tobytes())
    return _Tag(left // 2 * 2, top // 2 * 2, width, height, levels)


def _stamp(frame: VideoFrame, tag: _Tag) -> None:
    """Copy the label over *frame*, whose pixels are planar with halved colours."""
    bright = memoryview(frame.planes[0])  # pyright: ignore[reportArgumentType]  # planes are buffers
    line = frame.planes[0].line_size
    for row in range(tag.height):
        start = (tag.top + row) * line + tag.left
        bright[start : start + tag.width] = tag.brightness[row * tag.width : (row + 1) * tag.width]
    plain = bytes([128]) * (tag.width // 2)
    for plane in frame.planes[1:3]:
        colours = memoryview(plane)  # pyright: ignore[reportArgumentType]  # planes are buffers
        for row in range(tag.height // 2):
            start = (tag.top // 2 + row) * plane.line_size + tag.left // 2
            colours[start : start + len(plain)] = plain
