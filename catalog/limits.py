"""Whether given media keep to the limits that a card's schema sets: length, size, shape, kind."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from catalog.card import ModelCard
from catalog.errors import ArgumentsError, Problem
from catalog.media import MediaFacts
from catalog.reading import MediaUse, Path, dotted, resolved
from catalog.span import decimal, plain

# Seconds and frames a second by which containers round.
_TOLERANCE = 0.05


def check_media(
    card: ModelCard, media: Sequence[MediaUse], facts: Mapping[Path, MediaFacts]
) -> None:
    """Hold what is known of the given *media* against the card's limits; what is not known passes.

    Raises:
        ArgumentsError: with every file that is too long, too large, of the wrong shape or kind.
    """
    problems: list[Problem] = []
    for use in media:
        if (fact := facts.get(use.path)) is not None:
            problems += _problems(use, fact, limits_at(card, use.path))
    if problems:
        raise ArgumentsError(card.endpoint_id, problems)


def limits_at(card: ModelCard, path: Path) -> Mapping[str, Any]:
    """Return the limits of the media field at *path*, empty where the schema sets none."""
    schema: Mapping[str, Any] = card.input_schema
    limits: dict[str, Any] = {}
    for step in path:
        schema = resolved(card.input_schema, schema)
        known: Mapping[str, Mapping[str, Any]] = schema.get("properties") or {}
        schema = schema.get("items") or {} if isinstance(step, int) else known.get(step, {})
        limits |= cast("Mapping[str, Any]", schema.get("x-limits") or {})
    return limits


def _problems(use: MediaUse, fact: MediaFacts, limits: Mapping[str, Any]) -> Iterator[Problem]:
    if use.kind in ("image", "video", "audio") and fact.kind not in (use.kind, "file"):
        yield Problem(dotted(use.path), fact.kind, f"takes {use.kind}")
        return
    shape = fact.width / fact.height if fact.width and fact.height else None
    pixels = fact.width * fact.height if fact.width and fact.height else None
    for name, unit, value in (
        ("duration", "s", fact.seconds),
        ("fps", "frames a second", fact.fps),
        ("file_size", "bytes", fact.bytes),
        ("width", "pixels wide", fact.width),
        ("height", "pixels high", fact.height),
        ("pixels", "pixels", pixels),
        ("aspect_ratio", "width to height", shape),
    ):
        low, high = limits.get(f"min_{name}"), limits.get(f"max_{name}")
        if value is None or (low is None and high is None):
            continue
        slack = _TOLERANCE if name in ("duration", "fps") else 0
        if (low is not None and value < low - slack) or (high is not None and value > high + slack):
            given = f"{plain(decimal(round(value, 3)))} {unit}"
            yield Problem(dotted(use.path), given, f"takes {_span(low, high)} {unit}")


def _span(low: object, high: object) -> str:
    if low is None:
        return f"at most {high}"
    return f"at least {low}" if high is None else f"{low} to {high}"
