"""Read from a query what medium is given and what medium is wanted."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from catalog.search_direction import MEDIA_SENSES, Direction, is_manner
from catalog.search_reading import Lexicon, Reading

# How far before a noun its article may stand, in words.
_REACH = 3
_INSIDE_REACH = 5
# From here on a role counts.
SURE_ROLE = 0.6
# A direction that is surer than this is no guess.
_SURE_DIRECTION = 0.76

# "An image detector", "a photo editor".
_TOOL = re.compile(r"[a-z]{3,}(?:er|or)s?")
_TEXT = frozenset({"text"})
# Sound that stands behind these only comes with something else.
_WITH = frozenset({"with", "mit", "con", "avec", "com"})


class Frame(NamedTuple):
    """The media that are given, those that are wanted, and how sure both are (0 to 1).

    Several kinds of one set mean any of them: a recording is sound or video. *spoken* are all
    kinds that are named in whatever part.
    """

    given: frozenset[str] = frozenset()
    wanted: frozenset[str] = frozenset()
    given_sure: float = 0.0
    wanted_sure: float = 0.0
    spoken: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of what is given or wanted."""
        return self.given_sure < SURE_ROLE and self.wanted_sure < SURE_ROLE


class _Role(NamedTuple):
    kinds: frozenset[str]
    is_given: bool
    sure: float


def frame_of(reading: Reading, direction: Direction, lexicon: Lexicon) -> Frame:
    """Return what *reading* says is given and wanted, in which *direction* has the last word."""
    sentence = _Sentence([word.text for word in reading.words], lexicon.grammar)
    nouns = _nouns(reading, lexicon)
    roles: list[_Role] = []
    for n, (at, kinds) in enumerate(nouns):
        following = nouns[n + 1][0] if n + 1 < len(nouns) else at
        if sentence.is_inside(at, following):
            continue
        inside = n > 0 and sentence.is_inside(nouns[n - 1][0], at)
        if role := sentence.role(at, kinds, inside=inside):
            roles.append(role)
    given = _strongest(role for role in roles if role.is_given)
    wanted = _strongest(role for role in roles if not role.is_given)
    if direction.source and direction.sure > _SURE_DIRECTION:
        if direction.source != "text" and (not given or not given.kinds & {direction.source}):
            given = _Role(frozenset({direction.source}), True, direction.sure)
        elif direction.source == "text":
            given = None
    if direction.target and direction.sure > _SURE_DIRECTION:
        wanted = _Role(frozenset({direction.target}), False, direction.sure)
    return Frame(
        given.kinds if given else frozenset(),
        wanted.kinds if wanted else frozenset(),
        given.sure if given else 0.0,
        wanted.sure if wanted else 0.0,
        frozenset(kind for _, kinds in nouns for kind in kinds),
    )


def _strongest(roles: Iterable[_Role]) -> _Role | None:
    """Return the surest role; text gives way to anything else."""
    best: _Role | None = None
    for role in roles:
        if role.kinds == _TEXT and best is not None:
            continue
        if best is None or best.kinds == _TEXT or role.sure > best.sure:
            best = role
    return best


def _nouns(reading: Reading, lexicon: Lexicon) -> list[tuple[int, frozenset[str]]]:
    """Return the places of words that may name media, and the kinds that each may name."""
    sensed: dict[int, str] = {}
    for sense, medium in MEDIA_SENSES.items():
        for start, end in reading.senses.get(lexicon.number.get(sense, -1), ()):
            if end - start == 1:
                sensed.setdefault(start, medium)
    found: list[tuple[int, frozenset[str]]] = []
    for at, word in enumerate(reading.words):
        kinds = lexicon.media.get(word.text) or lexicon.media.get(word.text.removesuffix("s"))
        if kinds is None and word.unit in sensed:
            kinds = frozenset({sensed[word.unit]})
        if kinds:
            found.append((at, kinds))
    return found


