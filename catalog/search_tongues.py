"""Put a question of another language into plain English words, as far as they are known."""

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from catalog.search_reading import Lexicon
from catalog.search_senses import as_meant
from catalog.search_text import distance, is_unspaced, segments

FILE = "tongues.json"
# Ends a word that nobody knows here: it is kept, and never taken for a slip in English.
_FOREIGN = "\u02bc"
# A language is taken for English without a look at others from this share of English words.
_ENGLISH_SHARE = 0.7
_SHORTEST_BEGIN, _LONGEST_BEGIN = 3, 14
_SHORTEST_PART, _SHORTEST_SLIP, _SHORTEST_JOINED = 4, 5, 8
_MOST_WORDS = 60
# The most words of a question whose language a few of them tell, and how many these must be.
_FEW_WORDS, _FOREIGN_SHARE, _OWNED_SHARE = 6, 0.25, 0.6
_OWN_LENGTH = 4  # "flu", "dj" and "can" are words of many languages
# Letters, as `plain` leaves them, that only one of the languages has.
_OWN_SIGNS: Mapping[str, str] = {
    "\u044b": "ru", "\u044d": "ru", "\u0456": "uk", "\u0454": "uk", "\u0491": "uk",
    "\u0458": "hr", "\u0459": "hr", "\u045a": "hr", "\u045b": "hr", "\u0452": "hr",
    "\u045f": "hr", "\u067e": "fa", "\u0686": "fa", "\u0698": "fa", "\u06af": "fa",
    "\u0679": "ur", "\u0688": "ur", "\u0691": "ur", "\u06ba": "ur", "\u06c1": "ur", "\u06d2": "ur",
}  # fmt: skip
# The hard sign, and the vowels before which alone Russian has it; Bulgarian has it elsewhere.
_HARD, _AFTER_HARD = "\u044a", "\u0435\u044e\u044f"
# Where the letters of alphabets end, and the language that is most written in each.
_LAST_LATIN = "\u02ff"
_ALPHABETS = (
    ("\u03ff", "el"), ("\u052f", "ru"), ("\u05ff", "he"), ("\u06ff", "ar"), ("\u097f", "hi"),
    ("\u09ff", "bn"), ("\u0aff", "hi"), ("\u0bff", "ta"), ("\u0c7f", "te"),
)  # fmt: skip
# Languages that write nouns as one word, and what may stand between their parts.
_COMPOUND: Mapping[str, tuple[str, ...]] = {
    "de": ("", "s", "n", "en"),
    "nl": ("", "s", "en"),
    "sv": ("", "s"),
    "da": ("", "s", "e"),
    "no": ("", "s", "e"),
    "fi": ("", "n"),
    "hu": ("",),
}
# Short words that are glued to the front of the next one.
_GLUED: Mapping[str, tuple[str, ...]] = {
    "ar": ("وال", "بال", "كال", "فال", "ال", "لل", "و", "ب", "ل", "ف", "ك"),
    "he": ("מה", "וה", "שה", "בה", "לה", "ה", "ב", "ל", "מ", "ו", "ש", "כ"),  # noqa: RUF001
}
_GLUED_MEANS: Mapping[str, str] = {
    "لل": "to", "ل": "to", "ب": "with", "بال": "with", "ל": "to", "מ": "from", "מה": "from",
}  # fmt: skip
_NEAREST_KIN: Mapping[str, str] = {
    "uk": "ru", "ru": "uk", "da": "no", "no": "da", "cs": "sk", "sk": "cs",
}  # fmt: skip
# What a word counts for a language that has it as it is, and for one where words begin so.
_WHOLE, _BEGUN = 3, 2
# Shorter words may be of any language.
_SHORTEST_OWN = 5
# Languages that are meant only where they know more of a question than any larger one.
_SELDOM = frozenset({"bg", "ca", "cs", "da", "fi", "hr", "hu", "no", "ro", "sk", "sw", "tl"})


