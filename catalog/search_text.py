"""Words of a query: one spelling, tokens, stems and typing distance."""

import re
import unicodedata
from functools import cache, lru_cache

LONGEST_QUERY = 500

# 16:9, 2.6, v2.6, veo3.1, 1.5x; words; signs that mean something.
_SEGMENT = re.compile(
    r"[^\W\d_]*+\d+(?:[.:]\d+)+[^\W\d_]?(?![^\W_])|[^\W_]+|->|=>|\u2192|[$\u20ac\xa3%]"
)
# Letters that other ones are typed for, and signs inside words that are left out as often.
# Turkish, Vietnamese, Polish and Danish letters; Arabic and Persian ones; Hebrew and Hindi points.
_FOLDED = str.maketrans(
    "\u0131\u0111\u0142\u00f8\u2019\u0629\u0649\u06cc\u06a9\u0671\u0901",
    "idlo'\u0647\u064a\u064a\u0643\u0627\u0902",
    "\u200c\u200d\u0640\u05c1\u05c2\u093c",
)
_NUMBER = re.compile(r"v?(\d+(?:\.\d+)*)([a-z]*)$")
_GLUED = re.compile(r"([a-z]+)(\d+(?:\.\d+)*)([a-z]*)$")
_DECIMAL = re.compile(r"(?<=\b\d),(?=\d\b)")  # hailuo 2,3
_TAILS = (("iser", 0), ("izer", 0), ("ise", 0), ("ize", 0), ("er", 0), ("e", 0))


def plain(text: str, most: int = LONGEST_QUERY) -> str:
    """Return *text* in one spelling: compatibility forms, lower case, no accents, no controls.

    At most *most* characters are looked at.
    """
    folded = unicodedata.normalize("NFKC", text[:most]).casefold()
    if not folded.isascii():
        apart = unicodedata.normalize("NFD", folded)
        folded = "".join(c for c in apart if not _is_accent(c)).translate(_FOLDED)
        folded = unicodedata.normalize("NFC", folded)
    folded = _DECIMAL.sub(".", folded) if "," in folded else folded
    if folded.isprintable():
        return folded
    return "".join(c if c.isprintable() else " " for c in folded)


def _is_accent(sign: str) -> bool:
    """Whether *sign* only points a letter: Latin, Greek, Cyrillic, Hebrew or Arabic."""
    return "\u0300" <= sign <= "\u036f" or "\u0591" <= sign <= "\u05bd" or (
        "\u064b" <= sign <= "\u065f"
    )  # fmt: skip


@cache
def _marked() -> re.Pattern[str]:
    """Return what finds words of scripts in which vowels are marks: those of India, and Thai."""
    mark = "[\u0900-\u0963\u0966-\u0df3\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]"
    return re.compile(_SEGMENT.pattern.replace(r"|[^\W_]+|", rf"|(?:[^\W_]|{mark})+|"))


def segments(text: str) -> list[str]:
    """Return the words, numbers and unspaced runs of *text*, which must be `plain`."""
    if text.isascii():
        return _SEGMENT.findall(text)
    return _marked().findall(_runs_apart(text))


def is_unspaced(word: str) -> bool:
    """Whether *word* begins with a sign of a script that is written without blanks.

    Thai, Han, kana and Hangul: in Hangul there are blanks, but they mean nothing here.
    """
    return word >= "\u0e00" and (
        word[0] <= "\u0e7f" or "\u3040" <= word[0] <= "\u30ff"
        or "\u3400" <= word[0] <= "\u4dbf" or "\u4e00" <= word[0] <= "\u9fff"
        or "\uac00" <= word[0] <= "\ud7af" or word[0] >= "\uff66"
    )  # fmt: skip


def _runs_apart(text: str) -> str:
    """Return *text* with a blank wherever an unspaced run begins or ends, and none inside one."""
    signs: list[str] = []
    inside = False
    for sign in text:
        if is_unspaced(sign):
            if not inside:
                signs.append(" ")
            inside = True
        elif inside and sign.isspace():
            continue
        elif inside:
            signs.append(" ")
            inside = False
        signs.append(sign)
    return "".join(signs)


@lru_cache(maxsize=4096)
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
    while one and other and one[0] == other[0]:  # what both begin or end with costs nothing
        one, other = one[1:], other[1:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    if not one or not other:
        return len(one) + len(other)
    if most < 2:  # one addition would have left nothing of one of them
        is_one = len(one) == len(other) == 1 or (len(one) == 2 and one == other[::-1])
        return 1 if most and is_one else most + 1
    if most > 2:
        return min(_tabled(one, other), most + 1)
    # Both begin with another letter, so one change is made there.
    rests = [(one[1:], other[1:]), (one, other[1:]), (one[1:], other)]
    if one[:2] == other[1::-1]:
        rests.append((one[2:], other[2:]))
    return 1 + min([distance(rest, against, 1) for rest, against in rests])


def _tabled(one: str, other: str) -> int:
    """Return the distance of two words however far they are."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, last, row = row, before, [i] + [0] * len(other)
        for j, against in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != against))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == against:
                cost = min(cost, last[j - 2] + 1)
            row[j] = cost
    return row[-1]


def letters(word: str) -> int:
    """Return the letters of *word* as bits, to compare words cheaply before `distance`."""
    bits = 0
    for letter in word:
        bits |= 1 << (ord(letter) & 31)
    return bits