class _Sentence:
    """The words of a query, and the words by which the parts of a sentence are told."""

    def __init__(self, texts: Sequence[str], grammar: Mapping[str, frozenset[str]]) -> None:
        self.texts, self.grammar = texts, grammar
        self.leads = grammar["leads"]

    def is_inside(self, at: int, other: int) -> bool:
        """Whether the noun at *at* is a part of the one at *other*: "the logo in my video"."""
        if not 1 < other - at <= _INSIDE_REACH:
            return False
        between = self.texts[at + 1 : other]
        return between[0] in self.grammar["inside"] or between[:2] == ["out", "of"]

    def role(self, at: int, kinds: frozenset[str], *, inside: bool) -> _Role | None:
        """Return the part that the medium at the place *at* plays, None where nothing tells.

        *inside* says that something in it is to be worked on.
        """
        grammar = self.grammar
        after = self.texts[at + 1] if at + 1 < len(self.texts) else ""
        if after in grammar["no_media"]:
            return None
        if not grammar["maker"].isdisjoint(self.texts[at + 1 : at + 3]):
            return _Role(kinds, False, 0.7)
        if _TOOL.fullmatch(after) and after not in grammar["no_tools"]:
            return _Role(kinds, True, 0.7)
        article, before = self._left(at)
        if sure := 0.7 if inside else self._turned(at, kinds, article, before):
            return _Role(kinds, True, sure)
        if is_manner(self.texts, at) or (
            "audio" in kinds and before in _WITH and article != "mine"
        ):
            return None
        told = self._told(article, before, after)
        if told is None:
            return None
        if kinds == _TEXT and told < 0:
            told *= 0.6  # "as text" is said of words on a picture as well
        return _Role(kinds, told > 0, abs(told))

    def _turned(self, at: int, kinds: frozenset[str], article: str, before: str) -> float:
        """Return how surely a medium is given although its article says otherwise, 0 if not."""
        texts, grammar = self.texts, self.grammar
        after = texts[at + 1] if at + 1 < len(texts) else ""
        if before == "in" and article == "any" and "image" in kinds:
            return 0.7
        if before == "make" and (after in grammar["then"] or after.endswith("er")):
            return 0.8
        if (
            not before
            and after == "of"
            and at + 2 < len(texts)
            and texts[at + 2] in grammar["mine"]
        ):
            return 0.65
        if before == "of" and article == "any" and "image" not in kinds and at > 2:
            return 0.65  # "the last frame of a film"
        if before in ("into", "to") and grammar["turn"].isdisjoint(texts[:at]):
            return 0.7  # "bring life into a picture"
        return 0.0

    def _left(self, at: int) -> tuple[str, str]:
        """Return the kind of article of the noun at *at*, and what leads to both."""
        texts, grammar = self.texts, self.grammar
        for place in range(at - 1, at - _REACH - 2, -1):
            if place < 0:
                return "", ""
            word, before = texts[place], texts[place - 1] if place else ""
            if word == "s" and not grammar["any"].isdisjoint(texts[max(0, place - 4) : place]):
                return "any", "?"  # "an old pirate's voice"
            for article in ("mine", "this", "any"):
                if word in grammar[article]:
                    return article, "" if word == "s" else before
            if word in self.leads:
                return "", word
        return "", "?"

    def _told(self, article: str, before: str, after: str) -> float | None:
        """Return how surely a medium is given (above zero) or wanted (below)."""
        grammar = self.grammar
        rules = (
            (before in grammar["from"], 0.9),
            (article == "mine", 0.9 if before != "for" else 0.55),
            (article == "this", 0.8),
            (before in grammar["into"] and before != "like", -0.9),
            (before in grammar["have"], 0.8),
            (before in grammar["make"] or before == "like", -0.8),
            (after in grammar["is"], 0.7),
            (before == "for" and article == "any", 0.5),
            (before in grammar["at"], None),
            (not before, -0.65 if not after or after in grammar["opens"] else -0.4),
            (article == "any", -0.5),
        )
        return next((sure for holds, sure in rules if holds), None)
