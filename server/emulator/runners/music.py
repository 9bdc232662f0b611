"""Music from a seed: chords, bass, a melody and a beat that follow the mood of the words."""

import random
from array import array
from dataclasses import dataclass
from functools import lru_cache

from server.emulator.runners import tones
from server.emulator.runners.tones import RATE, Sound
from server.emulator.runners.words import words_of

_MAJOR = (0, 2, 4, 5, 7, 9, 11)
_MINOR = (0, 2, 3, 5, 7, 8, 10)
_TURNS = ((0, 5, 3, 4), (0, 3, 4, 3), (5, 3, 0, 4), (0, 4, 5, 3))
_SAD = frozenset(
    ("sad", "dark", "melancholy", "minor", "horror", "tense", "night", "gothic", "lament")
)
_FAST = frozenset(("fast", "energetic", "upbeat", "dance", "techno", "rock", "punk", "edm", "drum"))
_SLOW = frozenset(("slow", "ambient", "calm", "relaxing", "lullaby", "lofi", "soft", "meditation"))


@dataclass(frozen=True, slots=True)
class _Style:
    beat: float
    root: int
    scale: tuple[int, ...]
    turn: tuple[int, ...]
    has_drums: bool


def music(text: str, seconds: float, chance: random.Random) -> Sound:
    """Return exactly *seconds* of music in the mood of *text*.

    At most four phrases of four bars are worked out; longer pieces repeat them.
    """
    style = _style(set(words_of(text)), chance)
    bars = min(4, int(seconds / (style.beat * 4)) + 1)
    phrases = min(4, int(seconds / (style.beat * 4 * bars)) + 1)
    played = [_phrase(style, bars, chance) for _ in range(phrases)]
    whole = array("f")
    place = 0
    while len(whole) < seconds * RATE:
        whole.extend(played[place % phrases])
        place += 1
    del whole[round(seconds * RATE) :]
    return tones.faded(tones.finished(whole), min(1.2, seconds / 4))


def _style(words: set[str], chance: random.Random) -> _Style:
    speed = 128 if words & _FAST else 72 if words & _SLOW else chance.choice((88, 96, 108))
    sad = bool(words & _SAD) or (not words & _FAST and chance.random() < 0.35)
    return _Style(
        beat=60 / speed,
        root=chance.choice((45, 48, 50, 52, 53)),
        scale=_MINOR if sad else _MAJOR,
        turn=chance.choice(_TURNS),
        has_drums=not words & _SLOW,
    )


def _hertz(style: _Style, step: int, octave: int = 0) -> float:
    """The pitch of the *step*-th note of the scale, counted from the root."""
    up, place = divmod(step, 7)
    return 440 * 2 ** ((style.root + style.scale[place] + 12 * (up + octave) - 69) / 12)


def _phrase(style: _Style, bars: int, chance: random.Random) -> "array[float]":
    """Up to four bars of four beats, one chord each."""
    beat = style.beat
    whole = tones.silence(beat * 4 * bars)
    for bar, chord in enumerate(style.turn[:bars]):
        start = bar * 4 * beat
        for note in (0, 2, 4):
            tones.add(whole, _pad(_hertz(style, chord + note, 1), beat * 4), start, 0.16)
        for half in (0, 2):
            low = tones.tone(_hertz(style, chord, 0), beat * 1.6, tones.ROUND, decay=1.4)
            tones.add(whole, low, start + half * beat, 0.4)
        _melody(whole, style, (start, chord), chance)
        if style.has_drums:
            _drums(whole, style, start, chance)
    return whole


@lru_cache(maxsize=32)
def _pad(hertz: float, seconds: float) -> "array[float]":
    return tones.tone(hertz, seconds, tones.SOFT)


def _melody(
    whole: "array[float]", style: _Style, bar: tuple[float, int], chance: random.Random
) -> None:
    start, chord = bar
    at = 0.0
    while at < 3.9:
        long = chance.choice((0.5, 0.5, 1.0, 1.0, 1.5))
        if chance.random() < 0.8:
            step = chord + chance.choice((0, 2, 4, 7, 4, 2, 1))
            note = tones.tone(_hertz(style, step, 2), style.beat * long, tones.PLUCKED, decay=5.0)
            tones.add(whole, note, start + at * style.beat, 0.3)
        at += long


def _drums(whole: "array[float]", style: _Style, start: float, chance: random.Random) -> None:
    kick = tones.tone(58, 0.18, tones.ROUND, decay=16)
    snare = tones.tone(180, 0.12, tones.ROUND, decay=30)
    brush = _struck(tones.hiss(0.12, chance), 30)
    tick = _struck(tones.hiss(0.04, chance), 90)
    for beat in range(4):
        at = start + beat * style.beat
        tones.add(whole, kick if beat % 2 == 0 else snare, at, 0.5 if beat % 2 == 0 else 0.2)
        if beat % 2:
            tones.add(whole, brush, at, 0.16)
        tones.add(whole, tick, at + style.beat / 2, 0.08)


def _struck(noise: "array[float]", decay: float) -> "array[float]":
    level, block, struck = 1.0, 64, array("f")
    for start in range(0, len(noise), block):
        struck.extend([value * level for value in noise[start : start + block]])
        level *= 2.718 ** (-decay * block / RATE)
    return struck
