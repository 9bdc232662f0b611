"""Write amounts of money and time that are spelled in English words with digits."""

import re
from collections.abc import Mapping
from functools import cache

_SMALL_LISTED = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen"
)
_TENS_LISTED = "twenty thirty forty fifty sixty seventy eighty ninety"
SMALL_NUMBERS, _TENS = _SMALL_LISTED.split(), _TENS_LISTED.split()
_WORTH: Mapping[str, float] = (
    {word: float(n) for n, word in enumerate(SMALL_NUMBERS)}
    | {word: 20.0 + 10 * n for n, word in enumerate(_TENS)}
    | {"a": 1.0, "an": 1.0, "half": 0.5, "quarter": 0.25, "quarters": 0.25, "couple": 2.0}
)
_MANY: Mapping[str, int] = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_COINS: Mapping[str, int] = {"penny": 1, "nickel": 5, "dime": 10, "quarter": 25}
_THOUSANDS = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?!\d)")
# A text without any of these spells nothing that is read here.
_SIGNS = ("minute", "second", "hour", "dollar", "buck", "cent", "dime", "nickel", "penn", "quarter")
_LIMITS = (
    r"(?:under|below|less than|no more than|not more than|at most|up to|max(?:imum)?|cap(?:ped)?"
    r"(?: at| of)?|budget(?: is| of)?|cheaper than|within)"
)


def spelled(text: str) -> str:
    """Return *text*, which must be `plain`, with its amounts in digits.

    ``a dollar fifty`` becomes ``1.5 dollars``, ``a dime`` ``10 cents``, ``half a minute``
    ``30 seconds``; beside money also ``a quarter of an hour`` ``900 seconds``. A bare amount such
    as ``cap 0.50`` is one of dollars.
    """
    if "." in text:
        text = _dotted().sub(_without_dots, text)
        text = _halved().sub("0.", text)
    if "," in text:
        text = _THOUSANDS.sub(lambda found: found[0].replace(",", ""), text)
    if "k " in text:
        text = _thousand().sub("000 ", text)
    if "." in text:
        text = _bare().sub(r"\1 $\2", text)
    if "hundred" in text or "thousand" in text or "million" in text:
        text = _many().sub(lambda found: f"{_number(found[1]) * _MANY[found[2]]:.0f} ", text)
    if not any(sign in text for sign in _SIGNS):
        return text
    text = _dollars().sub(_in_dollars, text)
    text = _cents().sub(lambda found: f"{_number(found[1]):g} cents", text)
    text = _coins().sub(_in_cents, text)
    text = _time().sub(_in_seconds, text)
    if "$" in text or "dollar" in text or "cent" in text or "buck" in text:
        text = _hours().sub(lambda found: f"{3600 * _number(found[1]):g} seconds", text)
    return text


def written_out(text: str) -> str:
    """Return *text*, which must be `plain`, without what is short for a word or spells a version.

    ``w/ sound`` becomes ``with sound``, ``veo three point one`` ``veo 3.1``.
    """
    if "w/" in text:
        text = _with().sub(lambda found: "without " if found[1] else "with ", text)
    if " point " in text:
        text = _point().sub(lambda f: f"{_number(f[1]):g}.{_number(f[2]):g}", text)
    return text


def unscreened(text: str) -> str:
    """Return English *text* without words that tell no medium or model where they stand.

    That is a green screen that it says there is none of, the clip of "a cent per clip" or
    "a sound clip", and the whisper of a voice that giggles, too.
    """
    if "green" in text:
        text = _no_screen().sub(" ", text).strip()
    if "clip" in text:
        text = _CLIP.sub(lambda found: f"{found[1]} recording" if found[1] else "each", text)
    if "whisper" in text and _VOICED.search(text):
        text = _WHISPER.sub("softly", text)
    return text


_CLIP = re.compile(r"\b(?:(audio|sound|voice|speech) clips?|per clip)\b")
_WHISPER = re.compile(r"\bwhisper(?:s|ing)?\b")
_VOICED = re.compile(r"\b(?:giggle|sigh|laugh|shout|narrat|sob|gasp|chuckle|voice|storytell)")


@cache
def _no_screen() -> re.Pattern[str]:
    return re.compile(
        r"[,;]?\s*\b(?:no|not|without|lacking|don't have|do not have|haven't got)(?:\s\w+){0,2}"
        r"\sgreen[\s-]?(?:screens?|sheets?|cloth|backdrop|background|wall)\b"
        r"(?: (?:behind|back)\b.*)?"
    )


@cache
def _dotted() -> re.Pattern[str]:
    """Match what sets thousands apart by points: ``5.000,50``, ``1.000 euros``, ``1.500.000``."""
    return re.compile(
        r"(?<![\w.,])([1-9]\d{0,2}(?:\.\d{3})+),(\d{1,2})(?!\d)"
        r"|(?<![\w.,])([1-9]\d{0,2}(?:(?:\.\d{3}){2,}|\.000))(?![\d.,])"
    )