class Tongues:
    """The word lists of a snapshot; its file is read when a question first needs it."""

    def __init__(self, folder: Path, lexicon: Lexicon, names: Container[str]) -> None:
        self._folder, self._lexicon, self._parts = folder, lexicon, names
        self._tables: dict[str, _Tongue] = {}

    @cached_property
    def _head(self) -> dict[str, Any]:
        return json.loads((self._folder / FILE).read_text(encoding="utf-8"))

    @cached_property
    def _names(self) -> list[str]:
        return self._head["tongues"]

    @cached_property
    def _marks(self) -> dict[str, int]:
        return _ungrouped(self._head["marks"])

    @cached_property
    def _begins(self) -> dict[str, int]:
        return _ungrouped(self._head["begins"])

    def english(self, text: str) -> str:
        """Return *text*, which must be `plain`, in English words; itself where it is English."""
        words = self._nameless(segments(text)[:_MOST_WORDS])
        if not words or (text.isascii() and self._is_english(words)):
            return text
        tongue = self._script(text) or self._guess(words)
        if tongue == "fa" and self._guess(words) == "ur":  # which has all the letters of Persian
            tongue = "ur"
        if not tongue:
            return text
        tables = [self._table(tongue)]
        if (other := _NEAREST_KIN.get(tongue)) in self._names:
            tables.append(self._table(other))
        glosses = [gloss for gloss in self._glosses(_with_commas(text), tables) if gloss != "-"]
        return " ".join(_verb_first(_in_order(as_meant(glosses))))

    def _nameless(self, words: Sequence[str]) -> list[str]:
        """Return *words* without what people call a model: "dall e" is no Italian."""
        aliases = self._lexicon.aliases
        if aliases.keys().isdisjoint(words):
            return list(words)
        kept: list[str] = []
        at = 0
        while at < len(words):
            names = (rest for rest, _ in aliases.get(words[at], ()))
            rest = next(
                (rest for rest in names if rest and words[at + 1 :][: len(rest)] == rest), None
            )
            if rest is None:
                kept.append(words[at])
            at += 1 + len(rest or ())
        return kept

    def _is_english(self, words: Sequence[str]) -> bool:
        common, known = self._lexicon.common, 0
        for word in words:
            if word in common or word in _ENGLISH or _has_digit(word) or self._is_name(word):
                known += 1
        return known >= _ENGLISH_SHARE * len(words)

    def _is_name(self, word: str) -> bool:
        """Whether *word* is a part of a card's id or title, or of what people call it."""
        return len(word) > 2 and (f"n{word}" in self._parts or word in self._lexicon.aliases)

    def _knowing(self, word: str) -> int:
        """Return the languages that know *word* as bits, English first."""
        bits = self._marks.get(word, 0)
        if not bits and len(word) >= _SHORTEST_JOINED and len(self._lexicon.mended(word)) > 1:
            return 1  # "imagetovideo"
        if word in self._lexicon.common or word in _ENGLISH or self._is_name(word):
            bits |= 1
        longest = min(len(word), _LONGEST_BEGIN)
        if not bits & 1 and word in self._lexicon.english:
            longest = 0  # "notary" is no form of the Hungarian "nota"
        for size in range(_SHORTEST_BEGIN - 1, longest + 1):
            bits |= self._begins.get(word[:size], 0)
        for glued in ("ال", "وال", "بال", "لل", "ب", "ل", "ה", "ל", "ב", "מ"):
            if word.startswith(glued):
                bits |= self._marks.get(word[len(glued) :], 0)
        if not self._marks.get(word, 0) and not bits & 1:
            bits |= int(self._is_slip(word))  # "upscaller" may begin as a word elsewhere does
        return bits

    def _is_slip(self, word: str) -> bool:
        """Whether *word* is an English one but for a slip."""
        return len(word) >= _SHORTEST_SLIP and self._lexicon.mended(word) != [word]

    @staticmethod
    def _script(text: str) -> str:
        """Return the language that the signs of *text* tell, if they do."""
        if any("\u3040" <= sign <= "\u30ff" for sign in text):
            return "ja"
        if own := {_OWN_SIGNS[sign] for sign in text if sign in _OWN_SIGNS}:
            return max(own)  # Urdu has the letters of Persian, too
        if text.count(_HARD) > sum(text.count(f"{_HARD}{vowel}") for vowel in _AFTER_HARD):
            return "bg"
        for sign in text:
            if "\uac00" <= sign <= "\ud7af":
                return "ko"
            if "\u0e00" <= sign <= "\u0e7f":
                return "th"
        return "zh" if any(is_unspaced(sign) for sign in text) else ""

    def _guess(self, words: Sequence[str]) -> str:
        """Return the language that knows most of *words*, empty if none knows more than English.

        Where none does, letters that few languages are written in tell the likeliest one.
        """
        scores = [0] * (len(self._names) + 1)
        for word in words:
            bits = 0 if _has_digit(word) else self._knowing(word)
            whole = self._marks.get(word, 0) | 1
            while bits:
                lowest = bits & -bits
                scores[lowest.bit_length() - 1] += _WHOLE if lowest & whole else _BEGUN
                bits ^= lowest
        seldom = [True, *[name in _SELDOM for name in self._names]]
        best = max(range(1, len(scores)), key=lambda at: (scores[at], not seldom[at], -at))
        told = scores[best] > scores[0] and scores[best] >= _BEGUN * min(2, len(words))
        if told:
            return self._names[best - 1]
        if owner := self._owner(words):
            return owner
        first = next((word[0] for word in words if word[0] > _LAST_LATIN), "")
        return next((tongue for last, tongue in _ALPHABETS if first and first <= last), "")

    def _owner(self, words: Sequence[str]) -> str:
        """Return the one language that knows most of what in *words* is not English, if one does.

        English words that all the world uses (photo, video, logo) thus tell nothing.
        """
        foreign = [
            word for word in words if len(word) >= _OWN_LENGTH and not self._is_any_english(word)
        ]
        if len(words) > _FEW_WORDS or len(foreign) < _FOREIGN_SHARE * len(words):
            return ""
        marks = [self._marks.get(word, 0) for word in foreign]
        known = [sum(bits >> at & 1 for bits in marks) for at in range(1, len(self._names) + 1)]
        most = max(known)
        if known.count(most) != 1 or most < _OWNED_SHARE * len(foreign):
            return ""
        return self._names[known.index(most)]

    def _is_any_english(self, word: str) -> bool:
        return _has_digit(word) or word in self._lexicon.english or bool(self._knowing(word) & 1)

    def _table(self, tongue: str) -> "_Tongue":
        if tongue not in self._tables:
            self._tables[tongue] = _Tongue(tongue, self._head["tables"][tongue])
        return self._tables[tongue]

    def _glosses(self, words: Sequence[str], tables: Sequence["_Tongue"]) -> Iterator[str]:
        """Yield what *words* are in English, or as they are."""
        at = 0
        while at < len(words):
            word = words[at]
            if is_unspaced(word):
                yield from tables[0].pieces(word, self._lexicon)
                at += 1
                continue
            taken, gloss = self._gloss(words, at, tables)
            if gloss:
                yield gloss
            at += taken

    def _gloss(self, words: Sequence[str], at: int, tables: Sequence["_Tongue"]) -> tuple[int, str]:
        """Return how many words from *at* are one, and what it is in English."""
        word = words[at]
        for table in tables:
            if (chain := table.chain(words, at)) is not None:
                return chain
        for table in tables:
            if (gloss := table.word(word)) is not None:
                return 1, gloss
        if len(word) == 1 or _has_digit(word) or self._lexicon.knows(word):
            return 1, word  # a single letter is of a name: "z-image"
        return 1, tables[0].mended(word) or self._elsewhere(word) or f"{word}{_FOREIGN}"

    def _elsewhere(self, word: str) -> str:
        """Return what *word* is in English in the first other language that knows it, if one does.

        Which language a few words are of is but a guess.
        """
        if len(word) < _SHORTEST_OWN:
            return ""
        bits = self._knowing(word) >> 1
        names = [name for at, name in enumerate(self._names) if bits >> at & 1]
        names.sort(key=lambda name: name in _SELDOM)
        return next((gloss for name in names if (gloss := self._table(name).word(word))), "")


