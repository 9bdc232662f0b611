"""Read amounts of work and money from plain words, and price work on a card."""

import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

from catalog.search_tables import (
    CHARACTERS,
    COLUMNS,
    FULL_HD,
    HEIGHTS,
    PICTURE,
    REQUEST,
    SECOND,
    SearchTables,
)

_ONES: Mapping[str, float] = {
    word: float(number)
    for number, words in enumerate(
        ("", "one un una uno ein eine um uma", "two dos zwei deux dois due",
         "three tres drei trois", "four cuatro vier quatre quatro", "five cinco funf cinq",
         "six seis sechs sei",
         "seven siete sieben sept", "eight ocho acht huit", "nine nueve neun neuf",
         "ten diez zehn dix dez dieci")
    )
    for word in words.split()
} | {
    "half": 0.5, "twelve": 12.0, "fifteen": 15.0, "twenty": 20.0, "thirty": 30.0, "sixty": 60.0
}  # fmt: skip

_AMOUNT = r"(\d+(?:[.,]\d+)?(?:e\d{1,2})?|" + "|".join(_ONES) + r"|a|an)"
_TIMES: Mapping[str, float] = {"k": 1e3, "thousand": 1e3, "million": 1e6, "m": 1e6, "mio": 1e6}
_CENTS = r"cents?|¢|(?<=\d)c|ct|cts|centavos?|centimos?|centimes?|美分|セント|센트|цент\w*"
_DOLLARS = r"dollars?|usd|bucks?|\$|dolares|dolar|euros?|eur|€|美元|ドル|달러|доллар\w*"
_SIZE_WORDS: Mapping[str, int] = {"full hd": 2, "fullhd": 2, "uhd": 4, "ultra hd": 4}
# A text without any of these speaks of no money; of no length.
_MONEY_SIGNS = (
    "$",
    "€",
    "¢",
    "cent",
    "dol",
    "usd",
    "buck",
    "euro",
    "ct",
    "美",
    "セ",
    "센",
    "ドル",
    "달",
    "дол",
)
# Digits of a number of seconds that is written with a mere s.
_LONGEST_IN_S = 3
# These may mean something else altogether.
_SHORT = ("c", "ct", "cts")
_DIGIT, _SHORT_CENTS = re.compile(r"\d"), re.compile(r"\dc\b")
_SAME_SECONDS = 0.06
_FULL_HD = HEIGHTS.index(1080)
_SIDES = re.compile(r"(?<!\d)(\d{3,4})\s?[x\u00d7*]\s?(\d{3,4})(?!\d)")
_K_HEIGHTS: Mapping[str, int] = {"2": 1440, "4": 2160, "8": 2160}
# From this long side on a picture is one of 4K or 2K.
_SIDE_4K, _SIDE_2K = 3500, 1900
_PICTURES = ("im", "pic", "photo", "bild", "thumb", "illus")
# A text is told by its words as well; a word and the blank behind it are about so many characters.
_LETTERS = 6
_TIME_SIGNS = ("s", "min", "秒", "分", "초", "분", "сек", "мин")


# The patterns are long and most queries need none: each is compiled when it is first wanted.


@cache
def _money() -> re.Pattern[str]:
    times = "|".join(sorted(_TIMES, key=len, reverse=True))
    return re.compile(
        rf"(?:(?P<sign>[$€])\s*(?P<amount>[-\u2212]?\d+(?:[.,]\d+)?(?:e\d{{1,2}})?)\s*"
        rf"(?:(?P<c1>{_CENTS})|(?P<t1>{times}))?"
        rf"|(?<!\w){_AMOUNT.replace('(', '(?P<number>', 1)}\s*(?P<t2>{times})?\s*"
        rf"(?:(?P<cents>{_CENTS})|(?P<dollars>{_DOLLARS})))(?!\w)"
    )


@cache
def _minus() -> re.Pattern[str]:
    """Match what makes the amount right after it one below zero, unlike the dash of "sub-5"."""
    return re.compile(r"(?:^|\s)[-\u2212]$")


