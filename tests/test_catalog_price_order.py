"""More of anything never costs less: larger, longer, more pictures, with sound."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from catalog.card import ModelCard
from catalog.describe import example_arguments
from catalog.index import CatalogIndex
from catalog.media import MediaFacts
from catalog.nearest import pair_of, quantity_of
from catalog.pricing import estimate
from catalog.quantity import SQUARES, short_side
from catalog.schema import Path, check

CATALOG = CatalogIndex.open()
GIVEN = {
    "image": MediaFacts("image", "image/png", width=1500, height=1000),
    "video": MediaFacts("video", "video/mp4", None, 1280, 720, 7.3, 24.0, 175, True),
    "audio": MediaFacts("audio", "audio/mpeg", seconds=7.3, has_audio=True),
}
SIZES = ("resolution", "target_resolution", "output_resolution")
COUNTS = ("duration", "num_images", "num_frames", "upscale_factor")
AREAS = ("image_size", "video_size")
SOUND = ("generate_audio", "generate_audio_switch")
# fal's own tables, and a length of 0 that means the whole film that was given.
OTHERWISE = {
    ("openai/gpt-image-2", "image_size"),
    ("openai/gpt-image-2/edit", "image_size"),
    ("fal-ai/wan/v2.7/edit-video", "duration"),
}


def place(name: str, value: object) -> float | None:
    """Return where *value* stands among those of its field."""
    if name in SIZES:
        return short_side(value) or SQUARES.get(str(value).lower())
    if name in AREAS:
        pair = pair_of(value)
        return pair[0] * pair[1] if pair else None
    if name in SOUND:
        return float(bool(value))
    quantity = quantity_of(value)
    return quantity[0] if quantity else None


def choices(schema: dict[str, Any]) -> list[object]:
    found: list[object] = list(schema.get("enum") or ())
    for branch in schema.get("anyOf") or ():
        found += branch.get("enum") or ()
    if schema.get("type") == "boolean":
        return [False, True]
    if not found and schema.get("type") in ("integer", "number"):
        low, high = schema.get("minimum") or 1, schema.get("maximum") or 20
        return [low, (low + high) // 2, high]
    return found


def falling(card: ModelCard) -> Iterator[str]:
    """Yield each step to more that costs less."""
    arguments = example_arguments(card)
    facts: dict[Path, MediaFacts] = {
        use.path: GIVEN[use.kind] for use in check(card, arguments).media if use.kind in GIVEN
    }
    for name in (*SIZES, *COUNTS, *AREAS, *SOUND):
        if name not in card.properties or (card.endpoint_id, name) in OTHERWISE:
            continue
        known = choices(dict(card.properties[name]))
        placed = [(at, one) for one in known if (at := place(name, one)) is not None]
        made = [
            (at, one, estimate(card, {**arguments, name: one}, facts))
            for at, one in sorted(placed, key=lambda pair: pair[0])
        ]
        for (less, _, before), (more, value, after) in pairwise(made):
            if before.low is None or after.low is None or more <= less * 1.02:
                continue
            assert before.high is not None
            assert after.high is not None
            least = Decimal("0.999")
            if after.low < before.low * least or after.high < before.high * least:
                yield f"{card.endpoint_id} {name}={value}"


@pytest.mark.parametrize(
    "endpoint_id",
    ["fal-ai/veo3.1", "fal-ai/pixverse/v5/text-to-video", "alibaba/qwen-image-3/edit"],
)
def test_more_costs_no_less_on_a_few_models(endpoint_id: str) -> None:
    assert list(falling(CATALOG.get(endpoint_id))) == []


@pytest.mark.proof
def test_more_costs_no_less_on_every_model() -> None:
    priced = [c for c in CATALOG.cards() if c.status == "active" and c.price is not None]
    assert [line for card in priced for line in falling(card)] == []
