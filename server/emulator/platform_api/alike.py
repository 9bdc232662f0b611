"""`likeness`: how alike two texts are, without a model: shared words and parts of words."""

import re
from typing import Any, cast

_WORD = re.compile(r"[^\W_]+")


def likeness(asked: str, text: str) -> float:
    """Return from 0 to 1 how much of what is *asked* stands in *text*.

    A word counts whole where it occurs, else by the three-letter parts it shares with the nearest
    one, if that is more than half of them.
    """
    wanted = set(_WORD.findall(asked.lower()))
    there = set(_WORD.findall(text.lower()))
    if not wanted or not there:
        return 0.0
    return sum(_nearest(word, there) for word in wanted) / len(wanted)


def words_in(value: Any) -> list[str]:  # noqa: ANN401  # JSON
    """Return every text in *value* that is written for people: no addresses."""
    if isinstance(value, str):
        return [] if re.match(r"[a-z][a-z0-9+.-]*:", value) else [value]
    if isinstance(value, dict):
        return [
            text for inner in cast("dict[str, Any]", value).values() for text in words_in(inner)
        ]
    if isinstance(value, list):
        return [text for inner in cast("list[Any]", value) for text in words_in(inner)]
    return []


def _nearest(word: str, there: set[str]) -> float:
    if word in there:
        return 1.0
    parts = _parts(word)
    shares = (2 * len(parts & _parts(one)) / (len(parts) + len(_parts(one))) for one in there)
    best = max(shares, default=0.0)
    return best if best > 0.5 else 0.0


def _parts(word: str) -> set[str]:
    padded = f" {word} "
    return {padded[at : at + 3] for at in range(len(padded) - 2)}
