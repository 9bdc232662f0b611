"""What a model takes, returns and allows, in one short line: for comparing it with others."""

from collections.abc import Mapping, Sequence
from typing import Any

from catalog.card import ModelCard
from catalog.nearest import quantity_of
from catalog.quantity import COUNTS
from catalog.span import decimal, plain

_SIZES = ("resolution", "target_resolution", "video_size", "quality")
_LENGTHS = ("duration", "duration_seconds", "seconds_total", "music_length_ms", "max_duration")


def limits_words(card: ModelCard) -> str:
    """Return media in and out, lengths, resolutions and counts of *card*, as far as known.

    It reads like ``image to video; 3-15 s; 720p, 1080p``.
    """
    taken = dict.fromkeys(card.media_in.values())
    _, turns, into = card.category.rpartition("-to-")
    made = ", ".join(card.media_out) or (into if turns else "")
    parts = [f"{', '.join(taken) or 'text'} to {made}" if made else ", ".join(taken)]
    for name in _LENGTHS:
        if (schema := card.properties.get(name)) is not None:
            parts.append(_seconds(schema, 1000 if name.endswith("_ms") else 1))
            break
    for name in _SIZES:
        choices: Sequence[object] = card.properties.get(name, {}).get("enum") or ()
        if choices:
            parts.append(", ".join(str(choice) for choice in choices[:5]))
            break
    for name in COUNTS:
        if (most := card.properties.get(name, {}).get("maximum")) is not None:
            parts.append(f"up to {most} at once")
            break
    return "; ".join(part for part in parts if part)


def _seconds(schema: Mapping[str, Any], parts: int) -> str:
    """Return the shortest and longest of a length in *parts* of a second, empty where open."""
    numbers = [got[0] for choice in schema.get("enum", ()) if (got := quantity_of(choice))]
    numbers = numbers or list(schema.get("x-range-seconds") or ())
    ends = (schema.get("minimum"), schema.get("maximum"))
    if not numbers and ends[1] is not None:
        numbers = [ends[0] or 0, ends[1]]
    numbers = [number / parts for number in numbers if number > 0]
    if not numbers:
        return ""
    low, high = plain(decimal(min(numbers))), plain(decimal(max(numbers)))
    return f"{low} s" if low == high else f"{low}-{high} s"
