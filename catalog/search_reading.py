"""Read a query: its words, slips mended, and the senses and tasks that they speak of."""

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from catalog.search_cues import Cues
from catalog.search_rows import Chains, Phrases, Rows, kept
from catalog.search_text import LONGEST_QUERY, distance, is_unspaced, letters, plain, segments, stem

# Written with a capital within a sentence, so perhaps the name of a place or person.
_PROPER = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+")
_NOT_ENGLISH = frozenset(
    {"de", "la", "el", "los", "las", "un", "una", "le", "les", "des", "du", "une", "der", "die"}
    | {"das", "ein", "eine", "einen", "il", "lo", "di", "da", "do", "uma", "mi", "mon", "meine"}
)
_WEAK_TO = frozenset({"a", "en", "in", "em", "as", "na", "at"})
_ENGLISH = frozenset(
    {
        "the", "and", "of", "with", "for", "my", "this", "from", "an", "is", "are", "your", "i",
        "that", "it", "on", "by", "make", "turn", "create", "generate", "change", "add", "remove",
        "put", "give", "get", "need", "want", "into", "using", "how", "what", "which", "image",
        "picture", "photo",
    }
)  # fmt: skip
# A phrase loses this much of its strength for each word between its own.
_GAP = 0.22
_REVERSED = 0.92
# A task that one everyday word speaks of is hardly meant when there are others.
_ORDINARY = 0.7
# What a mended word is worth beside one that was spelled right.
MENDED = 0.9
_LONGEST_PREFIX = 16
# Two slips are only believed in words of other letters, or in one more or less in a long word.
_LONG_WORD = 8
# A word of so few letters is no trunk of another ("moved" is no mov).
_SHORTEST_TRUNK = 3
_MOST_WORDS = 60
# Signs of unspaced scripts between known words that pass for endings and particles.
_LONGEST_GAP = 3
_VERSION = re.compile(r"\d")
_VOWELS = str.maketrans("aeiouy", "------")


class Word(NamedTuple):
    """A word of the query, mended if need be. *unit* is its place, *given* what stood there."""

    text: str
    unit: int
    given: str = ""


class Fired(NamedTuple):
    """A task that the query speaks of, how strongly (0 to 1), and the places of its words."""

    task: int
    strength: float
    units: frozenset[int]


@dataclass(slots=True, eq=False)
class Reading:
    """What was read. *senses* have the places (first, after last) where each occurs."""

    text: str
    words: list[Word] = field(default_factory=list[Word])
    units: int = 0
    quiet: set[int] = field(default_factory=set[int])  # places of words without meaning
    senses: dict[int, list[tuple[int, int]]] = field(
        default_factory=dict[int, list[tuple[int, int]]]
    )
    mended: dict[str, str] = field(default_factory=dict[str, str])
    tasks: dict[int, Fired] = field(default_factory=dict[int, Fired])


