"""Sounds as files: written with a note that they are local previews, read as they are given."""

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError

from server.emulator.runners.muxing import added, send
from server.emulator.runners.request import Given, Request
from server.emulator.runners.tones import Sound
from server.emulator.work import Made, RunnerError

NOTE = "Local preview made by falkit's embedded platform; not the output of the named model."
LONGEST_SECONDS = 1800.0
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Coding:
    """How a sound is written: file suffix, container, codec, media type, rates."""

    suffix: str
    container: str
    codec: str
    media_type: str
    rate: int = 44_100
    bit_rate: int = 128_000


_CODINGS: dict[str, Coding] = {
    "wav": Coding(".wav", "wav", "pcm_s16le", "audio/wav"),
    "mp3": Coding(".mp3", "mp3", "libmp3lame", "audio/mpeg"),
    "flac": Coding(".flac", "flac", "flac", "audio/flac"),
    "ogg": Coding(".ogg", "ogg", "libopus", "audio/ogg", 48_000),
    "ogg_opus": Coding(".ogg", "ogg", "libopus", "audio/ogg", 48_000),
    "opus": Coding(".opus", "opus", "libopus", "audio/opus", 48_000),
    "m4a": Coding(".m4a", "ipod", "aac", "audio/mp4"),
    "aac": Coding(".aac", "adts", "aac", "audio/aac"),
    "pcm": Coding(".pcm", "s16le", "pcm_s16le", "audio/pcm", 24_000),
    "ulaw": Coding(".wav", "wav", "pcm_mulaw", "audio/wav", 8000),
    "alaw": Coding(".wav", "wav", "pcm_alaw", "audio/wav", 8000),
}
_RATES = {
    "libmp3lame": (8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
    "libopus": (48_000,),
}


def coding(request: Request) -> Coding:
    """How *request* wants its sounds written: format, sample rate and bit rate."""
    setting = request.arguments.get("audio_setting")
    held = cast("dict[str, Any]", setting) if isinstance(setting, dict) else {}
    given = [held.get("format"), *(request.word(name) for name in _FORMAT_FIELDS)]
    named, numbers = "", list[int]()
    for value in given:
        word, *rest = re.split(r"_(?=\d)", str(value or "").lower())
        if word in _CODINGS:
            named, numbers = (
                word,
                [int(part) for part in "_".join(rest).split("_") if part.isdigit()],
            )
            break
    found = _CODINGS[named or _usual(request)]
    asked = _rate(request, held) or (numbers[0] if numbers else found.rate)
    allowed = _RATES.get(found.codec)
    rate = (
        min(allowed, key=lambda one: abs(one - asked)) if allowed else min(96_000, max(8000, asked))
    )
    bits = held.get("bitrate") or (numbers[1] * 1000 if len(numbers) > 1 else None)
    return Coding(
        found.suffix, found.container, found.codec, found.media_type, rate, bits or _bits(request)
    )


_FORMAT_FIELDS = (
    "output_format",
    "audio_format",
    "upload_audio_format",
    "format",
    "response_format",
)


def _usual(request: Request) -> str:
    return "mp3" if "mp3" in str(request.card.properties) else "wav"


def _rate(request: Request, setting: dict[str, Any]) -> int:
    value = setting.get("sample_rate") or request.number("sample_rate", "sample_rate_hertz") or 0
    return int(value * 1000 if 0 < value < 1000 else value)


def _bits(request: Request) -> int:
    asked = request.number("bitrate", "output_bitrate")
    return int(asked * 1000) if asked and asked < 1000 else int(asked or 128_000)


def keep_sound(sound: Sound, request: Request, stem: str = "audio") -> Made:
    """Write *sound* as *request* asks and return it; its facts are seconds and sample rate."""
    how = coding(request)
    path = request.new_file(stem, how.suffix)
    with av.open(str(path), "w", format=how.container) as container:
        described(container, request)
        stream = audio_stream(container, how)
        for frame in frames(sound, stream):
            send(container, stream, frame)
        send(container, stream, None)
    facts = {"duration": round(sound.seconds, 3), "sample_rate": how.rate, "channels": 1}
    return Made(path, how.media_type, facts)


def described(container: OutputContainer, request: Request) -> None:
    """Say in the metadata of *container* what it is, and of which model and seed."""
    note = f"{NOTE} Model: {request.task.endpoint_id}. Seed: {request.seed}."
    container.metadata["title"] = "falkit local preview"
    container.metadata["comment"] = note


def audio_stream(container: OutputContainer, how: Coding) -> AudioStream:
    """Add a stream of one channel to *container*, coded as *how* says."""
    stream = cast("AudioStream", added(container, how.codec, how.rate))
    stream.codec_context.layout = "mono"
    if how.codec in ("libmp3lame", "aac", "libopus"):
        stream.codec_context.bit_rate = how.bit_rate
    if how.codec == "flac":
        stream.codec_context.format = "s16"
    return stream


def frames(sound: Sound, stream: AudioStream) -> Iterator[AudioFrame]:
    """*sound* in frames as the codec of *stream* takes them."""
    context = stream.codec_context
    resampler = AudioResampler(
        context.format, context.layout, context.rate, frame_size=context.frame_size or 0
    )
    for start in range(0, len(sound.samples), _BLOCK):
        part = sound.samples[start : start + _BLOCK]
        frame = AudioFrame("s16", "mono", len(part))
        frame.sample_rate = sound.rate
        frame.planes[0].update(part.tobytes())
        frame.pts = start
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


def heard(given: Given, rate: int = 44_100) -> Sound:
    """Return the sound of the given audio or video file, one channel at *rate*.

    Raises:
        RunnerError: it cannot be read, has no sound, or is longer than half an hour.
    """
    try:
        with av.open(str(given.file)) as container:
            return Sound(_decoded(container, rate, given), rate)
    except (FFmpegError, OSError, ValueError) as error:
        raise RunnerError(
            422,
            "unsupported_audio_format",
            "could not read the sound of the given file",
            loc=given.at,
            ctx={"supported_formats": ["mp3", "wav", "flac", "ogg", "m4a", "aac"]},
        ) from error


def _decoded(container: InputContainer, rate: int, given: Given) -> "array[int]":
    if not container.streams.audio:
        raise ValueError("no sound")
    resampler = AudioResampler("s16", "mono", rate)
    whole = array("h")
    for frame in container.decode(audio=0):
        for part in resampler.resample(frame):
            whole.frombytes(bytes(part.planes[0])[: part.samples * 2])
        if len(whole) > LONGEST_SECONDS * rate:
            raise RunnerError(
                422,
                "audio_duration_too_long",
                f"a local preview takes sounds of at most {LONGEST_SECONDS:.0f} seconds",
                loc=given.at,
                ctx={"max_duration": LONGEST_SECONDS},
            )
    for part in resampler.resample(None):
        whole.frombytes(bytes(part.planes[0])[: part.samples * 2])
    return whole
