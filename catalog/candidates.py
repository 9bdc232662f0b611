"""Find the cards among which a task chooses: those of a category, or what a search finds."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from catalog.asked import Asked, asked_in
from catalog.errors import ActionableError
from catalog.index import CatalogIndex
from catalog.nearest import nearest_name
from catalog.options import SWITCHES
from catalog.search import MOST_HITS, SearchRequest, in_english, search
from catalog.search_filters import ABBREVIATIONS
from catalog.search_text import plain

_PLURALS = ("images", "pictures", "photos", "videos", "clips", "songs", "sounds")
_THINGS = re.compile(r"[\s,]+(?:images?|pictures?|photos?|videos?|clips?|songs?)$")
# Asked for a number, the ids of so many cards, best first.
Ids = Callable[[int], Sequence[str]]


def asked_of(catalog: CatalogIndex, task: str) -> Asked:
    """Return what *task* asks of a run, with the features that a search reads from it."""
    asked = asked_in(plain(task).strip(), partial(in_english, catalog))
    steps = search(catalog, SearchRequest(asked.rest, limit=1)).steps if asked.rest else ()
    told = [feature for step in steps for feature in step.wishes.features]
    told += [feature for feature in SWITCHES if feature in asked.rest]
    return replace(asked, switches=tuple(dict.fromkeys(told)))


def candidates(catalog: CatalogIndex, task: str, asked: Asked) -> tuple[str, Ids]:
    """Return what is sought in short words, empty where *task* is no category, and its cards."""
    name, _, wishes = asked.rest.partition(" with ")
    named = [part.strip() for part in re.split(r",|\band\b|\bwith\b", wishes) if part.strip()]
    category = _category(catalog, name) or _category(catalog, _THINGS.sub("", name))
    if category is None:
        sought = _sought(catalog, task, asked)
        return "", lambda most: sought[:most]
    if asked.sound and not any("sound" in one or "audio" in one for one in named):
        named.append("sound")
    if asked.transparent:
        named.append("transparent")
    if not named:
        return category, lambda most: catalog.of_category(category)[:most]
    name = f"{category} with {' and '.join(named)}"
    return name, partial(_with_features, catalog, category, named)


def _category(catalog: CatalogIndex, text: str) -> str | None:
    """Return the category that *text* names; blanks and capitals do not matter."""
    word = "-".join(text.replace("_", " ").replace("-", " ").split())
    return word if word in catalog.categories else ABBREVIATIONS.get(word)


def _sought(catalog: CatalogIndex, task: str, asked: Asked) -> list[str]:
    """Return the cards that a search finds for *task*, which is no category.

    Raises:
        ActionableError: nothing does; it names the nearest category.
    """
    words = asked.rest.removesuffix("s") if asked.rest in _PLURALS else asked.rest
    features = (("sound",) if asked.sound else ()) + (("transparent",) if asked.transparent else ())
    request = SearchRequest(words, features=features, limit=MOST_HITS)
    found = search(catalog, request)
    known = catalog.categories
    if not words.strip() or found.low_confidence:
        near = nearest_name("-".join(asked.rest.split()), known)
        raise ActionableError(
            f"no models for task {task[:60]!r}",
            hint=f"{f'nearest: {near}; ' if near else ''}task is a category such as text-to-image, "
            "image-to-video, text-to-speech; to upscale, cut out or repaint call edit",
        )
    return [hit.endpoint_id for hit in found.hits]


def _with_features(
    catalog: CatalogIndex, category: str, named: Sequence[str], most: int
) -> list[str]:
    """Return *most* cards of *category* with every feature that is *named*, best ranked first.

    Raises:
        ActionableError: a feature is not known; it names the nearest.
    """
    found: list[str] = []
    cursor = ""
    while len(found) < most:
        limit = min(most, MOST_HITS)
        request = SearchRequest("", category, features=tuple(named), limit=limit, cursor=cursor)
        page = search(catalog, request)
        found += [hit.endpoint_id for hit in page.hits]
        cursor = page.next_cursor
        if not cursor:
            break
    return found[:most]
