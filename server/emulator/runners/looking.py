"""What can be seen in a given picture or heard in a given sound, in numbers and in plain words."""

from dataclasses import dataclass

from PIL import Image

from server.emulator.runners.canvas import resized
from server.emulator.runners.masking import subject
from server.emulator.runners.tones import Sound
from server.emulator.runners.words import colour_names

Box = tuple[int, int, int, int]


def described(picture: Image.Image) -> str:
    """A sentence on the size, colours, light and weight of *picture*."""
    width, height = picture.size
    form = "square" if abs(width / height - 1) < 0.05 else "wide" if width > height else "tall"
    names = " and ".join(colours(picture, 2))
    grey = resized(picture.convert("L"), (24, 24), Image.Resampling.BOX)
    levels = list(grey.tobytes())
    mean = sum(levels) / len(levels)
    light = "dark" if mean < 85 else "bright" if mean > 170 else "evenly lit"
    left, top, right, bottom = subject_box(picture)
    across = ("left", "middle", "right")[min(2, int((left + right) / 2 / width * 3))]
    down = ("upper", "central", "lower")[min(2, int((top + bottom) / 2 / height * 3))]
    return (
        f"a {form}, {light} picture of {width} x {height} pixels, mostly {names}; what stands out "
        f"lies in the {down} {across}, {right - left} x {bottom - top} pixels large"
    )


def colours(picture: Image.Image, count: int) -> list[str]:
    """The names of the *count* colours that cover most of *picture*."""
    few = resized(picture.convert("RGB"), (24, 24), Image.Resampling.BOX)
    names: dict[str, int] = {}
    data = few.tobytes()
    for at in range(0, len(data), 3):
        name = _name((data[at], data[at + 1], data[at + 2]))
        names[name] = names.get(name, 0) + 1
    return sorted(names, key=lambda name: -names[name])[:count]


def _name(colour: tuple[int, int, int]) -> str:
    def distance(name: str) -> int:
        return sum((a - b) ** 2 for a, b in zip(colour_names()[name], colour, strict=True))

    return min(colour_names(), key=distance)


def subject_box(picture: Image.Image) -> Box:
    """Where the subject lies: left, top, right, bottom."""
    return subject(picture).getbbox() or (0, 0, *picture.size)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A stretch of sound between two pauses, in seconds."""

    start: float
    end: float


def phrases(sound: Sound, *, pause: float = 0.22) -> list[Phrase]:
    """The stretches of *sound* that are louder than its pauses, at most 500."""
    step = max(1, round(sound.rate * 0.03))
    levels = [
        max(sound.samples[at : at + step : 7], default=0)
        for at in range(0, len(sound.samples), step)
    ]
    threshold = max(300, sorted(levels)[len(levels) * 9 // 10] // 6) if levels else 300
    found: list[Phrase] = []
    start: float | None = None
    quiet = 0.0
    for place, level in enumerate(levels):
        at = place * step / sound.rate
        if level >= threshold:
            start = at if start is None else start
            quiet = 0.0
        elif start is not None:
            quiet += step / sound.rate
            if quiet >= pause:
                found.append(Phrase(round(start, 2), round(at - quiet + step / sound.rate, 2)))
                start = None
    if start is not None:
        found.append(Phrase(round(start, 2), round(sound.seconds, 2)))
    return found[:500]


def run_lengths(mask: Image.Image) -> str:
    """The white of *mask* as pairs of start and length, counted row by row."""
    data = mask.convert("L").tobytes()
    pairs: list[str] = []
    start: int | None = None
    for place, value in enumerate(data):
        if value > 127 and start is None:
            start = place
        elif value <= 127 and start is not None:
            pairs += [str(start), str(place - start)]
            start = None
    if start is not None:
        pairs += [str(start), str(len(data) - start)]
    return " ".join(pairs)
