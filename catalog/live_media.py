"""Tell from the names in a live schema what is media, and of which kind."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

Schema = dict[str, Any]

# What takes or gives a place of a file.
_LOCATION = re.compile(r"(?:^|_)(?:url|urls|uri|uris)$")
# First what tells more than the words image or video beside it do: a zip of images is an archive.
_ARCHIVE = re.compile(
    r"(?:^|_)(?:zip|archive|dataset|training_data|images?_data|videos?_data)(?:_|$)"
)
_INPUT_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("file", re.compile(r"(?:lora|weight)(?!.*image)|checkpoint|embedding|config|control_method")),
    ("file", re.compile(r"(?:^|_)(?:pdf|srt|font|subtitle|caption|transcript|json|csv|doc)s?_")),
    ("3d", re.compile(r"mesh|(?:^|_)(?:glb|obj|fbx|3d|model(?:_file)?_url)")),
    ("video", re.compile(r"video|clip|movie")),
    (
        "image",
        re.compile(r"image|mask|photo|picture|(?:^|_)(?:img|frame|face|logo|garment|poster)"),
    ),
    ("audio", re.compile(r"audio|voice|speech|music|sound|song|(?:^|_)(?:vocal|impulse)")),
    ("file", re.compile(r"(?:^|_)(?:file|media|document)(?:_|$)")),
)
_OUTPUT_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("file", re.compile(r"zip|json|config|dataset|latents|lottie|caption")),
    ("image", re.compile(r"texture|metallic|roughness|normal|base_color|thumbnail|sprite")),
    ("weights", re.compile(r"lora|embedding|weights|checkpoint")),
    ("3d", re.compile(r"glb|fbx|obj(?!ect)|usdz|stl|ply|mtl|blend|mesh|splat|(?:^|_)model(?:_|$)")),
    ("video", re.compile(r"video|clip|movie")),
    ("image", re.compile(r"image|mask|photo|picture|depth|frame")),
    ("audio", re.compile(r"audio|voice|speech|music|sound|song")),
)  # fmt: skip


def input_kind(name: str) -> str:
    """Return what a text under *name* leads to, empty where it is no place of media."""
    plain = name.lower()
    if not _LOCATION.search(plain):
        return ""
    if _ARCHIVE.search(plain):
        return "archive"
    return _kind(plain, _INPUT_KINDS)


def output_kind(title: str, name: str) -> str:
    """Return what a file object called *title* under *name* holds, ``file`` where neither tells."""
    told = _kind(title.lower(), _OUTPUT_KINDS)
    return told if told not in ("", "file") else _kind(name.lower(), _OUTPUT_KINDS) or "file"


def _kind(text: str, kinds: tuple[tuple[str, re.Pattern[str]], ...]) -> str:
    return next((kind for kind, pattern in kinds if pattern.search(text)), "")


def media_of(output: Mapping[str, Any]) -> dict[str, str]:
    """Return the kind of media at each path of *output* that holds some: ``images[]``, ``a.b``."""
    return dict(_media(output, ""))


def _media(rule: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    if path and isinstance(kind := rule.get("x-media"), str):
        yield path, kind
        return
    for name, inner in cast("dict[str, Schema]", rule.get("properties") or {}).items():
        yield from _media(inner, f"{path}.{name}" if path else name)
    if items := rule.get("items"):
        yield from _media(cast("Schema", items), f"{path}[]")
    for union in ("anyOf", "oneOf", "allOf"):
        for branch in cast("list[Schema]", rule.get(union) or ()):
            yield from _media(branch, path)
