"""Turn explicit filters into sets of cards, or say which word would be right."""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal

from catalog.errors import ActionableError
from catalog.search_measure import Measure, measure_of
from catalog.search_reading import Lexicon
from catalog.search_spelled import spelled
from catalog.search_tables import MEDIA, SearchTables
from catalog.search_text import distance, plain

_NEGATIVE = re.compile(r"(?<![\w.])[-\u2212]\s?\d")
# Words no nearer than this have nothing in common; lists no longer than that are told whole.
_NEAR, _ALL_LISTED = 0.75, 30
ABBREVIATIONS: Mapping[str, str] = {
    "t2i": "text-to-image", "i2i": "image-to-image", "t2v": "text-to-video",
    "i2v": "image-to-video", "v2v": "video-to-video", "tts": "text-to-speech",
    "stt": "speech-to-text", "asr": "speech-to-text",
    "a2v": "audio-to-video", "v2a": "video-to-audio", "text-to-music": "text-to-audio",
    "text-to-sound": "text-to-audio", "text-to-text": "llm",
}  # fmt: skip
_CATEGORY_WORDS: Mapping[str, str] = {
    **ABBREVIATIONS,
    "transcription": "speech-to-text", "image-editing": "image-to-image", "edit": "image-to-image",
    "trainer": "training", "chat": "llm", "captioning": "vision", "ocr": "vision",
    "music": "text-to-audio", "song": "text-to-audio", "sound-effects": "text-to-audio",
    "speech": "text-to-speech", "voice": "text-to-speech", "image-generation": "text-to-image",
    "video-generation": "text-to-video", "video-editing": "video-to-video",
    "upscaling": "image-to-image", "image-upscaling": "image-to-image", "3d-model": "image-to-3d",
}  # fmt: skip
_MEDIA_WORDS: Mapping[str, str] = {
    "images": "image", "picture": "image", "photo": "image", "pictures": "image", "photos": "image",
    "svg": "image", "videos": "video", "clip": "video", "movie": "video", "sound": "audio",
    "voice": "audio", "music": "audio", "speech": "audio", "mesh": "3d", "model": "3d", "glb": "3d",
    "prompt": "text", "words": "text", "zip": "archive", "lora": "weights",
}  # fmt: skip
_FEATURE_WORDS: Mapping[str, str] = {
    "has_audio": "sound", "audio": "sound", "with sound": "sound", "with audio": "sound",
    "native audio": "sound", "generate_audio": "sound", "inpainting": "mask", "masks": "mask",
    "reference image": "reference images", "references": "reference images",
    "multiple images": "reference images", "last frame": "end frame", "end image": "end frame",
    "end frames": "end frame", "negative_prompt": "negative prompt", "loras": "lora",
    "stream": "streaming", "real-time": "realtime", "2160p": "4k", "uhd": "4k", "1440p": "2k",
    "full hd": "1080p", "hd": "720p", "commercial use": "commercial", "licensed": "licensed data",
    "open source": "open weights",
    "open-source": "open weights", "transparency": "transparent", "alpha": "transparent",
    "looping": "loop", "multi shot": "multi-shot", "camera": "camera control",
    "num_images": "several images", "image_size": "aspect ratio", "aspect_ratio": "aspect ratio",
    "voices": "voice", "voice_id": "voice",
}  # fmt: skip


def category_named(text: str, tables: SearchTables) -> str:
    """Return the category that *text* names.

    Raises:
        ActionableError: there is no such category; it names the nearest.
    """
    word = "-".join(plain(text).replace("_", " ").replace("-", " ").split())
    word = _CATEGORY_WORDS.get(word, word)
    if word in tables.categories:
        return word
    raise _unknown("category", text, [one for one in tables.categories if one != "unknown"])


def media_named(texts: Iterable[str], side: str) -> list[str]:
    """Return the kinds of media that *texts* name.

    Raises:
        ActionableError: one of them names none.
    """
    kinds: list[str] = []
    for text in texts:
        word = plain(text).strip()
        word = _MEDIA_WORDS.get(word, word)
        if word not in MEDIA:
            raise _unknown(side, text, MEDIA)
        kinds.append(word)
    return kinds


def feature_keys(texts: Iterable[str], lexicon: Lexicon, tables: SearchTables) -> list[str]:
    """Return the keys of the features, or input fields, that *texts* name.

    Raises:
        ActionableError: one of them is neither; it names the nearest.
    """
    keys: list[str] = []
    for text in texts:
        word = " ".join(plain(text).split())
        word = _FEATURE_WORDS.get(word, word)
        for key in (f"f{word}", f"f{word.replace('_', ' ')}", f"p{word.replace(' ', '_')}"):
            if tables.size(key):
                keys.append(key)
                break
        else:
            keys.append(_said_otherwise(text, lexicon, tables))
    return keys


def _said_otherwise(text: str, lexicon: Lexicon, tables: SearchTables) -> str:
    reading = lexicon.read(text)
    for sense in reading.senses:
        name = lexicon.senses[sense]
        if name[0] == "!" and tables.size(f"f{name[1:]}"):
            return f"f{name[1:]}"
    known = [key[1:] for key in tables.place if key[0] == "f"]
    raise _unknown("feature", text, known)


def work_named(text: str) -> Measure:
    """Return the work that *text* describes, one unit where it is empty.

    Raises:
        ActionableError: it describes none.
    """
    if not text.strip():
        return Measure()
    measure = measure_of(spelled(plain(text)))
    if measure is None or measure.amount <= 0 or _NEGATIVE.search(text):
        raise ActionableError(
            f"for_work is {text[:60]!r}",
            hint='say an amount such as "10 seconds at 1080p", "4 images", "1000 characters"',
        )
    return measure


def checked_dollars(dollars: Decimal | None) -> float | None:
    """Return *dollars* as a number, None where there is no limit.

    Raises:
        ActionableError: it is not a finite amount above zero.
    """
    if dollars is None:
        return None
    if not dollars.is_finite() or dollars <= 0:
        raise ActionableError(f"max_dollars is {dollars}", hint="give an amount above 0, or none")
    return float(dollars)


def _unknown(what: str, text: str, known: Iterable[str]) -> ActionableError:
    word = "-".join(plain(text).split())[:40]
    ranked = sorted(known, key=lambda k: (_far(word, k), k))
    near = f"nearest: {ranked[0]}; " if _far(word, ranked[0]) < _NEAR else ""
    if len(ranked) <= _ALL_LISTED:
        told = f"there are {', '.join(sorted(ranked))}"
    else:
        told = f"among {len(ranked)}: {', '.join(sorted(ranked[:12]))}; names of inputs serve too"
    return ActionableError(f"no {what} {text[:60]!r}", hint=f"{near}{told}")


def _far(word: str, known: str) -> float:
    shared = len(set(word.split("-")) & set(known.replace(" ", "-").split("-")))
    inside = word in known or known in word
    return distance(word, known, 30) / max(len(word), len(known), 1) - 0.3 * shared - 0.3 * inside