class _Tongue:
    """The words of one language: forms and what they are in English."""

    def __init__(self, name: str, table: str) -> None:
        self._name = name
        self._words: dict[str, str] = {}
        self._begins: dict[str, str] = {}
        self._chains: dict[str, list[tuple[list[str], str]]] = {}
        self._runs: dict[str, list[tuple[str, str]]] = {}
        for line in table.splitlines():
            gloss, _, forms = line.partition("\t")
            for form in forms.split():
                self._put(form, gloss)
        for chains in self._chains.values():
            chains.sort(key=lambda entry: (-len(entry[0]), entry[0]))
        for runs in self._runs.values():
            runs.sort(key=lambda entry: (-len(entry[0]), entry[0]))

    def _put(self, form: str, gloss: str) -> None:
        if "_" in form:
            parts = form.split("_")
            self._chains.setdefault(parts[0][:2], []).append((parts, gloss))
        elif is_unspaced(form):
            self._runs.setdefault(form[0], []).append((form, gloss))
        elif form.endswith("*"):
            self._begins[form[:-1]] = gloss
        else:
            self._words[form] = gloss

    def chain(self, words: Sequence[str], at: int) -> tuple[int, str] | None:
        """Return the longest saying of several words that begins at *at*: its size and gloss."""
        for parts, gloss in self._chains.get(words[at][:2], ()):
            found = words[at : at + len(parts)]
            if len(found) == len(parts) and all(map(_fits, found, parts)):
                return len(parts), gloss
        return None

    def word(self, word: str) -> str | None:
        """Return what *word* is in English, None if it is not known."""
        found = self._known(word)
        if found is not None:
            return found
        for glued in _GLUED.get(self._name, ()):
            rest = word.removeprefix(glued)
            if rest != word and (gloss := self._known(rest)) is not None:
                return f"{_GLUED_MEANS.get(glued, '')} {gloss}".strip()
        return None

    def _known(self, word: str) -> str | None:
        found = self._words.get(word)
        if found is not None:
            return found
        if self._name not in _COMPOUND:
            return self._begun(word)
        cut, parts = self._parts(word)
        # The Finnish "valokuva" is a photo, no picture of light.
        return self._begun(word, cut + 1) or parts or self._begun(word)

    def _begun(self, word: str, shortest: int = 2) -> str | None:
        for size in range(min(len(word), _LONGEST_BEGIN), shortest - 1, -1):
            if (gloss := self._begins.get(word[:size])) is not None:
                return gloss
        return None

    def _parts(self, word: str) -> tuple[int, str]:
        """Return where the second word that *word* is made of begins and both glosses, if it is."""
        for cut in range(len(word) - _SHORTEST_PART, _SHORTEST_PART - 2, -1):
            left = self._words.get(word[:cut], self._begins.get(word[:cut]))
            if not left:
                continue
            for joint in _COMPOUND[self._name]:
                rest = word[cut:].removeprefix(joint) if word.startswith(joint, cut) else ""
                if len(rest) >= _SHORTEST_PART and (right := self._words.get(rest)):
                    return cut, f"{left} {right}"
                if len(rest) >= _SHORTEST_PART and (right := self._begun(rest)):
                    return cut, f"{left} {right}"
        return 1, ""

    def mended(self, word: str) -> str:
        """Return what *word* is in English but for one letter, empty if nothing is near."""
        if len(word) < _SHORTEST_SLIP:
            return ""
        near = [
            known
            for known in self._words
            if known[0] == word[0]
            and abs(len(known) - len(word)) <= 1
            and distance(word, known, 1) <= 1
        ]
        return self._words[min(near)] if near else ""

    def pieces(self, run: str, lexicon: Lexicon) -> Iterator[str]:
        """Yield the glosses of what is known in the unspaced *run*, and the rest as it is."""
        kept, at = "", 0
        while at < len(run):
            known = next((f for f in self._runs.get(run[at], ()) if run.startswith(f[0], at)), None)
            own = next((f[0] for f in lexicon.runs.get(run[at]) if run.startswith(f[0], at)), "")
            if known is None or len(own) > len(known[0]):
                size = max(1, len(own))
                kept += run[at : at + size]
                at += size
                continue
            if kept:
                yield kept
            kept = ""
            yield known[1]
            at += len(known[0])
        if kept:
            yield kept


