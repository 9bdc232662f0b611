"""Mend titles that leave out the maker, the version or the tier that the id states."""

import re
from collections.abc import Mapping
from typing import Any

# Titles that no rule would find.
_OWN: Mapping[str, tuple[str, str]] = {
    "fal-ai/ben/v2/image": ("BEN 2", "Background Removal"),
    "fal-ai/ben/v2/video": ("BEN 2", "Background Removal (Video)"),
    "fal-ai/cat-vton": ("CatVTON Try-On", ""),
    "fal-ai/esrgan": ("Real-ESRGAN", "Upscale Images"),
    "fal-ai/gpt-image-1/edit-image/byok": ("GPT Image 1 Edit Image BYOK", ""),
    "fal-ai/hyper3d/rodin/v2": ("Hyper3D Rodin 2", ""),
    "fal-ai/lynx": ("Lynx", ""),
    "fal-ai/mini-cpm": ("MiniCPM-V", ""),
    "fal-ai/mini-cpm/video": ("MiniCPM-V", "Video"),
    "mirage-api/avatar-x/reference-to-video": ("Mirage Avatar X", "Reference to Video"),
    "fal-ai/minimax/image-01": ("MiniMax Image 01", "Text to Image"),
    "cassetteai/music-generator": ("CassetteAI Music Generator", ""),
    "fal-ai/kling-video/o3/standard/image-to-video": ("Kling O3 Image to Video [Standard]", ""),
    "fal-ai/kling-video/v3/pro/motion-control": ("Kling Video 3 Motion Control", "Pro"),
    "fal-ai/kling-video/v3/standard/motion-control": ("Kling Video 3 Motion Control", "Standard"),
    "fal-ai/minimax/hailuo-02-fast/image-to-video": ("MiniMax Hailuo 02 Fast", "Image to Video"),
    "lightricks/ltx-2.5/text-to-video/pro": ("LTX 2.5 Text to Video Pro", ""),
    "openai/gpt-image-2": ("GPT Image 2", "Text to Image"),
    "rundiffusion-fal/juggernaut-flux/base/image-to-image": (
        "Juggernaut FLUX Base", "Image to Image",
    ),
    "rundiffusion-fal/juggernaut-flux/pro/image-to-image": (
        "Juggernaut FLUX Pro", "Image to Image",
    ),
    "wan/v2.6/image-to-video/flash": ("Wan 2.6 Flash", "Image to Video"),
}  # fmt: skip
# What their ids alone told wrong, or not at all.
_SUMMARIES: Mapping[str, str] = {
    "easel-ai/easel-avatar": "Makes an avatar picture of one or two people, Easel",
    "fal-ai/hunyuan-part": "Takes the part of a 3D model at a given point apart, Hunyuan3D Part",
    "fal-ai/mini-cpm/video": "Answers questions about a video, MiniCPM-V",
    "fal-ai/mini-cpm": "Answers questions about images, MiniCPM-V",
    "fal-ai/ultrashape": "Refines the shape of a 3D model after a picture, UltraShape",
    "minimax/h3-max/director": "Director mode of MiniMax H3 Max; its inputs are not known here",
    "sonauto/v2/extend": "Extends a song at its start or end, Sonauto 2",
    "sonauto/v2/inpaint": "Makes chosen sections of a song anew, Sonauto 2",
}
# How makers write what stands otherwise in titles.
_SPELLED: Mapping[str, str] = {
    "Ati": "ATI", "Asr": "ASR", "Bbq": "BBQ", "Bbox": "BBox", "Byok": "BYOK", "Glm": "GLM",
    "Flf2v": "FLF2V", "Hdr": "HDR", "Joyai": "JoyAI", "Llavav15": "LLaVA 1.5", "Llm": "LLM",
    "Ltx23": "LTX-2.3",
    "Midas": "MiDaS", "Nsfw": "NSFW", "Pixal3d": "Pixal3D", "Sam": "SAM",
    "Rf": "RF", "Sdr": "SDR", "Seed3d": "Seed3D", "Seededit": "SeedEdit", "Sr": "SR", "Tts": "TTS",
    "Uno": "UNO", "Uso": "USO", "Vlm": "VLM", "a14b": "A14B", "14b": "14B", "20b": "20B",
    "3b": "3B", "9b": "9B", "4b": "4B", "3d": "3D", "i2v": "I2V", "Fibo": "FIBO",
}  # fmt: skip
_TIERS = ("pro", "standard", "fast", "lite", "turbo", "max", "master", "flash", "mini", "ultra")
_VERSION = re.compile(r"(?:[a-z0-9]+-)?(?P<v>(?:v(?=\d)|[qo](?=\d))?\d+(?:\.\d+)*)\Z")
# Of these a version in the path is that of the interface.
_INTERFACES = ("heygen", "openrouter", "xai", "kling-video/v1")
_BARE_VERSION = re.compile(r"V\d[\w.]*(?=\W|\Z)")
_PLAIN_NAME = re.compile(r"\bwith (?P<name>[a-z][a-z0-9 .-]*?)(?= \(|;|\Z)")
# Makers by the name that their models bear.
_BRANDS: Mapping[str, str] = {"wan": "Wan"}


