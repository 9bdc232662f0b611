"""A sound as a picture of its loudness over time, with length and level in words.

Imports Pillow and av; import this module late.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from av.audio.resampler import AudioResampler
from PIL import Image, ImageDraw, ImageMath

from catalog.media import MediaFacts
from server.media.moving import opened
from server.media.pixels import encoded, lettering
from server.media.sheet import SHEET_BYTES, described
from tools.ports import View

# Longer sounds are measured and drawn up to here.
MOST_SECONDS = 1800.0
# Sounds up to here are measured in hundredths of a second, longer ones in twentieths.
_SHORT_SECONDS = 60.0
_BACKGROUND, _PEAKS, _LOUDNESS, _LINES = (20, 22, 28), (86, 132, 190), (150, 200, 255), (70, 74, 84)
_SILENT_BELOW = -60.0


@dataclass(frozen=True, slots=True)
class Loudness:
    """The level of a sound in pieces of equal length, full scale 1.

    *peaks* are the (lowest, highest) sample of each piece, *squares* the mean square, *piece* its
    length in seconds; *rate* is in hertz.
    """

    peaks: list[tuple[float, float]]
    squares: list[float]
    piece: float
    rate: int
    channels: int

    @property
    def seconds(self) -> float:
        """The length that was measured."""
        return len(self.peaks) * self.piece

    @property
    def peak(self) -> float:
        """The largest sample in dB of full scale, minus infinity for silence."""
        return _decibels(max((max(-low, high) for low, high in self.peaks), default=0.0))

    @property
    def rms(self) -> float:
        """The root mean square over the whole length in dB of full scale."""
        mean = sum(self.squares) / len(self.squares) if self.squares else 0.0
        return _decibels(math.sqrt(mean))


def waveform(path: Path, facts: MediaFacts, *, size: int) -> View:
    """Return the waveform of the sound at *path*, *size* pixels wide, with its level in words.

    Raises:
        MediaError: it does not open.
    """
    level = measured(path, facts.media_type)
    picture = encoded(_drawn(level, size), max_bytes=SHEET_BYTES)
    channels = {1: "mono", 2: "stereo"}.get(level.channels, f"{level.channels} channels")
    words = f"{described(facts)}, {level.rate / 1000:g} kHz {channels}"
    if level.peak < _SILENT_BELOW:
        words += "; it is silent"
    else:
        words += f"; loudness {level.rms:.1f} dBFS RMS, peak {level.peak:.1f} dBFS"
        words += ", clipped" if level.peak >= 0.0 and _clipped(level) else ""
        words += _silences(level)
    if facts.seconds and level.seconds < facts.seconds - 1:
        words += f"; only the first {level.seconds:.0f} s were measured"
    return View(words, (picture,))


def measured(path: Path, media_type: str) -> Loudness:
    """Return the level of the sound at *path*, up to `MOST_SECONDS`. Blocks.

    Raises:
        MediaError: it does not open.
    """
    peaks: list[tuple[float, float]] = []
    squares: list[float] = []
    with opened(path, media_type) as source:
        sound = source.sound
        if sound is None:
            return Loudness([], [], 1.0, 0, 0)
        rate, channels = sound.rate, sound.channels
        samples = max(1, int(rate * (0.01 if (source.seconds or 0) <= _SHORT_SECONDS else 0.05)))
        piece, most = samples * channels * 4, int(MOST_SECONDS * rate / samples)
        resampler = AudioResampler(format="flt", layout=sound.layout, rate=rate)
        waiting = bytearray()
        for frame in source.container.decode(sound):
            for part in resampler.resample(frame):
                waiting += memoryview(part.planes[0])[: part.samples * channels * 4]
            while len(waiting) >= piece and len(peaks) < most:
                _measure(waiting[:piece], peaks, squares)
                del waiting[:piece]
            if len(peaks) >= most:
                break
        if len(waiting) >= 4 and len(peaks) < most:
            _measure(waiting, peaks, squares)
    return Loudness(peaks, squares, samples / rate, rate, channels)


def _measure(samples: bytearray, peaks: list[tuple[float, float]], squares: list[float]) -> None:
    """Add the extremes and the mean square of *samples* (32-bit floats), at the speed of Pillow."""
    row = Image.frombytes("F", (len(samples) // 4, 1), bytes(samples), "raw", "F;32NF")
    low, high = row.getextrema()
    peaks.append((float(low), float(high)))  # pyright: ignore[reportArgumentType]  # one band: numbers
    square = ImageMath.lambda_eval(lambda given: given["row"] * given["row"], row=row)
    squares.append(float(square.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))))


def _drawn(level: Loudness, width: int) -> Image.Image:
    """Return peaks and loudness over time, with lines at seconds, a quarter as high as wide."""
    height = max(64, width // 4)
    lettered = max(10, height // 18)
    picture = Image.new("RGB", (width, height + lettered + 8), _BACKGROUND)
    draw = ImageDraw.Draw(picture)
    step = _tick(level.seconds)
    moment = 0.0
    while level.seconds and moment < level.seconds:
        left = int(moment / level.seconds * width)
        draw.line((left, 0, left, height), fill=_LINES)
        text = f"{moment:g} s" if step < 60 else f"{int(moment // 60)}:{int(moment % 60):02d}"
        draw.text((left + 3, height + 2), text, fill=(200, 200, 200), font=lettering(lettered))
        moment = round(moment + step, 6)
    middle = height / 2
    draw.line((0, middle, width, middle), fill=_LINES)
    count = len(level.peaks)
    for column in range(width if count else 0):
        first = column * count // width
        last = max(first + 1, (column + 1) * count // width)
        low = min(pair[0] for pair in level.peaks[first:last])
        high = max(pair[1] for pair in level.peaks[first:last])
        loud = math.sqrt(sum(level.squares[first:last]) / (last - first))
        draw.line(
            (column, middle - min(1, high) * middle, column, middle - max(-1, low) * middle),
            fill=_PEAKS,
        )
        draw.line(
            (column, middle - min(1, loud) * middle, column, middle + min(1, loud) * middle),
            fill=_LOUDNESS,
        )
    return picture


def _tick(seconds: float) -> float:
    """Return the distance between labels in seconds: a round number, about eight in all."""
    for step in (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300):
        if seconds / step <= 10:
            return step
    return 600


def _silences(level: Loudness) -> str:
    """Return in words where the sound is silent for a second and a tenth of its length at least."""
    least = max(1.0, level.seconds / 10) / level.piece
    found: list[str] = []
    start: int | None = None
    for at, square in enumerate([*level.squares, 1.0]):
        quiet = _decibels(math.sqrt(square)) < _SILENT_BELOW
        if quiet and start is None:
            start = at
        elif not quiet and start is not None:
            if at - start >= least:
                found.append(f"{start * level.piece:.1f} to {at * level.piece:.1f} s")
            start = None
    return f"; silent from {', '.join(found[:4])}" if found else ""


def _clipped(level: Loudness) -> bool:
    """Return whether more than one piece in a hundred touches full scale."""
    full = sum(1 for low, high in level.peaks if max(-low, high) >= 0.9999)
    return full * 100 > len(level.peaks)


def _decibels(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf
