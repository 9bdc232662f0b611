"""Read from a caller's words what one run should be like: sound, size, length, shape, number."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from catalog.asked_limit import limits_of, lowest
from catalog.asked_voice import voice_in
from catalog.search_measure import length_in, number_of, seconds_of
from catalog.search_spelled import spelled

_KILO: Mapping[str, int] = {"1": 1024, "2": 1440, "4": 2160, "8": 4320}
# Shapes that fields of models know; anything else between two numbers is a time or a score.
_RATIOS_LISTED = "9:16 16:9 1:1 4:3 3:4 3:2 2:3 21:9 9:21 4:5 5:4 2:1 1:2 1:3 3:1 1:4 4:1"
RATIOS = frozenset(_RATIOS_LISTED.split())
SHAPES: Sequence[tuple[str, str]] = (
    (
        "9:16",
        r"vertical\w*|upright|hochkant|hochformat|senkrecht\w*|вертикальн\w*|竖屏|竖版|縦型|세로",
    ),
    ("16:9", r"horizontal\w*|widescreen|querformat|горизонтальн\w*|横屏|横版|横型|가로"),
    (
        "1:1",
        r"square|quadratisch\w*|cuadrad\w*|carre|quadrad\w*|quadrat\w*|квадратн\w*|方形|正方形",
    ),
)
VARIATIONS = (
    r"variations?|versions?|variants?|alternatives?|varianten?|versionen|variantes?"
    r"|variacion(?:es)?|variazion[ei]|variac[oe]es|вариант\w*"
)
_PICTURES = (
    r"images?|pictures?|photos?|pics|options?|samples?|outputs?|takes|bilder?|imagenes|fotos?"
    r"|imagens|immagini|drawings?|illustrations?|logos?|icons?|portraits?|posters?|thumbnails?"
    r"|songs?|videos?|clips?"
)
_NO_SOUND = (
    r"(?:without|no)(?: any)? (?:sound|audio)|sound off|silent(?:ly)?|muted?"
    r"|(?:ohne|sin|sans|sem|senza) (?:ton|sonido|son|som|audio|suono)"
)
_SOUND = (
    r"sounds?|audio|soundtrack|dialog(?:ue)?s?|talk(?:s|ing)?|speak(?:s|ing)?|spoken|narrat\w+"
    r"|sing(?:s|ing)?|voice ?over|lip ?sync(?:ed)?"
)
_TRANSPARENT = (
    r"(?:a |on a )?transparent (?:background|backdrop|png)|transparent|alpha channel"
    r"|(?:without|no) (?:a )?background|transparente[mnrs]?\b(?: hintergrund)?"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What words ask of one run; empty where they say nothing.

    *height* counts lines (2160 for 4k) and *kilo* is the word as it was said (``4k``). *ratio* is
    width to height; a *loose* one was said by a word such as vertical, so that any of its kind
    serves, *pixels* the width and height where both are said. *form* is a file format (``webp``),
    *tongue* a language as English name and code. *switches* are features of a search that whoever
    reads the words adds. *voice* are the words for one. *dollars* are the most that the run may
    cost, None where no limit is named. *rest* is the text without what was read here.
    """

    sound: bool | None = None
    height: int = 0
    kilo: str = ""
    seconds: float = 0.0
    ratio: str = ""
    loose: bool = False
    count: int = 0
    transparent: bool = False
    seed: int | None = None
    dollars: float | None = None
    pixels: tuple[int, int] | None = None
    fps: int = 0
    form: str = ""
    tongue: tuple[str, str] | None = None
    switches: tuple[str, ...] = ()
    voice: str = ""
    rest: str = ""

    def __bool__(self) -> bool:
        return bool(
            self.sound is not None or self.height or self.seconds or self.ratio or self.count > 1
            or self.transparent or self.seed is not None or self.pixels or self.fps or self.form
            or self.tongue or self.switches or self.voice
        )  # fmt: skip


def asked_in(text: str, in_english: Callable[[str], str] = str) -> Asked:
    """Return what *text*, the name of a task, asks for; *in_english* translates what is left of it.

    It must be `plain`. Every mention counts: whoever names a task describes the run.
    """
    own = _read(text)
    english = in_english(own.rest)
    if not english.isascii():  # a word of its own tells too little of its language
        english = in_english(text)
    return own if english == own.rest else _completed(own, _read(english))


def _completed(own: Asked, english: Asked) -> Asked:
    """Return what either reading holds; the text in its own words comes first."""
    return Asked(
        sound=own.sound if own.sound is not None else english.sound,
        height=own.height or english.height,
        kilo=own.kilo or english.kilo,
        seconds=own.seconds or english.seconds,
        ratio=own.ratio or english.ratio,
        loose=own.loose if own.ratio else english.loose,
        count=own.count or english.count,
        transparent=own.transparent or english.transparent,
        seed=own.seed if own.seed is not None else english.seed,
        dollars=own.dollars if own.dollars is not None else english.dollars,
        pixels=own.pixels or english.pixels,
        fps=own.fps or english.fps,
        form=own.form or english.form,
        tongue=own.tongue or english.tongue,
        voice=own.voice or english.voice,
        rest=english.rest,
    )


def _read(text: str) -> Asked:
    left = spelled(text)
    limits, left = limits_of(left)
    voice, left = voice_in(left)
    seed, left = _taken(left, _seed())
    pixels, left = _taken(left, _pixels())
    fps, left = _taken(left, _fps())
    form, left = _taken(left, _form())
    tongue = _tongue().search(left)
    ratio, left = _taken(left, _ratio(), lambda found: f"{found[1]}:{found[2]}" in RATIOS)
    size, left = _taken(left, _size())
    seconds, left = _seconds(left)
    count, left = _counted(left)
    shape, left = _taken(left, _shape())
    clear, left = _taken(left, _clear())
    silence, left = _taken(left, _silence())
    heard = None if silence else _heard().search(left) or _heard().search(voice)
    left = _with_sound().sub(" ", left)
    return Asked(
        sound=False if silence else True if heard else None,
        height=height_of(size),
        kilo=f"{size[2]}k" if size and size[2] else "",
        seconds=seconds,
        ratio=f"{ratio[1]}:{ratio[2]}" if ratio else named_shape(shape),
        loose=shape is not None and ratio is None,
        count=count,
        transparent=bool(clear),
        seed=int(seed[1]) if seed else None,
        dollars=lowest(limits, seconds, count),
        pixels=(int(pixels[1]), int(pixels[2])) if pixels else None,
        fps=int(fps[1]) if fps else 0,
        form=(form[1] or form[2]) if form else "",
        tongue=(tongue[1], _TONGUES[tongue[1]]) if tongue else None,
        voice=voice,
        rest=_tidied(left),
    )


def _taken(
    text: str, pattern: re.Pattern[str], is_right: Callable[[re.Match[str]], bool] | None = None
) -> tuple[re.Match[str] | None, str]:
    """Return where *pattern* is found in *text*, and the text without it."""
    for found in pattern.finditer(text):
        if is_right is None or is_right(found):
            return found, f"{text[: found.start()]} {text[found.end() :]}"
    return None, text


def _seconds(text: str) -> tuple[float, str]:
    found = length_in(text)
    if found is None or text[: found.start()].endswith(("-", "\u2212")):
        return 0.0, text
    return seconds_of(found), f"{text[: found.start()]} {text[found.end() :]}"


def _counted(text: str) -> tuple[int, str]:
    """Return how many are asked for; what they are stays in the text."""
    found = _count().search(text)
    if found is None:
        return 0, text
    kept = found["what"] or ""
    return int(number_of(found[1])), f"{text[: found.start()]} {kept} {text[found.end() :]}"


def tongue_of(word: object) -> tuple[str, str] | None:
    """Return the language that a name or code stands for, as English name and code."""
    said = word.strip().lower() if isinstance(word, str) else ""
    return next(((name, code) for name, code in _TONGUES.items() if said in (name, code)), None)


def height_of(found: re.Match[str] | None) -> int:
    """Return the lines of a size that was *found*: as a number, in thousands, or by a name."""
    if found is None:
        return 0
    if found[1]:
        return int(found[1])
    return _KILO[found[2]] if found[2] else 2160 if found[3].startswith("u") else 1080


def named_shape(found: re.Match[str] | None) -> str:
    """Return the width to height of a shape that was *found* as a word, empty where none was."""
    if found is None:
        return ""
    said = found[0].strip(" ,")
    if re.match(r"portrait|in portrait|tiktok|reels?|shorts|stor|for ", said):
        return "9:16"
    if said.startswith(("landscape", "in landscape")):
        return "16:9"
    return next(ratio for ratio, words in SHAPES if re.search(words, said))


def _tidied(text: str) -> str:
    """Return *text* without the little words that stood around what was taken out of it."""
    text = re.sub(r"\s+([,;.])", r"\1", " ".join(text.split()))
    text = re.sub(r"(?:[,;]\s*)+", ", ", text).strip(" ,;.")
    before = ""
    while text != before:
        before = text
        text = re.sub(
            r"[\s,]+(?:in|at|as|of|for|with|and|a|an|the|on|long|by|up to|max|at most|costing)$",
            "",
            text,
        )
        text = re.sub(r"^(?:in|at|as|of|for|with|and|a|an|the|on)[\s,]+(?=\S)", "", text)
        text = text.strip(" ,;.")
    return text


@cache
def _seed() -> re.Pattern[str]:
    return re.compile(r"\bseed(?: number| value)?\s*(?:=|:|of|is)?\s*(\d{1,10})\b")


