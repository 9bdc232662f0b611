"""Put file format, frame rate, language and switches that words ask for into a card's fields."""

from collections.abc import Mapping

from catalog.asked import Asked
from catalog.card import ModelCard
from catalog.field_values import choices_of, rule_told, takes

RATES = ("frames_per_second", "fps", "frame_rate", "target_fps", "output_fps")
_FORMATS = (
    "output_format", "format", "image_format", "audio_format", "video_output_type",
    "geometry_file_format", "export_format",
)  # fmt: skip
_TONGUES = (
    "language", "language_code", "language_boost", "voice_language", "output_language",
    "custom_audio_language",
)  # fmt: skip
# Features of a search that a card may have as a switch which is off, by the names of the switch.
SWITCHES: Mapping[str, tuple[str, ...]] = {
    "loop": ("loop",),
    "instrumental": ("is_instrumental", "instrumental", "force_instrumental"),
    "web search": ("enable_web_search", "enable_google_search"),
    "fixed camera": ("camera_fixed",),
    "pbr": ("enable_pbr", "pbr"),
    "rigging": ("enable_rigging",),
    "speakers": ("diarize",),
    "hdr": ("hdr",),
    "multi-shot": ("generate_multi_clip_switch", "multi_shots"),
    "prompt expansion": ("enable_prompt_expansion", "expand_prompt", "prompt_optimizer"),
    "keep audio": ("keep_audio", "preserve_audio", "keep_original_sound"),
    "audio events": ("tag_audio_events",),
    "t-pose": ("TAPose", "is_a_t_pose"),
    "quads": ("quad",),
}
_SAME_FORMAT = {"jpg": "jpeg", "jpeg": "jpg"}


def options(
    card: ModelCard, asked: Asked, given: Mapping[str, object]
) -> tuple[dict[str, object], list[str]]:
    """Return the fields for what is *asked*, and what the card cannot and why.

    What is *given* stays; a switch or language that the card has no field for is none of its
    business, since other properties of it may do.
    """
    fields: dict[str, object] = {}
    unmet: list[str] = []
    held = {name for name, value in given.items() if value is not None}
    for feature in asked.switches:
        for name in SWITCHES.get(feature, ()):
            if takes(card, name, True) and name not in held:
                fields[name] = True
                break
    if "quads" in asked.switches and "topology" not in held:
        fields |= _quads(card)
    for names, find, what in (
        (_FORMATS, _format, asked.form),
        (RATES, _rate, asked.fps),
        (_TONGUES, _tongue, asked.tongue),
    ):
        own = [name for name in names if name in card.properties]
        if not what or held & set(own):
            continue
        found = next(((n, v) for n in own if (v := find(card, n, asked)) is not None), None)
        if found is not None:
            fields[found[0]] = found[1]
        elif find is not _tongue:
            told = rule_told(card, own[0]) if own else "it has no field for that"
            unmet.append(f"{f'{what} fps' if find is _rate else what}: {told}")
    return fields, unmet


def _quads(card: ModelCard) -> dict[str, object]:
    return {"topology": "quad"} if "quad" in choices_of(card, "topology") else {}


def _format(card: ModelCard, name: str, asked: Asked) -> object:
    """Return the choice that stands for the format: ``webp``, ``GIF (.gif)``, ``mp3_44100_128``."""
    wanted = {asked.form, _SAME_FORMAT.get(asked.form, asked.form)}
    for choice in choices_of(card, name):
        word = str(choice).lower()
        if word in wanted or any(word.endswith(f"(.{one})") for one in wanted):
            return choice
    return None


def _rate(card: ModelCard, name: str, asked: Asked) -> object:
    for value in (asked.fps, str(asked.fps)):
        if takes(card, name, value):
            return value
    return None


def _tongue(card: ModelCard, name: str, asked: Asked) -> object:
    """Return the choice that stands for the language, a name or a code."""
    if asked.tongue is None:
        return None
    word, code = asked.tongue
    for choice in choices_of(card, name):
        said = str(choice).lower()
        if said in (word, code) or said.startswith((f"{word} (", f"{code}-", f"{code}_")):
            return choice
    is_free = not choices_of(card, name) and name == "language_code"
    return code if is_free and takes(card, name, code) else None
