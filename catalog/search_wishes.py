"""Read limits and wishes from plain words: prices, sizes, lengths, sound, other properties."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from catalog.search_reading import Lexicon, Reading
from catalog.search_tables import (
    CHARACTERS,
    COLUMNS,
    HEIGHTS,
    PICTURE,
    REQUEST,
    SECOND,
    SIZES,
    SearchTables,
)

_KEPT, _BROKEN = 2.6, -2.6
_CHEAP, _FAST, _BEST = 2.2, 0.9, 0.5

_ONES: Mapping[str, float] = {
    word: float(number)
    for number, words in enumerate(
        ("", "one un una uno ein eine um uma", "two dos zwei deux dois due", "three tres drei trois",
         "four cuatro vier quatre quatro", "five cinco funf cinq", "six seis sechs sei",
         "seven siete sieben sept", "eight ocho acht huit", "nine nueve neun neuf",
         "ten diez zehn dix dez dieci")
    )
    for word in words.split()
} | {"twelve": 12.0, "fifteen": 15.0, "twenty": 20.0, "thirty": 30.0, "half": 0.5, "sixty": 60.0}  # fmt: skip

_AMOUNT = r"(\d+(?:[.,]\d+)?|" + "|".join(_ONES) + r"|a|an)"
_CENTS = r"cents?|¢|ct|cts|centavos?|centimos?|centimes?|美分|セント|센트|цент\w*"
_DOLLARS = r"dollars?|usd|bucks?|\$|dolares|dolar|euros?|eur|€|美元|ドル|달러|доллар\w*"
_MONEY = re.compile(
    rf"(?:(?P<sign>[$€])\s*(?P<amount>\d+(?:[.,]\d+)?)\s*(?P<c1>{_CENTS})?"
    rf"|{_AMOUNT.replace('(', '(?P<number>', 1)}\s*(?:(?P<cents>{_CENTS})|(?P<dollars>{_DOLLARS})))(?!\w)"
)
_PER = re.compile(
    r"(?:per|/|an?|each|every|pro|por|par|je|al|for|the|每|за|мин)?\s*(?P<number>\d+|thousand|1k|one)?\s*"
    r"(?P<unit>sec\w*|s\b|seg\w*|sek\w*|秒|初|сек\w*|min\w*|image\w*|img|pict\w*|pics?\b|photo\w*|bild\w*"
    r"|imag\w*|foto\w*|张|枚|char\w*|caract\w*|zeichen|字符|文字|video\w*|clip\w*|run\w*|generation\w*"
    r"|request\w*|song\w*|track\w*|model\w*|call\w*|mega\w*|mp\b)"
)
_HEIGHT = re.compile(r"(?<![\w.])(\d{3,4})\s?p(?![a-z])|(?<![\w.])([248])\s?k(?!\w)")
_SIZE_WORDS: Mapping[str, int] = {"full hd": 2, "fullhd": 2, "uhd": 4, "ultra hd": 4}
_SECONDS = re.compile(
    rf"(?<!\w){_AMOUNT}[\s-]*(?P<unit>seconds?|secs?|(?<=\d)s(?!\w)|(?<=\d )s(?!\w)|segundos?|sekunden?|secondes?|secondi|秒"
    r"|minutes?|mins?|minutos?|minuten?|minuti|分|초|분|секунд\w*|минут\w*)"
)
_COUNTED = re.compile(
    rf"(?<!\w){_AMOUNT}\s*(?P<unit>images?|pictures?|photos?|imagenes|bilder|imagens"
    r"|k?\s*characters?|chars?|videos?|clips?|runs?|requests?|generations?|songs?|tracks?|models?"
    r"|megapixels?|mp)(?!\w)"
)
_AT_LEAST = re.compile(
    r"at least|minimum|more than|longer than|over \d|lasting|up to|min\.|mindestens|al menos|au moins"
    r"|pelo menos|almeno|至少|以上|최소|не менее|or more|or longer|long|up"
)


@dataclass(frozen=True, slots=True)
class Measure:
    """An amount of work: *count* of *kind* (a column group), a height or size, with sound or not.

    *kind* is -1 for one of whatever a card is priced in.
    """

    kind: int = -1
    count: float = 1.0
    height: int = -1
    size: int = -1
    sound: bool | None = None

    def dollars(self, card: int, tables: SearchTables) -> float:
        """Return what this costs on *card*, NaN where it is not known or not offered."""
        prices, base = tables.prices, card * COLUMNS
        kind = tables.unit[card] if self.kind < 0 else self.kind
        usual = tables.usual[card]
        if kind == SECOND:
            own = usual if tables.unit[card] == SECOND else SECOND + 3
            heard = (own - SECOND) % 2 if self.sound is None else int(self.sound)
            height = (own - SECOND) // 2 if self.height < 0 else self.height
            dollars = prices[base + SECOND + 2 * height + heard] * self.count
            if math.isnan(dollars) and tables.unit[card] == REQUEST and self.kind >= 0:
                return prices[base + REQUEST] if tables.media_out[card] & 6 else math.nan
            return dollars
        if kind == PICTURE:
            return prices[base + PICTURE + max(0, self.size)] * self.count
        if kind == CHARACTERS:
            return prices[base + CHARACTERS] * self.count
        return prices[base + REQUEST] * self.count


@dataclass(slots=True)
class Wishes:
    """What a query asks of a card beside its task.

    *limit* is dollars for *measure*. *height* and *size* are places in `HEIGHTS` and `SIZES`,
    *seconds* a least length; -1 and 0 where nothing was said. *features* are words of the catalog.
    """

    limit: float | None = None
    measure: Measure = Measure()
    height: int = -1
    size: int = -1
    seconds: float = 0.0
    features: list[str] = field(default_factory=list[str])
    cheap: bool = False
    fast: bool = False
    best: bool = False
    newest: bool = False

    def __bool__(self) -> bool:
        return bool(
            self.limit is not None or self.height >= 0 or self.size >= 0 or self.seconds
            or self.features or self.fast or self.best or self.newest
        )  # fmt: skip

    @property
    def is_telling(self) -> bool:
        """Whether these wishes alone show that a model is sought."""
        return self.limit is not None or any(f != "long" for f in self.features)

    def worth(self, card: int, tables: SearchTables) -> float:
        """Return what *card* gains for wishes it keeps and loses for those it breaks."""
        gain = 0.0
        if self.limit is not None:
            dollars = self.measure.dollars(card, tables)
            if not math.isnan(dollars):
                gain += _KEPT if dollars <= self.limit * 1.0001 else _BROKEN
            else:
                gain -= 0.8
        if self.height >= 0 and tables.media_out[card] & 2:
            heights = tables.heights[card]
            if heights:
                gain += _KEPT if heights >> self.height & 1 else _BROKEN
        elif self.size > 0 and tables.media_out[card] & 1:
            gain += _KEPT if tables.bits.of(f"f{SIZES[self.size]}") >> card & 1 else -0.6
        if self.seconds:
            longest = tables.longest[card]
            if not math.isnan(longest):
                gain += 1.6 if longest >= self.seconds else _BROKEN
        for feature in self.features:
            gain += self._feature(feature, card, tables)
        if self.fast:
            gain += _FAST * bool(tables.variants[card] & _kind_bits(tables, _FAST_KINDS))
        if self.best:
            gain += _BEST * bool(tables.variants[card] & _kind_bits(tables, _BEST_KINDS))
        if self.newest:
            gain += max(0.0, min(1.2, (tables.age[card] - 280) / 36))
        return gain

    def _feature(self, feature: str, card: int, tables: SearchTables) -> float:
        if feature == "silent":
            return 0.0
        if feature == "draft":
            return 1.4 if tables.bits.of("fdraft") >> card & 1 else 0.0
        if tables.bits.of(f"f{feature}") >> card & 1:
            return 2.2
        return -2.2 if feature in ("sound", "end frame", "reference images", "mask") else -0.9

    def words(self) -> list[str]:
        """Return the wishes in short words, as they were understood."""
        said = [feature for feature in self.features]
        if self.height >= 0:
            said.append(f"{HEIGHTS[self.height]}p")
        if self.seconds:
            said.append(f"at least {self.seconds:g} s")
        if self.limit is not None:
            said.append(f"at most ${self.limit:g}{_unit_words(self.measure)}")
        said += [word for word in ("cheap", "fast", "best", "newest") if getattr(self, word)]
        return said


_FAST_KINDS = ("fast", "turbo", "lite", "mini", "flash", "lightning", "distilled", "rapid")
_BEST_KINDS = ("pro", "max", "ultra", "master", "quality", "hd")


def _kind_bits(tables: SearchTables, kinds: tuple[str, ...]) -> int:
    return sum(1 << tables.kinds.index(kind) for kind in kinds)


def _unit_words(measure: Measure) -> str:
    if measure.kind < 0:
        return ""
    what = {SECOND: "second", PICTURE: "image", CHARACTERS: "1000 characters", REQUEST: "run"}
    return f" for {measure.count:g} x {what[measure.kind]}" if measure.count != 1 else (
        f" a {what[measure.kind]}"
    )


def wishes_in(reading: Reading, lexicon: Lexicon) -> Wishes:
    """Return the wishes that *reading* speaks of."""
    wishes = Wishes()
    for sense in reading.senses:
        name = lexicon.senses[sense]
        if name[0] != "!":
            continue
        word = name[1:]
        if word in ("cheap", "fast", "newest"):
            setattr(wishes, word, True)
        elif word == "quality":
            wishes.best = True
        elif word != "long":
            wishes.features.append(word)
    wishes.features.sort()
    _read_money(reading.text, wishes)
    wishes.height, wishes.size = _height_in(reading.text)
    if wishes.limit is not None and (wishes.height >= 0 or "sound" in wishes.features):
        heard = True if "sound" in wishes.features else None
        wishes.measure = replace(wishes.measure, height=wishes.height, sound=heard)
    if (found := _SECONDS.search(reading.text)) and _AT_LEAST.search(reading.text):
        wishes.seconds = _seconds(found)
    elif found and re.search(r"video|clip|song|track|music|film|动画|動画|视频", reading.text):
        wishes.seconds = _seconds(found)
    return wishes


def _number(text: str | None) -> float:
    if text is None or text in ("a", "an", ""):
        return 1.0
    return _ONES[text] if text in _ONES else float(text.replace(",", "."))


def _seconds(found: re.Match[str]) -> float:
    unit = found["unit"]
    minutes = unit.startswith(("min", "分", "분", "мин"))
    return _number(found[1]) * (60 if minutes else 1)


def _read_money(text: str, wishes: Wishes) -> None:
    """Read "under $0.30 per second" and its kin from *text*."""
    found = _MONEY.search(text)
    if not found:
        return
    dollars = _number(found["amount"] or found["number"])
    if found["cents"] or found["c1"]:
        dollars /= 100
    wishes.limit = dollars
    per = _PER.match(text[found.end() :].lstrip()[:40])
    if not per:
        per = _PER.search(text[: found.start()][-30:]) if "per" in text[: found.start()] else None
    wishes.measure = _per_unit(per) if per else Measure()


def _per_unit(per: re.Match[str]) -> Measure:
    unit = per["unit"]
    if unit.startswith(("sec", "seg", "sek", "秒", "初", "сек")) or unit == "s":
        return Measure(SECOND, float(per["number"] or 1) if (per["number"] or "1").isdigit() else 1)
    if unit.startswith("min"):
        return Measure(SECOND, 60)
    if unit.startswith(("im", "pic", "photo", "bild", "foto", "张", "枚", "mega", "mp")):
        return Measure(PICTURE)
    if unit.startswith(("char", "caract", "zeichen", "字符", "文字")):
        count = per["number"]
        return Measure(CHARACTERS, float(count) / 1000 if count and count.isdigit() else 1)
    return Measure(REQUEST)


def _height_in(text: str) -> tuple[int, int]:
    """Return the places in `HEIGHTS` and `SIZES` of a size in *text*, -1 where there is none."""
    for words, place in _SIZE_WORDS.items():
        if words in text:
            return place, min(2, max(1, place - 2))
    if not (found := _HEIGHT.search(text)):
        return -1, -1
    height = {"2": 1440, "4": 2160, "8": 2160}[found[2]] if found[2] else int(found[1])
    nearest = min(range(len(HEIGHTS)), key=lambda at: abs(HEIGHTS[at] - height))
    size = {"2": 1, "4": 2, "8": 2}.get(found[2] or "", -1)
    return nearest, size


def measure_of(text: str) -> Measure | None:
    """Return the work in *text* ("10 seconds at 1080p", "4 images"), None where there is none."""
    height, size = _height_in(text)
    sound = None
    if re.search(r"(?:no|without) (?:sound|audio)|silent|mute", text):
        sound = False
    elif re.search(r"(?:with )?(?:sound|audio)", text):
        sound = True
    kind, count = -1, 1.0
    if found := _SECONDS.search(text):
        kind, count = SECOND, _seconds(found)
    elif found := _COUNTED.search(text):
        unit, count = found["unit"], _number(found[1])
        if unit.startswith(("im", "pic", "photo", "bild", "mega", "mp")):
            kind = PICTURE
        elif "char" in unit:
            kind, count = CHARACTERS, count if unit.startswith("k") else count / 1000
        else:
            kind = REQUEST
    if kind < 0 and height < 0 and sound is None:
        return None
    return Measure(kind, count, height, size, sound)
