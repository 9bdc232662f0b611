"""A synthetic babble that follows the rhythm of a text: its syllables, pauses and questions."""

import math
import random
import unicodedata
from array import array
from functools import cache

from server.emulator.runners import tones
from server.emulator.runners.tones import RATE, Sound

# Seconds a character takes at usual speed; signs of scripts that write whole syllables take longer.
SECONDS_A_CHARACTER = 0.06
SECONDS_A_SIGN = 0.18
LEAD_SECONDS = 0.4
LONGEST_SECONDS = 600.0
_PAUSES = {",": 0.18, ";": 0.2, ":": 0.2, ".": 0.32, "!": 0.32, "?": 0.32, "\n": 0.3, "…": 0.4}
# First and second resonance of the mouth for each vowel, in hertz.
_MOUTHS = {"a": (760, 1220), "e": (480, 1900), "i": (300, 2250), "o": (460, 850), "u": (330, 760)}
_HARD = frozenset("ptkbdgqcxz")


def speech(text: str, voice: str, chance: random.Random, *, speed: float = 1.0) -> Sound:
    """Return babble for *text* in a voice that its name fixes; *speed* 2 is twice as fast.

    It lasts about 0.06 seconds a character, after a soft tone, ten minutes at most.
    """
    del chance
    own = random.Random(f"voice {voice}")  # noqa: S311  # the same name, the same voice
    base = own.choice((98, 112, 124, 168, 186, 204))
    build = own.uniform(0.92, 1.12)
    pace = 1 / min(4.0, max(0.25, speed))
    whole = tones.silence(LEAD_SECONDS)
    for sentence in _sentences(text):
        asks = sentence.rstrip().endswith("?")
        count = max(1, len(sentence))
        for place, sign in enumerate(sentence):
            if len(whole) > LONGEST_SECONDS * RATE:
                break
            share = place / count
            fall = 1.12 - 0.24 * share + (0.5 * max(0.0, share - 0.7) if asks else 0.0)
            lilt = 1 + 0.05 * math.sin(place * 0.9)
            whole.extend(_sign(sign, base * fall * lilt, build, pace))
    return tones.finished(whole, 0.6)


def _sentences(text: str) -> list[str]:
    parts: list[str] = []
    start = 0
    for place, sign in enumerate(text):
        if sign in ".!?\n\u3002\uff01\uff1f":
            parts.append(text[start : place + 1])
            start = place + 1
    return [*parts, text[start:]] if start < len(text) or not parts else parts


def _sign(sign: str, hertz: float, build: float, pace: float) -> "array[float]":
    if sign in _PAUSES:
        return tones.silence(_PAUSES[sign] * pace)
    if not sign.isalnum():
        return tones.silence(SECONDS_A_CHARACTER * pace)
    plain = unicodedata.normalize("NFD", sign.lower())[0]
    if not plain.isascii():
        vowel = "aeiou"[ord(plain) % 5]
        voiced = _voiced(vowel, hertz, build, SECONDS_A_SIGN * pace * 0.75)
        return voiced + tones.silence(SECONDS_A_SIGN * pace * 0.25)
    seconds = SECONDS_A_CHARACTER * pace
    if plain in "aeiouy":
        return _voiced("i" if plain == "y" else plain, hertz, build, seconds * 1.35)
    if plain in _HARD or plain.isdigit():
        burst = tones.hiss(seconds * 0.3, random.Random(plain), 2)  # noqa: S311  # one sound a letter
        soft = array("f", [value * 0.16 for value in burst])
        return tones.silence(seconds * 0.5) + soft
    if plain in "sfh":
        burst = tones.hiss(seconds * 0.8, random.Random(plain))  # noqa: S311  # one sound a letter
        return array("f", [value * 0.1 for value in burst])
    return _voiced("u" if plain in "wlmn" else "e", hertz, build * 0.8, seconds * 0.8, 0.45)


@cache
def _pulse(vowel: str, steps: int, build: float) -> "array[float]":
    """One opening of the voice, *steps* samples long, ringing in the mouth of *vowel*."""
    low, high = _MOUTHS[vowel]
    fall = [math.exp(-place / RATE * 190) for place in range(steps)]
    return array(
        "f",
        [
            fade
            * (
                math.sin(math.tau * low * build * place / RATE)
                + 0.45 * math.sin(math.tau * high * build * place / RATE)
                + 0.12 * math.sin(math.tau * 2900 * place / RATE)
            )
            for place, fade in enumerate(fall)
        ],
    )


def _voiced(
    vowel: str, hertz: float, build: float, seconds: float, level: float = 1.0
) -> "array[float]":
    steps = max(40, round(RATE / hertz / 4) * 4)
    count = max(1, round(seconds * RATE / steps))
    whole = array("f")
    pulse = _pulse(vowel, steps, round(build, 2))
    for place in range(count):
        shape = level * (0.55 + 0.45 * math.sin(math.pi * (place + 0.5) / count))
        whole.extend([value * shape for value in pulse])
    return whole
