"""Video and sound: facts, frames at given times.

Imports av; import this module late.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from catalog.media import MediaFacts
from server.media.pixels import MOST_PIXELS
from tools.errors import MediaError

# The demuxer is named, never guessed: playlists and concatenation scripts would open other files.
_FORMATS = {
    "video/mp4": "mov",
    "video/quicktime": "mov",
    "video/3gpp": "mov",
    "audio/mp4": "mov",
    "video/webm": "matroska",
    "video/x-matroska": "matroska",
    "video/x-msvideo": "avi",
    "video/mpeg": "mpeg",
    "video/mp2t": "mpegts",
    "video/x-flv": "flv",
    "video/x-ms-asf": "asf",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "audio/aac": "aac",
    "audio/aiff": "aiff",
    "audio/amr": "amr",
    "audio/x-caf": "caf",
}
# What a container is called when it holds sound only, and when it turns out to hold pictures.
_SOUND_ONLY = {
    "video/mp4": "audio/mp4",
    "video/quicktime": "audio/mp4",
    "video/3gpp": "audio/3gpp",
    "video/webm": "audio/webm",
    "video/x-matroska": "audio/x-matroska",
    "video/x-ms-asf": "audio/x-ms-wma",
}
_WITH_PICTURE = {"audio/mp4": "video/mp4", "audio/ogg": "video/ogg", "audio/webm": "video/webm"}
_NAMES_BACK = {sound: picture for picture, sound in reversed(_SOUND_ONLY.items())} | {
    "video/ogg": "audio/ogg"
}

# Frames decoded on the way from a key frame to the wanted one, at most.
MOST_DECODED = 900
# Packets read to find a length that the container does not state, at most.
MOST_PACKETS = 1_000_000


@dataclass(slots=True)
class Opened:
    """An opened container with the streams that a person would see and hear."""

    container: InputContainer
    picture: VideoStream | None
    sound: AudioStream | None

    @property
    def seconds(self) -> float | None:
        """The length of the picture, else of the sound, as stated; None where it is not.

        Encoders fill the last block of sound, so a container may last a little longer than its
        picture; the picture's own length is what was asked for.
        """
        stream = self.picture or self.sound
        if stream is not None and stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        return self.container.duration / 1_000_000 if self.container.duration else None


@contextmanager
def opened(path: Path, media_type: str) -> Generator[Opened]:
    """Open the video or sound at *path*; nothing else is read, whatever it refers to.

    Raises:
        MediaError: it does not open, or a decoder fails inside the block.
    """
    form = _FORMATS.get(_NAMES_BACK.get(media_type, media_type))
    if form is None:
        raise MediaError(
            f"{path.name!r} ({media_type}) cannot be opened here", hint="save it as MP4 or MP3"
        )
    path.stat()  # a missing file is told as one
    try:
        options = {"protocol_whitelist": "file"}
        with av.open(
            str(path), format=form, options=options, metadata_errors="replace"
        ) as container:
            pictures = [
                stream
                for stream in container.streams.video
                if not stream.disposition & Disposition.attached_pic
            ]
            sounds = container.streams.audio
            for stream in (*pictures[:1], *sounds[:1]):
                if getattr(stream, "codec_context", None) is None:
                    raise MediaError(
                        f"{path.name!r} is coded in a way that is not known here",
                        hint="save it as MP4 or MP3",
                    )
            yield Opened(
                container, pictures[0] if pictures else None, sounds[0] if sounds else None
            )
    except (FFmpegError, ValueError, UnicodeError) as problem:
        raise MediaError(
            f"{path.name!r} does not open: {_words(problem)}",
            hint="it is damaged or cut off; save it again",
        ) from None


def moving_facts(path: Path, media_type: str, size: int) -> MediaFacts:
    """Return what the video or sound at *path* is, after decoding its first frame.

    Sizes are upright. Containers without a picture (cover art does not count) are audio.

    Raises:
        MediaError: it does not open, is cut off, or holds neither picture nor sound.
    """
    with opened(path, media_type) as source:
        if source.picture is not None:
            facts = _video_facts(source, source.picture, path)
            return replace(facts, media_type=_WITH_PICTURE.get(media_type, media_type), bytes=size)
        if source.sound is None:
            raise MediaError(
                f"{path.name!r} holds neither picture nor sound", hint="export it again"
            )
        sound = source.sound
        if next(source.container.decode(sound), None) is None:
            raise MediaError(f"{path.name!r} holds no sound that decodes", hint="export it again")
        stated = source.seconds
        seconds = stated
        if stated is None or media_type in ("audio/flac", "audio/aac"):
            seconds = _measured(source, sound)
            if (
                stated
                and seconds < stated * 0.9
                and stated - seconds > 1
                and media_type == "audio/flac"
            ):
                raise MediaError(
                    f"{path.name!r} is cut off: {seconds:.1f} of {stated:.1f} seconds are there",
                    hint="save or download it again",
                )
    return MediaFacts(
        "audio",
        _SOUND_ONLY.get(media_type, media_type),
        bytes=size,
        seconds=round(seconds, 3) if seconds else None,
        has_audio=True,
    )


def length_of(path: Path, media_type: str) -> float:
    """Return the length in seconds, measured where the container does not state it; 0 when empty.

    Raises:
        MediaError: the file does not open.
    """
    with opened(path, media_type) as source:
        stream = source.picture or source.sound
        return source.seconds or (_measured(source, stream) if stream is not None else 0.0)


def _video_facts(source: Opened, stream: VideoStream, path: Path) -> MediaFacts:
    if stream.width * stream.height > MOST_PIXELS:
        raise MediaError(
            f"{path.name!r} has frames of {stream.width}x{stream.height} pixels, too large to open",
            hint="scale it down first",
        )
    first = next(source.container.decode(stream), None)
    if first is None:
        raise MediaError(
            f"{path.name!r} holds no picture that decodes",
            hint="it is damaged or cut off; save it again",
        )
    turned = first.rotation % 180 != 0
    seconds = source.seconds or _measured(source, stream)
    rate = float(stream.average_rate) if stream.average_rate else None
    frames = stream.frames or (round(seconds * rate) if rate and seconds else None)
    return MediaFacts(
        "video",
        "",
        width=first.height if turned else first.width,
        height=first.width if turned else first.height,
        seconds=round(seconds, 3) if seconds else None,
        fps=round(rate, 3) if rate else None,
        frames=frames,
        has_audio=source.sound is not None,
    )


def _measured(source: Opened, stream: VideoStream | AudioStream) -> float:
    """Return where the last packet of *stream* ends, in seconds; reads all of it, decodes none."""
    source.container.seek(0)
    end = 0.0
    for number, packet in enumerate(source.container.demux(stream)):
        if packet.pts is not None and packet.time_base:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if number >= MOST_PACKETS:
            break
    return end


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a video, upright, at its time in seconds."""

    seconds: float
    picture: Image.Image


