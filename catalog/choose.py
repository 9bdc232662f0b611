"""Choose a model for a task by what is known of the candidates, and say why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from catalog.card import ModelCard
from catalog.describe import example_arguments
from catalog.errors import ActionableError
from catalog.index import CatalogIndex
from catalog.pricing import estimate

Preference = Literal["", "popular", "cheap", "fast", "newest"]
PREFERENCES: tuple[str, ...] = tuple(word for word in get_args(Preference) if word)

# Only the best ranked of a task are weighed against each other.
CANDIDATES = 24
# fal publishes no speeds; a maker's own word for its fast variant is the best sign there is.
FAST_WORDS = ("schnell", "turbo", "fast", "flash", "lightning", "speed", "lite")


@dataclass(frozen=True, slots=True)
class Choice:
    """A chosen card, and the reason in a few words."""

    card: ModelCard
    why: str


def choose(catalog: CatalogIndex, task: str, prefer: str = "") -> Choice:
    """Return the best card of category *task* by *prefer*.

    Raises:
        ActionableError: no such category, or no such preference.
    """
    if prefer and prefer not in PREFERENCES:
        raise ActionableError(
            f"prefer is {prefer[:40]!r}", hint=f"it takes {', '.join(PREFERENCES)}"
        )
    cards = [catalog.get(endpoint_id) for endpoint_id in catalog.of_category(task)[:CANDIDATES]]
    cards = [card for card in cards if card.status == "active" and not card.seed_only]
    if not cards:
        raise ActionableError(
            f"no models for task {task[:60]!r}",
            hint="task is a fal category such as text-to-image, image-to-image, text-to-video, "
            "image-to-video, text-to-speech",
        )
    match prefer:
        case "cheap":
            return _cheapest(cards)
        case "fast":
            return _fastest(cards)
        case "newest":
            newest = max(cards, key=lambda card: card.published or "")
            if newest.published:
                return Choice(newest, f"newest of {task}, published {newest.published}")
        case _:
            pass
    return Choice(cards[0], f"the most used for {task} in fal's own list")


def _cheapest(cards: Sequence[ModelCard]) -> Choice:
    priced = [
        (quote.high, place, card)
        for place, card in enumerate(cards)
        if (quote := estimate(card, example_arguments(card))).high is not None
    ]
    if not priced:
        return Choice(cards[0], "no price is known here, so the most used")
    dollars, _, card = min(priced, key=lambda entry: (entry[0], entry[1]))
    return Choice(card, f"cheapest of the {len(priced)} most used with a known price, ${dollars:f}")


def _fastest(cards: Sequence[ModelCard]) -> Choice:
    for card in cards:
        if any(word in card.endpoint_id for word in FAST_WORDS):
            return Choice(card, "speed is not measured; the most used whose maker calls it fast")
    return Choice(cards[0], "speed is not measured; the most used")
