"""Tell the sense of words of two senses by the words around them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class _Sense(NamedTuple):
    """What the words of *put* mean where a word of each group of *told* is, and none of *but*."""

    told: tuple[frozenset[str], ...]
    put: Mapping[str, str]
    but: frozenset[str] = frozenset()


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


_WRITTEN = frozenset({"what is written"})
# Where it is heard, or to be gone.
_HEARD = frozenset({"audio", "recording", "remove", "voice message"})
_SENSES = (
    # Most languages have one word for voice and sound.
    _Sense(
        (_words("applause bell explosion footsteps gun siren squeaking thunder"),),
        {"voice": "sound"},
    ),
    _Sense((_words("voice"),), {"read": "read aloud"}, _WRITTEN),
    # To read a text is otherwise to find what is written in a picture.
    _Sense((_words("aloud"),), {"read": "read out"}),
    _Sense(
        (_words("presenter"), _words("voice sound")),
        {"presenter": "announcer", "sound": "voice"},
        _words("avatar photo video"),
    ),
    _Sense((_words("song"),), {"read aloud": "sing"}),  # one word in Persian and Turkish
    _Sense((_WRITTEN,), {"read aloud": "read"}),  # nobody asks what it is to hear it
    _Sense((_WRITTEN,), {"what is written": "read text from image"}, _HEARD),
    _Sense((_WRITTEN, _words("remove")), {"what is written": "writing"}),
    # "remove text from" is otherwise to lift it out, as one does with what is on paper.
    _Sense(
        (_words("remove"),),
        {"text": "writing", "read text from image": "writing"},
        _words("bill book document handwriting menu page receipt scan"),
    ),
    # It is their colour that is changed, they are not put on.
    _Sense(
        (_words("black blue color green red yellow") | {"change the color"},),
        {"clothes": "shirt"},
        frozenset({"try on"}),
    ),
    _Sense(tuple(map(_words, ("my", "voice", "like", "child"))), {"my": "change my"}),
    _Sense((_words("quality resolution"),), {"extend": "increase"}),
)


def as_meant(glosses: Sequence[str]) -> list[str]:
    """Return *glosses* with the sense that the others tell of words that have two."""
    put: dict[str, str] = {}
    for sense in _SENSES:
        if sense.but.isdisjoint(glosses) and not any(
            group.isdisjoint(glosses) for group in sense.told
        ):
            put.update(sense.put)
    return [put.get(gloss, gloss) for gloss in glosses]