def mended(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return *record* with title and variant that tell whose model it is, and which one.

    What they say already stays, so that a second time changes nothing.
    """
    endpoint_id = record["id"]
    if told := _SUMMARIES.get(endpoint_id):
        record = {**record, "summary": told}
    if own := _OWN.get(endpoint_id):
        return {**record, "title": own[0], "variant": own[1]}
    record = _told_by_name(record)
    title, variant = _spelled(record.get("title") or ""), _spelled(record.get("variant") or "")
    title = re.sub(r"(?<=\d) API\Z|(?<= to Video) API\Z", "", title)
    if not title or record.get("seed_only"):
        return {**record, "title": title or record.get("title"), "variant": variant}
    title = _with_brand(record, title, variant)
    title = _with_version(endpoint_id, title, variant)
    title = _with_tier(endpoint_id, title, variant)
    return {**record, "title": title, "variant": variant}


def _told_by_name(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *record* with the model's name in its summary written as in its title.

    Summaries that follow from the id by rule write it small: ``Transforms audio with nova sr``.
    """
    found = _PLAIN_NAME.search(record.get("summary") or "")
    if record.get("status") == "active" or found is None:
        return record
    written, title = _squeezed(found["name"]), _spelled(record.get("title") or "")
    words = title.split()
    for end in range(1, len(words) + 1):
        if _squeezed("".join(words[:end])) == written:
            title = " ".join(words[:end]).rstrip(":")
            break
    else:
        if written != _squeezed(record["id"].split("/")[1]):
            return record
    summary = f"{record['summary'][: found.start('name')]}{title}"
    return {**record, "summary": f"{summary}{record['summary'][found.end('name') :]}"}


def _spelled(text: str) -> str:
    text = re.sub(r"(?<![\w.-])[A-Za-z0-9]+(?![\w-])", lambda m: _SPELLED.get(m[0], m[0]), text)
    return re.sub(r"\bSAM 3 1\b", "SAM 3.1", text)


def _squeezed(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _with_brand(record: Mapping[str, Any], title: str, variant: str) -> str:
    """Put the maker's name before a title that names neither it nor the owner of the id."""
    owner = record["id"].partition("/")[0]
    if owner in ("fal-ai", "local"):
        return title
    brand = _BRANDS.get(owner) or str(record.get("maker") or "").partition(" (")[0]
    if not brand or "/" in brand:
        return title
    told = _squeezed(f"{title} {variant}")
    family = re.split(r"[-_.]", str(record.get("family") or ""))[0]
    names = {_squeezed(name) for name in (owner, brand, family, brand.removesuffix(" AI"))}
    if any(name and name in told for name in names):
        return title
    if title.startswith("AI "):
        brand = brand.removesuffix(" AI")
    bare = _BARE_VERSION.match(title)
    return f"{brand} {title[1:] if bare else title}"


def _with_version(endpoint_id: str, title: str, variant: str) -> str:
    """Put the version that the id states behind the model's name, where it stands nowhere."""
    if any(name in endpoint_id for name in _INTERFACES):
        return title
    parts = endpoint_id.lower().split("/")
    for place, part in enumerate(parts[1:], start=1):
        found = _VERSION.fullmatch(part)
        if not found:
            continue
        version = found["v"].removeprefix("v")
        told = _squeezed(f"{title} {variant}")
        if version in ("1", "1.0") or _squeezed(version).removesuffix("0") in told:
            return title
        named = re.findall(r"[a-z0-9]+", " ".join(parts[: place + 1]))
        words = title.split()
        run = 0
        while run < len(words) and _squeezed(words[run]) in {*named, _squeezed(parts[place - 1])}:
            run += 1
        shown = version.upper() if version[0] in "qo" else version
        return " ".join([*words[: run or 1], shown, *words[run or 1 :]])
    return title


def _with_tier(endpoint_id: str, title: str, variant: str) -> str:
    """Put the tier that the id states before the task, where it stands nowhere."""
    parts = endpoint_id.lower().split("/")[2:]
    told = re.findall(r"[a-z]+", f"{title} {variant}".lower())
    for tier in (part for part in parts if part in _TIERS and part != "standard"):
        if tier in told:
            continue
        task = re.search(r"\b(?:Text|Image|Video|Reference|Audio)\b(?= to )", title)
        name = tier.capitalize()
        if task and task.start():
            return f"{title[: task.start()]}{name} {title[task.start() :]}"
        return f"{title} {name}"
    return title
