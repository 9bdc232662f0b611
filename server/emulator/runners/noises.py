"""Sound effects by the words that ask for them."""

import random
from array import array
from collections.abc import Callable

from server.emulator.runners import tones
from server.emulator.runners.tones import Sound
from server.emulator.runners.words import words_of

Noise = Callable[[float, random.Random], "array[float]"]


def noises(text: str, seconds: float, chance: random.Random) -> Sound:
    """Return exactly *seconds* of what *text* names; unknown words make a whoosh with bells."""
    words = words_of(text)
    wanted = [make for line, make in _NOISES if any(word in line.split() for word in words)]
    whole = tones.silence(seconds)
    for make in wanted[:3] or [_whoosh, _bells]:
        tones.add(whole, make(seconds, chance), 0.0, 0.7)
    return tones.faded(tones.finished(whole), min(0.4, seconds / 5))


def names_noise(text: str) -> bool:
    """Whether *text* names a sound that is known here."""
    words = words_of(text)
    return any(word in line.split() for line, _ in _NOISES for word in words)


def _rain(seconds: float, chance: random.Random) -> "array[float]":
    whole = tones.hiss(seconds, chance, 2)
    for _ in range(int(seconds * 24)):
        drop = tones.tone(chance.uniform(1400, 3200), 0.03, tones.ROUND, decay=90)
        tones.add(whole, drop, chance.uniform(0, seconds), 0.25)
    return whole


def _wind(seconds: float, chance: random.Random) -> "array[float]":
    return tones.swelled(tones.hiss(seconds, chance, 40), chance.uniform(0.15, 0.3), 0.8)


def _waves(seconds: float, chance: random.Random) -> "array[float]":
    return tones.swelled(tones.hiss(seconds, chance, 6), 0.18, 0.95)


def _thunder(seconds: float, chance: random.Random) -> "array[float]":
    whole = tones.silence(seconds)
    at = 0.3
    while at < seconds:
        tones.add(whole, _dying(tones.hiss(2.4, chance, 90), 1.6), at, 1.0)
        at += chance.uniform(2.5, 4.5)
    return whole


def _steps(seconds: float, chance: random.Random) -> "array[float]":
    whole = tones.silence(seconds)
    for count in range(int(seconds / 0.52)):
        thump = tones.tone(chance.uniform(70, 90), 0.1, tones.ROUND, decay=35)
        tones.add(whole, thump, 0.2 + count * 0.52, 0.9)
        tones.add(whole, _dying(tones.hiss(0.08, chance, 3), 50), 0.21 + count * 0.52, 0.2)
    return whole


def _engine(seconds: float, chance: random.Random) -> "array[float]":
    hum = tones.tone(chance.uniform(52, 68), seconds, tones.PLUCKED)
    tones.add(hum, tones.hiss(seconds, chance, 24), 0.0, 0.25)
    return tones.swelled(hum, 11, 0.35)


def _birds(seconds: float, chance: random.Random) -> "array[float]":
    whole = tones.silence(seconds)
    at = 0.15
    while at < seconds:
        pitch = chance.uniform(2200, 3800)
        for chirp in range(chance.randint(2, 5)):
            note = tones.tone(pitch * (1 + 0.12 * (chirp % 2)), 0.07, tones.ROUND)
            tones.add(whole, note, at + chirp * 0.1, 0.5)
        at += chance.uniform(0.6, 1.4)
    return whole


def _barks(seconds: float, chance: random.Random) -> "array[float]":
    whole = tones.silence(seconds)
    at = 0.3
    while at < seconds:
        bark = tones.tone(chance.uniform(300, 380), 0.16, tones.PLUCKED, decay=14)
        tones.add(bark, tones.hiss(0.1, chance, 4), 0.0, 0.4)
        tones.add(whole, bark, at)
        at += chance.choice((0.3, 0.3, 1.1))
    return whole


def _bells(seconds: float, chance: random.Random) -> "array[float]":
    whole = tones.silence(seconds)
    at = 0.4
    while at < seconds:
        root = chance.choice((523, 659, 784, 880))
        for part, level in ((1.0, 0.5), (2.76, 0.25), (5.4, 0.12)):
            tones.add(whole, tones.tone(root * part, 1.6, tones.ROUND, decay=3.2), at, level)
        at += chance.uniform(1.0, 2.2)
    return whole


def _bang(seconds: float, chance: random.Random) -> "array[float]":
    whole = tones.silence(seconds)
    at = min(0.4, seconds / 4)
    tones.add(whole, _dying(tones.hiss(min(3.0, seconds), chance, 12), 2.2), at)
    tones.add(whole, tones.tone(46, min(1.5, seconds), tones.ROUND, decay=3), at, 0.9)
    return whole


def _beeps(seconds: float, chance: random.Random) -> "array[float]":
    whole = tones.silence(seconds)
    pitch = chance.choice((880, 988, 1047))
    for count in range(int(seconds / 0.5)):
        tones.add(whole, tones.tone(pitch, 0.16, tones.SOFT), 0.4 + count * 0.5, 0.6)
    return whole


def _laser(seconds: float, chance: random.Random) -> "array[float]":
    whole = tones.silence(seconds)
    at = 0.4
    while at < seconds:
        for step in range(14):
            note = tones.tone(2400 * 0.83**step, 0.03, tones.PLUCKED)
            tones.add(whole, note, at + step * 0.022, 0.5)
        at += chance.uniform(0.6, 1.2)
    return whole


def _fire(seconds: float, chance: random.Random) -> "array[float]":
    whole = tones.hiss(seconds, chance, 30)
    for _ in range(int(seconds * 14)):
        crack = _dying(tones.hiss(0.03, chance), 120)
        tones.add(whole, crack, chance.uniform(0, seconds), chance.uniform(0.3, 1.0))
    return whole


def _whoosh(seconds: float, chance: random.Random) -> "array[float]":
    return tones.swelled(tones.hiss(seconds, chance, 10), 1 / max(0.5, seconds), 1.0)


def _dying(noise: "array[float]", decay: float) -> "array[float]":
    level, block, struck = 1.0, 64, array("f")
    for start in range(0, len(noise), block):
        struck.extend([value * level for value in noise[start : start + block]])
        level *= 2.718 ** (-decay * block / tones.RATE)
    return struck


_NOISES: tuple[tuple[str, Noise], ...] = (
    ("rain rainy drizzle shower", _rain),
    ("wind windy breeze storm gust", _wind),
    ("wave sea ocean beach water river stream surf", _waves),
    ("thunder lightning thunderstorm", _thunder),
    ("footstep step walking walk running knock knocking heartbeat", _steps),
    ("engine car motor truck machine train plane airplane drone", _engine),
    ("bird birdsong forest chirp morning", _birds),
    ("dog bark barking", _barks),
    ("bell chime ring glass magic sparkle", _bells),
    ("explosion bang boom gunshot blast crash impact hit punch", _bang),
    ("beep alarm phone notification button click computer", _beeps),
    ("laser gun sword game power zap space", _laser),
    ("fire campfire crackling crackle flame", _fire),
)
