"""What the words of a prompt wish for in a picture: place, hour, things, colours, style."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

Colour = tuple[int, int, int]

_ABSTRACT = frozenset(
    ("abstract", "geometric", "pattern", "gradient", "wallpaper", "texture", "bauhaus", "shape")
)
_WORD = re.compile(r"[^\W_]+")
_QUOTED = re.compile(r"[\"“„«]([^\"”“»]{1,48})[\"”“»]")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a prompt asks a picture to show; empty texts where it does not say.

    *thing_colour* is a colour said directly before the thing, as in "a red car"; *colours* are all
    others.
    """

    text: str
    place: str
    hour: str
    weather: str
    things: tuple[str, ...]
    thing_colour: Colour | None
    colours: tuple[Colour, ...]
    styles: frozenset[str]
    caption: str
    is_abstract: bool


def wishes(text: str) -> Wishes:
    """Return what *text* wishes for; unknown words are nobody's loss."""
    caption = _QUOTED.search(text)
    words = words_of(text)
    things = _found(words, "thing")
    thing_colour, colours = _colours(words)
    places = _found(words, "place")
    lowered = text.lower()
    hours, weathers = _found(words, "hour"), _found(words, "weather")
    styles = set(_found(words, "style"))
    if "black and white" in lowered or "b&w" in lowered:
        styles.add("mono")
        colours = tuple(
            c for c in colours if c not in (colour_names()["black"], colour_names()["white"])
        )
    if "old photo" in lowered:
        styles.add("sepia")
    return Wishes(
        text=text,
        place=next((place for place in places if place != "snow" or len(places) == 1), ""),
        hour=next(iter(hours), ""),
        weather=next(iter(weathers), ""),
        things=things,
        thing_colour=thing_colour,
        colours=colours,
        styles=frozenset(styles),
        caption=caption[1].strip() if caption else "",
        is_abstract=bool(_ABSTRACT & set(words)) or not (places or things or hours or weathers),
    )


def changes(text: str) -> tuple[str, ...]:
    """The ways to change a picture that *text* names, such as ``warmer``, in its order."""
    lowered = text.lower()
    found = _found(words_of(text), "change")
    return ("mono", *found) if "black and white" in lowered and "mono" not in found else found


def words_of(text: str) -> list[str]:
    """The words of *text* in lower case, each in its likely singular."""
    return [_singular(word) for word in _WORD.findall(text.lower())[:400]]


@cache
def colour_names() -> dict[str, Colour]:
    """The colours that have names here, as red, green and blue."""
    return {name: _colour(line) for name, line in _lines("colour")}


@cache
def _meanings(kind: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for meaning, line in _lines(kind):
        for word in line.split():
            found.setdefault(_singular(word), meaning)
    return found


def _lines(kind: str) -> list[tuple[str, str]]:
    text = (Path(__file__).parent / "words.txt").read_text(encoding="utf-8")
    parts = [line.partition(": ") for line in text.splitlines() if line.startswith(f"{kind} ")]
    return [(head.split()[1], tail) for head, _, tail in parts]


def _colour(line: str) -> Colour:
    return cast("Colour", tuple(int(part) for part in line.split()))


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("shes", "ches", "xes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _found(words: list[str], kind: str) -> tuple[str, ...]:
    """The meanings of *kind* that *words* have, in the order of the text."""
    meaning = _meanings(kind)
    return tuple(dict.fromkeys(meaning[word] for word in words if word in meaning))


def _colours(words: list[str]) -> tuple[Colour | None, tuple[Colour, ...]]:
    things, names = _meanings("thing"), colour_names()
    mine: Colour | None = None
    others: list[Colour] = []
    for place, word in enumerate(words):
        if word not in names:
            continue
        if mine is None and any(near in things for near in words[place + 1 : place + 3]):
            mine = names[word]
        else:
            others.append(names[word])
    return mine, tuple(dict.fromkeys(others))