@cache
def _per() -> re.Pattern[str]:
    return re.compile(
        r"(?:for (?=each|every|an?\b|one))?"
        r"(?:per|/|an?|each|every|pro|por|par|je|al|for|the|每|за|мин)?\s*"
        r"(?P<number>\d+(?=\D)(?!\s?(?:k|m|mio|million)\b)|thousand|(?:1\s?)?(?:k|million|mio|m)\b|one)?\s*"
        r"(?P<unit>sec\w*|s\b|seg\w*|sek\w*|秒|初|сек\w*|min\w*|image\w*|img|pict\w*|pics?\b|photo\w*"
        r"|bild\w*|imag\w*|foto\w*|张|枚|char\w*|caract\w*|zeichen|字符|文字|video\w*|clip\w*|run\w*"
        r"|generation\w*|request\w*|edits?\b|upscales?\b|song\w*|track\w*|model\w*|call\w*|mega\w*|mp\b)"
    )


@cache
def _height_word() -> re.Pattern[str]:
    return re.compile(
        r"(?<![\w.])(\d{3,4})\s?p(?![a-z])|(?<![\w.$€])([248])\s?k(?!\w)"
        r"|(?<=\b(?:in|at) )(480|720|1080|2160)(?= ?(?:$|[,;.]|with\b|and\b|under\b|below\b))"
    )


@cache
def _length() -> re.Pattern[str]:
    return re.compile(
        rf"(?<!\w){_AMOUNT}[\s-]*(?P<unit>seconds?|secs?|(?<=\d)s(?!\w)|(?<=\d )s(?!\w)|segundos?"
        r"|sekunden?|secondes?|secondi|秒|minutes?|mins?|minutos?|minuten?|minuti|分|초|분|секунд\w*"
        r"|минут\w*)"
    )


@cache
def _counted() -> re.Pattern[str]:
    return re.compile(
        rf"(?<!\w){_AMOUNT}\s*(?:(?:product|different|unique|new|small|square|social|short)\s+)?"
        r"(?P<unit>images?|pictures?|photos?|imagenes|bilder|imagens|pics|thumbnails?|illustrations"
        r"|k?\s*characters?|chars?|videos?|clips?|runs?|requests?|generations?|songs?|tracks?"
        r"|models?|megapixels?|mp)(?!\w)"
    )


@cache
def at_least() -> re.Pattern[str]:
    """Return words that make a length a wish for what comes out."""
    return re.compile(
        r"at least|minimum|more than|longer than|over \d|lasting|up to|min\.|mindestens|al menos"
        r"|au moins|pelo menos|almeno|至少|以上|최소|не менее|or more|or longer|long|up"
        r"|video|clip|song|track|music|film|take|footage|scene|动画|動画|视频"
    )


