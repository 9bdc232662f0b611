"""Choose a model for a task by what is known of the candidates, and say why."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, get_args

from catalog.card import ModelCard
from catalog.errors import ActionableError, ArgumentsError
from catalog.index import CatalogIndex
from catalog.nearest import nearest_name
from catalog.pricing import estimate
from catalog.schema import check
from catalog.search import SearchRequest, search

Preference = Literal["", "popular", "cheap", "fast", "newest"]
PREFERENCES: tuple[str, ...] = tuple(word for word in get_args(Preference) if word)

# Only the best ranked of a task are weighed against each other.
CANDIDATES = 24
# fal publishes no speeds; a maker's own word for its fast variant is the best sign there is.
FAST_WORDS = ("schnell", "turbo", "fast", "flash", "lightning", "speed", "lite")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the chosen model is to be asked; *most* are dollars, None where there is no limit."""

    arguments: Mapping[str, object] = field(default_factory=dict[str, object])
    prompt: str = ""
    most: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A chosen card, and the reason in a few words."""

    card: ModelCard
    why: str


@dataclass(frozen=True, slots=True)
class _Fit:
    """A card that takes what is wanted, and its price where that is known."""

    card: ModelCard
    high: Decimal | None


def choose(catalog: CatalogIndex, task: str, prefer: str, wanted: Wanted) -> Choice:
    """Return the best card of category *task* by *prefer*, among those that can do what is wanted.

    After ``with``, *task* may name features that a search knows (``text-to-video with sound``).
    A card serves when it takes every argument under its name and has nothing else to ask for; of
    those, one of known price within the limit comes before the others. Lengths and sizes of media
    are not looked at.

    Raises:
        ActionableError: no such category, feature or preference, or no card with these features.
        ArgumentsError: no candidate takes the arguments; the problems are those of the first.
    """
    if prefer and prefer not in PREFERENCES:
        raise ActionableError(
            f"prefer is {prefer[:40]!r}", hint=f"it takes {', '.join(PREFERENCES)}"
        )
    name, _, wishes = task.partition(" with ")
    category = _category(catalog, name)
    ids: Sequence[str] = catalog.of_category(category)
    if wishes.strip():
        ids = _with_features(catalog, category, wishes)
        category = f"{category} with {wishes.strip()}"
    cards = [catalog.get(endpoint_id) for endpoint_id in ids[:CANDIDATES]]
    cards = [card for card in cards if card.status == "active" and not card.seed_only]
    if not cards:
        raise ActionableError(
            f"no model of {category} is in use",
            hint="search_models finds what does something like it",
        )
    if not prefer and wanted.most is None:  # the first that fits; the rest need no look
        return _popular(category, cards, [next(_fitting(cards, wanted))], wanted)
    fits = list(_fitting(cards, wanted))
    fits = [fit for fit in fits if _within(fit, wanted)] or fits
    match prefer:
        case "cheap":
            return _cheapest(fits)
        case "fast":
            return _fastest(fits)
        case "newest":
            newest = max(fits, key=lambda fit: fit.card.published or "").card
            if newest.published:
                return Choice(newest, f"newest of {category}, published {newest.published}")
        case _:
            pass
    return _popular(category, cards, fits, wanted)


def _category(catalog: CatalogIndex, task: str) -> str:
    """Return the category that *task* names; blanks and capitals do not matter."""
    plain = "-".join(task.lower().replace("_", " ").replace("-", " ").split())
    if plain in catalog.categories:
        return plain
    near = nearest_name(plain, catalog.categories)
    raise ActionableError(
        f"no models for task {task[:60]!r}",
        hint=f"{f'nearest: {near}; ' if near else ''}task is a fal category such as text-to-image, "
        "image-to-video, text-to-speech; to upscale, cut out or repaint call edit",
    )


def _with_features(catalog: CatalogIndex, category: str, wishes: str) -> list[str]:
    """Return the cards of *category* with every feature that *wishes* name, best ranked first.

    Raises:
        ActionableError: a feature is not known; it names the nearest.
    """
    named = [part.strip() for part in re.split(r",|\band\b|\bwith\b", wishes) if part.strip()]
    found: list[str] = []
    cursor = ""
    while len(found) < CANDIDATES:
        request = SearchRequest(
            "", category, features=tuple(named), limit=CANDIDATES, cursor=cursor
        )
        page = search(catalog, request)
        found += [hit.endpoint_id for hit in page.hits]
        cursor = page.next_cursor
        if not cursor:
            break
    return found


def _fitting(cards: Sequence[ModelCard], wanted: Wanted) -> Iterator[_Fit]:
    """Yield those of *cards* that take what is wanted, at least one.

    Raises:
        ArgumentsError: none does.
    """
    first: ArgumentsError | None = None
    found = False
    for card in cards:
        try:
            checked = check(card, wanted.arguments, prompt=wanted.prompt)
        except ArgumentsError as problem:
            first = first or problem
            continue
        # A card of which little is known lets strange names pass; that is no reason to choose it.
        if all(name in card.properties for name in checked.arguments):
            found = True
            yield _Fit(card, estimate(card, checked.arguments).high)
    if not found:
        raise first or ActionableError(
            "no model of this task is known to take these arguments",
            hint="name one with endpoint_id; search_models finds it",
        )


def _within(fit: _Fit, wanted: Wanted) -> bool:
    return wanted.most is None or (fit.high is not None and fit.high <= wanted.most)


def _popular(
    category: str, cards: Sequence[ModelCard], fits: Sequence[_Fit], wanted: Wanted
) -> Choice:
    card = fits[0].card
    why = f"the most used for {category} in fal's own list"
    if card is not cards[0]:
        limit = "" if wanted.most is None else f" within ${wanted.most:f}"
        why += f" that takes these arguments{limit}"
    return Choice(card, why)


def _cheapest(fits: Sequence[_Fit]) -> Choice:
    priced = [(fit.high, place) for place, fit in enumerate(fits) if fit.high is not None]
    if not priced:
        return Choice(fits[0].card, "no price is known here, so the most used")
    dollars, place = min(priced)
    return Choice(
        fits[place].card,
        f"cheapest of {len(priced)} that take these arguments and have a known price, ${dollars:f}",
    )


def _fastest(fits: Sequence[_Fit]) -> Choice:
    for fit in fits:
        if any(word in fit.card.endpoint_id for word in FAST_WORDS):
            why = "speed is not measured; the most used whose maker calls it fast"
            return Choice(fit.card, why)
    return Choice(fits[0].card, "speed is not measured; the most used")