class Lexicon:
    """The compiled lexicon of a snapshot, ready to read queries with."""

    def __init__(
        self, compiled: Mapping[str, Any], spelling: Sequence[str], english: Container[str] = ()
    ) -> None:
        self.english = english
        self.senses: list[str] = compiled["senses"]
        self.number: dict[str, int] = {name: at for at, name in enumerate(self.senses)}
        self.words: dict[str, list[int]] = compiled["words"]
        self.stems: dict[str, list[int]] = compiled["stems"]
        self.literals: dict[str, list[int]] = compiled["literals"]
        self.prefixes: dict[str, list[int]] = compiled["prefixes"]
        self.chains = Chains(compiled["chains"])
        self.runs = Rows(compiled["runs"])
        self.pieces: dict[str, list[list[Any]]] = compiled["pieces"]
        self.phrases = Phrases(compiled["phrases"])
        self.aliases: dict[str, list[list[Any]]] = compiled["aliases"]
        self.unspaced_aliases: list[str] = [a for a in self.aliases if is_unspaced(a)]
        self.stop: frozenset[str] = frozenset(compiled["stop"])
        self.common: frozenset[str] = frozenset(compiled["common"])
        self.common_stems: frozenset[str] = frozenset(compiled["common_stems"])
        self.weak: frozenset[str] = frozenset(compiled["weak"])
        self.never: frozenset[str] = frozenset(compiled["never"])
        self.damps = _numbered(compiled["damps"])
        self.operations: list[list[Any]] = compiled["operations"]
        self.cues = Cues(compiled["cues"], compiled["outside"])
        self.cue_senses = _numbered(compiled["cue_senses"])
        self.kin = _numbered(compiled["kin"])
        self.grammar = {part: frozenset(found) for part, found in compiled["grammar"].items()}
        leads = ("from", "at", "into", "make", "have")
        self.grammar["leads"] = frozenset().union(*(self.grammar[part] for part in leads))
        self.told: frozenset[str] = frozenset((*compiled["told"], *compiled["cues"]))
        self.media = {noun: frozenset(kinds) for noun, kinds in compiled["media"].items()}
        self.strong: frozenset[str] = frozenset(compiled["strong"])
        self.spelling: frozenset[str] = frozenset(spelling)
        # Senses that are words spelled out by a phrase, and no meanings.
        self.mere = frozenset(at for at, name in enumerate(self.senses) if name[0] in "=!?~")
        self._joints = {self.number["to"], self.number["from"]}
        self.meaningful: frozenset[str] = frozenset(
            word for word, senses in self.words.items() if not self.mere.issuperset(senses)
        )
        self._buckets: dict[str, dict[int, list[tuple[str, int]]]] = {}
        self._senses: dict[str, list[int]] = {}

    # ------------------------------------------------------------ words

    def senses_of(self, word: str) -> list[int]:
        """Return the senses of *word*: as it is, else by its trunk, else by its beginning."""
        found = self._senses.get(word)
        return kept(self._senses, word, self._read_senses(word)) if found is None else found

    def _read_senses(self, word: str) -> list[int]:
        found = self.words.get(word)
        begun = self._begun(word)
        if word in self.common:  # "present" is no presenter
            return [*(found or ()), *begun] if begun else found or []
        trunk = stem(word)
        if found is None:
            found = self.stems.get(trunk) or self.stems.get(word)
            if not found and len(trunk) > _SHORTEST_TRUNK:
                found = self.words.get(trunk)
        spelled = self.literals.get(trunk)
        if found is not None and spelled is None and not begun:
            return found
        return list(dict.fromkeys((*(found or ()), *(spelled or ()), *begun)))

    def _begun(self, word: str) -> list[int]:
        """Return the senses of every known beginning of *word*."""
        found: list[int] = []
        for size in range(min(len(word), _LONGEST_PREFIX), 2, -1):
            found += self.prefixes.get(word[:size], ())
        return found

    def is_plain(self, word: str) -> bool:
        """Whether *word* never tells models apart."""
        return word in self.stop or word in self.never

    def knows(self, word: str) -> bool:
        """Whether *word* is spelled as it should be, as far as is known."""
        return (
            word in self.words
            or word in self.spelling
            or word in self.stop
            or word in self.common
            or (trunk := stem(word)) in self.common
            or trunk in self.common_stems
            or trunk in self.told
            or not self.mere.issuperset(self.senses_of(word))
        )

    def mended(self, word: str, most: int = 2, *, named: bool = False) -> list[str]:
        """Return what the unknown *word* may have been meant to be, *most* letters away; itself
        where nothing is near. Names come first where the query is *named*, else words.
        """
        if not most or len(word) < 4 or not word.isalpha() or not word.isascii() or len(word) > 40:
            return [word]
        if word in self.english:
            return [word]
        if parts := self._parts(word):
            return parts
        most = min(most, 1 if len(word) < 6 else 2)
        best: tuple[int, bool, bool, bool, bool, str] | None = None
        bits, bucket = letters(word), self._bucket(word[0])
        sizes = range(len(word) - most, len(word) + most + 1)
        for known, known_bits in [pair for size in sizes for pair in bucket.get(size, ())]:
            if (bits ^ known_bits).bit_count() > 2 * most:
                continue
            is_jumbled = bits == known_bits and len(word) > 4 and sorted(word) == sorted(known)
            far = 1 if is_jumbled else distance(word, known, most)  # "vedio"
            if far > most or (far == 2 and not _alike(word, known)):
                continue
            is_cut = len(known) == len(word) + 2  # two letters are left out: "bakgroud"
            if far == 2 and (bits ^ known_bits).bit_count() > (len(word) >= _LONG_WORD) + is_cut:
                continue
            is_short = len(word) < 6 and len(known) <= len(word)
            if is_short and not is_jumbled and not _same_but_vowels(word, known):
                continue  # short words have too many neighbours
            foreign = known in self.meaningful and known not in self.english
            # A letter is rather left out than taken for another.
            ends = (known[-1] != word[-1], len(known) <= len(word))
            rank = (far, foreign, *ends, (known in self.meaningful) == named, known)
            if best is None or rank < best:
                best = rank
        return [best[-1]] if best else [word]

    def _bucket(self, letter: str) -> Mapping[int, Sequence[tuple[str, int]]]:
        """Return the words a slip that begins with *letter* is compared with, by their lengths."""
        if letter not in self._buckets:
            known = {w for w in self.words if w[0] == letter and len(w) > 3 and w.isascii()}
            known |= {w for w in self.spelling if w[0] == letter and len(w) > 3}
            bucket = self._buckets[letter] = dict[int, list[tuple[str, int]]]()
            for word in sorted(known):
                bucket.setdefault(len(word), []).append((word, letters(word)))
        return self._buckets[letter]

    def _parts(self, word: str) -> list[str]:
        """Return the words that were written together in *word*, or nothing."""
        if len(word) < 7:
            return []
        for cut in range(len(word) - 4, 3, -1):
            left = word[:cut]
            if left not in self.meaningful:
                continue
            for right in (word[cut:], word[cut + 1 :] if word[cut] in "sn" else ""):
                if len(right) >= 4 and right in self.meaningful:
                    return [left, right]
                if right.startswith("to") and len(right) > 5 and right[2:] in self.meaningful:
                    return [left, "to", right[2:]]
        return []

    # ------------------------------------------------------------ reading

    def read(self, query: str, most: int = 2) -> Reading:
        """Return what *query* speaks of, slips of *most* letters mended."""
        reading = Reading(plain(query))
        proper = {word.casefold() for word in _PROPER.findall(query[:LONGEST_QUERY])}
        for segment in segments(reading.text)[:_MOST_WORDS]:
            if is_unspaced(segment):
                self._read_run(segment, reading)
            else:
                slips = int(len(segment) > 5) if segment in proper else 2
                self._read_word(segment, reading, min(slips, most))
        self._read_chains(reading)
        self._settle(reading)
        self._fire(reading)
        return reading

    def _read_word(self, segment: str, reading: Reading, most: int) -> None:
        parts = [segment]
        if not self.knows(segment):
            parts = self.mended(segment, most, named=_VERSION.search(reading.text) is not None)
            if parts != [segment]:
                reading.mended[segment] = " ".join(parts)
        for part in parts:
            unit = reading.units
            reading.units += 1
            reading.words.append(Word(part, unit, segment if parts != [segment] else ""))
            if part in self.stop:
                reading.quiet.add(unit)
            for sense in self.senses_of(part):
                reading.senses.setdefault(sense, []).append((unit, unit + 1))

    def _read_run(self, run: str, reading: Reading) -> None:
        """Read *run*, which has no blanks: longest known pieces first, from left to right."""
        place_of: list[int] = []
        at = known = 0
        while at < len(run):
            form = next((f for f in self.runs.get(run[at]) if run.startswith(f[0], at)), None)
            size = len(form[0]) if form else 1
            if form is None and at - known == _LONGEST_GAP:
                reading.units += 1  # so much that is not known is a word of its own
                known = at
            place_of += [reading.units] * size
            if form:
                for sense in form[1]:
                    reading.senses.setdefault(sense, []).append((reading.units, reading.units + 1))
                reading.units += 1
                if self._joints.issuperset(form[1]):
                    reading.quiet.add(reading.units - 1)
                known = at + size
            at += size
        reading.units += 1
        for at, letter in enumerate(run):
            for piece, senses in self.pieces.get(letter, ()):
                if run.startswith(piece, at):
                    end = place_of[at + len(piece) - 1] + 1
                    for sense in senses:
                        reading.senses.setdefault(sense, []).append((place_of[at], end))
                    break

    def _read_chains(self, reading: Reading) -> None:
        words = reading.words
        texts = [word.text for word in words]
        hidden: list[tuple[int, int]] = []
        for at, (word, (first, second)) in enumerate(zip(words, pairwise(texts), strict=False)):
            for rest, senses, hides in self.chains.get(first, second):
                end = at + 1 + len(rest)
                if texts[at + 1 : end] != rest:
                    continue
                span = (word.unit, words[end - 1].unit + 1)
                if hides:
                    hidden.append(span)
                for sense in senses:
                    reading.senses.setdefault(sense, []).append(span)
        for first, after in hidden:
            for sense, spans in list(reading.senses.items()):
                kept = [s for s in spans if s[0] < first or s[1] > after or s == (first, after)]
                if kept:
                    reading.senses[sense] = kept
                else:
                    del reading.senses[sense]

    def _forget_accompaniment(self, reading: Reading) -> None:
        """Take sound that only comes with a video ("with sound") for a property, not for media."""
        spans = reading.senses.get(self.number["!sound"], ())
        with_it = {unit for start, end in spans for unit in range(start, end)}
        if not with_it:
            return
        for name in ("audio", "voice", "speech", "music"):
            sense = self.number[name]
            kept = [s for s in reading.senses.get(sense, ()) if s[0] not in with_it]
            if kept:
                reading.senses[sense] = kept
            else:
                reading.senses.pop(sense, None)

    def _settle(self, reading: Reading) -> None:
        """Put the places of senses in order, and keep of "to" only what can mean it here.

        ``a``, ``en`` and ``in`` lead from one thing to another in some languages and are articles
        or places in others; inside "a partir de" they lead back.
        """
        self._forget_accompaniment(reading)
        for spans in reading.senses.values():
            spans.sort()
        to, origin = self.number["to"], self.number["from"]
        if to not in reading.senses:
            return
        turned = self.number["convert"] in reading.senses
        said = {word.text for word in reading.words}
        english = bool(said & _ENGLISH) or not (said & _NOT_ENGLISH or said.isdisjoint(self.common))
        text_at = {word.unit: word.text for word in reading.words}
        back = {u for start, end in reading.senses.get(origin, ()) for u in range(start, end)}
        kept: list[tuple[int, int]] = []
        for start, end in reading.senses[to]:
            word = text_at.get(start, "")
            weak = word in _WEAK_TO
            if start in back or (weak and english and (word in ("a", "as") or not turned)):
                continue
            kept.append((start, end))
        if kept:
            reading.senses[to] = kept
        else:
            del reading.senses[to]

    def _fire(self, reading: Reading) -> None:
        senses = reading.senses
        has = senses.__contains__
        found = [
            phrase
            for sense in senses
            for other, phrase in self.phrases.get(sense)
            if other in senses
        ]
        for task, strength, ordered, needs, bars in found:
            if not all(map(has, needs)) or any(map(has, bars)):
                continue
            close, units = self._closeness(reading, needs, bool(ordered))
            if not close:
                continue
            worth = strength * close
            if len(needs) == 1 and self._is_ordinary(reading, units):
                worth *= _ORDINARY
            known = reading.tasks.get(task)
            if known is None or (worth, len(units)) > (known.strength, len(known.units)):
                reading.tasks[task] = Fired(task, worth, units)

    def _is_ordinary(self, reading: Reading, units: frozenset[int]) -> bool:
        """Whether *units* are one everyday word among others that mean something."""
        if len(units) != 1 or reading.units - len(reading.quiet) < 2:
            return False
        return any(word.unit in units and word.text in self.common for word in reading.words)

    def _closeness(
        self, reading: Reading, needs: Sequence[int], ordered: bool
    ) -> tuple[float, frozenset[int]]:
        """Return how close together the senses *needs* occur (0 to 1), and where."""
        first = reading.senses[needs[0]]
        if len(needs) == 1:
            span = first[0]
            return 1.0, frozenset(range(*span))
        best, where = 0.0, frozenset[int]()
        others = [reading.senses[need] for need in needs[1:]]
        for start in first[:4]:
            chosen = [start]
            last = start[0]
            for spans in others:
                if ordered:
                    spans = [s for s in spans if s[0] > last]
                if not spans:
                    break
                near = spans[0]
                if len(spans) > 1:
                    near = min([(abs(s[0] - last), s) for s in spans])[1]
                last = near[0]
                chosen.append(near)
            else:
                covered = frozenset([unit for span in chosen for unit in range(*span)])
                low, high = min(covered), max(covered)
                worth = 1.0
                if high - low >= len(covered):
                    between = set(range(low, high)) - covered - reading.quiet
                    worth = 1 / (1 + _GAP * len(between))
                if chosen != sorted(chosen):
                    worth *= _REVERSED
                if worth > best:
                    best, where = worth, covered
        return best, where


def _numbered(rows: Mapping[str, list[Any]]) -> Mapping[int, list[Any]]:
    """Return *rows* by number: JSON has texts for keys."""
    return {int(number): found for number, found in rows.items()}


_DOUBLED = re.compile(r"(\w)\1")


def _same_but_vowels(word: str, known: str) -> bool:
    """Whether the letters of both are the same in any order, or but for a vowel or a double."""
    if sorted(word) == sorted(known) or word.translate(_VOWELS) == known.translate(_VOWELS):
        return True
    return len(word) == len(known) + 1 and _DOUBLED.sub(r"\1", word) == known  # "fluxx"


def _alike(word: str, known: str) -> bool:
    """Whether two words that differ in two letters still look like one."""
    if len(word) < 7:
        return False
    if len(known) == len(word) + 2 and word[0] == known[0]:  # "bakgroud"
        rest = iter(known)
        return all(letter in rest for letter in word)
    return word[:3] == known[:3] or word[-2:] == known[-2:]