@cache
def _pixels() -> re.Pattern[str]:
    return re.compile(
        r"(?:\bat )?(?<![\w.])(\d{3,5})\s?[x\u00d7]\s?(\d{3,5})(?!\w)(?: pixels| px)?"
    )


@cache
def _fps() -> re.Pattern[str]:
    return re.compile(r"(?:\bat )?\b(\d{1,3})\s?(?:fps|frames (?:per|a) second)\b")


@cache
def _form() -> re.Pattern[str]:
    form = r"(png|jpe?g|webp|gif|mp3|wav|flac|ogg|opus|glb|obj|fbx|usdz|stl|webm|mov)"
    return re.compile(
        rf"\b(?:as|in) (?:an? )?{form}\b(?: (?:file|format))?|\b{form} (?:file|format)\b"
    )


_TONGUES: Mapping[str, str] = {
    "english": "en", "german": "de", "french": "fr", "spanish": "es", "italian": "it",
    "portuguese": "pt", "dutch": "nl", "polish": "pl", "russian": "ru", "ukrainian": "uk",
    "turkish": "tr", "arabic": "ar", "hindi": "hi", "chinese": "zh", "japanese": "ja",
    "korean": "ko", "swedish": "sv", "danish": "da", "finnish": "fi", "greek": "el",
    "czech": "cs", "hungarian": "hu", "romanian": "ro", "vietnamese": "vi", "indonesian": "id",
}  # fmt: skip


@cache
def _tongue() -> re.Pattern[str]:
    return re.compile(rf"\b(?:in |into )?({'|'.join(_TONGUES)})\b")


@cache
def _ratio() -> re.Pattern[str]:
    return re.compile(r"(?<![\w:.])(\d{1,2})\s?[:x\u00d7]\s?(\d{1,2})(?![\w:.]*\d)")


SIZE = r"(?<![\w.])(?:(\d{3,4})\s?p(?![a-z])|([1248])\s?k(?!\w)|(ultra hd|uhd|full ?hd))"


@cache
def _size() -> re.Pattern[str]:
    return re.compile(rf"(?:\b(?:in|at)\s+)?{SIZE}(?:\s+resolution\b)?")


@cache
def _count() -> re.Pattern[str]:
    number = r"(?<![\w.-])(\d{1,3}|" + "|".join(COUNT_WORDS) + r")"
    return re.compile(
        r"(?<!from )(?<!of )(?<!combine )(?<!merge )(?<!blend )(?<!these )(?<!my )(?<!between )"
        rf"{number}\s+(?!reference|input|source)(?:(?:different|new|unique|more|separate)\s+)?"
        rf"(?:(?:{VARIATIONS})(?!\w)(?:\s+of(?: the| a| an)?(?=\s))?|(?P<what>{_PICTURES})(?!\w))"
    )


COUNT_WORDS = (
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "zwei", "drei", "vier",
    "funf", "sechs", "dos", "tres", "cuatro", "cinco", "seis", "deux", "trois", "quatre", "cinq",
    "due", "tre", "quattro", "dois", "quatro", "twelve",
)  # fmt: skip


@cache
def _shape() -> re.Pattern[str]:
    words = "|".join(names for _, names in SHAPES)
    form = r"(?:format|orientation|mode|video|clip|aspect(?: ratio)?|shape|layout)"
    made_for = r"(?:for )?(?:tiktok|instagram reels?|instagram stor(?:y|ies)|reels|shorts)"
    told = rf"(?:portrait|landscape) {form}|in (?:portrait|landscape)(?: {form})?(?=$|[\s,.])"
    return re.compile(
        rf"(?<!\w)(?:{words})(?:[- ](?:format|orientation|mode|aspect(?: ratio)?))?(?!\w)"
        rf"|\b(?:{told})|\b{made_for}\b|(?:portrait|landscape)(?= (?:\w+-to-(?:video|image)))"
        r"|(?<=-to-(?:video|image))[\s,]+(?:portrait|landscape)\b"
        r"|[竖横縦][屏版型]|세로|가로"
    )


@cache
def _clear() -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{_TRANSPARENT})(?!\w)")


@cache
def _silence() -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{_NO_SOUND})(?!\w)|无声|無音")


@cache
def _with_sound() -> re.Pattern[str]:
    """Match what says no more than that there is to be sound."""
    return re.compile(
        r"\b(?:with|plus|including) (?:an? )?(?:(?:native|natural|synced) )?"
        r"(?:sound|audio|voice ?overs?|narration|dialogue|speech)(?!\w)"
        r"|\b(?:sound|audio)(?= (?:video|clip)\b)|\bsound on\b"
        r"|带(?:有)?声音的?|有声|音声付き(?:の)?"
    )


@cache
def _heard() -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{_SOUND})(?![\w-])|声|소리|음성")  # not of "text-to-audio"