def _without_dots(found: re.Match[str]) -> str:
    if found[1]:
        return f"{found[1].replace('.', '')}.{found[2]}"
    return found[3].replace(".", "")


@cache
def _halved() -> re.Pattern[str]:
    return re.compile(r"(?<![\w.])\.(?=\d)")


@cache
def _thousand() -> re.Pattern[str]:
    """Match the k of ``10k pictures``, where it is no size as in ``4k pictures``."""
    things = r"(?:image|picture|photo|thumbnail|illustration|video|clip|run|request)s\b"
    return re.compile(rf"(?<=\d)(?<!\b[1248])k (?={things})")


@cache
def _many() -> re.Pattern[str]:
    """Match the number of "half a million characters" or "two thousand pictures"."""
    things = r"(?:char|letter|sign|word|image|pict|pics|photo|video|clip|run|request|song|track)"
    return re.compile(
        rf"\b({_words()}|an?|\d+(?:\.\d+)?) (hundred|thousand|million)s?(?: of)? (?={things})"
    )


@cache
def _with() -> re.Pattern[str]:
    return re.compile(r"(?<![\w/.-])w/(o\b)?(?![\w-]*/)\s*")


@cache
def _point() -> re.Pattern[str]:
    number = rf"({'|'.join(SMALL_NUMBERS)}|\d)"
    return re.compile(rf"\b{number} point {number}\b")


def _words() -> str:
    """Return the pattern of a number in words: "half a", "three quarters of an", "twenty five"."""
    small = "|".join(SMALL_NUMBERS[1:])
    tens = "|".join(_TENS)
    ones = "|".join(SMALL_NUMBERS[1:10])
    return (
        r"(?:half(?: of)? an?|(?:a |one |three )?quarters?(?: of)? an?|quarter(?= dollar)"
        rf"|a couple of|(?:{small})(?: and a half)?|(?:{tens})(?:[ -](?:{ones}))?)"
    )


def _number(words: str) -> float:
    """Return the number that *words* are; digits count as they are."""
    if words[0].isdigit():
        return float(words)
    parts = [part for part in re.split(r"[ -]", words) if part not in ("of", "and", "hundred")]
    if "half" in parts and parts[0] != "half":  # "two and a half"
        return _WORTH[parts[0]] + 0.5
    if parts[0] == "half" or parts[0].startswith("quarter"):
        return _WORTH[parts[0]]
    if len(parts) > 1 and parts[1].startswith("quarter"):
        return _WORTH[parts[0]] * 0.25
    if parts[0] == "a" and len(parts) > 1:  # "a couple"
        return _WORTH[parts[1]]
    return sum(_WORTH[part] for part in parts)


@cache
def _dollars() -> re.Pattern[str]:
    amount = rf"({_words()}|an?|\d+(?:\.\d+)?)"
    tens, ones = "|".join(_TENS), "|".join(SMALL_NUMBERS[1:10])
    digits = r"\d\d(?!\d| ?(?:s|x|p|k|sec|im|pic|clip|video))"
    more = rf"(?: and)? ((?:{tens})(?:[ -](?:{ones}))?|{digits})"
    return re.compile(rf"(?<!\d[.,])\b{amount} (dollars?|bucks?|euros?)(?:{more})?(?: cents?)?\b")


def _in_dollars(found: re.Match[str]) -> str:
    cents = _number(found[3]) if found[3] else 0.0
    dollars = f"{_number(found[1]) + cents / 100:.10f}".rstrip("0").rstrip(".")  # never 1e-05
    return f"{dollars} {found[2]}"


@cache
def _cents() -> re.Pattern[str]:
    return re.compile(rf"\b({_words()}) cents?\b")


@cache
def _coins() -> re.Pattern[str]:
    count = "|".join(SMALL_NUMBERS[1:10])
    return re.compile(
        rf"\b(an?|{count}) (penny|pennies|nickel|dime)s?\b"
        rf"|\b({_LIMITS}) a quarter(?! (?:of|hour|page|note))"
    )


def _in_cents(found: re.Match[str]) -> str:
    if found[3]:
        return f"{found[3]} {_COINS['quarter']} cents"
    coin = "penny" if found[2] == "pennies" else found[2]
    return f"{_WORTH[found[1]] * _COINS[coin]:g} cents"


@cache
def _time() -> re.Pattern[str]:
    return re.compile(
        rf"\b({_words()})[ -](minute|second)s?\b|\b(an?) (minute)(?: and a (half))?\b"
    )


def _in_seconds(found: re.Match[str]) -> str:
    if found[3]:
        return f"{90 if found[5] else 60} seconds"
    return f"{_number(found[1]) * (60 if found[2] == 'minute' else 1):g} seconds"


@cache
def _hours() -> re.Pattern[str]:
    return re.compile(rf"\b({_words()}|an?|\d+(?:\.\d+)?)[ -]hours?\b")


@cache
def _bare() -> re.Pattern[str]:
    return re.compile(rf"\b({_LIMITS}) (\d*\.\d\d?)(?![\w.]| ?(?:s|sec|mp|k|x|gb|mb|fps)\b)")
