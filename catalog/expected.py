"""What a run will make, as far as its arguments tell: for prices of steps that use it."""

import math
from collections.abc import Mapping
from typing import Any

from catalog.card import ModelCard
from catalog.media import MediaFacts, MediaKind
from catalog.quantity import COUNTS, Work
from catalog.reading import Path
from catalog.schema import with_defaults


def expected(
    card: ModelCard,
    arguments: Mapping[str, Any],
    facts: Mapping[Path, MediaFacts],
    kind: MediaKind,
) -> MediaFacts:
    """Return what *arguments* on *card* will make, at its longest and largest; None where open.

    Sizes are those of a square of as many pixels. *facts* tell of the media in the arguments.
    """
    work = Work(card, arguments, with_defaults(card, arguments), facts)
    pixels = work.pixels() if kind in ("image", "video") else None
    seconds = work.seconds() if kind in ("video", "audio") else None
    side = math.isqrt(math.ceil(pixels.high)) if pixels is not None else None
    return MediaFacts(
        kind=kind,
        media_type="",
        width=side,
        height=side,
        seconds=float(seconds.high) if seconds is not None else None,
    )


def most_outputs(card: ModelCard, arguments: Mapping[str, Any]) -> int | None:
    """Return how many outputs *arguments* on *card* make at most; None where that is open."""
    if card.completeness != "full" or not card.output_media:
        return None
    known: Mapping[str, object] = card.output_schema.get("properties") or {}
    most = sum(1 for name in TEXT_OUTPUTS if name in known)
    work = Work(card, arguments, with_defaults(card, arguments), {})
    for path in card.output_media:
        if "[]" not in path:
            most += 1
        elif path.count("[]") > 1 or work.number(*COUNTS) is None:
            return None
        else:
            most += math.ceil(work.count().high)
    return most


def makes(card: ModelCard, kind: MediaKind) -> bool:
    """Return whether *card* may make *kind*; where nothing is known of its outputs it may."""
    outputs = card.media_out
    known: Mapping[str, object] = card.output_schema.get("properties") or {}
    if kind == "text":
        return not outputs or any(name in known for name in TEXT_OUTPUTS)
    if not outputs:
        return not known
    return kind in outputs or kind == "file" or "file" in outputs


# Names under which models answer with their main text.
TEXT_OUTPUTS = ("output", "text", "results", "transcription", "transcript", "caption")