def _ungrouped(groups: Mapping[str, str]) -> dict[str, int]:
    """Return the number of each word in *groups*, which tells the words of each number."""
    return {word: int(bits) for bits, words in groups.items() for word in words.split()}


def _with_commas(text: str) -> list[str]:
    """Return the words of *text*, and the commas between them."""
    parts = text.replace("\u060c", ",").replace("\u3001", ",").split(",")
    words: list[str] = []
    for part in parts:
        found = segments(part)
        words += [",", *found] if words and found else found
    return words[:_MOST_WORDS]


def _has_digit(word: str) -> bool:
    return not word[0].isalpha() or not (word.isalpha() or word[-1] > "\u0900")


def _fits(word: str, part: str) -> bool:
    return word.startswith(part[:-1]) if part[-1] == "*" else word == part


def _in_order(glosses: Sequence[str]) -> list[str]:
    """Return *glosses* with what is marked "<" before the one that it followed."""
    words: list[str] = []
    for gloss in glosses:
        if gloss[0] == "<":
            words.insert(max(0, len(words) - 1), gloss[1:])
        else:
            words.append(gloss)
    return words


def _verb_first(glosses: Sequence[str]) -> list[str]:
    """Return *glosses* with a verb at the end of a clause at its beginning, as English has it."""
    ordered: list[str] = []
    clause: list[str] = []
    for gloss in (*glosses, ","):
        if gloss not in _JOINTS:
            clause.append(gloss)
            continue
        last = next((at for at in range(len(clause) - 1, 0, -1) if clause[at] not in _WISH), 0)
        verb = clause[last].split()[0] if last else ""
        is_first = not _VERBS.intersection(clause[:last])
        if is_first and (verb in _VERBS or (verb == "make" and _PATHS.isdisjoint(clause))):
            clause.insert(0, clause.pop(last))
        ordered += [*clause, gloss]
        clause = []
    return ordered[:-1]


_JOINTS = frozenset({",", "and", "then", "or"})
_PATHS = frozenset({"from", "to", "into", "convert"})
_WISH = frozenset({"want", "need", "can", "please", "it", "i", "have", "is", "should"})
_VERBS_LISTED = (
    "add animate bring change clone colorize compose count cut denoise describe detect draw dub"
    " edit expand extend extract fill improve merge read remove replace resize restore reverse"
    " separate sharpen summarize swap train transcribe translate trim understand upscale write"
)
_VERBS = frozenset(_VERBS_LISTED.split())
_ENGLISH_LISTED = (
    "the and with from make turn this that into your using how what which create generate remove"
    " add change of my to for a is it i on in at by an are picture photo image video text voice"
    " sound model one want need without not me song music speech better cheap best outro intro"
)
_ENGLISH = frozenset(_ENGLISH_LISTED.split())