def frames_at(path: Path, media_type: str, times: Sequence[float], longest: int) -> list[Frame]:
    """Return the frame shown at each of *times* (seconds, rising), *longest* pixels at most.

    A time beyond the end gives the last frame; times that fall on one frame give it once.

    Raises:
        MediaError: the file does not open.
    """
    found: dict[float, Frame] = {}
    with opened(path, media_type) as source:
        stream = source.picture
        if stream is None:
            return []
        stream.thread_type = "AUTO"
        start = float((stream.start_time or 0) * (stream.time_base or 0))
        for wanted in times:
            frame = _frame_near(source, stream, wanted + start)
            if frame is None:
                continue
            seconds = max(0.0, frame.time - start) if frame.pts is not None else wanted
            found.setdefault(seconds, Frame(seconds, _small(frame, longest)))
    return [found[seconds] for seconds in sorted(found)]


def _frame_near(source: Opened, stream: VideoStream, wanted: float) -> VideoFrame | None:
    """Return the last frame that begins at or before *wanted*, sought from its key frame."""
    if stream.time_base:
        try:
            source.container.seek(
                max(0, int(wanted / stream.time_base)), stream=stream, backward=True
            )
        except FFmpegError:  # some containers have no index; from the start then
            source.container.seek(0)
    shown: VideoFrame | None = None
    try:
        for count, frame in enumerate(source.container.decode(stream)):
            if frame.pts is not None and frame.time > wanted + 1e-6 and shown is not None:
                break
            shown = frame
            if count >= MOST_DECODED:
                break
    except FFmpegError:
        if shown is None:
            return None
    return shown


def _small(frame: VideoFrame, longest: int) -> Image.Image:
    scale = min(1.0, longest / max(frame.width, frame.height))
    width, height = (max(2, round(side * scale)) for side in (frame.width, frame.height))
    made: object = frame.reformat(width=width, height=height).to_image()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # untyped there
    picture = cast("Image.Image", made)
    return picture.rotate(frame.rotation, expand=True) if frame.rotation else picture


def _words(problem: BaseException) -> str:
    """Return what a decoder complains of, without the path it repeats."""
    told = getattr(problem, "strerror", None) or str(problem)
    return str(told).partition(":")[0].strip().lower()[:80] or "it cannot be decoded"
