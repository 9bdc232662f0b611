"""What a model's output holds: media, where the card or the output itself says so, and text."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from catalog.card import ModelCard
from catalog.media import MediaKind
from server.jobs.rows import whole_letters
from tools.ports import Output

# Names under which models answer with their main text, best first.
_TEXT_NAMES = ("output", "text", "results", "transcription", "transcript", "caption", "prompt")
_KINDS: frozenset[str] = frozenset(
    {"image", "video", "audio", "3d", "archive", "weights", "text", "file"}
)
_SUFFIXES: Mapping[str, MediaKind] = {
    **dict.fromkeys(("png", "jpg", "jpeg", "webp", "gif", "svg", "avif", "tiff"), "image"),
    **dict.fromkeys(("mp4", "webm", "mov", "mkv"), "video"),
    **dict.fromkeys(("mp3", "wav", "flac", "ogg", "m4a", "aac", "opus"), "audio"),
    **dict.fromkeys(("glb", "gltf", "obj", "fbx", "usdz", "stl", "ply"), "3d"),
    **dict.fromkeys(("zip", "tar", "gz", "7z"), "archive"),
    **dict.fromkeys(("safetensors", "ckpt", "pt"), "weights"),
    **dict.fromkeys(("txt", "srt", "vtt", "md"), "text"),
}
_MOST_OUTPUTS = 200
# What a platform says of a file is believed up to here: bytes, pixels, seconds.
_LARGEST = 2**53


TOO_DEEP = "the model's output is nested too deeply to be read; fal's dashboard shows the request"


@dataclass(frozen=True, slots=True)
class Understood:
    """A model's output: what it holds, its JSON, and a note where it could not be read."""

    outputs: tuple[Output, ...] = ()
    raw: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    """A URL in an output: at which path (list positions as ``[]``), with the object around it."""

    path: str
    url: str
    about: Mapping[str, Any]


def understood(
    card: ModelCard | None,
    output: Any,  # noqa: ANN401  # JSON of any shape
    arguments: Mapping[str, Any],
) -> Understood:
    """Return what *output* holds, whatever it is: it was paid for, and its job has to end.

    Halves of letters, which no file and no database takes, are replaced.
    """
    try:
        raw = json.dumps(output, ensure_ascii=False, default=str)
        if (whole := whole_letters(raw)) != raw:
            raw, output = whole, json.loads(whole)
        return Understood(outputs_of(card, output, arguments), raw)
    except RecursionError:
        return Understood(note=TOO_DEEP)


def outputs_of(
    card: ModelCard | None,
    output: Any,  # noqa: ANN401  # JSON of any shape
    arguments: Mapping[str, Any],
) -> tuple[Output, ...]:
    """Return what *output*, a model's JSON, holds: media in the card's order, then text.

    The card says which fields are media; objects with a ``url``, data URIs and fields named for a
    URL count as well, unless they repeat an argument. Where there is neither media nor a known
    text field, the JSON itself is the text.
    """
    declared: Mapping[str, str] = card.output_media if card is not None else {}
    given = set(_strings(arguments))
    media: dict[str, tuple[int, Output]] = {}
    order = list(declared)
    for one in _urls(output, ""):
        if one.path not in declared and (one.url in given or not _counts(one)):
            continue
        place = order.index(one.path) if one.path in declared else len(order)
        kind = _kind(declared.get(one.path, ""), one)
        if one.url not in media:
            media[one.url] = (place, _media(kind, one))
    ordered = [entry for _, entry in sorted(media.values(), key=lambda pair: pair[0])]
    texts = _texts(output, given, alone=not ordered)
    return tuple([*ordered, *texts][:_MOST_OUTPUTS])


def _urls(value: object, path: str, around: Mapping[str, Any] | None = None) -> Iterator[_Found]:
    """Yield every URL and data URI below *value*, in the order of the JSON."""
    if isinstance(value, Mapping):
        entry = cast("Mapping[str, Any]", value)
        for name, inner in entry.items():
            # A file object counts under its own name, so that its path is the card's.
            here = path if name == "url" and path else f"{path}.{name}" if path else name
            yield from _urls(inner, here, entry if name == "url" else None)
    elif isinstance(value, list | tuple):
        for inner in cast("list[object]", value):
            yield from _urls(inner, f"{path}[]", None)
    elif isinstance(value, str) and re.match(r"https?://[^\s]+$|data:[^,\s]*,", value):
        yield _Found(path, value, around or {})


def _counts(found: _Found) -> bool:
    """Return whether a URL that no card declares is an output: a file object or named for it."""
    if found.about or found.url.startswith("data:"):
        return True
    name = found.path.rsplit(".", 1)[-1].removesuffix("[]").lower()
    return bool(re.search(r"(^|_)urls?$", name)) and _suffix(found.url) in _SUFFIXES


def _kind(declared: str, found: _Found) -> MediaKind:
    if declared in _KINDS and declared != "file":
        return cast("MediaKind", declared)
    stated = _media_type(found).partition("/")[0]
    if stated in ("image", "video", "audio", "text"):
        return cast("MediaKind", stated)
    if stated == "model":
        return "3d"
    name = found.about.get("file_name")
    suffix = _suffix(name) if isinstance(name, str) and "." in name else _suffix(found.url)
    return _SUFFIXES.get(suffix, "file")


def _media(kind: MediaKind, found: _Found) -> Output:
    about = found.about
    return Output(
        kind=kind,
        url=found.url,
        media_type=_media_type(found),
        bytes=_whole(about.get("file_size")),
        width=_whole(about.get("width")),
        height=_whole(about.get("height")),
        seconds=_number(about.get("duration")),
        fps=_number(about.get("fps")),
    )


def _media_type(found: _Found) -> str:
    stated = found.about.get("content_type")
    if isinstance(stated, str) and re.fullmatch(r"[\w.+-]+/[\w.+-]+", stated):
        return stated.lower()
    if found.url.startswith("data:"):
        return found.url[5:].partition(",")[0].partition(";")[0].lower()
    return ""


def _texts(output: object, given: set[str], *, alone: bool) -> list[Output]:
    """Return the texts of *output*; when they are *alone*, there is at least one."""
    if isinstance(output, str):
        return [Output("text", text=output, media_type="text/plain")]
    named: list[str] = []
    if isinstance(output, Mapping):
        entry = cast("Mapping[str, object]", output)
        values = [entry.get(name) for name in _TEXT_NAMES]
        named = [value for value in values if isinstance(value, str) and value.strip()]
    named = [text for text in named if text not in given and not re.match(r"https?://|data:", text)]
    if not alone:  # beside media a prompt is an echo or a rewording, not a result
        repeated = cast("Mapping[str, object]", output).get("prompt")
        named = [text for text in named if text != repeated]
    if named:
        return [Output("text", text=text, media_type="text/plain") for text in dict.fromkeys(named)]
    if not alone or output in (None, {}, []):
        return []
    shown = json.dumps(output, ensure_ascii=False, indent=1, default=str)
    return [Output("text", text=shown, media_type="application/json")]


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in cast("Mapping[str, object]", value).values():
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in cast("list[object]", value):
            yield from _strings(inner)


def _suffix(url: str) -> str:
    try:
        name = urlsplit(url).path.rsplit("/", 1)[-1]
    except ValueError:  # such as a bracket in the host
        return ""
    return name.rpartition(".")[2].lower() if "." in name else ""


def _whole(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 < value < _LARGEST else None


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 < value < _LARGEST else None