class Measure(NamedTuple):
    """An amount of work: *amount* of *kind* (a column group), a height or size, with sound or not.

    *kind* is -1 for one of whatever a card is priced in; a limit for that is one for a whole run.
    Seconds are those of a run, which may have to be longer; of a *rate* they are just a unit.
    """

    kind: int = -1
    amount: float = 1.0
    height: int = -1
    size: int = -1
    sound: bool | None = None
    rate: bool = False

    def dollars(self, card: int, tables: SearchTables) -> float:
        """Return what this costs on *card*, NaN where it is not known or not offered."""
        prices, base = tables.prices, card * COLUMNS
        kind = tables.unit[card] if self.kind < 0 else self.kind
        usual = tables.usual[card]
        if kind == SECOND:
            own = usual if tables.unit[card] == SECOND else SECOND + 3
            heard = (own - SECOND) % 2 if self.sound is None else int(self.sound)
            height = (own - SECOND) // 2 if self.height < 0 else self.height
            price = prices[base + SECOND + 2 * height + heard]
            if math.isnan(price) and self.height >= 0 and tables.heights[card]:
                price = prices[base + SECOND + 2 * self.height_made(card, tables) + heard]
            if math.isnan(price):
                by_run = tables.unit[card] == REQUEST and self.kind >= 0
                return prices[base + REQUEST] if by_run and tables.media_out[card] & 6 else price
            if self.kind < 0 or self.rate:
                return price * self.amount
            spans = tables.spans
            return price * spans.billed(self.amount)[spans.numbers[card]]
        if kind == PICTURE:
            if self.height == _FULL_HD and not math.isnan(dollars := prices[base + FULL_HD]):
                return dollars * self.amount
            return prices[base + PICTURE + max(0, self.size)] * self.amount
        if kind == CHARACTERS:
            return prices[base + CHARACTERS] * self.amount
        return prices[base + REQUEST] * self.amount

    def seconds(self, card: int, tables: SearchTables) -> float:
        """Return how long a run on *card* is that a limit without a unit is for, NaN if of none.

        Below zero where the card has no length by default and a usual one is supposed.
        """
        by_second = self.kind < 0 and tables.unit[card] == SECOND
        return tables.length[card] if by_second else math.nan

    def height_made(self, card: int, tables: SearchTables) -> int:
        """Return the place of the size that *card* makes for this one: the next larger it has."""
        if self.height < 0:
            return self.height
        heights = tables.heights[card] >> self.height
        if not heights or heights & 1:
            return self.height
        return self.height + (heights & -heights).bit_length() - 1

    def made(self, card: int, tables: SearchTables) -> float | None:
        """Return how long a run on *card* is that serves for the seconds asked, None if not asked.

        Less than was asked where it makes none so long; infinite where nobody can tell.
        """
        if self.kind != SECOND or self.rate:
            return None
        made = tables.spans.lasting(card, self.amount)[0]
        longest = tables.spans.longest(card) or tables.longest[card]
        return longest if longest < self.amount - _SAME_SECONDS else made

    def limited(self, card: int, tables: SearchTables) -> float:
        """Return what a limit of money has to be held against: `dollars`, of a clip as a whole."""
        dollars = self.dollars(card, tables)
        if self.kind >= 0:
            return dollars
        seconds = self.seconds(card, tables)
        return dollars if math.isnan(seconds) else dollars * abs(seconds)


class Limit(NamedTuple):
    """An amount of money in a text, from *start* to *end*; one *is_short* that says but 4c."""

    dollars: float
    measure: Measure
    start: int
    end: int
    is_short: bool


def number_of(text: str | None) -> float:
    """Return the number that *text* writes in digits or as a small word, 1 where it is none."""
    if text is None or text in ("a", "an", ""):
        return 1.0
    return _ONES[text] if text in _ONES else float(text.replace(",", "."))


def seconds_of(found: re.Match[str]) -> float:
    """Return the seconds of a length that `length_in` found."""
    unit = found["unit"]
    minutes = unit.startswith(("min", "分", "분", "мин"))
    return number_of(found[1]) * (60 if minutes else 1)


def length_in(text: str) -> re.Match[str] | None:
    """Return where *text* tells a length of time, None where it does not; see `seconds_of`."""
    if not any(map(text.__contains__, _TIME_SIGNS)):
        return None
    if text.isascii() and not _DIGIT.search(text) and _ONES.keys().isdisjoint(text.split()):
        return None
    found = _length().search(text)
    if found and found["unit"] == "s" and len(found[1]) > _LONGEST_IN_S:
        return None  # "a film of the 1940s"
    return found


def limit_in(text: str) -> tuple[float | None, Measure]:
    """Return the dollars in "under $0.30 per second" and its kin, and what they are for.

    The dollars are None where *text* speaks of no money.
    """
    if not any(map(text.__contains__, _MONEY_SIGNS)) and not _SHORT_CENTS.search(text):
        return None, Measure()
    if not (found := _money().search(text)):
        return None, Measure()
    return _limit_at(text, found)


def limits_in(text: str) -> Iterator[Limit]:
    """Yield every amount of money in *text*, as `limit_in` reads the first."""
    for found in _money().finditer(text):
        dollars, measure = _limit_at(text, found)
        short = (found["c1"] or found["cents"] or "") in _SHORT
        yield Limit(dollars, measure, found.start(), found.end(), short and not found["sign"])


def _limit_at(text: str, found: re.Match[str]) -> tuple[float, Measure]:
    dollars = number_of((found["amount"] or found["number"]).replace("\u2212", "-"))
    dollars *= _TIMES.get(found["t1"] or found["t2"] or "", 1)
    if found["cents"] or found["c1"]:
        dollars /= 100
    if _minus().search(text[: found.start()]):
        dollars = -dollars
    per = _per().match(text[found.end() :].lstrip()[:40])
    if not per:
        per = _per().search(text[: found.start()][-30:]) if "per" in text[: found.start()] else None
    return dollars, _per_unit(per) if per else Measure()


