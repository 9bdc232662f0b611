"""Sound for a video: what its words name, music beneath, and what is said in quotes."""

import random
import re
from array import array
from collections.abc import Sequence

from server.emulator.runners import tones
from server.emulator.runners.music import music
from server.emulator.runners.noises import names_noise, noises
from server.emulator.runners.request import Request
from server.emulator.runners.sound_file import heard
from server.emulator.runners.speech import speech
from server.emulator.runners.tones import Sound

_SAID = re.compile(r"[\"“„«]([^\"”“»]{2,400})[\"”“»]")
_SWITCHES = (
    "generate_audio", "generate_audio_switch", "enable_audio", "audio", "sound", "with_audio",
    "add_audio", "thinksound",
)  # fmt: skip
_SOUNDING = frozenset(
    ("audio", "sound", "speech", "voice", "dialogue", "talking", "lip-sync", "lipsync", "music")
)


def wants_sound(request: Request) -> bool:
    """Whether the video of *request* has sound: asked for, or always there on such a model."""
    asked = request.flag(*_SWITCHES)
    if asked is not None:
        return asked
    card = request.card
    told = {*card.tags, *re.findall(r"[a-z-]+", f"{card.summary} {card.title}".lower())}
    return bool(told & _SOUNDING)


def soundtrack(text: str, seconds: float, chance: random.Random) -> Sound:
    """Return *seconds* of sound that fits *text*; quoted words are spoken over it."""
    parts: list[tuple[Sound, float]] = []
    said = _SAID.findall(text)
    named = names_noise(text)
    if named:
        parts.append((noises(text, seconds, chance), 0.8))
    parts.append((music(text, seconds, chance), 0.25 if said else 0.4 if named else 0.9))
    if said:
        parts.append((tones.fitted(speech(" ".join(said), "narrator", chance), seconds), 1.0))
    return mixed(parts, seconds)


def mixed(parts: Sequence[tuple[Sound, float]], seconds: float) -> Sound:
    """All *parts*, each at its level, in one sound of *seconds*."""
    if len(parts) == 1:
        return tones.fitted(parts[0][0], seconds)
    whole = tones.silence(seconds)
    for sound, level in parts:
        tones.add(whole, sound.samples, 0.0, level / 32_768)
    samples = array("h", [int(max(-1.0, min(1.0, value)) * 32_767) for value in whole])
    return Sound(samples)


def given_sound(request: Request) -> Sound | None:
    """The sound that a video shall be made to, where one is given, with the tone of a preview.

    Raises:
        RunnerError: the given sound cannot be read.
    """
    for given in request.media("audio"):
        if "reference" not in given.field:
            return tones.with_marker(heard(given, tones.RATE))
    return None
