"""Sound as numbers: tones, noise, envelopes and mixing, one channel of 16-bit samples."""

import math
import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

# Sounds are worked out at this many samples a second; files may have more.
RATE = 22_050
_TABLE = 2048


@dataclass(slots=True)
class Sound:
    """One channel of samples (-32768 to 32767) at *rate* a second."""

    samples: "array[int]"
    rate: int = RATE

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / self.rate


@cache
def _wave(overtones: tuple[float, ...]) -> list[float]:
    """One turn of a wave with these strengths of its first overtones, at most 1 high."""
    steps = range(_TABLE)
    turn = [
        sum(
            strength * math.sin(math.tau * (place + 1) * step / _TABLE)
            for place, strength in enumerate(overtones)
        )
        for step in steps
    ]
    high = max(abs(value) for value in turn) or 1.0
    return [value / high for value in turn]


SOFT = (1.0, 0.25, 0.08)
PLUCKED = (1.0, 0.6, 0.35, 0.2, 0.12)
ROUND = (1.0, 0.05)


def silence(seconds: float) -> "array[float]":
    """So many seconds of nothing, as numbers that others are added to."""
    return array("f", bytes(4 * max(0, round(seconds * RATE))))


def tone(
    hertz: float, seconds: float, overtones: tuple[float, ...] = SOFT, *, decay: float = 0.0
) -> "array[float]":
    """A tone at most 1 high that swells and fades; with *decay* it dies away as if struck."""
    turn, count = _wave(overtones), max(1, round(seconds * RATE))
    step = hertz * _TABLE / RATE
    plain = [turn[int(place * step) & 2047] for place in range(count)]
    return _shaped(plain, 0.008 if decay else min(0.12, seconds / 3), decay)


def _shaped(plain: Sequence[float], attack: float, decay: float) -> "array[float]":
    count = len(plain)
    rise = max(1, min(count // 2, round(attack * RATE)))
    fall = max(1, min(count // 2, round(max(attack, 0.03) * RATE)))
    if decay:
        block, fade = 64, math.exp(-decay * 64 / RATE)
        level, shaped = 1.0, array("f")
        for start in range(0, count, block):
            shaped.extend([value * level for value in plain[start : start + block]])
            level *= fade
    else:
        shaped = array("f", plain)
    for place in range(rise):
        shaped[place] *= place / rise
    for place in range(fall):
        shaped[count - 1 - place] *= place / fall
    return shaped


def hiss(seconds: float, chance: random.Random, smooth: int = 1) -> "array[float]":
    """Noise at most 1 high, the duller the larger *smooth*."""
    count = max(1, round(seconds * RATE))
    raw = array("h", chance.randbytes(2 * (count + smooth)))
    if smooth <= 1:
        return array("f", [value / 32_768 for value in raw[:count]])
    total = float(sum(raw[:smooth]))
    scale = 1 / (32_768 * smooth**0.5 * 1.2)
    dull = array("f")
    for place in range(count):
        dull.append(total * scale)
        total += raw[place + smooth] - raw[place]
    return dull


def add(whole: "array[float]", part: Sequence[float], at: float, level: float = 1.0) -> None:
    """Mix *part* into *whole* at *at* seconds; what lies outside is lost."""
    start = round(at * RATE)
    if start < 0:
        part, start = part[-start:], 0
    count = min(len(part), len(whole) - start)
    if count > 0:
        mixed = [a + b * level for a, b in zip(whole[start : start + count], part, strict=False)]
        whole[start : start + count] = array("f", mixed)


def swelled(part: "array[float]", times_a_second: float, depth: float) -> "array[float]":
    """*part* with its loudness going up and down, *depth* (0 to 1) deep."""
    block, grown = 128, array("f")
    for start in range(0, len(part), block):
        turn = math.sin(math.tau * times_a_second * start / RATE)
        level = 1 - depth / 2 + depth / 2 * turn
        grown.extend([value * level for value in part[start : start + block]])
    return grown


def finished(whole: "array[float]", loudness: float = 0.7, *, marked: bool = True) -> Sound:
    """*whole* as samples, at most *loudness* high, with the soft tone of a preview at its start."""
    high = max(max(whole, default=0.0), -min(whole, default=0.0), 1e-6)
    scale = 32_767 * loudness / high
    samples = array("h", [int(value * scale) for value in whole])
    return with_marker(Sound(samples)) if marked else Sound(samples)


def with_marker(sound: Sound) -> Sound:
    """*sound* with a soft rising tone of a third of a second over its start, quieter beneath."""
    count = min(len(sound.samples), round(0.36 * sound.rate))
    for place in range(count):
        at = place / sound.rate
        shape = math.sin(math.pi * place / max(1, count)) ** 2
        hertz = 660 if at < 0.15 else 880
        mark = 2600 * shape * math.sin(math.tau * hertz * at)
        value = sound.samples[place] * (1 - 0.6 * shape) + mark
        sound.samples[place] = int(min(32_767, max(-32_768, value)))
    return sound


def faded(sound: Sound, seconds: float) -> Sound:
    """*sound* with its last *seconds* going down to nothing."""
    count = min(len(sound.samples), round(seconds * sound.rate))
    for place in range(count):
        sound.samples[-1 - place] = int(sound.samples[-1 - place] * place / count)
    return sound


def fitted(sound: Sound, seconds: float) -> Sound:
    """*sound* cut, or filled with silence, to exactly *seconds*."""
    count = max(1, round(seconds * sound.rate))
    kept = sound.samples[:count]
    return Sound(kept + array("h", bytes(2 * (count - len(kept)))), sound.rate)


def joined(sounds: Sequence[Sound], rate: int = RATE) -> Sound:
    """All *sounds*, which have the same rate, one after the other."""
    whole = array("h")
    for sound in sounds:
        whole.extend(sound.samples)
    return Sound(whole, sounds[0].rate if sounds else rate)