def _per_unit(per: re.Match[str]) -> Measure:
    unit = per["unit"]
    if unit.startswith(("sec", "seg", "sek", "秒", "初", "сек")) or unit == "s":
        number = per["number"] or ""
        amount = float(number) if number.isdigit() else 1.0
        return Measure(SECOND, amount, rate=amount == 1 or not per[0].startswith("for"))
    if unit.startswith("min"):
        return Measure(SECOND, 60, rate=True)
    if unit.startswith(("im", "pic", "photo", "bild", "foto", "张", "枚", "mega", "mp")):
        return Measure(PICTURE)
    if unit.startswith(("char", "caract", "zeichen", "字符", "文字")):
        count = per["number"] or ""
        many = 1000.0 if count.endswith(("m", "million", "mio")) else 1.0
        return Measure(CHARACTERS, float(count) / 1000 if count.isdigit() else many)
    return Measure(REQUEST)


def size_in(text: str) -> tuple[int, int]:
    """Return the places in `HEIGHTS` and `SIZES` of a size in *text*, -1 where there is none."""
    for words, place in _SIZE_WORDS.items():
        if words in text:
            return place, min(2, max(1, place - 2))
    if not _DIGIT.search(text):
        return -1, -1
    if sides := _SIDES.search(text):
        long, short = sorted((int(sides[1]), int(sides[2])), reverse=True)
        nearest = min(range(len(HEIGHTS)), key=lambda at: abs(HEIGHTS[at] - short))
        return nearest, 2 if long >= _SIDE_4K else 1 if long >= _SIDE_2K else -1
    if not (found := _height_word().search(text)):
        return -1, -1
    height = _K_HEIGHTS[found[2]] if found[2] else int(found[1] or found[3])
    nearest = min(range(len(HEIGHTS)), key=lambda at: abs(HEIGHTS[at] - height))
    size = {"2": 1, "4": 2, "8": 2}.get(found[2] or "", -1)
    return nearest, size


def counted_in(text: str) -> Measure:
    """Return the seconds, pictures or characters that *text* counts, one unit where none."""
    if found := length_in(text):
        return Measure(SECOND, seconds_of(found))
    if _DIGIT.search(text):
        for found in _counted().finditer(text):
            unit, count = found["unit"], number_of(found[1])
            if unit.startswith(_PICTURES):
                return Measure(PICTURE, count)
            if "char" in unit:
                return Measure(CHARACTERS, count if unit.startswith("k") else count / 1000)
    return Measure()


def measure_of(text: str) -> Measure | None:
    """Return the work in *text* ("10 seconds at 1080p", "4 images"), None where there is none."""
    height, size = size_in(text)
    sound = None
    if re.search(r"(?:no|without) (?:sound|audio)|silent|mute", text):
        sound = False
    elif re.search(r"(?:with )?(?:sound|audio)", text):
        sound = True
    kind, count = -1, 1.0
    if found := length_in(text):
        kind, count = SECOND, seconds_of(found)
    elif "word" in text and (found := re.search(r"(?<![\w.])(\d{1,6})\s+words?\b", text)):
        kind, count = CHARACTERS, number_of(found[1]) * _LETTERS / 1000
    elif found := _counted().search(text):
        unit, count = found["unit"], number_of(found[1])
        if unit.startswith((*_PICTURES, "mega", "mp")):
            kind = PICTURE
        elif "char" in unit:
            kind, count = CHARACTERS, count if unit.startswith("k") else count / 1000
        else:
            kind = REQUEST
    if kind < 0 and height < 0 and sound is None:
        return None
    return Measure(kind, count, height, size, sound)


def unit_words(measure: Measure) -> str:
    """Return what a limit is for, as it follows an amount."""
    if measure.kind < 0:
        return ""
    what = {SECOND: "second", PICTURE: "image", CHARACTERS: "1000 characters", REQUEST: "run"}
    return (
        f" for {measure.amount:g} x {what[measure.kind]}"
        if measure.amount != 1
        else (f" per {what[measure.kind]}")
    )
