"""What the tests of prices share: the catalog, media of known sizes, and a short way to ask."""

from typing import Any

from catalog.card import ModelCard
from catalog.index import CatalogIndex
from catalog.media import MediaFacts
from catalog.pricing import Estimate, estimate
from catalog.schema import Path, check

CATALOG = CatalogIndex.open()
PROMPT = "a red fox"
SQUARE = {"width": 1024, "height": 1024}
FACTS = {
    "image": MediaFacts("image", "image/png", bytes=9, width=1024, height=1024),
    "video": MediaFacts(
        "video", "video/mp4", bytes=9, width=1280, height=720, seconds=10, fps=24, frames=240
    ),
    "audio": MediaFacts("audio", "audio/mpeg", bytes=9, seconds=10),
}


def price(
    endpoint_id: str,
    arguments: dict[str, Any],
    facts: dict[Path, MediaFacts] | None = None,
    runs: int = 1,
) -> Estimate:
    """Return what *endpoint_id* costs for *arguments* beside a prompt."""
    return estimate(CATALOG.get(endpoint_id), {"prompt": PROMPT, **arguments}, facts, runs)


def picture(width: int, height: int) -> MediaFacts:
    """Return the facts of a picture."""
    return MediaFacts("image", "image/png", width=width, height=height)


def video(seconds: float, width: int = 1280, height: int = 720, fps: float = 24) -> MediaFacts:
    """Return the facts of a video."""
    return MediaFacts("video", "video/mp4", width=width, height=height, seconds=seconds, fps=fps)


def audio(seconds: float) -> MediaFacts:
    """Return the facts of a sound."""
    return MediaFacts("audio", "audio/mpeg", seconds=seconds)


def facts_for(card: ModelCard, arguments: dict[str, Any]) -> dict[Path, MediaFacts]:
    """Return facts of all media that *arguments* name."""
    media = check(card, arguments).media
    return {use.path: FACTS[use.kind] for use in media if use.kind in FACTS}
