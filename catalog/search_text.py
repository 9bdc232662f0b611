"""Words of a query: one spelling, tokens, stems and typing distance."""

import re
import unicodedata

LONGEST_QUERY = 500

# Han, kana and Hangul are written without blanks that mean anything here; ー belongs to them.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uff66-\uff9f"
_LETTER = f"(?:(?![{_UNSPACED}])[^\\W_])"
_SEGMENT = re.compile(
    f"[{_UNSPACED}]+"
    f"|{_LETTER}*\\d+(?:[.:]\\d+)+{_LETTER}?(?!{_LETTER})"  # 16:9, 2.6, v2.6, veo3.1, 1.5x
    f"|{_LETTER}+"
    "|->|=>|→|[$€£%]"
)
_HAS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_MARKS = re.compile("[\u0300-\u036f]")
_BLANKS_BETWEEN = re.compile(f"(?<=[{_UNSPACED}])\\s+(?=[{_UNSPACED}])")


_NUMBER = re.compile(r"v?(\d+(?:\.\d+)*)([a-z]*)$")
_GLUED = re.compile(r"([a-z]+)(\d+(?:\.\d+)*)([a-z]*)$")
_TAILS = (("iser", 0), ("izer", 0), ("ise", 0), ("ize", 0), ("er", 0), ("e", 0))


def plain(text: str, most: int = LONGEST_QUERY) -> str:
    """Return *text* in one spelling: compatibility forms, lower case, no accents, no controls.

    At most *most* characters are looked at.
    """
    folded = unicodedata.normalize("NFKC", text[:most]).casefold()
    if not folded.isascii():
        folded = unicodedata.normalize(
            "NFC", _MARKS.sub("", unicodedata.normalize("NFD", folded))
        ).replace("’", "'")
    if folded.isprintable():
        return folded
    return "".join(c if c.isprintable() else " " for c in folded)


def segments(text: str) -> list[str]:
    """Return the words, numbers and unspaced runs of *text*, which must be `plain`."""
    return _SEGMENT.findall(_BLANKS_BETWEEN.sub("", text))


def is_unspaced(word: str) -> bool:
    """Whether *word* is of a script that is written without blanks."""
    return bool(word) and _HAS_UNSPACED.match(word) is not None


def stem(word: str) -> str:
    """Return the trunk of an English *word*: plural, -ing, -ed, -er, -ise and -ation removed."""
    if len(word) < 4 or not word.isascii() or not word.isalpha():
        return word
    word = word.replace("colour", "color")
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("isation", "ization", "ising", "izing", "ised", "ized", "ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            return word[:-1] if word[-1] == word[-2] and word[-1] not in "lsz" else word
    for ending, kept in (("ation", 2), ("ator", 2), ("tion", 1), ("tor", 1), *_TAILS):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: len(word) - len(ending) + kept]
    return word


def name_parts(text: str) -> list[str]:
    """Return the parts of an id or a name: words, versions without v and needless zeros.

    ``veo3.1`` gives itself, ``veo`` and ``3.1``; ``v2.0`` and ``02`` give ``2``.
    """
    spaced = plain(text.replace("/", " ").replace("-", " ").replace("_", " "))
    return [part for word in segments(spaced) for part in word_parts(word)]


def word_parts(word: str) -> list[str]:
    """Return the parts of one `plain` word; see `name_parts`."""
    if word.isalpha():
        return [word]
    if found := _NUMBER.fullmatch(word):
        number = found[1].lstrip("0") or "0"
        return [(re.sub(r"(?:\.0)+$", "", number) if not found[2] else number) + found[2]]
    if found := _GLUED.fullmatch(word):
        return [word, found[1], *word_parts(found[2] + found[3])]
    return [word]


def distance(one: str, other: str, most: int) -> int:
    """Return how many letters must be changed, added, dropped or swapped, or *most* + 1."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, last, row = row, before, [i] + [0] * len(other)
        best = i
        for j, against in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != against))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == against:
                cost = min(cost, last[j - 2] + 1)
            row[j] = cost
            best = min(best, cost)
        if best > most:
            return most + 1
    return row[-1]


def letters(word: str) -> int:
    """Return the letters of *word* as bits, to compare words cheaply before `distance`."""
    bits = 0
    for letter in word:
        bits |= 1 << (ord(letter) & 31)
    return bits
